//! Parses addresses as callers write them, and rejects those that can't have a location.

use std::net::{IpAddr, Ipv6Addr};

use ipgeo_contract::without_api_keys;

use super::special::kind;

/// Maximum characters of a caller's text in an answer.
const ECHO_CHARS_MAX: usize = 64;

/// Why a text has no location. The messages are those of ipdata.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AddressFault {
    /// Not an address.
    #[error("{0} does not appear to be an IPv4 or IPv6 address")]
    NotAnAddress(String),
    /// An address with a prefix length.
    #[error("{0} is a network, not an IP address; ask for one of its addresses, such as {1}")]
    Network(String, IpAddr),
    /// An address that is not on the public internet.
    #[error("{0} is a {1} IP address")]
    NotPublic(IpAddr, &'static str),
}

/// Cuts a caller's text to what an answer may repeat: without control characters, and without API keys, which clients put
/// into the wrong places.
pub(super) fn echo(text: &str) -> String {
    let text = without_api_keys(text);
    let mut shown: String = text.chars().filter(|c| !c.is_control()).take(ECHO_CHARS_MAX).collect();
    if text.chars().count() > ECHO_CHARS_MAX {
        shown.push('…');
    }
    shown
}

/// Whether a path segment is meant as an address: it contains a dot or colon, or starts with a digit.
pub(super) fn looks_like_address(text: &str) -> bool {
    text.contains([':', '.']) || text.starts_with(|c: char| c.is_ascii_digit())
}

/// Parses a public address, in canonical form. An IPv4-mapped address is its IPv4 address; an IPv6 address may be in brackets,
/// as in a URL.
pub(super) fn public_address(text: &str) -> Result<IpAddr, AddressFault> {
    let bare = text.trim();
    let address = match bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().map(IpAddr::V6),
        None => bare.parse::<IpAddr>(),
    };
    let address = address.map_err(|_| match network_address(bare) {
        Some(first) => AddressFault::Network(echo(bare), first),
        None => AddressFault::NotAnAddress(echo(text)),
    })?;
    let address = address.to_canonical();
    match kind(address) {
        None => Ok(address),
        Some(kind) => Err(AddressFault::NotPublic(address, kind)),
    }
}

/// The address before the prefix length of a text such as `8.8.8.0/24`.
pub(super) fn network_address(text: &str) -> Option<IpAddr> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    (digits && length.parse::<u8>().is_ok_and(|length| length <= bits)).then_some(address)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_networks_and_other_texts_are_classified() {
        let table = [
            ("8.8.8.8", Ok("8.8.8.8")),
            ("2001:4860:4860::8888", Ok("2001:4860:4860::8888")),
            ("2001:4860:4860:0:0:0:0:8888", Ok("2001:4860:4860::8888")),
            ("[2001:4860:4860::8888]", Ok("2001:4860:4860::8888")),
            ("::ffff:8.8.8.8", Ok("8.8.8.8")),
            ("10.0.0.1", Err("10.0.0.1 is a private IP address")),
            ("::ffff:10.0.0.1", Err("10.0.0.1 is a private IP address")),
            ("172.31.255.255", Err("172.31.255.255 is a private IP address")),
            ("127.0.0.1", Err("127.0.0.1 is a loopback IP address")),
            ("169.254.1.1", Err("169.254.1.1 is a link local IP address")),
            ("224.0.0.1", Err("224.0.0.1 is a multicast IP address")),
            ("0.0.0.0", Err("0.0.0.0 is a reserved IP address")),
            ("100.64.0.1", Err("100.64.0.1 is a reserved IP address")),
            ("192.0.2.1", Err("192.0.2.1 is a reserved IP address")),
            ("255.255.255.255", Err("255.255.255.255 is a reserved IP address")),
            ("::1", Err("::1 is a loopback IP address")),
            ("::", Err(":: is a reserved IP address")),
            ("fd00::1", Err("fd00::1 is a private IP address")),
            ("fe80::1", Err("fe80::1 is a link local IP address")),
            ("ff02::1", Err("ff02::1 is a multicast IP address")),
            ("2001:db8::1", Err("2001:db8::1 is a reserved IP address")),
            ("100::1", Err("100::1 is a reserved IP address")),
            ("bleh", Err("bleh does not appear to be an IPv4 or IPv6 address")),
            ("", Err(" does not appear to be an IPv4 or IPv6 address")),
            ("1.2.3", Err("1.2.3 does not appear to be an IPv4 or IPv6 address")),
            ("08.8.8.8", Err("08.8.8.8 does not appear to be an IPv4 or IPv6 address")),
            (
                "1.2.3.4/24",
                Err(
                    "1.2.3.4/24 is a network, not an IP address; ask for one of its addresses, such as 1.2.3.4",
                ),
            ),
            (
                "2001:db8::/32",
                Err(
                    "2001:db8::/32 is a network, not an IP address; ask for one of its addresses, such as 2001:db8::",
                ),
            ),
            ("1.2.3.4/33", Err("1.2.3.4/33 does not appear to be an IPv4 or IPv6 address")),
            ("1.2.3.4/+4", Err("1.2.3.4/+4 does not appear to be an IPv4 or IPv6 address")),
            ("1.2.3.4/", Err("1.2.3.4/ does not appear to be an IPv4 or IPv6 address")),
            ("[::ffff:8.8.8.8]", Ok("8.8.8.8")),
            (" 8.8.8.8 ", Ok("8.8.8.8")),
            ("[8.8.8.8]", Err("[8.8.8.8] does not appear to be an IPv4 or IPv6 address")),
            ("[8.8.8.8", Err("[8.8.8.8 does not appear to be an IPv4 or IPv6 address")),
            ("8.8.8.8]]]", Err("8.8.8.8]]] does not appear to be an IPv4 or IPv6 address")),
            ("[[2001:4860::1]]", Err("[[2001:4860::1]] does not appear to be an IPv4 or IPv6 address")),
            ("[2001:4860::1", Err("[2001:4860::1 does not appear to be an IPv4 or IPv6 address")),
            ("2001:4860::1]", Err("2001:4860::1] does not appear to be an IPv4 or IPv6 address")),
            ("[]", Err("[] does not appear to be an IPv4 or IPv6 address")),
            ("2002:a00:1::1", Err("2002:a00:1::1 is a private IP address")),
            ("2001:5::1", Err("2001:5::1 is a reserved IP address")),
            ("192.0.0.9", Ok("192.0.0.9")),
        ];
        for (text, expected) in table {
            let found = public_address(text).map(|a| a.to_string()).map_err(|e| e.to_string());
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn a_segment_with_a_dot_a_colon_or_a_first_digit_is_meant_as_an_address() {
        for (text, expected) in [("::1", true), ("a.b", true), ("2x", true), ("city", false), ("x2", false)] {
            assert_eq!(looks_like_address(text), expected, "{text}");
        }
    }

    #[test]
    fn an_answer_repeats_little_of_a_long_text() {
        let longest = "é".repeat(ECHO_CHARS_MAX);
        assert_eq!((echo(&longest), echo(&format!("{longest}é"))), (longest.clone(), format!("{longest}…")));
        let fault = public_address(&"x\u{1b}".repeat(10_000)).expect_err("no address");
        assert!(fault.to_string().chars().count() < 120);
        assert!(!fault.to_string().contains('\u{1b}'));
    }

    proptest! {
        #[test]
        fn any_text_is_answered_without_panic(text: String) {
            if let Ok(address) = public_address(&text) {
                prop_assert_eq!(public_address(&address.to_string()), Ok(address));
            }
        }
    }
}
