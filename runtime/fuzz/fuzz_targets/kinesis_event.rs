//! Input from the stream: a batch of records in JSON, a record's raw payload, and the same bytes compressed.
#![no_main]

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use ipgeo_fuzz::usage::{KinesisEvent, KinesisRecord, Totals, decode};
use libfuzzer_sys::fuzz_target;

const SHARD: &str = "shardId-000000000000";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).expect("packs");
    packer.finish().expect("packs")
}

fuzz_target!(|data: &[u8]| {
    let Some((way, data)) = data.split_first() else { return };
    let event = match way % 3 {
        0 => serde_json::from_slice(data).unwrap_or_default(),
        1 => KinesisEvent { records: vec![KinesisRecord::new(SHARD, "1", data)] },
        _ => KinesisEvent { records: vec![KinesisRecord::new(SHARD, "1", &gzip(data))] },
    };
    let decoded = decode(&event, jiff::Timestamp::MAX);
    let skipped: u64 = decoded.skipped.records.values().sum();
    assert!(decoded.records.len() as u64 + skipped + decoded.skipped.control_messages <= event.records.len() as u64);
    let totals = Totals::fold(&decoded.records);
    let charges: usize = decoded.records.iter().flat_map(|r| &r.events).map(|event| event.charges.len()).sum();
    assert_eq!(totals.items.values().map(Vec::len).sum::<usize>(), charges);
});
