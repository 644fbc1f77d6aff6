//! Where the examples of one document run: an empty folder each for those that need no service, and one local service for the others.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use ipgeo_contract::ApiKey;
use serde_json::Value;

use crate::examples::page::Example;
use crate::support::wait_for;

/// The start of the address that documents show for the nearest region; the regions have the ports after it.
const SHOWN_PORT: usize = 4170;

/// The examples of one document.
#[derive(Debug)]
pub(crate) struct Session {
    folder: tempfile::TempDir,
    config: PathBuf,
    service: Option<Service>,
    /// Addresses and API keys of this run, with those in the document.
    shown: Vec<(String, String)>,
    /// Requests that the counter must have counted before the next command.
    requests: u64,
    imports: usize,
}

/// A running `ipgeo dev`, killed when dropped.
#[derive(Debug)]
struct Service {
    child: Child,
    nearest: String,
    regions: Vec<(String, String)>,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

impl Session {
    pub(crate) fn new(root: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = root.join("regions.toml");
        fs::copy(&config, folder.path().join("regions.toml")).expect("copied");
        fs::create_dir(folder.path().join("bin")).expect("a folder");
        symlink(env!("CARGO_BIN_EXE_ipgeo"), folder.path().join("bin/ipgeo")).expect("a link");
        Self { folder, config, service: None, shown: Vec::new(), requests: 0, imports: 0 }
    }

    /// Runs an example; returns both outputs, with the document's addresses and API keys.
    pub(crate) fn run(&mut self, example: &Example) -> Vec<String> {
        let mut command = example.command.clone();
        for (real, shown) in &self.shown {
            command = command.replace(shown, real);
        }
        let printed = if command == "ipgeo dev" {
            self.start("")
        } else if command.starts_with("curl ") {
            self.curl(&command)
        } else if command.contains("--dev") {
            if self.service.is_none() {
                self.start("--simulate-address --log-lag-ms 50 --replication-lag-ms 50");
                self.fill();
            }
            self.prepare(&command);
            self.shell(self.folder.path(), &command)
        } else {
            let alone = tempfile::tempdir_in(self.folder.path()).expect("a folder");
            // `init` writes the file itself.
            if !command.starts_with("ipgeo init") {
                fs::copy(&self.config, alone.path().join("regions.toml")).expect("copied");
            }
            if command.starts_with("ipgeo lookup") || command.starts_with("ipgeo bulk") {
                self.shell(alone.path(), "ipgeo geo build --sample");
                let rows = "ann,8.8.8.8\nbob,1.1.1.1\ncarol,10.0.0.1\n";
                fs::write(alone.path().join("visits.csv"), format!("user,ip\n{rows}")).expect("written");
            }
            self.shell(alone.path(), &command)
        };
        self.note_api_key(&example.output, &printed);
        printed.into_iter().map(|line| self.as_shown(line)).collect()
    }

    fn as_shown(&self, line: String) -> String {
        self.shown.iter().fold(line, |line, (real, shown)| line.replace(real, shown))
    }

    /// A created API key differs in each run; from here on, the document's stands for it.
    fn note_api_key(&mut self, documented: &[String], printed: &[String]) {
        if let (Some(shown), Some(real)) = (api_key_in(documented), api_key_in(printed))
            && shown != real
        {
            let hint = |key: &str| format!("…{}", &key[key.len() - 4..]);
            self.shown.push((hint(&real), hint(&shown)));
            self.shown.push((real, shown));
        }
    }

    fn command(&self, folder: &Path, line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec 2>&1\n{line}")]).current_dir(folder).stdin(Stdio::null());
        for name in ["IPGEO_CONFIG", "IPGEO_STATE", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL"] {
            command.env_remove(name);
        }
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}/bin:{path}", self.folder.path().display())).env("NO_COLOR", "1");
        // How often progress is printed depends on the machine.
        command.env("IPGEO_PROGRESS", "none");
        command
    }

    fn shell(&self, folder: &Path, line: &str) -> Vec<String> {
        let output = self.command(folder, line).output().expect("a shell");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    /// Starts the service on free ports; what its screen shows.
    fn start(&mut self, flags: &str) -> Vec<String> {
        let mut child = self
            .command(self.folder.path(), &format!("exec ipgeo dev --port 0 {flags}"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let (sender, lines) = channel();
        let mut reader = BufReader::new(child.stdout.take().expect("piped")).lines();
        // It reads to the end, so that the service never waits for its screen.
        std::thread::spawn(move || {
            while let Some(Ok(line)) = reader.next() {
                let _ = sender.send(line);
            }
        });
        let screen = until_quiet(&lines);
        let world = self.folder.path().join(".ipgeo/world.json");
        let world: Value = serde_json::from_slice(
            &fs::read(world).unwrap_or_else(|error| panic!("{error}: {}", screen.join(" "))),
        )
        .expect("JSON");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let regions: Vec<_> = world["regions"].as_array().expect("regions").iter().collect();
        let regions: Vec<_> = regions.iter().map(|row| (text(&row["region"]), text(&row["url"]))).collect();
        let nearest = text(&world["nearest"]);
        let urls = std::iter::once(&nearest).chain(regions.iter().map(|(_, url)| url));
        self.shown.extend(
            urls.enumerate().map(|(at, url)| (url.clone(), format!("http://127.0.0.1:{}", SHOWN_PORT + at))),
        );
        self.service = Some(Service { child, nearest, regions });
        screen.into_iter().map(|line| line.trim_end().to_owned()).collect()
    }

    fn service(&self) -> &Service {
        self.service.as_ref().expect("a running service: the document starts one with `ipgeo dev`")
    }

    /// A request as the documents write it: `curl [-H "x-api-key: KEY"] localhost:4170/PATH`.
    fn curl(&mut self, line: &str) -> Vec<String> {
        let key = line.split_once("x-api-key: ").and_then(|(_, rest)| rest.split('"').next());
        let path = line.split_once(&format!("localhost:{SHOWN_PORT}")).expect("a path").1.trim();
        let url = format!("{}{path}", self.service().nearest);
        let (_, body) = self.request(&url, key.map(|key| ("x-api-key", key)));
        body.lines().map(str::to_owned).collect()
    }

    fn request(&mut self, url: &str, header: Option<(&str, &str)>) -> (u16, String) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut request = agent.get(url);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let mut answer = request.call().expect("an answer");
        self.requests += 1;
        (answer.status().as_u16(), answer.body_mut().read_to_string().expect("text"))
    }

    /// The customers and calls of the examples: `acme` near its limit in three regions, `zoo` beyond its limit, a malformed API key, and
    /// an anonymous call from a site. The API keys are always the same, so the documents name them by their hints.
    fn fill(&mut self) {
        let (acme, zoo) = (api_key(1), api_key(2));
        let file =
            |name: &str, text: String| fs::write(self.folder.path().join(name), text).expect("written");
        file("api-key.txt", format!("{acme}\n"));
        file(
            "first.csv",
            format!("owner,tier,limit,api_key\nacme,startup,50/day,{acme}\nzoo,business,2/day,{zoo}\n"),
        );
        self.shell(self.folder.path(), "ipgeo keys import first.csv --dev");
        // It ends when every region knows the API key; a call before that would be one with an unknown API key.
        self.shell(self.folder.path(), "ipgeo keys verify - --dev --all-regions < api-key.txt");
        let url = |session: &Self, name: &str| {
            let regions = &session.service().regions;
            let (_, url) = regions.iter().find(|(region, _)| region == name).expect("a region");
            format!("{url}/8.8.8.8")
        };
        for region in ["eu-central-1", "us-east-1", "sa-east-1"] {
            let url = url(self, region);
            for _ in 0..15 {
                self.request(&url, Some(("x-api-key", &acme)));
            }
        }
        let url = url(self, "eu-west-1");
        wait_for(|| self.request(&url, Some(("x-api-key", &zoo))).0 == 429);
        self.request(&url, Some(("x-api-key", "ipg_mistyped")));
        self.request(&url, Some(("referer", "https://shop.example/")));
    }

    /// The state that an example expects: all calls counted, and the file that it imports, with errors the first time.
    fn prepare(&mut self, command: &str) {
        wait_for(|| self.counted() >= self.requests);
        if command.starts_with("ipgeo keys import customers.csv") {
            self.imports += 1;
            let (first, second) = (api_key(3), api_key(4));
            let rows = if self.imports == 1 {
                format!(
                    "museum,startup,,{first}\nlibrary,statrup,5/week,{second}\narchive,startup,,0123456789abcdef"
                )
            } else {
                format!("museum,startup,,{first}\nlibrary,startup,5k/day,{second}")
            };
            let text = format!("owner,tier,limit,api_key\n{rows}\n");
            fs::write(self.folder.path().join("customers.csv"), text).expect("written");
        }
    }

    /// Requests in the ledger.
    fn counted(&self) -> u64 {
        let report =
            self.shell(self.folder.path(), "ipgeo usage report --dev --by verdict --json").join("\n");
        let rows: Value = serde_json::from_str(&report).unwrap_or_default();
        let requests = |row: &Value| row["requests"].as_u64().unwrap_or_default();
        rows.as_array().map_or(0, |rows| rows.iter().map(requests).sum())
    }
}

/// The lines until no more arrive.
fn until_quiet(lines: &Receiver<String>) -> Vec<String> {
    let mut wait = Duration::from_mins(1);
    let mut screen = Vec::new();
    while let Ok(line) = lines.recv_timeout(wait) {
        screen.push(line);
        wait = Duration::from_secs(2);
    }
    screen
}

/// An API key that is the same in every run.
fn api_key(seed: u8) -> String {
    let mut byte = seed;
    let fill = |bytes: &mut [u8]| {
        for slot in bytes {
            byte = byte.wrapping_mul(37).wrapping_add(11);
            *slot = byte;
        }
    };
    ApiKey::generate("ipg", fill).expect("an API key").expose().to_owned()
}

/// The first API key in some lines: `ipg_` and 36 characters.
fn api_key_in(lines: &[String]) -> Option<String> {
    lines.iter().find_map(|line| {
        let text = &line[line.find("ipg_")?..];
        let end = text.char_indices().find(|(_, c)| !c.is_ascii_alphanumeric() && *c != '_');
        let key = &text[..end.map_or(text.len(), |(at, _)| at)];
        (key.len() == 40).then(|| key.to_owned())
    })
}
