//! One identity's month: the rows of the ledger that count. Names of their attributes are in [`ipgeo_contract::LedgerAttr`].

use std::collections::BTreeMap;

use ipgeo_contract::{Identity, IdentityKind, LedgerAttr, Month, Period, Verdict, ledger_attr as attr};

use super::ledger_key;
use crate::store::{Applied, LedgerUpdate, MonthTotals, StoreError};
use crate::tables::attributes::{ItemError, needed_text};
use crate::tables::calls::{Calls, Change, Updated};
use crate::tables::failed;
use crate::tables::ledger::LedgerTable;
use crate::tables::value::{Item, Value, number, string};

/// Seconds that an address's row is retained after its month's end: until every report of the month is done.
const ADDRESS_RETENTION_S: i64 = 35 * 86_400;

/// Maximum later gaps that a write after a gap checks: the stream retains a day, and gaps are almost a day apart.
const LATER_GAPS_MAX: u32 = 20;

/// The watermark of an item without events: below all sequence numbers.
pub const NOTHING_COUNTED: &str = "0";

/// One identity's month, as the ledger holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerItem {
    /// Who was charged.
    pub identity: Identity,
    /// The month, in UTC.
    pub month: Month,
    /// Calls charged in the month.
    pub charged: u64,
    /// Calls charged, by day of the month.
    pub days: BTreeMap<i8, u64>,
    /// Calls charged, by region.
    pub regions: BTreeMap<String, u64>,
    /// Requests, by verdict.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// The last sequence number counted, by shard.
    pub watermarks: BTreeMap<String, String>,
    /// The watermarks saved before gaps, by shard and gap number.
    pub before_gaps: BTreeMap<(String, u32), String>,
}

impl LedgerItem {
    /// An item without events.
    pub fn empty(identity: Identity, month: Month) -> Self {
        Self {
            identity,
            month,
            charged: 0,
            days: BTreeMap::new(),
            regions: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            watermarks: BTreeMap::new(),
            before_gaps: BTreeMap::new(),
        }
    }

    /// The counts by which usage is published.
    pub fn totals(&self) -> MonthTotals {
        MonthTotals { charged: self.charged, days: self.days.clone(), includes_others: true }
    }

    /// Calls charged in a period; 0 if it is not in this month.
    pub fn used_in(&self, period: Period) -> u64 {
        let month = match period {
            Period::Month(month) => month,
            Period::Day(date) => Month::from_date(date),
        };
        if month == self.month { self.totals().used_in(period) } else { 0 }
    }
}

fn key(identity: &Identity, month: Month) -> Item {
    ledger_key(identity.as_str(), month.to_string())
}

/// When DynamoDB may delete an address's item of a month, Unix seconds.
fn address_ttl(month: Month) -> i64 {
    month.end().as_second() + ADDRESS_RETENTION_S
}

/// Parses a row. Unreadable counts are 0; an invalid key is an error.
pub(crate) fn read(item: &Item) -> Result<LedgerItem, ItemError> {
    Ok(read_counts(item, needed_text(item, attr::ID)?, needed_text(item, attr::MONTH)?))
}

/// Parses a stored count. A DynamoDB number may have 38 digits, a sign and a fraction; ours do not, but an unexpected value
/// must not stop reading.
fn count(value: &Value) -> u64 {
    let whole = value.digits().unwrap_or_default().split('.').next().unwrap_or_default();
    let is_number = !whole.is_empty() && whole.bytes().all(|b| b.is_ascii_digit());
    whole.parse().unwrap_or(if is_number { u64::MAX } else { 0 })
}

fn read_counts(item: &Item, identity: Identity, month: Month) -> LedgerItem {
    let charged = item.get(attr::CHARGED).map_or(0, count);
    let mut read = LedgerItem { charged, ..LedgerItem::empty(identity, month) };
    for (name, value) in item {
        match LedgerAttr::parse(name) {
            Some(LedgerAttr::Day(day)) => drop(read.days.insert(day, count(value))),
            Some(LedgerAttr::Region(region)) => drop(read.regions.insert(region, count(value))),
            Some(LedgerAttr::Verdict(verdict)) => drop(read.verdicts.insert(verdict, count(value))),
            Some(LedgerAttr::Watermark(shard)) => {
                if let Some(sequence) = value.text() {
                    read.watermarks.insert(shard, sequence.to_owned());
                }
            }
            Some(LedgerAttr::BeforeGap(gap, shard)) => {
                if let Some(sequence) = value.text() {
                    read.before_gaps.insert((shard, gap), sequence.to_owned());
                }
            }
            None => {}
        }
    }
    read
}

/// The row to store for an item.
#[cfg(feature = "operator")]
pub(crate) fn item_of(item: &LedgerItem) -> Item {
    let text = |name: &str, value: &str| (name.to_owned(), string(value));
    let count = |attr: LedgerAttr, n: u64| (attr.name(), number(n));
    let mut out: Item = Item::from([
        text(attr::ID, item.identity.as_str()),
        text(attr::MONTH, &item.month.to_string()),
        (attr::CHARGED.to_owned(), number(item.charged)),
    ]);
    out.extend(item.days.iter().map(|(day, n)| count(LedgerAttr::Day(*day), *n)));
    out.extend(item.regions.iter().map(|(region, n)| count(LedgerAttr::Region(region.clone()), *n)));
    out.extend(item.verdicts.iter().map(|(verdict, n)| count(LedgerAttr::Verdict(*verdict), *n)));
    let watermarks = item.watermarks.iter();
    out.extend(watermarks.map(|(shard, at)| text(&LedgerAttr::Watermark(shard.clone()).name(), at)));
    out.extend(
        item.before_gaps
            .iter()
            .map(|((shard, gap), at)| text(&LedgerAttr::BeforeGap(*gap, shard.clone()).name(), at)),
    );
    if item.identity.kind() == IdentityKind::Address {
        out.insert(attr::TTL.to_owned(), number(address_ttl(item.month)));
    }
    out
}

fn totals(item: &Item, update: &LedgerUpdate) -> (MonthTotals, Option<String>) {
    let mut read = read_counts(item, update.identity.clone(), update.month);
    let watermark = read.watermarks.remove(&update.shard);
    let is_past = watermark.as_ref().is_some_and(|watermark| *watermark > update.last);
    let includes_others = is_past || !read.watermarks.is_empty();
    (MonthTotals { charged: read.charged, days: read.days, includes_others }, watermark)
}

impl<C: Calls> LedgerTable<C> {
    /// One identity's item of a month; read consistently.
    pub async fn item(&self, identity: &Identity, month: Month) -> Result<Option<LedgerItem>, StoreError> {
        let item = self.get(key(identity, month)).await?;
        item.as_ref().map(read).transpose().map_err(|error| failed(self.read_action(), error))
    }

    /// Counts an update, unless the item is past its first record.
    pub(crate) async fn add(&self, update: &LedgerUpdate) -> Result<Applied, StoreError> {
        match self.update(addition(update)).await? {
            Updated::Done(item) => {
                let (totals, watermark) = totals(&item, update);
                // Without the new item the totals are unknown, and usage that crossed a step would stay unpublished. The
                // batch is redelivered and then reads as "behind".
                if watermark.as_ref() != Some(&update.last) {
                    return Err(failed(self.write_action(), "an applied write did not return the new item"));
                }
                Ok(Applied::Added(totals))
            }
            Updated::Refused(item) => {
                let (totals, watermark) = totals(&item, update);
                let missing = "a refused write did not return the item that refused it";
                let watermark = watermark.ok_or_else(|| failed(self.write_action(), missing))?;
                Ok(Applied::Behind { watermark, totals })
            }
        }
    }
}

/// One `UpdateItem`: `ADD` creates what is missing, and the condition ensures that nothing is counted twice. That also makes
/// the client's retries safe: a write that was applied before it timed out is refused the second time, and reads as "behind"
/// with its own sequence number.
fn addition(update: &LedgerUpdate) -> Change {
    let mut set = vec!["#w = :last".to_owned()];
    let mut change = Change::new(key(&update.identity, update.month), "")
        .when("attribute_not_exists(#w) OR #w < :first")
        .name("#w", LedgerAttr::Watermark(update.shard.clone()).name())
        .value(":first", string(&update.first))
        .value(":last", string(&update.last));
    if let Some((gap, last)) = update.gap {
        // The first write after a gap saves the previous watermark; a new item has counted nothing. A replay
        // may reach a gap after the item was written past a later one: then the watermark saved there applies.
        let last = last.min(gap.saturating_add(LATER_GAPS_MAX));
        let mut saved = "if_not_exists(#w, :nothing)".to_owned();
        for number in (gap..=last).rev() {
            saved = format!("if_not_exists(#g{number}, {saved})");
            let before = LedgerAttr::BeforeGap(number, update.shard.clone());
            change = change.name(format!("#g{number}"), before.name());
        }
        set.push(format!("#g{gap} = {saved}"));
        change = change.value(":nothing", string(NOTHING_COUNTED));
    }
    Change { returns_item: true, ..with_counts(change, set, update) }
}

/// Completes a change: it adds the counts of `update`, sets an address's expiry, and does `set`.
fn with_counts(mut change: Change, mut set: Vec<String>, update: &LedgerUpdate) -> Change {
    let mut counts = vec![(attr::CHARGED.to_owned(), update.charged)];
    counts.extend(update.days.iter().map(|(day, n)| (LedgerAttr::Day(*day).name(), *n)));
    counts.extend(update.regions.iter().map(|(region, n)| (LedgerAttr::Region(region.clone()).name(), *n)));
    counts.extend(update.verdicts.iter().map(|(verdict, n)| (LedgerAttr::Verdict(*verdict).name(), *n)));
    let mut add = Vec::with_capacity(counts.len());
    for (index, (name, n)) in counts.into_iter().enumerate() {
        add.push(format!("#a{index} :a{index}"));
        change = change.name(format!("#a{index}"), name).value(format!(":a{index}"), number(n));
    }
    if update.identity.kind() == IdentityKind::Address && !update.identity.is_pooled() {
        set.push("#ttl = :ttl".to_owned());
        change = change.name("#ttl", attr::TTL).value(":ttl", number(address_ttl(update.month)));
    }
    let set = if set.is_empty() { String::new() } else { format!("SET {} ", set.join(", ")) };
    change.update_expression = format!("{set}ADD {}", add.join(", "));
    change
}

/// What a late addition requires of an item to be exact: the state that it was decided by.
#[cfg(feature = "operator")]
pub(crate) enum Unchanged<'a> {
    /// The watermark saved before this gap.
    BeforeGap(u32, &'a str),
    /// The current watermark, which then moves to the update's last record.
    Watermark(Option<&'a str>),
}

/// Adds events of a record that later batches have passed, if the item is in the state that this was decided by.
#[cfg(feature = "operator")]
pub(crate) fn late_addition(update: &LedgerUpdate, seen: &Unchanged<'_>) -> Change {
    let change = Change::new(key(&update.identity, update.month), "");
    let watermark = || LedgerAttr::Watermark(update.shard.clone()).name();
    let move_watermark = vec!["#w = :last".to_owned()];
    let (change, set) = match seen {
        Unchanged::BeforeGap(gap, before) => {
            let before_gap = LedgerAttr::BeforeGap(*gap, update.shard.clone()).name();
            (change.when("#g = :before").name("#g", before_gap).value(":before", string(*before)), Vec::new())
        }
        Unchanged::Watermark(None) => {
            let change = change.when("attribute_not_exists(#w)").name("#w", watermark());
            (change.value(":last", string(&update.last)), move_watermark)
        }
        Unchanged::Watermark(Some(seen)) => {
            let change = change.when("#w = :seen").name("#w", watermark()).value(":seen", string(*seen));
            (change.value(":last", string(&update.last)), move_watermark)
        }
    };
    with_counts(change, set, update)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_addresss_month_expires_35_days_after_its_end() {
        let expires: jiff::Timestamp = "2027-01-05T00:00:00Z".parse().expect("a timestamp");
        let month = "2026-11".parse().expect("a month");
        for (identity, stored, added) in [
            ("addr#00ff", true, true),
            ("addr#*", true, false),
            ("key#00ff", false, false),
            ("site#a.test", false, false),
        ] {
            let identity: Identity = identity.parse().expect("an identity");
            let ttl = Some(number(expires.as_second()));
            let item = item_of(&LedgerItem::empty(identity.clone(), month));
            assert_eq!(item.get(attr::TTL).cloned(), ttl.clone().filter(|_| stored), "{identity}");
            let update = LedgerUpdate {
                identity: identity.clone(),
                month,
                shard: "s".into(),
                first: "1".into(),
                last: "1".into(),
                charged: 1,
                days: BTreeMap::new(),
                regions: BTreeMap::new(),
                verdicts: BTreeMap::new(),
                gap: None,
            };
            let values = addition(&update).expression_attribute_values;
            assert_eq!(values.get(":ttl").cloned(), ttl.filter(|_| added), "{identity}");
        }
    }
}
