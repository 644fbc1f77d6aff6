//! `ipgeo keys list` and `show`.

use std::collections::{BTreeMap, HashMap};

use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _};
use ipgeo_contract::{Identity, KeyRecord, Month};
use ipgeo_runtime::dynamo::LedgerItem;
use ipgeo_runtime::store::StoreError;
use jiff::Timestamp;
use serde::Serialize;

use super::row::{KeyRow, lines_of};
use crate::args::Shared;
use crate::aws::Home;
use crate::cmd::support::{OneArgs, Target, all_keys, find_key};
use crate::config::Config;
use crate::keys::KeyFilter;
use crate::ui::output::{self, Column, Format, UsageError, grouped};
use crate::ui::progress::timed;

/// Flags of `ipgeo keys list`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  ipgeo keys list --dev
  ipgeo keys list --owner acme --json")]
pub(crate) struct ListArgs {
    /// Only API keys of this owner
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Only API keys of this tier
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// API keys per call to the ledger, and parallel calls.
const ITEMS_A_CALL: usize = 100;
const CALLS_AT_ONCE: usize = 8;

const COLUMNS: [Column; 8] = [
    Column::text("API key"),
    Column::text("owner"),
    Column::text("tier"),
    Column::text("limit"),
    Column::number("used"),
    Column::text("last used"),
    Column::text("status"),
    Column::text("expires"),
];

pub(super) async fn list(
    args: ListArgs,
    config: &Config,
    shared: &Shared,
    now: Timestamp,
) -> anyhow::Result<()> {
    let home = args.target.home(shared, config).await?;
    let filter = KeyFilter { owner: args.owner, tier: args.tier };
    let mut keys = filter
        .apply(&all_keys(&home).await?, &config.tiers)
        .map_err(|error| UsageError(error.to_string()))?;
    keys.found.sort_by(|(a_id, a), (b_id, b)| (&a.owner, a.created, a_id).cmp(&(&b.owner, b.created, b_id)));
    let wanted = keys.found.iter().map(|(identity, _)| identity.clone()).collect();
    let items = timed("reading usage", newest_items(&home, wanted, now)).await?;
    let row = |(identity, record): &(Identity, KeyRecord)| {
        KeyRow::new(identity, record, items.get(identity), &config.tiers, now)
    };
    let rows: Vec<KeyRow> = keys.found.iter().map(row).collect();
    if let Some(message) = keys.empty_reason() {
        output::print_note(&message);
        if shared.format() == Format::Table {
            return Ok(());
        }
    }
    let text = output::format_rows(shared.format(), &COLUMNS, &rows, |row| {
        vec![
            row.hint.clone(),
            row.owner.clone(),
            row.tier.clone(),
            [Some(row.limit.as_str()), row.rate.as_deref()]
                .map(Option::unwrap_or_default)
                .join(" ")
                .trim_end()
                .to_owned(),
            grouped(row.used),
            row.last_used.clone().unwrap_or_default(),
            row.status.clone(),
            row.expires.clone().unwrap_or_else(|| "never".to_owned()),
        ]
    })?;
    Ok(output::print_data(&text)?)
}

/// Each API key's item of this month, or of the previous month if it was not used in this one. 10,000 API keys take
/// 100 calls and 5,000 read units for each month that is read.
async fn newest_items(
    home: &Home,
    mut wanted: Vec<Identity>,
    now: Timestamp,
) -> Result<HashMap<Identity, LedgerItem>, StoreError> {
    let this = Month::from_time(now);
    let before = this.first().yesterday().map_or(this, Month::from_date);
    let mut found: HashMap<Identity, LedgerItem> = HashMap::new();
    for month in [this, before] {
        wanted.retain(|identity| found.get(identity).is_none_or(|item| item.days.is_empty()));
        let chunks = wanted.chunks(ITEMS_A_CALL).map(<[Identity]>::to_vec);
        let reads = futures_util::stream::iter(chunks)
            .map(|chunk| async move { home.ledger.items(&chunk, month).await })
            .buffer_unordered(CALLS_AT_ONCE);
        let pages: Vec<Vec<LedgerItem>> = reads.try_collect().await?;
        for item in pages.into_iter().flatten() {
            found.insert(item.identity.clone(), item);
        }
    }
    Ok(found)
}

/// An API key with its exact usage of this month.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    row: KeyRow,
    month: String,
    counted: u64,
    by_day: BTreeMap<String, u64>,
    by_region: BTreeMap<String, u64>,
    by_verdict: BTreeMap<String, u64>,
}

pub(super) async fn show(
    args: OneArgs,
    config: &Config,
    shared: &Shared,
    now: Timestamp,
) -> anyhow::Result<()> {
    let home = args.target.home(shared, config).await?;
    let (identity, record) = find_key(&args.key, &home).await?;
    let month = Month::from_time(now);
    let item = home.ledger.item(&identity, month).await?;
    let row = KeyRow::new(&identity, &record, item.as_ref(), &config.tiers, now);
    let counted = item.is_some();
    let item = item.unwrap_or_else(|| LedgerItem::empty(identity, month));
    let shown = Shown {
        row,
        month: month.to_string(),
        counted: item.charged,
        by_day: item.days.into_iter().map(|(day, n)| (format!("{month}-{day:02}"), n)).collect(),
        by_region: item.regions,
        by_verdict: item.verdicts.into_iter().map(|(verdict, n)| (verdict.to_string(), n)).collect(),
    };
    let listed = |counts: &BTreeMap<String, u64>| {
        counts.iter().map(|(name, n)| format!("{name} {}", grouped(*n))).collect::<Vec<_>>().join(", ")
    };
    let more = [
        ("counted", format!("{} in {} (exact)", grouped(shown.counted), shown.month)),
        ("by day", listed(&shown.by_day)),
        ("by region", listed(&shown.by_region)),
        ("by verdict", listed(&shown.by_verdict)),
    ];
    let more = if counted { more.as_slice() } else { &[] };
    Ok(output::print_data(&output::format_value(shared.format(), &shown, || lines_of(&shown.row, more))?)?)
}
