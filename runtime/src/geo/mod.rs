//! (to come)
use std::net::IpAddr;
use std::path::Path;
/// Placeholder.
pub struct Database {
    info: Info,
}
/// Placeholder.
pub struct Info {
    /// d
    pub date: String,
    /// a
    pub attribution: String,
    /// l
    pub attribution_link: String,
}
/// Placeholder.
pub struct Location<'a>(&'a str);
impl Database {
    /// Placeholder.
    pub fn open(_: &Path) -> Result<Self, std::io::Error> {
        Err(std::io::Error::other("x"))
    }
    /// Placeholder.
    pub fn info(&self) -> &Info {
        &self.info
    }
    /// Placeholder.
    pub fn lookup(&self, _ip: IpAddr) -> Option<Location<'_>> {
        None
    }
    /// Placeholder.
    pub fn asn(&self, _n: u32) -> Option<&str> {
        None
    }
}
impl Location<'_> {
    /// Placeholder.
    pub fn write_static(&self, out: &mut String) {
        out.push_str(self.0)
    }
    /// Placeholder.
    pub fn write_time_zone(&self, _now: jiff::Timestamp, _out: &mut String) -> bool {
        false
    }
}
