//! `ipgeo keys`.

mod change;
mod create;
mod list;
mod transfer;
mod verify;

use std::io::Read as _;

use anyhow::Context;
use clap::{Args, Subcommand};
use ipgeo_contract::{ApiKey, Identity, KeyRecord, Period, Status, foreign_key_hash};
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
use crate::keys::{KeyStore as _, choose};
use crate::output::{self, Format, grouped, instant};

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
        return Ok(choose(text, &keys)?.clone());
    }
    let identity = identity_from_stdin()?;
    keys.into_iter().find(|(known, _)| *known == identity).context("this API key is not known")
}

/// The API key on standard input, in whatever form.
fn identity_from_stdin() -> anyhow::Result<Identity> {
    let mut text = String::new();
    std::io::stdin().take(1_000).read_to_string(&mut text).context("read the API key from standard input")?;
    let text = text.trim();
    let hash = text.parse::<ApiKey>().map(|key| key.hash()).ok().or_else(|| foreign_key_hash(text));
    Ok(Identity::key(&hash.context("what came on standard input is no API key")?))
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
