//! Reads files of the MaxMind DB format: search tree, data section, metadata. Every read is checked against the file's
//! bounds and every loop is bounded, so a damaged file gives an error or finds nothing.

mod data;
mod value;

use std::net::IpAddr;

pub use data::Data;
pub(crate) use data::Unread;

use super::trace::{Silent, Trace};
pub use value::Value;

/// Precedes the metadata, by the format's specification.
const METADATA_MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// The metadata starts within the last 128 KiB, by the specification.
const METADATA_BYTES_MAX: usize = 128 * 1024;
/// Zero bytes between the tree and the data section.
const SEPARATOR_BYTES: usize = 16;

/// Why a file can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RawError {
    /// It has no metadata.
    #[error("it is not a MaxMind DB file: it has no metadata")]
    NoMetadata,
    /// A field of the metadata is missing or impossible.
    #[error("its metadata has no valid `{0}`")]
    Metadata(&'static str),
    /// The search tree does not fit into the file.
    #[error("it is truncated: the search tree needs {needed} bytes, and there are {found}")]
    Cut {
        /// Bytes needed.
        needed: u64,
        /// Bytes before the metadata.
        found: u64,
    },
    /// A value in the data section can't be read.
    #[error("its data is damaged at offset {0}")]
    Data(usize),
}

/// The positions of a file's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Nodes of the search tree.
    pub node_count: u32,
    /// Bits of one record of a node: 24, 28 or 32.
    pub record_bits: u16,
    /// 4 or 6.
    pub ip_version: u16,
    /// Start of the data section.
    pub data_start: usize,
    /// Its end: the metadata's marker.
    pub data_end: usize,
    /// The node below which IPv4 addresses are; in a tree of version 6, below `::/96`.
    pub ipv4_start: u32,
}

/// The meaning of a node's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Continue at this node.
    Node(u32),
    /// No data.
    Empty,
    /// The data at this offset of the data section.
    Data(usize),
}

impl Layout {
    /// Finds the parts of `file` and reads its metadata.
    pub fn read(file: &[u8]) -> Result<(Self, Value<'_>), RawError> {
        let tail_start = file.len().saturating_sub(METADATA_BYTES_MAX);
        let tail = &file[tail_start..];
        let marker = tail
            .windows(METADATA_MARKER.len())
            .rposition(|window| window == METADATA_MARKER)
            .ok_or(RawError::NoMetadata)?;
        let data_end = tail_start + marker;
        let section = &file[data_end + METADATA_MARKER.len()..];
        let (metadata, _) = Data::new(section).value(0)?;
        let field =
            |name: &'static str| metadata.get(name).and_then(Value::uint).ok_or(RawError::Metadata(name));
        let node_count = u32::try_from(field("node_count")?).map_err(|_| RawError::Metadata("node_count"))?;
        let record_bits = match field("record_size")? {
            bits @ (24 | 28 | 32) => u16::try_from(bits).unwrap_or(0),
            _ => return Err(RawError::Metadata("record_size")),
        };
        let ip_version = match field("ip_version")? {
            version @ (4 | 6) => u16::try_from(version).unwrap_or(0),
            _ => return Err(RawError::Metadata("ip_version")),
        };
        let tree_bytes = u64::from(node_count) * u64::from(record_bits) / 4;
        let needed = tree_bytes + SEPARATOR_BYTES as u64;
        if needed > data_end as u64 {
            return Err(RawError::Cut { needed, found: data_end as u64 });
        }
        let data_start = usize::try_from(needed).map_err(|_| RawError::Metadata("node_count"))?;
        let mut layout = Self { node_count, record_bits, ip_version, data_start, data_end, ipv4_start: 0 };
        if ip_version == 6 {
            layout.ipv4_start = layout.descend_zeros(file, 96);
        }
        Ok((layout, metadata))
    }

    /// The node after `bits` zero bits, or a record if the tree ends earlier.
    fn descend_zeros(&self, file: &[u8], bits: u32) -> u32 {
        let mut node = 0;
        for _ in 0..bits {
            if node >= self.node_count {
                break;
            }
            node = self.record(file, node, 0);
        }
        node
    }

    /// The raw record of a node for a bit. A missing node reads as empty.
    #[inline]
    pub fn record(&self, file: &[u8], node: u32, bit: u8) -> u32 {
        let node_at = node as usize * (self.record_bits as usize / 4);
        // Every node is followed by at least sixteen bytes, so that eight can always be read at once.
        let Some(bytes) = file.get(node_at..node_at + 8).and_then(|b| <[u8; 8]>::try_from(b).ok()) else {
            return self.node_count;
        };
        let (word, bit) = (u64::from_be_bytes(bytes), u64::from(bit != 0));
        match self.record_bits {
            24 => half_of::<24>(word, bit),
            28 => half_of::<28>(word, bit),
            _ => half_of::<32>(word, bit),
        }
    }

    /// The meaning of a raw record.
    #[inline]
    pub fn step(&self, record: u32) -> Step {
        match record.checked_sub(self.node_count) {
            None => Step::Node(record),
            Some(0) => Step::Empty,
            Some(beyond) => match (beyond as usize).checked_sub(SEPARATOR_BYTES) {
                Some(offset) => Step::Data(offset),
                None => Step::Empty,
            },
        }
    }

    /// Walks the tree to the offset of the address's data and the length of its prefix.
    #[inline]
    pub fn find(&self, file: &[u8], address: IpAddr) -> Option<(usize, u8)> {
        self.find_traced(file, address, Silent)
    }

    /// [`Self::find`], with each read reported to `trace`.
    #[inline]
    pub fn find_traced<T: Trace>(&self, file: &[u8], address: IpAddr, trace: T) -> Option<(usize, u8)> {
        let (bits, length, record) = match address {
            IpAddr::V4(v4) => ([u64::from(v4.to_bits()) << 32, 0], 32, self.ipv4_start),
            IpAddr::V6(_) if self.ip_version == 4 => return None,
            IpAddr::V6(v6) => (halves(v6.to_bits()), 128, 0),
        };
        let (record, depth) = self.descend(file, record, bits, length, trace);
        Some((self.offset(record)?, depth))
    }

    /// The offset of the data of a raw record.
    #[inline]
    pub(crate) fn offset(&self, record: u32) -> Option<usize> {
        match self.step(record) {
            Step::Data(offset) => Some(offset),
            Step::Empty | Step::Node(_) => None,
        }
    }

    /// Follows at most `length` bits of `bits` from a record downwards, until it is not a node. Returns the last record and the
    /// number of bits.
    #[inline]
    pub(crate) fn descend<T: Trace>(
        &self,
        file: &[u8],
        record: u32,
        bits: [u64; 2],
        length: u8,
        trace: T,
    ) -> (u32, u8) {
        match self.record_bits {
            24 => self.descend_by::<24, T>(file, record, bits, length, trace),
            28 => self.descend_by::<28, T>(file, record, bits, length, trace),
            _ => self.descend_by::<32, T>(file, record, bits, length, trace),
        }
    }

    #[inline]
    fn descend_by<const RECORD_BITS: usize, T: Trace>(
        &self,
        file: &[u8],
        mut record: u32,
        [mut bits, mut later]: [u64; 2],
        length: u8,
        trace: T,
    ) -> (u32, u8) {
        let mut depth = 0;
        while record < self.node_count && depth < length {
            let at = record as usize * (RECORD_BITS / 4);
            trace.read(at, 8);
            // Every node is followed by at least sixteen bytes, so that eight can always be read at once.
            let Some(bytes) = file.get(at..).and_then(|rest| rest.first_chunk()) else { break };
            record = half_of::<RECORD_BITS>(u64::from_be_bytes(*bytes), bits >> 63);
            bits <<= 1;
            depth += 1;
            if depth == 64 {
                (bits, later) = (later, 0);
            }
        }
        (record, depth)
    }

    /// The data section.
    #[inline]
    pub fn data<'a>(&self, file: &'a [u8]) -> Data<'a> {
        self.data_traced(file, Silent)
    }

    /// The data section, with each read reported to `trace`.
    #[inline]
    pub fn data_traced<'a, T: Trace>(&self, file: &'a [u8], trace: T) -> Data<'a, T> {
        let bytes = file.get(self.data_start..self.data_end).unwrap_or_default();
        Data::at(bytes, self.data_start, trace)
    }
}

fn halves(bits: u128) -> [u64; 2] {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
    let lower = bits as u64;
    [u64::try_from(bits >> 64).unwrap_or(0), lower]
}

/// The record for a bit (0 or 1) of a node that starts with `word`. Both are computed and one is selected: the bits of an
/// address are unpredictable, and a mispredicted branch costs more.
#[inline]
fn half_of<const RECORD_BITS: usize>(word: u64, bit: u64) -> u32 {
    let [left, right] = match RECORD_BITS {
        24 => [word >> 40, (word >> 16) & 0xff_ffff],
        28 => [(word >> 40) | ((word >> 12) & 0x0f00_0000), (word >> 8) & 0x0fff_ffff],
        _ => [word >> 32, word & 0xffff_ffff],
    };
    // At most 32 bits remain by construction.
    #[expect(clippy::cast_possible_truncation, reason = "masked to 32 bits above")]
    let record = (left ^ ((left ^ right) & bit.wrapping_neg())) as u32;
    record
}
