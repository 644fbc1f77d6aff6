//! A compiled geo database, opened.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::format::{
    ATTRIBUTION, ATTRIBUTION_LINK, DATABASE_TYPE, DATE, DESCRIPTION, FORMAT, FORMAT_VERSION, LICENCE, NAME,
    RECORDS, number_address,
};
use super::location::{self, Known, Location};
use super::raw::{Layout, RawError, Value};
use super::trace::{Pages, Silent, Trace};

/// Why a geo database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum GeoError {
    /// The file can't be opened or mapped.
    #[error("geo database {path} can't be opened")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The bytes are no database.
    #[error("geo database {path} can't be read; build it again with `ipgeo geo build`")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: RawError,
    },
    /// A database, but not a compiled one, or one of another version.
    #[error(
        "{path} is a database of type `{found}`, not one compiled by this version of ipgeo; `ipgeo geo build` compiles it"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its type.
        found: String,
    },
}

/// What a database says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Info {
    /// Its name, such as `DB-IP City Lite`.
    pub name: String,
    /// The date of the data, `2026-06-05`.
    pub date: String,
    /// The licence of the data.
    pub licence: String,
    /// The credit that the licence asks for; empty when it asks for none.
    pub attribution: String,
    /// Where the credit leads; may be empty.
    pub attribution_link: String,
    /// When the newest of its sources was made, Unix seconds.
    pub build_epoch: u64,
    /// Distinct records.
    pub records: u64,
    /// Nodes of the search tree.
    pub nodes: u32,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Bytes of the tree's start that are read ahead: the heaviest pages of what every walk passes. Reading all of that
/// ahead takes longer than opening may take, for pages most of which an environment never needs.
#[cfg(unix)]
const AHEAD_BYTES: usize = 64 << 10;

enum Bytes {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

/// Tells the system how the file will be read. It is advice: without it lookups are slower at first, no more.
fn advise(mapped: &Mmap) {
    #[cfg(unix)]
    {
        // A lookup reads single pages far apart: what would be read around each is read in vain.
        let _ = mapped.advise(memmap2::Advice::Random);
        // All at once, and nobody waits for it.
        let _ = mapped.advise_range(memmap2::Advice::WillNeed, 0, AHEAD_BYTES.min(mapped.len()));
    }
    #[cfg(not(unix))]
    let _ = mapped;
}

/// A compiled geo database: mapped into memory, or held in it.
pub struct Database {
    bytes: Bytes,
    layout: Layout,
    info: Info,
    known: Known,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("info", &self.info).finish_non_exhaustive()
    }
}

impl Database {
    /// Maps a compiled database. The file must not be changed in place while it is open; `ipgeo geo
    /// build` replaces it by renaming, which leaves the mapped one as it was.
    pub fn open(path: &Path) -> Result<Self, GeoError> {
        let failed = |source| GeoError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        #[expect(unsafe_code, reason = "mapping a file; every read of it is checked, see `raw`")]
        // SAFETY: nobody writes to a database file in place: it is replaced by a rename.
        let mapped = unsafe { Mmap::map(&file) }.map_err(failed)?;
        advise(&mapped);
        Self::from(Bytes::Mapped(mapped), path)
    }

    /// A compiled database from its bytes.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, GeoError> {
        Self::from(Bytes::Owned(bytes), Path::new("(in memory)"))
    }

    fn from(bytes: Bytes, path: &Path) -> Result<Self, GeoError> {
        let file: &[u8] = match &bytes {
            Bytes::Mapped(mapped) => mapped,
            Bytes::Owned(owned) => owned,
        };
        let (layout, metadata) =
            Layout::read(file).map_err(|source| GeoError::Damaged { path: path.to_owned(), source })?;
        let found = metadata.get("database_type").and_then(Value::text).unwrap_or_default();
        let format = metadata.at(&[DESCRIPTION, FORMAT]).and_then(Value::text);
        if found != DATABASE_TYPE || format != Some(FORMAT_VERSION) {
            return Err(GeoError::Foreign { path: path.to_owned(), found: found.to_owned() });
        }
        let info = read_info(&metadata, &layout, file.len() as u64);
        let known = Known::new(layout.data(file));
        Ok(Self { bytes, layout, info, known })
    }

    #[inline]
    fn file(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped(mapped) => mapped,
            Bytes::Owned(owned) => owned,
        }
    }

    /// What the database says of itself.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// What is known of an address; an IPv4 address in IPv6 form is the IPv4 address.
    #[inline]
    pub fn lookup(&self, address: IpAddr) -> Option<Location<'_>> {
        self.lookup_traced(address, Silent)
    }

    #[inline]
    fn lookup_traced<T: Trace>(&self, address: IpAddr, trace: T) -> Option<Location<'_>> {
        let file = self.file();
        let (offset, _) = self.layout.find_traced(file, address.to_canonical(), trace)?;
        Location::read(self.layout.data_traced(file, trace), offset, &self.known)
    }

    /// The pages of the file, by number, that [`Self::lookup`] and writing the location read: what a lookup costs
    /// where nothing of the file is in memory yet.
    pub fn pages(&self, address: IpAddr) -> BTreeSet<usize> {
        let pages = Pages::default();
        self.lookup_traced(address, &pages);
        pages.into_set()
    }

    /// What is known of a network number, as a JSON object.
    pub fn asn(&self, number: u32) -> Option<&str> {
        let file = self.file();
        let (offset, length) = self.layout.find(file, number_address(number).into())?;
        // A shorter prefix would be somebody else's record.
        (length == 128).then(|| location::number(self.layout.data(file), offset)).flatten()
    }
}

fn read_info(metadata: &Value<'_>, layout: &Layout, bytes: u64) -> Info {
    let text = |name| metadata.at(&[DESCRIPTION, name]).and_then(Value::text).unwrap_or_default().to_owned();
    Info {
        name: text(NAME),
        date: text(DATE),
        licence: text(LICENCE),
        attribution: text(ATTRIBUTION),
        attribution_link: text(ATTRIBUTION_LINK),
        build_epoch: metadata.get("build_epoch").and_then(Value::uint).unwrap_or(0),
        records: text(RECORDS).parse().unwrap_or(0),
        nodes: layout.node_count,
        bytes,
    }
}
