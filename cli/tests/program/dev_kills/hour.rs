//! `ipgeo dev` under a steady load for a long time, killed again and again or never: counts, memory and disk.
//!
//! `IPGEO_DEV_SECONDS` is the time, `IPGEO_DEV_KILLS=0` never kills, `IPGEO_DEV_RATE` is in calls per second;
//! `IPGEO_PROGRAM` names another build of `ipgeo`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::place::{Dev, PATIENCE, Place, agent, said};

/// Each caller uses one region and one of the API keys, and has no API key in every second call.
const CALLERS: u64 = 6;
/// Addresses of callers without an API key; in an hour, most reach their limit of 100 calls a day.
const ADDRESSES: u64 = 1_500;
/// Mean time between two kills.
const ROUND: Duration = Duration::from_mins(1);
/// How much more memory or disk than after the first third is growth.
const GROWTH_MAX: f64 = 1.5;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Calls of one identity, or of all addresses.
#[derive(Debug, Default, Clone, Copy)]
struct Sent {
    allowed: u64,
    refused: u64,
    /// No complete answer arrived before the kill.
    cut_off: u64,
}

/// What was sent: by API key, and under an empty name by all addresses.
type AllSent = BTreeMap<String, Sent>;

fn one_call(agent: &ureq::Agent, url: &str, key: &str, address: u64) -> Option<u16> {
    let mut request = agent.get(format!("{url}/8.8.8.8"));
    request = if key.is_empty() {
        let (high, low) = (address / 250, address % 250 + 1);
        request.header("ipgeo-simulate-address", format!("81.2.{high}.{low}"))
    } else {
        request.header("x-api-key", key)
    };
    let mut answer = request.call().ok()?;
    answer.body_mut().read_to_vec().ok()?;
    Some(answer.status().as_u16())
}

/// One caller's calls until `end`, or until the service is killed.
fn call_at_pace(url: &str, key: &str, every: Duration, end: Instant, seed: u64) -> AllSent {
    let (agent, mut random, mut all) = (agent(), fastrand::Rng::with_seed(seed), AllSent::new());
    let mut due = Instant::now();
    while Instant::now() < end {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        // A service that is slower than the pace is not called faster afterwards.
        due = Instant::now().max(due + every);
        let key = if random.bool() { key } else { "" };
        let sent = all.entry(key.to_owned()).or_default();
        match one_call(&agent, url, key, random.u64(..ADDRESSES)) {
            Some(200) => sent.allowed += 1,
            Some(429) => sent.refused += 1,
            Some(status) => panic!("status {status}"),
            None => {
                sent.cut_off += 1;
                break;
            }
        }
    }
    all
}

/// Calls and refusals that the ledger has, by the name of `AllSent`; `None`: it was not read within the verb's patience, as on
/// a busy machine.
fn in_ledger(place: &Place, keys: &BTreeMap<String, String>) -> Option<BTreeMap<String, (u64, u64)>> {
    let output = place.run(&["usage", "export", "--dev", "-o", "json"]);
    if !output.status.success() {
        assert!(said(&output).contains("timed out"), "{}", said(&output));
        return None;
    }
    let rows: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mut found: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for row in rows.as_array().expect("rows") {
        let identity = row["identity"].as_str().expect("an identity");
        let name = identity.strip_prefix("key#").map_or("", |hash| keys[hash].as_str());
        let (calls, refused) = found.entry(name.to_owned()).or_default();
        let count = row["count"].as_u64().expect("a number");
        match (row["part"].as_str(), row["name"].as_str()) {
            (Some("calls"), _) => *calls += count,
            (Some("verdict"), Some(verdict)) if verdict != "allowed" => *refused += count,
            _ => {}
        }
    }
    Some(found)
}

/// Waits until every answered call is in the ledger; fails if any is there twice. Without kills, all calls were answered, so
/// the numbers are equal.
fn check_counts(place: &Place, keys: &BTreeMap<String, String>, sent: &AllSent) {
    let begun = Instant::now();
    loop {
        let counted = in_ledger(place, keys);
        let mut is_complete = counted.is_some();
        let counted = counted.unwrap_or_default();
        for (name, sent) in sent {
            let (calls, refused) = counted.get(name).copied().unwrap_or_default();
            let attempted = sent.allowed + sent.refused + sent.cut_off;
            assert!(calls <= sent.allowed + sent.cut_off, "{calls} calls are counted: {sent:?}");
            assert!(refused <= sent.refused + sent.cut_off, "{refused} refusals are counted: {sent:?}");
            assert!(calls + refused <= attempted, "{calls} and {refused} are counted: {sent:?}");
            is_complete &= calls >= sent.allowed && refused >= sent.refused;
        }
        if is_complete {
            return;
        }
        assert!(begun.elapsed() < 5 * PATIENCE, "not all is counted: {sent:?}, {counted:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Bytes of all files in a folder.
fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    // A file may be deleted in the meantime.
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |data| data.len());
    entries.map(|path| if path.is_dir() { bytes_in(&path) } else { size(&path) }).sum()
}

/// MiB of memory without files, of the copy of the stream, and of the rest of the stores.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    memory: f64,
    stream: f64,
    stores: f64,
}

impl Sizes {
    #[expect(clippy::cast_precision_loss, reason = "sizes below 2^52")]
    fn of(place: &Place, memory: u64) -> Self {
        let stores = place.state().join("stores");
        let stream = bytes_in(&stores.join("stream"));
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        Self {
            memory: mib(memory),
            stream: mib(stream),
            stores: mib(bytes_in(&stores).saturating_sub(stream)),
        }
    }
}

/// Lets all callers call for `time`; kills the service then, if `kill`. Returns its memory before that, too.
fn calls_for(
    dev: &Dev,
    keys: &BTreeMap<String, String>,
    time: Duration,
    kill: bool,
    seed: u64,
) -> (AllSent, u64) {
    let rate = u32::try_from(setting("IPGEO_DEV_RATE", 200)).expect("a rate");
    let every = Duration::from_secs(CALLERS) / rate;
    // With a kill, callers call until they notice it.
    let end = Instant::now() + if kill { time + PATIENCE } else { time };
    let callers: Vec<_> = keys
        .values()
        .cycle()
        .zip(0..CALLERS)
        .map(|(key, caller)| {
            let (url, key) = (dev.url(usize::try_from(caller % 3).expect("small")), key.clone());
            std::thread::spawn(move || call_at_pace(&url, &key, every, end, seed * CALLERS + caller))
        })
        .collect();
    std::thread::sleep(time);
    let memory = dev.memory();
    if kill {
        dev.signal("-KILL");
    }
    let mut all = AllSent::new();
    for caller in callers {
        add(&mut all, caller.join().expect("a caller"));
    }
    (all, memory)
}

fn add(all: &mut AllSent, more: AllSent) {
    for (name, sent) in more {
        let sum = all.entry(name).or_default();
        sum.allowed += sent.allowed;
        sum.refused += sent.refused;
        sum.cut_off += sent.cut_off;
    }
}

/// Two API keys, one of which reaches its limit: from hash to API key.
fn two_keys(place: &Place) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    for (owner, limit) in [("large", "900000000/month"), ("small", "1000/day")] {
        let create = ["keys", "create", "--dev", "--tier", "large", "--owner", owner, "--quota", limit];
        let key = place.done(&create);
        let list = place.done(&["keys", "list", "--dev", "--owner", owner, "-o", "json"]);
        let rows: Value = serde_json::from_str(&list).expect("JSON");
        keys.insert(rows[0]["hash"].as_str().expect("a hash").to_owned(), key);
    }
    keys
}

/// Fails if the mean of the last third is more than that of the second third allows.
fn check_flat(what: &str, sizes: &[f64]) {
    let third = sizes.len() / 3;
    if third < 3 {
        return;
    }
    let mean = |part: &[f64]| part.iter().sum::<f64>() / f64::from(u32::try_from(part.len()).expect("few"));
    let [first, second, last] = [&sizes[..third], &sizes[third..2 * third], &sizes[2 * third..]].map(mean);
    eprintln!("{what}, MiB, means of the thirds: {first:.1}, {second:.1}, {last:.1}");
    assert!(last <= second * GROWTH_MAX, "{what} grows: {sizes:?}");
}

#[test]
#[ignore = "takes as long as IPGEO_DEV_SECONDS says"]
fn a_long_run_counts_exactly_with_bounded_memory_and_disk() {
    let (time, kill) =
        (Duration::from_secs(setting("IPGEO_DEV_SECONDS", 60)), setting("IPGEO_DEV_KILLS", 1) == 1);
    let place = Place::new();
    let start = || place.dev_of("1000", &["--simulate-address"]);
    let mut dev = start();
    let keys = two_keys(&place);
    let (mut all, mut sizes, mut random) = (AllSent::new(), Vec::new(), fastrand::Rng::with_seed(60));
    let mut rounds = 0;
    let begun = Instant::now();
    while begun.elapsed() < time {
        // From half the mean to one and a half.
        let round = ROUND.mul_f64(0.5 + random.f64()).min(time.saturating_sub(begun.elapsed()));
        let (sent, memory) = calls_for(&dev, &keys, round, kill, rounds);
        add(&mut all, sent);
        rounds += 1;
        if kill {
            dev.kill();
            dev = start();
        }
        check_counts(&place, &keys, &all);
        let now = Sizes::of(&place, memory);
        let sum = |part: fn(&Sent) -> u64| all.values().map(part).sum::<u64>();
        eprintln!(
            "{:>5} s  {} answered, {} refused, {} cut off; memory {:.1}, stream {:.1}, other stores {:.1} MiB",
            begun.elapsed().as_secs(),
            sum(|sent| sent.allowed),
            sum(|sent| sent.refused),
            sum(|sent| sent.cut_off),
            now.memory,
            now.stream,
            now.stores
        );
        sizes.push(now);
    }
    check_flat("memory", &sizes.iter().map(|size| size.memory).collect::<Vec<_>>());
    // The copy of the stream is kept for a day, up to 256 MiB a shard.
    assert!(sizes.iter().all(|size| size.stream < 300.0), "{sizes:?}");
    check_flat("the stores without the stream", &sizes.iter().map(|size| size.stores).collect::<Vec<_>>());
}
