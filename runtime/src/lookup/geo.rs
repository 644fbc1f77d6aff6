//! What the handler asks of a geo database.

use std::net::IpAddr;

use jiff::Timestamp;

use ipgeo_geo::Database;

/// A geo database, as the handler sees it.
pub trait Geo: Send + Sync {
    /// Appends the members of an address's location to `out`, without braces and without `ip`, `threat`
    /// and `count`; false and nothing when the address is not known.
    fn write_location(&self, address: IpAddr, now: Timestamp, out: &mut String) -> bool;

    /// What is known of a network number, as a JSON object.
    fn asn(&self, number: u32) -> Option<String>;

    /// The date of the data, `2026-06-05`.
    fn date(&self) -> &str;

    /// The credit that the data's licence asks for: its text and where it leads.
    fn attribution(&self) -> Option<(&str, &str)>;
}

impl Geo for Database {
    fn write_location(&self, address: IpAddr, now: Timestamp, out: &mut String) -> bool {
        let Some(location) = self.lookup(address) else { return false };
        let before = out.len();
        location.write_static(out);
        let mark = out.len();
        if mark > before {
            out.push(',');
        }
        if !location.write_time_zone(now, out) {
            out.truncate(mark);
        }
        out.len() > before
    }

    fn asn(&self, number: u32) -> Option<String> {
        Database::asn(self, number).map(str::to_owned)
    }

    fn date(&self) -> &str {
        &self.info().date
    }

    fn attribution(&self) -> Option<(&str, &str)> {
        let info = self.info();
        (!info.attribution.is_empty()).then_some((info.attribution.as_str(), info.attribution_link.as_str()))
    }
}

/// Several edges of one process may share a database.
impl<G: Geo> Geo for std::sync::Arc<G> {
    fn write_location(&self, address: IpAddr, now: Timestamp, out: &mut String) -> bool {
        (**self).write_location(address, now, out)
    }

    fn asn(&self, number: u32) -> Option<String> {
        (**self).asn(number)
    }

    fn date(&self) -> &str {
        (**self).date()
    }

    fn attribution(&self) -> Option<(&str, &str)> {
        (**self).attribution()
    }
}
