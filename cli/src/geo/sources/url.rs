//! Sources at a URL: this month's file, or last month's if that is not published yet.

use std::error::Error;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::Duration;

use ipgeo_contract::Month;
use jiff::{Timestamp, ToSpan as _};
use tempfile::NamedTempFile;
use ureq::http::{Response, StatusCode};

use super::FetchError;
use super::place::received;
use super::validators::Validators;
use crate::fs::parent_folder;
use crate::ui::progress::Task;

type BoxError = Box<dyn Error + Send + Sync>;

const REDIRECTS_MAX: usize = 5;

/// HTTP settings. Each step has a timeout; a large file may take long while its data keeps arriving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Web {
    /// Timeout for connecting, with DNS and TLS.
    pub connect: Duration,
    /// Timeout for the response head.
    pub answer: Duration,
    /// Timeout for the next data.
    pub idle: Duration,
    /// Timeout for the complete file, against servers that send a byte now and then.
    pub total: Duration,
    /// Whether HTTP to this machine is allowed: for tests, whose servers have no certificate. No flag or file sets this.
    pub loopback_http: bool,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            answer: Duration::from_secs(30),
            idle: Duration::from_mins(1),
            total: Duration::from_hours(6),
            loopback_http: false,
        }
    }
}

fn monthly_url(pattern: &str, month: Month) -> String {
    let text = month.to_string();
    pattern.replace("{YYYY}", &text[..4]).replace("{MM}", &text[5..])
}

/// Scheme, authority and rest of a URL.
fn parts(url: &str) -> (&str, &str, &str) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    (scheme, &rest[..end], &rest[end..])
}

/// A URL for display: scheme, host and path only. Parts before `@`, after `?` or after `#` may hold a password or key.
pub(super) fn shown(url: &str) -> String {
    let (scheme, authority, rest) = parts(url);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

/// The URLs to try, newest first.
fn urls(pattern: &str, now: Timestamp) -> Vec<String> {
    let this = Month::from_time(now);
    let last = this.first().checked_sub(1.day()).map_or(this, Month::from_date);
    let mut urls = vec![monthly_url(pattern, this), monthly_url(pattern, last)];
    urls.dedup();
    urls
}

/// A downloaded file, and its validators.
pub(super) type Download = (NamedTempFile, Validators);

/// A URL with the environment variables that it names, as `${NAME}`.
struct Filled {
    url: String,
    /// The values, which are never shown, and the names.
    secrets: Vec<(String, String)>,
}

impl Filled {
    fn new(url: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, BoxError> {
        let mut filled = Self { url: String::new(), secrets: Vec::new() };
        let mut rest = url;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, behind) = after.split_once('}').ok_or("`${` has no `}` in its URL")?;
            let value = variable(name).filter(|value| !value.trim().is_empty());
            let value = value.ok_or_else(|| format!("the environment variable {name} is not set"))?;
            filled.url.extend([before, value.trim()]);
            filled.secrets.push((value.trim().to_owned(), format!("${{{name}}}")));
            rest = behind;
        }
        filled.url.push_str(rest);
        Ok(filled)
    }

    /// A message without the values.
    fn hide(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, (value, name)| text.replace(value, name))
    }
}

/// Downloads the newest available file, unpacked. `None`: `target` is unchanged on the server.
pub(super) fn download(
    pattern: &str,
    target: &Path,
    now: Timestamp,
    web: Web,
    task: &Task,
) -> Result<Option<Download>, FetchError> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .https_only(!web.loopback_http)
        // Redirects are followed here so that each is checked by the same rules.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_resolve(Some(web.connect))
        .timeout_connect(Some(web.connect))
        .timeout_recv_response(Some(web.answer))
        .timeout_per_read(Some(web.idle))
        .timeout_recv_body(Some(web.total))
        .build()
        .into();
    let mut failure = None;
    for pattern in urls(pattern, now) {
        let failed = |source| FetchError::Download { url: shown(&pattern), source };
        let filled = Filled::new(&pattern, &|name| std::env::var(name).ok()).map_err(failed)?;
        match get(&agent, &filled.url, target, web, task) {
            Ok(file) => return Ok(file),
            // Report the newest URL, which an operator would expect.
            Err(source) => {
                failure.get_or_insert(failed(filled.hide(&source.to_string()).into()));
            }
        }
    }
    Err(failure.unwrap_or(FetchError::NoSource))
}

/// Why a request failed, without the URL, which may hold a secret.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::StatusCode(status) => format!("the server answered with status {status}"),
        ureq::Error::Timeout(ureq::Timeout::PerRead) => "timed out: the server sent no more data".to_owned(),
        ureq::Error::Timeout(timeout) => format!("timed out ({timeout})"),
        ureq::Error::RequireHttpsOnly(_) => "its URL is not https".to_owned(),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => "it is not a valid URL".to_owned(),
        ureq::Error::ConnectProxyFailed(_) | ureq::Error::InvalidProxyUrl => "the proxy refused".to_owned(),
        other => other.to_string(),
    }
}

/// Checks a URL: HTTPS, or in tests HTTP to this machine.
fn allowed(url: &str, web: Web) -> Result<(), BoxError> {
    let (scheme, authority, _) = parts(url);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    if scheme == "https" || (web.loopback_http && scheme == "http" && host == "127.0.0.1") {
        return Ok(());
    }
    Err(format!("{} is not https", shown(url)).into())
}

/// The target of a redirect from a URL.
fn joined(url: &str, location: &str) -> String {
    let (scheme, authority, rest) = parts(url);
    // Credentials are not sent to the redirect's target.
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if location.contains("://") {
        location.to_owned()
    } else if let Some(other) = location.strip_prefix("//") {
        format!("{scheme}://{other}")
    } else if location.starts_with('/') {
        format!("{scheme}://{host}{location}")
    } else {
        let path = rest.split(['?', '#']).next().unwrap_or_default();
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{host}{folder}/{location}")
    }
}

/// Requests a URL and follows its redirects; `known` are the validators of the stored file.
fn answer(
    agent: &ureq::Agent,
    url: &str,
    known: Option<&Validators>,
    web: Web,
) -> Result<Response<ureq::Body>, BoxError> {
    let mut url = url.to_owned();
    for _ in 0..=REDIRECTS_MAX {
        allowed(&url, web)?;
        let mut request = agent.get(&url);
        let etag = known.and_then(|known| known.etag.as_ref());
        let date = known.and_then(|known| known.last_modified.as_ref());
        for (name, value) in [("if-none-match", etag), ("if-modified-since", date)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let response = request.call().map_err(|error| reason(&error))?;
        let unchanged = known.is_some() && response.status() == StatusCode::NOT_MODIFIED;
        if response.status().is_success() || unchanged {
            return Ok(response);
        }
        let location = response.headers().get("location").and_then(|location| location.to_str().ok());
        let Some(location) = location.filter(|_| response.status().is_redirection()) else {
            return Err(format!("the server answered with status {}", response.status().as_u16()).into());
        };
        url = joined(&url, location);
    }
    Err(format!("more than {REDIRECTS_MAX} redirects").into())
}

fn get(
    agent: &ureq::Agent,
    url: &str,
    target: &Path,
    web: Web,
    task: &Task,
) -> Result<Option<Download>, BoxError> {
    let folder = parent_folder(target);
    let known = Validators::of(target, url);
    let response = answer(agent, url, known.as_ref(), web)?;
    if response.status() == StatusCode::NOT_MODIFIED {
        return Ok(None);
    }
    let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
    let validators = Validators::new(url, header("etag"), header("last-modified"));
    let body = response.into_body();
    let length = body.content_length();
    task.grow(length.unwrap_or(0));
    let reader = body.into_with_config().limit(super::BYTES_MAX).reader();
    let mut reader = Counted { inner: task.reading(reader), bytes: 0 };
    let describe = |error: std::io::Error| match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(inner) => reason(inner),
        None => error.to_string(),
    };
    let file = received(&mut reader, folder);
    let has_ended = file.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::UnexpectedEof);
    match length {
        Some(length) if has_ended && reader.bytes < length => {
            Err(format!("truncated: {} of {length} bytes received", reader.bytes).into())
        }
        _ => Ok(Some((file.map_err(describe)?, validators))),
    }
}

/// Counts what is read.
struct Counted<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_month_is_tried_before_last_month() {
        let now = "2026-01-02T00:00:00Z".parse().expect("a timestamp");
        let pattern = "http://a.test/city-{YYYY}-{MM}.mmdb.gz";
        let expected = ["http://a.test/city-2026-01.mmdb.gz", "http://a.test/city-2025-12.mmdb.gz"];
        assert_eq!(urls(pattern, now), expected);
        assert_eq!(urls("http://a.test/city.mmdb", now), ["http://a.test/city.mmdb"]);
    }

    #[test]
    fn no_secret_of_a_url_is_shown() {
        for (url, expected) in [
            ("https://a.test/city.mmdb", "https://a.test/city.mmdb"),
            ("https://user:KEY@a.test:8443/c.mmdb?key=KEY#key=KEY", "https://a.test:8443/c.mmdb"),
            ("https://KEY@a.test", "https://a.test"),
            ("https://a.test?KEY", "https://a.test"),
            ("https://a.test#KEY@b.test/", "https://a.test"),
            ("https://a.test/c@d.mmdb#KEY?x", "https://a.test/c@d.mmdb"),
            ("https://u:KEY@KEY@a.test/", "https://a.test/"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }

    #[test]
    fn keys_come_from_the_environment_and_are_not_shown() {
        let variable = |name: &str| match name {
            "KEY" => Some("hush ".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let filled = |url: &str| Filled::new(url, &variable).map_err(|error| error.to_string());
        let one = filled("https://a.test/${KEY}/x?y=${KEY}").expect("filled");
        assert_eq!(one.url, "https://a.test/hush/x?y=hush");
        assert_eq!(one.hide("https://a.test/hush/x is not https"), "https://a.test/${KEY}/x is not https");
        for (url, fault) in [
            ("https://a.test/${NONE}", "the environment variable NONE is not set"),
            ("https://a.test/${EMPTY}", "the environment variable EMPTY is not set"),
            ("https://a.test/${KEY", "`${` has no `}` in its URL"),
        ] {
            assert_eq!(filled(url).err().as_deref(), Some(fault), "{url}");
        }
        assert_eq!(filled("https://a.test/$x{y}").expect("filled").url, "https://a.test/$x{y}");
    }

    #[test]
    fn redirects_resolve_like_browsers_and_require_tls() {
        let from = "https://user:KEY@a.test/data/city.mmdb?key=KEY";
        for (location, expected) in [
            ("https://b.test/x", "https://b.test/x"),
            ("//b.test/x", "https://b.test/x"),
            ("/x", "https://a.test/x"),
            ("x?y=z", "https://a.test/data/x?y=z"),
        ] {
            assert_eq!(joined(from, location), expected);
        }
        let (users, tests) = (Web::default(), Web { loopback_http: true, ..Web::default() });
        for (url, by_users, by_tests) in [
            ("https://a.test/", true, true),
            ("http://127.0.0.1:9/x", false, true),
            ("http://127.0.0.1:9@a.test/x", false, false),
            ("http://a.test/", false, false),
            ("ftp://a.test/", false, false),
            ("a.test", false, false),
        ] {
            assert_eq!(
                (allowed(url, users).is_ok(), allowed(url, tests).is_ok()),
                (by_users, by_tests),
                "{url}"
            );
        }
    }
}
