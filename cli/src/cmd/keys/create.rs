//! `ipgeo keys create` and `rotate`: the two verbs that show a new API key.

use anyhow::bail;
use clap::Args;
use ipgeo_contract::{ApiKey, Identity, KeyRecord, Limit, SitePattern, Status};
use ipgeo_runtime::dynamo::KeyChange;
use ipnet::IpNet;
use serde::Serialize;

use super::KeysContext;
use super::row::{KeyRow, RateArgs};
use crate::args::Shared;
use crate::aws::Home;
use crate::cmd::support::{OneArgs, Target, find_key, numbers::expires};
use crate::keys::{
    KeyStore as _, check_rotation, find_tier, parse_grace, parse_owner, parse_quota, parse_site,
};
use crate::ui::format::grouped_limit;
use crate::ui::output::{self, UsageError, instant};
use crate::world::WorldFile;

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo keys create --dev --owner acme --tier startup
  ipgeo keys create --owner acme --tier startup --quota 50k/day
  ipgeo keys create --owner acme --tier business --rate 10/s --expires 90d")]
pub(crate) struct CreateArgs {
    /// Owner
    #[arg(long, value_name = "NAME", value_parser = parse_owner)]
    owner: String,
    /// Tier in regions.toml
    #[arg(long, value_name = "TIER")]
    tier: String,
    /// Limit: 50k/day [default: the tier's]
    #[arg(long, value_name = "LIMIT", value_parser = parse_quota)]
    quota: Option<Limit>,
    #[command(flatten)]
    rate: RateArgs,
    /// Expiry: 90d, 2027-01-31, or a time [default: never]
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Allow only these sites: example.com, *.example.com
    #[arg(long, value_name = "HOSTS", value_delimiter = ',', value_parser = parse_site)]
    sites: Vec<SitePattern>,
    /// Allow only these networks: 203.0.113.0/24
    #[arg(long, value_name = "CIDRS", value_delimiter = ',')]
    networks: Vec<IpNet>,
    /// Allow `?explain=1`: which source each field of an answer came from
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo keys rotate ipg_…x3Kq
  ipgeo keys rotate ipg_…x3Kq --grace 12h")]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    one: OneArgs,
    /// How long the old API key keeps working: 7d, 12h, or 0
    #[arg(long, value_name = "DURATION", default_value = "7d")]
    grace: String,
}

/// Reads of a region before a new API key is reported as late there, and the pause between two.
const KNOWN_LOOKS: u32 = 100;
const KNOWN_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

fn new_key(prefix: &str) -> anyhow::Result<ApiKey> {
    let mut failed = None;
    let key = ApiKey::generate(prefix, |bytes| {
        if let Err(error) = getrandom::fill(bytes) {
            // The checksum of zeros is as good as any: the error below is what counts.
            failed = Some(error);
        }
    });
    match failed {
        Some(error) => bail!("read random bytes: {error}"),
        None => Ok(key?),
    }
}

/// Fails if a new API key could not be shown: nothing is created then.
fn check_output() -> Result<(), UsageError> {
    if output::stdout_discards() {
        return Err(UsageError::new(
            "standard output is closed or /dev/null, so the new API key would be lost; nothing was created",
        ));
    }
    Ok(())
}

/// A row that includes the API key itself; it is shown only once.
#[derive(Serialize)]
struct NewKey<'a> {
    #[serde(flatten)]
    row: KeyRow,
    api_key: &'a str,
}

/// Shows a new API key: alone on standard output, or in one JSON object.
fn reveal(key: &ApiKey, record: &KeyRecord, target: &Target, context: KeysContext<'_>) -> anyhow::Result<()> {
    let KeysContext { config, shared, now } = context;
    let identity = Identity::key(&key.hash());
    let new = NewKey { row: KeyRow::new(&identity, record, None, &config.tiers, now), api_key: key.expose() };
    output::print_once(&output::format_value(shared.format(), &new, || key.expose().to_owned())?)?;
    output::print_note(&summary(record));
    if let Some(restrictions) = restrictions(record) {
        output::print_note(&restrictions);
    }
    output::print_note("store it now: it is not shown again, because only its hash is kept");
    let url = if target.dev {
        WorldFile::find(&shared.state).ok().map(|world| world.nearest)
    } else {
        config.service.domain.as_ref().map(|domain| format!("https://{domain}"))
    };
    if let Some(url) = url {
        output::print_note(&example_call(record, &url));
    }
    Ok(())
}

/// What the API key may do beside its limit, and until when; `None` if nothing is set.
fn restrictions(record: &KeyRecord) -> Option<String> {
    let list = |name: &str, list: String| (!list.is_empty()).then(|| format!("{name}: {list}"));
    let parts = [
        list("sites", joined(&record.sites)),
        list("networks", joined(&record.networks)),
        record.expires.map(|expires| format!("expires: {}", instant(expires))),
        record.explain.then(|| "`?explain=1`: allowed".to_owned()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// A call that the API key's restrictions allow.
fn example_call(record: &KeyRecord, url: &str) -> String {
    let referer = record.sites.first().map(|site| {
        let host = site.to_string().replacen("*.", "www.", 1);
        format!(" -H 'Referer: https://{host}/'")
    });
    let from = match record.networks.as_slice() {
        [] => String::new(),
        networks => format!(" (works only from {})", joined(networks)),
    };
    format!("try: curl -H 'x-api-key: <the API key>'{} {url}/8.8.8.8{from}", referer.unwrap_or_default())
}

fn joined<T: ToString>(list: &[T]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A new API key in one line. Its limit and rate are as in the column of `ipgeo keys list`.
fn summary(record: &KeyRecord) -> String {
    let rate = record.rate.map(|rate| format!(" {}", rate.words())).unwrap_or_default();
    let limit = grouped_limit(&format!("{}{rate}", record.limit));
    format!("{} for {}: {}, {limit}", record.hint, record.owner, record.tier)
}

pub(super) async fn create(args: CreateArgs, context: KeysContext<'_>) -> anyhow::Result<()> {
    let KeysContext { config, shared, now } = context;
    check_output()?;
    let tier = find_tier(&args.tier, &config.tiers).map_err(|error| UsageError(error.to_string()))?;
    let expires = expires(args.expires.as_deref(), now)?;
    let key = new_key(&config.service.key_prefix)?;
    let record = KeyRecord {
        owner: args.owner,
        tier: tier.name.clone(),
        limit: args.quota.unwrap_or(tier.limit),
        rate: args.rate.limit()?,
        status: Status::Active,
        expires,
        sites: args.sites,
        networks: args.networks,
        explain: args.explain,
        hint: key.hint(),
        created: now,
        published: None,
    };
    let home = args.target.home(shared, config).await?;
    home.put(&Identity::key(&key.hash()), &record).await?;
    known_everywhere(&key, shared, &args.target).await;
    let shown = reveal(&key, &record, &args.target, context);
    revoke_unless_shown(shown, &home, &key).await
}

/// Revokes a new API key that could not be shown, because nobody has it.
async fn revoke_unless_shown(shown: anyhow::Result<()>, home: &Home, key: &ApiKey) -> anyhow::Result<()> {
    let Err(error) = shown else { return Ok(()) };
    let change = KeyChange { status: Some(Status::Revoked), ..KeyChange::default() };
    let revoked = home.change(&Identity::key(&key.hash()), &change).await;
    Err(match revoked {
        Ok(_) => {
            error.context("the new API key could not be shown, so it was revoked; run the command again")
        }
        Err(_) => error.context(format!(
            "the new API key could not be shown, and could not be revoked either; run `ipgeo keys revoke {}`",
            key.hint()
        )),
    })
}

/// With `ipgeo dev`: waits until every region knows a new API key, so that the next line of a script
/// may use it anywhere. AWS takes about a second, and is not waited for.
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
            output::print_note(&format!("{region} does not know it yet; replication is still running"));
            return;
        }
    }
}

/// The successor of this API key, unless it has been revoked.
async fn living_successor(home: &Home, old: &Identity) -> anyhow::Result<Option<Identity>> {
    let Some(successor) = home.access.successor(old).await? else { return Ok(None) };
    let record = home.access.key_now(&successor).await?;
    Ok(record.filter(|record| record.status != Status::Revoked).map(|_| successor))
}

pub(super) async fn rotate(args: RotateArgs, context: KeysContext<'_>) -> anyhow::Result<()> {
    let KeysContext { config, shared, now } = context;
    check_output()?;
    let grace = parse_grace(&args.grace).map_err(|error| UsageError(format!("--grace: {error}")))?;
    let home = args.one.target.home(shared, config).await?;
    let (old, record) = find_key(&args.one.key, &home).await?;
    check_rotation(&record, living_successor(&home, &old).await?.as_ref(), now)?;
    let key = new_key(&config.service.key_prefix)?;
    let fresh = KeyRecord { hint: key.hint(), created: now, published: None, ..record.clone() };
    let identity = Identity::key(&key.hash());
    // The new one first: if the second write fails, both work and the verb may be run again.
    home.put(&identity, &fresh).await?;
    let end = now.checked_add(grace).map_err(|_| UsageError::new("--grace is too long"))?;
    let end = record.expires.map_or(end, |expires| expires.min(end));
    known_everywhere(&key, shared, &args.one.target).await;
    // Before the old one gets an end: an API key that nobody has seen must not take its place.
    let shown = reveal(&key, &fresh, &args.one.target, context);
    revoke_unless_shown(shown, &home, &key).await?;
    home.access.supersede(&old, &identity, end).await?;
    output::print_note(&format!("{} expires at {}", record.hint, instant(end)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use ipgeo_contract::{Site, site_is_allowed};
    use jiff::Timestamp;

    use super::*;
    use crate::keys::testing::key_record;

    #[test]
    fn a_new_api_keys_restrictions_are_shown_with_a_call_that_they_allow() {
        // (sites, networks, restrictions shown, the end of the call)
        type Row<'a> = (&'a [&'a str], &'a [&'a str], Option<&'a str>, &'a str);
        let record = |sites: &[&str], networks: &[&str]| {
            let limit = "100/day".parse().expect("a limit");
            let mut record = KeyRecord::new("ipg_…x3Kq", "acme", "startup", limit, Timestamp::UNIX_EPOCH);
            record.sites = sites.iter().map(|site| site.parse().expect("a site")).collect();
            record.networks = networks.iter().map(|network| network.parse().expect("a network")).collect();
            record
        };
        let call = "try: curl -H 'x-api-key: <the API key>'";
        let table: [Row<'_>; 4] = [
            (&[], &[], None, " https://x/8.8.8.8"),
            (
                &["shop.example", "b.example"],
                &[],
                Some("sites: shop.example, b.example"),
                " -H 'Referer: https://shop.example/' https://x/8.8.8.8",
            ),
            (
                &["*.shop.example"],
                &[],
                Some("sites: *.shop.example"),
                " -H 'Referer: https://www.shop.example/' https://x/8.8.8.8",
            ),
            (
                &[],
                &["203.0.113.0/24", "2001:db8::/32"],
                Some("networks: 203.0.113.0/24, 2001:db8::/32"),
                " https://x/8.8.8.8 (works only from 203.0.113.0/24, 2001:db8::/32)",
            ),
        ];
        for (sites, networks, shown, rest) in table {
            let record = record(sites, networks);
            assert_eq!(restrictions(&record).as_deref(), shown);
            let example = example_call(&record, "https://x");
            assert_eq!(example, format!("{call}{rest}"));
            let referer = example.split_once("Referer: ").and_then(|(_, rest)| rest.split_once('\''));
            let site = referer.and_then(|(referer, _)| Site::from_referer(referer));
            assert!(site_is_allowed(&record.sites, site.as_ref()), "{example}");
        }
        let mut record = record(&["a.example"], &[]);
        record.expires = Some("2027-02-22T12:00:00Z".parse().expect("a timestamp"));
        record.explain = true;
        assert_eq!(
            restrictions(&record).as_deref(),
            Some("sites: a.example; expires: 2027-02-22T12:00:00Z; `?explain=1`: allowed")
        );
    }

    #[test]
    fn limit_and_rate_are_written_as_in_the_list() {
        let record = KeyRecord { owner: "acme".into(), tier: "startup".into(), ..key_record("20/day") };
        let with = |rate: Option<&str>| {
            let rate = rate.map(|rate| rate.parse().expect("a rate"));
            summary(&KeyRecord { hint: "ipg_…x3Kq".into(), rate, ..record.clone() })
        };
        assert_eq!(with(None), "ipg_…x3Kq for acme: startup, 20/day");
        assert_eq!(with(Some("1200/min:20")), "ipg_…x3Kq for acme: startup, 20/day 1,200/min, burst 20");
    }
}
