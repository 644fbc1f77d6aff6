//! Replaces API Gateway: converts HTTP requests to payload 2.0 events, and the handler's answers to HTTP responses.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipgeo_runtime::lookup::{Answer, Event, Http, RequestContext};

/// API Gateway's maximum request size.
const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;

/// With `--simulate-address`, the request header that names the caller's address.
pub(crate) const SIMULATE_HEADER: &str = "ipgeo-simulate-address";

/// How the caller's address is determined.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallerRule {
    /// The public address that a loopback caller is presented as.
    pub(crate) loopback_as: IpAddr,
    /// Whether [`SIMULATE_HEADER`] is used.
    pub(crate) simulate: bool,
}

impl CallerRule {
    /// The address that the event carries as `sourceIp`.
    pub(crate) fn address(self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let simulated = headers
            .get(SIMULATE_HEADER)
            .filter(|_| self.simulate)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.trim().parse().ok());
        let peer = peer.ip().to_canonical();
        simulated.unwrap_or(if peer.is_loopback() { self.loopback_as } else { peer })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadBody {
    TooLarge,
    /// It does not match its headers.
    Broken,
}

impl BadBody {
    fn from_error(error: &axum::Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if error.is::<http_body_util::LengthLimitError>() {
                return Self::TooLarge;
            }
            cause = error.source();
        }
        Self::Broken
    }

    pub(crate) fn response(self) -> Response<Body> {
        match self {
            Self::TooLarge => {
                refusal(StatusCode::PAYLOAD_TOO_LARGE, r#"{"message":"Request Entity Too Large"}"#)
            }
            Self::Broken => refusal(StatusCode::BAD_REQUEST, r#"{"message":"Bad Request"}"#),
        }
    }
}

/// The event that API Gateway sends for a request.
pub(crate) async fn event(request: Request, caller: IpAddr) -> Result<Event, BadBody> {
    static REQUESTS: AtomicU64 = AtomicU64::new(0);
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.map_err(|error| BadBody::from_error(&error))?;
    let mut event = Event {
        version: "2.0".to_owned(),
        raw_path: parts.uri.path().to_owned(),
        raw_query_string: parts.uri.query().unwrap_or_default().to_owned(),
        request_context: RequestContext {
            http: Http {
                method: parts.method.as_str().to_owned(),
                source_ip: caller.to_string(),
                user_agent: text(parts.headers.get("user-agent")),
            },
            request_id: format!("dev-{:012}", REQUESTS.fetch_add(1, Ordering::Relaxed)),
            stage: "$default".to_owned(),
        },
        ..Event::default()
    };
    for (name, value) in &parts.headers {
        let joined = event.headers.entry(name.as_str().to_owned()).or_default();
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(&text(Some(value)));
    }
    if !body.is_empty() {
        let text = std::str::from_utf8(&body).map(str::to_owned);
        event.is_base64_encoded = text.is_err();
        event.body = Some(text.unwrap_or_else(|_| STANDARD.encode(&body)));
    }
    Ok(event)
}

/// A header's value; invalid UTF-8 becomes the replacement character.
fn text(value: Option<&HeaderValue>) -> String {
    value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}

pub(crate) fn response(answer: Answer, region: &str) -> Response<Body> {
    // API Gateway decodes these, too.
    let binary = answer.is_base64_encoded.then(|| STANDARD.decode(&answer.body)).and_then(Result::ok);
    let body = binary.map_or_else(|| Body::from(answer.body), Body::from);
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(answer.status_code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let ours = [("ipgeo-region".to_owned(), region.to_owned())];
    for (name, value) in answer.headers.into_iter().chain(ours) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A refusal sent before any handler sees the request; pages of any origin may read it.
pub(crate) fn refusal(status: StatusCode, body: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{body}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        ("access-control-allow-origin", "*"),
        ("access-control-expose-headers", "Retry-After"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A call that could not be counted is not answered.
pub(crate) fn not_counted() -> Response<Body> {
    let mut response = refusal(
        StatusCode::SERVICE_UNAVAILABLE,
        r#"{"message":"ipgeo dev can't write its log, so this call would not be counted. Is the disk full?"}"#,
    );
    response.headers_mut().insert("retry-after", HeaderValue::from_static("1"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_becomes_the_event_that_api_gateway_sends() {
        let request = Request::builder()
            .method("POST")
            .uri("/bulk?fields=city&wrap=1")
            .header("X-Api-Key", "k")
            .header("accept", "a/b")
            .header("accept", "c/d")
            .header("referer", HeaderValue::from_bytes(b"https://a.test/\xff").expect("opaque bytes"))
            .body(Body::from("[\"8.8.8.8\"]"))
            .expect("a request");
        let event = event(request, "9.9.9.9".parse().expect("an address")).await.expect("an event");
        assert_eq!(
            (event.raw_path.as_str(), event.raw_query_string.as_str()),
            ("/bulk", "fields=city&wrap=1")
        );
        assert_eq!(event.request_context.http.source_ip, "9.9.9.9");
        assert_eq!(event.headers["accept"], "a/b,c/d");
        assert_eq!(event.headers["x-api-key"], "k");
        assert_eq!(event.headers["referer"], "https://a.test/\u{fffd}");
        assert_eq!((event.body.as_deref(), event.is_base64_encoded), (Some("[\"8.8.8.8\"]"), false));
    }

    #[tokio::test]
    async fn a_binary_body_is_base64_and_a_huge_one_is_refused() {
        let request = |bytes: Vec<u8>| Request::builder().body(Body::from(bytes)).expect("a request");
        let address = "9.9.9.9".parse().expect("an address");
        let binary = event(request(vec![0xff, 0xfe]), address).await.expect("an event");
        assert_eq!((binary.body.as_deref(), binary.is_base64_encoded), (Some("//4="), true));
        assert_eq!(
            event(request(vec![0; BODY_BYTES_MAX + 1]), address).await.unwrap_err(),
            BadBody::TooLarge
        );
        let broken = Body::from_stream(futures_util::stream::once(async {
            Err::<Vec<u8>, _>(std::io::Error::other("Invalid chunk size line"))
        }));
        let broken = Request::builder().body(broken).expect("a request");
        assert_eq!(event(broken, address).await.unwrap_err(), BadBody::Broken);
    }

    #[test]
    fn the_caller_is_determined_by_peer_and_header() {
        let rule = |simulate| CallerRule { loopback_as: "1.2.3.4".parse().expect("an address"), simulate };
        let mut named = HeaderMap::new();
        named.insert(SIMULATE_HEADER, HeaderValue::from_static("5.6.7.8"));
        named.insert("x-forwarded-for", HeaderValue::from_static("6.6.6.6"));
        let (loopback, other) =
            ("127.0.0.1:9".parse().expect("a peer"), "7.7.7.7:9".parse().expect("a peer"));
        let table = [
            (rule(false), loopback, &HeaderMap::new(), "1.2.3.4"),
            (rule(false), loopback, &named, "1.2.3.4"),
            (rule(true), loopback, &named, "5.6.7.8"),
            (rule(false), other, &named, "7.7.7.7"),
        ];
        for (rule, peer, headers, expected) in table {
            assert_eq!(rule.address(peer, headers).to_string(), expected);
        }
    }

    #[test]
    fn pages_of_any_origin_can_read_a_413_response() {
        let response = BadBody::TooLarge.response();
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
    }
}
