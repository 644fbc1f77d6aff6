//! One simulated environment for each region, deciding with the production code and its memory of records.

use ipgeo_contract::{
    Caller, Charge, EarlyReport, Identity, KeyRecord, Period, QuotaState, Verdict, decide_key,
};
use ipgeo_runtime::lookup::{Age, Memory};
use jiff::Timestamp;

use super::store::SimulatedStore;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decided {
    pub(super) allowed: u64,
    pub(super) refused: u64,
}

pub(super) struct Edges {
    memories: Vec<Memory>,
    caller: Caller,
    /// Reads of the access tables.
    pub(super) reads: u64,
}

impl Edges {
    pub(super) fn new(regions: usize, cache_s: u32) -> Self {
        let address = std::net::Ipv4Addr::LOCALHOST.into();
        Self {
            memories: (0..regions)
                .map(|region| Memory::new(cache_s).reporting_as(format!("environment{region}")))
                .collect(),
            caller: Caller { address, site: None },
            reads: 0,
        }
    }

    /// Decides the calls of one API key. Nothing new becomes known between them, so as many are allowed as fit the limit.
    /// `record` is the API key's record without its published usage; `replica` supplies that, as of a time in ms.
    pub(super) fn decide(
        &mut self,
        region: usize,
        identity: &Identity,
        record: &KeyRecord,
        calls: u64,
        now: Timestamp,
        replica: (&SimulatedStore, u64),
    ) -> Decided {
        let memory = &mut self.memories[region];
        let record = if let Some(known) = memory.key(identity, now, Age::Fresh) {
            known
        } else {
            self.reads += 1;
            let (store, at_ms) = replica;
            let read = KeyRecord { published: store.visible(identity, at_ms), ..record.clone() };
            memory.remember_key(identity, Some(read.clone()), now);
            Some(read)
        };
        let Some(record) = record else { return Decided { allowed: 0, refused: calls } };
        let period = Period::new(record.limit.window, now);
        let used = memory.used(identity, period, record.published.as_ref());
        let fits = calls.min(QuotaState { limit: record.limit, used }.remaining());
        let allowed = match decide_key(&record, &self.caller, used, fits, now) {
            Verdict::Allowed => fits,
            _ => 0,
        };
        memory.count(identity, now, allowed);
        memory.settle(&Charge { identity: identity.clone(), limit: record.limit }, now, allowed);
        Decided { allowed, refused: calls - allowed }
    }

    /// What a region's environment reports after an answer.
    pub(super) fn early_report(&mut self, region: usize, now: Timestamp) -> Option<EarlyReport> {
        self.memories[region].early_report(now)
    }

    /// Home could not be reached.
    pub(super) fn report_failed(&mut self, region: usize, report: &EarlyReport) {
        self.memories[region].report_failed(report);
    }
}
