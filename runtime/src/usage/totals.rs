//! Folds usage events to writes of the ledger, and decides what to publish afterwards. Pure.
//!
//! Everything is decided per ledger item (one identity's month) and never per batch, because the stream may deliver the same
//! events again, in batches with other bounds, after a part of them is counted. The ledger's watermark shows which events
//! of an item are new; what was already counted only matters for publications, which a crash may have prevented.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ipgeo_contract::{
    Identity, Limit, Month, Period, Published, RegionName, Verdict, Window, is_to_publish, publish_step,
};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::decode::EventRecord;
use crate::store::{LedgerUpdate, MonthTotals};

/// The key of one item of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdentityMonth {
    /// Who is charged.
    pub identity: Identity,
    /// The month that the events fall in, UTC.
    pub month: Month,
}

/// One event, as counted in one identity's item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedEvent {
    /// Padded sequence number of the record that it came in.
    pub sequence: Arc<str>,
    /// When the request was answered.
    pub time: Timestamp,
    /// Calls charged.
    pub cost: u64,
    /// The region that answered.
    pub region: RegionName,
    /// Allowed, or refused and why.
    pub verdict: Verdict,
    /// The limit that applied to this identity.
    pub limit: Limit,
}

/// The events of one shard's records, by the ledger item that they belong to; each list in stream order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The events by item, in stream order.
    pub items: BTreeMap<IdentityMonth, Vec<CountedEvent>>,
}

/// Maximum regions in one write. AWS has fewer; a forged batch with thousands would be rejected forever.
pub(super) const REGIONS_MAX: usize = 50;
/// Name that replaces the regions beyond [`REGIONS_MAX`].
const OTHER_REGIONS: &str = "other";

/// Adds to a region's count. The name is only copied when it is new: most events repeat a region.
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
        // All lines of a record come from one environment and so one region: cloning the same `RegionName` shares its text.
        let mut region: Option<&RegionName> = None;
        for record in records {
            let sequence: Arc<str> = Arc::from(record.sequence.as_str());
            for event in &record.events {
                let name = region.filter(|name| **name == event.region).unwrap_or(&event.region);
                region = Some(name);
                let month = Month::from_time(event.time);
                for charge in &event.charges {
                    items.entry((&charge.identity, month)).or_default().push(CountedEvent {
                        sequence: Arc::clone(&sequence),
                        time: event.time,
                        cost: event.cost,
                        region: name.clone(),
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
    /// The write that adds `events`, which must belong to this item and be in stream order. `None` if `events` is empty.
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
            // Every event adds to exactly one verdict, even if it charges nothing: equal verdicts show that an item has not
            // changed, which replacing an item relies on.
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
    /// period among the events, the usage that crossed a step of a limit that edges used for them, or that an
    /// edge does not know (see [`is_to_publish`]). If some were counted already (a redelivery, perhaps with other
    /// batch bounds), usage above step 0 is published again: a crash may have come between the ledger's write and
    /// the publication, and publishing twice is harmless. Pooled anonymous callers are never published.
    pub(super) fn publications(
        &self,
        totals: &MonthTotals,
        added: &[CountedEvent],
        events: &[CountedEvent],
    ) -> Vec<Publication> {
        if self.identity.is_pooled() {
            // They have no limit, and no edge reads their usage.
            return Vec::new();
        }
        let kind = self.identity.kind();
        let redelivered = added.len() < events.len();
        let due = |(period, decided): (Period, Decided)| {
            let published = Published { period, used: totals.used_in(period), as_of: decided.as_of };
            let in_period = |event: &&CountedEvent| Period::new(event.limit.window, event.time) == period;
            let costs = added.iter().filter(in_period).map(|event| event.cost);
            let fresh = costs.fold(0, u64::saturating_add);
            // `totals` include the events just added, so this is the usage before them. Edges decided by several limits may
            // share a period; their events count towards the same usage.
            let before = published.used.saturating_sub(fresh);
            // Edges may have used several limits while the limit was being changed. The last in stream order is the newest, so
            // it is tried first; an older one only counts if the newest needs no publication.
            let mut limits = decided.limits.iter().rev();
            let crossed = limits.clone().find(|by| {
                let first = if redelivered { 0 } else { before };
                is_to_publish(kind, first, published.used, by.limit, by.admitted)
            });
            // Nothing new to tell edges, but one refused a call at 100 %: it already knows. The publication is only needed for
            // alerts that a crash may have prevented.
            let mut refused =
                || limits.find(|by| by.refused && publish_step(kind, published.used, by.limit) == 100);
            match crossed {
                Some(by) => Some(Publication { limit: by.limit, published, known: false }),
                None => refused().map(|by| Publication { limit: by.limit, published, known: true }),
            }
        };
        Decided::by_period(events).into_iter().filter_map(due).collect()
    }

    /// Usage in the period of `as_of`; `totals` must be of its month.
    pub(super) fn published(totals: &MonthTotals, window: Window, as_of: Timestamp) -> Published {
        let period = Period::new(window, as_of);
        Published { period, used: totals.used_in(period), as_of }
    }
}

/// Usage of a period to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Publication {
    /// The limit that edges decided by.
    pub(super) limit: Limit,
    pub(super) published: Published,
    /// Edges already know it and refuse calls: only alerts may be missing.
    pub(super) known: bool,
}

/// The decisions of edges in one period.
struct Decided {
    /// The limits that they decided by, in stream order of first use.
    limits: Vec<DecidedBy>,
    /// The latest usage event.
    as_of: Timestamp,
}

struct DecidedBy {
    limit: Limit,
    /// A call was admitted, or charged anyway.
    admitted: bool,
    /// A call was refused because of it.
    refused: bool,
}

impl Decided {
    fn by_period(events: &[CountedEvent]) -> BTreeMap<Period, Self> {
        let mut periods: BTreeMap<Period, Self> = BTreeMap::new();
        for event in events {
            let decided = periods
                .entry(Period::new(event.limit.window, event.time))
                .or_insert(Self { limits: Vec::new(), as_of: event.time });
            decided.as_of = decided.as_of.max(event.time);
            let at = decided.limits.iter().position(|by| by.limit == event.limit).unwrap_or_else(|| {
                decided.limits.push(DecidedBy { limit: event.limit, admitted: false, refused: false });
                decided.limits.len() - 1
            });
            let by = &mut decided.limits[at];
            // Charged refusals (malformed and unknown API keys) use up a limit as admitted calls do.
            by.admitted |= event.cost > 0 || event.verdict.is_admitted();
            by.refused |= event.verdict == Verdict::OverQuota;
        }
        periods
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event((cost, verdict, limit): (u64, Verdict, &str)) -> CountedEvent {
        CountedEvent {
            sequence: "1".into(),
            time: "2026-11-24T12:00:00Z".parse().expect("a timestamp"),
            cost,
            region: RegionName::new("eu-central-1"),
            verdict,
            limit: limit.parse().expect("a limit"),
        }
    }

    #[test]
    fn what_is_published_follows_from_what_edges_decided() {
        use Verdict::{Allowed, BadRequest, MalformedKey, OverQuota, OverRate};

        type Events<'a> = &'a [(u64, Verdict, &'a str)];
        type Published<'a> = &'a [(&'a str, bool)];
        let item = IdentityMonth {
            identity: "key#00ff".parse().expect("an identity"),
            month: "2026-11".parse().expect("a month"),
        };
        // (events, how many of them are new, calls used with them, published limits and whether edges know)
        let table: [(Events<'_>, usize, u64, Published<'_>); 11] = [
            (&[(1, Allowed, "1000/day")], 1, 15, &[]),
            (&[(1, Allowed, "1000/day")], 1, 20, &[("1000/day", false)]),
            // Redelivered: the publication may be lost.
            (&[(1, Allowed, "1000/day")], 0, 15, &[("1000/day", false)]),
            // The newest limit is tried first.
            (&[(1, Allowed, "10/day"), (0, OverQuota, "5/day")], 2, 5, &[("5/day", false)]),
            // At the limit: an edge that admitted or charged a call does not know, one that refused it does.
            (&[(1, Allowed, "10/day")], 1, 12, &[("10/day", false)]),
            (&[(0, BadRequest, "10/day")], 1, 12, &[("10/day", false)]),
            (&[(1, MalformedKey, "10/day")], 1, 12, &[("10/day", false)]),
            (&[(0, OverQuota, "10/day")], 1, 12, &[("10/day", true)]),
            (&[(0, OverRate, "10/day")], 1, 12, &[]),
            (&[(0, OverQuota, "10/day")], 1, 9, &[]),
            (&[], 0, 12, &[]),
        ];
        for (row, (events, new, used, expected)) in table.into_iter().enumerate() {
            let events: Vec<CountedEvent> = events.iter().copied().map(event).collect();
            let totals = MonthTotals { charged: used, days: [(24, used)].into(), includes_others: false };
            let found = item.publications(&totals, &events[events.len() - new..], &events);
            let found: Vec<_> = found.iter().map(|one| (one.limit.to_string(), one.known)).collect();
            let found: Vec<_> = found.iter().map(|(limit, known)| (limit.as_str(), *known)).collect();
            assert_eq!(found, expected, "row {row}");
        }
    }
}
