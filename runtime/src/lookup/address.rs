//! Addresses as callers write them: parsed, and told apart by whether they can have a location.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Characters of a caller's text that an answer repeats.
const ECHO_CHARS_MAX: usize = 64;

/// Why a text has no location: the message is the one that ipdata's clients know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AddressFault {
    /// Not an address.
    #[error("{0} does not appear to be an IPv4 or IPv6 address")]
    NotAnAddress(String),
    /// An address that is not of the public internet.
    #[error("{0} is a {1} IP address")]
    NotPublic(IpAddr, &'static str),
}

/// Cuts a caller's text to what an answer may repeat, without control characters.
pub(super) fn echo(text: &str) -> String {
    let mut shown: String = text.chars().filter(|c| !c.is_control()).take(ECHO_CHARS_MAX).collect();
    if text.chars().count() > ECHO_CHARS_MAX {
        shown.push('…');
    }
    shown
}

/// Whether a path segment is meant as an address: it has a digit, dot or colon where a name has none.
pub(super) fn looks_like_address(text: &str) -> bool {
    text.contains([':', '.']) || text.starts_with(|c: char| c.is_ascii_digit())
}

/// The canonical address of a text, if it is one and of the public internet. An IPv4 address in IPv6
/// form is the IPv4 address.
pub(super) fn public_address(text: &str) -> Result<IpAddr, AddressFault> {
    let bare = text.trim().trim_start_matches('[').trim_end_matches(']');
    let address: IpAddr = bare.parse().map_err(|_| AddressFault::NotAnAddress(echo(text)))?;
    let address = address.to_canonical();
    match kind(address) {
        None => Ok(address),
        Some(kind) => Err(AddressFault::NotPublic(address, kind)),
    }
}

fn kind(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => kind_v4(v4),
        IpAddr::V6(v6) => kind_v6(v6),
    }
}

/// By the IANA registry of special-purpose IPv4 addresses.
fn kind_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        _ if address.is_loopback() => Some("loopback"),
        _ if address.is_private() => Some("private"),
        _ if address.is_link_local() => Some("link local"),
        _ if address.is_multicast() => Some("multicast"),
        (0 | 240..=255, ..)             // this network; class E and broadcast
        | (100, 64..=127, _)            // shared by carriers
        | (192, 0, 0 | 2)               // protocol assignments; documentation
        | (192, 88, 99)                 // 6to4 relays, ended
        | (198, 18 | 19, _)             // benchmarks
        | (198, 51, 100)                // documentation
        | (203, 0, 113) => Some("reserved"),
        _ => None,
    }
}

/// By the IANA registry of special-purpose IPv6 addresses; outside `2000::/3` nothing is given out.
fn kind_v6(address: Ipv6Addr) -> Option<&'static str> {
    let [a, b, ..] = address.segments();
    match (a, b) {
        _ if address.is_loopback() => Some("loopback"),
        _ if address.is_multicast() => Some("multicast"),
        (0xfc00..=0xfdff, _) => Some("private"),
        (0xfe80..=0xfebf, _) => Some("link local"),
        // Documentation, benchmarks and identifiers inside 2001::/23, and documentation of 2024.
        (0x2001, 0x0db8 | 0x0002 | 0x0010..=0x003f) | (0x3fff, 0x0000..=0x0fff) => Some("reserved"),
        (0x2000..=0x3fff, _) => None,
        _ => Some("reserved"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_told_apart() {
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
            ("1.2.3.4/24", Err("1.2.3.4/24 does not appear to be an IPv4 or IPv6 address")),
        ];
        for (text, expected) in table {
            let found = public_address(text).map(|a| a.to_string()).map_err(|e| e.to_string());
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn an_answer_repeats_little_of_a_long_text() {
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
