//! Remembers which texts of a file are valid UTF-8: an area's text is long, and thousands of places share it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Number of slots: more than the areas of any known database, in 64 KiB of memory.
const SLOTS: usize = 8_192;
/// Bits of a key that are the text's length.
const LENGTH_BITS: u32 = 24;

/// The texts of one file that were found to be valid: each in the one slot that its key hashes to; the newest stays.
pub(super) struct Utf8Cache {
    slots: Box<[AtomicU64]>,
}

/// Offset and length of a text as one number other than 0; `None` if either is too large to fit. The length is part of the
/// key, because in a hostile file texts of several lengths may start at one offset.
#[inline]
fn key(offset: usize, length: usize) -> Option<u64> {
    let (offset, length) = (offset as u64, length as u64);
    let fits = length > 0 && length < 1 << LENGTH_BITS && offset < 1 << (64 - LENGTH_BITS);
    fits.then_some(offset << LENGTH_BITS | length)
}

impl Utf8Cache {
    pub(super) fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect() }
    }

    /// `bytes`, which are at `offset` of this file's data, as text; `None` if they are not valid UTF-8.
    #[inline]
    pub(super) fn text<'a>(&self, offset: usize, bytes: &'a [u8]) -> Option<&'a str> {
        let Some(key) = key(offset, bytes.len()) else { return std::str::from_utf8(bytes).ok() };
        // Multiplicative hashing spreads neighbouring offsets.
        let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SLOTS.ilog2());
        let slot = &self.slots[usize::try_from(hash).unwrap_or(0) % SLOTS];
        if slot.load(Ordering::Relaxed) == key {
            #[expect(
                unsafe_code,
                reason = "checking the same bytes again for every request takes a third of a lookup"
            )]
            // SAFETY: exactly these bytes of the file were found to be valid UTF-8, and a mapped file does not change,
            // see `Database::open`.
            return Some(unsafe { std::str::from_utf8_unchecked(bytes) });
        }
        let text = std::str::from_utf8(bytes).ok()?;
        slot.store(key, Ordering::Relaxed);
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_what_its_own_bytes_are() {
        let checked = Utf8Cache::new();
        let bytes = "caf\u{e9}s".as_bytes();
        // (start, end, whether it is UTF-8); each twice, for what is remembered of it, and all of one file.
        let table = [
            (0, 3, true),
            (0, 4, false),
            (0, 5, true),
            (4, 5, false),
            (0, 0, true),
            (3, 6, true),
            (3, 4, false),
        ];
        for (start, end, sound) in table.into_iter().chain(table) {
            let found = checked.text(start, &bytes[start..end]);
            assert_eq!(found.map(str::as_bytes), sound.then_some(&bytes[start..end]), "{start}..{end}");
        }
        for offset in [1 << 39, 1 << 41, usize::MAX] {
            assert_eq!(checked.text(offset, b"\xff"), None);
            assert_eq!(checked.text(offset, b"a"), Some("a"));
        }
    }
}
