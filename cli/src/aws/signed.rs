//! Calls to services that need only a few operations, signed with the SDK's signer and sent by `ureq`. An SDK crate for
//! each would add up to a minute of build time.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use serde_json::Value;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::credentials::Renewed;
use super::endpoints::Endpoints;
use super::refusal::Refusal;
use super::s3;
use crate::infra::cloud::NO_REASON;

/// Attempts of a call that AWS throttles.
const TRIES: u32 = 10;
/// Attempts of a call without an answer: a network that is down rarely recovers in seconds.
const TRIES_UNANSWERED: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(300);
const PAUSE_MAX: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum bytes of an answer; a page of log events has 1 MB, of stream records 14 MB.
const ANSWER_BYTES_MAX: u64 = 32 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Service {
    Account,
    Acm,
    CloudWatch,
    Kinesis,
    Lambda,
    Logs,
    Quotas,
    S3,
    /// Called through its SDK client only.
    Sts,
}

impl Service {
    pub(super) const ALL: [Self; 9] = [
        Self::Account,
        Self::Acm,
        Self::CloudWatch,
        Self::Kinesis,
        Self::Lambda,
        Self::Logs,
        Self::Quotas,
        Self::S3,
        Self::Sts,
    ];

    /// The name in hosts and signatures; the SDK's service ID, from which the names of endpoint variables are derived; the
    /// prefix of `x-amz-target`. The path of REST services names the operation.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Account => ("account", "Account", ""),
            Self::Acm => ("acm", "ACM", "CertificateManager"),
            Self::CloudWatch => ("monitoring", "CloudWatch", "GraniteServiceVersion20100801"),
            Self::Kinesis => ("kinesis", "Kinesis", "Kinesis_20131202"),
            Self::Lambda => ("lambda", "Lambda", ""),
            Self::Logs => ("logs", "CloudWatch Logs", "Logs_20140328"),
            Self::Quotas => ("servicequotas", "Service Quotas", "ServiceQuotasV20190624"),
            Self::S3 => ("s3", "S3", ""),
            Self::Sts => ("sts", "STS", ""),
        }
    }

    pub(super) fn name(self) -> &'static str {
        self.names().0
    }

    pub(super) fn id(self) -> &'static str {
        self.names().1
    }

    fn signing(self) -> SigningSettings {
        let mut settings = SigningSettings::default();
        if self == Self::S3 {
            // S3 signs paths unnormalised and requires the content hash as a header.
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        settings
    }
}

#[derive(Debug, Clone)]
pub(super) struct Signed {
    agent: ureq::Agent,
    credentials: Renewed,
    endpoints: Endpoints,
}

#[derive(Debug, Clone)]
pub(super) enum Body {
    Bytes(Vec<u8>),
    /// A file with its SHA-256, hex.
    File {
        path: PathBuf,
        sha256: String,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Call<'a> {
    pub(super) service: Service,
    pub(super) region: &'a str,
    pub(super) bucket: Option<&'a str>,
    pub(super) method: &'static str,
    /// Path and query, encoded.
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Body,
    pub(super) timeout: Duration,
}

impl<'a> Call<'a> {
    fn get(service: Service, region: &'a str, path: &str) -> Self {
        let (path, headers, body) = (path.to_owned(), Vec::new(), Body::Bytes(Vec::new()));
        Self { service, region, bucket: None, method: "GET", path, headers, body, timeout: TIMEOUT }
    }
}

#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    /// AWS's clock: the `Date` header.
    date: Option<String>,
    error: Option<String>,
    /// The stored SHA-256 of an S3 object, base64, if it was requested.
    pub(super) checksum: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Signed {
    pub(super) fn new(credentials: Renewed, endpoints: Endpoints) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("ipgeo/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots(&endpoints)).build())
            .build()
            .into();
        Self { agent, credentials, endpoints }
    }

    #[cfg(test)]
    pub(super) fn credentials(&self) -> &Renewed {
        &self.credentials
    }

    pub(super) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Calls an operation of a JSON service.
    pub(super) async fn json(
        &self,
        service: Service,
        region: &str,
        operation: &str,
        input: &Value,
    ) -> Result<Value, Refusal> {
        let (_, _, prefix) = service.names();
        let version = if service == Service::CloudWatch { "1.0" } else { "1.1" };
        let headers = vec![
            ("content-type", format!("application/x-amz-json-{version}")),
            ("x-amz-target", format!("{prefix}.{operation}")),
        ];
        let body = Body::Bytes(input.to_string().into_bytes());
        read(&self.send(&Call { method: "POST", headers, body, ..Call::get(service, region, "/") }).await?)
    }

    /// Sends a `GET` request to a REST service.
    pub(super) async fn get(&self, service: Service, region: &str, path: &str) -> Result<Value, Refusal> {
        read(&self.send(&Call::get(service, region, path)).await?)
    }

    /// Sends a request with another method to a REST service, with a JSON body or none.
    pub(super) async fn rest(
        &self,
        service: Service,
        region: &str,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Refusal> {
        let mut call = Call { method, ..Call::get(service, region, path) };
        if let Some(body) = body {
            call.headers.push(("content-type", "application/json".to_owned()));
            call.body = Body::Bytes(body.to_string().into_bytes());
        }
        read(&self.send(&call).await?)
    }

    /// Whether the credentials have a session token.
    pub(super) async fn is_temporary(&self) -> bool {
        self.credentials.load().await.is_ok_and(|found| found.session_token().is_some())
    }

    /// The `Date` header of a service's answer, even of an error.
    pub(super) async fn date(&self, service: Service, region: &str) -> Result<Option<String>, Refusal> {
        Ok(self.once(&Call::get(service, region, "/")).await?.date)
    }

    /// Sends a call, with retries when AWS is busy or does not answer. All calls are safe to repeat.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Answered, Refusal> {
        let mut pause = FIRST_PAUSE;
        for done in 1..TRIES {
            match self.once(call).await {
                Ok(answered) if is_busy(&answered) => {}
                Err(refusal) if refusal.code.is_none() && done < TRIES_UNANSWERED => {}
                other => return other,
            }
            // Jitter, so that regions throttled together do not retry together.
            tokio::time::sleep(pause.mul_f64(fastrand::f64().midpoint(1.0))).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        self.once(call).await
    }

    async fn once(&self, call: &Call<'_>) -> Result<Answered, Refusal> {
        let unsent = |why: String| Refusal { code: None, message: why };
        let base = self.endpoints.url(call.service, call.region, call.bucket);
        let url = format!("{base}{}", call.path);
        let identity = self.credentials.load().await.map_err(Refusal::from)?.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(call.region)
            .name(call.service.name())
            .time(SystemTime::now())
            .settings(call.service.signing())
            .build()
            .map_err(|error| unsent(error.to_string()))?
            .into();
        let headers = call.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let body = match &call.body {
            Body::Bytes(bytes) => SignableBody::Bytes(bytes),
            Body::File { sha256, .. } => SignableBody::Precomputed(sha256.clone()),
        };
        let signable = SignableRequest::new(call.method, &url, headers.clone(), body)
            .map_err(|error| unsent(error.to_string()))?;
        let (signed, _) =
            sign(signable, &parameters).map_err(|error| unsent(error.to_string()))?.into_parts();
        let mut request = ureq::http::Request::builder().method(call.method).uri(&url);
        for (name, value) in headers.chain(signed.headers()) {
            request = request.header(name, value);
        }
        let request = request.body(call.body.clone()).map_err(|error| unsent(error.to_string()))?;
        let (agent, timeout) = (self.agent.clone(), call.timeout);
        let sent = tokio::task::spawn_blocking(move || transmit(&agent, request, timeout)).await;
        let sent = sent.map_err(|error| unsent(error.to_string()))?;
        let mut answered = sent.map_err(|error| unsent(error.to_string()))?;
        // S3 may answer 200 before a long operation ends and report its failure in the body.
        let long = call.service == Service::S3 && call.method != "GET" && answered.status == 200;
        if let Some((code, _)) = s3::error_in(&answered.body).filter(|_| long) {
            answered.status = if code == "InternalError" { 500 } else { 400 };
        }
        Ok(answered)
    }
}

/// The root certificates to trust: this machine's, as the SDK's clients do, or Mozilla's if the machine has no certificates.
fn roots(endpoints: &Endpoints) -> RootCerts {
    if endpoints.all.as_ref().is_some_and(|url| url.starts_with("http://")) && endpoints.own.is_empty() {
        return RootCerts::WebPki;
    }
    let found = rustls_native_certs::load_native_certs().certs;
    let found: Vec<_> = found.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
    if found.is_empty() { RootCerts::WebPki } else { RootCerts::new_with_certs(&found) }
}

fn transmit(
    agent: &ureq::Agent,
    request: ureq::http::Request<Body>,
    timeout: Duration,
) -> Result<Answered, ureq::Error> {
    let (parts, body) = request.into_parts();
    let mut answer = match body {
        Body::Bytes(bytes) => {
            let request = ureq::http::Request::from_parts(parts, bytes);
            agent.run(agent.configure_request(request).timeout_global(Some(timeout)).build())
        }
        Body::File { path, .. } => {
            let request = ureq::http::Request::from_parts(parts, File::open(path)?);
            agent.run(agent.configure_request(request).timeout_global(Some(timeout)).build())
        }
    }?;
    let header =
        |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (date, error, checksum) =
        (header("date"), header("x-amzn-errortype"), header("x-amz-checksum-sha256"));
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
    Ok(Answered { status, date, error, checksum, body })
}

/// An error answer's code, without namespace and URL, and its message.
pub(super) fn error_of(answered: &Answered) -> Option<(String, String)> {
    if answered.status < 300 {
        return None;
    }
    if let Some(found) = s3::error_in(&answered.body) {
        return Some(found);
    }
    let body: Value = serde_json::from_slice(&answered.body).unwrap_or_default();
    let text = |names: [&str; 2]| names.into_iter().find_map(|name| body[name].as_str().map(str::to_owned));
    let code = text(["__type", "code"]).or_else(|| answered.error.clone());
    let code = code.unwrap_or_else(|| format!("status {}", answered.status));
    let code = code.rsplit('#').next().unwrap_or_default().split(':').next().unwrap_or_default().to_owned();
    let message = text(["message", "Message"]).unwrap_or_else(|| NO_REASON.to_owned());
    Some((code, message))
}

fn is_busy(answered: &Answered) -> bool {
    answered.status == 429
        || answered.status >= 500
        || error_of(answered).is_some_and(|(code, _)| {
            let busy = ["RequestTimeout", "SlowDown", "TooManyRequestsException"];
            code.contains("Throttl")
                || code.contains("LimitExceeded")
                || code.starts_with("ProvisionedThroughputExceeded")
                || busy.contains(&code.as_str())
        })
}

fn read(answered: &Answered) -> Result<Value, Refusal> {
    match error_of(answered) {
        Some((code, message)) => Err(Refusal { code: Some(code), message }),
        None if answered.body.is_empty() => Ok(Value::Null),
        None => serde_json::from_slice(&answered.body)
            .map_err(|error| Refusal::unexpected(format!("the answer is not JSON: {error}"))),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use serde_json::json;

    use super::super::origin::Origin;
    use super::*;

    /// A server that gives these answers in turn; its thread returns the requests.
    pub(in crate::aws) fn server(
        answers: Vec<(u16, Value)>,
    ) -> (Signed, std::thread::JoinHandle<Vec<String>>) {
        text_server(answers.into_iter().map(|(status, body)| (status, body.to_string())).collect())
    }

    /// The same, with answers as they are. Status 0 closes the connection in place of an answer; a text `sha256 …` is the
    /// checksum of an object, in the answer to a `HEAD` request.
    pub(in crate::aws) fn text_server(
        answers: Vec<(u16, String)>,
    ) -> (Signed, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let thread = std::thread::spawn(move || {
            let mut requests = Vec::new();
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().expect("a caller");
                let (mut bytes, mut buffer) = (Vec::new(), [0; 4_096]);
                let wanted = loop {
                    let count = stream.read(&mut buffer).expect("bytes");
                    bytes.extend_from_slice(&buffer[..count]);
                    let text = String::from_utf8_lossy(&bytes).to_lowercase();
                    if let Some((head, body)) = text.split_once("\r\n\r\n") {
                        let length = head.split("content-length: ").nth(1).unwrap_or("0");
                        let length: usize = length.lines().next().unwrap_or("0").parse().unwrap_or(0);
                        if body.len() >= length {
                            break String::from_utf8_lossy(&bytes).into_owned();
                        }
                    }
                };
                requests.push(wanted);
                if status == 0 {
                    continue;
                }
                let date = "Wed, 25 Nov 2026 10:00:00 GMT";
                let (checksum, body) = match body.strip_prefix("sha256 ") {
                    Some(checksum) => (format!("x-amz-checksum-sha256: {checksum}\r\n"), ""),
                    None => (String::new(), body.as_str()),
                };
                let head = format!(
                    "HTTP/1.1 {status} x\r\ndate: {date}\r\n{checksum}connection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all((head + body).as_bytes()).expect("written");
            }
            requests
        });
        let nobody = SharedCredentialsProvider::new(Credentials::new("AKID", "secret", None, None, "test"));
        let endpoints = Endpoints { all: Some(endpoint), ..Endpoints::default() };
        (Signed::new(Renewed::new(nobody, Origin::fixed()), endpoints), thread)
    }

    #[tokio::test]
    async fn a_call_is_signed_and_tried_again_when_aws_is_busy() {
        let busy = json!({"__type": "ThrottlingException", "message": "Rate exceeded"});
        let (signed, thread) = server(vec![(400, busy), (200, json!({"a": 1}))]);
        let input = json!({"StreamName": "s"});
        let answer = signed.json(Service::Kinesis, "eu-west-1", "DescribeStreamSummary", &input).await;
        assert_eq!(answer, Ok(json!({"a": 1})));
        let requests = thread.join().expect("a server");
        assert_eq!(requests.len(), 2);
        for part in [
            "x-amz-target: Kinesis_20131202.DescribeStreamSummary",
            "/eu-west-1/kinesis/aws4_request",
            "SignedHeaders=content-type;host;x-amz-date;x-amz-target",
            r#"{"StreamName":"s"}"#,
        ] {
            assert!(requests[1].contains(part), "{part}: {}", requests[1]);
        }
    }

    #[tokio::test]
    async fn a_refusal_has_its_code_and_reason() {
        let table = [
            (
                400,
                json!({"__type": "com.amazonaws.logs#ResourceNotFoundException", "message": "gone"}),
                "gone",
            ),
            (403, json!({"Message": "no"}), "no"),
        ];
        for (status, body, message) in table {
            let (signed, thread) = server(vec![(status, body)]);
            let refusal = signed.get(Service::Lambda, "eu-west-1", "/x").await.expect_err("refused");
            assert_eq!(refusal.message, message);
            let code = refusal.code.expect("a code");
            assert!(code == "ResourceNotFoundException" || code == "status 403", "{code}");
            thread.join().expect("a server");
        }
        let (signed, thread) = server(vec![(404, json!({}))]);
        let date = signed.date(Service::Lambda, "eu-west-1").await.expect("an answer");
        assert_eq!(date.as_deref(), Some("Wed, 25 Nov 2026 10:00:00 GMT"));
        thread.join().expect("a server");
    }
}
