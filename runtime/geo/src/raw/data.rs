//! Reads values of a data section, all bounded.

#![expect(clippy::inline_always, reason = "calls within a lookup take a third of its time")]

use super::{RawError, Value};
use crate::trace::{Silent, Trace};

/// Maximum depth of nested values.
const DEPTH_MAX: u32 = 16;
/// Maximum number of values to read at once.
const ENTRIES_MAX: usize = 10_000;

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

/// The first byte of a word.
#[inline]
fn byte(word: u64) -> usize {
    usize::from(word.to_be_bytes()[0])
}

/// The number in the first bytes of a word, at most 4.
#[inline]
fn number(word: u64, length: usize) -> usize {
    // In two steps, because a shift by all 64 bits is not defined.
    usize::try_from(word >> 1 >> (63 - 8 * length)).unwrap_or(0)
}

/// [`Data::word`] in the last bytes.
#[cold]
fn last_word(rest: &[u8]) -> Option<u64> {
    let mut bytes = [0; 8];
    bytes.get_mut(..rest.len()).filter(|_| !rest.is_empty())?.copy_from_slice(rest);
    Some(u64::from_be_bytes(bytes))
}

/// A value whose bytes from `at` on are known: at least those of its head, or of a pointer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unread {
    at: usize,
    word: u64,
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
    /// Bytes that start at an offset of their file.
    #[inline]
    pub(super) fn at(bytes: &'a [u8], start: usize, trace: T) -> Self {
        Self { bytes, start, trace }
    }

    #[inline(always)]
    fn bytes(self, at: usize, length: usize) -> Option<&'a [u8]> {
        let bytes = self.bytes.get(at..at.checked_add(length)?)?;
        self.trace.read(self.start + at, length);
        Some(bytes)
    }

    /// The eight bytes at `at` as a number, with zeros for those after the end: a head, its size and a pointer in one read.
    #[inline(always)]
    fn word(self, at: usize) -> Option<u64> {
        let rest = self.bytes.get(at..)?;
        match rest.first_chunk() {
            Some(bytes) => Some(u64::from_be_bytes(*bytes)),
            None => last_word(rest),
        }
    }

    /// The value at `at`.
    #[inline(always)]
    pub(crate) fn unread(self, at: usize) -> Option<Unread> {
        Some(Unread { at, word: self.word(at)? })
    }

    /// The head of a value; `None` if it is cut off or of no known kind.
    #[inline]
    fn head_of(self, Unread { at, word }: Unread) -> Option<Head> {
        let (kind, bytes) = match byte(word) >> 5 {
            1 => {
                return self.seen(at, Head { kind: Kind::Pointer, size: byte(word) & 0x1f, payload: at + 1 });
            }
            2 => (Kind::Text, 1),
            3 => (Kind::Double, 1),
            4 => (Kind::Bytes, 1),
            5 | 6 => (Kind::Uint, 1),
            7 => (Kind::Map, 1),
            _ => (extended(byte(word << 8))?, 2),
        };
        let short = byte(word) & 0x1f;
        let extra = short.saturating_sub(28);
        let base = if extra == 0 { short } else { [0, 29, 285, 65_821][extra] };
        let size = base + number(word << (8 * bytes), extra);
        self.seen(at, Head { kind, size, payload: at + bytes + extra })
    }

    /// A head that begins at `at`; `None` if it is cut off.
    #[inline]
    fn seen(self, at: usize, head: Head) -> Option<Head> {
        self.trace.read(self.start + at, head.payload - at);
        (head.payload <= self.bytes.len()).then_some(head)
    }

    /// The target of a pointer, and the offset after it; `None` if it is not a valid pointer.
    #[inline(always)]
    pub(crate) fn pointer(self, Unread { at, word }: Unread) -> Option<(usize, usize)> {
        let control = byte(word);
        if control >> 5 != 1 {
            return None;
        }
        let length = (control >> 3 & 3) + 1;
        let next = at + 1 + length;
        if next > self.bytes.len() {
            return None;
        }
        self.trace.read(self.start + at, 1 + length);
        let low = number(word << 8, length);
        // The longest pointers have no bits in their control byte.
        let high = if length == 4 { 0 } else { (control & 7) << (8 * length) };
        Some(((high | low) + [0, 2_048, 526_336, 0][length - 1], next))
    }

    /// Size and payload of a value of a kind, by the kind's number, and where the value is behind a pointer the offset after
    /// that. Reads less than [`Self::head_of`]: lookups need only texts and maps.
    #[inline(always)]
    fn sized<const KIND: usize>(self, value: Unread) -> Option<(usize, usize, Option<usize>)> {
        let (Unread { at, word }, next) = match self.pointer(value) {
            Some((target, next)) => (self.unread(target)?, Some(next)),
            None => (value, None),
        };
        if byte(word) >> 5 != KIND {
            return None;
        }
        let size = byte(word) & 0x1f;
        let (size, payload) = if size < 29 {
            (size, at + 1)
        } else {
            let extra = size - 28;
            ([29, 285, 65_821][extra - 1] + number(word << 8, extra), at + 1 + extra)
        };
        self.trace.read(self.start + at, payload - at);
        Some((size, payload, next))
    }

    /// The text at `at`, directly or through a pointer, and the offset after it.
    #[inline]
    pub fn text(self, at: usize) -> Option<(&'a str, usize)> {
        let (_, bytes, next) = self.text_bytes(self.unread(at)?)?;
        Some((std::str::from_utf8(bytes).ok()?, next))
    }

    /// The bytes of a text, directly or through a pointer, which may not be UTF-8: their offset, the bytes, and the offset after
    /// them.
    #[inline(always)]
    pub(crate) fn text_bytes(self, value: Unread) -> Option<(usize, &'a [u8], usize)> {
        let (size, payload, next) = self.sized::<2>(value)?;
        let bytes = self.bytes(payload, size)?;
        Some((payload, bytes, next.unwrap_or(payload + size)))
    }

    /// A map, directly or through a pointer: its number of entries, the offset of the first, and, for a pointer, the offset
    /// after it.
    #[inline(always)]
    pub(crate) fn map(self, value: Unread) -> Option<(usize, usize, Option<usize>)> {
        self.sized::<7>(value)
    }

    /// The target of the pointer of two bytes at `at`, and the value after it: how compiled databases name entries.
    #[inline(always)]
    pub(crate) fn short_pointer(self, at: usize) -> Option<(usize, Unread)> {
        let word = self.word(at)?;
        if word >> 59 != 0b00100 {
            return None;
        }
        self.trace.read(self.start + at, 2);
        // Six bytes remain: enough for the head of any value, and any pointer.
        Some((number(word, 2) & 0x7ff, Unread { at: at + 2, word: word << 16 }))
    }

    /// The complete value at `at`, and the offset after it.
    pub fn value(self, at: usize) -> Result<(Value<'a>, usize), RawError> {
        let mut budget = ENTRIES_MAX;
        self.nested(at, DEPTH_MAX, &mut budget)
    }

    fn nested(self, at: usize, depth: u32, budget: &mut usize) -> Result<(Value<'a>, usize), RawError> {
        let damaged = || RawError::Data(at);
        let value = self.unread(at).ok_or_else(damaged)?;
        let head = self.head_of(value).ok_or_else(damaged)?;
        if depth == 0 || *budget == 0 {
            return Err(damaged());
        }
        *budget -= 1;
        match head.kind {
            Kind::Pointer => {
                let (target, next) = self.pointer(value).ok_or_else(damaged)?;
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
