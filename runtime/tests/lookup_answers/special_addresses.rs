//! Which addresses can have a location, compared with an independent reader of IANA's registries: `netaddr`.
//!
//! Requires `python3` with `venv` and access to Python's package index; otherwise it is skipped with a note.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::python::Venv;
use crate::support::edge::Edge;
use ipgeo_runtime::lookup::Event;
use jiff::Timestamp;

const NETADDR: &str = "netaddr==1.3.0";

const SCRIPT: &str = "
import sys, netaddr
for line in open(sys.argv[1]):
    print(line.strip(), int(netaddr.IPAddress(line.strip()).is_global()))
";

/// Blocks that are missing in `netaddr`'s tables because they are of 2019 to 2024, and their state in IANA's registries.
const NEWER: [(&str, u32, bool); 4] =
    [("2001:1::3", 128, true), ("100:0:0:1::", 64, false), ("3fff::", 20, false), ("5f00::", 16, false)];

/// Blocks that are `N/A` or missing in the registries, and our decision.
const OURS: [(&str, u32, bool); 3] =
    [("192.88.99.0", 24, false), ("224.0.0.0", 4, false), ("ff00::", 8, false)];

fn is_in(address: IpAddr, block: &str, length: u32) -> bool {
    match (address, block.parse().expect("an address")) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= length,
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= length,
        _ => false,
    }
}

/// The IPv4 addresses embedded in an IPv6 address, by the layout of 6to4, Teredo and NAT64.
fn carried(address: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V6(v6) = address else { return Vec::new() };
    let part = |shift: u32| {
        Ipv4Addr::from_bits(u32::try_from(v6.to_bits() >> shift & u128::from(u32::MAX)).expect("32 bits"))
    };
    let carried = if is_in(address, "2002::", 16) {
        vec![part(80)]
    } else if is_in(address, "2001::", 32) {
        vec![part(64), Ipv4Addr::from_bits(!part(0).to_bits())]
    } else if is_in(address, "64:ff9b::", 96) || is_in(address, "::ffff:0:0", 96) {
        vec![part(0)]
    } else {
        Vec::new()
    };
    carried.into_iter().map(IpAddr::V4).collect()
}

/// Whether an address is public according to `netaddr` and the tables above.
fn expected(address: IpAddr, is_global: &impl Fn(IpAddr) -> bool) -> bool {
    let carried = carried(address);
    if !carried.is_empty() {
        return carried.into_iter().all(|v4| expected(v4, is_global));
    }
    let known = NEWER.into_iter().chain(OURS).find(|(block, length, _)| is_in(address, block, *length));
    if let Some((.., public)) = known {
        return public;
    }
    let given_out = address.is_ipv4() || is_in(address, "2000::", 3);
    given_out && is_global(address)
}

/// Addresses at and around the bounds of every special-purpose block, and random ones.
fn addresses() -> BTreeSet<IpAddr> {
    let mut random = fastrand::Rng::with_seed(18);
    let mut found = BTreeSet::new();
    let v4: Vec<u32> = (0..=255_u32)
        .flat_map(|a| [a << 24, a << 24 | 0x00a8_0000, a << 24 | 0x0010_0000, a << 24 | 0x0040_0000])
        .chain([0xc000_0000, 0xc000_0200, 0xc01f_c400, 0xc034_c100, 0xc058_6300, 0xc0af_3000, 0xc612_0000])
        .chain([0xc633_6400, 0xcb00_7100, 0xa9fe_0000, 0xac20_0000, 0x6480_0000, 0xc614_0000])
        .chain((0..16).map(|n| 0xc000_0000 + n))
        .chain((160..180).map(|n| 0xc000_0000 + n))
        .chain((0..3_000).map(|_| random.u32(..)))
        .collect();
    for bits in
        v4.into_iter().flat_map(|bits| [bits.wrapping_sub(1), bits, bits.wrapping_add(1), bits | 0xff])
    {
        let [high, low] = [bits >> 16, bits & 0xffff].map(|part| u16::try_from(part).expect("16 bits"));
        found.insert(IpAddr::V4(Ipv4Addr::from_bits(bits)));
        found.insert(IpAddr::V6(Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1)));
        found.insert(IpAddr::V6(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low)));
        found.insert(IpAddr::V6(Ipv6Addr::new(0x2001, 0, 0x4136, 0xe378, 0x8000, 1, !high, !low)));
    }
    let starts = "::|64:ff9b::|64:ff9b:1::|64:ff9b:2::|100::|100:0:0:1::|100:0:0:2::|2000::|2001::|2001:1::|2001:1::1|2001:1::4\
                  |2001:2::|2001:2:1::|2001:3::|2001:4::|2001:4:112::|2001:4:113::|2001:5::|2001:10::|2001:20::|2001:30::\
                  |2001:40::|2001:100::|2001:200::|2001:db8::|2001:db9::|2002::|2003::|2620:4f:8000::|2620:4f:8001::|3fff::\
                  |3fff:1000::|4000::|5f00::|5f01::|8000::|fc00::|fe00::|fe80::|fec0::|ff00::";
    for start in starts.split('|') {
        let start: Ipv6Addr = start.trim().parse().expect("an address");
        for bits in [start.to_bits().wrapping_sub(1), start.to_bits(), start.to_bits().wrapping_add(1)] {
            found.insert(IpAddr::V6(Ipv6Addr::from_bits(bits)));
        }
        for _ in 0..50 {
            let bits = start.to_bits() | random.u128(..) >> random.u32(16..128);
            found.insert(IpAddr::V6(Ipv6Addr::from_bits(bits)));
        }
    }
    found
}

#[test]
fn addresses_are_public_according_to_ianas_registries() {
    let Some(venv) = Venv::with("netaddr", &[NETADDR]) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (list, addresses) = (folder.path().join("addresses"), addresses());
    let mut text = String::new();
    // Embedded addresses are checked too.
    for address in addresses.iter().copied().flat_map(|address| [vec![address], carried(address)].concat()) {
        let _ = writeln!(text, "{address}");
    }
    std::fs::write(&list, text).expect("a file");
    let told = crate::python::run(venv.python().args(["-c", SCRIPT]).arg(&list))
        .unwrap_or_else(|error| panic!("{error}"));
    let global: BTreeSet<IpAddr> = told
        .lines()
        .filter_map(|line| line.strip_suffix(" 1"))
        .map(|address| address.parse().expect("an address"))
        .collect();
    assert!(global.len() > 5_000, "{}", global.len());
    let is_global = |address: IpAddr| global.contains(&address);

    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let edge = Edge::new("eu-central-1");
    let mut public = 0;
    for (number, address) in addresses.into_iter().enumerate() {
        let mut event = Event { raw_path: format!("/{address}"), ..Event::default() };
        event.request_context.http.method = "GET".into();
        // Each from a different caller, so that none reaches a limit.
        let caller = u32::try_from(number).expect("few");
        event.request_context.http.source_ip = Ipv4Addr::from_bits(0x0800_0000 | caller).to_string();
        let answer = runtime.block_on(edge.lookup.handle(&event, Timestamp::UNIX_EPOCH));
        let expected = expected(address.to_canonical(), &is_global);
        assert_eq!(answer.status_code, if expected { 200 } else { 400 }, "{address}: {}", answer.body);
        public += usize::from(expected);
    }
    assert!(public > 5_000, "{public}");
}
