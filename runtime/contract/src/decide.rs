//! The decision of an edge on a request, from one local read and its own count.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use jiff::Timestamp;

use crate::{KeyRecord, Limit, Period, Published, Site, Status, canonical_network, site_is_allowed};

/// Allowed, or refused and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// Within all limits.
    Allowed,
    /// Within the quota, but the request is invalid: nothing is charged.
    BadRequest,
    /// The window's limit is used up.
    OverQuota,
    /// Within the quota, but faster than the rate.
    OverRate,
    /// Not in the format of an API key: refused without a read.
    MalformedKey,
    /// No such API key.
    UnknownKey,
    /// Switched off by the operator.
    Disabled,
    /// Ended permanently.
    Revoked,
    /// Past its expiry.
    Expired,
    /// Not from one of its sites.
    SiteDenied,
    /// Not from one of its networks.
    NetworkDenied,
}

impl Verdict {
    /// Every verdict, in the order of reports.
    pub const ALL: [Self; 11] = [
        Self::Allowed,
        Self::BadRequest,
        Self::OverQuota,
        Self::OverRate,
        Self::MalformedKey,
        Self::UnknownKey,
        Self::Disabled,
        Self::Revoked,
        Self::Expired,
        Self::SiteDenied,
        Self::NetworkDenied,
    ];

    /// Whether the quota admitted the request: the edge did not know that the limit was reached.
    pub fn is_admitted(self) -> bool {
        matches!(self, Self::Allowed | Self::BadRequest)
    }

    /// The word in usage lines, ledger attributes and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::BadRequest => "bad_request",
            Self::OverQuota => "over_quota",
            Self::OverRate => "over_rate",
            Self::MalformedKey => "malformed_key",
            Self::UnknownKey => "unknown_key",
            Self::Disabled => "disabled",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::SiteDenied => "site_denied",
            Self::NetworkDenied => "network_denied",
        }
    }
}

/// Text that is not a verdict.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a verdict")]
pub struct VerdictError(String);

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Verdict {
    type Err = VerdictError;

    fn from_str(text: &str) -> Result<Self, VerdictError> {
        Self::ALL
            .into_iter()
            .find(|verdict| verdict.as_str() == text)
            .ok_or_else(|| VerdictError(text.to_owned()))
    }
}

/// Who sent a request: the address of the connection, and the host of the Referer if there is one.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The address of the immediate connection, never one from a forwarded-for header.
    pub address: IpAddr,
    /// The Referer's host.
    pub site: Option<Site>,
}

/// Usage of `period` as far as this environment knows: what was published for that period, plus its own calls since then (since
/// the period's start, if nothing was published for it).
pub fn effective_usage(published: Option<&Published>, period: Period, own: u64) -> u64 {
    let known = published.filter(|p| p.period == period).map_or(0, |p| p.used);
    known.saturating_add(own)
}

/// A limit and how much of it is used, as shown in the quota headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaState {
    /// The limit.
    pub limit: Limit,
    /// Calls used in the current period before this request.
    pub used: u64,
}

impl QuotaState {
    /// Whether `cost` more calls fit; a request that costs nothing fits if one more call would.
    pub fn admits(&self, cost: u64) -> bool {
        self.used.saturating_add(cost.max(1)) <= self.limit.calls
    }

    /// Calls left in the period.
    pub fn remaining(&self) -> u64 {
        self.limit.calls.saturating_sub(self.used)
    }
}

/// Decides a request of `cost` calls with the API key of `record`, of which `used` calls are used (see [`effective_usage`]).
/// Reasons that the caller can fix are checked last, so an ended API key is never answered with "over quota".
pub fn decide_key(record: &KeyRecord, caller: &Caller, used: u64, cost: u64, now: Timestamp) -> Verdict {
    let quota = QuotaState { limit: record.limit, used };
    match record.status {
        Status::Revoked => Verdict::Revoked,
        Status::Disabled => Verdict::Disabled,
        Status::Active if record.expires.is_some_and(|expires| expires <= now) => Verdict::Expired,
        Status::Active if !network_is_allowed(record, caller.address) => Verdict::NetworkDenied,
        Status::Active if !site_is_allowed(&record.sites, caller.site.as_ref()) => Verdict::SiteDenied,
        Status::Active if !quota.admits(cost) => Verdict::OverQuota,
        Status::Active => Verdict::Allowed,
    }
}

fn network_is_allowed(record: &KeyRecord, address: IpAddr) -> bool {
    let address = address.to_canonical();
    record.networks.is_empty()
        || record.networks.iter().any(|network| canonical_network(*network).contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Window;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    fn record() -> KeyRecord {
        KeyRecord::new(
            "ipg_…abcd",
            "acme",
            "startup",
            Limit { calls: 100, window: Window::Month },
            at("2026-11-01T00:00:00Z"),
        )
    }

    #[test]
    fn the_first_applicable_reason_is_the_verdict() {
        type Change = fn(&mut KeyRecord);
        let expired: Change = |r| r.expires = Some("2026-11-24T12:00:00Z".parse().expect("a timestamp"));
        // (record, calls used, cost, verdict)
        let table: [(Change, u64, u64, Verdict); 15] = [
            (|_| (), 0, 1, Verdict::Allowed),
            (|_| (), 99, 1, Verdict::Allowed),
            (|_| (), 100, 1, Verdict::OverQuota),
            (|_| (), 99, 2, Verdict::OverQuota),
            (|_| (), 99, 0, Verdict::Allowed),
            (|_| (), 100, 0, Verdict::OverQuota),
            (|_| (), u64::MAX, u64::MAX, Verdict::OverQuota),
            (|r| r.status = Status::Disabled, 100, 1, Verdict::Disabled),
            (|r| r.status = Status::Revoked, 0, 1, Verdict::Revoked),
            (expired, 100, 1, Verdict::Expired),
            (|r| r.expires = Some(Timestamp::MAX), 0, 1, Verdict::Allowed),
            (|r| r.networks = vec!["198.51.100.0/24".parse().expect("cidr")], 0, 1, Verdict::NetworkDenied),
            (|r| r.networks = vec!["203.0.113.0/24".parse().expect("cidr")], 0, 1, Verdict::Allowed),
            (|r| r.sites = vec!["other.example".parse().expect("site")], 0, 1, Verdict::SiteDenied),
            (|r| r.sites = vec!["*.example".parse().expect("site")], 100, 1, Verdict::OverQuota),
        ];
        let caller = Caller {
            address: "::ffff:203.0.113.5".parse().expect("an address"),
            site: Site::from_referer("https://shop.example/"),
        };
        for (row, (change, used, cost, verdict)) in table.into_iter().enumerate() {
            let mut record = record();
            change(&mut record);
            let now = at("2026-11-24T12:00:00Z");
            assert_eq!(decide_key(&record, &caller, used, cost, now), verdict, "row {row}");
            let remaining = QuotaState { limit: record.limit, used }.remaining();
            assert_eq!(remaining, 100_u64.saturating_sub(used), "row {row}");
        }
    }

    #[test]
    fn a_network_of_ipv4_in_ipv6_form_is_the_network_of_ipv4() {
        // (the network as written, as stored, a caller, whether the caller is in it)
        let table = [
            ("::ffff:203.0.113.0/120", "203.0.113.0/24", "203.0.113.5", true),
            ("::ffff:203.0.113.0/120", "203.0.113.0/24", "::ffff:203.0.113.5", true),
            ("::ffff:203.0.113.0/120", "203.0.113.0/24", "203.0.114.5", false),
            ("::ffff:203.0.113.7/128", "203.0.113.7/32", "203.0.113.7", true),
            ("::ffff:0:0/96", "0.0.0.0/0", "8.8.8.8", true),
            ("::ffff:0:0/96", "0.0.0.0/0", "2001:db8::1", false),
            ("::fffe:0:0/95", "::fffe:0:0/95", "8.8.8.8", false),
            ("2001:db8::/32", "2001:db8::/32", "2001:db8::1", true),
            ("203.0.113.0/24", "203.0.113.0/24", "::ffff:203.0.113.5", true),
        ];
        for (written, kept, caller, allowed) in table {
            let network = written.parse().expect("a network");
            assert_eq!(canonical_network(network).to_string(), kept);
            let record = KeyRecord { networks: vec![network], ..record() };
            let caller = caller.parse().expect("an address");
            assert_eq!(network_is_allowed(&record, caller), allowed, "{caller} in {written}");
        }
    }

    #[test]
    fn published_usage_counts_in_its_own_period_only() {
        let now = at("2026-12-01T00:00:01Z");
        let published = Published {
            period: Period::new(Window::Month, at("2026-11-30T00:00:00Z")),
            used: 90,
            as_of: at("2026-11-30T00:00:00Z"),
        };
        assert_eq!(effective_usage(Some(&published), published.period, 5), 95);
        assert_eq!(effective_usage(Some(&published), Period::new(Window::Month, now), 5), 5);
        assert_eq!(effective_usage(None, published.period, 5), 5);
    }

    #[test]
    fn a_verdict_survives_its_own_text() {
        for verdict in Verdict::ALL {
            assert_eq!(verdict.as_str().parse(), Ok(verdict));
            assert_eq!(verdict.to_string(), verdict.as_str());
            assert_eq!(verdict.is_admitted(), matches!(verdict.as_str(), "allowed" | "bad_request"));
        }
        assert_eq!("maybe".parse::<Verdict>(), Err(VerdictError("maybe".into())));
    }
}
