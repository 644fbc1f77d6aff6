//! Prefixes inside texts: a route is stored as its length and completed from the address of the lookup, so that all routes of a
//! network that have one length share a text and a record.

use std::net::{IpAddr, Ipv6Addr};

use crate::format::ROUTE_MARK;

/// Length of the prefix `::/96`, in which IPv4 addresses are.
const IPV4_BITS: u8 = 96;

/// Appends `text` with the prefix of `address` in place of each length between two marks.
#[inline]
pub(crate) fn write_marked(text: &str, address: IpAddr, out: &mut String) {
    let mut parts = text.split(ROUTE_MARK);
    out.push_str(parts.next().unwrap_or_default());
    while let (Some(length), Some(rest)) = (parts.next(), parts.next()) {
        if let Some(length) = length.parse().ok().filter(|length| *length <= 128) {
            write_prefix(address, length, out);
        }
        out.push_str(rest);
    }
}

/// Appends the prefix of `length` bits that holds `address`. Lengths are those of IPv6, and an IPv4 address is in `::/96`.
#[inline]
pub(crate) fn write_prefix(address: IpAddr, length: u8, out: &mut String) {
    use std::fmt::Write as _;
    match address {
        IpAddr::V4(v4) if length >= IPV4_BITS => {
            let length = length - IPV4_BITS;
            let mask = u32::MAX.checked_shl(u32::from(32 - length)).unwrap_or(0);
            write_ipv4(v4.to_bits() & mask, out);
            out.push('/');
            if length >= 10 {
                out.push(char::from(b'0' + length / 10));
            }
            out.push(char::from(b'0' + length % 10));
        }
        _ => {
            let bits = match address {
                IpAddr::V4(v4) => u128::from(v4.to_bits()),
                IpAddr::V6(v6) => v6.to_bits(),
            };
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            // Writing to a String can't fail.
            let _ = write!(out, "{}/{length}", Ipv6Addr::from_bits(bits & mask));
        }
    }
}

/// Appends an address. For IPv4 it is faster than the standard library's formatting, which takes half as long as a lookup.
#[inline]
pub fn write_address(address: IpAddr, out: &mut String) {
    use std::fmt::Write as _;
    match address {
        IpAddr::V4(v4) => write_ipv4(v4.to_bits(), out),
        IpAddr::V6(v6) => {
            // Writing to a String can't fail.
            let _ = write!(out, "{v6}");
        }
    }
}

/// The digits of each octet, the first one in the lowest byte, and how many they are.
const DIGITS: [(u32, u32); 256] = {
    let mut digits = [(0, 0); 256];
    let mut octet = 0;
    while octet < 256 {
        let (hundreds, tens, ones) = (octet / 100, octet / 10 % 10, octet % 10);
        let [a, b, c] = [b'0' as u32 + hundreds, b'0' as u32 + tens, b'0' as u32 + ones];
        digits[octet as usize] = match octet {
            0..10 => (c, 1),
            10..100 => (b | c << 8, 2),
            _ => (a | b << 8 | c << 16, 3),
        };
        octet += 1;
    }
    digits
};

/// Appends an IPv4 address. The text is put together in a register: bytes that were just written one by one can't be read
/// together without a delay.
#[inline]
fn write_ipv4(bits: u32, out: &mut String) {
    let (mut text, mut length) = (0_u128, 0);
    for octet in bits.to_be_bytes() {
        let (digits, count) = DIGITS[usize::from(octet)];
        text |= u128::from(digits | u32::from(b'.') << (8 * count)) << length;
        length += 8 * (count + 1);
    }
    // Without the last dot.
    let text = text.to_le_bytes();
    out.push_str(std::str::from_utf8(&text[..(length / 8 - 1) as usize]).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn marked(text: &str, address: &str) -> String {
        let mut out = String::new();
        write_marked(text, address.parse().expect("an address"), &mut out);
        out
    }

    #[test]
    fn marks_become_prefixes_of_the_address() {
        for (text, address, expected) in [
            ("", "8.8.8.8", ""),
            ("a", "8.8.8.8", "a"),
            ("a\u{1}120\u{1}b", "8.8.8.8", "a8.8.8.0/24b"),
            ("\u{1}96\u{1}", "8.8.8.8", "0.0.0.0/0"),
            ("\u{1}128\u{1},\u{1}104\u{1}", "203.0.113.7", "203.0.113.7/32,203.0.0.0/8"),
            ("\u{1}32\u{1}", "2001:4860:4860::8888", "2001:4860::/32"),
            ("\u{1}0\u{1}", "2001:4860:4860::8888", "::/0"),
            ("\u{1}0\u{1}", "8.8.8.8", "::/0"),
            // No valid file has this.
            ("a\u{1}129\u{1}b", "8.8.8.8", "ab"),
            ("a\u{1}x\u{1}b", "8.8.8.8", "ab"),
            ("a\u{1}120", "8.8.8.8", "a"),
        ] {
            assert_eq!(marked(text, address), expected, "{text:?} {address}");
        }
    }

    proptest! {
        #[test]
        fn prefixes_are_written_as_the_standard_library_writes_them(bits: u32, length in 0_u8..=32) {
            let address = std::net::Ipv4Addr::from_bits(bits);
            let network = ipnet::Ipv4Net::new(address, length).expect("a length").trunc();
            let mut out = String::new();
            write_prefix(address.into(), length + 96, &mut out);
            prop_assert_eq!(out, network.to_string());
        }
    }
}
