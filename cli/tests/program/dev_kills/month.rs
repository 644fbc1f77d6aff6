//! More than a month of traffic in `ipgeo dev` with a moved clock: two ends of months, daily and monthly limits, lines that are
//! counted in the next month, and kills. `libfaketime` moves the wall clock of the unchanged program; `IPGEO_FAKETIME` names its
//! library. Timers keep their pace.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use serde_json::Value;

use super::place::{Dev, PATIENCE, Place, agent};

/// From the day of the test on: always two ends of months.
const DAYS: i64 = 63;
/// Times of a day with calls, in minutes: just after and just before its ends, too.
const TIMES: [i64; 3] = [8, 12 * 60, 23 * 60 + 48];
/// Days between two kills.
const KILL_EVERY: i64 = 9;

/// The clock that all programs read.
struct Clock<'a> {
    file: &'a Path,
}

impl Clock<'_> {
    /// Sets the clock to a time of a day after today.
    fn set(&self, day: i64, minutes: i64) -> Timestamp {
        let now = Timestamp::now();
        let today = TimeZone::UTC.to_datetime(now).date();
        let midnight = today.checked_add(day.days()).expect("a date").at(0, 0, 0, 0);
        let then = TimeZone::UTC.to_timestamp(midnight).expect("a time") + SignedDuration::from_mins(minutes);
        std::fs::write(self.file, format!("{:+}", then.duration_since(now).as_secs())).expect("written");
        then
    }
}

/// A caller: its name, the header that names it, its limit, and whether that is by month.
struct Caller {
    name: &'static str,
    header: (&'static str, String),
    limit: u64,
    is_monthly: bool,
}

/// Allowed and refused calls.
type Answers = BTreeMap<(String, String), (u64, u64)>;

/// Calls of all callers at one time; every refused call must be beyond its limit.
fn calls(dev: &Dev, callers: &[Caller], day: &str, random: &mut fastrand::Rng, answers: &mut Answers) {
    for caller in callers {
        for call in 0..random.usize(0..4) {
            let (name, value) = &caller.header;
            let request = agent().get(format!("{}/8.8.8.8", dev.url(call % 3))).header(*name, value);
            let mut answer = request.call().expect("an answer");
            answer.body_mut().read_to_vec().expect("a body");
            let period = if caller.is_monthly { &day[..7] } else { day };
            let used: u64 = answers
                .iter()
                .filter(|((name, day), _)| name == caller.name && day.starts_with(period))
                .map(|(_, (allowed, _))| allowed)
                .sum();
            let (allowed, refused) = answers.entry((caller.name.to_owned(), day.to_owned())).or_default();
            match answer.status().as_u16() {
                200 => *allowed += 1,
                429 => {
                    *refused += 1;
                    assert!(used >= caller.limit, "{} is refused after {used} calls on {day}", caller.name);
                }
                status => panic!("status {status}"),
            }
        }
    }
}

/// Allowed calls by caller and day, and refused ones by caller and month, in the ledger. Names are by hash.
fn in_ledger(place: &Place, names: &BTreeMap<String, &str>) -> (BTreeMap<(String, String), u64>, u64) {
    let rows = place.done(&["usage", "export", "--dev", "-o", "json"]);
    let rows: Value = serde_json::from_str(&rows).expect("JSON");
    let (mut days, mut refused) = (BTreeMap::new(), 0);
    for row in rows.as_array().expect("rows") {
        let text = |name: &str| row[name].as_str().expect("a text");
        let count = row["count"].as_u64().expect("a number");
        let name = text("identity").strip_prefix("key#").map_or("address", |hash| names[hash]);
        match text("part") {
            "day" => *days.entry((name.to_owned(), text("name").to_owned())).or_default() += count,
            "verdict" if text("name") != "allowed" => refused += count,
            _ => {}
        }
    }
    (days, refused)
}

#[test]
#[ignore = "needs libfaketime, and takes minutes"]
fn a_month_of_traffic_is_counted_by_day_and_every_limit_begins_anew_at_its_period() {
    let library = std::env::var("IPGEO_FAKETIME").expect("IPGEO_FAKETIME names the library of libfaketime");
    let mut place = Place::new();
    let file = place.0.path().join("clock");
    let clock = Clock { file: &file };
    clock.set(0, TIMES[0]);
    place.1 = vec![
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let start = || place.dev_of("1000", &["--simulate-address"]);
    let mut dev = start();
    let address = ("ipgeo-simulate-address", "81.2.69.160".to_owned());
    let mut callers = vec![Caller { name: "address", header: address, limit: 100, is_monthly: false }];
    let mut names = BTreeMap::new();
    for (name, limit, is_monthly) in [("daily", 4, false), ("monthly", 90, true), ("free", 900_000, false)] {
        let quota = format!("{limit}/{}", if is_monthly { "month" } else { "day" });
        let create = ["keys", "create", "--dev", "--tier", "large", "--owner", name, "--quota", &quota];
        callers.push(Caller { name, header: ("x-api-key", place.done(&create)), limit, is_monthly });
        let list = place.done(&["keys", "list", "--dev", "--owner", name, "-o", "json"]);
        let rows: Value = serde_json::from_str(&list).expect("JSON");
        names.insert(rows[0]["hash"].as_str().expect("a hash").to_owned(), name);
    }
    let (mut answers, mut random) = (Answers::new(), fastrand::Rng::with_seed(31));
    for day in 0..DAYS {
        for minutes in TIMES {
            let now = clock.set(day, minutes);
            let date = TimeZone::UTC.to_datetime(now).date().to_string();
            calls(&dev, &callers, &date, &mut random, &mut answers);
        }
        if day % KILL_EVERY == KILL_EVERY - 1 {
            // The last calls of the day are counted by the next run, in some months on the first of the next month.
            dev.kill();
            clock.set(day + 1, 1);
            dev = start();
        }
    }
    let sent: BTreeMap<_, _> =
        answers.iter().filter(|(_, (n, _))| *n > 0).map(|(k, (n, _))| (k.clone(), *n)).collect();
    let refused: u64 = answers.values().map(|(_, refused)| refused).sum();
    let begun = std::time::Instant::now();
    while in_ledger(&place, &names) != (sent.clone(), refused) {
        assert!(begun.elapsed() < PATIENCE, "{:?} instead of {sent:?}, {refused}", in_ledger(&place, &names));
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    eprintln!("{DAYS} days: {} calls by caller and day equal, {refused} refused", sent.values().sum::<u64>());
    drop(dev);
}
