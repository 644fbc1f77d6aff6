//! How `ipgeo dev` ends: by kills under load, by a closed terminal, by Ctrl-C while clients hold half a request; also two
//! starts in one folder, and starts with invalid state. Every answered call is counted.

#![expect(clippy::print_stderr, reason = "what was answered and counted is the result")]

mod hour;
mod month;
mod place;
mod starts;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use place::{Place, agent, call, config, new_key};

const KILLS: usize = 30;
const CALLERS: usize = 4;

/// Calls until `ended`: how many were answered, and how many were cut off.
fn call_until(ended: &AtomicBool, url: &str, key: &str) -> (u64, u64) {
    let (agent, mut answered, mut cut_off) = (agent(), 0, 0);
    while !ended.load(Ordering::Relaxed) {
        match call(&agent, url, key) {
            Some(200) => answered += 1,
            Some(other) => panic!("status {other}"),
            None => {
                cut_off += 1;
                // Killed; other tests cover the next start.
                return (answered, cut_off);
            }
        }
    }
    (answered, cut_off)
}

#[test]
fn thirty_kills_under_load_lose_no_answered_call_and_count_none_twice() {
    let place = Place::new();
    let mut dev = place.dev(&[]);
    let key = new_key(&place);
    let (mut answered, mut cut_off) = (0, 0);
    let mut random = fastrand::Rng::with_seed(30);
    for kill in 0..KILLS {
        let ended = Arc::new(AtomicBool::new(false));
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (ended, url, key) = (Arc::clone(&ended), dev.url(caller % 3), key.clone());
                std::thread::spawn(move || call_until(&ended, &url, &key))
            })
            .collect();
        std::thread::sleep(Duration::from_millis(random.u64(20..400)));
        dev.kill();
        for caller in callers {
            let (whole, cut) = caller.join().expect("a caller");
            (answered, cut_off) = (answered + whole, cut_off + cut);
        }
        // Sometimes with other shards: records of earlier shards are counted too.
        dev = place.dev(if kill % 3 == 2 { &["--shards", "3", "--stream-faults", "7"] } else { &[] });
    }
    let logged = place.logged();
    place.wait_until_counted(logged);
    // A call that was cut off may have been logged before the kill; then it is counted.
    assert!(
        (answered..=answered + cut_off).contains(&logged),
        "{answered} calls were answered, {cut_off} cut off, {logged} counted"
    );
    eprintln!(
        "{KILLS} kills: {answered} calls answered, {answered} of them counted; {cut_off} cut off by a kill, {} of them counted",
        logged - answered
    );
    dev.signal("-TERM");
    assert_eq!(dev.ended(), Some(0));
}

#[test]
fn every_termination_signal_counts_answered_calls_first_and_leaves_no_service_behind() {
    let place = Place::new();
    let mut calls = 0;
    let mut key = String::new();
    for name in ["-HUP", "-TERM", "-INT"] {
        // The lag is longer than the test, so only shutdown can have counted the calls.
        let mut dev = place.late_dev();
        if key.is_empty() {
            key = new_key(&place);
        }
        let agent = agent();
        for number in 0..50 {
            assert_eq!(call(&agent, &dev.url(number % 3), &key), Some(200));
            calls += 1;
        }
        dev.signal(name);
        assert_eq!(dev.ended(), Some(0), "{name}");
        assert!(!place.state().join("world.json").exists(), "{name}");
    }
    let dev = place.late_dev();
    assert_eq!(place.counted(), calls);
    drop(dev);
}

#[test]
fn a_signal_that_follows_the_ready_line_at_once_is_heard() {
    let place = Place::new();
    for name in ["-HUP", "-TERM", "-INT"] {
        let mut dev = place.dev(&[]);
        dev.signal(name);
        assert_eq!(dev.ended(), Some(0), "{name}");
        assert!(!place.state().join("world.json").exists(), "{name}");
    }
}

#[test]
fn ctrl_c_ends_while_clients_hold_half_a_request() {
    let place = Place::new();
    let mut dev = place.dev(&[]);
    let halves = [
        "",
        "GET /8.8.8.8 HTTP/1.1\r\nhost: a",
        "POST /bulk HTTP/1.1\r\nhost: a\r\ncontent-length: 20\r\n\r\n[\"8.8",
        "PRI * HTTP/2.0\r\n\r\nSM",
    ];
    let mut open = Vec::new();
    for half in halves {
        let mut stream = TcpStream::connect(dev.address(0)).expect("it listens");
        stream.write_all(half.as_bytes()).expect("sent");
        open.push(stream);
    }
    std::thread::sleep(Duration::from_millis(200));
    let begun = Instant::now();
    dev.signal("-INT");
    assert_eq!(dev.ended(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(30), "it took {:?}", begun.elapsed());
    drop(open);
}

#[test]
fn a_second_ctrl_c_exits_at_once_and_the_next_run_counts_the_answered_calls() {
    let place = Place::new();
    let mut dev = place.late_dev();
    let key = new_key(&place);
    let agent = agent();
    for _ in 0..20 {
        assert_eq!(call(&agent, &dev.url(0), &key), Some(200));
    }
    // Delays the end, so that the second start finds it running.
    let mut held = TcpStream::connect(dev.address(0)).expect("it listens");
    held.write_all(b"POST /bulk HTTP/1.1\r\nhost: a\r\ncontent-length: 20\r\n\r\n[").expect("sent");
    std::thread::sleep(Duration::from_millis(200));
    dev.signal("-INT");
    while place.state().join("world.json").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    dev.signal("-INT");
    assert_eq!(dev.ended(), Some(130));
    drop(held);
    let dev = place.dev(&[]);
    place.wait_until_counted(20);
    drop(dev);
}

/// The log of a region that is no longer in the file, from an earlier run.
#[test]
fn what_a_removed_region_has_logged_is_counted() {
    let place = Place::new();
    let dev = place.late_dev();
    let key = new_key(&place);
    let agent = agent();
    for _ in 0..10 {
        assert_eq!(call(&agent, &dev.url(1), &key), Some(200));
    }
    dev.kill();
    let text = config("eu-central-1").replace("[regions.sa-east-1]\n", "");
    std::fs::write(place.0.path().join("regions.toml"), text).expect("a file");
    let dev = place.dev(&[]);
    place.wait_until_counted(10);
    drop(dev);
}

/// The lines are the same, however the files of a killed run end.
#[test]
fn half_lines_at_the_end_of_every_file_are_counted_never_or_once() {
    let place = Place::new();
    let dev = place.late_dev();
    let key = new_key(&place);
    let agent = agent();
    for number in 0..30 {
        assert_eq!(call(&agent, &dev.url(number % 3), &key), Some(200));
    }
    dev.kill();
    for run in 0..3 {
        tear(&place.state().join("stores"));
        let dev = place.dev(&[]);
        assert_eq!(call(&agent, &dev.url(0), &key), Some(200));
        place.wait_until_counted(31 + run);
        assert_eq!(place.logged(), 31 + run);
        dev.kill();
    }
}

/// Appends half a line to every log and every file of the stream's copy.
fn tear(folder: &Path) {
    let mut torn = BTreeMap::new();
    for below in [folder.to_owned(), folder.join("stream")] {
        for entry in std::fs::read_dir(below).expect("a folder") {
            let path = entry.expect("an entry").path();
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            if ["log", "jsonl"].contains(&extension) {
                let text = std::fs::read_to_string(&path).expect("text");
                let half =
                    text.lines().last().map_or("{\"ipgeo\":1,", |line| &line[..line.len() / 2]).to_owned();
                let mut file = std::fs::OpenOptions::new().append(true).open(&path).expect("open");
                file.write_all(half.as_bytes()).expect("written");
                torn.insert(path, half);
            }
        }
    }
    assert!(!torn.is_empty());
}
