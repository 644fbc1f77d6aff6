//! How `ipgeo dev` ends: by kills under load, by a closed terminal, by Ctrl-C while clients hold half a request; also two
//! starts in one folder, and starts with invalid state. Every answered call is counted.

#![expect(clippy::print_stderr, reason = "what was answered and counted is the result")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

const KILLS: usize = 30;
const CALLERS: usize = 4;
/// Timeout of every step.
const PATIENCE: Duration = Duration::from_mins(2);

fn config(home: &str) -> String {
    format!(
        "[service]\nname = \"ipgeo\"\nhome = \"{home}\"\n[runtime]\naccess_cache_s = 1\n\
         [tiers.anonymous]\nlimit = \"100/day\"\n[tiers.large]\nlimit = \"900_000_000/month\"\n\
         [regions.eu-central-1]\n[regions.sa-east-1]\n[regions.us-east-1]\n"
    )
}

/// A folder with a `regions.toml`, and a state folder in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a folder"));
        place.set_home("eu-central-1");
        place
    }

    fn set_home(&self, home: &str) {
        std::fs::write(self.0.path().join("regions.toml"), config(home)).expect("a file");
    }

    fn state(&self) -> PathBuf {
        self.0.path().join(".ipgeo")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ipgeo"));
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null());
        command.env_remove("IPGEO_CONFIG").env_remove("IPGEO_STATE").env_remove("AWS_PROFILE");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("it runs")
    }

    /// The standard output of a verb that must succeed.
    fn done(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", said(&output));
        String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
    }

    fn dev(&self, args: &[&str]) -> Dev {
        self.dev_of("60", args)
    }

    /// A service whose log lag is longer than any test.
    fn late_dev(&self) -> Dev {
        self.dev_of("3600000", &[])
    }

    fn dev_of(&self, log_lag_ms: &str, args: &[&str]) -> Dev {
        let talk = std::fs::OpenOptions::new().create(true).append(true).open(self.0.path().join("talk"));
        let mut child = self
            .command(&["dev", "--json", "--port", "0", "--no-throttle", "--replication-lag-ms", "20"])
            .args(["--log-lag-ms", log_lag_ms])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(talk.expect("a file"))
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| {
            panic!("not ready: {}", std::fs::read_to_string(self.0.path().join("talk")).unwrap_or_default())
        });
        Dev { child, ready }
    }

    /// Calls that the ledger has, of all API keys.
    fn counted(&self) -> u64 {
        let rows: Value =
            serde_json::from_str(&self.done(&["usage", "report", "--dev", "--by", "key", "--json"]))
                .expect("JSON");
        let rows = rows["rows"].as_array().or(rows.as_array()).expect("rows");
        rows.iter().map(|row| row["calls"].as_u64().expect("a number")).sum()
    }

    /// Waits until the ledger has `calls`.
    fn wait_until_counted(&self, calls: u64) {
        let begun = Instant::now();
        loop {
            let counted = self.counted();
            assert!(counted <= calls, "{counted} are counted, {calls} were made");
            if counted == calls {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{counted} of {calls} are counted");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Complete usage lines in all logs.
    fn logged(&self) -> u64 {
        let files = std::fs::read_dir(self.state().join("stores")).expect("a folder");
        let logs = files.map(|entry| entry.expect("an entry").path());
        let logs = logs.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs.map(|path| std::fs::read_to_string(path).expect("a log").matches('\n').count() as u64).sum()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A running local service; killed when dropped.
struct Dev {
    child: Child,
    ready: Value,
}

impl Dev {
    fn url(&self, region: usize) -> String {
        self.ready["regions"][region]["url"].as_str().expect("a URL").to_owned()
    }

    fn address(&self, region: usize) -> String {
        self.url(region).replace("http://", "")
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().expect("kill runs").success());
    }

    /// The exit status, once it ends by itself.
    fn ended(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a status") {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn kill(mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("killed");
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _killed_or_gone = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// One call; `None`: no complete answer arrived.
fn call(agent: &ureq::Agent, url: &str, key: &str) -> Option<u16> {
    let mut answer = agent.get(format!("{url}/8.8.8.8")).header("x-api-key", key).call().ok()?;
    answer.body_mut().read_to_vec().ok()?;
    Some(answer.status().as_u16())
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

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

/// An API key; `create` waits until every region knows it.
fn new_key(place: &Place) -> String {
    place.done(&["keys", "create", "--dev", "--owner", "load", "--tier", "large"])
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

#[test]
fn of_two_started_together_one_runs_and_the_other_names_it() {
    let place = Place::new();
    let start = || {
        let args = ["dev", "--json", "--port", "0"];
        place.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    };
    let mut both = [start(), start()];
    let begun = Instant::now();
    let loser = loop {
        let ended = both.iter_mut().position(|child| child.try_wait().expect("a status").is_some());
        if let Some(ended) = ended {
            break ended;
        }
        assert!(begun.elapsed() < PATIENCE, "both run");
        std::thread::sleep(Duration::from_millis(20));
    };
    let [first, second] = both;
    let (loser, mut winner) = if loser == 0 { (first, second) } else { (second, first) };
    let told = loser.wait_with_output().expect("it has ended");
    assert_eq!(told.status.code(), Some(1));
    assert!(said(&told).contains(&format!("process {}", winner.id())), "{}", said(&told));
    winner.kill().and_then(|()| winner.wait()).expect("killed");
}

#[test]
fn another_program_on_the_port_of_a_killed_service_is_not_mistaken_for_it() {
    let place = Place::new();
    let dev = place.dev(&[]);
    let ports: Vec<String> =
        std::iter::once(dev.ready["nearest"].as_str().expect("a URL").replace("http://", ""))
            .chain((0..3).map(|region| dev.address(region)))
            .collect();
    dev.kill();
    let others: Vec<TcpListener> = ports.iter().filter_map(|port| TcpListener::bind(port).ok()).collect();
    assert!(!others.is_empty());
    for verb in [
        &["keys", "list", "--dev"][..],
        &["usage", "report", "--dev"],
        &["logs", "--dev"],
        &["probe", "--dev"],
    ] {
        let output = place.run(verb);
        assert_eq!(output.status.code(), Some(1), "{verb:?}");
        assert!(said(&output).contains("is no longer running"), "{verb:?}: {}", said(&output));
    }
    let mut dev = place.dev(&[]);
    place.done(&["keys", "list", "--dev"]);
    dev.signal("-INT");
    assert_eq!(dev.ended(), Some(0));
}

#[test]
fn what_cannot_work_is_refused_with_a_reason_and_a_remedy() {
    let place = Place::new();
    let mut dev = place.dev(&[]);
    dev.signal("-INT");
    assert_eq!(dev.ended(), Some(0));
    let table: [(&[&str], i32, &[&str]); 6] = [
        (&["--port", "65533"], 2, &["4 ports are needed from 65533 on", "`--port 65532` or lower"]),
        (&["--shards", "0"], 2, &["--shards", "1..=100"]),
        (&["--log-lag-ms", "18446744073709551615"], 2, &["--log-lag-ms"]),
        (&["--replication-lag-ms", "18446744073709551615"], 2, &["--replication-lag-ms"]),
        (&["--caller", "10.0.0.1"], 2, &["10.0.0.1 is not a public IP address", "help: pass a public"]),
        (&["--caller", "::1"], 2, &["::1 is not a public IP address"]),
    ];
    for (args, status, told) in table {
        let output = place.run(&[&["dev"], args].concat());
        assert_eq!(output.status.code(), Some(status), "{args:?}: {}", said(&output));
        for text in told {
            assert!(said(&output).contains(text), "{args:?}: {}", said(&output));
        }
    }
    place.set_home("us-east-1");
    let output = place.run(&["dev", "--port", "0"]);
    assert_eq!(output.status.code(), Some(1));
    for text in ["home `eu-central-1`", "`us-east-1`", "--fresh"] {
        assert!(said(&output).contains(text), "{}", said(&output));
    }
    let mut dev = place.dev(&["--fresh"]);
    dev.signal("-INT");
    assert_eq!(dev.ended(), Some(0));
}

#[test]
fn a_page_in_a_folder_that_is_not_there_is_refused_and_makes_no_folder() {
    let place = Place::new();
    let dev = place.dev(&[]);
    for verb in [
        &["usage", "report", "--dev", "--html", "nope/x.html"][..],
        &["probe", "--dev", "--html", "nope/x.html"],
    ] {
        let output = place.run(verb);
        assert_eq!(output.status.code(), Some(1), "{verb:?}");
        assert!(said(&output).contains("there is no folder nope"), "{verb:?}: {}", said(&output));
    }
    let output = place.run(&["geo", "build", "--sample", "--out", "nope/x.mmdb"]);
    assert!(said(&output).contains("there is no folder nope"), "{}", said(&output));
    assert!(!place.0.path().join("nope").exists());
    drop(dev);
}

#[test]
fn idle_connections_block_no_client() {
    let place = Place::new();
    let dev = place.dev(&[]);
    let mut open = Vec::new();
    for number in 0..700 {
        // This process may be allowed fewer files.
        match TcpStream::connect(dev.address(number % 3)) {
            Ok(stream) => open.push(stream),
            Err(_) => break,
        }
    }
    open.truncate(open.len().saturating_sub(20));
    for region in 0..3 {
        let mut stream = TcpStream::connect(dev.address(region)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    eprintln!("{} idle connections, and all ports answer", open.len());
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
