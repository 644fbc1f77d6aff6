//! The geo database as the handler sees it.

use std::net::IpAddr;

use jiff::Timestamp;

use ipgeo_geo::Database;

use super::explain::Origins;

/// A geo database.
pub trait Geo: Send + Sync {
    /// Appends the JSON members of an address's location to `out`, without braces and without `ip`, `threat` and `count`.
    /// Returns the members of `threat` that a source covers, without braces. If the address is not in the database, appends
    /// nothing and returns `None`.
    fn write_location(&self, address: IpAddr, now: Timestamp, out: &mut String) -> Option<&str>;

    /// A network number's JSON object; `None` if it is not in the database.
    fn asn(&self, number: u32) -> Option<String>;

    /// Where the location of an address comes from; `None` if the address is not in the database.
    fn origins(&self, address: IpAddr) -> Option<Origins<'_>>;

    /// The date of the data, `2026-06-05`.
    fn date(&self) -> &str;

    /// The credit that the data's licence requires: text and link.
    fn attribution(&self) -> Option<(&str, &str)>;
}

impl Geo for Database {
    fn write_location(&self, address: IpAddr, now: Timestamp, out: &mut String) -> Option<&str> {
        let location = self.lookup(address)?;
        let before = out.len();
        location.write_static(out);
        let mark = out.len();
        if mark > before {
            out.push(',');
        }
        if !location.write_time_zone(now, out) {
            out.truncate(mark);
        }
        (out.len() > before || !location.threat().is_empty()).then(|| location.threat())
    }

    fn asn(&self, number: u32) -> Option<String> {
        Database::asn(self, number).map(str::to_owned)
    }

    fn origins(&self, address: IpAddr) -> Option<Origins<'_>> {
        let (sources, info) = (self.origin(address).unwrap_or("{}"), self.info());
        let network = self.network(address)?;
        Some(Origins { network, sources, dates: &info.source_dates, date: &info.date })
    }

    fn date(&self) -> &str {
        &self.info().date
    }

    fn attribution(&self) -> Option<(&str, &str)> {
        let info = self.info();
        (!info.attribution.is_empty()).then_some((info.attribution.as_str(), info.attribution_link.as_str()))
    }
}

/// Edges in one process can share a database.
impl<G: Geo> Geo for std::sync::Arc<G> {
    fn write_location(&self, address: IpAddr, now: Timestamp, out: &mut String) -> Option<&str> {
        (**self).write_location(address, now, out)
    }

    fn asn(&self, number: u32) -> Option<String> {
        (**self).asn(number)
    }

    fn origins(&self, address: IpAddr) -> Option<Origins<'_>> {
        (**self).origins(address)
    }

    fn date(&self) -> &str {
        (**self).date()
    }

    fn attribution(&self) -> Option<(&str, &str)> {
        (**self).attribution()
    }
}
