//! Which addresses can have a location, by IANA's registries of special-purpose addresses as of 2025-10-09.
//!
//! The longest matching prefix decides, so globally reachable blocks inside a reserved one are public. In addition to the
//! registries, multicast, all of `240.0.0.0/4`, and everything outside `2000::/3` (unallocated) are not public. An address
//! that embeds an IPv4 address (6to4, Teredo, NAT64) is public if that one is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The purpose of a block; `None`: globally reachable.
type Kind = Option<&'static str>;

const PUBLIC: Kind = None;
const PRIVATE: Kind = Some("private");
const LOOPBACK: Kind = Some("loopback");
const LINK_LOCAL: Kind = Some("link local");
const MULTICAST: Kind = Some("multicast");
const RESERVED: Kind = Some("reserved");

/// IPv4 blocks: first address, prefix length, kind. Longer prefixes first.
const V4: [([u8; 4], u32, Kind); 26] = [
    ([0, 0, 0, 0], 32, RESERVED),         // this host
    ([192, 0, 0, 8], 32, RESERVED),       // dummy address
    ([192, 0, 0, 9], 32, PUBLIC),         // port control, anycast
    ([192, 0, 0, 10], 32, PUBLIC),        // TURN, anycast
    ([192, 0, 0, 170], 32, RESERVED),     // NAT64 discovery
    ([192, 0, 0, 171], 32, RESERVED),     // NAT64 discovery
    ([255, 255, 255, 255], 32, RESERVED), // broadcast
    ([192, 0, 0, 0], 29, RESERVED),       // IPv4 service continuity
    ([192, 0, 0, 0], 24, RESERVED),       // protocol assignments
    ([192, 0, 2, 0], 24, RESERVED),       // documentation
    ([192, 31, 196, 0], 24, PUBLIC),      // AS112
    ([192, 52, 193, 0], 24, PUBLIC),      // multicast tunnels
    ([192, 88, 99, 0], 24, RESERVED),     // 6to4 relays, ended in 2015
    ([192, 175, 48, 0], 24, PUBLIC),      // AS112
    ([198, 51, 100, 0], 24, RESERVED),    // documentation
    ([203, 0, 113, 0], 24, RESERVED),     // documentation
    ([169, 254, 0, 0], 16, LINK_LOCAL),
    ([192, 168, 0, 0], 16, PRIVATE),
    ([198, 18, 0, 0], 15, RESERVED), // benchmarks
    ([172, 16, 0, 0], 12, PRIVATE),
    ([100, 64, 0, 0], 10, RESERVED), // shared by carriers
    ([0, 0, 0, 0], 8, RESERVED),     // this network
    ([10, 0, 0, 0], 8, PRIVATE),
    ([127, 0, 0, 0], 8, LOOPBACK),
    ([224, 0, 0, 0], 4, MULTICAST),
    ([240, 0, 0, 0], 4, RESERVED), // for future use
];

/// IPv6 blocks: first four segments, prefix length, kind. Longer prefixes first. Blocks longer than 64 bits are in
/// [`V6_ADDRESSES`].
const V6: [([u16; 4], u32, Kind); 22] = [
    ([0x0100, 0, 0, 0], 64, RESERVED),       // discard
    ([0x0100, 0, 0, 1], 64, RESERVED),       // dummy prefix
    ([0x0064, 0xff9b, 1, 0], 48, RESERVED), // NAT64 of local use: where the IPv4 address is in it is a local choice
    ([0x2001, 2, 0, 0], 48, RESERVED),      // benchmarks
    ([0x2001, 4, 0x112, 0], 48, PUBLIC),    // AS112
    ([0x2620, 0x4f, 0x8000, 0], 48, PUBLIC), // AS112
    ([0x2001, 0, 0, 0], 32, PUBLIC),        // Teredo: by what is embedded
    ([0x2001, 3, 0, 0], 32, PUBLIC),        // multicast tunnels
    ([0x2001, 0xdb8, 0, 0], 32, RESERVED),  // documentation
    ([0x2001, 0x10, 0, 0], 28, RESERVED),   // ORCHID, ended in 2014
    ([0x2001, 0x20, 0, 0], 28, PUBLIC),     // ORCHIDv2
    ([0x2001, 0x30, 0, 0], 28, PUBLIC),     // drones
    ([0x2001, 0, 0, 0], 23, RESERVED),      // protocol assignments
    ([0x3fff, 0, 0, 0], 20, RESERVED),      // documentation
    ([0x2002, 0, 0, 0], 16, PUBLIC),        // 6to4: by what is embedded
    ([0x5f00, 0, 0, 0], 16, RESERVED),      // segment routing
    ([0xfec0, 0, 0, 0], 10, RESERVED),      // site local, ended in 2004
    ([0xfe80, 0, 0, 0], 10, LINK_LOCAL),
    ([0xff00, 0, 0, 0], 8, MULTICAST),
    ([0xfc00, 0, 0, 0], 7, PRIVATE),
    ([0x2000, 0, 0, 0], 3, PUBLIC), // given out
    ([0, 0, 0, 0], 0, RESERVED),    // not given out
];

/// IPv6 blocks longer than 64 bits, longer prefixes first.
const V6_ADDRESSES: [(Ipv6Addr, u32, Kind); 7] = [
    (Ipv6Addr::UNSPECIFIED, 128, RESERVED),
    (Ipv6Addr::LOCALHOST, 128, LOOPBACK),
    (Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 1), 128, PUBLIC), // port control, anycast
    (Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 2), 128, PUBLIC), // TURN, anycast
    (Ipv6Addr::new(0x2001, 1, 0, 0, 0, 0, 0, 3), 128, PUBLIC), // service registration, anycast
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, PUBLIC),  // IPv4 in IPv6 form: by what is embedded
    (NAT64, 96, PUBLIC),                                       // by what is embedded
];

/// The well-known prefix of NAT64, 96 bits.
const NAT64: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);

/// Why an address can't have a location; `None` if it can.
pub(super) fn kind(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(v4) => kind_v4(v4),
        IpAddr::V6(v6) => kind_v6(v6).or_else(|| embedded(v6).into_iter().flatten().find_map(kind_v4)),
    }
}

/// The address to look up: the IPv4 host embedded in a 6to4, Teredo or NAT64 address, whose own block has no location;
/// otherwise the address itself.
pub(super) fn located(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    embedded(v6)[0].map_or(address, IpAddr::V4)
}

fn kind_v4(address: Ipv4Addr) -> Kind {
    let bits = address.to_bits();
    let holds = |first: [u8; 4], length: u32| (bits ^ u32::from_be_bytes(first)).leading_zeros() >= length;
    V4.into_iter().find(|(first, length, _)| holds(*first, *length)).and_then(|(.., kind)| kind)
}

fn kind_v6(address: Ipv6Addr) -> Kind {
    let bits = address.to_bits();
    let holds = |first: Ipv6Addr, length: u32| (bits ^ first.to_bits()).leading_zeros() >= length;
    let blocks = V6
        .into_iter()
        .map(|([a, b, c, d], length, kind)| (Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), length, kind));
    let mut blocks = V6_ADDRESSES.into_iter().chain(blocks);
    blocks.find(|(first, length, _)| holds(*first, *length)).and_then(|(.., kind)| kind)
}

/// The IPv4 addresses inside an IPv6 address: first the host's own, then the Teredo server's.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        [0x2002, high, low, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0, 0xffff, high, low] => [v4(high, low), None],
        // RFC 4380 4: the server, flags, the client's port and address with all bits inverted.
        [0x2001, 0, server_high, server_low, _, _, high, low] => {
            [v4(!high, !low), v4(server_high, server_low)]
        }
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Kind {
        kind(text.parse().expect("an address"))
    }

    /// The registries row by row, independently of the tables above: first and last address of each block, an address just
    /// outside, and the kind.
    #[test]
    fn every_row_of_the_registries_holds_from_its_first_address_to_its_last() {
        let table = [
            ("0.0.0.0", "0.255.255.255", RESERVED),
            ("10.0.0.0", "10.255.255.255", PRIVATE),
            ("100.64.0.0", "100.127.255.255", RESERVED),
            ("127.0.0.0", "127.255.255.255", LOOPBACK),
            ("169.254.0.0", "169.254.255.255", LINK_LOCAL),
            ("172.16.0.0", "172.31.255.255", PRIVATE),
            ("192.0.0.0", "192.0.0.7", RESERVED),
            ("192.0.0.8", "192.0.0.8", RESERVED),
            ("192.0.0.9", "192.0.0.9", PUBLIC),
            ("192.0.0.10", "192.0.0.10", PUBLIC),
            ("192.0.0.11", "192.0.0.169", RESERVED),
            ("192.0.0.170", "192.0.0.171", RESERVED),
            ("192.0.0.172", "192.0.0.255", RESERVED),
            ("192.0.2.0", "192.0.2.255", RESERVED),
            ("192.31.196.0", "192.31.196.255", PUBLIC),
            ("192.52.193.0", "192.52.193.255", PUBLIC),
            ("192.88.99.0", "192.88.99.255", RESERVED),
            ("192.168.0.0", "192.168.255.255", PRIVATE),
            ("192.175.48.0", "192.175.48.255", PUBLIC),
            ("198.18.0.0", "198.19.255.255", RESERVED),
            ("198.51.100.0", "198.51.100.255", RESERVED),
            ("203.0.113.0", "203.0.113.255", RESERVED),
            ("224.0.0.0", "239.255.255.255", MULTICAST),
            ("240.0.0.0", "255.255.255.254", RESERVED),
            ("255.255.255.255", "255.255.255.255", RESERVED),
            // And the ranges in between.
            ("1.0.0.0", "9.255.255.255", PUBLIC),
            ("11.0.0.0", "100.63.255.255", PUBLIC),
            ("100.128.0.0", "126.255.255.255", PUBLIC),
            ("128.0.0.0", "169.253.255.255", PUBLIC),
            ("169.255.0.0", "172.15.255.255", PUBLIC),
            ("172.32.0.0", "191.255.255.255", PUBLIC),
            ("192.0.1.0", "192.0.1.255", PUBLIC),
            ("192.0.3.0", "192.88.98.255", PUBLIC),
            ("192.88.100.0", "192.167.255.255", PUBLIC),
            ("192.169.0.0", "198.17.255.255", PUBLIC),
            ("198.20.0.0", "198.51.99.255", PUBLIC),
            ("198.51.101.0", "203.0.112.255", PUBLIC),
            ("203.0.114.0", "223.255.255.255", PUBLIC),
        ];
        for (first, last, expected) in table {
            for text in [first, last] {
                assert_eq!(of(text), expected, "{text}");
                assert_eq!(of(&format!("::ffff:{text}")), expected, "::ffff:{text}");
                assert_eq!(of(&format!("64:ff9b::{text}")), expected, "64:ff9b::{text}");
                let v4: Ipv4Addr = text.parse().expect("an address");
                let [high, low] = [v4.to_bits() >> 16, v4.to_bits() & 0xffff];
                assert_eq!(of(&format!("2002:{high:x}:{low:x}::1")), expected, "6to4 of {text}");
                assert_eq!(of(&format!("2002:{high:x}:{low:x}:ffff:ffff:ffff:ffff:ffff")), expected);
                let (not_high, not_low) = (high ^ 0xffff, low ^ 0xffff);
                let teredo = format!("2001:0:4136:e378:8000:63bf:{not_high:x}:{not_low:x}");
                assert_eq!(of(&teredo), expected, "Teredo of {text}");
                let server = format!("2001:0:{high:x}:{low:x}:8000:63bf:f7f7:f7f7");
                assert_eq!(of(&server), expected, "Teredo by the server {text}");
            }
        }
    }

    #[test]
    fn every_row_of_ipv6_holds_from_its_first_address_to_its_last() {
        let f = "ffff:ffff:ffff:ffff";
        let table = [
            ("::", "::".into(), RESERVED),
            ("::1", "::1".into(), LOOPBACK),
            // The IPv4-compatible form, deprecated in 2006: an IPv4 address without `ffff`.
            ("::2", "::fffe:ffff:ffff".into(), RESERVED),
            ("64:ff9b:0:0:0:1::", format!("64:ff9b:0:{f}:ffff"), RESERVED),
            ("64:ff9b:1::", format!("64:ff9b:1:ffff:{f}"), RESERVED),
            ("100::", format!("100::{f}"), RESERVED),
            ("100:0:0:1::", format!("100:0:0:1:{f}"), RESERVED),
            ("200::", format!("1fff:ffff:ffff:ffff:{f}"), RESERVED),
            ("2001:1::", "2001:1::".into(), RESERVED),
            ("2001:1::1", "2001:1::3".into(), PUBLIC),
            ("2001:1::4", format!("2001:1:ffff:ffff:{f}"), RESERVED),
            ("2001:2::", format!("2001:2:0:ffff:{f}"), RESERVED),
            ("2001:2:1::", format!("2001:2:ffff:ffff:{f}"), RESERVED),
            ("2001:3::", format!("2001:3:ffff:ffff:{f}"), PUBLIC),
            ("2001:4::", format!("2001:4:111:ffff:{f}"), RESERVED),
            ("2001:4:112::", format!("2001:4:112:ffff:{f}"), PUBLIC),
            ("2001:4:113::", format!("2001:f:ffff:ffff:{f}"), RESERVED),
            ("2001:10::", format!("2001:1f:ffff:ffff:{f}"), RESERVED),
            ("2001:20::", format!("2001:2f:ffff:ffff:{f}"), PUBLIC),
            ("2001:30::", format!("2001:3f:ffff:ffff:{f}"), PUBLIC),
            ("2001:40::", format!("2001:1ff:ffff:ffff:{f}"), RESERVED),
            ("2001:200::", format!("2001:db7:ffff:ffff:{f}"), PUBLIC),
            ("2001:db8::", format!("2001:db8:ffff:ffff:{f}"), RESERVED),
            ("2001:db9::", format!("2001:ffff:ffff:ffff:{f}"), PUBLIC),
            ("2003::", format!("261f:ffff:ffff:ffff:{f}"), PUBLIC),
            ("2620:4f:8000::", format!("2620:4f:8000:ffff:{f}"), PUBLIC),
            ("3ffe::", format!("3ffe:ffff:ffff:ffff:{f}"), PUBLIC),
            ("3fff::", format!("3fff:fff:ffff:ffff:{f}"), RESERVED),
            ("3fff:1000::", format!("3fff:ffff:ffff:ffff:{f}"), PUBLIC),
            ("4000::", format!("5eff:ffff:ffff:ffff:{f}"), RESERVED),
            ("5f00::", format!("5f00:ffff:ffff:ffff:{f}"), RESERVED),
            ("fc00::", format!("fdff:ffff:ffff:ffff:{f}"), PRIVATE),
            ("fe80::", format!("febf:ffff:ffff:ffff:{f}"), LINK_LOCAL),
            ("fec0::", format!("feff:ffff:ffff:ffff:{f}"), RESERVED),
            ("ff00::", format!("ffff:ffff:ffff:ffff:{f}"), MULTICAST),
        ];
        for (first, last, expected) in table {
            assert_eq!(of(first), expected, "{first}");
            assert_eq!(of(&last), expected, "{last}");
        }
    }

    #[test]
    fn longer_prefixes_come_first_and_no_block_twice() {
        let v4: Vec<(u32, u32)> =
            V4.iter().map(|(first, length, _)| (*length, u32::from_be_bytes(*first))).collect();
        let v6: Vec<(u32, Ipv6Addr)> = V6_ADDRESSES
            .iter()
            .map(|(first, length, _)| (*length, *first))
            .chain(
                V6.iter()
                    .map(|([a, b, c, d], length, _)| (*length, Ipv6Addr::new(*a, *b, *c, *d, 0, 0, 0, 0))),
            )
            .collect();
        assert!(v4.windows(2).all(|pair| pair[0].0 >= pair[1].0 && pair[0] != pair[1]));
        assert!(v6.windows(2).all(|pair| pair[0].0 >= pair[1].0 && pair[0] != pair[1]));
    }

    #[test]
    fn a_tunnelled_host_has_the_location_of_its_ipv4_address() {
        for (text, expected) in [
            ("2002:808:808::1", "8.8.8.8"),
            ("64:ff9b::8.8.8.8", "8.8.8.8"),
            ("2001:0:4136:e378:8000:63bf:f7f7:f7f7", "8.8.8.8"),
            ("2001:4860:4860::8888", "2001:4860:4860::8888"),
            ("8.8.8.8", "8.8.8.8"),
        ] {
            assert_eq!(located(text.parse().expect("an address")).to_string(), expected, "{text}");
        }
    }
}
