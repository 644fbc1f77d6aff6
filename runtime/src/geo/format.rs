//! The compiled database: what its compiler writes and its reader expects.
//!
//! A record is a map of up to three entries. `place` is the text of the JSON members that differ from
//! place to place, `area` points at a map that many places share (`text`: the members of region and
//! country; `zone`: the name of the time zone), `asn` is the text of the member `asn`. Members are
//! written as they are served, `"city":"Paris","latitude":48.8566`, without braces; so an answer is a few copies.
//!
//! A network number's own record lies at `100::<number>` in the discard prefix `100::/64`, which no
//! caller can have: its `number` is the JSON object that `GET /AS15169` serves.

use std::net::Ipv6Addr;

/// `database_type` of the metadata.
pub const DATABASE_TYPE: &str = "ipgeo";
/// Version of this format, in the metadata's map [`META`] as `format`.
pub const FORMAT_VERSION: u64 = 1;
/// The metadata's map of our own.
pub const META: &str = "ipgeo";
/// Record entry: the members that differ from place to place.
pub const PLACE: &str = "place";
/// Record entry: what many places share.
pub const AREA: &str = "area";
/// Entry of an area: the members of region and country.
pub const TEXT: &str = "text";
/// Entry of an area: the name of the time zone.
pub const ZONE: &str = "zone";
/// Record entry: the member `asn`.
pub const ASN: &str = "asn";
/// Entry of a network number's record: what is known of it.
pub const NUMBER: &str = "number";

/// Where the record of a network number lies.
pub fn number_address(number: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits((0x0100_u128 << 112) | u128::from(number))
}
