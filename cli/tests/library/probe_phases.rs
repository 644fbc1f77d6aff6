//! Measuring a region by its phases, against servers on loopback that wait at chosen points.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ipgeo::internals::infra::cloud::ProbeTarget;
use ipgeo::internals::observe::probe::{ProbeClient, ProbeState, ProbedEdge, measure_all, summarise};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// The events at a server, in order.
type Seen = Arc<Mutex<Vec<String>>>;

/// The behaviour of a server.
#[derive(Clone, Copy)]
struct Manner {
    before_tls: Duration,
    before_answer: Duration,
    answer: &'static str,
}

const WELL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 74\r\n\r\n{\"status\":\"ok\",\"region\":\"eu-west-1\",\"database_date\":\"2026-11-01\",\"x\":\"12\"}";

fn see(seen: &Seen, what: impl Into<String>) {
    seen.lock().expect("a lock").push(what.into());
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, manner: Manner, seen: Seen) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 1_024]);
    while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
        let count = stream.read(&mut buffer).await.expect("a request");
        bytes.extend_from_slice(&buffer[..count]);
    }
    let text = String::from_utf8(bytes).expect("UTF-8");
    see(&seen, text.lines().next().expect("a line").to_owned());
    see(&seen, text.lines().find(|line| line.starts_with("host:")).expect("a host").to_owned());
    tokio::time::sleep(manner.before_answer).await;
    stream.write_all(manner.answer.as_bytes()).await.expect("written");
    stream.shutdown().await.expect("closed");
}

/// Starts a server with or without TLS; returns its port.
async fn server(tls: Option<TlsAcceptor>, manner: Manner, seen: Seen) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            see(&seen, "connected");
            match &tls {
                Some(acceptor) => {
                    tokio::time::sleep(manner.before_tls).await;
                    // A caller that does not trust the certificate disconnects here.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        see(&seen, "tls");
                        answer(stream, manner, Arc::clone(&seen)).await;
                    }
                }
                None => answer(stream, manner, Arc::clone(&seen)).await,
            }
        }
    });
    port
}

/// A certificate for `a.test`, and roots that trust it.
fn certificate() -> (TlsAcceptor, RootCertStore) {
    let made = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).expect("a certificate");
    let der: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![der.clone()], key)
        .expect("a server");
    let mut roots = RootCertStore::empty();
    roots.add(der).expect("a root");
    (TlsAcceptor::from(Arc::new(config)), roots)
}

fn edge(host: &str, connect: Option<String>, tls: bool) -> ProbedEdge {
    let target = ProbeTarget {
        region: ipgeo_contract::RegionName::new("eu-west-1"),
        host: host.to_owned(),
        connect,
        tls,
        api_key: None,
    };
    ProbedEdge { target, near: "Dublin".into() }
}

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_plain_edge_has_no_tls_phase_and_an_address_no_dns_phase() {
    let seen = Seen::default();
    let manner =
        Manner { before_tls: Duration::ZERO, before_answer: Duration::from_millis(40), answer: WELL };
    let port = server(None, manner, Arc::clone(&seen)).await;
    let edges = [edge(&format!("127.0.0.1:{port}"), None, false)];
    let client = ProbeClient::new(RootCertStore::empty(), PATIENCE).expect("TLS");
    let finished = Mutex::new(0);
    let samples = measure_all(&client, &edges, 3, &|_| *finished.lock().expect("a lock") += 1).await;
    let row = summarise(&edges[0], &samples[0]);
    assert_eq!((row.state, row.samples, row.failed), (ProbeState::Up, 3, 0), "{row:?}");
    assert_eq!((row.dns_p50_ms, row.tls_p50_ms), (None, None));
    assert!(row.first_byte_p50_ms.expect("a time") >= 40.0, "{row:?}");
    assert_eq!(row.database_date.as_deref(), Some("2026-11-01"));
    assert_eq!(*finished.lock().expect("a lock"), 3);
    // A connection for each sample, one request on it.
    let host = format!("host: 127.0.0.1:{port}");
    let one = ["connected", "GET /health HTTP/1.1", host.as_str()];
    assert_eq!(*seen.lock().expect("a lock"), one.repeat(3));
}

#[tokio::test]
async fn every_phase_is_where_its_wait_is() {
    let (acceptor, roots) = certificate();
    let seen = Seen::default();
    let manner = Manner {
        before_tls: Duration::from_millis(60),
        before_answer: Duration::from_millis(120),
        answer: WELL,
    };
    let port = server(Some(acceptor), manner, Arc::clone(&seen)).await;
    // The request names the domain, the connection goes to the region's own name.
    let edges = [edge("a.test", Some(format!("localhost:{port}")), true)];
    let client = ProbeClient::new(roots, PATIENCE).expect("TLS");
    let samples = measure_all(&client, &edges, 2, &|_| ()).await;
    let row = summarise(&edges[0], &samples[0]);
    assert_eq!((row.state, row.samples), (ProbeState::Up, 2), "{row:?}");
    let (dns, tls, first) = (row.dns_p50_ms, row.tls_p50_ms, row.first_byte_p50_ms);
    assert!(dns.is_some() && tls.expect("TLS") >= 60.0 && first.expect("an answer") >= 120.0, "{row:?}");
    assert!(row.total_p50_ms.expect("all") >= 180.0);
    let one = ["connected", "tls", "GET /health HTTP/1.1", "host: a.test"];
    assert_eq!(*seen.lock().expect("a lock"), one.repeat(2));
}

#[tokio::test]
async fn each_failure_has_its_reason_and_the_others_continue() {
    let (acceptor, _) = certificate();
    let still = Manner { before_tls: Duration::ZERO, before_answer: Duration::ZERO, answer: WELL };
    let untrusted = server(Some(acceptor), still, Seen::default()).await;
    let ill = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
    let ill = server(None, Manner { answer: ill, ..still }, Seen::default()).await;
    let other = "HTTP/1.1 200 OK\r\n\r\n{\"region\":\"us-east-1\"}";
    let other = server(None, Manner { answer: other, ..still }, Seen::default()).await;
    let slow = Manner { before_answer: Duration::from_secs(30), ..still };
    let slow = server(None, slow, Seen::default()).await;
    let mute = server(None, Manner { answer: "", ..still }, Seen::default()).await;
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        listener.local_addr().expect("an address").port()
    };
    let plain = |port: u16| edge(&format!("127.0.0.1:{port}"), None, false);
    let table = [
        (edge("a.test", Some(format!("127.0.0.1:{untrusted}")), true), "TLS: "),
        (plain(ill), "/health answers 503"),
        (plain(other), "us-east-1 answers in its place"),
        (plain(slow), "no answer within 1 s"),
        (plain(mute), "closed without an answer"),
        (plain(closed), "can't be connected to"),
        (edge("no-such-host.invalid", None, false), "can't be looked up"),
    ];
    let client = ProbeClient::new(RootCertStore::empty(), Duration::from_secs(1)).expect("TLS");
    let edges: Vec<ProbedEdge> = table.iter().map(|(edge, _)| edge.clone()).collect();
    let samples = measure_all(&client, &edges, 1, &|_| ()).await;
    for ((edge, reason), samples) in table.iter().zip(&samples) {
        let row = summarise(edge, samples);
        assert_eq!(row.state, ProbeState::Down, "{reason}");
        assert!(row.failure.as_deref().is_some_and(|failure| failure.contains(reason)), "{reason}: {row:?}");
    }
}
