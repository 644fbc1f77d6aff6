//! The access table: what edges read to decide. Global, partition key [`access_attr::ID`].
//!
//! An API key's item contains its record and its published usage. An address or a site has an item only when it is near or
//! over its limit, with published usage only: a missing item means allowed.

use std::fmt;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use jiff::Timestamp;

use crate::{Limit, Period, RateLimit, SitePattern};

/// Partition key of the item that holds the [`crate::AddressSecret`], in [`access_attr::SECRET`].
pub const SECRET_ID: &str = "secret#address";

/// Attribute names of the access table.
pub mod access_attr {
    /// Partition key, string: an [`crate::Identity`] or [`crate::SECRET_ID`].
    pub const ID: &str = "id";
    /// String: who the API key was created for.
    pub const OWNER: &str = "owner";
    /// String: the tier's name.
    pub const TIER: &str = "tier";
    /// Number: the effective limit, calls in a window.
    pub const LIMIT: &str = "limit";
    /// String, `day` or `month`: the effective window.
    pub const WINDOW: &str = "window";
    /// String, a [`crate::RateLimit`]: the API key's own. Absent: the tier's applies.
    pub const RATE: &str = "rate";
    /// String: a [`crate::Status`].
    pub const STATUS: &str = "status";
    /// Number, Unix milliseconds: when the API key expires. Absent: never.
    pub const EXPIRES: &str = "expires";
    /// List of strings: [`crate::SitePattern`]s. Absent: any site.
    pub const SITES: &str = "sites";
    /// List of strings: networks in CIDR form. Absent: any network.
    pub const NETWORKS: &str = "networks";
    /// Number, 1: the API key may have its answers explained. Absent: it may not.
    pub const EXPLAIN: &str = "explain";
    /// String: the hint by which people recognise the API key.
    pub const HINT: &str = "hint";
    /// Number, Unix milliseconds.
    pub const CREATED: &str = "created";
    /// String: the period that `used` belongs to.
    pub const PERIOD: &str = "period";
    /// Number: calls counted in `period` when this was published.
    pub const USED: &str = "used";
    /// Number, Unix milliseconds: the time of the latest usage event in `used`.
    pub const AS_OF: &str = "as_of";
    /// Number, Unix milliseconds: a mark that the operator sets to measure replication to a region.
    pub const MARK: &str = "mark";
    /// String: the [`crate::Identity`] that this API key was rotated to. Absent: not rotated.
    pub const SUCCESSOR: &str = "successor";
    /// String, 64 hex digits; only in the secret's item.
    pub const SECRET: &str = "secret";
}

/// Whether an API key may be used at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// In use.
    Active,
    /// Switched off by the operator; may be switched on again.
    Disabled,
    /// Ended permanently; the record is retained for reports.
    Revoked,
}

impl Status {
    /// The stored text: `active`, `disabled`, `revoked`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Revoked => "revoked",
        }
    }
}

/// Text that is not a status.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a status; it is `active`, `disabled` or `revoked`")]
pub struct StatusError(String);

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = StatusError;

    fn from_str(text: &str) -> Result<Self, StatusError> {
        [Self::Active, Self::Disabled, Self::Revoked]
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| StatusError(text.to_owned()))
    }
}

/// Usage as last published by home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The period that `used` belongs to.
    pub period: Period,
    /// Calls counted in that period.
    pub used: u64,
    /// The time of the latest usage event in `used`.
    pub as_of: Timestamp,
}

/// An API key's item: its *effective* limit and window, so one read is enough to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Who it was created for.
    pub owner: String,
    /// The tier's name.
    pub tier: String,
    /// The effective limit and window: the tier's, or the API key's own.
    pub limit: Limit,
    /// Its own short rate; `None`: the tier's, if it has one.
    pub rate: Option<RateLimit>,
    /// Whether it may be used.
    pub status: Status,
    /// When it expires; `None`: never.
    pub expires: Option<Timestamp>,
    /// The sites it may be used from; empty: any.
    pub sites: Vec<SitePattern>,
    /// The networks it may be used from; empty: any.
    pub networks: Vec<IpNet>,
    /// Whether its answers may be explained.
    pub explain: bool,
    /// The hint by which people recognise it.
    pub hint: String,
    /// When it was created.
    pub created: Timestamp,
    /// Usage as last published; `None` before the first publication.
    pub published: Option<Published>,
}

impl KeyRecord {
    /// The record of a new API key: active, without expiry, restrictions or published usage.
    pub fn new(
        hint: impl Into<String>,
        owner: impl Into<String>,
        tier: impl Into<String>,
        limit: Limit,
        created: Timestamp,
    ) -> Self {
        Self {
            owner: owner.into(),
            tier: tier.into(),
            limit,
            rate: None,
            status: Status::Active,
            expires: None,
            sites: Vec::new(),
            networks: Vec::new(),
            explain: false,
            hint: hint.into(),
            created,
            published: None,
        }
    }
}

/// A network in canonical form: an IPv4-mapped network, such as `::ffff:203.0.113.0/120`, becomes the IPv4 network,
/// because callers' addresses are canonicalised in the same way.
pub fn canonical_network(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else { return network };
    let length = v6.prefix_len().checked_sub(128 - 32);
    let v4 = length.zip(v6.addr().to_ipv4_mapped()).and_then(|(length, v4)| Ipv4Net::new(v4, length).ok());
    v4.map_or(network, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_survives_its_own_text() {
        for (status, text) in
            [(Status::Active, "active"), (Status::Disabled, "disabled"), (Status::Revoked, "revoked")]
        {
            assert_eq!((status.as_str(), status.to_string().as_str()), (text, text));
            assert_eq!(text.parse(), Ok(status));
        }
        assert_eq!("gone".parse::<Status>(), Err(StatusError("gone".into())));
    }
}
