//! The Lambda's own client against a misbehaving server: signatures, retries, reused connections, and trusted certificates.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use ipgeo_contract::{Identity, RegionName, env};
use ipgeo_runtime::store::{AccessRead as _, LedgerWrite as _, Newest, StoreError};
use ipgeo_runtime::tables::{AccessTable, Effort, LedgerTable};
use ipgeo_runtime::wire::{Account, Client};
use jiff::Timestamp;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// The server's reaction to a request.
#[derive(Clone, Copy, Debug)]
enum Act {
    Answer(u16, &'static str),
    /// Answers, and closes the connection without announcing it.
    AnswerAndClose(u16, &'static str),
    Close,
    Hang,
}

const EMPTY: Act = Act::Answer(200, "{}");
const BUSY: Act = Act::Answer(400, r#"{"__type":"x#ThrottlingException","message":"slow down"}"#);
const BROKEN: Act = Act::Answer(500, r#"{"__type":"x#InternalServerError","message":"oh"}"#);

/// A server that performs the acts in order, and then answers with an empty result.
#[derive(Default)]
struct Server {
    acts: Mutex<VecDeque<Act>>,
    connections: Mutex<usize>,
    /// The requests' heads in lower case, and bodies.
    requests: Mutex<Vec<(String, String)>>,
}

impl Server {
    /// Starts it; returns the server and its port.
    async fn serve(acts: &[Act], tls: Option<TlsAcceptor>) -> (Arc<Self>, u16) {
        let server = Arc::new(Self { acts: Mutex::new(acts.iter().copied().collect()), ..Self::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let serving = Arc::clone(&server);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *serving.connections.lock().expect("unpoisoned") += 1;
                let (server, tls) = (Arc::clone(&serving), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => server.converse(stream).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => server.converse(stream).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        (server, port)
    }

    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> Option<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                stream.read_line(&mut head).await.ok().filter(|count| *count > 0)?;
            }
            let head_lower = head.to_lowercase();
            let length = head_lower.split_once("content-length: ")?.1.lines().next()?.parse().ok()?;
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.ok()?;
            self.requests.lock().ok()?.push((head, String::from_utf8(body).ok()?));
            let act = self.acts.lock().ok()?.pop_front().unwrap_or(EMPTY);
            match act {
                Act::Close => return None,
                Act::Hang => std::future::pending().await,
                Act::Answer(status, body) | Act::AnswerAndClose(status, body) => {
                    let length = body.len();
                    let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n\r\n{body}");
                    stream.write_all(answer.as_bytes()).await.ok()?;
                    stream.flush().await.ok()?;
                }
            }
            if matches!(act, Act::AnswerAndClose(..)) {
                return None;
            }
        }
    }

    fn connections(&self) -> usize {
        *self.connections.lock().expect("unpoisoned")
    }

    fn requests(&self) -> Vec<(String, String)> {
        self.requests.lock().expect("unpoisoned").clone()
    }
}

fn credentials() -> Credentials {
    Credentials::new("AKIDEXAMPLE", "secret", Some("token".to_owned()), None, "tests")
}

fn client(endpoint: &str) -> Client {
    let account = Account::at(endpoint, "eu-central-1", credentials());
    Client::new(&account, Effort::Quick).expect("a client")
}

async fn read(client: &Client) -> Result<bool, StoreError> {
    let identity: Identity = "key#01".parse().expect("an identity");
    Ok(AccessTable::new(client.clone(), "access").key(&identity).await?.is_some())
}

/// The error in one line, with its cause.
fn told(error: &StoreError) -> String {
    format!("{error}: {}", std::error::Error::source(error).expect("a cause"))
}

#[tokio::test]
async fn temporary_failures_are_retried_once_and_others_are_reported() {
    const UNKNOWN: Act = Act::Answer(400, r#"{"__type":"x#ResourceNotFoundException","message":"no table"}"#);
    // (the server's reactions, the error if any, number of requests)
    let table: [(&[Act], Option<&str>, usize); 9] = [
        (&[], None, 1),
        (&[BUSY, EMPTY], None, 2),
        (&[BROKEN, EMPTY], None, 2),
        (&[Act::Close, EMPTY], None, 2),
        (&[Act::Hang, EMPTY], None, 2),
        (&[BUSY, BUSY, EMPTY], Some("ThrottlingException: slow down"), 2),
        (&[UNKNOWN, EMPTY], Some("ResourceNotFoundException: no table"), 1),
        (&[Act::Answer(200, "<html>"), EMPTY], Some("cannot parse the answer"), 1),
        (&[Act::Answer(404, "<html>"), EMPTY], Some("status 404: no reason was given"), 1),
    ];
    for (acts, expected, asked) in table {
        let (server, port) = Server::serve(acts, None).await;
        let outcome = read(&client(&format!("http://127.0.0.1:{port}"))).await;
        match (&outcome, expected) {
            (Ok(false), None) => {}
            (Err(error), Some(says)) => {
                let told = told(error);
                assert!(told.contains(says) && told.starts_with("read of access table access"), "{told}");
            }
            _ => panic!("{acts:?}: {outcome:?}"),
        }
        assert_eq!(server.requests().len(), asked, "{acts:?}");
    }
}

#[tokio::test]
async fn only_an_invalid_write_is_never_repeated() {
    const INVALID: Act = Act::Answer(400, r#"{"__type":"x#ValidationException","message":"too large"}"#);
    let newest = Newest {
        shard: "shardId-000000000000".into(),
        sequence: "1".into(),
        regions: [(RegionName::new("eu-central-1"), Timestamp::UNIX_EPOCH)].into(),
        fingerprints: String::new(),
    };
    for (acts, is_invalid) in [([INVALID, EMPTY], true), ([BUSY, BUSY], false), ([Act::Hang, BROKEN], false)]
    {
        let (_, port) = Server::serve(&acts, None).await;
        let ledger = LedgerTable::new(client(&format!("http://127.0.0.1:{port}")), "ledger");
        let error = ledger.note_newest(&newest, Timestamp::UNIX_EPOCH).await.expect_err("refused");
        assert_eq!(error.is_invalid(), is_invalid, "{}", told(&error));
    }
}

#[tokio::test]
async fn an_unreachable_or_silent_store_is_named_in_the_error() {
    let (_, port) = Server::serve(&[Act::Hang, Act::Hang], None).await;
    for (endpoint, says) in [
        (format!("http://127.0.0.1:{port}"), format!("no answer from 127.0.0.1:{port} within")),
        ("http://127.0.0.1:9".to_owned(), "no connection to 127.0.0.1:9".to_owned()),
    ] {
        let told = told(&read(&client(&endpoint)).await.expect_err("no answer"));
        assert!(told.contains(&says) && !told.contains('\n'), "{told}");
    }
}

#[tokio::test]
async fn a_connection_is_reused_and_a_dead_one_is_replaced() {
    const LAST: Act = Act::AnswerAndClose(200, "{}");
    // (the server's reactions, connections for four reads)
    let table: [(&[Act], usize); 3] = [(&[], 1), (&[EMPTY, LAST], 2), (&[LAST, LAST, LAST, LAST], 4)];
    for (acts, connections) in table {
        let (server, port) = Server::serve(acts, None).await;
        let client = client(&format!("http://127.0.0.1:{port}"));
        for _ in 0..4 {
            assert!(!read(&client).await.expect("an answer"));
        }
        assert_eq!(server.connections(), connections, "{acts:?}");
    }
    // The connection that was opened early is used by the first read, even if that does not wait for it.
    let (server, port) = Server::serve(&[], None).await;
    let client = client(&format!("http://127.0.0.1:{port}"));
    let ((), first) = tokio::join!(biased; client.open_early(), read(&client));
    assert!(!first.expect("an answer"));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn the_signature_matches_the_request() {
    let (server, port) = Server::serve(&[], None).await;
    assert!(!read(&client(&format!("http://127.0.0.1:{port}"))).await.expect("an answer"));
    let (head, body) = server.requests().remove(0);
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}: ")));
        line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned()).expect("a header")
    };
    assert_eq!(header("x-amz-target"), "DynamoDB_20120810.GetItem");
    assert_eq!(header("x-amz-security-token"), "token");
    assert_eq!(body, r#"{"TableName":"access","Key":{"id":{"S":"key#01"}},"ConsistentRead":false}"#);
    let time: Timestamp = header("x-amz-date").parse().expect("a time");
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_second().unsigned_abs());
    let identity = credentials().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-central-1")
        .name("dynamodb")
        .time(time)
        .settings(SigningSettings::default())
        .build()
        .expect("parameters")
        .into();
    let url = format!("http://{}/", header("host"));
    let sent = [("content-type", header("content-type")), ("x-amz-target", header("x-amz-target"))];
    let headers = sent.iter().map(|(name, value)| (*name, value.as_str()));
    let request = SignableRequest::new("POST", &url, headers, SignableBody::Bytes(body.as_bytes()));
    let (signed, _) = sign(request.expect("a request"), &parameters).expect("signed").into_parts();
    let signature = signed.headers().find(|(name, _)| *name == "authorization").expect("a signature").1;
    assert_eq!(header("authorization"), signature);
}

#[tokio::test]
async fn only_trusted_servers_get_requests() {
    let folder = tempfile::tempdir().expect("a folder");
    let made =
        |names: &str| rcgen::generate_simple_self_signed(vec![names.to_owned()]).expect("a certificate");
    let (own, other) = (made("localhost"), made("localhost"));
    let key = tokio_rustls::rustls::pki_types::PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let config =
        ServerConfig::builder_with_provider(Arc::new(tokio_rustls::rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .expect("a key");
    // (the root certificates, whether the server gets a request)
    for (roots, trusted) in [(Some(own.cert.pem()), true), (Some(other.cert.pem()), false), (None, false)] {
        let (server, port) = Server::serve(&[], Some(TlsAcceptor::from(Arc::new(config.clone())))).await;
        let file = folder.path().join("roots.pem");
        std::fs::write(&file, roots.clone().unwrap_or_default()).expect("written");
        let account = Account::from_env(|name| match name {
            "AWS_REGION" => Some("eu-central-1".to_owned()),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("x".to_owned()),
            env::ENDPOINT_DYNAMODB => Some(format!("https://localhost:{port}")),
            env::CA_BUNDLE => roots.as_ref().map(|_| file.display().to_string()),
            _ => None,
        });
        let client = Client::new(&account.expect("an account"), Effort::Quick).expect("a client");
        let outcome = read(&client).await;
        assert_eq!(outcome.is_ok(), trusted, "{outcome:?}");
        assert_eq!(server.requests().len(), usize::from(trusted));
        if let Err(error) = outcome {
            assert!(told(&error).contains("certificate"), "{}", told(&error));
        }
    }
}
