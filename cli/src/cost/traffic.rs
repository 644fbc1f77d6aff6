//! What a month's traffic makes a design do: reads, lines, batches, counts and publications, by the rules of
//! the code that does them.

use ipgeo_contract::{IdentityKind, Limit, publish_step, quiet_calls};
use ipgeo_runtime::usage::WRITES_AT_ONCE;

use super::design::{Design, Replicated, windows_of};
use super::measure::record_bytes;
use super::model::{MONTH_DAYS, MONTH_S, Model};
use super::occupancy::{beyond, missed, occupied, to_f64, to_u64, zipf};

/// Bytes that Lambda hands to a function at most.
const PAYLOAD_BYTES: f64 = 6_000_000.0;
/// Bytes of a record's JSON beside its data, and of base64 for each of data.
const RECORD_JSON_BYTES: f64 = 450.0;
/// See above.
const BASE64: f64 = 4.0 / 3.0;
/// Milliseconds of a batch beside its writes.
const BATCH_MS: f64 = 100.0;
/// Records a second, and bytes a second, that a shard takes in.
const SHARD_RECORDS: f64 = 1_000.0;
/// See above.
const SHARD_BYTES: f64 = 1_000_000.0;

/// A month of a design, all regions together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Traffic {
    /// Environments of each region.
    pub(crate) environments: f64,
    /// Milliseconds of a request, on average.
    pub(crate) request_ms: f64,
    /// Units read from the access table.
    pub(crate) read_units: f64,
    /// Share of the anonymous calls whose address is named, 0 to 1.
    pub(crate) named_share: f64,
    /// Records put into the stream.
    pub(crate) records: f64,
    /// Bytes of each.
    pub(crate) record_bytes: f64,
    /// Usage lines in each.
    pub(crate) lines_per_record: f64,
    /// Seconds that a batch really gathers: as configured, or until it is full.
    pub(crate) window_s: f64,
    /// Batches.
    pub(crate) batches: f64,
    /// Shards that the busiest second needs.
    pub(crate) shards_needed: f64,
    /// Identities counted, once for each batch that has them.
    pub(crate) updates: f64,
    /// Publications.
    pub(crate) publications: f64,
    /// GB-seconds of the usage function.
    pub(crate) usage_gb_s: f64,
    /// Bytes in the ledger.
    pub(crate) ledger_bytes: f64,
}

/// What one kind of caller adds.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    reads: f64,
    updates: f64,
    publications: f64,
    named: f64,
    items: f64,
}

impl Share {
    fn add(&mut self, count: f64, one: Share) {
        self.reads += count * one.reads;
        self.updates += count * one.updates;
        self.publications += count * one.publications;
        self.named += count * one.named;
        self.items += count * one.items;
    }
}

/// How the stream is cut into batches.
#[derive(Debug, Clone, Copy)]
struct Batches {
    lines_per_record: f64,
    records: f64,
    record_bytes: f64,
    window_s: f64,
    /// Places that an identity's events of a month may fall into.
    cells: f64,
}

/// One kind of anonymous caller.
#[derive(Debug, Clone, Copy)]
struct Anonymous {
    kind: IdentityKind,
    limit: Limit,
    /// Calls a month of one identity.
    calls: f64,
    /// Regions that it calls.
    regions: f64,
}

impl Traffic {
    pub(crate) fn of(model: &Model, design: &Design) -> Self {
        let regions = to_f64(design.edges.len() as u64).max(1.0);
        let region_rate = model.calls / regions / MONTH_S;
        let environments = (region_rate * model.read_ms / 1e3 * model.peak).ceil().max(1.0);
        let batches = batches(model, design, regions * environments);
        let scene = Scene { model, design, regions, environments, batches };

        let keyed = scene.keyed();
        let (addresses, sites) = scene.anonymous();
        let anonymous_reads = addresses.reads.max(sites.reads).min(model.anonymous());
        let reading = (keyed.reads + anonymous_reads) / model.calls.max(1.0);
        let crowd = if design.counting.quiet_permille == 0 { 0.0 } else { 2.0 * batches.cells };
        let updates = keyed.updates + addresses.updates + sites.updates + crowd;
        let updates = model.stated.ledger_writes.unwrap_or(updates);
        let publications = match design.counting.replicated {
            Replicated::Counts => updates,
            Replicated::Decisions => keyed.publications + addresses.publications + sites.publications,
        };
        let publications = match design.counting.replicated {
            Replicated::Counts => publications,
            Replicated::Decisions => model.stated.publications.unwrap_or(publications),
        };
        let writes_ms = (updates + publications) / to_f64(WRITES_AT_ONCE as u64) * model.write_ms;
        let usage_s = (batches.cells * BATCH_MS + writes_ms) / 1e3;
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
            usage_gb_s: model.stated.usage_gb_s.unwrap_or(usage_s * design.counting.memory_mb / 1_024.0),
            ledger_bytes: (keyed.items + addresses.items + sites.items) * design.counting.item_bytes,
        }
    }
}

fn batches(model: &Model, design: &Design, environments: f64) -> Batches {
    let counting = design.counting;
    let shards = f64::from(counting.shards);
    let lines = model.calls / design.lines.calls;
    let gathered = 1.0 + lines / environments / MONTH_S * model.gather_s;
    let lines_per_record = model.stated.lines_per_record.unwrap_or(gathered);
    let records = lines / lines_per_record;
    let record_bytes = match model.stated.wire_bytes {
        Some(bytes) => bytes * lines_per_record,
        None => record_bytes(lines_per_record, &design.home),
    };
    let rate = records / MONTH_S / shards;
    let full_s = (counting.batch_records / rate)
        .min(PAYLOAD_BYTES / (rate * (record_bytes * BASE64 + RECORD_JSON_BYTES)));
    // The poller asks once a second.
    let window_s = counting.window_s.max(1.0);
    let window_s = if model.stated.whole_windows { window_s } else { window_s.min(full_s) };
    Batches { lines_per_record, records, record_bytes, window_s, cells: MONTH_S / window_s * shards }
}

struct Scene<'a> {
    model: &'a Model,
    design: &'a Design,
    regions: f64,
    environments: f64,
    batches: Batches,
}

impl Scene<'_> {
    /// Seconds that an access record is remembered, on average over the regions.
    fn cache_s(&self) -> f64 {
        self.design.edges.iter().map(|edge| edge.cache_s).sum::<f64>() / self.regions
    }

    /// The share of calls that reads, of a caller with so many a month in so many regions.
    fn missed(&self, calls: f64, regions: f64) -> f64 {
        missed(calls / regions / self.environments / MONTH_S, self.cache_s())
    }

    fn keyed(&self) -> Share {
        let mut all = Share::default();
        for calls in zipf(self.model.keys, self.model.keyed()) {
            let updates = occupied(self.batches.cells, calls);
            let publications = self.design.tier_for(calls).map_or(0.0, |(limit, used)| {
                let steps = publish_step(IdentityKind::Key, to_u64(used), limit);
                f64::from(steps) * windows_of(limit.window)
            });
            all.add(
                1.0,
                Share {
                    reads: calls * self.missed(calls, self.regions),
                    updates,
                    publications: publications.min(updates),
                    named: calls,
                    items: 1.0,
                },
            );
        }
        all
    }

    /// What addresses and what sites add.
    fn anonymous(&self) -> (Share, Share) {
        let (model, tier) = (self.model, self.design.tiers.anonymous);
        let (mut addresses, mut sites) = (Share::default(), Share::default());
        for class in model.addresses {
            let one = Anonymous {
                kind: IdentityKind::Address,
                limit: tier.limit,
                calls: class.calls,
                regions: 1.0,
            };
            // An address of another day is another identity.
            let mut share = self.of(one);
            share.items *= MONTH_DAYS;
            addresses.add(model.class_size(class), share);
        }
        for calls in zipf(model.sites, model.anonymous() * model.site_share) {
            let site =
                Anonymous { kind: IdentityKind::Site, limit: tier.site_limit, calls, regions: self.regions };
            sites.add(1.0, self.of(site));
        }
        (addresses, sites)
    }

    fn of(&self, one: Anonymous) -> Share {
        let quiet = quiet_calls(one.kind, one.limit, self.design.counting.quiet_permille);
        let windows = windows_of(one.limit.window);
        let window_h = MONTH_DAYS * 24.0 / windows;
        // Each environment has its own quiet calls, and so has each that follows it.
        let places =
            windows * one.regions * self.environments * (window_h / self.model.environment_h).max(1.0);
        let named = if quiet == 0 { one.calls } else { places * beyond(one.calls / places, quiet) };
        let updates = occupied(self.batches.cells, named);
        let steps = match publish_step(one.kind, to_u64(named / windows), one.limit) {
            100 => 2.0,
            80 => 1.0,
            _ => 0.0,
        };
        Share {
            reads: named * self.missed(one.calls, one.regions),
            updates,
            publications: (steps * windows).min(updates),
            named,
            items: occupied(windows, named) / windows,
        }
    }
}
