//! Remembers where walks through the tree are after the first bits of an IPv4 address, so that later walks start there. It is
//! filled by lookups, because reading all starts when a database is opened would read its first pages from the disk.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bits of an address that select a slot: with two more, the slots no longer fit into the processor's caches.
pub(super) const START_BITS: u8 = 18;
/// Slots of the addresses with one first octet.
const SLOTS: usize = 1 << (START_BITS - 8);

/// The raw record after the first bits, plus one; 0: not known yet. Memory is taken by first octet, at its first lookup, so
/// that opening a database costs nothing.
pub(super) struct WalkStarts(Box<[OnceLock<Box<[AtomicU32]>>]>);

impl WalkStarts {
    pub(super) fn new() -> Self {
        Self((0..256).map(|_| OnceLock::new()).collect())
    }

    /// The record after the first bits of an address; `walk` finds it if it is not known.
    #[inline]
    pub(super) fn record(&self, address: u32, walk: impl FnOnce() -> u32) -> u32 {
        let index = (address >> (32 - START_BITS)) as usize;
        let slots = self.0[index / SLOTS].get_or_init(|| (0..SLOTS).map(|_| AtomicU32::new(0)).collect());
        let slot = &slots[index % SLOTS];
        match slot.load(Ordering::Relaxed).checked_sub(1) {
            Some(record) => record,
            None => {
                let record = walk();
                // The largest number wraps to 0: it stays unknown.
                slot.store(record.wrapping_add(1), Ordering::Relaxed);
                record
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_found_once() {
        let starts = WalkStarts::new();
        let bit = 32 - START_BITS;
        for (address, found, expected) in [
            (0, 7, 7),
            (0, 8, 7),
            ((1 << bit) - 1, 8, 7),
            (1 << bit, 9, 9),
            (u32::MAX, 1, 1),
            (u32::MAX, 2, 1),
            // Not remembered.
            (1 << 31, u32::MAX, u32::MAX),
            (1 << 31, 3, 3),
        ] {
            assert_eq!(starts.record(address, || found), expected, "{address:#x}");
        }
    }
}
