//! A file of corrections of any bytes: what can be read is the same after writing and reading it again.
#![no_main]

use ipgeo_geo::compile::{read_corrections, write_corrections};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(read) = read_corrections(data) else { return };
    let written = write_corrections(&read).expect("corrections that were read");
    assert_eq!(read_corrections(&written).expect("our own file"), read);
});
