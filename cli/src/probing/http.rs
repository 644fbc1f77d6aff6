//! Requests to one edge, whatever its name leads to in DNS.

use std::net::ToSocketAddrs as _;
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::judge::{Answer, Question, judge};
use crate::infra::cloud::{Probe, ProbeTarget};
use crate::infra::plan::ProbeSpec;

/// One request, whole.
const TIMEOUT: Duration = Duration::from_secs(10);
/// An answer that is longer is none of ours.
const BODY_BYTES_MAX: u64 = 1 << 20;

/// Asks edges over HTTP.
#[derive(Debug, Clone, Copy, Default)]
pub struct HttpProbe;

/// Leads every name to one place: an edge is asked for the domain before the domain leads to it.
#[derive(Debug)]
struct Led(String);

impl Resolver for Led {
    fn resolve(
        &self,
        _: &Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut found = self.empty();
        for address in self.0.to_socket_addrs()?.take(16) {
            found.push(address);
        }
        if found.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(found) }
    }
}

fn agent(target: &ProbeTarget) -> Agent {
    let config = Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(concat!("ipgeo/", env!("CARGO_PKG_VERSION")))
        .build();
    match &target.connect {
        Some(place) => Agent::with_parts(config, DefaultConnector::default(), Led(place.clone())),
        None => config.new_agent(),
    }
}

fn ask(agent: &Agent, target: &ProbeTarget, question: Question, spec: &ProbeSpec) -> Result<Answer, String> {
    let scheme = if target.tls { "https" } else { "http" };
    let url = format!("{scheme}://{}{}", target.host, question.path(spec));
    let mut request = agent.get(&url);
    if question == Question::WithKey
        && let Some(key) = &target.api_key
    {
        request = request.header("x-api-key", key.expose());
    }
    let mut answer = request.call().map_err(|error| format!("{}: {error}", target.host))?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(BODY_BYTES_MAX).read_to_string();
    Ok(Answer { status, body: body.map_err(|error| format!("{}: {error}", target.host))? })
}

/// Every question in turn over one connection; how long the last took, ms.
fn ask_all(target: &ProbeTarget, spec: &ProbeSpec) -> Result<f64, String> {
    let agent = agent(target);
    let mut took = Duration::ZERO;
    for question in Question::ALL {
        if question == Question::WithKey && target.api_key.is_none() {
            continue;
        }
        let began = Instant::now();
        let answer = ask(&agent, target, question, spec)?;
        took = began.elapsed();
        judge(question, &target.region, spec, &answer)?;
    }
    Ok(took.as_secs_f64() * 1e3)
}

impl Probe for HttpProbe {
    async fn probe(&self, target: &ProbeTarget, spec: &ProbeSpec) -> Result<f64, String> {
        let (target, spec) = (target.clone(), spec.clone());
        let asked = tokio::task::spawn_blocking(move || ask_all(&target, &spec)).await;
        asked.unwrap_or_else(|error| Err(error.to_string()))
    }
}
