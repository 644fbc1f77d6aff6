//! A lookup with its JSON answer, beside the ordinary way: the `maxminddb` crate decoding its City struct,
//! and `serde_json`, in the same run.
//!
//! `IPGEO_BENCH_DATABASE` names a compiled database (else the benches build nothing and say so),
//! `IPGEO_BENCH_SOURCE` a MaxMind-layout or flat source of IPv4 for the ordinary way.

#![expect(clippy::print_stderr, reason = "a bench says what it leaves out")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ipgeo_runtime::geo::Database;
use ipgeo_runtime::geo::raw::Layout;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A flat record, decoded whole: what a service on the `maxminddb` crate does for this source.
#[derive(Serialize, Deserialize)]
struct FlatCity<'a> {
    #[serde(borrow)]
    country_code: Option<&'a str>,
    state1: Option<&'a str>,
    state2: Option<&'a str>,
    city: Option<&'a str>,
    postcode: Option<&'a str>,
    latitude: Option<f32>,
    longitude: Option<f32>,
    timezone: Option<&'a str>,
}

/// Random public-looking IPv4 addresses; a fixed generator, so that runs compare.
fn addresses() -> impl Iterator<Item = IpAddr> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let bits = (state >> 32) as u32 % 0xdf00_0000 + 0x0100_0000;
        IpAddr::V4(Ipv4Addr::from_bits(bits))
    })
}

fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from)
}

fn ours(c: &mut Criterion) {
    let Some(path) = named("IPGEO_BENCH_DATABASE") else {
        eprintln!("IPGEO_BENCH_DATABASE is not set: no lookup is measured");
        return;
    };
    let database = Database::open(&path).expect("a compiled database");
    let now: Timestamp = "2026-11-24T12:00:00Z".parse().expect("a timestamp");
    let file = std::fs::read(&path).expect("the same file");
    let (layout, _) = Layout::read(&file).expect("a database");
    let mut group = c.benchmark_group("lookup");
    let mut next = addresses();
    group.bench_function("tree walk alone", |b| {
        b.iter_batched(
            || next.next().expect("endless"),
            |address| layout.find(&file, black_box(address)),
            BatchSize::SmallInput,
        );
    });
    let mut out = String::with_capacity(4_096);
    group.bench_function("all fields, without the clock", |b| {
        b.iter_batched(
            || next.next().expect("endless"),
            |address| {
                out.clear();
                if let Some(location) = database.lookup(black_box(address)) {
                    location.write_static(&mut out);
                }
                out.len()
            },
            BatchSize::SmallInput,
        );
    });
    let mut out = String::with_capacity(4_096);
    group.bench_function("all fields, time_zone as of now", |b| {
        b.iter_batched(
            || next.next().expect("endless"),
            |address| {
                out.clear();
                if let Some(location) = database.lookup(black_box(address)) {
                    location.write_static(&mut out);
                    location.write_time_zone(black_box(now), &mut out);
                }
                out.len()
            },
            BatchSize::SmallInput,
        );
    });
}

fn theirs(c: &mut Criterion) {
    let Some(path) = named("IPGEO_BENCH_SOURCE") else {
        eprintln!("IPGEO_BENCH_SOURCE is not set: the ordinary way is not measured");
        return;
    };
    let reader = maxminddb::Reader::open_readfile(path).expect("a source database");
    let mut next = addresses();
    c.benchmark_group("lookup").bench_function("maxminddb crate, struct and serde_json", |b| {
        b.iter_batched(
            || next.next().expect("endless"),
            |address| {
                let found = reader.lookup(black_box(address)).expect("a lookup");
                let city: Option<FlatCity<'_>> = found.decode().expect("a record");
                serde_json::to_string(&city).expect("json").len()
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, ours, theirs);
criterion_main!(benches);
