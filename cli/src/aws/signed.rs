//! Calls of services that are asked a handful of questions: signed by the SDK's own signer and sent as JSON.
//! An SDK crate for each would cost a minute of building, for one or two operations.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use serde_json::Value;

use super::refusal::Refusal;
use crate::infra::cloud::NO_REASON;

/// Tries of a call that AWS is too busy for.
const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(300);
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an answer that are read; a page of log events has 1 MB.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// A service, as its host and its signatures name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Acm,
    Kinesis,
    Lambda,
    Logs,
    Quotas,
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Acm => "acm",
            Self::Kinesis => "kinesis",
            Self::Lambda => "lambda",
            Self::Logs => "logs",
            Self::Quotas => "servicequotas",
        }
    }

    /// What begins the name of its operations, and the version of JSON that it speaks.
    fn target(self) -> (&'static str, &'static str) {
        match self {
            Self::Acm => ("CertificateManager", "1.1"),
            Self::Kinesis => ("Kinesis_20131202", "1.1"),
            // It has paths in place of operations.
            Self::Lambda => ("", ""),
            Self::Logs => ("Logs_20140328", "1.1"),
            Self::Quotas => ("ServiceQuotasV20190624", "1.1"),
        }
    }
}

/// Sends signed calls.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    agent: ureq::Agent,
    provider: SharedCredentialsProvider,
    endpoint: Option<String>,
}

/// One call.
struct Call<'a> {
    service: Service,
    region: &'a str,
    method: &'static str,
    path: &'a str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// An answer, and what the clock of AWS said.
struct Answered {
    status: u16,
    date: Option<String>,
    error: Option<String>,
    body: Vec<u8>,
}

impl Signed {
    pub(super) fn new(provider: SharedCredentialsProvider, endpoint: Option<String>) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("ipgeo/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Self { agent, provider, endpoint }
    }

    /// An operation of a service that speaks JSON.
    pub(super) async fn json(
        &self,
        service: Service,
        region: &str,
        operation: &str,
        input: &Value,
    ) -> Result<Value, Refusal> {
        let (prefix, version) = service.target();
        let headers = vec![
            ("content-type", format!("application/x-amz-json-{version}")),
            ("x-amz-target", format!("{prefix}.{operation}")),
        ];
        let body = input.to_string().into_bytes();
        let call = Call { service, region, method: "POST", path: "/", headers, body };
        read(&self.patiently(&call).await?)
    }

    /// What a path of a service answers.
    pub(super) async fn get(&self, service: Service, region: &str, path: &str) -> Result<Value, Refusal> {
        let call = Call { service, region, method: "GET", path, headers: Vec::new(), body: Vec::new() };
        read(&self.patiently(&call).await?)
    }

    /// The date that a service writes on its answers, whatever they are.
    pub(super) async fn date(&self, service: Service, region: &str) -> Result<Option<String>, Refusal> {
        let call = Call { service, region, method: "GET", path: "/", headers: Vec::new(), body: Vec::new() };
        Ok(self.once(&call).await?.date)
    }

    async fn patiently(&self, call: &Call<'_>) -> Result<Answered, Refusal> {
        let mut pause = FIRST_PAUSE;
        for _try in 1..TRIES {
            match self.once(call).await {
                Ok(answered) if is_busy(&answered) => {}
                other => return other,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.once(call).await
    }

    async fn once(&self, call: &Call<'_>) -> Result<Answered, Refusal> {
        let unsent = |why: String| Refusal { code: None, message: why };
        let url = match &self.endpoint {
            Some(endpoint) => format!("{}{}", endpoint.trim_end_matches('/'), call.path),
            None => format!("https://{}.{}.amazonaws.com{}", call.service.name(), call.region, call.path),
        };
        let credentials = self.provider.provide_credentials().await;
        let identity = credentials.map_err(|error| unsent(error.to_string()))?.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(call.region)
            .name(call.service.name())
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unsent(error.to_string()))?
            .into();
        let headers = call.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let signable = SignableRequest::new(call.method, &url, headers, SignableBody::Bytes(&call.body))
            .map_err(|error| unsent(error.to_string()))?;
        let (signed, _) =
            sign(signable, &parameters).map_err(|error| unsent(error.to_string()))?.into_parts();
        let mut request = ureq::http::Request::builder().method(call.method).uri(&url);
        for (name, value) in
            call.headers.iter().map(|(name, value)| (*name, value.as_str())).chain(signed.headers())
        {
            request = request.header(name, value);
        }
        let request = request.body(call.body.clone()).map_err(|error| unsent(error.to_string()))?;
        let agent = self.agent.clone();
        let sent = tokio::task::spawn_blocking(move || send(&agent, request)).await;
        sent.map_err(|error| unsent(error.to_string()))?.map_err(|error| unsent(error.to_string()))
    }
}

fn send(agent: &ureq::Agent, request: ureq::http::Request<Vec<u8>>) -> Result<Answered, ureq::Error> {
    let mut answer = agent.run(request)?;
    let header =
        |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (date, error) = (header("date"), header("x-amzn-errortype"));
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
    Ok(Answered { status, date, error, body })
}

/// The error's name, without the shape and the address around it.
fn error_of(answered: &Answered) -> Option<(String, String)> {
    if answered.status < 400 {
        return None;
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
            code.contains("Throttl") || code.contains("LimitExceeded") || code == "TooManyRequestsException"
        })
}

fn read(answered: &Answered) -> Result<Value, Refusal> {
    match error_of(answered) {
        Some((code, message)) => Err(Refusal { code: Some(code), message }),
        None => serde_json::from_slice(&answered.body).map_err(|error| Refusal {
            code: Some("Answer".to_owned()),
            message: format!("the answer is not JSON: {error}"),
        }),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use aws_credential_types::Credentials;
    use serde_json::json;

    use super::*;

    /// A server that gives these answers in turn, and the requests that it was asked.
    pub(in crate::aws) fn server(
        answers: Vec<(u16, Value)>,
    ) -> (Signed, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let thread = std::thread::spawn(move || {
            let mut asked = Vec::new();
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
                asked.push(wanted);
                let body = body.to_string();
                let date = "Wed, 25 Nov 2026 10:00:00 GMT";
                let head = format!(
                    "HTTP/1.1 {status} x\r\ndate: {date}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all((head + &body).as_bytes()).expect("written");
            }
            asked
        });
        let nobody = SharedCredentialsProvider::new(Credentials::new("AKID", "secret", None, None, "test"));
        (Signed::new(nobody, Some(endpoint)), thread)
    }

    #[tokio::test]
    async fn a_call_is_signed_and_tried_again_when_aws_is_busy() {
        let busy = json!({"__type": "ThrottlingException", "message": "Rate exceeded"});
        let (signed, thread) = server(vec![(400, busy), (200, json!({"a": 1}))]);
        let input = json!({"StreamName": "s"});
        let answer = signed.json(Service::Kinesis, "eu-west-1", "DescribeStreamSummary", &input).await;
        assert_eq!(answer, Ok(json!({"a": 1})));
        let asked = thread.join().expect("requests");
        assert_eq!(asked.len(), 2);
        for part in [
            "x-amz-target: Kinesis_20131202.DescribeStreamSummary",
            "/eu-west-1/kinesis/aws4_request",
            "SignedHeaders=content-type;host;x-amz-date;x-amz-target",
            r#"{"StreamName":"s"}"#,
        ] {
            assert!(asked[1].contains(part), "{part}: {}", asked[1]);
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
            thread.join().expect("requests");
        }
        let (signed, thread) = server(vec![(404, json!({}))]);
        let date = signed.date(Service::Lambda, "eu-west-1").await.expect("an answer");
        assert_eq!(date.as_deref(), Some("Wed, 25 Nov 2026 10:00:00 GMT"));
        thread.join().expect("requests");
    }
}
