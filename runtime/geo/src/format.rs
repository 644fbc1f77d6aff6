//! The names in a compiled database, shared by the compiler that writes them and the reader.
//!
//! A record is a map. `place` is the text of the JSON members that differ from place to place, `area` points at a map that
//! many places share (`text`: the members of the region; `country`: those of its country; `zone`: the name of the time zone). Records of one place share
//! `base`, a map of both. `facts` is a text of two lines: the members `company` and `crawler`, and the members inside `threat`;
//! either may be empty. `origin` names the sources that decided, and no lookup reads it. Members are stored as they are
//! served, `"city":"Paris","latitude":48.8566`, without braces, so that an answer is a few copies.
//!
//! The member `asn` is under a name that says how long its route is: `n120` for an IPv4 route of 24 bits, which is 120 bits of
//! IPv6. So all records of a place and a network whose routes have one length are one record, and all routes of a network share
//! a text: what is inside the object after [`NETWORK_START`], without the route. A lookup adds both. In `facts`, a length
//! between two marks ([`ROUTE_MARK`]) stands for the prefix of the address.
//!
//! A record without flags has no such line: the metadata lists the flags that any source covers, which are then all `false`.
//! Likewise the metadata has the most frequent origin, and a record without `origin` has that one.
//!
//! A reader refuses a database of another version. A new entry whose value is a text needs no new version: readers ignore entries
//! that they don't know.
//!
//! The record of an AS number is at `100::<number>`. The prefix `100::/64` is reserved for discarding packets
//! (RFC 6666), so no caller has such an address. Its entry `number` is the JSON object that `GET /AS15169` serves.

use std::net::Ipv6Addr;

/// The `database_type` in the metadata of every compiled database.
pub const DATABASE_TYPE: &str = "ipgeo";
/// The metadata's map of texts. The specification uses it for descriptions by language. Our own metadata is in it too,
/// because some readers refuse a file with unknown fields in the metadata itself.
pub(crate) const DESCRIPTION: &str = "description";
/// Description: the version of this format.
pub(crate) const FORMAT: &str = "ipgeo_format";
pub(crate) const FORMAT_VERSION: &str = "3";
/// Description: the name of the data.
pub(crate) const NAME: &str = "ipgeo_name";
/// Description: the date of the data.
pub(crate) const DATE: &str = "ipgeo_date";
/// Description: the licence of the data.
pub(crate) const LICENCE: &str = "ipgeo_licence";
/// Description: the attribution that the licence requires.
pub(crate) const ATTRIBUTION: &str = "ipgeo_attribution";
/// Description: the link of the attribution.
pub(crate) const ATTRIBUTION_LINK: &str = "ipgeo_attribution_link";
/// Description: the number of distinct records, in decimal digits.
pub(crate) const RECORDS: &str = "ipgeo_records";
/// Description: the names of the flags that any source covers, separated by commas.
pub(crate) const FLAGS: &str = "ipgeo_flags";
/// Description: the origin of records that have no other.
pub(crate) const USUAL_ORIGIN: &str = "ipgeo_origin";
/// Description: the sources whose data has a date, a line each: `2026-06-05 city`. Absent: none has one.
pub(crate) const SOURCE_DATES: &str = "ipgeo_dates";
/// Record entry: the members that differ from place to place.
pub(crate) const PLACE: &str = "place";
/// Record entry: a pointer to the area, which many places share.
pub(crate) const AREA: &str = "area";
/// Entry of an area: the members of the region.
pub(crate) const TEXT: &str = "text";
/// Entry of an area: the members of the country.
pub(crate) const COUNTRY: &str = "country";
/// Entry of an area: the name of the time zone.
pub(crate) const ZONE: &str = "zone";
/// Record entry: a map of place and area.
pub(crate) const BASE: &str = "base";
/// How the member `asn` of every answer begins.
pub(crate) const ASN_START: &str = "\"asn\":{\"asn\":\"AS";
/// How its inside begins; not stored.
#[cfg(feature = "compile")]
pub(crate) const NETWORK_START: &str = "\"asn\":\"AS";
/// Encloses a prefix length of 0 to 128 in decimal digits. JSON texts never contain this character.
pub(crate) const ROUTE_MARK: char = '\u{1}';
/// Record entry: company and crawler, and the flags of `threat`.
pub(crate) const FACTS: &str = "facts";
/// Between the two parts of [`FACTS`]; JSON texts never contain it.
pub(crate) const FACTS_SEPARATOR: char = '\n';
/// Record entry: a JSON object from fields to the names of the sources that decided them.
pub(crate) const ORIGIN: &str = "origin";
/// The only entry of an AS number's record.
pub(crate) const NUMBER: &str = "number";

/// Record entry: the member `asn` without its route, which has this length.
#[cfg(feature = "compile")]
pub(crate) fn network_entry(length: u8) -> String {
    format!("n{length}")
}

/// The length in the name of such an entry.
pub(crate) fn route_length(entry: &str) -> Option<u8> {
    entry.strip_prefix('n')?.parse().ok().filter(|length| *length <= 128)
}

/// The address at which the record of an AS number is stored.
pub(crate) fn number_address(number: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits((0x0100_u128 << 112) | u128::from(number))
}
