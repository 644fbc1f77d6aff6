//! `ipgeo keys list` and `show`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use clap::{Args, ValueEnum};
use futures_util::{StreamExt as _, TryStreamExt as _};
use ipgeo_contract::{Identity, KeyRecord, Month};
use ipgeo_runtime::dynamo::LedgerItem;
use ipgeo_runtime::store::StoreError;
use jiff::Timestamp;
use serde::Serialize;

use super::KeysContext;
use super::row::{KeyRow, lines_of};
use crate::aws::Home;
use crate::cmd::support::numbers::rows;
use crate::cmd::support::{OneArgs, Target, all_keys, find_key};
use crate::keys::KeyFilter;
use crate::ui::format::{counted, grouped_limit};
use crate::ui::output::{self, Column, ColumnOf, Format, UsageError, grouped};
use crate::ui::progress::timed;

#[derive(Debug, Args)]
#[command(after_long_help = "\
`used` is exact: it is read from the ledger, half a read unit for each API key and month. All records are \
read, but usage only for the API keys shown; sorting by `used` or `last-used` reads the usage of all. \
100,000 API keys take up to 2,000 calls and 100,000 read units, about $0.01. With `--limit 50`, 2 calls are \
enough.

Examples:
  ipgeo keys list --dev
  ipgeo keys list --owner acme --json
  ipgeo keys list --sort used --limit 20")]
pub(crate) struct ListArgs {
    /// Only API keys of this owner
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Only API keys of this tier
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,
    /// Order of the rows
    #[arg(long, value_enum, default_value_t, value_name = "ORDER")]
    sort: KeyOrder,
    /// Show only the first N API keys
    #[arg(short = 'n', long, value_name = "N", value_parser = rows)]
    limit: Option<u32>,
    #[command(flatten)]
    target: Target,
}

/// The order of `ipgeo keys list`; API keys that are equal in it are in the order of `Owner`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum KeyOrder {
    /// By owner, then oldest first
    #[default]
    Owner,
    /// Newest first
    Created,
    /// Earliest expiry first
    Expires,
    /// Most calls in the period first
    Used,
    /// Latest call first
    LastUsed,
}

impl KeyOrder {
    /// Whether it needs everyone's usage.
    fn is_of_usage(self) -> bool {
        matches!(self, Self::Used | Self::LastUsed)
    }

    /// The header of the column it sorts by.
    fn header(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Created => "created",
            Self::Expires => "expires",
            Self::Used => "used",
            Self::LastUsed => "last used",
        }
    }

    /// Sorts by what the records have.
    fn sort_records(self, keys: &mut [(Identity, KeyRecord)]) {
        keys.sort_by(|(a_id, a), (b_id, b)| (&a.owner, a.created, a_id).cmp(&(&b.owner, b.created, b_id)));
        match self {
            Self::Created => keys.sort_by_key(|(_, record)| Reverse(record.created)),
            // Those that never expire are last.
            Self::Expires => keys.sort_by_key(|(_, record)| (record.expires.is_none(), record.expires)),
            Self::Owner | Self::Used | Self::LastUsed => {}
        }
    }

    /// Sorts by what the ledger has.
    fn sort_rows(self, rows: &mut [KeyRow]) {
        match self {
            Self::Used => rows.sort_by_key(|row| Reverse(row.used)),
            // Dates in ISO 8601 sort as text; those that were never used are last.
            Self::LastUsed => rows.sort_by(|a, b| b.last_used.cmp(&a.last_used)),
            Self::Owner | Self::Created | Self::Expires => {}
        }
    }
}

/// API keys per call to the ledger, and parallel calls.
const ITEMS_A_CALL: usize = 100;
const CALLS_AT_ONCE: usize = 8;
/// From this many reads of usage on, their number is stated: half a read unit each.
const READS_STATED: u64 = 2_000;

const COLUMNS: [ColumnOf<KeyRow>; 11] = [
    (Column::text("API key"), |row| row.hint.clone()),
    (Column::free_text("owner"), |row| row.owner.clone()),
    (Column::text("tier").rank(3), |row| row.tier.clone()),
    (Column::text("limit"), |row| {
        grouped_limit(&[row.limit.as_str(), row.rate.as_deref().unwrap_or_default()].join(" "))
    }),
    (Column::number("used"), |row| grouped(row.used)),
    (Column::text("last used").rank(2), |row| row.last_used.clone().unwrap_or_default()),
    (Column::state("status").rank(1), |row| row.status.clone()),
    (Column::text("expires").rank(4), |row| row.expires.clone().unwrap_or_else(|| "never".to_owned())),
    (Column::text("created").extra(), |row| row.created.clone()),
    (Column::free_text("sites").extra(), |row| row.sites.clone()),
    (Column::free_text("networks").extra(), |row| row.networks.clone()),
];

pub(super) async fn list(args: ListArgs, context: KeysContext<'_>) -> anyhow::Result<()> {
    let KeysContext { config, shared, now } = context;
    let home = args.target.home(shared, config).await?;
    let filter = KeyFilter { owner: args.owner, tier: args.tier };
    let mut keys = filter
        .apply(&all_keys(&home).await?, &config.tiers)
        .map_err(|error| UsageError(error.to_string()))?;
    let all = keys.found.len();
    let most = args.limit.and_then(|most| usize::try_from(most).ok()).unwrap_or(all);
    args.sort.sort_records(&mut keys.found);
    if !args.sort.is_of_usage() {
        keys.found.truncate(most);
    }
    let wanted = keys.found.iter().map(|(identity, _)| identity.clone()).collect();
    let (items, reads) = timed("reading usage", newest_items(&home, wanted, now)).await?;
    let row = |(identity, record): &(Identity, KeyRecord)| {
        KeyRow::new(identity, record, items.get(identity), &config.tiers, now)
    };
    let mut rows: Vec<KeyRow> = keys.found.iter().map(row).collect();
    args.sort.sort_rows(&mut rows);
    rows.truncate(most);
    if let Some(message) = keys.empty_reason() {
        output::print_note(&message);
        if shared.format() == Format::Table {
            return Ok(());
        }
    }
    output::print_rows(shared.format(), &columns(args.sort), &rows)?;
    if rows.len() < all {
        output::print_note(&format!("{} of {}", grouped(rows.len() as u64), counted(all, "API key")));
    }
    if reads >= READS_STATED {
        output::print_note(&format!(
            "{} read units for usage; --limit reads less, except with --sort used or last-used",
            grouped(reads.div_ceil(2))
        ));
    }
    Ok(())
}

/// The columns, with the one that rows are sorted by even on a narrow screen.
fn columns(sort: KeyOrder) -> [ColumnOf<KeyRow>; 11] {
    COLUMNS
        .map(|(column, cell)| (if column.header() == sort.header() { column.kept() } else { column }, cell))
}

/// Each API key's item of this month, or of the previous month if it was not used in this one. 10,000 API keys take
/// 100 calls and 5,000 read units for each month that is read. Returns the number of items that were read, too.
async fn newest_items(
    home: &Home,
    mut wanted: Vec<Identity>,
    now: Timestamp,
) -> Result<(HashMap<Identity, LedgerItem>, u64), StoreError> {
    let mut reads = 0;
    let this = Month::from_time(now);
    let before = this.first().yesterday().map_or(this, Month::from_date);
    let mut found: HashMap<Identity, LedgerItem> = HashMap::new();
    for month in [this, before] {
        wanted.retain(|identity| found.get(identity).is_none_or(|item| item.days.is_empty()));
        reads += wanted.len() as u64;
        let chunks = wanted.chunks(ITEMS_A_CALL).map(<[Identity]>::to_vec);
        let reads = futures_util::stream::iter(chunks)
            .map(|chunk| async move { home.ledger.items(&chunk, month).await })
            .buffer_unordered(CALLS_AT_ONCE);
        let mut pages = std::pin::pin!(reads);
        while let Some(items) = pages.try_next().await? {
            for item in items {
                // A row needs the days only: the rest is most of an item.
                let (identity, days) = (item.identity.clone(), item.days);
                let charged = item.charged;
                found.insert(
                    identity,
                    LedgerItem { charged, days, ..LedgerItem::empty(item.identity, month) },
                );
            }
        }
    }
    Ok((found, reads))
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

pub(super) async fn show(args: OneArgs, context: KeysContext<'_>) -> anyhow::Result<()> {
    let KeysContext { config, shared, now } = context;
    let home = args.target.home(shared, config).await?;
    let (identity, record) = find_key(&args.key, &home).await?;
    let month = Month::from_time(now);
    let item = home.ledger.item(&identity, month).await?;
    let row = KeyRow::new(&identity, &record, item.as_ref(), &config.tiers, now);
    let is_counted = item.is_some();
    let item = item.unwrap_or_else(|| LedgerItem::empty(identity, month));
    let shown = Shown {
        row,
        month: month.to_string(),
        counted: item.charged,
        by_day: item.days.into_iter().map(|(day, n)| (format!("{month}-{day:02}"), n)).collect(),
        by_region: item.regions,
        by_verdict: item.verdicts.into_iter().map(|(verdict, n)| (verdict.to_string(), n)).collect(),
    };
    let text = output::format_value(shared.format(), &shown, || text_of(&shown, is_counted))?;
    Ok(output::print_data(&text)?)
}

/// An API key's settings, and below them its calls of this month if there are any.
fn text_of(shown: &Shown, is_counted: bool) -> String {
    let facts = lines_of(&shown.row);
    if !is_counted {
        return facts;
    }
    let parts = [
        ("day", "calls", &shown.by_day),
        ("region", "calls", &shown.by_region),
        ("verdict", "requests", &shown.by_verdict),
    ];
    let tables: Vec<String> = parts
        .into_iter()
        .map(|(part, number, counts)| {
            let columns = [
                if part == "verdict" { Column::state(part) } else { Column::text(part) },
                Column::number(number),
            ];
            let rows: Vec<(&String, &u64)> = counts.iter().collect();
            output::format_table(&columns, &rows, |(name, count)| vec![(*name).clone(), grouped(**count)])
        })
        .collect();
    let total = format!("{} in {} (exact)", counted(shown.counted, "call"), shown.month);
    format!("{facts}\n\n{}\n{total}", output::format_beside(&tables))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::testing::key_record;

    fn row(owner: &str, status: &str) -> KeyRow {
        KeyRow {
            hint: "ipg_…x3Kq".to_owned(),
            owner: owner.to_owned(),
            tier: "startup".to_owned(),
            limit: "100000/month".to_owned(),
            rate: Some("600/min".to_owned()),
            used: 98_765,
            period: "2026-11".to_owned(),
            last_used: Some("2026-11-24".to_owned()),
            status: status.to_owned(),
            expires: Some("2027-01-01T00:00:00Z".to_owned()),
            created: "2026-01-01T00:00:00Z".to_owned(),
            hash: "4f6e2c1b9a".repeat(6) + "0123",
            ..KeyRow::default()
        }
    }

    #[test]
    fn a_list_fits_its_terminal() {
        let rows = [
            row("acme", "active"),
            row("Vereinigte Stadtwerke Beispielstadt GmbH & Co. KG", "disabled"),
            KeyRow { sites: "shop.example".to_owned(), ..row("日本語株式会社", "revoked") },
            KeyRow { rate: None, expires: None, ..row("Zoé 🦀", "expired") },
        ];
        output::assert_tables("keys list", || {
            let tables = KeyOrder::value_variants().iter().map(|order| {
                let text = output::format_rows(Format::Table, &columns(*order), &rows).expect("a table");
                assert!(text.lines().next().is_some_and(|line| line.contains(order.header())), "{text}");
                format!("{order:?}:\n{text}")
            });
            tables.collect::<Vec<_>>().join("\n\n")
        });
    }

    #[test]
    fn an_api_key_is_shown_with_tables_of_its_calls() {
        let days = (1..=24).map(|day| (format!("2026-11-{day:02}"), day * 1_234));
        let shown = Shown {
            row: KeyRow {
                networks: "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32".to_owned(),
                ..row("acme", "active")
            },
            month: "2026-11".to_owned(),
            counted: 370_200,
            by_day: days.collect(),
            by_region: [("ap-southeast-1", 200_000), ("eu-central-1", 170_200)]
                .map(|(name, n)| (name.to_owned(), n))
                .into(),
            by_verdict: [("allowed", 370_200), ("over_quota", 31)]
                .map(|(name, n)| (name.to_owned(), n))
                .into(),
        };
        output::assert_screens("keys show", 76, || text_of(&shown, true));
        assert_eq!(text_of(&shown, false), lines_of(&shown.row));
    }

    #[test]
    fn each_order_is_of_records_or_of_usage() {
        let at = |second: i64| Timestamp::from_second(second).expect("a time");
        let key = |seed: u8, owner: &str, created, expires: Option<i64>| {
            let identity = format!("key#{}", hex::encode([seed; 32])).parse().expect("an identity");
            let expires = expires.map(at);
            (
                identity,
                KeyRecord { owner: owner.into(), created: at(created), expires, ..key_record("5/day") },
            )
        };
        let keys = [key(1, "b", 10, None), key(2, "a", 30, Some(90)), key(3, "a", 20, Some(80))];
        let used = HashMap::from([("b", (5, Some("2026-11-02"))), ("a", (7, None))]);
        for (order, expected) in [
            (KeyOrder::Owner, [3, 2, 1]),
            (KeyOrder::Created, [2, 3, 1]),
            (KeyOrder::Expires, [3, 2, 1]),
            (KeyOrder::Used, [3, 2, 1]),
            (KeyOrder::LastUsed, [1, 3, 2]),
        ] {
            let mut keys = keys.to_vec();
            order.sort_records(&mut keys);
            let row = |(identity, record): &(Identity, KeyRecord)| {
                let (used, last_used) = used[record.owner.as_str()];
                let last_used = last_used.map(str::to_owned);
                KeyRow { hash: identity.name().to_owned(), used, last_used, ..KeyRow::default() }
            };
            let mut rows: Vec<KeyRow> = keys.iter().map(row).collect();
            order.sort_rows(&mut rows);
            let found: Vec<String> = rows.into_iter().map(|row| row.hash).collect();
            assert_eq!(found, expected.map(|seed: u8| hex::encode([seed; 32])), "{order:?}");
        }
    }
}
