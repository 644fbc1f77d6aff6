//! Reads files of the MaxMind DB format: search tree, data section, metadata. Every read is checked against the file's
//! bounds and every loop is bounded, so a damaged file gives an error or finds nothing.

mod value;

use std::net::IpAddr;

use super::trace::{Silent, Trace};
pub use value::Value;

/// Precedes the metadata, by the format's specification.
const METADATA_MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// The metadata starts within the last 128 KiB, by the specification.
const METADATA_BYTES_MAX: usize = 128 * 1024;
/// Zero bytes between the tree and the data section.
const SEPARATOR_BYTES: usize = 16;
/// Maximum depth of nested values.
const DEPTH_MAX: u32 = 16;
/// Maximum number of values to read at once.
const ENTRIES_MAX: usize = 10_000;

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
        let (bits, length, mut record) = match address {
            IpAddr::V4(v4) => ([u64::from(v4.to_bits()) << 32, 0], 32_u8, self.ipv4_start),
            IpAddr::V6(_) if self.ip_version == 4 => return None,
            IpAddr::V6(v6) => (halves(v6.to_bits()), 128, 0),
        };
        let depth = match self.record_bits {
            24 => self.descend::<24, T>(file, bits, length, &mut record, trace)?,
            28 => self.descend::<28, T>(file, bits, length, &mut record, trace)?,
            _ => self.descend::<32, T>(file, bits, length, &mut record, trace)?,
        };
        match self.step(record) {
            Step::Data(offset) => Some((offset, depth)),
            Step::Empty | Step::Node(_) => None,
        }
    }

    /// Follows the bits of an address from a node downwards to a record; also returns the number of bits. `None` if the
    /// address ends before the tree does.
    #[inline]
    fn descend<const RECORD_BITS: usize, T: Trace>(
        &self,
        file: &[u8],
        [mut bits, mut later]: [u64; 2],
        length: u8,
        record: &mut u32,
        trace: T,
    ) -> Option<u8> {
        let mut depth = 0;
        while *record < self.node_count {
            if depth == length {
                return None;
            }
            let at = *record as usize * (RECORD_BITS / 4);
            trace.read(at, 8);
            // Every node is followed by at least sixteen bytes, so that eight can always be read at once.
            let word = u64::from_be_bytes(*file.get(at..)?.first_chunk()?);
            *record = half_of::<RECORD_BITS>(word, bits >> 63);
            bits <<= 1;
            depth += 1;
            if depth == 64 {
                (bits, later) = (later, 0);
            }
        }
        Some(depth)
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
        Data { bytes, start: self.data_start, trace }
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

/// A data section.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a, T = Silent> {
    bytes: &'a [u8],
    /// Its start in the file.
    start: usize,
    trace: T,
}

/// The kind of a value, by the format's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pointer,
    Text,
    Double,
    Bytes,
    Uint,
    Map,
    Int,
    Array,
    Bool,
    Float,
}

/// The head of a value: its kind, its size, and the start of its payload.
struct Head {
    kind: Kind,
    size: usize,
    payload: usize,
}

impl<'a> Data<'a> {
    /// These bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, start: 0, trace: Silent }
    }
}

impl<'a, T: Trace> Data<'a, T> {
    #[inline]
    fn byte(self, at: usize) -> Option<usize> {
        self.trace.read(self.start.saturating_add(at), 1);
        self.bytes.get(at).map(|byte| usize::from(*byte))
    }

    #[inline]
    fn bytes(self, at: usize, length: usize) -> Option<&'a [u8]> {
        let bytes = self.bytes.get(at..at.checked_add(length)?)?;
        self.trace.read(self.start + at, length);
        Some(bytes)
    }

    #[inline]
    fn big_endian(self, at: usize, length: usize) -> Option<usize> {
        let bytes = self.bytes(at, length)?;
        Some(bytes.iter().fold(0, |number, byte| (number << 8) | usize::from(*byte)))
    }

    #[inline]
    fn head(self, at: usize) -> Option<Head> {
        let control = self.byte(at)?;
        let (kind, mut payload) = match control >> 5 {
            1 => return Some(Head { kind: Kind::Pointer, size: control & 0x1f, payload: at + 1 }),
            2 => (Kind::Text, at + 1),
            3 => (Kind::Double, at + 1),
            4 => (Kind::Bytes, at + 1),
            5 | 6 => (Kind::Uint, at + 1),
            7 => (Kind::Map, at + 1),
            _ => (extended(self.byte(at + 1)?)?, at + 2),
        };
        let size = match control & 0x1f {
            short @ 0..29 => short,
            long => {
                let extra = long - 28;
                let base = [29, 285, 65_821][extra - 1];
                let size = base + self.big_endian(payload, extra)?;
                payload += extra;
                size
            }
        };
        Some(Head { kind, size, payload })
    }

    /// The target of a pointer, and the offset after it.
    #[inline]
    fn pointer(self, head: &Head) -> Option<(usize, usize)> {
        let (length, high) = ((head.size >> 3) + 1, head.size & 7);
        let low = self.big_endian(head.payload, length)?;
        let target = match length {
            1 => (high << 8) | low,
            2 => ((high << 16) | low) + 2_048,
            3 => ((high << 24) | low) + 526_336,
            _ => low,
        };
        Some((target, head.payload + length))
    }

    /// The text at `at`, directly or through a pointer, and the offset after it.
    #[inline]
    pub fn text(self, at: usize) -> Option<(&'a str, usize)> {
        let (_, bytes, next) = self.text_bytes(at)?;
        Some((std::str::from_utf8(bytes).ok()?, next))
    }

    /// The bytes of the text at `at`, which may not be UTF-8: their offset, the bytes, and the offset after them.
    #[inline]
    pub fn text_bytes(self, at: usize) -> Option<(usize, &'a [u8], usize)> {
        let mut head = self.head(at)?;
        let mut next = None;
        if head.kind == Kind::Pointer {
            let (target, after) = self.pointer(&head)?;
            next = Some(after);
            head = self.head(target)?;
        }
        if head.kind != Kind::Text {
            return None;
        }
        let bytes = self.bytes(head.payload, head.size)?;
        Some((head.payload, bytes, next.unwrap_or(head.payload + head.size)))
    }

    /// The map at `at`, directly or through a pointer: its number of entries, the offset of the first, and, for a pointer, the
    /// offset after it.
    #[inline]
    pub fn map(self, at: usize) -> Option<(usize, usize, Option<usize>)> {
        let mut head = self.head(at)?;
        let mut next = None;
        if head.kind == Kind::Pointer {
            let (target, after) = self.pointer(&head)?;
            next = Some(after);
            head = self.head(target)?;
        }
        (head.kind == Kind::Map).then_some((head.size, head.payload, next))
    }

    /// The target of the pointer at `at`, and the offset after it; `None` if it is not a valid pointer.
    #[inline]
    pub fn pointed(self, at: usize) -> Option<(usize, usize)> {
        let head = self.head(at)?;
        if head.kind == Kind::Pointer { self.pointer(&head) } else { None }
    }

    /// The complete value at `at`, and the offset after it.
    pub fn value(self, at: usize) -> Result<(Value<'a>, usize), RawError> {
        let mut budget = ENTRIES_MAX;
        self.nested(at, DEPTH_MAX, &mut budget)
    }

    fn nested(self, at: usize, depth: u32, budget: &mut usize) -> Result<(Value<'a>, usize), RawError> {
        let damaged = || RawError::Data(at);
        let head = self.head(at).ok_or_else(damaged)?;
        if depth == 0 || *budget == 0 {
            return Err(damaged());
        }
        *budget -= 1;
        match head.kind {
            Kind::Pointer => {
                let (target, next) = self.pointer(&head).ok_or_else(damaged)?;
                let (value, _) = self.nested(target, depth - 1, budget)?;
                Ok((value, next))
            }
            Kind::Map => {
                let (mut entries, mut next) = (Vec::new(), head.payload);
                for _ in 0..head.size {
                    let (key, after) = self.text(next).ok_or(RawError::Data(next))?;
                    let (value, after) = self.nested(after, depth - 1, budget)?;
                    entries.push((key, value));
                    next = after;
                }
                Ok((Value::Map(entries), next))
            }
            Kind::Array => {
                let (mut values, mut next) = (Vec::new(), head.payload);
                for _ in 0..head.size {
                    let (value, after) = self.nested(next, depth - 1, budget)?;
                    values.push(value);
                    next = after;
                }
                Ok((Value::Array(values), next))
            }
            Kind::Bool => Ok((Value::Bool(head.size != 0), head.payload)),
            _ => self.plain(&head).ok_or_else(damaged),
        }
    }

    fn plain(self, head: &Head) -> Option<(Value<'a>, usize)> {
        let bytes = self.bytes(head.payload, head.size)?;
        let value = match head.kind {
            Kind::Text => Value::Text(std::str::from_utf8(bytes).ok()?),
            Kind::Double => Value::Double(f64::from_be_bytes(bytes.try_into().ok()?)),
            Kind::Float => Value::Float(f32::from_be_bytes(bytes.try_into().ok()?)),
            Kind::Uint if head.size <= 8 => {
                Value::Uint(bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
            }
            Kind::Int if head.size <= 4 => {
                let bits = bytes.iter().fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
                Value::Int(bits.cast_signed())
            }
            _ => Value::Bytes(bytes),
        };
        Some((value, head.payload + head.size))
    }
}

fn extended(number: usize) -> Option<Kind> {
    match number + 7 {
        8 => Some(Kind::Int),
        9 | 10 => Some(Kind::Uint),
        11 => Some(Kind::Array),
        14 => Some(Kind::Bool),
        15 => Some(Kind::Float),
        _ => None,
    }
}
