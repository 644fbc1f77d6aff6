//! Identities: who is charged. They are partition keys of the access table and the ledger.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use jiff::civil::Date;
use sha2::Sha256;

use crate::hex_text::hex_text;
use crate::{KeyHash, Site};

/// Bytes of the address HMAC that are used: enough that no two addresses of a day collide.
const ADDRESS_TAG_BYTES: usize = 16;
/// HMAC label that makes the tag of an address's refused API keys different from the address's own: no address is this long.
const REFUSED_KEYS: &[u8] = b"refused API keys of ";
/// The name of the pooled anonymous callers of a kind.
const POOLED: &str = "*";

/// The kind of caller that an identity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IdentityKind {
    /// An API key.
    Key,
    /// An anonymous caller's address on one day.
    Address,
    /// The host of an anonymous caller's Referer.
    Site,
}

impl IdentityKind {
    /// The text before the `#`: `key`, `addr` or `site`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Address => "addr",
            Self::Site => "site",
        }
    }
}

/// Who is charged: `key#<sha256 hex>`, `addr#<HMAC hex>` or `site#<host>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    text: String,
    kind: IdentityKind,
}

/// Text that is not an identity.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an identity; identities start with `key#`, `addr#` or `site#`")]
pub struct IdentityError;

impl Identity {
    fn new(kind: IdentityKind, rest: &str) -> Self {
        let word = kind.as_str();
        let mut text = String::with_capacity(word.len() + 1 + rest.len());
        text.push_str(word);
        text.push('#');
        text.push_str(rest);
        Self { text, kind }
    }

    /// An identity named by the hex of a hash or tag.
    pub(crate) fn from_hash(kind: IdentityKind, hash: &[u8]) -> Self {
        Self::new(kind, &hex_text(hash))
    }

    /// An identity with an untrusted name.
    pub(crate) fn from_name(kind: IdentityKind, name: &str) -> Result<Self, IdentityError> {
        let sound = (1..=253).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
        sound.then(|| Self::new(kind, name)).ok_or(IdentityError)
    }

    /// The identity of an API key.
    pub fn key(hash: &KeyHash) -> Self {
        Self::new(IdentityKind::Key, &hash.to_string())
    }

    /// The identity of an anonymous caller's address on the secret's day: an HMAC, so the address
    /// can't be recovered. IPv6 addresses of one /64 are one caller; an IPv4-mapped address is its IPv4 address.
    pub fn address(secret: &DaySecret, address: IpAddr) -> Self {
        Self::address_tag(secret, &[], address)
    }

    /// The identity charged for an address's requests with unknown and malformed API keys. It is separate from the identity
    /// of its anonymous calls: guesses do not use up calls, nor calls guesses.
    pub fn refused_keys(secret: &DaySecret, address: IpAddr) -> Self {
        Self::address_tag(secret, REFUSED_KEYS, address)
    }

    fn address_tag(secret: &DaySecret, label: &[u8], address: IpAddr) -> Self {
        let mut mac = hmac(&secret.0);
        mac.update(label);
        match address.to_canonical() {
            IpAddr::V4(v4) => mac.update(&v4.octets()),
            IpAddr::V6(v6) => mac.update(&v6.octets()[..8]),
        }
        let tag = mac.finalize().into_bytes();
        Self::from_hash(IdentityKind::Address, &tag[..ADDRESS_TAG_BYTES])
    }

    /// The identity of a site.
    pub fn site(site: &Site) -> Self {
        Self::new(IdentityKind::Site, site.as_str())
    }

    /// The pooled anonymous callers of a kind: those with too few calls to be counted separately (see
    /// [`crate::pooled_calls`]). No address's tag and no host is `*`.
    pub fn pooled(kind: IdentityKind) -> Self {
        Self::new(kind, POOLED)
    }

    /// Whether this is [`Identity::pooled`]. It has no limit: it is counted, and never published.
    pub fn is_pooled(&self) -> bool {
        self.name() == POOLED
    }

    /// The partition key.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Key, address or site.
    pub fn kind(&self) -> IdentityKind {
        self.kind
    }

    /// The text after the `#`: the hash, the tag or the host.
    pub fn name(&self) -> &str {
        &self.text[self.kind.as_str().len() + 1..]
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let (kind, rest) = text.split_once('#').ok_or(IdentityError)?;
        let kind = [IdentityKind::Key, IdentityKind::Address, IdentityKind::Site]
            .into_iter()
            .find(|known| known.as_str() == kind)
            .ok_or(IdentityError)?;
        Self::from_name(kind, rest)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The secret that addresses are hidden with: 32 random bytes, stored in one item of the access table.
#[derive(Clone, PartialEq, Eq)]
pub struct AddressSecret([u8; 32]);

/// The secret of one day, the same in every region, derived from the [`AddressSecret`] and the date.
#[derive(Clone)]
pub struct DaySecret([u8; 32]);

impl AddressSecret {
    /// From 32 bytes of a cryptographic source.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// From the hex text of its item; `None` if it is not 64 hex digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// The hex text for its item.
    pub fn to_hex(&self) -> String {
        hex_text(&self.0)
    }

    /// The secret of a date, UTC.
    pub fn day(&self, date: Date) -> DaySecret {
        let mut mac = hmac(&self.0);
        mac.update(date.to_string().as_bytes());
        DaySecret(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for AddressSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AddressSecret(…)")
    }
}

impl fmt::Debug for DaySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DaySecret(…)")
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length: the error can't happen")]
fn hmac(key: &[u8; 32]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(day: &str, address: &str) -> Identity {
        let secret = AddressSecret::new([7; 32]).day(day.parse().expect("a date"));
        Identity::address(&secret, address.parse().expect("an address"))
    }

    #[test]
    fn an_address_is_one_caller_for_one_day() {
        let first = address("2026-11-24", "203.0.113.9");
        assert_eq!(first, address("2026-11-24", "203.0.113.9"));
        assert_eq!(first, address("2026-11-24", "::ffff:203.0.113.9"));
        assert_ne!(first, address("2026-11-25", "203.0.113.9"));
        assert_ne!(first, address("2026-11-24", "203.0.113.10"));
        assert_eq!(first.name().len(), 32);
        assert!(!first.as_str().contains("203"));
    }

    #[test]
    fn refused_api_keys_are_charged_to_the_address_and_not_to_its_calls() {
        let secret = AddressSecret::new([7; 32]).day("2026-11-24".parse().expect("a date"));
        let refused = |address: &str| Identity::refused_keys(&secret, address.parse().expect("an address"));
        assert_eq!(refused("203.0.113.9"), refused("::ffff:203.0.113.9"));
        assert_ne!(refused("203.0.113.9"), refused("203.0.113.10"));
        assert_ne!(refused("203.0.113.9"), address("2026-11-24", "203.0.113.9"));
        assert_eq!(refused("203.0.113.9").kind(), IdentityKind::Address);
    }

    #[test]
    fn ipv6_callers_are_distinguished_by_their_64() {
        let first = address("2026-11-24", "2001:db8:1:2::1");
        assert_eq!(first, address("2026-11-24", "2001:db8:1:2:ffff::9"));
        assert_ne!(first, address("2026-11-24", "2001:db8:1:3::1"));
    }

    #[test]
    fn an_identity_survives_its_own_text() {
        let hash: KeyHash = "ab".repeat(32).parse().expect("a hash");
        let site = Site::from_referer("https://shop.example/").expect("a site");
        for identity in [Identity::key(&hash), address("2026-11-24", "::1"), Identity::site(&site)] {
            assert_eq!(identity.as_str().parse(), Ok(identity.clone()));
        }
        for junk in ["", "key", "key#", "user#1", "#x", "site#a b", &format!("site#{}", "x".repeat(254))] {
            assert_eq!(junk.parse::<Identity>(), Err(IdentityError), "{junk}");
        }
    }

    #[test]
    fn no_caller_has_the_pooled_identity() {
        let crowd = Identity::pooled(IdentityKind::Site);
        assert_eq!((crowd.as_str(), crowd.is_pooled()), ("site#*", true));
        assert_eq!("site#*".parse(), Ok(crowd));
        assert_eq!(Site::from_referer("https://*/"), None);
        assert!(!address("2026-11-24", "203.0.113.9").is_pooled());
    }

    #[test]
    fn a_secret_is_never_shown() {
        let secret = AddressSecret::new([171; 32]);
        assert_eq!(format!("{secret:?}"), "AddressSecret(…)");
        assert_eq!(format!("{:?}", secret.day(Date::default())), "DaySecret(…)");
        assert_eq!(AddressSecret::from_hex(&secret.to_hex()), Some(secret));
        assert_eq!(AddressSecret::from_hex("zz"), None);
    }
}
