//! Networks as texts: `192.0.2.0/24`, a single address, or `192.0.2.0-192.0.2.9`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// First and last address; IPv4 addresses are those of `::/96`.
pub(super) type Range = (u128, u128);

/// Networks without public addresses: the API never answers about them. Larger networks that contain one are retained.
/// (IANA's special-purpose registries; `::/8` includes what this module writes IPv4 addresses as.)
const RESERVED: [(&str, u8); 20] = [
    ("0.0.0.0", 8),
    ("10.0.0.0", 8),
    ("100.64.0.0", 10),
    ("127.0.0.0", 8),
    ("169.254.0.0", 16),
    ("172.16.0.0", 12),
    ("192.0.0.0", 24),
    ("192.0.2.0", 24),
    ("192.168.0.0", 16),
    ("198.18.0.0", 15),
    ("198.51.100.0", 24),
    ("203.0.113.0", 24),
    ("224.0.0.0", 3),
    ("100::", 64),
    ("2001:db8::", 32),
    ("3fff::", 20),
    ("fc00::", 7),
    ("fe80::", 10),
    ("ff00::", 8),
    ("5f00::", 16),
];

/// The first address after `::/96`, whose addresses stand for IPv4.
const IPV6_FIRST: u128 = 1 << 32;
/// A list never names more than a /8 of IPv4 or a /16 of IPv6 by one entry: such an entry is a mistake of its publisher, and
/// would give a sixteenth of the internet a flag.
const WIDTH_MAX: [(u32, &str); 2] = [(24, "/8"), (112, "/16")];

/// Reads an address; an IPv4 address written in IPv6 (`::ffff:192.0.2.1`) is an IPv4 address.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse::<IpAddr>().map(|address| address.to_canonical()).map_err(|_| {
        let shown: String = text.chars().take(60).collect();
        format!("`{}` is not an address or network", shown.escape_debug())
    })
}

pub(super) fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The addresses between two IPv6 addresses, without those that stand for IPv4: they become a reserved address.
fn ipv6(first: u128, last: u128) -> Range {
    (first.max(IPV6_FIRST), last.max(IPV6_FIRST))
}

/// Reads a network, an address, or a range with `-`. Bits after a prefix are ignored.
pub(super) fn range(text: &str) -> Result<Range, String> {
    if let Some((network, length)) = text.split_once('/') {
        return prefix(network.trim(), length.trim());
    }
    match text.split_once('-') {
        Some((first, last)) => between(first.trim(), last.trim()),
        None => between(text, text),
    }
}

/// Refuses a network whose address has bits after the prefix: the network or the address may be meant.
pub(super) fn refuse_host_bits(text: &str) -> Result<(), String> {
    let Some((network, length)) = text.split_once('/') else { return Ok(()) };
    let (network, (first, _)) = (network.trim(), range(text)?);
    let address = address(network)?;
    if bits(address) == first || first == IPV6_FIRST {
        return Ok(());
    }
    let whole = shown((first, first));
    Err(format!(
        "`{}` has bits after its prefix: write `{whole}/{}` for the network or `{network}` for the address",
        text.trim(),
        length.trim()
    ))
}

fn prefix(network: &str, length: &str) -> Result<Range, String> {
    let written: IpAddr = network.parse().map_err(|_| address(network).err().unwrap_or_default())?;
    let address = written.to_canonical();
    let fault = || format!("`{}` is not a prefix length", length.escape_debug());
    let length: u32 = length.parse().map_err(|_| fault())?;
    // In an IPv4 network written as IPv6, the first 96 bits precede the IPv4 address.
    let mapped = written.is_ipv6() && address.is_ipv4();
    let length = if mapped { length.checked_sub(96).ok_or_else(fault)? } else { length };
    let width = if address.is_ipv4() { 32 } else { 128 };
    let host_bits = u32::checked_sub(width, length).ok_or_else(fault)?;
    let below = u128::MAX.checked_shr(128 - host_bits).unwrap_or(0);
    let first = bits(address) & !below;
    Ok(if address.is_ipv6() { ipv6(first, first | below) } else { (first, first | below) })
}

/// The range between two addresses. An address may be a number; below 2^32 it is an IPv4 address.
pub(super) fn between(first: &str, last: &str) -> Result<Range, String> {
    let end_of = |address: IpAddr| (bits(address), address.is_ipv6());
    let end = |text: &str| match text.parse::<u128>() {
        Ok(number) if number < IPV6_FIRST => Ok((number, false)),
        Ok(number) => Ok(end_of(Ipv6Addr::from_bits(number).to_canonical())),
        Err(_) => address(text).map(end_of),
    };
    let ((low, low_ipv6), (high, high_ipv6)) = (end(first)?, end(last)?);
    if low_ipv6 != high_ipv6 {
        return Err(format!("the range from `{first}` to `{last}` mixes IPv4 and IPv6"));
    }
    if high < low {
        return Err(format!("the range from `{first}` ends before it begins, at `{last}`"));
    }
    Ok(if low_ipv6 { ipv6(low, high) } else { (low, high) })
}

/// Whether a range has no public address.
pub(super) fn is_reserved((first, last): Range) -> bool {
    // `::/8` has no public address besides those that stand for IPv4.
    if first >= IPV6_FIRST && last < 1 << 120 {
        return true;
    }
    RESERVED.iter().any(|(network, length)| {
        let Ok(address) = network.parse::<IpAddr>() else { return false };
        let (low, width) = (bits(address), if address.is_ipv4() { 32 } else { 128 });
        let high = low | ((1_u128 << (width - u32::from(*length))) - 1);
        low <= first && last <= high
    })
}

/// Refuses a range that is too large for an entry of a list, unless it has no public address.
pub(super) fn refuse_giant(text: &str, range: Range) -> Result<(), String> {
    let (first, last) = range;
    let (bits, name) = WIDTH_MAX[usize::from(last >= IPV6_FIRST)];
    if (last - first) >> bits == 0 || is_reserved(range) {
        return Ok(());
    }
    Err(format!("`{}` is larger than a {name}: probably a mistake", text.trim()))
}

/// A range as text, for messages.
pub(super) fn shown((first, last): Range) -> String {
    let address = |bits: u128| match u32::try_from(bits) {
        Ok(v4) => IpAddr::from(Ipv4Addr::from_bits(v4)),
        Err(_) => Ipv6Addr::from_bits(bits).into(),
    };
    if first == last { address(first).to_string() } else { format!("{}-{}", address(first), address(last)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_addresses_and_ranges_are_read() {
        for (text, expected) in [
            ("8.8.8.0/24", Ok("8.8.8.0-8.8.8.255")),
            ("8.8.8.8/24", Ok("8.8.8.0-8.8.8.255")),
            ("8.8.8.8", Ok("8.8.8.8")),
            ("8.8.8.8/32", Ok("8.8.8.8")),
            ("8.8.8.1 - 8.8.8.9", Ok("8.8.8.1-8.8.8.9")),
            ("2001:4860::/127", Ok("2001:4860::-2001:4860::1")),
            ("2001:4860::", Ok("2001:4860::")),
            ("::ffff:8.8.8.8", Ok("8.8.8.8")),
            ("::ffff:8.8.8.0/120", Ok("8.8.8.0-8.8.8.255")),
            ("0.0.0.0/0", Ok("0.0.0.0-255.255.255.255")),
            ("134744072-134744073", Ok("8.8.8.8-8.8.8.9")),
            ("::-2001::", Ok("::1:0:0-2001::")),
            // IPv6 networks contain none of the addresses that stand for IPv4.
            ("::/0", Ok("::1:0:0-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")),
            ("::/96", Ok("::1:0:0")),
            ("::8.8.8.8", Ok("::1:0:0")),
            ("::808:808-2001::", Ok("::1:0:0-2001::")),
            ("281470816487432-281470816487433", Ok("8.8.8.8-8.8.8.9")),
            ("8.8.8.0/33", Err("`33` is not a prefix length")),
            ("::ffff:8.8.8.0/24", Err("`24` is not a prefix length")),
            ("8.8.8.0/-1", Err("`-1` is not a prefix length")),
            ("8.8.8.0/", Err("`` is not a prefix length")),
            ("2001::/129", Err("`129` is not a prefix length")),
            ("8.8.8.9-8.8.8.1", Err("the range from `8.8.8.9` ends before it begins, at `8.8.8.1`")),
            ("8.8.8.9-2001::", Err("the range from `8.8.8.9` to `2001::` mixes IPv4 and IPv6")),
            ("8.8.8", Err("`8.8.8` is not an address or network")),
            ("<html>", Err("`<html>` is not an address or network")),
            ("\u{1b}[2J", Err("`\\u{1b}[2J` is not an address or network")),
            ("08.8.8.8", Err("`08.8.8.8` is not an address or network")),
        ] {
            assert_eq!(range(text).map(shown), expected.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn bits_after_a_prefix_are_refused_with_both_readings() {
        for (text, expected) in [
            ("8.8.8.0/24", None),
            ("8.8.8.8", None),
            ("8.8.8.8/32", None),
            ("8.8.8.1-8.8.8.9", None),
            ("2001:4860::/32", None),
            ("::ffff:8.8.8.0/120", None),
            ("9.9.9.9/8", Some(("9.0.0.0/8", "9.9.9.9"))),
            ("8.8.8.8 / 31 ", None),
            ("8.8.8.9/31", Some(("8.8.8.8/31", "8.8.8.9"))),
            ("2001:4860::1/32", Some(("2001:4860::/32", "2001:4860::1"))),
        ] {
            let fault = expected.map(|(network, address)| {
                format!("`{text}` has bits after its prefix: write `{network}` for the network or `{address}` for the address")
            });
            assert_eq!(refuse_host_bits(text).err(), fault, "{text}");
        }
    }

    #[test]
    fn reserved_and_giant_networks_are_recognised() {
        for (text, reserved, giant) in [
            ("10.1.0.0/16", true, false),
            ("203.0.113.9", true, false),
            ("240.0.0.0/4", true, false),
            ("fd00::/64", true, false),
            ("::/127", true, false),
            ("64:ff9b::/96", true, false),
            ("8.8.8.8", false, false),
            ("8.0.0.0/8", false, false),
            ("8.0.0.0/7", false, true),
            ("8.0.0.0-9.0.0.0", false, true),
            ("0.0.0.0/0", false, true),
            ("2600::/16", false, false),
            ("2600::/15", false, true),
            ("2600::/128", false, false),
        ] {
            let range = range(text).expect(text);
            assert_eq!((is_reserved(range), refuse_giant(text, range).is_err()), (reserved, giant), "{text}");
        }
    }
}
