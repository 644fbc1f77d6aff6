//! Observes which bytes of its file a lookup reads. Lookups that serve requests use [`Silent`], which costs nothing.

use std::cell::RefCell;
use std::collections::BTreeSet;

/// Bytes of a page of memory and of the page cache.
pub const PAGE_BYTES: usize = 4_096;

/// Receives every read.
pub trait Trace: Copy {
    /// `length` bytes of the file are read from `at` on.
    fn read(self, at: usize, length: usize);
}

/// Ignores reads.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Trace for Silent {
    #[inline]
    fn read(self, _at: usize, _length: usize) {}
}

/// The distinct pages of all reads, by number.
#[derive(Debug, Default)]
pub struct Pages(RefCell<BTreeSet<usize>>);

impl Pages {
    /// The pages read.
    pub fn into_set(self) -> BTreeSet<usize> {
        self.0.into_inner()
    }
}

impl Trace for &Pages {
    fn read(self, at: usize, length: usize) {
        if length > 0 {
            self.0.borrow_mut().extend(at / PAGE_BYTES..=(at + length - 1) / PAGE_BYTES);
        }
    }
}
