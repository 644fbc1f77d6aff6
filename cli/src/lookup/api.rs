//! Looks addresses up through the API, a hundred in each request. A throttled request is retried after the pause that
//! the API names; a quota that resets later ends the work, because a wait of hours is the caller's choice.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, anyhow};
use ipgeo_runtime::lookup::Column;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::source::{EachAnswer, Wanted};
use super::{Interrupted, StopFlag, addresses};
use crate::ui::format::duration;
use crate::ui::output::{self, UsageError};

/// The longest pause that is waited for.
const WAIT_MAX: Duration = Duration::from_mins(2);
/// Pause before a throttled request is retried if the API names none; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Requests for the same addresses.
const TRIES: u32 = 6;
/// How often a pause checks whether to stop.
const LOOK: Duration = Duration::from_millis(100);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_mins(1);
/// A hundred locations have some 150 kB.
const BODY_BYTES_MAX: u64 = 4 << 20;

#[derive(Debug, Clone, Default)]
pub(crate) struct ApiOptions {
    pub(crate) url: String,
    pub(crate) key: Option<String>,
}

pub(crate) struct Api {
    agent: ureq::Agent,
    options: ApiOptions,
    /// Addresses answered so far.
    answered: u64,
}

/// A response that is not a location.
struct Refusal {
    status: u16,
    message: String,
    retry_after: Option<Duration>,
}

#[derive(Deserialize)]
struct ProblemBody {
    message: String,
}

/// An API key from a file or the environment, without surrounding whitespace.
pub(crate) fn api_key(text: &str, place: &str) -> Result<Option<String>, UsageError> {
    match text.trim() {
        "" => Ok(None),
        key if key.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Some(key.to_owned())),
        _ => Err(UsageError(format!("{place} does not contain an API key"))),
    }
}

/// The base URL of an API: HTTPS, or HTTP to this machine, because a request carries the API key.
fn base_url(url: &str) -> Result<String, UsageError> {
    let refused = |why: &str| UsageError(format!("`--url {url}`: {why}"));
    let (scheme, rest) =
        url.split_once("://").ok_or_else(|| refused("expected a URL, such as https://api.example.com"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_loopback = || {
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        ["localhost", "127.0.0.1", "[::1]"].contains(&host)
    };
    match scheme {
        _ if authority.is_empty() || authority.contains('@') || rest.contains(['?', '#']) => {
            Err(refused("expected a host and a path only"))
        }
        "https" => Ok(url.trim_end_matches('/').to_owned()),
        "http" if is_loopback() => Ok(url.trim_end_matches('/').to_owned()),
        _ => {
            Err(refused("use https, so that nobody reads the API key; http is only possible on this machine"))
        }
    }
}

impl Api {
    pub(crate) fn new(options: ApiOptions) -> Result<Self, UsageError> {
        let url = base_url(&options.url)?;
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // Another host must not get the API key.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("ipgeo/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Ok(Self { agent, options: ApiOptions { url, ..options }, answered: 0 })
    }

    pub(super) fn look_up(
        &mut self,
        texts: &[String],
        wanted: Wanted<'_>,
        stop: &StopFlag,
        each: EachAnswer<'_>,
    ) -> anyhow::Result<()> {
        // The API would answer these with data about a network.
        let sent: Vec<&str> =
            texts.iter().map(String::as_str).filter(|text| !is_network_number(text)).collect();
        let body = if sent.is_empty() { "[]".to_owned() } else { self.answer(&sent, wanted, stop)? };
        let items: Vec<&RawValue> = serde_json::from_str(&body).map_err(|_| self.foreign())?;
        if items.len() != sent.len() {
            return Err(self.foreign());
        }
        let mut items = items.into_iter();
        for (index, text) in texts.iter().enumerate() {
            if is_network_number(text) {
                each(index, Err(&format!("{} does not appear to be an IPv4 or IPv6 address", text.trim())))?;
                continue;
            }
            let item = items.next().map_or("", RawValue::get);
            match refused_item(item) {
                Some(message) => each(index, Err(&message))?,
                None => {
                    self.answered += 1;
                    each(index, Ok(item))?;
                }
            }
        }
        Ok(())
    }

    fn foreign(&self) -> anyhow::Error {
        anyhow!("{} does not answer like ipgeo's API\nhelp: check the URL", self.options.url)
    }

    /// The body of the API's answer; repeats throttled requests.
    fn answer(&self, sent: &[&str], wanted: Wanted<'_>, stop: &StopFlag) -> anyhow::Result<String> {
        let (mut pause, mut tries_left) = (FIRST_PAUSE, TRIES);
        loop {
            let refusal = match self.post(sent, wanted)? {
                Ok(body) => return Ok(body),
                Err(refusal) => refusal,
            };
            tries_left -= 1;
            let wait = refusal.retry_after.unwrap_or(pause);
            if !matches!(refusal.status, 429 | 503) || wait > WAIT_MAX || tries_left == 0 {
                return Err(self.explained(&refusal));
            }
            output::print_note(&format!("{}; trying again in {}", refusal.message, duration(wait.as_secs())));
            rest(wait, stop)?;
            pause *= 2;
        }
    }

    fn post(&self, sent: &[&str], wanted: Wanted<'_>) -> anyhow::Result<Result<String, Refusal>> {
        let mut url = format!("{}/bulk", self.options.url);
        if let Wanted::Columns(columns) = wanted {
            url.push_str("?fields=");
            url.push_str(&fields(columns));
        }
        let mut request = self.agent.post(&url).header("content-type", "application/json");
        if let Some(key) = &self.options.key {
            request = request.header("x-api-key", key);
        }
        let unreachable =
            || format!("cannot reach {}\nhelp: check the URL and the network", self.options.url);
        let body = output::to_json_line(sent)?;
        let mut response = request.send(&body).with_context(unreachable)?;
        let status = response.status().as_u16();
        let retry_after =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let body = response
            .body_mut()
            .with_config()
            .limit(BODY_BYTES_MAX)
            .read_to_string()
            .with_context(unreachable)?;
        if status == 200 {
            return Ok(Ok(body));
        }
        let Ok(problem) = serde_json::from_str::<ProblemBody>(&body) else {
            // API Gateway's own errors do not have ipgeo's body.
            let message = format!("{} answered with status {status}", self.options.url);
            return Ok(Err(Refusal { status, message, retry_after: None }));
        };
        let retry_after = retry_after.map(Duration::from_secs);
        Ok(Err(Refusal { status, message: problem.message, retry_after }))
    }

    fn explained(&self, refusal: &Refusal) -> anyhow::Error {
        let message = refusal.message.trim_end_matches('.');
        let done =
            if self.answered == 0 { String::new() } else { format!(" after {}", addresses(self.answered)) };
        let help = match (refusal.status, &self.options.key) {
            (429, _) => match refusal.retry_after {
                Some(wait) => {
                    format!("wait {}, or use an API key with a larger limit", duration(wait.as_secs()))
                }
                None => "try again later, or use an API key with a larger limit".to_owned(),
            },
            (401 | 403, None) => "set IPGEO_API_KEY, or name a file with `--api-key-file`".to_owned(),
            (401 | 403, Some(_)) => "check the API key in IPGEO_API_KEY or the file".to_owned(),
            (300..=399 | 404 | 405, _) => "check the URL".to_owned(),
            _ => "try again later".to_owned(),
        };
        anyhow!("the API refused{done}: {message}\nhelp: {help}")
    }
}

/// The fields that columns need, each once, and the address.
fn fields(columns: &[Column]) -> String {
    let mut fields = vec!["ip"];
    for column in columns {
        if !fields.contains(&column.field()) {
            fields.push(column.field());
        }
    }
    fields.join(",")
}

fn is_network_number(text: &str) -> bool {
    let text = text.trim();
    let digits = text.get(..2).filter(|start| start.eq_ignore_ascii_case("as")).map(|_| &text[2..]);
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The message of an item that the API could not answer.
fn refused_item(item: &str) -> Option<String> {
    // No field of a location has this name.
    if !item.contains("\"message\":") {
        return None;
    }
    serde_json::from_str::<ProblemBody>(item).ok().map(|problem| problem.message)
}

fn rest(wait: Duration, stop: &StopFlag) -> Result<(), Interrupted> {
    let mut left = wait;
    while !left.is_zero() {
        stop.check()?;
        let step = left.min(LOOK);
        sleep(step);
        left -= step;
    }
    stop.check()
}
