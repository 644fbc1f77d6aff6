//! A compiled geo database of any bytes: corrupt, cut, cyclic, deep, huge. It opens or fails with an error, and an open one
//! answers every address in bounded time.
#![no_main]

use std::net::{Ipv4Addr, Ipv6Addr};

use ipgeo_fuzz::lookup::Geo as _;
use ipgeo_geo::Database;
use ipgeo_geo::raw::Layout;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

/// More than any answer of a valid database has; a cycle would write forever.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

fuzz_target!(|data: &[u8]| {
    if let Ok((layout, _)) = Layout::read(data) {
        let _ = layout.find(data, Ipv4Addr::new(8, 8, 8, 8).into());
        for at in 0..data.len().min(256) {
            let _ = layout.data(data).value(at);
        }
    }
    let Ok(database) = Database::from_bytes(data.to_vec()) else { return };
    let tail = data.iter().rev().chain(std::iter::repeat(&0)).take(16).copied().collect::<Vec<u8>>();
    let v6 = Ipv6Addr::from(<[u8; 16]>::try_from(tail).expect("sixteen"));
    let addresses = [
        Ipv4Addr::new(8, 8, 8, 8).into(),
        Ipv4Addr::new(81, 2, 69, 142).into(),
        Ipv4Addr::UNSPECIFIED.into(),
        Ipv4Addr::BROADCAST.into(),
        Ipv6Addr::new(0x2606, 0x4700, 0, 0, 0, 0, 0, 1).into(),
        Ipv6Addr::UNSPECIFIED.into(),
        v6.into(),
    ];
    let mut out = String::new();
    for address in addresses {
        out.clear();
        database.write_location(address, Timestamp::UNIX_EPOCH, &mut out);
        assert!(out.len() < ANSWER_BYTES_MAX);
    }
    for number in [0, 15_169, u32::MAX] {
        let _ = database.asn(number);
    }
    let _ = (database.date().len(), database.attribution());
});
