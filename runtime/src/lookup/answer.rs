//! HTTP answers in the format of API Gateway, payload format 2.0.

use std::collections::BTreeMap;

use ipgeo_contract::{Period, QuotaState, RateState};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::problem::Problem;

const JSON: &str = "application/json";
const PROBLEM_JSON: &str = "application/problem+json";
/// An hour: after a deploy, a cached page may call a newer API, but never one that lacks what the page needs.
const SHARED: &str = "public, max-age=3600";
const PLAIN: &str = "text/plain; charset=utf-8";

/// One HTTP answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The HTTP status.
    pub status_code: u16,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Text, or base64 when `is_base64_encoded`. A text ends with a line feed, for terminals.
    pub body: String,
    /// Whether `body` is base64.
    pub is_base64_encoded: bool,
}

impl Answer {
    fn new(status_code: u16, content_type: &str, body: String) -> Self {
        let mut answer = Self { status_code, body, ..Self::default() };
        answer.header("content-type", content_type);
        // Answers contain their caller's quota, so caches must not store them.
        answer.header("cache-control", "no-store");
        answer.allow_origins();
        answer
    }

    /// Allows pages of any origin to read the answer.
    fn allow_origins(&mut self) {
        self.header("access-control-allow-origin", "*");
        self.header(
            "access-control-expose-headers",
            "RateLimit, RateLimit-Policy, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, \
             X-RateLimit-Reset, WWW-Authenticate, X-Database-Date, X-Database-Attribution",
        );
    }

    /// An answer without a body yet that is the same for everybody and may be stored.
    pub(super) fn cacheable(tag: &str, vary: &str) -> Self {
        let mut answer = Self { status_code: 200, ..Self::default() };
        answer.header("cache-control", SHARED);
        answer.header("etag", tag);
        answer.header("vary", vary);
        answer.allow_origins();
        answer
    }

    pub(super) fn see_other(location: &str) -> Self {
        let mut answer = Self::new(303, PLAIN, String::new());
        answer.headers.remove("content-type");
        answer.header("location", location);
        answer
    }

    pub(super) fn json(body: String) -> Self {
        Self::new(200, JSON, body + "\n")
    }

    pub(super) fn plain(body: String) -> Self {
        Self::new(200, PLAIN, body + "\n")
    }

    /// A text without a line feed, for clients that take the body as the value.
    pub(super) fn bare(body: String) -> Self {
        Self::new(200, PLAIN, body)
    }

    pub(super) fn problem(problem: &Problem) -> Self {
        let mut answer = Self::new(problem.status, PROBLEM_JSON, problem.json() + "\n");
        match problem.status {
            401 => answer.header("www-authenticate", "Bearer realm=\"ipgeo\""),
            // RFC 9110 15.5.16: the supported codings.
            415 => answer.header("accept-encoding", "identity"),
            _ => {}
        }
        if let Some(allow) = problem.allow {
            answer.header("allow", allow);
        }
        if let Some(seconds) = problem.retry_after_s {
            answer.header("retry-after", seconds.to_string());
        }
        answer
    }

    /// The same problem for a client that only accepts `application/json`.
    pub(super) fn as_plain_json(&mut self) {
        if self.headers.get("content-type").is_some_and(|kind| kind == PROBLEM_JSON) {
            self.header("content-type", JSON);
        }
    }

    pub(super) fn preflight() -> Self {
        let mut answer = Self::new(204, JSON, String::new());
        answer.headers.remove("content-type");
        answer.header("access-control-allow-methods", "GET, HEAD, POST, OPTIONS");
        answer.header("access-control-allow-headers", "authorization, content-type, x-api-key");
        answer.header("access-control-max-age", "86400");
        answer
    }

    pub(super) fn header(&mut self, name: &str, value: impl Into<String>) {
        self.headers.insert(name.to_owned(), value.into());
    }

    /// Adds the quota after this request: the headers of draft-ietf-httpapi-ratelimit-headers and the three older ones, whose
    /// reset is also in seconds from now.
    pub(super) fn quota(&mut self, after: QuotaState, now: Timestamp) {
        let (window, period) = (after.limit.window, Period::new(after.limit.window, now));
        let (left, reset_s) = (after.remaining(), period.seconds_left(now));
        self.header(
            "ratelimit-policy",
            format!("\"{window}\";q={};w={}", after.limit.calls, period.seconds()),
        );
        self.header("ratelimit", format!("\"{window}\";r={left};t={reset_s}"));
        self.header("x-ratelimit-limit", after.limit.calls.to_string());
        self.header("x-ratelimit-remaining", left.to_string());
        self.header("x-ratelimit-reset", reset_s.to_string());
    }

    /// Adds a short rate before the quota. The `X-RateLimit-*` headers describe only
    /// one of them: the rate if it refused, otherwise the quota.
    pub(super) fn rate(&mut self, state: RateState, has_refused: bool) {
        let rate = state.limit.rate();
        let (calls, unit) = (rate.calls(), rate.unit());
        // The draft wants the same time as in Retry-After.
        let reset_s = if has_refused { state.retry_after_s } else { state.full_in_s };
        self.add_first("ratelimit-policy", format!("\"{}\";q={calls};w={}", unit.as_str(), unit.seconds()));
        self.add_first("ratelimit", format!("\"{}\";r={};t={reset_s}", unit.as_str(), state.left));
        if has_refused {
            self.header("x-ratelimit-limit", calls.to_string());
            self.header("x-ratelimit-remaining", state.left.to_string());
            self.header("x-ratelimit-reset", reset_s.to_string());
        }
    }

    /// Adds a value to the beginning of a header that is a list.
    fn add_first(&mut self, name: &str, value: String) {
        let others = self.headers.get(name).map(|others| format!(", {others}"));
        self.header(name, value + &others.unwrap_or_default());
    }
}
