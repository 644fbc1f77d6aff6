//! Composes a location's JSON, for the edges' answers and for lookups without a service.

use std::fmt::Write as _;
use std::net::IpAddr;

use jiff::Timestamp;

use super::fields;
use super::geo::Geo;
use super::special::located;

/// Which members a location has besides those that the database knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Members that are unknown, as `null`, and the caller's count.
    Counted(u64),
    /// Members that are unknown, as `null`.
    Complete,
    /// None: readers of single members treat missing ones as unknown.
    Known,
}

/// Appends a location's JSON. If the address is not in the database, returns false, and `out` is not a location.
pub(super) fn compose<G: Geo>(
    geo: &G,
    address: IpAddr,
    extent: Extent,
    now: Timestamp,
    out: &mut String,
) -> bool {
    out.push_str("{\"ip\":\"");
    ipgeo_geo::write_address(address, out);
    out.push_str("\",");
    let Some(threat) = geo.write_location(located(address), now, out) else { return false };
    // Nothing but flags may be known.
    if out.ends_with(',') {
        out.pop();
    }
    if extent != Extent::Known {
        fields::write_unknown(out);
    }
    // Addresses that are not public were rejected before, so no location is a bogon's.
    out.push_str(",\"threat\":{");
    out.push_str(threat);
    out.push_str(if threat.is_empty() { "\"is_bogon\":false}" } else { ",\"is_bogon\":false}" });
    if let Extent::Counted(count) = extent {
        // Writing to a String can't fail.
        let _ = write!(out, ",\"count\":\"{count}\"");
    }
    out.push('}');
    true
}
