//! Signed calls to one AWS service, with timeouts and retries.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use ipgeo_contract::RegionName;

use super::connections::Connections;
use super::endpoint::Endpoint;
use super::fault::Fault;
use crate::tables::Bounds;

/// Parses the code and message of an error response.
type ReadRefusal = fn(&[u8]) -> Option<(String, String)>;

/// A client of one service.
pub(super) struct Signed {
    connections: Connections,
    service: &'static str,
    region: RegionName,
    credentials: Credentials,
    bounds: Bounds,
    read_refusal: ReadRefusal,
}

/// One call.
pub(super) struct Call<'a> {
    /// The path and query after the endpoint's `/`.
    pub(super) path: &'a str,
    pub(super) content_type: &'static str,
    /// Another header: the operation, or how a function is invoked.
    pub(super) header: Option<(&'static str, &'static str)>,
    pub(super) body: Bytes,
}

/// The header that names the operation of a JSON API.
pub(super) const TARGET: &str = "x-amz-target";

impl Signed {
    pub(super) fn new(
        endpoint: Endpoint,
        service: &'static str,
        region: RegionName,
        credentials: Credentials,
        bounds: Bounds,
        read_refusal: ReadRefusal,
    ) -> Self {
        let connections = Connections::new(endpoint, bounds.connect);
        Self { connections, service, region, credentials, bounds, read_refusal }
    }

    /// Opens a connection for the first call.
    pub(super) async fn open_early(&self) -> Result<(), Fault> {
        self.connections.open_early().await
    }

    /// Makes a call; returns the body of the response.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<Bytes, Fault> {
        let all = self.bounds.all;
        let made = tokio::time::timeout(all, self.with_retries(call)).await;
        made.unwrap_or_else(|_| Err(self.connections.late(all)))
    }

    async fn with_retries(&self, call: &Call<'_>) -> Result<Bytes, Fault> {
        let mut pause = self.bounds.pause;
        for _try in 1..self.bounds.tries {
            match self.attempt(call).await {
                Err(fault) if fault.may_pass() => {}
                made => return made,
            }
            // Random, so that environments throttled together do not retry together.
            tokio::time::sleep(pause.mul_f64(fastrand::f64())).await;
            pause *= 2;
        }
        self.attempt(call).await
    }

    async fn attempt(&self, call: &Call<'_>) -> Result<Bytes, Fault> {
        let within = self.bounds.attempt;
        let request = self.request(call)?;
        let sent = tokio::time::timeout(within, self.connections.send(request)).await;
        let answer = sent.unwrap_or_else(|_| Err(self.connections.late(within)))?;
        let status = answer.status();
        let body = answer.into_body();
        if status.is_success() {
            return Ok(body);
        }
        let refusal = (self.read_refusal)(&body);
        let (code, message) = refusal
            .unwrap_or_else(|| (format!("status {}", status.as_u16()), "no reason was given".to_owned()));
        Err(Fault::Refused { status: status.as_u16(), code, message, body })
    }

    /// The request, signed with the current time.
    fn request(&self, call: &Call<'_>) -> Result<Request<Full<Bytes>>, Fault> {
        let unsigned = |error: &dyn std::fmt::Display| Fault::unreadable("cannot sign the call", error);
        let identity = self.credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unsigned(&error))?
            .into();
        let endpoint = self.connections.endpoint();
        let headers = [(CONTENT_TYPE.as_str(), call.content_type)].into_iter().chain(call.header);
        let body = SignableBody::Bytes(&call.body);
        let url = format!("{}{}", endpoint.url, call.path);
        let signable =
            SignableRequest::new("POST", &url, headers.clone(), body).map_err(|error| unsigned(&error))?;
        let (signed, _) = sign(signable, &parameters).map_err(|error| unsigned(&error))?.into_parts();
        let mut request = Request::post(format!("/{}", call.path)).header(HOST, &endpoint.authority);
        for (name, value) in headers.chain(signed.headers()) {
            request = request.header(name, value);
        }
        request.body(Full::new(call.body.clone())).map_err(|error| unsigned(&error))
    }
}
