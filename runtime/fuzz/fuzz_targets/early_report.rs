//! An environment's report of early counts, of any bytes: what is accepted is within its bounds, and the same after writing
//! and reading it again.
#![no_main]

use ipgeo_contract::{EARLY_COUNTS_MAX, EarlyReport, Limit};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(report) = EarlyReport::from_json(data) else { return };
    assert!(report.counts.len() <= EARLY_COUNTS_MAX);
    assert!(report.counts.iter().all(|count| count.calls <= Limit::CALLS_MAX));
    let json = report.to_json();
    assert!(EarlyReport::is_one(&json));
    assert_eq!(EarlyReport::from_json(json.as_bytes()).expect("our own report"), report);
});
