//! The program in a folder of its own, its local service, and callers.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Timeout of every step.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) fn config(home: &str) -> String {
    format!(
        "[service]\nname = \"ipgeo\"\nhome = \"{home}\"\n[runtime]\naccess_cache_s = 1\n\
         [tiers.anonymous]\nlimit = \"100/day\"\n[tiers.large]\nlimit = \"900_000_000/month\"\n\
         [regions.eu-central-1]\n[regions.sa-east-1]\n[regions.us-east-1]\n"
    )
}

/// A folder with a `regions.toml`, and a state folder in it; more environment variables for the program.
pub(crate) struct Place(pub(crate) tempfile::TempDir, pub(crate) Vec<(&'static str, String)>);

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a folder"), Vec::new());
        place.set_home("eu-central-1");
        place
    }

    pub(crate) fn set_home(&self, home: &str) {
        std::fs::write(self.0.path().join("regions.toml"), config(home)).expect("a file");
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.0.path().join(".ipgeo")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        // Another build may be tried, such as an optimised one.
        let program = std::env::var_os("IPGEO_PROGRAM").unwrap_or(env!("CARGO_BIN_EXE_ipgeo").into());
        let mut command = Command::new(program);
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null());
        command.env_remove("IPGEO_CONFIG").env_remove("IPGEO_STATE").env_remove("AWS_PROFILE");
        command.envs(self.1.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("it runs")
    }

    /// The standard output of a verb that must succeed.
    pub(crate) fn done(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", said(&output));
        String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
    }

    pub(crate) fn dev(&self, args: &[&str]) -> Dev {
        self.dev_of("60", args)
    }

    /// A service whose log lag is longer than any test.
    pub(crate) fn late_dev(&self) -> Dev {
        self.dev_of("3600000", &[])
    }

    pub(crate) fn dev_of(&self, log_lag_ms: &str, args: &[&str]) -> Dev {
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
    pub(crate) fn counted(&self) -> u64 {
        let rows: Value =
            serde_json::from_str(&self.done(&["usage", "report", "--dev", "--by", "key", "--json"]))
                .expect("JSON");
        let rows = rows["rows"].as_array().or(rows.as_array()).expect("rows");
        rows.iter().map(|row| row["calls"].as_u64().expect("a number")).sum()
    }

    /// Waits until the ledger has `calls`.
    pub(crate) fn wait_until_counted(&self, calls: u64) {
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
    pub(crate) fn logged(&self) -> u64 {
        let files = std::fs::read_dir(self.state().join("stores")).expect("a folder");
        let logs = files.map(|entry| entry.expect("an entry").path());
        let logs = logs.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs.map(|path| std::fs::read_to_string(path).expect("a log").matches('\n').count() as u64).sum()
    }
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A running local service; killed when dropped.
pub(crate) struct Dev {
    child: Child,
    pub(crate) ready: Value,
}

impl Dev {
    pub(crate) fn url(&self, region: usize) -> String {
        self.ready["regions"][region]["url"].as_str().expect("a URL").to_owned()
    }

    pub(crate) fn address(&self, region: usize) -> String {
        self.url(region).replace("http://", "")
    }

    /// Bytes of memory that is not a file's; 0 where there is no `/proc`.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or_default();
        line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) << 10
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().expect("kill runs").success());
    }

    /// The exit status, once it ends by itself.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a status") {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("killed");
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _killed_or_gone = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// One call; `None`: no complete answer arrived.
pub(crate) fn call(agent: &ureq::Agent, url: &str, key: &str) -> Option<u16> {
    let mut answer = agent.get(format!("{url}/8.8.8.8")).header("x-api-key", key).call().ok()?;
    answer.body_mut().read_to_vec().ok()?;
    Some(answer.status().as_u16())
}

pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

/// An API key; `create` waits until every region knows it.
pub(crate) fn new_key(place: &Place) -> String {
    place.done(&["keys", "create", "--dev", "--owner", "load", "--tier", "large"])
}
