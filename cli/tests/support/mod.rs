//! The program as an operator runs it: verbs, and a local service that they use.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::allow_attributes,
    reason = "each test file uses its part"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../regions.toml");

pub fn ipgeo(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ipgeo"));
    command.args(["--config", CONFIG, "--state"]).arg(state).env_remove("AWS_PROFILE");
    command
}

pub fn run(state: &Path, args: &[&str]) -> Output {
    printed(ipgeo(state).args(args).output().expect("it runs"))
}

/// Repeats a program's messages, so that `.ci/run` searches them for API keys. A created API key is on standard output, which is
/// not repeated.
fn printed(output: Output) -> Output {
    let _ = std::io::stderr().write_all(&output.stderr);
    output
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// The standard output of a verb that must succeed.
pub fn done(state: &Path, args: &[&str]) -> String {
    let output = run(state, args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
    stdout(&output).trim_end().to_owned()
}

/// A running `ipgeo dev`; stopped when dropped.
pub struct Dev {
    child: Child,
    pub ready: Value,
}

impl Dev {
    pub fn start(state: &Path) -> Self {
        let mut child = ipgeo(state)
            .args(["dev", "--json", "--port", "0", "--simulate-address", "--log-lag-ms", "50"])
            .args(["--replication-lag-ms", "50"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        Self { child, ready: serde_json::from_str(&line).expect("one line of JSON") }
    }

    pub fn nearest(&self) -> &str {
        self.ready["nearest"].as_str().expect("a URL")
    }

    /// Stops it, and waits for its end.
    pub fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-INT", &pid]).status().expect("kill runs");
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().expect("a status") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

pub fn wait_for(mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "it did not come true in twenty seconds");
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub fn get(url: &str, key: Option<&str>) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut request = agent.get(url);
    if let Some(key) = key {
        request = request.header("x-api-key", key);
    }
    let mut answer = request.call().expect("an answer");
    (answer.status().as_u16(), answer.body_mut().read_to_string().expect("text"))
}

/// Runs a verb with a text on its standard input.
pub fn with_input(state: &Path, args: &[&str], input: &str) -> Output {
    let mut child = ipgeo(state)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("written");
    printed(child.wait_with_output().expect("it ends"))
}
