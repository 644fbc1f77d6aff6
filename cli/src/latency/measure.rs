//! Cold requests, phase by phase: the name is looked up, a connection made, TLS agreed on, the request sent,
//! and the first byte awaited. Every sample opens a connection of its own, as a new caller would.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self as tls, ClientConfig, RootCertStore};

use super::http::{REPLY_BYTES_MAX, Reply, read_reply};
use crate::infra::cloud::ProbeTarget;

/// What is asked for: it needs no API key and is not counted.
const HEALTH_PATH: &str = "/health";
/// Regions that are asked at once; within a region one sample follows the other.
const REGIONS_AT_ONCE: usize = 8;
/// Between two samples of a region, so that nobody takes it for a flood.
const PAUSE: Duration = Duration::from_millis(50);

/// An edge to ask, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Where it is reached.
    pub target: ProbeTarget,
    /// The city that its region is near.
    pub near: String,
}

/// How long the phases of one request took, ms.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Phases {
    /// Looking the name up; none when it is an address.
    pub dns: Option<f64>,
    /// Connecting.
    pub connect: f64,
    /// Agreeing on TLS; none without it.
    pub tls: Option<f64>,
    /// From the request to the first byte of its answer.
    pub first_byte: f64,
}

impl Phases {
    /// All of them together.
    pub fn total(&self) -> f64 {
        self.dns.unwrap_or_default() + self.connect + self.tls.unwrap_or_default() + self.first_byte
    }
}

/// One request: its phases and its answer, or why there was none.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// What came of it.
    pub outcome: Result<(Phases, Reply), String>,
}

/// Asks edges.
#[derive(Clone)]
pub struct Measurer {
    tls: TlsConnector,
    timeout: Duration,
}

impl std::fmt::Debug for Measurer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Measurer").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// A stream that is either plain or under TLS.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}

impl Measurer {
    /// Trusts these roots; a request that takes longer than `timeout` has failed.
    pub fn new(roots: RootCertStore, timeout: Duration) -> Result<Self, tls::Error> {
        let provider = Arc::new(tls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A session that is resumed would be no new caller's.
        config.resumption = tls::client::Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), timeout })
    }

    /// Trusts what this machine trusts.
    pub fn of_machine(timeout: Duration) -> Result<Self, tls::Error> {
        let mut roots = RootCertStore::empty();
        let (_added, _unreadable) =
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Self::new(roots, timeout)
    }

    /// One request for how the edge is; another status than 200, or another region's answer, is a failure.
    pub async fn sample(&self, target: &ProbeTarget) -> Sample {
        let mut sample = self.get(target, HEALTH_PATH).await;
        let judged = sample.outcome.as_ref().map_or(Ok(()), |(_, reply)| judged(target, reply));
        if let Err(why) = judged {
            sample.outcome = Err(why);
        }
        sample
    }

    /// One request for a path, with the target's API key if it has one; whatever the answer is.
    pub async fn get(&self, target: &ProbeTarget, path: &str) -> Sample {
        let asked = tokio::time::timeout(self.timeout, self.ask(target, path)).await;
        let outcome = asked.unwrap_or_else(|_| Err(format!("no answer within {} s", self.timeout.as_secs())));
        Sample { outcome }
    }

    async fn ask(&self, target: &ProbeTarget, path: &str) -> Result<(Phases, Reply), String> {
        let mut phases = Phases::default();
        let default_port = if target.tls { 443 } else { 80 };
        let (name, port) = split_port(target.connect.as_deref().unwrap_or(&target.host), default_port);

        let began = Instant::now();
        let addresses: Vec<_> = tokio::net::lookup_host((name.as_str(), port))
            .await
            .map_err(|error| format!("{name} can't be looked up: {error}"))?
            .collect();
        if name.parse::<IpAddr>().is_err() {
            phases.dns = Some(ms(began));
        }

        let began = Instant::now();
        let stream = TcpStream::connect(addresses.as_slice())
            .await
            .map_err(|error| format!("{name} can't be connected to: {error}"))?;
        let _small_packets_may_wait = stream.set_nodelay(true);
        phases.connect = ms(began);

        let (host, _) = split_port(&target.host, default_port);
        let mut stream: Box<dyn Wire> = if target.tls {
            let name = ServerName::try_from(host.clone()).map_err(|_| format!("{host} is no host's name"))?;
            let began = Instant::now();
            let stream = self.tls.connect(name, stream).await.map_err(|error| format!("TLS: {error}"))?;
            phases.tls = Some(ms(began));
            Box::new(stream)
        } else {
            Box::new(stream)
        };

        let api_key = target.api_key.as_ref().map(|key| format!("x-api-key: {}\r\n", key.expose()));
        let api_key = api_key.unwrap_or_default();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\nuser-agent: ipgeo-probe/{}\r\naccept: application/json\r\n\
             {api_key}connection: close\r\n\r\n",
            target.host,
            env!("CARGO_PKG_VERSION")
        );
        let began = Instant::now();
        stream.write_all(request.as_bytes()).await.map_err(|error| format!("send the request: {error}"))?;
        stream.flush().await.map_err(|error| format!("send the request: {error}"))?;
        let mut first = [0; 4_096];
        let count = stream.read(&mut first).await.map_err(|error| format!("read the answer: {error}"))?;
        phases.first_byte = ms(began);
        let reply = rest_of(&first[..count], stream).await?;
        Ok((phases, reply))
    }
}

async fn rest_of(first: &[u8], stream: Box<dyn Wire>) -> Result<Reply, String> {
    let mut bytes = first.to_vec();
    // One byte more than allowed is enough to see that it is too long. Some servers end TLS without saying
    // so; what came before counts.
    let limit = (REPLY_BYTES_MAX + 1) as u64;
    let _whole_or_cut = stream.take(limit).read_to_end(&mut bytes).await;
    if bytes.is_empty() {
        return Err("the connection was closed without an answer".to_owned());
    }
    read_reply(&bytes).map_err(|error| error.to_string())
}

/// Whether it is the right edge that is well.
fn judged(target: &ProbeTarget, reply: &Reply) -> Result<(), String> {
    match &reply.region {
        _ if reply.status != 200 => Err(format!("/health answers {}", reply.status)),
        Some(region) if *region != target.region => Err(format!("{region} answers in its place")),
        _ => Ok(()),
    }
}

/// A host and its port: `a.test:8443`, `[::1]:80`, `a.test`.
fn split_port(text: &str, default: u16) -> (String, u16) {
    let port = |text: &str| text.parse::<u16>().ok();
    match text.rsplit_once(':') {
        Some((host, digits)) if (!host.contains(':') || host.ends_with(']')) && port(digits).is_some() => {
            (host.trim_matches(['[', ']']).to_owned(), port(digits).unwrap_or(default))
        }
        _ => (text.trim_matches(['[', ']']).to_owned(), default),
    }
}

/// Asks every edge `count` times; `tell` is called after every request with the region.
pub async fn measure_all(
    measurer: &Measurer,
    edges: &[Edge],
    count: u32,
    tell: &(dyn Fn(&str) + Sync),
) -> Vec<Vec<Sample>> {
    stream::iter(edges)
        .map(|edge| async move {
            let mut samples = Vec::new();
            for index in 0..count {
                if index > 0 {
                    tokio::time::sleep(PAUSE).await;
                }
                samples.push(measurer.sample(&edge.target).await);
                tell(&edge.target.region);
            }
            samples
        })
        .buffered(REGIONS_AT_ONCE)
        .collect()
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        let table = [
            ("a.test", ("a.test", 443)),
            ("a.test:8443", ("a.test", 8443)),
            ("127.0.0.1:4171", ("127.0.0.1", 4171)),
            ("[::1]:80", ("::1", 80)),
            ("::1", ("::1", 443)),
            ("a.test:http", ("a.test:http", 443)),
        ];
        for (text, (host, port)) in table {
            assert_eq!(split_port(text, 443), (host.to_owned(), port), "{text}");
        }
    }
}
