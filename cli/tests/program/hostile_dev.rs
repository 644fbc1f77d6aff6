//! Thousands of bad requests over real connections to `ipgeo dev`: it stays up, no answer is a 5xx, and no log or stored file
//! contains an API key, a caller's address or a requested address.
//!
//! `cargo test --workspace --test program hostile_dev:: -- --ignored --nocapture` sends more than a million.

#![expect(clippy::print_stderr, reason = "the figures of the run are its result")]

#[path = "../../../runtime/tests/support/hostile.rs"]
#[expect(dead_code, unreachable_pub, reason = "shared with the tests of the handler")]
mod hostile;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;
use hostile::{CALLERS, Dice, api_key, check_log, whole_keys};
use ipgeo_runtime::lookup::Event;
use ipgeo_runtime::usage::KinesisRecord;
use serde_json::Value;

const CONFIG: &str = "[service]\nname = \"ipgeo\"\nhome = \"eu-central-1\"\n[tiers.anonymous]\nlimit = \"100/day\"\n\
    [tiers.startup]\nlimit = \"100_000/month\"\n[regions.eu-central-1]\n[regions.sa-east-1]\n";

/// A running local service; it ends when dropped.
struct Dev {
    child: Child,
    folder: tempfile::TempDir,
    ports: Vec<String>,
}

impl Dev {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("regions.toml"), CONFIG).expect("a file");
        let talk = std::fs::File::create(folder.path().join("talk.log")).expect("a file");
        let mut child = Command::new(env!("CARGO_BIN_EXE_ipgeo"))
            .args([
                "dev",
                "--json",
                "--port",
                "0",
                "--no-throttle",
                "--simulate-address",
                "--log-lag-ms",
                "100",
            ])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(talk)
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let ready: Value = serde_json::from_str(&line).expect("JSON");
        let port = |url: &Value| url.as_str().expect("a URL").replace("http://", "");
        let regions = ready["regions"].as_array().expect("regions").iter().map(|region| port(&region["url"]));
        let ports = std::iter::once(port(&ready["nearest"])).chain(regions).collect();
        Self { child, folder, ports }
    }

    fn is_up(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Stops it, and waits until everything is counted.
    fn end(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().expect("kill runs").success());
        assert!(self.child.wait().expect("it ends").success());
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ended_or_gone = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// The event as bytes on a connection, with nothing corrected.
fn on_the_wire(dice: &mut Dice, event: &Event) -> Vec<u8> {
    let mut target = event.raw_path.clone();
    if !event.raw_query_string.is_empty() {
        target = format!("{target}?{}", event.raw_query_string);
    }
    let mut lines =
        vec![format!("{} {target} HTTP/1.1", event.request_context.http.method), "host: ipgeo".to_owned()];
    lines.push(format!("ipgeo-simulate-address: {}", CALLERS[dice.0.usize(0..CALLERS.len())]));
    lines.extend(event.headers.iter().map(|(name, value)| format!("{name}: {value}")));
    let body = event.body.as_deref().unwrap_or_default();
    if dice.0.u8(0..50) != 0 {
        // Otherwise the following bytes would be read as another request.
        lines.push(format!("content-length: {}", body.len()));
    }
    (lines.join("\r\n") + "\r\n\r\n" + body).into_bytes()
}

/// The status of one answer, and whether the connection can be reused.
fn read_answer(connection: &mut BufReader<TcpStream>, is_head: bool) -> std::io::Result<(u16, bool)> {
    let (mut line, mut length, mut goes_on) = (String::new(), 0, true);
    connection.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|text| text.parse().ok());
    let status: u16 = status.ok_or(ErrorKind::UnexpectedEof)?;
    loop {
        line.clear();
        connection.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        match name {
            "content-length" => length = value.trim().parse().expect("a length"),
            "connection" => goes_on = value.trim() != "close",
            _ => {}
        }
    }
    if !is_head {
        let mut body = vec![0; length];
        connection.read_exact(&mut body)?;
    }
    Ok((status, goes_on))
}

/// Sends this many requests to a port; returns the answers by status. A connection closed by the server counts as 0, which is
/// allowed.
fn send(port: &str, count: u64, seed: u64) -> BTreeMap<u16, u64> {
    let (mut dice, mut statuses) = (Dice(fastrand::Rng::with_seed(seed)), BTreeMap::new());
    let mut connection: Option<BufReader<TcpStream>> = None;
    for _ in 0..count {
        let event = dice.event();
        let bytes = on_the_wire(&mut dice, &event);
        let mut open = connection.take().unwrap_or_else(|| {
            let stream = TcpStream::connect(port).expect("it listens");
            // An invalid request may leave the server waiting for the rest of it.
            stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket");
            BufReader::new(stream)
        });
        let sent = open.get_mut().write_all(&bytes);
        let is_head = event.request_context.http.method == "HEAD";
        let told = sent.and_then(|()| read_answer(&mut open, is_head));
        // Closed, or not answered in time: status 0, and the connection is discarded.
        let (status, goes_on) = told.unwrap_or_default();
        assert!(status < 500, "{status} for {}", String::from_utf8_lossy(&bytes));
        *statuses.entry(status).or_default() += 1;
        // Remaining bytes would be read as the next answer.
        if goes_on && status != 400 && open.buffer().is_empty() {
            connection = Some(open);
        }
    }
    statuses
}

/// Everything that the service stores: logs, its copy of the stream (unpacked), its stores.
fn kept(folder: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if path.is_dir() {
            texts.extend(kept(&path));
        } else if extension == "jsonl" {
            texts.extend(std::fs::read_to_string(&path).expect("text").lines().map(unpacked));
        } else if extension == "log" || extension.starts_with("sqlite") {
            let bytes = std::fs::read(&path).expect("bytes");
            texts.extend(String::from_utf8_lossy(&bytes).lines().map(str::to_owned));
        }
    }
    texts
}

/// The envelope in a line of the stream's copy.
fn unpacked(line: &str) -> String {
    let line: Value = serde_json::from_str(line).expect("JSON");
    let record: KinesisRecord = serde_json::from_value(line["record"].clone()).expect("a record");
    let data = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &record.kinesis.data);
    let mut text = String::new();
    MultiGzDecoder::new(data.expect("base64").as_slice()).read_to_string(&mut text).expect("gzip");
    text
}

fn hammered(requests: u64) -> BTreeMap<u16, u64> {
    let begun = Instant::now();
    let mut dev = Dev::start();
    let shares: Vec<_> = (0..4_u64)
        .map(|sender| {
            let port = dev.ports[usize::try_from(sender).expect("few") % dev.ports.len()].clone();
            std::thread::spawn(move || send(&port, requests / 4, sender))
        })
        .collect();
    let mut statuses: BTreeMap<u16, u64> = BTreeMap::new();
    for share in shares {
        for (status, count) in share.join().expect("no 5xx") {
            *statuses.entry(status).or_default() += count;
        }
    }
    assert!(dev.is_up(), "it has ended");
    dev.end();
    let texts = kept(dev.folder.path());
    assert!(texts.iter().any(|text| text.contains("\"ipgeo\":1")), "nothing was kept");
    // A panicking handler closes its connection, which by itself would look like the caller's error.
    assert!(!texts.iter().any(|text| text.contains("panicked")), "it has panicked");
    check_log(texts.iter().map(String::as_str), &whole_keys());
    eprintln!("{statuses:?} in {:.0} s; {} lines and pages kept", begun.elapsed().as_secs_f64(), texts.len());
    statuses
}

#[test]
fn bad_requests_over_http_are_answered_and_leave_nothing_behind() {
    // So that the test generates the contract's API keys.
    assert!(api_key(1).expose().starts_with("ipg_"));
    let statuses = hammered(8_000);
    // Whether a body that is too large meets a limit that is used up (429) before it is refused (413) is a matter of order.
    for status in [200, 204, 400, 401, 404, 405] {
        assert!(statuses.contains_key(&status), "{status} never happened: {statuses:?}");
    }
}

#[test]
#[ignore = "more than a million requests: minutes"]
fn a_million_bad_requests_over_http_are_answered_and_leave_nothing_behind() {
    hammered(1_200_000);
}
