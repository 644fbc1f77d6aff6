//! Refusals and faults as answers: problem details (RFC 9457), with the `message` that ipdata's clients
//! read beside.

use ipgeo_contract::{QuotaState, RateState, Verdict};
use serde::Serialize;

use super::address::AddressFault;

/// An answer that is not a location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// The HTTP status.
    pub(super) status: u16,
    /// What people and clients read.
    pub(super) message: String,
    /// The problem's type; the empty one means "as the status says".
    kind: &'static str,
    /// The policy that a refusal over quota or rate violates.
    violated: Option<&'static str>,
    /// The methods of a 405.
    pub(super) allow: Option<&'static str>,
    /// Seconds after which to try again.
    pub(super) retry_after_s: Option<u64>,
}

/// Registered by draft-ietf-httpapi-ratelimit-headers.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    message: &'a str,
    #[serde(rename = "violated-policies", skip_serializing_if = "Option::is_none")]
    violated_policies: Option<[&'a str; 1]>,
}

impl Problem {
    fn new(status: u16, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, message, kind: "about:blank", violated: None, allow: None, retry_after_s: None }
    }

    pub(super) fn address(fault: &AddressFault) -> Self {
        Self::new(400, fault.to_string())
    }

    pub(super) fn bad_event() -> Self {
        Self::new(400, "The request could not be read.")
    }

    pub(super) fn unknown_field(name: &str) -> Self {
        Self::new(400, format!("{name} is not a field that you can ask for; see the documentation."))
    }

    pub(super) fn unknown_explain(value: &str) -> Self {
        Self::new(400, format!("explain can be 1 or 0, not {value}."))
    }

    pub(super) fn nothing_to_explain() -> Self {
        Self::new(
            400,
            "Only the location of one address can be explained: use /{ip}?explain=1, with fields=… for some of its fields.",
        )
    }

    pub(super) fn may_not_explain() -> Self {
        Self::new(
            403,
            "explain=1 needs an API key that is allowed to use it. Please ask who runs this service, or leave it out.",
        )
    }

    pub(super) fn bad_body() -> Self {
        Self::new(400, "The body should be a JSON array of IP addresses or network numbers, as strings.")
    }

    pub(super) fn too_many(most: usize) -> Self {
        Self::new(400, format!("Bulk requests should not contain more than {most} IP addresses."))
    }

    pub(super) fn unknown_coding(coding: &str) -> Self {
        Self::new(415, format!("The content coding {coding} can't be read; send the body as it is."))
    }

    pub(super) fn body_too_large(bytes: usize) -> Self {
        Self::new(413, format!("The body should not be larger than {bytes} bytes."))
    }

    pub(super) fn no_route() -> Self {
        Self::new(404, "There is nothing at this path; ask for /{ip}, /{ip}/{field}, /AS15169 or /bulk.")
    }

    pub(super) fn method(allow: &'static str) -> Self {
        let mut problem = Self::new(405, format!("This path answers {allow}."));
        problem.allow = Some(allow);
        problem
    }

    pub(super) fn not_found(address: impl std::fmt::Display) -> Self {
        Self::new(404, format!("{address} is not in the database."))
    }

    pub(super) fn field_not_known(name: &str) -> Self {
        Self::new(404, format!("The {name} of this address is not known."))
    }

    pub(super) fn asn_not_found(number: u32) -> Self {
        Self::new(404, format!("AS{number} is not in the database."))
    }

    pub(super) fn unavailable() -> Self {
        let mut problem = Self::new(503, "Your API key can't be checked right now. Please try again.");
        problem.retry_after_s = Some(1);
        problem
    }

    /// Whether the request is an invalid request to a metered route.
    pub(super) fn is_bad_request(&self) -> bool {
        is_bad_request(self.status)
    }

    /// A refusal. `over` is only used if a quota or a rate refused.
    pub(super) fn refused(verdict: Verdict, statuses: RefusalStatuses, over: OverQuota) -> Self {
        match verdict {
            Verdict::OverQuota => {
                let mut problem = Self::new(statuses.over_quota, over.message());
                problem.kind = QUOTA_EXCEEDED;
                problem.violated = Some(over.quota.limit.window.as_str());
                problem.retry_after_s = Some(over.reset_s);
                problem
            }
            // 429 even where the quota's status is 403: the caller must retry, not renew.
            Verdict::OverRate => {
                let mut problem = Self::new(429, over.rate_message());
                problem.kind = QUOTA_EXCEEDED;
                problem.violated = over.rate.map(|rate| rate.limit.rate().unit().as_str());
                problem.retry_after_s = over.rate.map(|rate| rate.retry_after_s);
                problem
            }
            Verdict::Disabled => Self::new(403, "This API key is disabled. Please ask who gave it to you."),
            Verdict::Revoked => Self::new(403, "This API key has been revoked. Please use your new one."),
            Verdict::Expired => Self::new(403, "This API key has expired. Please renew it."),
            Verdict::SiteDenied => Self::new(403, "This API key may not be used from this site."),
            Verdict::NetworkDenied => Self::new(403, "This API key may not be used from this network."),
            Verdict::MalformedKey | Verdict::UnknownKey | Verdict::Allowed | Verdict::BadRequest => {
                Self::new(statuses.unknown_key, "You have not provided a valid API Key.")
            }
        }
    }

    pub(super) fn json(&self) -> String {
        let body = Body {
            r#type: self.kind,
            title: title(self.status),
            status: self.status,
            detail: &self.message,
            message: &self.message,
            violated_policies: self.violated.map(|policy| [policy]),
        };
        serde_json::to_string(&body).unwrap_or_default()
    }
}

/// Whether a status means an invalid request to a metered route; 403 if it asks for what its caller may not have. Unknown paths
/// and methods belong to no route.
pub(super) fn is_bad_request(status: u16) -> bool {
    matches!(status, 400 | 403 | 413 | 415)
}

/// A quota or a rate that refused a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct OverQuota {
    /// The quota before the request.
    pub(super) quota: QuotaState,
    /// The rate, if there is one.
    pub(super) rate: Option<RateState>,
    /// The cost of the refused request in calls.
    pub(super) cost: u64,
    /// Whether it is the quota of an address's malformed and unknown API keys.
    pub(super) of_keys: bool,
    /// Seconds until it resets.
    pub(super) reset_s: u64,
}

impl OverQuota {
    fn message(self) -> String {
        let Self { quota, cost, of_keys, reset_s, .. } = self;
        let (calls, window, left) = (quota.limit.calls, quota.limit.window, quota.remaining());
        if of_keys {
            return format!(
                "Too many requests with API keys that are not valid came from your address. Try again in \
                 {reset_s} seconds."
            );
        }
        if left == 0 {
            return format!(
                "You have reached your limit of {calls} requests a {window}. It resets in {reset_s} seconds."
            );
        }
        format!(
            "You have {left} of {calls} requests a {window} left, and this one counts as {cost}. The limit resets in \
             {reset_s} seconds."
        )
    }

    fn rate_message(self) -> String {
        let Some(RateState { limit, retry_after_s, .. }) = self.rate else { return String::new() };
        let (calls, unit) = (limit.rate().calls(), limit.rate().unit().as_str());
        let seconds = if retry_after_s == 1 { "second" } else { "seconds" };
        let counts =
            if self.cost > 1 { format!(", and this one counts as {}", self.cost) } else { String::new() };
        format!(
            "You have reached your rate of {calls} requests a {unit}{counts}. Try again in {retry_after_s} {seconds}."
        )
    }
}

/// The statuses that differ between our contract and strict ipdata behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RefusalStatuses {
    /// 401, or 403.
    pub(super) unknown_key: u16,
    /// 429, or 403.
    pub(super) over_quota: u16,
}

fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Error",
    }
}
