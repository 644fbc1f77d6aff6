//! A running `ipgeo dev`, and its memory use.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The program that is measured.
const IPGEO: &str = env!("CARGO_BIN_EXE_ipgeo");

/// A local service in a temporary folder; it ends when dropped.
pub(crate) struct Dev {
    child: Child,
    state: TempDir,
    config: PathBuf,
    /// `127.0.0.1:port` of each region.
    pub(crate) regions: Vec<String>,
}

impl Dev {
    /// Starts one of `config` with more flags, and waits until all regions answer. `IPGEO_BENCH_DATABASE` names a
    /// compiled database; by default, the sample is served.
    pub(crate) fn start(config: &Path, flags: &[&str]) -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(IPGEO);
        command.arg("--config").arg(config).arg("--state").arg(state.path());
        command.args(["dev", "--json", "--port", "0"]).args(flags);
        if let Some(database) = std::env::var_os("IPGEO_BENCH_DATABASE") {
            command.arg("--database").arg(database);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let ready: Value = serde_json::from_str(&line).expect("JSON");
        let urls = ready["regions"].as_array().expect("regions").iter();
        let regions = urls.map(|region| region["url"].as_str().expect("a URL").replace("http://", ""));
        Self { child, regions: regions.collect(), state, config: config.to_owned() }
    }

    /// The description of the served database.
    pub(crate) fn database(&self) -> PathBuf {
        std::env::var_os("IPGEO_BENCH_DATABASE")
            .map_or_else(|| self.state.path().join("geo/sample.mmdb"), PathBuf::from)
    }

    /// Its state folder.
    pub(crate) fn state(&self) -> &Path {
        self.state.path()
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// One field of its status in `/proc`, in MiB. Linux only.
    pub(crate) fn mebibytes(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a status");
        let line = status.lines().find(|line| line.starts_with(field)).expect("a field");
        let kilobytes: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
        kilobytes / 1_024
    }

    /// The output of a verb that uses this service.
    pub(crate) fn ipgeo(&self, verb: &[&str]) -> String {
        let output = Command::new(IPGEO)
            .arg("--config")
            .arg(&self.config)
            .arg("--state")
            .arg(self.state.path())
            .args(verb)
            .arg("--dev")
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ended_or_gone = self.child.kill().and_then(|()| self.child.wait());
    }
}
