//! Usage events to totals: a pure fold, and folding again what a watermark leaves.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ipgeo_contract::{Identity, Limit, Month, Published, Verdict, publish_step};
use ipgeo_contract::{Period, publish_steps_crossed};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::decode::EventRecord;
use crate::store::{LedgerUpdate, MonthTotals};

/// Whose count, in which month: one item of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdentityMonth {
    /// Who is charged.
    pub identity: Identity,
    /// The month that the events fall in, UTC.
    pub month: Month,
}

/// One event as one identity's item sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedEvent {
    /// Padded sequence number of the record that it came in.
    pub sequence: Arc<str>,
    /// When the request was answered.
    pub time: Timestamp,
    /// Calls charged.
    pub cost: u64,
    /// The region that answered.
    pub region: Arc<str>,
    /// Allowed, or refused and why.
    pub verdict: Verdict,
    /// The limit that held for this identity.
    pub limit: Limit,
}

/// The events of one shard's records, by the ledger item that they belong to; each list in stream order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sorted by identity and month.
    pub items: BTreeMap<IdentityMonth, Vec<CountedEvent>>,
}

/// Regions that one write names. There are fewer; more are made up, and a write with thousands would be refused for ever.
pub(super) const REGIONS_MAX: usize = 50;
/// Stands for the regions beyond [`REGIONS_MAX`].
const OTHER_REGIONS: &str = "other";

/// Adds to the count of a name, which is only copied when it is new.
fn add(counts: &mut BTreeMap<String, u64>, name: &str, calls: u64) {
    let name = if counts.len() < REGIONS_MAX || counts.contains_key(name) { name } else { OTHER_REGIONS };
    match counts.get_mut(name) {
        Some(count) => *count = count.saturating_add(calls),
        None => drop(counts.insert(name.to_owned(), calls)),
    }
}

fn date_of(time: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(time).date()
}

impl Totals {
    /// Folds records of one shard, which must be in order.
    pub fn fold<'a>(records: impl IntoIterator<Item = &'a EventRecord>) -> Self {
        let mut items: HashMap<(&Identity, Month), Vec<CountedEvent>> = HashMap::new();
        // Lines of a record are of one environment, and so of one region: its name is kept once.
        let mut region: Arc<str> = Arc::from("");
        for record in records {
            let sequence: Arc<str> = Arc::from(record.sequence.as_str());
            for event in &record.events {
                if *region != *event.region {
                    region = Arc::from(event.region.as_str());
                }
                let month = Month::of(event.time);
                for charge in &event.charges {
                    items.entry((&charge.identity, month)).or_default().push(CountedEvent {
                        sequence: Arc::clone(&sequence),
                        time: event.time,
                        cost: event.cost,
                        region: Arc::clone(&region),
                        verdict: event.verdict,
                        limit: charge.limit,
                    });
                }
            }
        }
        let item =
            |(identity, month): (&Identity, Month)| IdentityMonth { identity: identity.clone(), month };
        Self { items: items.into_iter().map(|(key, events)| (item(key), events)).collect() }
    }
}

impl IdentityMonth {
    /// The write that adds `events`, which must be of this item, in stream order and not empty.
    pub(super) fn update(&self, shard: &str, events: &[CountedEvent]) -> Option<LedgerUpdate> {
        let (first, last) = (events.first()?, events.last()?);
        let mut update = LedgerUpdate {
            identity: self.identity.clone(),
            month: self.month,
            shard: shard.to_owned(),
            first: first.sequence.as_ref().to_owned(),
            last: last.sequence.as_ref().to_owned(),
            charged: 0,
            days: BTreeMap::new(),
            regions: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            gap: None,
        };
        for event in events {
            *update.verdicts.entry(event.verdict).or_default() += 1;
            if event.cost > 0 {
                update.charged = update.charged.saturating_add(event.cost);
                let day = update.days.entry(date_of(event.time).day()).or_default();
                *day = day.saturating_add(event.cost);
                add(&mut update.regions, &event.region, event.cost);
            }
        }
        Some(update)
    }

    /// What to publish once the ledger holds `totals`, of which `added` came from `events`: for every
    /// period and limit among the events, the usage that crossed a step. When some of them were in it
    /// already (a redelivery, perhaps cut anew), what stands above step 0 is published again: a crash may
    /// have come between the ledger's write and the publication, and publishing twice is harmless. The
    /// crowd is never published.
    pub(super) fn publications(
        &self,
        totals: &MonthTotals,
        added: &[CountedEvent],
        events: &[CountedEvent],
    ) -> Vec<(Limit, Published)> {
        if self.identity.is_crowd() {
            // Nobody's limit: no edge asks for it.
            return Vec::new();
        }
        let kind = self.identity.kind();
        let mut latest: BTreeMap<Period, (Limit, Timestamp)> = BTreeMap::new();
        for event in events {
            let entry =
                latest.entry(Period::of(event.limit.window, event.time)).or_insert((event.limit, event.time));
            // The limit that held last is the one that holds now.
            *entry = (event.limit, entry.1.max(event.time));
        }
        latest
            .into_iter()
            .filter_map(|(period, (limit, as_of))| {
                let used = used_in(totals, period);
                let fresh: u64 = added
                    .iter()
                    .filter(|event| Period::of(limit.window, event.time) == period)
                    .map(|event| event.cost)
                    .fold(0, u64::saturating_add);
                let crossed = if added.len() < events.len() {
                    publish_step(kind, used, limit) > 0
                } else {
                    publish_steps_crossed(kind, used.saturating_sub(fresh), used, limit)
                };
                crossed.then_some((limit, Published { period, used, as_of }))
            })
            .collect()
    }
}

fn used_in(totals: &MonthTotals, period: Period) -> u64 {
    match period {
        Period::Month(_) => totals.charged,
        Period::Day(date) => totals.days.get(&date.day()).copied().unwrap_or(0),
    }
}
