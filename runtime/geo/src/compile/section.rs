//! Encodes values of the MaxMind DB format into a section, by its specification (2.0), and keeps what is read together in one
//! page.

use crate::trace::PAGE_BYTES;

// Value types, by the numbers of the specification.
pub(super) const MAP: u8 = 7;
const TEXT_KIND: u8 = 2;
pub(super) const UINT16: u8 = 5;
pub(super) const UINT32: u8 = 6;
pub(super) const UINT64: u8 = 9;
pub(super) const ARRAY: u8 = 11;
/// Fills gaps with empty texts: a program that reads the section value by value still finds valid values only.
const FILLER: u8 = TEXT_KIND << 5;

/// Encodes values into a section.
#[derive(Default)]
pub(super) struct SectionWriter {
    pub(super) bytes: Vec<u8>,
    /// The section's offset in the file.
    pub(super) start: usize,
}

impl SectionWriter {
    pub(super) fn at(&self) -> usize {
        self.bytes.len()
    }

    /// Moves the bytes written since `from` to the next page if they lie in two pages and fit into one. Returns by how many
    /// bytes they moved.
    pub(super) fn keep_together(&mut self, from: usize) -> usize {
        let (first, last) = (self.start + from, self.start + self.at().max(from + 1) - 1);
        let left = PAGE_BYTES - first % PAGE_BYTES;
        if first / PAGE_BYTES == last / PAGE_BYTES || self.at() - from > PAGE_BYTES {
            return 0;
        }
        self.bytes.splice(from..from, std::iter::repeat_n(FILLER, left));
        left
    }

    /// Whether the next `length` bytes will be in the page of `at`.
    pub(super) fn shares_page(&self, at: usize, length: usize) -> bool {
        let page = |at: usize| (self.start + at) / PAGE_BYTES;
        page(at) == page(self.at()) && page(at) == page(self.at() + length)
    }

    pub(super) fn control(&mut self, kind: u8, size: usize) {
        let (first, extra) = match size {
            0..29 => (size, 0),
            29..285 => (29, 1),
            285..65_821 => (30, 2),
            _ => (31, 3),
        };
        let first = u8::try_from(first).unwrap_or(31);
        if kind < 8 {
            self.bytes.push(kind << 5 | first);
        } else {
            self.bytes.extend([first, kind - 7]);
        }
        let rest = size - [0, 29, 285, 65_821][extra];
        self.bytes.extend(&rest.to_be_bytes()[8 - extra..]);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.control(TEXT_KIND, text.len());
        self.bytes.extend(text.as_bytes());
    }

    pub(super) fn uint(&mut self, kind: u8, number: u64) {
        let bytes = number.to_be_bytes();
        let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(8);
        self.control(kind, 8 - start);
        self.bytes.extend(&bytes[start..]);
    }

    /// A pointer to an offset of this section. The format has four lengths of pointers, each starting where the shorter one
    /// ends.
    pub(super) fn pointer(&mut self, target: usize) {
        let control =
            |length: u8, high: usize| 0b0010_0000 | length << 3 | u8::try_from(high & 7).unwrap_or(0);
        let (length, value) = match target {
            0..2_048 => (0, target),
            2_048..526_336 => (1, target - 2_048),
            526_336..134_744_064 => (2, target - 526_336),
            _ => (3, target),
        };
        let high = if length == 3 { 0 } else { value >> (8 * (usize::from(length) + 1)) };
        self.bytes.push(control(length, high));
        let bytes = u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes();
        self.bytes.extend(&bytes[3 - usize::from(length)..]);
    }
}
