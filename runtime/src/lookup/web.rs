//! What browsers get: the page at `/`, the documentation at `/docs`, and the files that browsers and crawlers request
//! by themselves. All of it is the same for everybody and prepared by `build.rs`; a page calls the API for data that
//! concerns its visitor. Nothing in this module is metered.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::accept::{Accept, accepts_gzip};
use super::answer::Answer;
use super::event::Event;
use super::request::{PHP_AGENTS, agent, path, queries};

/// A file, compressed.
pub(super) struct File {
    /// Its media type.
    pub(super) kind: &'static str,
    pub(super) gzip: &'static [u8],
    /// Its entity tag; weak, because it stands for both codings.
    pub(super) tag: &'static str,
    /// The content security policy of a page; empty for other files.
    pub(super) policy: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/web_files.rs"));

/// Paths that only exist with the page, without slashes around them. `/` is decided by `Accept`.
pub(super) const PATHS: [&str; 3] = ["docs", "favicon.ico", "robots.txt"];

/// The longest text of the lookup form that is forwarded; no address or AS number is longer.
const FORM_CHARS_MAX: usize = 64;
/// Characters of an address, an AS number or a field that need no encoding in a path.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b':').remove(b'_').remove(b'-');

/// Programs that claim to prefer HTML, or are official clients, but read JSON: Java's own HTTP client names `text/html` first.
const PROGRAMS: [&str; 3] = ["Java/", "io.ipdata.", "ipdata-"];

/// The answer to a browser; `None` if the request is for the API.
pub(super) fn answer(event: &Event) -> Option<Answer> {
    if !matches!(event.request_context.http.method.as_str(), "GET" | "HEAD") {
        return None;
    }
    match path(event).trim_matches('/') {
        "" if prefers_page(event) => Some(form_target(event).unwrap_or_else(|| {
            let mut answer = file(&HOME, event);
            answer.header("vary", "Accept, Accept-Encoding");
            answer
        })),
        "docs" => Some(file(&DOCS, event)),
        "favicon.ico" => Some(file(&ICON, event)),
        "robots.txt" => Some(file(&ROBOTS, event)),
        _ => None,
    }
}

/// The `OpenAPI` description. Programs read it, too, so it does not depend on the page.
pub(super) fn description(event: &Event) -> Answer {
    file(&DESCRIPTION, event)
}

/// Whether a request for `/` comes from a browser: its `Accept` prefers HTML to JSON, and it neither names `fields`
/// nor has an API key.
fn prefers_page(event: &Event) -> bool {
    let has = |name: &str| queries(event, name).next().is_some();
    Accept::read(event.header("accept").unwrap_or_default()).prefers_html()
        && !PROGRAMS.iter().chain(&PHP_AGENTS).any(|program| agent(event).starts_with(program))
        && !["fields", "explain", "api-key"].into_iter().any(has)
        && event.header("x-api-key").is_none()
        && event.header("authorization").is_none()
}

/// Without JavaScript, the lookup form requests `/?ip=8.8.8.8`, which is redirected to the address's own path.
fn form_target(event: &Event) -> Option<Answer> {
    let text = queries(event, "ip").next()?;
    let text = text.trim();
    if text.is_empty() || text.len() > FORM_CHARS_MAX {
        return None;
    }
    Some(Answer::see_other(&format!("/{}", utf8_percent_encode(text, IN_PATH))))
}

fn file(file: &File, event: &Event) -> Answer {
    let mut answer = Answer::cacheable(file.tag, "Accept-Encoding");
    for (name, value) in [
        ("content-security-policy", file.policy),
        ("referrer-policy", if file.policy.is_empty() { "" } else { "no-referrer" }),
        ("x-content-type-options", "nosniff"),
    ] {
        if !value.is_empty() {
            answer.header(name, value);
        }
    }
    if is_current(event, file.tag) {
        answer.status_code = 304;
        return answer;
    }
    answer.header("content-type", file.kind);
    if accepts_gzip(event.header("accept-encoding").unwrap_or_default()) {
        answer.header("content-encoding", "gzip");
        answer.binary(file.gzip);
        return answer;
    }
    let mut bytes = Vec::new();
    // The bytes are the build's own, so they can be read.
    let _ = GzDecoder::new(file.gzip).read_to_end(&mut bytes);
    match String::from_utf8(bytes) {
        Ok(text) => answer.body = text,
        Err(error) => answer.binary(error.as_bytes()),
    }
    answer
}

/// Whether the caller has this version (RFC 9110 13.1.2: compared weakly).
fn is_current(event: &Event, tag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let known = event.header("if-none-match").unwrap_or_default();
    known.trim() == "*" || known.split(',').any(|known| bare(known) == bare(tag))
}

impl Answer {
    fn binary(&mut self, bytes: &[u8]) {
        self.body = STANDARD.encode(bytes);
        self.is_base64_encoded = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(accept: Option<&str>, agent: &str, query: &str) -> Event {
        let mut event = Event { raw_path: "/".into(), raw_query_string: query.into(), ..Event::default() };
        event.request_context.http.method = "GET".into();
        event.headers.insert("user-agent".into(), agent.into());
        event.headers.extend(accept.map(|accept| ("accept".to_owned(), accept.to_owned())));
        event
    }

    #[test]
    fn browsers_get_the_page_and_programs_get_json() {
        let firefox = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let chrome = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,\
                      application/signed-exchange;v=b3;q=0.7";
        let java = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2";
        let browser = "Mozilla/5.0";
        let table = [
            (Some(firefox), browser, "", true),
            (Some(chrome), browser, "", true),
            (Some(chrome), browser, "utm_source=mail", true),
            (Some("text/html"), "Lynx/2.9", "", true),
            (Some("text/html, application/json;q=0.9"), browser, "", true),
            (Some("text/html, application/json"), browser, "", false),
            (Some("text/html;q=0.5, application/json"), browser, "", false),
            (Some("text/html;q=0, */*"), browser, "", false),
            (Some("*/*"), "curl/8.9", "", false),
            (Some("*/*"), browser, "", false),
            (Some(""), browser, "", false),
            (None, browser, "", false),
            (Some("application/json"), browser, "", false),
            (Some("text/plain"), browser, "", false),
            (Some(java), "Java/21.0.1", "", false),
            (Some(firefox), "io.ipdata.client.java.0.2", "", false),
            (Some(firefox), "ipdata-rust/0.1", "", false),
            (Some(firefox), "GuzzleHttp/7", "", false),
            (Some(firefox), browser, "fields=city", false),
            (Some(firefox), browser, "fields=", false),
            (Some(firefox), browser, "explain=1", false),
            (Some(firefox), browser, "api-key=test", false),
        ];
        for (accept, agent, query, page) in table {
            let event = event(accept, agent, query);
            assert_eq!(answer(&event).is_some(), page, "{accept:?} {agent} {query}");
        }
        for name in ["x-api-key", "authorization"] {
            let mut event = event(Some(firefox), browser, "");
            event.headers.insert(name.into(), "a".into());
            assert!(answer(&event).is_none(), "{name}");
        }
        for (method, page) in [("HEAD", true), ("POST", false), ("OPTIONS", false)] {
            let mut event = event(Some(firefox), browser, "");
            event.request_context.http.method = method.into();
            assert_eq!(answer(&event).is_some(), page, "{method}");
        }
    }

    #[test]
    fn the_form_leads_to_the_path_of_what_was_typed_and_nowhere_else() {
        let long = "9".repeat(FORM_CHARS_MAX + 1);
        let table = [
            ("ip=8.8.8.8", Some("/8.8.8.8")),
            ("ip=+2001:db8::1+", Some("/2001:db8::1")),
            ("ip=8.8.8.0%2F24", Some("/8.8.8.0%2F24")),
            ("ip=AS15169", Some("/AS15169")),
            ("ip=%2F%2Fevil.test%2F%0d%0aset-cookie:a", Some("/%2F%2Fevil.test%2F%0D%0Aset-cookie:a")),
            ("ip=", None),
            ("ip=+", None),
            (&format!("ip={long}"), None),
            ("", None),
        ];
        for (query, expected) in table {
            let answer = answer(&event(Some("text/html"), "Mozilla/5.0", query)).expect("a page");
            assert_eq!(answer.headers.get("location").map(String::as_str), expected, "{query}");
            assert_eq!(answer.status_code, if expected.is_some() { 303 } else { 200 }, "{query}");
        }
    }
}
