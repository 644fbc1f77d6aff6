//! The edges: each region's environment with its memory, deciding by the code that decides on AWS.

use ipgeo_contract::{Caller, Identity, KeyRecord, Period, QuotaState, Verdict, decide_key};
use ipgeo_runtime::lookup::{Age, Memory};
use jiff::Timestamp;

use super::store::Store;

/// What became of calls that came together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decided {
    /// Let through.
    pub(super) allowed: u64,
    /// Refused.
    pub(super) refused: u64,
}

/// One environment in each region.
pub(super) struct Edges {
    memories: Vec<Memory>,
    caller: Caller,
    /// Reads of access tables.
    pub(super) reads: u64,
}

impl Edges {
    pub(super) fn new(regions: usize, cache_s: u32) -> Self {
        let address = std::net::Ipv4Addr::LOCALHOST.into();
        Self {
            memories: (0..regions).map(|_| Memory::new(cache_s)).collect(),
            caller: Caller { address, site: None },
            reads: 0,
        }
    }

    /// Decides calls of an API key one after the other, as a region would that knows of nothing new meanwhile:
    /// as many as fit are let through. `record` is the API key's record without its published usage.
    pub(super) fn decide(
        &mut self,
        region: usize,
        identity: &Identity,
        record: &KeyRecord,
        calls: u64,
        now: Timestamp,
        replica: (&Store, u64),
    ) -> Decided {
        let memory = &mut self.memories[region];
        let record = if let Some(known) = memory.key(identity, now, Age::Fresh) {
            known
        } else {
            self.reads += 1;
            let (store, at_ms) = replica;
            let read = KeyRecord { published: store.shown(identity, at_ms), ..record.clone() };
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
        Decided { allowed, refused: calls - allowed }
    }
}
