//! Readers in other languages, each a process that reads requests from standard input.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use ipgeo_geo::Database;
use serde_json::Value;

/// Lookups in a round, fewer because theirs take longer.
pub(super) const LOOKUPS_OF_PEERS: usize = 10_000;
/// Addresses for which every reader must return the same as ours.
const COMPARED: usize = 1_000;

/// A running peer; it ends when its input does.
pub(super) struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// Description of what is measured.
pub(super) fn title(language: &str) -> &'static str {
    if language == "Python" {
        "Python maxminddb (C extension) and json.dumps"
    } else {
        "Node maxmind and JSON.stringify"
    }
}

impl Peer {
    /// Starts a peer on a database and the addresses of `set`; prints a note and returns `None` if it isn't installed.
    pub(super) fn start(language: &str, target: &Path, database: &Path, set: &str) -> Option<Self> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
        let (program, script) = match language {
            "Python" => (target.join("python/bin/python"), "lookup.py"),
            _ => ("node".into(), "lookup.js"),
        };
        let installed =
            if language == "Python" { program.clone() } else { target.join("node/node_modules/maxmind") };
        if !installed.exists() {
            eprintln!("skipping {language}: runtime/benches/peers/install.sh installs it");
            return None;
        }
        let mut child = Command::new(program)
            .arg(scripts.join(script))
            .args([database, &target.join(set), &target.join("node")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the peer starts");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("its output"));
        Some(Self { child, input, output })
    }

    fn ask(&mut self, verb: &str, from: usize, count: usize) {
        let input = self.input.as_mut().expect("its input");
        writeln!(input, "{verb} {from} {count}").expect("it listens");
        input.flush().expect("it listens");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it answers");
        line
    }

    /// Nanoseconds per lookup, starting at the given address.
    pub(super) fn time(&mut self, from: usize) -> f64 {
        self.ask("time", from, LOOKUPS_OF_PEERS);
        self.line().trim().parse().expect("a number")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

/// Compares a peer's reading of the compiled database with ours.
pub(super) fn agrees(language: &str, target: &Path, path: &Path, database: &Database, addresses: &[IpAddr]) {
    let Some(mut peer) = Peer::start(language, target, path, "random") else { return };
    peer.ask("tell", 0, COMPARED);
    for address in &addresses[..COMPARED] {
        let theirs: Value = serde_json::from_str(&peer.line()).expect("JSON");
        let mut ours = String::new();
        if let Some(location) = database.lookup(*address) {
            location.write_static(&mut ours);
        }
        let area = &theirs["area"];
        let texts = [&theirs["place"], &area["text"], &area["country"], &theirs["asn"]];
        let theirs: Vec<&str> = texts.into_iter().filter_map(Value::as_str).collect();
        assert_eq!(theirs.join(","), ours, "{language} on {address}");
    }
    eprintln!("{language} reads the compiled database as we do: {COMPARED} addresses equal");
}
