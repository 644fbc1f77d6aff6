//! Access control of a region's store: only local programs that hold its access key, no web pages. A browser lets any
//! page send requests to loopback, with an `Origin` or, after DNS rebinding, a foreign `Host`; it can't sign them. Pure.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use axum::http::HeaderMap;
use axum::http::request::Parts;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};

use crate::world::WorldKey;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("web pages may not call this store")]
    Origin,
    #[error("the Host header must be 127.0.0.1 or localhost, with this store's port")]
    Host,
    #[error("the request is not signed; the access key is in the file `credentials` beside the stores")]
    Unsigned,
    #[error("wrong access key; the right one is in the file `credentials` beside the stores")]
    AccessKey,
    #[error("the signature does not match the request")]
    Signature,
}

impl Refused {
    /// DynamoDB's name for the error.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Origin | Self::Host => "AccessDeniedException",
            Self::Unsigned => "MissingAuthenticationTokenException",
            Self::AccessKey => "UnrecognizedClientException",
            Self::Signature => "InvalidSignatureException",
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Refuses requests from web pages, before reading the body.
pub(super) fn not_from_a_web_page(headers: &HeaderMap, port: u16) -> Result<(), Refused> {
    if headers.contains_key("origin") {
        return Err(Refused::Origin);
    }
    let mut hosts = headers.get_all("host").iter();
    let host = hosts.next().and_then(|host| host.to_str().ok()).and_then(|host| host.rsplit_once(':'));
    let is_local = host.is_some_and(|(name, host_port)| {
        (name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost")) && host_port == port.to_string()
    });
    if is_local && hosts.next().is_none() { Ok(()) } else { Err(Refused::Host) }
}

struct Authorization<'a> {
    access: &'a str,
    /// `<date>/<region>/<service>/aws4_request`
    scope: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let fields = text.strip_prefix(ALGORITHM)?;
        let field = |name: &str| {
            let mut fields = fields.split(',').filter_map(|field| field.trim().split_once('='));
            fields.find(|(known, _)| *known == name).map(|(_, value)| value)
        };
        let (access, scope) = field("Credential")?.split_once('/')?;
        Some(Self { access, scope, signed_headers: field("SignedHeaders")?, signature: field("Signature")? })
    }
}

/// Refuses requests that are not signed with the access key (AWS signature version 4). The age of a signature is not
/// checked: nobody can intercept loopback traffic, and a clock that is set back must not stop the service.
pub(super) fn signed(request: &Parts, body: &[u8], key: &WorldKey) -> Result<(), Refused> {
    let authorization = text(&request.headers, "authorization").and_then(Authorization::read);
    let authorization = authorization.ok_or(Refused::Unsigned)?;
    if authorization.access != key.access {
        return Err(Refused::AccessKey);
    }
    let expected = signature(request, body, &authorization, key).ok_or(Refused::Signature)?;
    let differing =
        expected.bytes().zip(authorization.signature.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    if differing == 0 && expected.len() == authorization.signature.len() {
        Ok(())
    } else {
        Err(Refused::Signature)
    }
}

fn signature(request: &Parts, body: &[u8], by: &Authorization<'_>, key: &WorldKey) -> Option<String> {
    let time = text(&request.headers, "x-amz-date")?;
    let mut scope = by.scope.split('/');
    let (date, region, service) = (scope.next()?, scope.next()?, scope.next()?);
    let names: Vec<&str> = by.signed_headers.split(';').collect();
    // Unsigned headers could come from anybody.
    if !time.starts_with(date) || !["host", "x-amz-target"].iter().all(|name| names.contains(name)) {
        return None;
    }
    let mut canonical =
        format!("{}\n{}\n{}\n", request.method, request.uri.path(), request.uri.query().unwrap_or(""));
    for name in names {
        let values: Option<Vec<&str>> =
            request.headers.get_all(name).iter().map(|value| value.to_str().ok()).collect();
        let values = values?.into_iter().map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "));
        // Writing to a String can't fail.
        let _ = writeln!(canonical, "{name}:{}", values.collect::<Vec<_>>().join(","));
    }
    let _ = write!(canonical, "\n{}\n{}", by.signed_headers, hex::encode(Sha256::digest(body)));
    let digest = hex::encode(Sha256::digest(canonical));
    let to_sign = format!("{ALGORITHM}\n{time}\n{}\n{digest}", by.scope);
    let at = DateTime::strptime("%Y%m%dT%H%M%SZ", time).ok()?;
    let seconds = u64::try_from(TimeZone::UTC.to_timestamp(at).ok()?.as_second()).ok()?;
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let signing_key = aws_sigv4::sign::v4::generate_signing_key(&key.secret, at, region, service);
    Some(aws_sigv4::sign::v4::calculate_signature(signing_key, to_sign.as_bytes()))
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    use aws_sigv4::sign::v4;
    use axum::http::{HeaderName, HeaderValue, Request};

    use super::*;
    use crate::world::RANDOM_BYTES;

    const BODY: &[u8] = br#"{"TableName":"t"}"#;
    const PORT: u16 = 4_242;

    fn key(seed: u8) -> WorldKey {
        WorldKey::new([seed; RANDOM_BYTES])
    }

    /// A request as the SDK's signer signs it.
    fn request(key: &WorldKey) -> Parts {
        let credentials = Credentials::new(&key.access, &key.secret, None, None, "test").into();
        let parameters = v4::SigningParams::builder()
            .identity(&credentials)
            .region("eu-central-1")
            .name("dynamodb")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .expect("parameters")
            .into();
        let headers = [
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", "DynamoDB_20120810.Scan"),
            ("x-amz-user-agent", "a  b   c "),
        ];
        let url = format!("http://127.0.0.1:{PORT}/");
        let signable = SignableRequest::new("POST", url, headers.into_iter(), SignableBody::Bytes(BODY));
        let (signed, _) = sign(signable.expect("signable"), &parameters).expect("signed").into_parts();
        let mut request = Request::post("/").header("host", format!("127.0.0.1:{PORT}"));
        for (name, value) in headers.into_iter().chain(signed.headers()) {
            request = request.header(name, value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    fn with(mut request: Parts, name: &'static str, value: &str) -> Parts {
        request.headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"));
        request
    }

    #[test]
    fn a_request_signed_by_the_sdk_with_the_access_key_is_accepted() {
        assert_eq!(signed(&request(&key(1)), BODY, &key(1)), Ok(()));
    }

    #[test]
    fn requests_not_signed_with_the_access_key_are_refused() {
        let mine = || request(&key(1));
        let authorization = text(&mine().headers, "authorization").expect("signed").to_owned();
        let mut bare = mine();
        bare.headers.remove("authorization");
        let mut undated = mine();
        undated.headers.remove("x-amz-date");
        let other_secret = WorldKey { secret: key(2).secret, ..key(1) };
        let table = [
            (bare, BODY, Refused::Unsigned),
            (with(mine(), "authorization", "Bearer x"), BODY, Refused::Unsigned),
            (with(mine(), "authorization", "AWS4-HMAC-SHA256 Credential=x"), BODY, Refused::Unsigned),
            (request(&key(2)), BODY, Refused::AccessKey),
            (request(&other_secret), BODY, Refused::Signature),
            (undated, BODY, Refused::Signature),
            (mine(), b"{}", Refused::Signature),
            (with(mine(), "x-amz-target", "DynamoDB_20120810.DeleteTable"), BODY, Refused::Signature),
            (with(mine(), "host", "evil.example:4242"), BODY, Refused::Signature),
            (with(mine(), "x-amz-date", "20000101T000000Z"), BODY, Refused::Signature),
            (
                with(mine(), "authorization", &authorization[..authorization.len() - 1]),
                BODY,
                Refused::Signature,
            ),
            (
                with(mine(), "authorization", &authorization.replace(";x-amz-target", "")),
                BODY,
                Refused::Signature,
            ),
        ];
        for (row, (request, body, refused)) in table.into_iter().enumerate() {
            assert_eq!(signed(&request, body, &key(1)), Err(refused), "row {row}");
        }
    }

    #[test]
    fn a_web_page_is_refused_by_its_origin_or_its_host() {
        let table: [(&[(&str, &str)], _); 10] = [
            (&[("host", "127.0.0.1:4242")], Ok(())),
            (&[("host", "localhost:4242")], Ok(())),
            (&[("host", "127.0.0.1:4242"), ("origin", "https://evil.example")], Err(Refused::Origin)),
            (&[("host", "127.0.0.1:4242"), ("origin", "null")], Err(Refused::Origin)),
            (&[("host", "evil.example:4242")], Err(Refused::Host)),
            (&[("host", "evil.example")], Err(Refused::Host)),
            (&[("host", "127.0.0.1:4243")], Err(Refused::Host)),
            (&[("host", "127.0.0.1")], Err(Refused::Host)),
            (&[("host", "127.0.0.1:4242"), ("host", "evil.example:4242")], Err(Refused::Host)),
            (&[], Err(Refused::Host)),
        ];
        for (sent, expected) in table {
            let mut headers = HeaderMap::new();
            for (name, value) in sent {
                headers.append(
                    HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                    HeaderValue::from_str(value).expect("a value"),
                );
            }
            assert_eq!(not_from_a_web_page(&headers, PORT), expected, "{sent:?}");
        }
    }
}
