//! A compiled geo database, opened.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::format::{
    ATTRIBUTION, ATTRIBUTION_LINK, DATABASE_TYPE, DATE, DESCRIPTION, FLAGS, FORMAT, FORMAT_VERSION, LICENCE,
    NAME, RECORDS, SOURCE_DATES, USUAL_ORIGIN, number_address,
};
use super::location::{self, Location, ReaderCaches};
use super::map::map_file;
use super::raw::{Layout, RawError, Value};
use super::route;
use super::starts::START_BITS;
use super::trace::{Pages, Silent, Trace};

/// Why a geo database can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum GeoError {
    /// The file can't be opened or mapped.
    #[error("cannot open geo database {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not a MaxMind DB file, or damaged.
    #[error("cannot read geo database {path}; build it again with `ipgeo geo build`")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: RawError,
    },
    /// A MaxMind DB file, but not a compiled database of this format version.
    #[error(
        "{path} is a database of type `{found}`, not one compiled by this version of ipgeo; `ipgeo geo build` compiles it"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its `database_type`.
        found: String,
    },
}

/// A compiled database's metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct DatabaseInfo {
    /// The name of the data, such as `DB-IP City Lite`.
    pub name: String,
    /// The date of the data, `2026-06-05`.
    pub date: String,
    /// The licence of the data.
    pub licence: String,
    /// The attribution that the licence requires; empty if it requires none.
    pub attribution: String,
    /// The link of the attribution; may be empty.
    pub attribution_link: String,
    /// The flags of `threat` that any source covers; the others are never in an answer.
    pub flags: Vec<String>,
    /// The date of each source that states one, by name.
    #[serde(skip)]
    pub source_dates: BTreeMap<String, String>,
    /// When the newest source was made, Unix seconds.
    pub build_epoch: u64,
    /// Number of distinct records.
    pub records: u64,
    /// Number of nodes of the search tree.
    pub nodes: u32,
    /// Size of the file in bytes.
    pub bytes: u64,
}

/// Bytes at the start of the tree to read ahead: the pages that nearly every walk passes. Reading more ahead would delay
/// the start for pages that most environments never need.
#[cfg(unix)]
const AHEAD_BYTES: usize = 64 << 10;

enum FileBytes {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

/// Tells the system how the file will be read. Failures are ignored: without the advice the first lookups are slower.
fn advise(mapped: &Mmap) {
    #[cfg(unix)]
    {
        // A lookup reads single pages far apart, so reading their neighbours too would be wasted.
        let _ = mapped.advise(memmap2::Advice::Random);
        // In one read in the background.
        let _ = mapped.advise_range(memmap2::Advice::WillNeed, 0, AHEAD_BYTES.min(mapped.len()));
    }
    #[cfg(not(unix))]
    let _ = mapped;
}

/// A compiled geo database, mapped from a file or held in memory.
pub struct Database {
    bytes: FileBytes,
    layout: Layout,
    info: DatabaseInfo,
    known: ReaderCaches,
    /// The origin of records that name none.
    usual_origin: String,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("info", &self.info).finish_non_exhaustive()
    }
}

impl Database {
    /// Maps a compiled database. The file must not be changed in place while it is open; `ipgeo geo build` replaces it by
    /// renaming, which leaves the mapped file unchanged.
    pub fn open(path: &Path) -> Result<Self, GeoError> {
        let failed = |source| GeoError::Open { path: path.to_owned(), source };
        let mapped = map_file(path).map_err(failed)?;
        advise(&mapped);
        Self::from(FileBytes::Mapped(mapped), path)
    }

    /// Opens a compiled database from its bytes.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, GeoError> {
        Self::from(FileBytes::Owned(bytes), Path::new("(in memory)"))
    }

    fn from(bytes: FileBytes, path: &Path) -> Result<Self, GeoError> {
        let file: &[u8] = match &bytes {
            FileBytes::Mapped(mapped) => mapped,
            FileBytes::Owned(owned) => owned,
        };
        let (layout, metadata) =
            Layout::read(file).map_err(|source| GeoError::Damaged { path: path.to_owned(), source })?;
        let found = metadata.get("database_type").and_then(Value::text).unwrap_or_default();
        let format = metadata.at(&[DESCRIPTION, FORMAT]).and_then(Value::text);
        if found != DATABASE_TYPE || format != Some(FORMAT_VERSION) {
            return Err(GeoError::Foreign { path: path.to_owned(), found: found.to_owned() });
        }
        let info = read_info(&metadata, &layout, file.len() as u64);
        let known = ReaderCaches::new(layout.data(file), &info.flags);
        let usual_origin = metadata.at(&[DESCRIPTION, USUAL_ORIGIN]).and_then(Value::text);
        let usual_origin = usual_origin.unwrap_or_default().to_owned();
        Ok(Self { bytes, layout, info, known, usual_origin })
    }

    #[inline]
    fn file(&self) -> &[u8] {
        match &self.bytes {
            FileBytes::Mapped(mapped) => mapped,
            FileBytes::Owned(owned) => owned,
        }
    }

    /// The database's metadata.
    pub fn info(&self) -> &DatabaseInfo {
        &self.info
    }

    /// The location of an address, if known. An IPv4-mapped IPv6 address is looked up as IPv4.
    #[inline]
    pub fn lookup(&self, address: IpAddr) -> Option<Location<'_>> {
        let (file, address) = (self.file(), address.to_canonical());
        let offset = match address {
            IpAddr::V4(v4) => self.find_ipv4(file, v4.to_bits())?,
            IpAddr::V6(_) => self.layout.find(file, address)?.0,
        };
        Location::read(self.layout.data(file), offset, address, &self.known)
    }

    /// The offset of the data of an IPv4 address.
    #[inline]
    fn find_ipv4(&self, file: &[u8], address: u32) -> Option<usize> {
        let bits = u64::from(address) << 32;
        let walk = |record, bits, length| self.layout.descend(file, record, [bits, 0], length, Silent).0;
        let start = self.known.starts.record(address, || walk(self.layout.ipv4_start, bits, START_BITS));
        self.layout.offset(walk(start, bits << START_BITS, 32 - START_BITS))
    }

    /// Walks the tree from its root, as the first lookup does.
    fn lookup_traced<T: Trace>(&self, address: IpAddr, trace: T) -> Option<Location<'_>> {
        let file = self.file();
        let address = address.to_canonical();
        let (offset, _) = self.layout.find_traced(file, address, trace)?;
        Location::read(self.layout.data_traced(file, trace), offset, address, &self.known)
    }

    /// Which source decided each field of an address's location: a JSON object from fields to names, for `threat` a list of
    /// names. It may name fields that are not known of this address. `None` if nothing is known of the address.
    pub fn origin(&self, address: IpAddr) -> Option<&str> {
        let file = self.file();
        let (offset, _) = self.layout.find(file, address.to_canonical())?;
        let own = location::origin(self.layout.data(file), offset);
        own.or(Some(self.usual_origin.as_str())).filter(|origin| !origin.is_empty())
    }

    /// The network around an address whose addresses all have one record, in CIDR form. It may be narrower or wider than the
    /// ranges of the sources.
    pub fn network(&self, address: IpAddr) -> Option<String> {
        let address = address.to_canonical();
        let (_, length) = self.layout.find(self.file(), address)?;
        let above = if address.is_ipv4() { 96 } else { 0 };
        let mut network = String::new();
        route::write_prefix(address, above + length, &mut network);
        Some(network)
    }

    /// The numbers of the pages of the file that [`Self::lookup`] and writing the location read: the cost of a lookup while
    /// nothing of the file is in memory.
    pub fn pages(&self, address: IpAddr) -> BTreeSet<usize> {
        let pages = Pages::default();
        self.lookup_traced(address, &pages);
        pages.into_set()
    }

    /// The data about an AS number, as a JSON object.
    pub fn asn(&self, number: u32) -> Option<&str> {
        let file = self.file();
        let (offset, length) = self.layout.find(file, number_address(number).into())?;
        // A shorter prefix belongs to another record.
        (length == 128).then(|| location::number(self.layout.data(file), offset)).flatten()
    }
}

/// The names in a list, without any that a JSON text could not hold as it is.
fn flags(list: &str) -> Vec<String> {
    let is_name = |name: &&str| !name.is_empty() && name.bytes().all(|c| c == b'_' || c.is_ascii_lowercase());
    list.split(',').filter(is_name).map(str::to_owned).collect()
}

/// The dates in a text of lines, by the name after each.
fn dates(lines: &str) -> BTreeMap<String, String> {
    let dated = lines.lines().filter_map(|line| line.split_once(' '));
    dated.map(|(date, name)| (name.to_owned(), date.to_owned())).collect()
}

fn read_info(metadata: &Value<'_>, layout: &Layout, bytes: u64) -> DatabaseInfo {
    let text = |name| metadata.at(&[DESCRIPTION, name]).and_then(Value::text).unwrap_or_default().to_owned();
    DatabaseInfo {
        name: text(NAME),
        date: text(DATE),
        licence: text(LICENCE),
        attribution: text(ATTRIBUTION),
        attribution_link: text(ATTRIBUTION_LINK),
        flags: flags(&text(FLAGS)),
        source_dates: dates(&text(SOURCE_DATES)),
        build_epoch: metadata.get("build_epoch").and_then(Value::uint).unwrap_or(0),
        records: text(RECORDS).parse().unwrap_or(0),
        nodes: layout.node_count,
        bytes,
    }
}

#[cfg(all(test, feature = "compile"))]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::compile::sample;

    #[test]
    fn walks_from_remembered_starts_end_where_whole_walks_do() {
        let database = Database::from_bytes(sample().expect("it compiles")).expect("it opens");
        let mut random = fastrand::Rng::with_seed(5);
        let mut known = 0;
        for _ in 0..50_000 {
            let address = random.u32(..);
            let whole = database.layout.find(database.file(), Ipv4Addr::from_bits(address).into());
            let whole = whole.map(|(offset, _)| offset);
            for _ in 0..2 {
                assert_eq!(database.find_ipv4(database.file(), address), whole, "{address:#x}");
            }
            known += u32::from(whole.is_some());
        }
        assert!(known > 10_000, "{known}");
    }
}
