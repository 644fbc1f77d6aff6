//! Counting progress of a shard: one row of the ledger, written with every batch and read before the next.

use std::collections::BTreeMap;

#[cfg(feature = "operator")]
use ipgeo_contract::ledger_attr;
use ipgeo_contract::{Gap, RegionName};
use jiff::Timestamp;

use super::ledger_key;
use crate::store::{Newest, ShardNote, StoreError};
use crate::tables::calls::{Calls, Change};
use crate::tables::ledger::LedgerTable;
use crate::tables::value::{Item, Value, number, string};

/// Partition key. The sort key is the shard.
pub(crate) const ID: &str = "newest";
/// String: padded sequence number of the last record counted.
const SEQUENCE: &str = "seq";
/// String: fingerprints of the log lines counted last, newest last.
const FINGERPRINTS: &str = "lines";
/// Prefix of the attribute with the time of a region's newest counted usage event, Unix milliseconds.
const NEWEST_PREFIX: &str = "t#";

/// Maximum regions in one row: there are fewer, and a write with thousands would be rejected.
const REGIONS_MAX: usize = 50;

fn newest_attr(region: &str) -> String {
    format!("{NEWEST_PREFIX}{region}")
}

/// When a region's newest usage event was counted, Unix milliseconds.
fn counted_attr(region: &str) -> String {
    format!("c#{region}")
}

/// A gap of the shard, by its number: the text of a [`Gap`].
fn gap_attr(number: u32) -> String {
    format!("g#{number}")
}

/// How far one region is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionNewest {
    /// Its newest counted usage event.
    pub event: Timestamp,
    /// When that was counted.
    pub counted: Timestamp,
}

/// How far one shard is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardNewest {
    /// The shard's id in the stream.
    pub shard: String,
    /// Padded sequence number of the last record counted.
    pub sequence: String,
    /// By region.
    pub regions: BTreeMap<RegionName, RegionNewest>,
}

impl<C: Calls> LedgerTable<C> {
    pub(crate) async fn put_newest(&self, newest: &Newest, counted: Timestamp) -> Result<(), StoreError> {
        let mut set = vec!["#seq = :seq".to_owned(), "#lines = :lines".to_owned()];
        let mut change = Change::new(ledger_key(ID, &newest.shard), "")
            .when("attribute_not_exists(#seq) OR #seq < :seq")
            .name("#seq", SEQUENCE)
            .name("#lines", FINGERPRINTS)
            .value(":seq", string(&newest.sequence))
            .value(":lines", string(&newest.fingerprints))
            .value(":counted", number(counted.as_millisecond()));
        for (index, (region, time)) in newest.regions.iter().take(REGIONS_MAX).enumerate() {
            set.push(format!("#t{index} = :t{index}, #c{index} = :counted"));
            change = change
                .name(format!("#t{index}"), newest_attr(region))
                .name(format!("#c{index}"), counted_attr(region))
                .value(format!(":t{index}"), number(time.as_millisecond()));
        }
        change.update_expression = format!("SET {}", set.join(", "));
        // A redelivered batch finds that a later one was noted.
        self.is_applied(change).await.map(drop)
    }

    pub(crate) async fn read_shard_note(&self, shard: &str) -> Result<Option<ShardNote>, StoreError> {
        Ok(self.get(ledger_key(ID, shard)).await?.as_ref().map(shard_note))
    }

    pub(crate) async fn put_gap(&self, shard: &str, number: u32, gap: &Gap) -> Result<bool, StoreError> {
        let change = Change::new(ledger_key(ID, shard), "SET #gap = :gap")
            .when("attribute_not_exists(#gap) OR #gap = :gap")
            .name("#gap", gap_attr(number))
            .value(":gap", string(gap.to_text()));
        self.is_applied(change).await
    }
}

fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name).and_then(Value::text)
}

/// A region's newest event and when it was counted; `None` if either is unreadable.
fn region_newest(item: &Item, region: &str) -> Option<RegionNewest> {
    let millis = |name: String| {
        let ms = item.get(&name).and_then(Value::digits)?.parse().ok()?;
        Timestamp::from_millisecond(ms).ok()
    };
    Some(RegionNewest { event: millis(newest_attr(region))?, counted: millis(counted_attr(region))? })
}

fn regions(item: &Item) -> impl Iterator<Item = &str> {
    item.keys().filter_map(|name| name.strip_prefix(NEWEST_PREFIX))
}

/// Parses a row for the counter; unreadable attributes are ignored.
fn shard_note(item: &Item) -> ShardNote {
    // A clock that was ahead must not hide a pause in counting.
    let counted_until = |newest: RegionNewest| newest.event.min(newest.counted);
    ShardNote {
        sequence: text(item, SEQUENCE).unwrap_or_default().to_owned(),
        newest: regions(item).filter_map(|region| region_newest(item, region)).map(counted_until).max(),
        fingerprints: text(item, FINGERPRINTS).unwrap_or_default().to_owned(),
        gaps: (1..).map_while(|number| Gap::parse(text(item, &gap_attr(number))?)).collect(),
    }
}

/// Parses a row for reports; `None` if anything in it is unreadable, because a report works without it.
#[cfg(feature = "operator")]
pub(crate) fn shard_newest(item: &Item) -> Option<ShardNewest> {
    let newest = |region| Some((RegionName::new(region), region_newest(item, region)?));
    Some(ShardNewest {
        shard: text(item, ledger_attr::MONTH)?.to_owned(),
        sequence: text(item, SEQUENCE)?.to_owned(),
        regions: regions(item).map(newest).collect::<Option<_>>()?,
    })
}
