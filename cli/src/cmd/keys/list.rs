//! `ipgeo keys list` and `show`.

use clap::Args;
use ipgeo_contract::Month;
use jiff::Timestamp;

use super::{KeyRow, OneArgs, find, print_one};
use crate::cli::Shared;
use crate::cmd::Target;
use crate::config::Config;
use crate::keys::{KeyFilter, KeyStore as _};
use crate::output::{self, Column, Format, UsageError, grouped};

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

const COLUMNS: [Column; 7] = [
    Column::text("API key"),
    Column::text("owner"),
    Column::text("tier"),
    Column::text("limit"),
    Column::number("used"),
    Column::text("status"),
    Column::text("expires"),
];

pub(super) async fn list(
    args: ListArgs,
    config: &Config,
    shared: &Shared,
    now: Timestamp,
) -> anyhow::Result<()> {
    let all = args.target.home(shared, config).await?.list().await?;
    let filter = KeyFilter { owner: args.owner, tier: args.tier };
    let mut keys = filter.apply(all, &config.tiers).map_err(|error| UsageError(error.to_string()))?;
    keys.found.sort_by(|(a_id, a), (b_id, b)| (&a.owner, a.created, a_id).cmp(&(&b.owner, b.created, b_id)));
    let rows: Vec<KeyRow> =
        keys.found.iter().map(|(identity, record)| KeyRow::new(identity, record, now)).collect();
    if let Some(told) = keys.nothing() {
        output::say(&told);
        if shared.format() == Format::Table {
            return Ok(());
        }
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

pub(super) async fn show(
    args: OneArgs,
    config: &Config,
    shared: &Shared,
    now: Timestamp,
) -> anyhow::Result<()> {
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
