//! What a month's traffic makes a deployment do: environments, table reads, log records, batches, ledger writes and
//! publications. It uses the contract's own rules for quiet calls and publication steps.
//!
//! ```text
//! calls -> lines -> records -> batches (cells) -> ledger writes -> publications
//!            |         |           |                   |
//!            |         |           |                   one for each identity in a batch
//!            |         |           MONTH / window, for each shard
//!            |         lines of one environment within `gather_s` share a record
//!            one for each call
//! ```
//!
//! The bill depends on how often calls of one identity share a batch, an environment's cache entry or a quiet allowance.
//! All three follow from Poisson arrivals (`occupancy`), so no traffic is generated here.

use ipgeo_contract::{IdentityKind, Limit, Window, pooled_calls, publish_step};
use ipgeo_runtime::usage::WRITES_AT_ONCE;

use super::design::{Design, Replicated, windows_in_month};
use super::measure::record_bytes;
use super::model::{MONTH_DAYS, MONTH_S, TrafficModel};
use super::occupancy::{expected_excess, miss_ratio, occupied, zipf};
use crate::ui::format::{float, whole};

/// Lambda's maximum size of an asynchronous or event source payload.
const PAYLOAD_BYTES: f64 = 6_000_000.0;
/// Bytes of a Kinesis record's JSON in the function's event, without its data.
const RECORD_JSON_BYTES: f64 = 450.0;
/// Bytes of base64 for each byte of data.
const BASE64: f64 = 4.0 / 3.0;
/// Milliseconds of a batch without its writes.
const BATCH_MS: f64 = 100.0;
/// Kinesis' limit of records a second for each shard.
const SHARD_RECORDS: f64 = 1_000.0;
/// Kinesis' limit of bytes a second for each shard.
const SHARD_BYTES: f64 = 1_000_000.0;

/// A month's work of a deployment, all regions together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Workload {
    /// Environments of each region.
    pub(crate) environments: f64,
    /// Mean milliseconds of a request.
    pub(crate) request_ms: f64,
    /// Read units of the access tables.
    pub(crate) read_units: f64,
    /// Share of the anonymous calls that are counted under their own address, 0 to 1; the others are pooled.
    pub(crate) named_share: f64,
    /// Records put into the stream.
    pub(crate) records: f64,
    /// Bytes of a record.
    pub(crate) record_bytes: f64,
    /// Usage lines in a record.
    pub(crate) lines_per_record: f64,
    /// Seconds that a batch is gathered: the configured window, or less if it is full earlier.
    pub(crate) window_s: f64,
    pub(crate) batches: f64,
    /// Shards needed in the busiest second.
    pub(crate) shards_needed: f64,
    /// Ledger writes: one for each identity in each batch.
    pub(crate) updates: f64,
    pub(crate) publications: f64,
    /// Early counts reported to home.
    pub(crate) early_counts: f64,
    /// GB-seconds of the usage function.
    pub(crate) usage_gb_s: f64,
    /// Bytes in the ledger.
    pub(crate) ledger_bytes: f64,
}

/// The work that one caller, or all callers of a kind, cause.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    reads: f64,
    updates: f64,
    publications: f64,
    early_counts: f64,
    /// Calls counted under the caller's own identity.
    named: f64,
    /// Ledger items.
    items: f64,
}

impl Share {
    fn add(&mut self, count: f64, one: Share) {
        self.reads += count * one.reads;
        self.updates += count * one.updates;
        self.publications += count * one.publications;
        self.early_counts += count * one.early_counts;
        self.named += count * one.named;
        self.items += count * one.items;
    }
}

/// How the stream is divided into batches.
#[derive(Debug, Clone, Copy)]
struct Batches {
    lines_per_record: f64,
    records: f64,
    record_bytes: f64,
    window_s: f64,
    /// Batches of the month. An identity is written once for each batch that has events of it, so batches are the cells of
    /// the occupancy formula.
    cells: f64,
}

/// An anonymous caller: an address or a site.
#[derive(Debug, Clone, Copy)]
struct AnonymousCaller {
    kind: IdentityKind,
    limit: Limit,
    /// Calls a month.
    calls: f64,
    /// Number of regions that it calls.
    regions: f64,
}

impl Workload {
    pub(crate) fn new(model: &TrafficModel, design: &Design) -> Self {
        let regions = float(design.edges.len() as u64).max(1.0);
        let region_rate = model.calls / regions / MONTH_S;
        // Little's law, for the busiest second and the slower kind of request.
        let environments = (region_rate * model.read_ms / 1e3 * model.peak).ceil().max(1.0);
        let batches = batches(model, design, regions * environments);
        let estimator = Estimator { model, design, regions, environments, batches };

        let keyed = estimator.keyed();
        let (addresses, sites) = estimator.anonymous();
        // A call with a Referer reads its address and its site in one request: for latency it counts once.
        let anonymous_reads = addresses.reads.max(sites.reads).min(model.anonymous());
        let reading = (keyed.reads + anonymous_reads) / model.calls.max(1.0);
        // Practically every batch has pooled calls: of the pooled address and of the pooled site.
        let pooled = if design.counting.quiet_permille == 0 { 0.0 } else { 2.0 * batches.cells };
        let updates = keyed.updates + addresses.updates + sites.updates + pooled;
        let updates = model.stated.ledger_writes.unwrap_or(updates);
        let publications = match design.counting.replicated {
            Replicated::Counts => updates,
            Replicated::Decisions => {
                let computed = keyed.publications + addresses.publications + sites.publications;
                model.stated.publications.unwrap_or(computed)
            }
        };
        let writes_ms = (updates + publications) / float(WRITES_AT_ONCE as u64) * model.write_ms;
        let usage_s = (batches.cells * BATCH_MS + writes_ms) / 1e3;
        // Eventually consistent reads cost half a unit.
        let reads = (keyed.reads + addresses.reads + sites.reads) / 2.0;
        let peak = model.peak * batches.records / MONTH_S;
        Self {
            environments,
            request_ms: model.memory_ms
                + (model.read_ms - model.memory_ms) * reading
                + model.cold_ms.0 * model.cold_ms.1,
            read_units: model.stated.read_units.unwrap_or(reads),
            named_share: addresses.named / model.anonymous().max(1.0),
            records: batches.records,
            record_bytes: batches.record_bytes,
            lines_per_record: batches.lines_per_record,
            window_s: batches.window_s,
            batches: batches.cells,
            shards_needed: (peak / SHARD_RECORDS)
                .max(peak * batches.record_bytes / SHARD_BYTES)
                .ceil()
                .max(1.0),
            updates,
            publications,
            early_counts: keyed.early_counts + addresses.early_counts + sites.early_counts,
            usage_gb_s: model.stated.usage_gb_s.unwrap_or(usage_s * design.counting.memory_mb / 1_024.0),
            ledger_bytes: (keyed.items + addresses.items + sites.items) * design.counting.item_bytes,
        }
    }
}

fn batches(model: &TrafficModel, design: &Design, environments: f64) -> Batches {
    let counting = design.counting;
    let shards = f64::from(counting.shards);
    let lines = model.calls / design.lines.calls;
    // A record begins with a line and has those that its environment writes within the next `gather_s`.
    let gathered = 1.0 + lines / environments / MONTH_S * model.gather_s;
    let lines_per_record = model.stated.lines_per_record.unwrap_or(gathered);
    let records = lines / lines_per_record;
    let record_bytes = match model.stated.wire_bytes {
        Some(bytes) => bytes * lines_per_record,
        None => record_bytes(lines_per_record, &design.home),
    };
    let rate = records / MONTH_S / shards;
    // A batch ends early when it has its maximum of records, or of bytes.
    let full_s = (counting.batch_records / rate)
        .min(PAYLOAD_BYTES / (rate * (record_bytes * BASE64 + RECORD_JSON_BYTES)));
    // Lambda polls a shard once a second, so a shorter window changes nothing.
    let window_s = counting.window_s.max(1.0);
    let window_s = if model.stated.whole_windows { window_s } else { window_s.min(full_s) };
    Batches { lines_per_record, records, record_bytes, window_s, cells: MONTH_S / window_s * shards }
}

/// The inputs that every caller's work depends on.
struct Estimator<'a> {
    model: &'a TrafficModel,
    design: &'a Design,
    regions: f64,
    environments: f64,
    batches: Batches,
}

impl Estimator<'_> {
    /// Seconds that an edge caches an access record, averaged over the regions.
    fn cache_s(&self) -> f64 {
        self.design.edges.iter().map(|edge| edge.cache_s).sum::<f64>() / self.regions
    }

    /// The cache miss ratio of a caller with this many calls a month in this many regions, of which it makes `used` calls in a
    /// window with this limit. Each environment has its own cache, so its rate of calls counts. Beyond 80 % of the limit,
    /// records are read again after a second.
    fn miss_ratio(&self, calls: f64, regions: f64, used: f64, limit: Limit) -> f64 {
        let ratio = |cache_s| miss_ratio(calls / regions / self.environments / MONTH_S, cache_s);
        let limit = float(limit.calls);
        let near = ((used.min(limit) - 0.8 * limit) / used.max(1.0)).max(0.0);
        (1.0 - near) * ratio(self.cache_s()) + near * ratio(self.cache_s().min(1.0))
    }

    /// Early counts of a caller with this many calls in a window.
    fn early_counts(&self, used: f64, limit: Limit) -> f64 {
        if self.design.counting.early_counts { early_counts(used, float(limit.calls)) } else { 0.0 }
    }

    fn keyed(&self) -> Share {
        let mut all = Share::default();
        for calls in zipf(self.model.keys, self.model.keyed()) {
            let updates = occupied(self.batches.cells, calls);
            // An API key is published at each percent of its limit, so the step that it reaches is the number of publications
            // in a window. At most one publication follows a ledger write.
            let (limit, used) = self.design.tier_for(calls).unwrap_or((NO_LIMIT, 0.0));
            let windows = windows_in_month(limit.window);
            let publications = f64::from(publish_step(IdentityKind::Key, whole(used), limit)) * windows;
            all.add(
                1.0,
                Share {
                    reads: calls * self.miss_ratio(calls, self.regions, used, limit),
                    updates,
                    publications: publications.min(updates),
                    early_counts: self.early_counts(used, limit) * windows,
                    named: calls,
                    items: 1.0,
                },
            );
        }
        all
    }

    /// The work for addresses, and for sites.
    fn anonymous(&self) -> (Share, Share) {
        let (model, tier) = (self.model, self.design.tiers.anonymous);
        let (mut addresses, mut sites) = (Share::default(), Share::default());
        for class in model.addresses {
            let one = AnonymousCaller {
                kind: IdentityKind::Address,
                limit: tier.limit,
                calls: class.calls,
                regions: 1.0,
            };
            // An address's identity changes daily, so each of its days is a ledger item.
            let mut share = self.anonymous_caller(one);
            share.items *= MONTH_DAYS;
            addresses.add(model.class_size(class), share);
        }
        for calls in zipf(model.sites, model.anonymous() * model.site_share) {
            let site = AnonymousCaller {
                kind: IdentityKind::Site,
                limit: tier.site_limit,
                calls,
                regions: self.regions,
            };
            sites.add(1.0, self.anonymous_caller(site));
        }
        (addresses, sites)
    }

    fn anonymous_caller(&self, one: AnonymousCaller) -> Share {
        let quiet = pooled_calls(one.kind, one.limit, self.design.counting.quiet_permille);
        let windows = windows_in_month(one.limit.window);
        let window_h = MONTH_DAYS * 24.0 / windows;
        // The quiet allowance is per window and environment, and an environment that replaces another has a new one. So the
        // caller's calls spread over that many allowances, and only those beyond one are counted under its identity.
        let allowances =
            windows * one.regions * self.environments * (window_h / self.model.environment_h).max(1.0);
        let named =
            if quiet == 0 { one.calls } else { allowances * expected_excess(one.calls / allowances, quiet) };
        let updates = occupied(self.batches.cells, named);
        // Anonymous callers are published at 80 % and 100 % of their limit only.
        let steps = match publish_step(one.kind, whole(named / windows), one.limit) {
            100 => 2.0,
            80 => 1.0,
            _ => 0.0,
        };
        Share {
            reads: named * self.miss_ratio(one.calls, one.regions, named / windows, one.limit),
            updates,
            publications: (steps * windows).min(updates),
            early_counts: self.early_counts(named / windows, one.limit) * windows,
            named,
            items: occupied(windows, named) / windows,
        }
    }
}

/// For API keys without a tier.
const NO_LIMIT: Limit = Limit { calls: Limit::CALLS_MAX, window: Window::Month };

/// Early counts that all environments report while a caller uses this many calls of its limit: each report is of a fiftieth of
/// the remaining calls, and one of the last fifty calls.
fn early_counts(used: f64, limit: f64) -> f64 {
    let used = used.min(limit);
    let left = (limit - used).max(50.0).min(limit);
    let last_calls = (used - (limit - 50.0)).max(0.0).min(used);
    50.0 * (limit / left).ln() + last_calls
}

#[cfg(test)]
mod tests {
    use ipgeo_contract::is_report_due;

    use super::*;

    #[test]
    fn early_counts_are_those_of_the_rule() {
        for (used, limit) in [
            (10, 1_000),
            (500, 1_000),
            (1_000, 1_000),
            (2_000, 1_000),
            (40_000, 100_000),
            (90_000, 100_000),
            (20, 20),
        ] {
            let (mut known, mut unreported, mut reports) = (0_u64, 0_u64, 0.0);
            for _ in 0..used.min(limit) {
                (known, unreported) = (known + 1, unreported + 1);
                if is_report_due(unreported, limit - known, 3_600_000) {
                    (unreported, reports) = (0, reports + 1.0);
                }
            }
            let expected = early_counts(float(used), float(limit));
            assert!(
                (reports - expected).abs() <= 5.0 + 0.5 * expected,
                "{used} of {limit}: {reports}, {expected}"
            );
        }
    }
}
