//! Addresses to look up: the same ones in every run.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipgeo_geo::compile::Networks;

/// A fixed generator (xorshift64), so that runs compare.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bits128(&mut self) -> u128 {
        u128::from(self.bits()) << 64 | u128::from(self.bits())
    }

    fn below(&mut self, end: u64) -> u64 {
        // The high bits are more random; the bias is too small to show in a measurement.
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }
}

/// Any IPv4 address except the first /8 and those from 224.0.0.0 on.
pub(super) fn any_ipv4(random: &mut Random) -> IpAddr {
    Ipv4Addr::from_bits(0x0100_0000 + random.below(0xdf00_0000) as u32).into()
}

/// Any address in the IPv6 blocks that registries allocate from.
pub(super) fn any_ipv6(random: &mut Random) -> IpAddr {
    let block = [0x2001, 0x2400, 0x2600, 0x2800, 0x2a00, 0x2c00][random.below(6) as usize];
    let block = block | u128::from(random.below(0x10));
    Ipv6Addr::from_bits(block << 112 | random.bits128() >> 16).into()
}

/// An address of a random network of the database, each equally likely: the deepest lookups.
pub(super) fn of_a_network(random: &mut Random, networks: &Networks, ipv6: bool) -> Option<IpAddr> {
    let number = random.below(networks.len(ipv6).max(1));
    networks.address(ipv6, number, random.bits128())
}

/// Addresses as in production: a third IPv6, more where the data has many networks, because people are there, and a few of
/// them (by Zipf's law) over and over.
pub(super) fn traffic(random: &mut Random, networks: &Networks) -> Option<IpAddr> {
    let ipv6 = random.below(3) == 0;
    let count = networks.len(ipv6).max(1);
    // The rank by Zipf's law with exponent 1, by inversion; ranks are spread over all networks by a fixed factor.
    let unit = random.bits() as f64 / u64::MAX as f64;
    let rank = ((count as f64).powf(unit) as u64).min(count) - 1;
    let number = (u128::from(rank) * 0x9e37_79b9_7f4a_7c15 % u128::from(count)) as u64;
    networks.address(ipv6, number, random.bits128())
}
