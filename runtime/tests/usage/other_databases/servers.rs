//! DynamoDB as others wrote it, each served on a free loopback port until its value is dropped.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::operations::Without;
use crate::support::Tables;
use crate::{npm, python::Venv};

/// A way to start a database by other people.
pub(super) struct Database {
    /// Its name and version.
    pub(super) name: &'static str,
    /// The command that serves it on a port of the loopback address. `None`: its package can't be installed here, which was printed.
    command: fn(u16) -> Option<Command>,
    pub(super) without: Without,
}

/// All of them; the one inside `ipgeo dev` is what they are compared with.
pub(super) const DATABASES: [Database; 3] = [
    Database { name: "ministack 1.5.33", command: ministack, without: NOTHING },
    Database { name: "moto 5.2.5", command: moto, without: Without { nested_functions: true, ..NOTHING } },
    Database {
        name: "dynalite 4.0.0",
        command: dynalite,
        without: Without { transactions: true, ..NOTHING },
    },
];
const NOTHING: Without = Without { transactions: false, nested_functions: false };

/// The names of the two tables.
const TABLES: [&str; 2] = ["access", "ledger"];

/// Serves ministack until standard input ends.
const MINISTACK: &str = include_str!("../../../../cli/tests/support/serve.py");

/// Serves moto until standard input ends.
const MOTO: &str = "
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
from moto.server import main
main(['-H', '127.0.0.1', '-p', sys.argv[1]])
";

/// Serves dynalite until standard input ends.
const DYNALITE: &str = "
process.stdin.resume().on('end', () => process.exit(0));
require('dynalite')({ createTableMs: 0 }).listen(Number(process.argv[1]), '127.0.0.1');
";

fn ministack(port: u16) -> Option<Command> {
    let mut command = Venv::with("ministack", &["ministack==1.5.33"])?.python();
    command.args(["-c", MINISTACK]).env("BIND_HOST", "127.0.0.1").env("GATEWAY_PORT", port.to_string());
    command.env_remove("AWS_ENDPOINT_URL");
    Some(command)
}

fn moto(port: u16) -> Option<Command> {
    let mut command = Venv::with("moto", &["moto[server]==5.2.5"])?.python();
    command.args(["-c", MOTO, &port.to_string()]);
    Some(command)
}

fn dynalite(port: u16) -> Option<Command> {
    let folder = npm::folder("dynalite", &["dynalite@4.0.0"])?;
    let mut command = Command::new("node");
    command.current_dir(folder).args(["-e", DYNALITE, &port.to_string()]);
    Some(command)
}

/// A running one.
pub(super) struct Served {
    child: Child,
    pub(super) tables: Tables,
}

impl Database {
    /// Starts it and creates the tables.
    pub(super) async fn serve(&self) -> Option<Served> {
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let mut command = (self.command)(port)?;
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let mut served = Served { child, tables: Tables::unmade(&format!("http://127.0.0.1:{port}")) };
        let began = Instant::now();
        while let Err(error) = served.tables.create().await {
            let ended = served.child.try_wait().expect("a state");
            let is_late = began.elapsed() > Duration::from_mins(1);
            assert!(ended.is_none() && !is_late, "{}: {ended:?} {error:?}", self.name);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        served.await_tables(Some(true)).await;
        Some(served)
    }
}

impl Served {
    /// Makes the tables anew: starting most of these programs takes longer than what is done with them.
    pub(super) async fn empty(&self) {
        for table in TABLES {
            self.tables.ledger.beside(table).delete().await.expect("deleted");
        }
        self.await_tables(None).await;
        self.tables.create().await.expect("created");
        self.await_tables(Some(true)).await;
    }

    /// Waits until both tables are active, or gone (`None`).
    async fn await_tables(&self, state: Option<bool>) {
        let began = Instant::now();
        for table in TABLES {
            while self.tables.ledger.beside(table).is_active().await.expect("a state") != state {
                assert!(began.elapsed() < Duration::from_mins(1), "`{table}` does not become {state:?}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Each of the programs ends with its input.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
