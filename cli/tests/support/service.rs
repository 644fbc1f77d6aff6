//! A service on an emulator, and its operator: a `regions.toml`, the program, and callers of its edges.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::ministack::Ministack;
use crate::python::run;
use crate::raw::{Raw, agent, texts};

/// Timeout of a run of the program.
const PATIENCE: Duration = Duration::from_mins(4);

/// The service's name, in the name of every resource.
pub(crate) const NAME: &str = "ipgeo-test";
/// The emulator's account.
pub(crate) const ACCOUNT: &str = "000000000000";
/// Its home region.
pub(crate) const HOME: &str = "eu-central-1";

/// The content of a `regions.toml`.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) regions: Vec<&'static str>,
    pub(crate) memory_mb: u32,
    pub(crate) domain: bool,
}

/// A service on an emulator.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) raw: Raw,
    folder: tempfile::TempDir,
    emulator: String,
    /// The emulator's URL for the program and the functions.
    endpoint: String,
    bootstrap: PathBuf,
}

/// A run of the program, ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// An edge's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) json: Value,
}

/// The function's program for this machine's processor, which the emulator runs as Lambda would.
fn bootstrap() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        // The function's own test needs the program too, so tests of the complete workspace have built it already.
        let arguments = ["test", "--quiet", "--locked", "--workspace", "--no-run", "--test", "runtime"];
        run(Command::new(env!("CARGO")).args(arguments).current_dir(project)).expect("the function is built");
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("../debug/bootstrap").canonicalize().expect("a program")
    })
}

impl Service {
    /// A service that is not deployed yet. The program reaches the emulator by `endpoint`.
    pub(crate) fn on(ministack: &Ministack, endpoint: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = ipgeo_geo::compile::sample().expect("it compiles");
        std::fs::create_dir_all(folder.path().join("state/geo")).expect("a folder");
        std::fs::write(folder.path().join("state/geo/ipgeo.mmdb"), database).expect("a file");
        Self {
            raw: Raw::new(&ministack.endpoint()),
            folder,
            emulator: ministack.endpoint(),
            endpoint: endpoint.to_owned(),
            bootstrap: bootstrap().to_owned(),
        }
    }

    /// Writes `regions.toml`.
    pub(crate) fn wish(&self, wish: &Wish) {
        let mut text = format!("[service]\nname = \"ipgeo\"\nenvironment = \"test\"\nhome = \"{HOME}\"\n");
        if wish.domain {
            text += "domain = \"api.example.com\"\nhosted_zone = \"example.com\"\n";
        }
        let database = self.folder.path().join("state/geo/ipgeo.mmdb");
        let _ = write!(
            text,
            "[emulator]\nendpoint = \"{}\"\ngeo_database = \"{}\"\nlog_pipe = false\n\
             [runtime]\narchitecture = \"x86_64\"\nmemory_mb = {}\naccess_cache_s = 1\n\
             [tiers.anonymous]\nlimit = \"1500/day\"\nsite_limit = \"50k/day\"\n\
             [tiers.startup]\nlimit = \"1000/month\"\n",
            self.endpoint,
            database.display(),
            wish.memory_mb,
        );
        for region in &wish.regions {
            let _ = writeln!(text, "[regions.{region}]");
        }
        self.write(&text);
    }

    /// The path of a file of the operator.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("a path of text").to_owned()
    }

    /// Writes another `regions.toml`.
    pub(crate) fn write(&self, text: &str) {
        std::fs::write(self.folder.path().join("regions.toml"), text).expect("a file");
    }

    /// Replaces a part of `regions.toml`.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let path = self.folder.path().join("regions.toml");
        let text = std::fs::read_to_string(&path).expect("a file");
        let edited = text.replace(from, to);
        assert_ne!(text, edited);
        std::fs::write(path, edited).expect("a file");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ipgeo"));
        command.args(arguments).arg("--config").arg(self.folder.path().join("regions.toml"));
        command.arg("--state").arg(self.folder.path().join("state"));
        for variable in ["AWS_PROFILE", "AWS_ENDPOINT_URL", "IPGEO_CONFIG", "IPGEO_STATE"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Starts the program; its output goes to files.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let file = |name: &str| std::fs::File::create(self.folder.path().join(name)).expect("a file");
        self.command(arguments).stdout(file("stdout")).stderr(file("stderr")).spawn().expect("it starts")
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let mut child = self.start(arguments);
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("a state") {
                break status;
            }
            if began.elapsed() > PATIENCE {
                let _ = child.kill();
                panic!("ipgeo {} hangs: {}", arguments.join(" "), self.said("stderr"));
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let ran = Ran { status, stdout: self.said("stdout"), stderr: self.said("stderr") };
        // Printed, so that `.ci/run` searches it for API keys.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), ran.stderr.as_bytes());
        ran
    }

    fn said(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    /// Runs the program, which must exit with a status; returns its output.
    pub(crate) fn exits(&self, code: i32, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        let command = arguments.join(" ");
        assert_eq!(ran.status.code(), Some(code), "ipgeo {command}\n{}\n{}", ran.stdout, ran.stderr);
        ran
    }

    /// `ipgeo deploy`, without prompts.
    pub(crate) fn deploy(&self) -> Ran {
        self.exits(0, &self.deploy_arguments())
    }

    pub(crate) fn deploy_arguments(&self) -> Vec<&str> {
        let bootstrap = self.bootstrap.to_str().expect("a path of text");
        vec!["deploy", "--yes", "--no-input", "--progress", "lines", "--artifact", bootstrap]
    }

    /// `ipgeo plan --json`; the plan, and whether it is empty.
    pub(crate) fn plan(&self) -> (Value, bool) {
        let bootstrap = self.bootstrap.to_str().expect("a path of text");
        let ran = self.run(&["plan", "--json", "--check", "--artifact", bootstrap]);
        let plan = serde_json::from_str(&ran.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", ran.stdout, ran.stderr));
        match ran.status.code() {
            Some(0) => (plan, true),
            Some(3) => (plan, false),
            _ => panic!("{}\n{}", ran.stdout, ran.stderr),
        }
    }

    /// Requests a region's edge through API Gateway.
    pub(crate) fn get(&self, region: &str, path: &str, api_key: Option<&str>) -> Answer {
        let form = format!("Action=DescribeStacks&Version=2010-05-15&StackName={NAME}-edge");
        let stack = self.raw.form(region, "cloudformation", &form).expect("an edge stack");
        let outputs = texts(&stack, "OutputKey").into_iter().zip(texts(&stack, "OutputValue"));
        let api = outputs.filter(|(key, _)| key == "ApiId").map(|(_, value)| value).next().expect("an API");
        let port = self.emulator.rsplit(':').next().unwrap_or_default();
        let mut request = agent()
            .get(format!("{}{path}", self.emulator))
            .header("host", format!("{api}.execute-api.localhost:{port}"));
        if let Some(key) = api_key {
            request = request.header("x-api-key", key);
        }
        let mut answer = request.call().expect("an answer");
        let text = answer.body_mut().read_to_string().expect("text");
        Answer {
            status: answer.status().as_u16(),
            json: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        }
    }

    /// The service's resources in the AWS regions that tests use.
    pub(crate) fn census(&self, regions: &[&str]) -> BTreeSet<String> {
        self.raw.census(NAME, regions.iter().copied())
    }

    /// Waits until exactly these resources exist: replicas follow the stack a moment later.
    pub(crate) fn settles(&self, regions: &[&str], expected: &BTreeSet<String>) {
        until("what there should be, and nothing else", || {
            let there = self.census(regions);
            let missing: Vec<_> = expected.difference(&there).collect();
            let orphans: Vec<_> = there.difference(expected).collect();
            if missing.is_empty() && orphans.is_empty() {
                return Ok(());
            }
            Err(format!("missing {missing:?}, too many {orphans:?}"))
        });
    }
}

/// Polls until the condition holds.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match ask() {
            Ok(found) => return found,
            Err(why) if began.elapsed() > Duration::from_mins(1) => panic!("{what}: {why}"),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}
