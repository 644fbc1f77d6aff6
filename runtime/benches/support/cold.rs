//! A first lookup while nothing of the file is in memory.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use ipgeo_geo::Database;
use memmap2::Mmap;

/// One first lookup.
pub(super) struct Run {
    /// Opening the database.
    pub(super) open: Duration,
    /// The lookup and writing its answer.
    pub(super) lookup: Duration,
    /// Major page faults of the lookup: those that waited for the device.
    pub(super) major: u64,
}

/// Drops a file from the page cache, and verifies that.
fn drop_cache(path: &Path) {
    let file = File::open(path).expect("the file");
    file.sync_all().expect("nothing is left to write");
    // Pages that are being read ahead can't be dropped until they have arrived.
    for _ in 0..200 {
        #[expect(unsafe_code, reason = "advice about a file that is open")]
        // SAFETY: the descriptor is open, and the call has no other precondition.
        let advised = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        assert_eq!(advised, 0, "the cache can't be dropped");
        if resident(&file) == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("pages of {} stay in memory", path.display());
}

/// Pages of a file that are in the page cache.
fn resident(file: &File) -> usize {
    #[expect(unsafe_code, reason = "mapping a file that nobody changes")]
    // SAFETY: nobody writes to the file meanwhile.
    let map = unsafe { Mmap::map(file) }.expect("a map");
    let mut pages = vec![0_u8; map.len().div_ceil(4_096)];
    #[expect(unsafe_code, reason = "asking which pages are there")]
    // SAFETY: the mapping has this length, and there is a byte for each of its pages.
    let failed = unsafe { libc::mincore(map.as_ptr().cast_mut().cast(), map.len(), pages.as_mut_ptr()) };
    assert_eq!(failed, 0, "the kernel reports no residency");
    pages.iter().filter(|page| **page & 1 == 1).count()
}

/// Major page faults of this process so far.
fn major_faults() -> u64 {
    #[expect(unsafe_code, reason = "a structure of numbers, filled by the kernel")]
    // SAFETY: all zeros are a valid `rusage`, and the call fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    u64::try_from(usage.ru_majflt).unwrap_or(0)
}

fn measured<D>(
    path: &Path,
    pause: Duration,
    open: impl FnOnce() -> D,
    lookup: impl FnOnce(&D) -> usize,
) -> Run {
    drop_cache(path);
    let begun = Instant::now();
    let database = open();
    let opened = begun.elapsed();
    std::thread::sleep(pause);
    let before = major_faults();
    let begun = Instant::now();
    std::hint::black_box(lookup(&database));
    let elapsed = begun.elapsed();
    Run { open: opened, lookup: elapsed, major: major_faults() - before }
}

/// Our reader.
pub(super) fn ours(path: &Path, address: IpAddr, pause: Duration) -> Run {
    let mut out = String::with_capacity(8_192);
    let open = || Database::open(path).expect("a compiled database");
    measured(path, pause, open, |database| {
        if let Some(location) = database.lookup(address) {
            location.write_static(&mut out);
        }
        out.len()
    })
}

/// The `maxminddb` crate, on the file as it is mapped by default.
pub(super) fn theirs(path: &Path, address: IpAddr, pause: Duration) -> Run {
    let open = || {
        let file = File::open(path).expect("the file");
        #[expect(unsafe_code, reason = "mapping a file that nobody changes")]
        // SAFETY: nobody writes to the file meanwhile.
        let map = unsafe { Mmap::map(&file) }.expect("a map");
        maxminddb::Reader::from_source(map).expect("a database")
    };
    measured(path, pause, open, |reader| {
        let found = reader.lookup(address).expect("a lookup");
        let value: Option<serde_json::Value> = found.decode().expect("a record");
        value.map_or(0, |value| value.to_string().len())
    })
}

/// Time of an uncached read of 4 KiB: the median of reads all over the file.
pub(super) fn device(path: &Path, reads: usize) -> Duration {
    let file = File::open(path).expect("the file");
    #[expect(unsafe_code, reason = "advice about a file that is open")]
    // SAFETY: the descriptor is open, and the call has no other precondition.
    unsafe {
        libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_RANDOM);
    }
    drop_cache(path);
    let pages = file.metadata().expect("its length").len() / 4_096;
    let mut bytes = [0; 4_096];
    let mut times: Vec<Duration> = (0..reads as u64)
        .map(|read| {
            let page = (read * 0x9e37_79b9 + 17) % pages;
            let begun = Instant::now();
            file.read_exact_at(&mut bytes, page * 4_096).expect("a page");
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}
