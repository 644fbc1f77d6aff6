//! A measured program: how it is started, and its resource use according to the system.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ipgeo_contract::env;

/// The endpoint and root certificates of the store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// No store.
    None,
    /// Over HTTP.
    Plain,
    /// Over HTTPS.
    Tls,
}

/// A program under measurement.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    /// The program, and its arguments.
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Its working folder.
    pub(crate) folder: PathBuf,
    pub(crate) store: Store,
    /// The endpoint that early counts are reported to.
    pub(crate) home: Option<String>,
    /// Whether this file is what is deployed, so its size is meaningful.
    pub(crate) is_whole: bool,
    /// Whether it starts in milliseconds, so that it can be started often.
    pub(crate) is_quick: bool,
}

/// The settings of all programs.
pub(crate) struct World {
    pub(crate) database: PathBuf,
    pub(crate) plain: String,
    pub(crate) tls: String,
    /// Files with the store's certificate only, and with it and this machine's root certificates.
    pub(crate) roots: [PathBuf; 2],
    /// The folder of the installed peers.
    pub(crate) peers: PathBuf,
}

impl Subject {
    /// Starts it as Lambda does; its log is discarded.
    pub(crate) fn start(&self, world: &World, api: &str) -> (Child, Instant) {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .current_dir(&self.folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LAMBDA_TASK_ROOT", &self.folder)
            .env("_HANDLER", "function.handler")
            .env("AWS_EXECUTION_ENV", "AWS_Lambda_provided")
            .env("AWS_LAMBDA_RUNTIME_API", api)
            .env("AWS_LAMBDA_FUNCTION_NAME", "ipgeo")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "s")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "g")
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_DEFAULT_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
            .env("AWS_SESSION_TOKEN", "c2Vzc2lvbg==".repeat(40))
            // For the peers: the folder of their packages, and whether to read the API key's record.
            .env("PEER_MODULES", world.peers.join("node/package.json"))
            .env("PEER_STORE", if self.store == Store::None { "" } else { "boto3" })
            .env(env::HANDLER, env::HANDLER_LOOKUP)
            .env(env::ACCESS_TABLE, "access")
            .env(env::ACCESS_CACHE_S, "3600")
            .env(env::GEO_DATABASE, &world.database)
            .env(env::ANONYMOUS_LIMIT, "1500/day")
            .env(env::ANONYMOUS_SITE_LIMIT, "1500/day")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        match self.store {
            Store::None => {}
            Store::Plain => drop(command.env(env::ENDPOINT_DYNAMODB, &world.plain)),
            Store::Tls => {
                command.env(env::ENDPOINT_DYNAMODB, &world.tls);
                let [own, machine] = &world.roots;
                command.env(env::CA_BUNDLE, own).env("SSL_CERT_FILE", machine);
            }
        }
        if let Some(home) = &self.home {
            command
                .env(env::HOME_FUNCTION, "usage")
                .env(env::HOME_ALIAS, "live")
                .env(env::HOME_REGION, "eu-central-1")
                .env(env::ENDPOINT_LAMBDA, home);
        }
        let start = Instant::now();
        (command.spawn().expect("the program starts"), start)
    }

    /// Whether it is installed. Only programs given by a path are checked.
    pub(crate) fn is_there(&self) -> bool {
        let arguments = self.arguments.iter().map(Path::new);
        let mut paths =
            arguments.chain([self.program.as_path()]).filter(|path| path.components().count() > 1);
        paths.all(Path::exists)
    }

    /// Size of the program in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        std::fs::metadata(&self.program).map_or(0, |meta| meta.len())
    }
}

/// Processor time of all threads of a process.
pub(crate) fn processor_time(pid: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("threads");
    let spent = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(spent.sum())
}

/// Resident memory of a process, KiB.
#[derive(Clone, Copy, Default)]
pub(crate) struct Resident {
    /// Anonymous pages.
    pub(crate) anonymous: u64,
    /// File pages, except the database's.
    pub(crate) files: u64,
}

pub(crate) fn resident(pid: u32, database: &Path) -> Resident {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    Resident {
        anonymous: kilobytes(&status, "RssAnon:"),
        files: kilobytes(&status, "RssFile:").saturating_sub(database_pages(pid, database)),
    }
}

fn kilobytes(text: &str, field: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn database_pages(pid: u32, database: &Path) -> u64 {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/smaps")).expect("a map of memory");
    let name = database.to_string_lossy();
    let mut pages = 0;
    let mut inside = false;
    for line in maps.lines() {
        // The first line of a mapping starts with its addresses and ends with its file.
        if line.split_once(' ').is_some_and(|(first, _)| first.contains('-')) {
            inside = line.ends_with(name.as_ref());
        } else if inside {
            pages += kilobytes(line, "Rss:");
        }
    }
    pages
}
