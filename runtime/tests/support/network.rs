//! The network before a store, made to fail: it throttles, loses answers after the store has taken the write, answers
//! garbage, and kills the writer before or after a write. Seeded; it works below HTTP, so everything above is tested.
#![allow(unreachable_pub, missing_docs, clippy::allow_attributes, reason = "a part of tests")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Failures per thousand writes, by kind.
const THROTTLED: u32 = 20;
const LOST: u32 = 20;
const GARBLED: u32 = 20;

const THROTTLE: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow down"}"#;
/// Garbled answers to a write.
const GARBAGE: [(u16, &str); 4] =
    [(200, "{}"), (200, r#"{"Attributes":{"n":{"#), (200, "<html>busy</html>"), (502, "bad gateway")];

/// Numbers of injected failures.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    pub writes: u32,
    pub throttled: u32,
    pub lost: u32,
    pub garbled: u32,
    pub killed: u32,
}

#[derive(Debug)]
struct Chance {
    rng: fastrand::Rng,
    done: Done,
    /// Writes until the writer is killed.
    kill_in: Option<u32>,
    /// The process whose connections are served; those of a killed one are closed.
    process: u32,
    dead: bool,
}

/// A network of one run.
#[derive(Debug)]
pub struct Network {
    pub killed: Notify,
    chance: Mutex<Chance>,
}

enum Fate {
    Well,
    Throttled,
    Lost,
    Garbled(u16, &'static str),
    Killed { taken: bool },
    Dead,
}

impl Network {
    /// Serves a network in front of `server`; also returns its address.
    pub async fn before(server: SocketAddr, seed: u64) -> (Arc<Self>, String) {
        let rng = fastrand::Rng::with_seed(seed);
        let chance = Chance { rng, done: Done::default(), kill_in: None, process: 0, dead: false };
        let network = Arc::new(Self { killed: Notify::new(), chance: Mutex::new(chance) });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let accepting = Arc::clone(&network);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let network = Arc::clone(&accepting);
                let process = network.chance.lock().expect("unpoisoned").process;
                tokio::spawn(async move { network.serve(client, server, process).await });
            }
        });
        (network, endpoint)
    }

    /// Serves a new process, which is killed `kill_in` writes from now.
    pub fn start(&self, kill_in: Option<u32>) {
        let mut chance = self.chance.lock().expect("unpoisoned");
        chance.process += 1;
        (chance.kill_in, chance.dead) = (kill_in, false);
    }

    pub fn done(&self) -> Done {
        self.chance.lock().expect("unpoisoned").done
    }

    fn fate(&self, request: &[u8], process: u32) -> Fate {
        let mut chance = self.chance.lock().expect("unpoisoned");
        if chance.dead || chance.process != process {
            return Fate::Dead;
        }
        let head = String::from_utf8_lossy(&request[..request.len().min(2_000)]).to_ascii_lowercase();
        if !head.contains(".updateitem\r") && !head.contains(".putitem\r") {
            return Fate::Well;
        }
        chance.done.writes += 1;
        if let Some(left) = &mut chance.kill_in {
            *left -= 1;
            if *left == 0 {
                chance.dead = true;
                chance.done.killed += 1;
                return Fate::Killed { taken: chance.rng.bool() };
            }
        }
        match chance.rng.u32(0..1_000) {
            n if n < THROTTLED => {
                chance.done.throttled += 1;
                Fate::Throttled
            }
            n if n < THROTTLED + LOST => {
                chance.done.lost += 1;
                Fate::Lost
            }
            n if n < THROTTLED + LOST + GARBLED => {
                chance.done.garbled += 1;
                let (status, body) = GARBAGE[chance.rng.usize(0..GARBAGE.len())];
                Fate::Garbled(status, body)
            }
            _ => Fate::Well,
        }
    }

    /// One connection: requests one after another, until either end closes or the process is killed.
    async fn serve(&self, mut client: TcpStream, server: SocketAddr, process: u32) -> Option<()> {
        let mut store = TcpStream::connect(server).await.ok()?;
        loop {
            let request = message(&mut client).await?;
            let fate = self.fate(&request, process);
            let answer = match fate {
                Fate::Throttled => http(400, THROTTLE),
                Fate::Dead => return self.hang(client).await,
                Fate::Killed { taken: false } => {
                    self.killed.notify_one();
                    return self.hang(client).await;
                }
                Fate::Well | Fate::Lost | Fate::Garbled(..) | Fate::Killed { .. } => {
                    store.write_all(&request).await.ok()?;
                    message(&mut store).await?
                }
            };
            match fate {
                Fate::Lost => return None,
                Fate::Garbled(status, body) => client.write_all(&http(status, body)).await.ok()?,
                Fate::Killed { .. } => {
                    self.killed.notify_one();
                    return self.hang(client).await;
                }
                _ => client.write_all(&answer).await.ok()?,
            }
        }
    }

    /// Stops answering until the process at the other end is gone.
    async fn hang(&self, mut client: TcpStream) -> Option<()> {
        let mut rest = [0; 1_024];
        while client.read(&mut rest).await.ok()? > 0 {}
        None
    }
}

fn http(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// One complete HTTP/1.1 message with its body; `None` when the other end has closed.
async fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
            assert!(!text.contains("transfer-encoding"), "bodies come with their length: {text}");
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |length| length.trim().parse().expect("a length"));
            let whole = head + 4 + length;
            let have = bytes.len();
            if have < whole {
                bytes.resize(whole, 0);
                stream.read_exact(&mut bytes[have..]).await.ok()?;
            }
            return Some(bytes);
        }
        let mut more = [0; 8_192];
        let read = stream.read(&mut more).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&more[..read]);
    }
}
