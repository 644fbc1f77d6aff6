//! `ipgeo keys`.

mod change;
mod create;
mod list;
mod transfer;
mod verify;

use std::io::Read as _;

use anyhow::Context;
use clap::{Args, Subcommand};
use ipgeo_contract::{ApiKey, Identity, KeyRecord, Month, Period, Status, foreign_key_hash};
use ipgeo_runtime::dynamo::LedgerItem;
use jiff::Timestamp;
use serde::Serialize;

pub use change::{RevokeArgs, UpdateArgs};
pub use create::{CreateArgs, RotateArgs};
pub use list::ListArgs;
pub use transfer::{ExportArgs, ImportArgs};
pub use verify::VerifyArgs;

use super::{Target, load_config};
use crate::aws::Home;
use crate::cli::Shared;
use crate::keys::{ChooseError, KeyStore as _, choose};
use crate::ui::output::{self, UsageError, grouped, instant};

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
    /// Where an API key is known, and how long a change takes to get there
    Verify(VerifyArgs),
    /// Store API keys from a CSV file
    Import(ImportArgs),
    /// Write every API key's record, as `import` reads it; never an API key itself
    Export(ExportArgs),
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

/// An API key's row: everything about it but itself.
#[derive(Debug, Default, Serialize)]
struct KeyRow {
    hint: String,
    owner: String,
    tier: String,
    limit: String,
    /// Exact number of calls charged in the period.
    used: u64,
    period: String,
    /// The day of its newest counted call in this or the previous month; older months are not read.
    last_used: Option<String>,
    /// The charged calls that were published to the edges.
    published: u64,
    status: String,
    expires: Option<String>,
    sites: String,
    networks: String,
    created: String,
    hash: String,
}

fn joined<T: ToString>(list: &[T]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

impl KeyRow {
    /// The row of a record and its newest ledger item.
    fn new(identity: &Identity, record: &KeyRecord, item: Option<&LedgerItem>, now: Timestamp) -> Self {
        let period = Period::new(record.limit.window, now);
        let last_used =
            item.and_then(|item| Some(format!("{}-{:02}", item.month, item.days.last_key_value()?.0)));
        let published = record.published.filter(|published| published.period == period);
        let expired = record.expires.is_some_and(|expires| expires <= now);
        let status =
            if expired && record.status == Status::Active { "expired" } else { record.status.as_str() };
        Self {
            hint: record.hint.clone(),
            owner: record.owner.clone(),
            tier: record.tier.clone(),
            limit: record.limit.to_string(),
            used: item.map_or(0, |item| used_in(item, period)),
            period: period.to_string(),
            last_used,
            published: published.map_or(0, |published| published.used),
            status: status.to_owned(),
            expires: record.expires.map(instant),
            sites: joined(&record.sites),
            networks: joined(&record.networks),
            created: instant(record.created),
            hash: identity.name().to_owned(),
        }
    }
}

/// Calls charged in a period, by this item.
pub(super) fn used_in(item: &LedgerItem, period: Period) -> u64 {
    match period {
        Period::Month(month) if month == item.month => item.charged,
        Period::Day(day) if Month::from_date(day) == item.month => {
            item.days.get(&day.day()).copied().unwrap_or(0)
        }
        Period::Month(_) | Period::Day(_) => 0,
    }
}

/// Runs a verb.
pub(crate) async fn run(verb: KeysVerb, shared: &Shared) -> anyhow::Result<()> {
    let (config, _) = load_config(shared)?;
    let now = Timestamp::now();
    match verb {
        KeysVerb::Create(args) => create::create(args, &config, shared, now).await,
        KeysVerb::List(args) => list::list(args, &config, shared, now).await,
        KeysVerb::Show(args) => list::show(args, &config, shared, now).await,
        KeysVerb::Update(args) => change::update(args, &config, shared, now).await,
        KeysVerb::Rotate(args) => create::rotate(args, &config, shared, now).await,
        KeysVerb::Disable(args) => change::set_status(args, Status::Disabled, &config, shared, now).await,
        KeysVerb::Enable(args) => change::set_status(args, Status::Active, &config, shared, now).await,
        KeysVerb::Revoke(args) => change::revoke(args, &config, shared, now).await,
        KeysVerb::Verify(args) => verify::verify(args, &config, shared, now).await,
        KeysVerb::Import(args) => transfer::import(args, &config, shared, now).await,
        KeysVerb::Export(args) => transfer::export(args, &config, shared).await,
    }
}

/// The API key that a text names; `-` reads the API key itself from standard input.
pub(super) async fn find(text: &str, home: &Home) -> anyhow::Result<(Identity, KeyRecord)> {
    let keys = home.list().await?;
    if text != "-" {
        return Ok(choose(text, &keys).map_err(wrong_name)?.clone());
    }
    let identity = identity_from_stdin()?;
    keys.into_iter().find(|(known, _)| *known == identity).context("this API key is not known")
}

/// An ambiguous name is wrong usage; a name that matches no API key is an ordinary error.
fn wrong_name(error: ChooseError) -> anyhow::Error {
    match error {
        ChooseError::None(_) => error.into(),
        ChooseError::Secret | ChooseError::Several { .. } => UsageError::of(error).into(),
    }
}

/// The API key on standard input, in whatever form.
fn identity_from_stdin() -> anyhow::Result<Identity> {
    let mut text = String::new();
    std::io::stdin().take(1_000).read_to_string(&mut text).context("read the API key from standard input")?;
    let text = text.trim();
    let hash = text.parse::<ApiKey>().map(|key| key.hash()).ok().or_else(|| foreign_key_hash(text));
    Ok(Identity::key(&hash.context("what came on standard input is no API key")?))
}

/// Prints a changed API key with its exact usage.
async fn print_changed(
    home: &Home,
    identity: &Identity,
    record: &KeyRecord,
    shared: &Shared,
    now: Timestamp,
) -> anyhow::Result<()> {
    let item = home.ledger.item(identity, Month::from_time(now)).await?;
    let row = KeyRow::new(identity, record, item.as_ref(), now);
    Ok(output::data(&output::one(shared.format(), &row, || lines_of(&row, &[]))?)?)
}

/// An API key for people.
fn lines_of(row: &KeyRow, more: &[(&str, String)]) -> String {
    let any = |text: &str| if text.is_empty() { "any".to_owned() } else { text.to_owned() };
    let lines = [
        ("API key", row.hint.clone()),
        ("owner", row.owner.clone()),
        ("tier", row.tier.clone()),
        ("limit", row.limit.clone()),
        (
            "used",
            format!(
                "{} in {}; {} published to the edges",
                grouped(row.used),
                row.period,
                grouped(row.published)
            ),
        ),
        ("last used", row.last_used.clone().unwrap_or_else(|| "not in this month".to_owned())),
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
    text.join("\n")
}
