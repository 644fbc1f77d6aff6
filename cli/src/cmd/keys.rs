//! `ipgeo keys`.

use std::io::Read as _;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use ipgeo_contract::{ApiKey, Identity, KeyRecord, Limit, Month, Period, SitePattern, Status};
use ipgeo_runtime::dynamo::KeyChange;
use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;

use super::{Target, load_config};
use crate::aws::Home;
use crate::cli::Shared;
use crate::config::Config;
use crate::keys::{KeyStore, choose, parse_expiry, parse_grace, parse_quota, tier_of};
use crate::output::{self, Column, Format, grouped};
use crate::world::WorldFile;

/// Verbs of `ipgeo keys`.
#[derive(Debug, Subcommand)]
pub enum KeysVerb {
    /// Make an API key; it is shown once, alone on standard output
    Create(CreateArgs),
    /// List API keys
    List(ListArgs),
    /// Show one API key and its usage of this month
    Show(OneArgs),
    /// Change an API key
    Update(UpdateArgs),
    /// Replace an API key by a new one with the same settings
    Rotate(RotateArgs),
    /// Switch an API key off
    Disable(OneArgs),
    /// Switch an API key on again
    Enable(OneArgs),
    /// End an API key for good
    Revoke(RevokeArgs),
}

/// Which API key.
#[derive(Debug, Args)]
pub struct OneArgs {
    /// Its hint, last four characters, or hash (8 digits or more); `-` reads the API key from standard input
    #[arg(value_name = "KEY")]
    key: String,
    #[command(flatten)]
    target: Target,
}

/// Flags of `ipgeo keys create`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ipgeo keys create --dev --owner acme --tier startup
  ipgeo keys create --owner acme --tier business --quota 50k/day --expires 90d --sites '*.acme.com'")]
pub struct CreateArgs {
    /// Who it is for
    #[arg(long, value_name = "NAME")]
    owner: String,
    /// A tier of regions.toml
    #[arg(long, value_name = "TIER")]
    tier: String,
    /// A limit of its own, such as 50k/day; else the tier's
    #[arg(long, value_name = "LIMIT", value_parser = parse_quota)]
    quota: Option<Limit>,
    /// When it ends: 90d, 2027-01-31, or an instant
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// The sites it may be used from: example.com, *.example.com
    #[arg(long, value_name = "HOSTS", value_delimiter = ',')]
    sites: Vec<SitePattern>,
    /// The networks it may be used from: 203.0.113.0/24
    #[arg(long, value_name = "CIDRS", value_delimiter = ',')]
    networks: Vec<IpNet>,
    #[command(flatten)]
    target: Target,
}

/// Flags of `ipgeo keys list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only those of an owner
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Only those of a tier
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Flags of `ipgeo keys update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Who it is for
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// A tier of regions.toml; its limit comes with it
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,
    /// A limit of its own
    #[arg(long, value_name = "LIMIT", value_parser = parse_quota)]
    quota: Option<Limit>,
    /// When it ends
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// It ends never
    #[arg(long, conflicts_with = "expires")]
    never: bool,
    /// The sites it may be used from
    #[arg(long, value_name = "HOSTS", value_delimiter = ',')]
    sites: Option<Vec<SitePattern>>,
    /// It may be used from any site
    #[arg(long, conflicts_with = "sites")]
    any_site: bool,
    /// The networks it may be used from
    #[arg(long, value_name = "CIDRS", value_delimiter = ',')]
    networks: Option<Vec<IpNet>>,
    /// It may be used from any network
    #[arg(long, conflicts_with = "networks")]
    any_network: bool,
}

/// Flags of `ipgeo keys rotate`.
#[derive(Debug, Args)]
pub struct RotateArgs {
    #[command(flatten)]
    one: OneArgs,
    /// How long the old API key goes on: 7d, 12h, or 0
    #[arg(long, value_name = "DURATION", default_value = "7d")]
    grace: String,
}

/// Flags of `ipgeo keys revoke`.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Looks at a region before a new API key is said to be late there, and the pause between two.
const KNOWN_LOOKS: u32 = 100;
const KNOWN_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// An API key's row: everything about it but itself.
#[derive(Debug, Serialize)]
struct KeyRow {
    hint: String,
    owner: String,
    tier: String,
    limit: String,
    used: u64,
    period: String,
    status: String,
    expires: Option<String>,
    sites: String,
    networks: String,
    created: String,
    hash: String,
}

/// Seconds are enough for people.
fn instant(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

fn joined<T: ToString>(list: &[T]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

impl KeyRow {
    fn new(identity: &Identity, record: &KeyRecord, now: Timestamp) -> Self {
        let period = Period::of(record.limit.window, now);
        let published = record.published.filter(|published| published.period == period);
        let expired = record.expires.is_some_and(|expires| expires <= now);
        let status =
            if expired && record.status == Status::Active { "expired" } else { record.status.as_str() };
        Self {
            hint: record.hint.clone(),
            owner: record.owner.clone(),
            tier: record.tier.clone(),
            limit: record.limit.to_string(),
            used: published.map_or(0, |published| published.used),
            period: period.to_string(),
            status: status.to_owned(),
            expires: record.expires.map(instant),
            sites: joined(&record.sites),
            networks: joined(&record.networks),
            created: instant(record.created),
            hash: identity.name().to_owned(),
        }
    }
}

/// Runs a verb.
pub(crate) async fn run(verb: KeysVerb, shared: &Shared) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let now = Timestamp::now();
    match verb {
        KeysVerb::Create(args) => create(args, &config, shared, now).await,
        KeysVerb::List(args) => list(args, &config, shared, now).await,
        KeysVerb::Show(args) => show(args, &config, shared, now).await,
        KeysVerb::Update(args) => update(args, &config, shared, now).await,
        KeysVerb::Rotate(args) => rotate(args, &config, shared, now).await,
        KeysVerb::Disable(args) => set_status(args, Status::Disabled, &config, shared, now).await,
        KeysVerb::Enable(args) => set_status(args, Status::Active, &config, shared, now).await,
        KeysVerb::Revoke(args) => revoke(args, &config, shared, now).await,
    }
}

fn new_key(prefix: &str) -> anyhow::Result<ApiKey> {
    let mut failed = None;
    let key = ApiKey::generate(prefix, |bytes| {
        if let Err(error) = getrandom::fill(bytes) {
            // The checksum of zeros is as good as any: the error below is what counts.
            failed = Some(error);
        }
    });
    match failed {
        Some(error) => bail!("the system gives no random bytes: {error}"),
        None => Ok(key?),
    }
}

/// Shows a new API key: alone on standard output, or in one JSON object.
fn reveal(
    key: &ApiKey,
    record: &KeyRecord,
    shared: &Shared,
    target: &Target,
    now: Timestamp,
) -> anyhow::Result<()> {
    let identity = Identity::key(&key.hash());
    if shared.format() == Format::Table {
        output::data(key.expose())?;
    } else {
        let mut row = serde_json::to_value(KeyRow::new(&identity, record, now))?;
        row["api_key"] = key.expose().into();
        output::data(&row.to_string())?;
    }
    output::say(&format!("{} for {}: {}, {}", record.hint, record.owner, record.tier, record.limit));
    output::say("this is the only time that it is shown: only its hash is stored");
    if target.dev
        && let Ok(world) = WorldFile::find(&shared.state)
    {
        output::say(&format!("try: curl -H 'x-api-key: <the API key>' {}/8.8.8.8", world.nearest));
    }
    Ok(())
}

async fn create(args: CreateArgs, config: &Config, shared: &Shared, now: Timestamp) -> anyhow::Result<()> {
    let tier = tier_of(&args.tier, &config.tiers)?;
    if args.owner.trim().is_empty() || args.owner.len() > 200 {
        bail!("an owner is a name of 1 to 200 bytes");
    }
    let expires = args.expires.as_deref().map(|text| parse_expiry(text, now)).transpose()?;
    let key = new_key(&config.service.key_prefix)?;
    let record = KeyRecord {
        owner: args.owner,
        tier: tier.name.clone(),
        limit: args.quota.unwrap_or(tier.limit),
        status: Status::Active,
        expires,
        sites: args.sites,
        networks: args.networks,
        hint: key.hint(),
        created: now,
        published: None,
    };
    let home = args.target.home(shared, config).await?;
    home.put(&Identity::key(&key.hash()), &record).await?;
    known_everywhere(&key, shared, &args.target).await;
    reveal(&key, &record, shared, &args.target, now)
}

/// In a running world: waits until every region knows a new API key, so that the next line of a script
/// may use it anywhere. On AWS that takes about a second, and is not waited for.
async fn known_everywhere(key: &ApiKey, shared: &Shared, target: &Target) {
    let Some(world) = target.dev.then(|| WorldFile::find(&shared.state).ok()).flatten() else { return };
    let identity = Identity::key(&key.hash());
    for (region, access) in Home::replicas_of_world(&world) {
        let mut known = false;
        for _look in 0..KNOWN_LOOKS {
            known = access.key_now(&identity).await.is_ok_and(|found| found.is_some());
            if known {
                break;
            }
            tokio::time::sleep(KNOWN_PAUSE).await;
        }
        if !known {
            output::say(&format!("{region} does not know it yet; it will, after the replication lag"));
            return;
        }
    }
}

const COLUMNS: [Column; 7] = [
    Column::text("API key"),
    Column::text("owner"),
    Column::text("tier"),
    Column::text("limit"),
    Column::number("used"),
    Column::text("status"),
    Column::text("expires"),
];

async fn list(args: ListArgs, config: &Config, shared: &Shared, now: Timestamp) -> anyhow::Result<()> {
    let mut keys = args.target.home(shared, config).await?.list().await?;
    keys.retain(|(_, record)| {
        args.owner.as_ref().is_none_or(|owner| *owner == record.owner)
            && args.tier.as_ref().is_none_or(|tier| *tier == record.tier)
    });
    keys.sort_by(|(a_id, a), (b_id, b)| (&a.owner, a.created, a_id).cmp(&(&b.owner, b.created, b_id)));
    let rows: Vec<KeyRow> =
        keys.iter().map(|(identity, record)| KeyRow::new(identity, record, now)).collect();
    if rows.is_empty() && shared.format() == Format::Table {
        output::say("there is no API key; `ipgeo keys create` makes one");
        return Ok(());
    }
    let text = output::rows(shared.format(), &COLUMNS, &rows, |row| {
        vec![
            row.hint.clone(),
            row.owner.clone(),
            row.tier.clone(),
            row.limit.clone(),
            grouped(row.used),
            row.status.clone(),
            row.expires.clone().unwrap_or_else(|| "never".to_owned()),
        ]
    })?;
    Ok(output::data(&text)?)
}

/// The API key that a text names; `-` reads the API key itself from standard input.
pub(super) async fn find(text: &str, home: &Home) -> anyhow::Result<(Identity, KeyRecord)> {
    let keys = home.list().await?;
    if text != "-" {
        return Ok(choose(text, &keys)?.clone());
    }
    let mut text = String::new();
    std::io::stdin().take(1_000).read_to_string(&mut text).context("read the API key from standard input")?;
    let key: ApiKey = text.trim().parse().context("what came on standard input is no API key")?;
    let identity = Identity::key(&key.hash());
    keys.into_iter().find(|(known, _)| *known == identity).context("this API key is not known")
}

fn print_one(row: &KeyRow, more: &[(&str, String)], shared: &Shared) -> anyhow::Result<()> {
    if shared.format() != Format::Table {
        return Ok(output::data(&serde_json::to_string_pretty(row)?)?);
    }
    let any = |text: &str| if text.is_empty() { "any".to_owned() } else { text.to_owned() };
    let lines = [
        ("API key", row.hint.clone()),
        ("owner", row.owner.clone()),
        ("tier", row.tier.clone()),
        ("limit", row.limit.clone()),
        ("used", format!("{} in {}, as published", grouped(row.used), row.period)),
        ("status", row.status.clone()),
        ("expires", row.expires.clone().unwrap_or_else(|| "never".to_owned())),
        ("sites", any(&row.sites)),
        ("networks", any(&row.networks)),
        ("created", row.created.clone()),
        ("hash", row.hash.clone()),
    ];
    let text: Vec<String> = lines
        .iter()
        .chain(more)
        .map(|(name, value)| format!("{name:<10}  {}", output::printable(value)))
        .collect();
    Ok(output::data(&text.join("\n"))?)
}

async fn show(args: OneArgs, config: &Config, shared: &Shared, now: Timestamp) -> anyhow::Result<()> {
    let home = args.target.home(shared, config).await?;
    let (identity, record) = find(&args.key, &home).await?;
    let item = home.ledger.item(&identity, Month::of(now)).await?;
    let told = |pairs: Vec<(String, u64)>| {
        pairs.into_iter().map(|(name, n)| format!("{name} {}", grouped(n))).collect::<Vec<_>>().join(", ")
    };
    let more = item.map_or_else(Vec::new, |item| {
        vec![
            ("counted", format!("{} in {}, exactly", grouped(item.charged), item.month)),
            (
                "by day",
                told(item.days.into_iter().map(|(day, n)| (format!("{}-{day:02}", item.month), n)).collect()),
            ),
            ("by region", told(item.regions.into_iter().collect())),
            ("by verdict", told(item.verdicts.into_iter().map(|(v, n)| (v.to_string(), n)).collect())),
        ]
    });
    print_one(&KeyRow::new(&identity, &record, now), &more, shared)
}

async fn changed(
    one: &OneArgs,
    change: KeyChange,
    config: &Config,
    shared: &Shared,
    now: Timestamp,
) -> anyhow::Result<()> {
    let home = one.target.home(shared, config).await?;
    let (identity, record) = find(&one.key, &home).await?;
    if record.status == Status::Revoked {
        bail!("{} is revoked, and that is for good; make a new API key", record.hint);
    }
    let record = home.change(&identity, &change).await?;
    print_one(&KeyRow::new(&identity, &record, now), &[], shared)
}

async fn update(args: UpdateArgs, config: &Config, shared: &Shared, now: Timestamp) -> anyhow::Result<()> {
    let tier = args.tier.as_deref().map(|name| tier_of(name, &config.tiers)).transpose()?;
    let expires = args.expires.as_deref().map(|text| parse_expiry(text, now)).transpose()?;
    let change = KeyChange {
        owner: args.owner,
        tier: tier.map(|tier| tier.name.clone()),
        limit: args.quota.or(tier.map(|tier| tier.limit)),
        status: None,
        expires: if args.never { Some(None) } else { expires.map(Some) },
        sites: if args.any_site { Some(Vec::new()) } else { args.sites },
        networks: if args.any_network { Some(Vec::new()) } else { args.networks },
    };
    if change == KeyChange::default() {
        bail!("nothing to change; `ipgeo keys update --help` lists what can be");
    }
    changed(&args.one, change, config, shared, now).await
}

async fn set_status(
    args: OneArgs,
    status: Status,
    config: &Config,
    shared: &Shared,
    now: Timestamp,
) -> anyhow::Result<()> {
    changed(&args, KeyChange { status: Some(status), ..KeyChange::default() }, config, shared, now).await
}

async fn rotate(args: RotateArgs, config: &Config, shared: &Shared, now: Timestamp) -> anyhow::Result<()> {
    let grace = parse_grace(&args.grace)?;
    let home = args.one.target.home(shared, config).await?;
    let (old, record) = find(&args.one.key, &home).await?;
    if record.status == Status::Revoked {
        bail!("{} is revoked, and that is for good; make a new API key", record.hint);
    }
    let key = new_key(&config.service.key_prefix)?;
    let fresh = KeyRecord { hint: key.hint(), created: now, published: None, ..record.clone() };
    // The new one first: if the second write fails, both work and the verb may be run again.
    home.put(&Identity::key(&key.hash()), &fresh).await?;
    let end = now.checked_add(grace).context("the grace is too long")?;
    let end = record.expires.map_or(end, |expires| expires.min(end));
    home.change(&old, &KeyChange { expires: Some(Some(end)), ..KeyChange::default() }).await?;
    known_everywhere(&key, shared, &args.one.target).await;
    reveal(&key, &fresh, shared, &args.one.target, now)?;
    output::say(&format!("{} ends at {}", record.hint, instant(end)));
    Ok(())
}

async fn revoke(args: RevokeArgs, config: &Config, shared: &Shared, now: Timestamp) -> anyhow::Result<()> {
    let home = args.one.target.home(shared, config).await?;
    let (identity, record) = find(&args.one.key, &home).await?;
    if !args.yes {
        bail!("this ends {} of {} for good; say so with --yes", record.hint, record.owner);
    }
    let change = KeyChange { status: Some(Status::Revoked), ..KeyChange::default() };
    let record = home.change(&identity, &change).await?;
    print_one(&KeyRow::new(&identity, &record, now), &[], shared)
}
