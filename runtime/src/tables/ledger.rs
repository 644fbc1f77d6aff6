//! The ledger table: one conditional write counts.

use std::collections::BTreeMap;

use ipgeo_contract::{Gap, Identity, IdentityKind, LedgerAttr, Month, Verdict, ledger_attr as attr};
use jiff::Timestamp;

use super::calls::{Calls, Change, Updated};
use super::failed;
use super::value::{Item, Value, number, string};
use crate::store::{Alert, Applied, LedgerUpdate, LedgerWrite, MonthTotals, Newest, ShardNote, StoreError};

/// Seconds after its month's end that an address's item is kept: until every report of the month is made.
const ADDRESS_KEPT_S: i64 = 35 * 86_400;

/// Number of later gaps that a write after a gap checks: the stream keeps a day, and gaps are almost a day apart.
const LATER_GAPS_MAX: u32 = 20;

/// The watermark of an item without events: below all sequence numbers.
pub const NOTHING_COUNTED: &str = "0";

/// When DynamoDB may delete an address's item of a month, Unix seconds.
pub fn address_ttl(month: Month) -> i64 {
    month.end().as_second() + ADDRESS_KEPT_S
}

/// Home's ledger.
#[derive(Clone, Debug)]
pub struct LedgerTable<C> {
    client: C,
    table: String,
}

/// One identity's month, as the ledger holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerItem {
    /// Who was charged.
    pub identity: Identity,
    /// The month.
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

/// The key of a row.
pub(super) fn key_of(id: &str, month: impl Into<String>) -> Item {
    Item::from([(attr::ID.to_owned(), string(id)), (attr::MONTH.to_owned(), string(month))])
}

impl<C> LedgerTable<C> {
    /// A table by name, through a client of home.
    pub fn new(client: C, table: impl Into<String>) -> Self {
        Self { client, table: table.into() }
    }

    /// The table's name.
    pub fn name(&self) -> &str {
        &self.table
    }

    /// The client.
    pub fn client(&self) -> &C {
        &self.client
    }

    pub(crate) fn read_action(&self) -> String {
        format!("read of ledger {}", self.table)
    }

    pub(crate) fn write_action(&self) -> String {
        format!("write to ledger {}", self.table)
    }

    pub(crate) fn read(&self, item: &Item) -> Result<LedgerItem, StoreError> {
        let broken = |what: &str| {
            let fault = format!("an item's attribute `{what}` is missing or not what it should be");
            failed(self.read_action(), fault)
        };
        let text = |name: &str| item.get(name).and_then(Value::text);
        let identity = text(attr::ID).and_then(|id| id.parse().ok()).ok_or_else(|| broken(attr::ID))?;
        let month = text(attr::MONTH).and_then(|m| m.parse().ok()).ok_or_else(|| broken(attr::MONTH))?;
        Ok(read_counts(item, identity, month))
    }
}

impl<C: Clone> LedgerTable<C> {
    /// Another ledger beside this one, by its table's name.
    #[must_use]
    pub fn beside(&self, table: impl Into<String>) -> Self {
        Self::new(self.client.clone(), table)
    }
}

impl<C: Calls> LedgerTable<C> {
    /// One identity's item of a month; read consistently.
    pub async fn item(&self, identity: &Identity, month: Month) -> Result<Option<LedgerItem>, StoreError> {
        let found = self.client.get(&self.table, key_of(identity.as_str(), month.to_string()), true).await;
        let item = found.map_err(|cause| failed(self.read_action(), cause))?;
        item.map(|item| self.read(&item)).transpose()
    }
}

/// Parses a stored count. A DynamoDB number may have 38 digits, a sign and a fraction; ours do not, but an unexpected value
/// must not stop reading.
fn count(value: &Value) -> u64 {
    let whole = value.digits().unwrap_or_default().split('.').next().unwrap_or_default();
    let is_number = !whole.is_empty() && whole.bytes().all(|b| b.is_ascii_digit());
    whole.parse().unwrap_or(if is_number { u64::MAX } else { 0 })
}

impl LedgerItem {
    /// A month in which nothing was counted.
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

fn totals(item: &Item, update: &LedgerUpdate) -> (MonthTotals, Option<String>) {
    let mut read = read_counts(item, update.identity.clone(), update.month);
    let watermark = read.watermarks.remove(&update.shard);
    (MonthTotals { charged: read.charged, days: read.days }, watermark)
}

impl<C: Calls> LedgerWrite for LedgerTable<C> {
    async fn apply(&self, update: &LedgerUpdate) -> Result<Applied, StoreError> {
        match self.client.update(&self.table, addition(update)).await {
            Ok(Updated::Done(item)) => {
                let (totals, watermark) = totals(&item, update);
                // An answer without the item says nothing of the month: what it crossed would stay unpublished.
                // Delivered again, it reads as "behind".
                let silent = "an applied write did not return the item that it made";
                if watermark.as_ref() != Some(&update.last) {
                    return Err(failed(self.write_action(), silent));
                }
                Ok(Applied::Added(totals))
            }
            Ok(Updated::Refused(item)) => {
                let (totals, watermark) = totals(&item, update);
                let silent = "a refused write did not return the item that refused it";
                let watermark = watermark.ok_or_else(|| failed(self.write_action(), silent))?;
                Ok(Applied::Behind { watermark, totals })
            }
            Err(cause) => Err(failed(self.write_action(), cause)),
        }
    }

    async fn record_alert(&self, alert: &Alert) -> Result<bool, StoreError> {
        self.put_alert(alert).await
    }

    async fn shard_note(&self, shard: &str) -> Result<Option<ShardNote>, StoreError> {
        self.read_shard_note(shard).await
    }

    async fn note_gap(&self, shard: &str, number: u32, gap: &Gap) -> Result<bool, StoreError> {
        self.put_gap(shard, number, gap).await
    }

    async fn note_newest(&self, newest: &Newest, counted: Timestamp) -> Result<(), StoreError> {
        self.put_newest(newest, counted).await
    }
}

/// One `UpdateItem`: `ADD` makes what is missing, the condition keeps what was counted from being
/// counted again. A client's own retries are safe for the same reason: a write that was applied and
/// then timed out is refused the second time, and reads as "behind" with its own sequence number.
fn addition(update: &LedgerUpdate) -> Change {
    let mut add = vec![(attr::CHARGED.to_owned(), update.charged)];
    add.extend(update.days.iter().map(|(day, n)| (LedgerAttr::Day(*day).name(), *n)));
    add.extend(update.regions.iter().map(|(region, n)| (LedgerAttr::Region(region.clone()).name(), *n)));
    add.extend(update.verdicts.iter().map(|(verdict, n)| (LedgerAttr::Verdict(*verdict).name(), *n)));
    let mut change = Change::of(key_of(update.identity.as_str(), update.month.to_string()), "")
        .when("attribute_not_exists(#w) OR #w < :first")
        .name("#w", LedgerAttr::Watermark(update.shard.clone()).name())
        .value(":first", string(&update.first))
        .value(":last", string(&update.last));
    let mut adds = Vec::new();
    for (index, (name, n)) in add.into_iter().enumerate() {
        adds.push(format!("#a{index} :a{index}"));
        change = change.name(format!("#a{index}"), name).value(format!(":a{index}"), number(n));
    }
    let mut set = "#w = :last".to_owned();
    if update.identity.kind() == IdentityKind::Address && !update.identity.is_crowd() {
        set.push_str(", #ttl = :ttl");
        change = change.name("#ttl", attr::TTL).value(":ttl", number(address_ttl(update.month)));
    }
    if let Some((gap, last)) = update.gap {
        // The first write after a gap saves the previous watermark; a new item has counted nothing. A replay
        // may reach a gap after the item was written past a later one: then the watermark saved there applies.
        let last = last.min(gap.saturating_add(LATER_GAPS_MAX));
        let mut kept = "if_not_exists(#w, :nothing)".to_owned();
        for number in (gap..=last).rev() {
            kept = format!("if_not_exists(#g{number}, {kept})");
            let before = LedgerAttr::BeforeGap(number, update.shard.clone());
            change = change.name(format!("#g{number}"), before.name());
        }
        set = format!("{set}, #g{gap} = {kept}");
        change = change.value(":nothing", string(NOTHING_COUNTED));
    }
    change.update_expression = format!("SET {set} ADD {}", adds.join(", "));
    Change { returns_item: true, ..change }
}
