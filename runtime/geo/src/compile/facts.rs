//! What sources know about an address besides its place and autonomous system: flags, the use of its network, a crawler.

use serde::Serialize;

/// The flags of `threat` that sources can set, in the order of an answer. `is_bogon` is decided per request.
pub const FLAGS: [&str; 9] = [
    "is_tor",
    "is_vpn",
    "is_proxy",
    "is_icloud_relay",
    "is_datacenter",
    "is_anonymous",
    "is_known_attacker",
    "is_known_abuser",
    "is_threat",
];

/// A set of flags: bit `i` is `FLAGS[i]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flags(pub u16);

impl Flags {
    /// The flag of this name alone.
    pub fn named(name: &str) -> Option<Self> {
        FLAGS.iter().position(|flag| *flag == name).map(|at| Self(1 << at))
    }

    /// The flags of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all flags of `other` are set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Who uses a network; an empty text means unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkUse {
    /// `hosting`, `cdn`, `business`, `isp`, `education` or `government`.
    pub kind: String,
    /// Such as `Amazon AWS`.
    pub name: String,
    /// Such as `amazon.com`.
    pub domain: String,
}

/// A crawler that uses an address, according to its operator's published list.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Crawler {
    /// Such as `Googlebot`.
    pub name: String,
    /// Such as `Google`.
    pub operator: String,
}

/// A published list of addresses to refuse, with the members that ipdata's clients read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Blocklist {
    /// Such as `Spamhaus DROP`.
    pub name: String,
    /// The URL of its operator; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub site: String,
    /// What it lists, such as `spam`; may be empty.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
}

/// The data that a source's ranges give to every address in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceGives {
    /// Flags that the source sets, and thereby covers: an address outside its ranges does not have them.
    pub flags: Flags,
    /// The use of the network; the type `hosting` also sets `is_datacenter`.
    pub network: Option<NetworkUse>,
    /// The crawler; `verified` is true, because the operator publishes the list.
    pub crawler: Option<Crawler>,
    /// The blocklist that the source is; it also sets a flag.
    pub blocklist: Option<Blocklist>,
}
