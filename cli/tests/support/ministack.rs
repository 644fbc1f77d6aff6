//! An emulator of AWS for one test: `ministack` on a free loopback port, stopped after the test.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::python::Venv;
use crate::raw::agent;

/// The emulator, and the client that it needs for its own routes.
pub(crate) const PACKAGES: [&str; 1] = ["ministack==1.5.33"];

const SERVE: &str = include_str!("serve.py");

/// A running emulator.
#[derive(Debug)]
pub(crate) struct Ministack {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Ministack {
    /// Starts one and waits until it answers. It writes only to a temporary folder.
    pub(crate) fn start(venv: &Venv) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let log = std::fs::File::create(folder.path().join("log")).expect("a log");
        let child = venv
            .python()
            .args(["-c", SERVE])
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("TMPDIR", folder.path())
            .env("LAMBDA_EXECUTOR", "local")
            .env_remove("AWS_ENDPOINT_URL")
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("Python runs");
        let mut ministack = Self { child, port, folder };
        ministack.await_ready();
        ministack
    }

    fn await_ready(&mut self) {
        let began = Instant::now();
        let health = format!("{}/_ministack/health", self.endpoint());
        while agent().get(&health).call().is_err() {
            let ended = self.child.try_wait().expect("a state");
            assert!(ended.is_none() && began.elapsed() < Duration::from_mins(1), "{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The URL of all services.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its output.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        // It ends with its input; if that takes too long, it is killed.
        drop(self.child.stdin.take());
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(10) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
