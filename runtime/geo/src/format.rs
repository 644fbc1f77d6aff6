//! The names in a compiled database, shared by the compiler that writes them and the reader.
//!
//! A record is a map of up to five entries. `place` is the text of the JSON members that differ from
//! place to place, `area` points at a map that many places share (`text`: the members of region and
//! country; `zone`: the name of the time zone), `network` is the text of the member `asn`. `facts` is a text of two lines: the
//! members `company` and `crawler`, and the members inside `threat`; either may be empty. `origin` names the sources that
//! decided, and only `?explain=1` reads it. Members are stored as they are served, `"city":"Paris","latitude":48.8566`, without
//! braces, so that an answer is a few copies. In `network` and `facts`, the length of a prefix between two marks
//! ([`ROUTE_MARK`]) stands for the prefix of the address; older databases have the complete member in `asn` instead.
//!
//! A record without flags has no line of them: the metadata lists the flags of which any source speaks, all `false` there.
//! Likewise the metadata has the most frequent origin, and a record without `origin` has that one.
//!
//! Readers ignore entries that they don't know, as long as their values are texts. So an older function reads a newer
//! database without the newer members, and the version need not change for a new entry of this kind.
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
/// The version that this crate writes and reads.
pub(crate) const FORMAT_VERSION: &str = "1";
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
/// Description: the names of the flags of which any source speaks, separated by commas.
pub(crate) const FLAGS: &str = "ipgeo_flags";
/// Description: the origin of records that have no other.
pub(crate) const USUAL_ORIGIN: &str = "ipgeo_origin";
/// Record entry: the members that differ from place to place.
pub(crate) const PLACE: &str = "place";
/// Record entry: a pointer to the area, which many places share.
pub(crate) const AREA: &str = "area";
/// Entry of an area: the members of region and country.
pub(crate) const TEXT: &str = "text";
/// Entry of an area: the name of the time zone.
pub(crate) const ZONE: &str = "zone";
/// Record entry: the member `asn`, with the route's length between marks.
pub(crate) const NETWORK: &str = "network";
/// Encloses a prefix length of 0 to 128, in decimal digits. JSON texts never contain this character.
pub(crate) const ROUTE_MARK: char = '\u{1}';
/// Record entry of older databases: the complete member `asn`.
pub(crate) const ASN: &str = "asn";
/// Record entry: company and crawler, and the flags of `threat`.
pub(crate) const FACTS: &str = "facts";
/// Between the two parts of [`FACTS`]; JSON texts never contain it.
pub(crate) const FACTS_SEPARATOR: char = '\n';
/// Record entry: a JSON object from fields to the names of the sources that decided them.
pub(crate) const ORIGIN: &str = "origin";
/// The only entry of an AS number's record.
pub(crate) const NUMBER: &str = "number";

/// The address at which the record of an AS number is stored.
pub(crate) fn number_address(number: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits((0x0100_u128 << 112) | u128::from(number))
}
