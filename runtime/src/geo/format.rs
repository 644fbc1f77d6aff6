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
/// The metadata's map of texts. By the specification its names are languages; ours are beside them,
/// because some readers refuse a file whose metadata has any other field.
pub const DESCRIPTION: &str = "description";
/// Version of this format, as text in the description.
pub const FORMAT: &str = "ipgeo_format";
/// The version written and read here.
pub const FORMAT_VERSION: &str = "1";
/// Description: the name of the data.
pub const NAME: &str = "ipgeo_name";
/// Description: the date of the data.
pub const DATE: &str = "ipgeo_date";
/// Description: the licence of the data.
pub const LICENCE: &str = "ipgeo_licence";
/// Description: the credit that the licence asks for.
pub const ATTRIBUTION: &str = "ipgeo_attribution";
/// Description: where the credit leads.
pub const ATTRIBUTION_LINK: &str = "ipgeo_attribution_link";
/// Description: distinct records, in digits.
pub const RECORDS: &str = "ipgeo_records";
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
