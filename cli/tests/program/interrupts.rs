//! Ctrl-C while a verb waits for AWS, before it has changed anything: the exit status, one sentence, the command that continues.
//! Waits of a run are interrupted in `deploy/interrupts.rs`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What this AWS answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Nothing, ever.
    Mute,
    /// Whose credentials these are, and nothing more.
    Account,
    /// Somebody is updating every edge stack.
    Busy,
}

struct Aws {
    endpoint: String,
    calls: Arc<AtomicUsize>,
}

impl Aws {
    fn start(mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let calls = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&calls);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || serve(&stream, mode, &seen));
            }
        });
        Self { endpoint, calls }
    }
}

fn serve(mut stream: &TcpStream, mode: Mode, calls: &AtomicUsize) {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let lower = line.to_lowercase();
        if let Some(value) = lower.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let body = String::from_utf8_lossy(&body).into_owned();
    calls.fetch_add(1, Ordering::Relaxed);
    let (status, answer) = match (mode, action(&body)) {
        (Mode::Account | Mode::Busy, "GetCallerIdentity") => (
            200,
            "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>a</Arn><UserId>x</UserId>\
             <Account>000000000000</Account></GetCallerIdentityResult></GetCallerIdentityResponse>",
        ),
        (Mode::Busy, "DescribeStacks") => (
            200,
            "<DescribeStacksResponse><DescribeStacksResult><Stacks><member>\
             <StackName>ipgeo-test-edge</StackName><StackId>arn:x</StackId>\
             <CreationTime>2026-11-28T00:00:00Z</CreationTime><StackStatus>UPDATE_IN_PROGRESS</StackStatus>\
             </member></Stacks></DescribeStacksResult></DescribeStacksResponse>",
        ),
        (Mode::Busy, "GetTemplate") => (
            200,
            "<GetTemplateResponse><GetTemplateResult><TemplateBody>Resources: {}</TemplateBody>\
             </GetTemplateResult></GetTemplateResponse>",
        ),
        (Mode::Busy, _) => (404, r#"{"__type":"ResourceNotFoundException","message":"no"}"#),
        // The connection stays open until the program ends.
        _ => return drop(reader.read_line(&mut line)),
    };
    let head =
        format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", answer.len());
    let _ = stream.write_all((head + answer).as_bytes());
}

fn action(body: &str) -> &str {
    body.split('&').find_map(|pair| pair.strip_prefix("Action=")).unwrap_or_default()
}

/// A folder with everything that a deploy needs on this machine.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        std::fs::write(path, bytes).expect("written");
    };
    write(
        "regions.toml",
        b"[service]\nname = \"ipgeo\"\nenvironment = \"test\"\nhome = \"eu-central-1\"\n\
          [runtime]\narchitecture = \"x86_64\"\n[tiers.anonymous]\nlimit = \"1500/day\"\nsite_limit = \"50k/day\"\n\
          [tiers.startup]\nlimit = \"1000/month\"\n\
          [regions.eu-central-1]\n",
    );
    write(".ipgeo/geo/ipgeo.mmdb", &ipgeo_geo::compile::sample().expect("it compiles"));
    // The beginning of a program for x86_64 is all that is checked here.
    let mut program = b"\x7fELF\x02".to_vec();
    program.resize(64, 0);
    program[18] = 62;
    write("bootstrap", &program);
    folder
}

struct Ended {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

fn start(folder: &Path, aws: &Aws, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ipgeo"));
    let names = std::env::vars().map(|(name, _)| name);
    for name in names.filter(|name| name.starts_with("AWS_") || name.starts_with("IPGEO_")) {
        command.env_remove(name);
    }
    command.envs([("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "s")]);
    command.env("AWS_ENDPOINT_URL", &aws.endpoint).env("HOME", folder);
    let file = |name: &str| std::fs::File::create(folder.join(name)).expect("a file");
    command.current_dir(folder).args(args).stdin(Stdio::null());
    command.stdout(file("stdout")).stderr(file("stderr")).spawn().expect("it starts")
}

fn text(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap_or_default()
}

/// Waits until `ready`, sends the signal, and waits for the end.
fn interrupted(mut child: Child, folder: &Path, signal: &str, ready: impl Fn() -> bool) -> Ended {
    let end = Instant::now() + Duration::from_mins(1);
    while !ready() {
        let early = child.try_wait().expect("a state");
        assert!(early.is_none() && Instant::now() < end, "{early:?}: {}", text(folder, "stderr"));
        std::thread::sleep(Duration::from_millis(10));
    }
    Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs");
    let status = loop {
        if let Some(status) = child.try_wait().expect("a state") {
            break status;
        }
        if Instant::now() > end {
            let _ = child.kill();
            panic!("it does not end: {}", text(folder, "stderr"));
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    Ended { status: status.code(), stdout: text(folder, "stdout"), stderr: text(folder, "stderr") }
}

/// Every verb that reads or changes a deployment, at its first call and, where it has more, at those that follow.
#[test]
fn an_interrupted_verb_says_that_nothing_was_changed_and_how_to_continue() {
    let folder = folder();
    let deploy = ["deploy", "--yes", "--artifact", "bootstrap"];
    let table: [(Mode, usize, &[&str]); 11] = [
        (Mode::Mute, 1, &["plan"]),
        (Mode::Mute, 1, &deploy),
        (Mode::Mute, 1, &["rollback", "--yes"]),
        (Mode::Mute, 1, &["destroy", "--confirm", "ipgeo-test"]),
        (Mode::Mute, 1, &["traffic", "drain", "us-east-1", "--yes"]),
        (Mode::Mute, 1, &["drift"]),
        (Mode::Mute, 1, &["geo", "rollback", "--yes", "--json"]),
        (Mode::Mute, 1, &["usage", "recover", "--delete"]),
        // While all regions are read.
        (Mode::Account, 3, &["plan", "--artifact", "bootstrap"]),
        (Mode::Account, 3, &deploy),
        (Mode::Account, 3, &["destroy", "--confirm", "ipgeo-test"]),
    ];
    for (mode, calls, args) in table {
        for signal in ["-INT", "-TERM"] {
            let aws = Aws::start(mode);
            let child = start(folder.path(), &aws, args);
            let ready = || aws.calls.load(Ordering::Relaxed) >= calls;
            let ended = interrupted(child, folder.path(), signal, ready);
            let line = args.join(" ");
            assert_eq!(ended.status, Some(130), "{line}: {}", ended.stderr);
            let expected = format!("interrupted: nothing was changed\ncontinue with: ipgeo {line}\n");
            assert!(ended.stderr.ends_with(&expected), "{line}: {}", ended.stderr);
            assert_eq!(ended.stdout, "", "{line}");
        }
    }
}

#[test]
fn a_deploy_that_waits_for_another_one_can_be_interrupted() {
    let folder = folder();
    let aws = Aws::start(Mode::Busy);
    let child = start(folder.path(), &aws, &["deploy", "--yes", "--artifact", "bootstrap"]);
    let waits = || text(folder.path(), "stderr").contains("waiting, nothing is changed yet: ");
    let ended = interrupted(child, folder.path(), "-INT", waits);
    assert_eq!(ended.status, Some(130), "{}", ended.stderr);
    assert!(ended.stderr.contains("edge stack of eu-central-1 (UPDATE_IN_PROGRESS)"), "{}", ended.stderr);
    assert!(ended.stderr.contains("interrupted: nothing was changed\ncontinue with: ipgeo deploy --yes"));
}
