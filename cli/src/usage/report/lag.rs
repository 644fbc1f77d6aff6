//! How far counting has progressed, by region.

use std::collections::BTreeMap;

use ipgeo_contract::RegionName;
use ipgeo_runtime::dynamo::{RegionNewest, ShardNewest};
use jiff::Timestamp;
use serde::Serialize;

/// How far counting has progressed in a region.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LagRow {
    pub region: RegionName,
    /// The time of its newest counted call, RFC 3339, UTC; `None`: no call was counted yet.
    pub newest: Option<String>,
    /// Milliseconds from that call until now; only later calls may be uncounted.
    pub behind_ms: Option<i64>,
    /// Milliseconds from that call until it was counted.
    pub took_ms: Option<i64>,
}

/// A row for each region: those of `regions` in their order, then removed regions that were counted.
pub(crate) fn lags(shards: &[ShardNewest], regions: &[RegionName], now: Timestamp) -> Vec<LagRow> {
    let mut newest: BTreeMap<&RegionName, RegionNewest> = BTreeMap::new();
    for (region, found) in shards.iter().flat_map(|shard| &shard.regions) {
        let known = newest.entry(region).or_insert(*found);
        if found.event > known.event {
            *known = *found;
        }
    }
    let gone = newest.keys().copied().filter(|region| !regions.contains(region));
    let names: Vec<&RegionName> = regions.iter().chain(gone).collect();
    let between = |from: Timestamp, to: Timestamp| (to.as_millisecond() - from.as_millisecond()).max(0);
    let row = |region: &RegionName| {
        let found = newest.get(region);
        LagRow {
            region: region.clone(),
            newest: found.map(|found| found.event.to_string()),
            behind_ms: found.map(|found| between(found.event, now)),
            took_ms: found.map(|found| between(found.event, found.counted)),
        }
    };
    names.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_all_shards_counts_and_a_silent_region_says_so() {
        let at = |text: &str| -> Timestamp { text.parse().expect("a timestamp") };
        let shard = |shard: &str, region: &str, event: &str, counted: &str| ShardNewest {
            shard: shard.into(),
            sequence: "1".into(),
            regions: [(
                ipgeo_contract::RegionName::new(region),
                RegionNewest { event: at(event), counted: at(counted) },
            )]
            .into(),
        };
        let shards = [
            shard("a", "us-east-1", "2026-11-24T12:00:00Z", "2026-11-24T12:01:30Z"),
            shard("b", "us-east-1", "2026-11-24T12:02:00Z", "2026-11-24T12:02:45Z"),
            shard("c", "eu-old-1", "2026-11-24T10:00:00Z", "2026-11-24T10:00:01Z"),
        ];
        let shown: Vec<_> =
            lags(&shards, &["sa-east-1", "us-east-1"].map(RegionName::new), at("2026-11-24T12:03:00Z"))
                .into_iter()
                .map(|row| (row.region, row.behind_ms, row.took_ms))
                .collect();
        assert_eq!(
            shown,
            [
                (RegionName::new("sa-east-1"), None, None),
                (RegionName::new("us-east-1"), Some(60_000), Some(45_000)),
                (RegionName::new("eu-old-1"), Some(7_380_000), Some(1_000)),
            ]
        );
    }
}
