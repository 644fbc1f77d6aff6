//! Ranges of addresses with their records, read into memory as a tree that a merge can walk.
//!
//! Where ranges overlap, the smaller one wins, and of two equal ones the later: a list may have a network and, elsewhere, an
//! exception within it.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};

use super::extract::SourceRecord;
use super::facts::{Flags, SourceGives};
#[cfg(test)]
use super::source::Cursor;
use super::source::PrefixTrie;

/// A range from its first to its last address, and the index of its record. IPv4 addresses are those of `::/96`.
pub(super) type NumberedRange = (u128, u128, u32);

/// The skipped parts of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Networks without public addresses.
    pub reserved: usize,
    /// Invalid lines of a geofeed.
    pub invalid: usize,
    /// The first invalid line and why.
    pub first_invalid: Option<String>,
}

/// The ranges of a source that is not a database.
#[derive(Debug)]
pub struct RangeSet {
    path: PathBuf,
    trie: PrefixTrie,
    records: Vec<SourceRecord>,
    skipped: Skipped,
    is_correction: bool,
}

impl RangeSet {
    /// The numbers in the trie are indexes into `records`.
    pub(super) fn new(path: PathBuf, trie: PrefixTrie, records: Vec<SourceRecord>) -> Self {
        Self { path, trie, records, skipped: Skipped::default(), is_correction: false }
    }

    /// The ranges of the file at `path`; the last address of each is not before its first.
    pub(super) fn from_ranges(path: PathBuf, ranges: &[NumberedRange], records: Vec<SourceRecord>) -> Self {
        let mut order: Vec<usize> = (0..ranges.len()).collect();
        order.sort_by_key(|index| (ranges[*index].1 - ranges[*index].0, Reverse(*index)));
        let mut trie = PrefixTrie::default();
        for (first, last, record) in order.into_iter().map(|index| ranges[index]) {
            for_each_prefix(first, last, |bits, length| trie.insert(bits, length, record));
        }
        Self::new(path, trie, records)
    }

    /// The same ranges, as corrections of what other sources state.
    pub(super) fn correcting(self, is_correction: bool) -> Self {
        Self { is_correction, ..self }
    }

    /// Whether its places correct those of other sources.
    pub(super) fn is_correction(&self) -> bool {
        self.is_correction
    }

    pub(super) fn passing_over(self, skipped: Skipped) -> Self {
        Self { skipped, ..self }
    }

    /// The skipped parts of the file.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// The file that the ranges were read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn trie(&self) -> &PrefixTrie {
        &self.trie
    }

    pub(super) fn record(&self, number: usize) -> SourceRecord {
        self.records.get(number).cloned().unwrap_or_default()
    }

    /// The number of the record of an address.
    #[cfg(test)]
    pub(super) fn find(&self, address: u128) -> Option<usize> {
        let mut cursor = self.trie.start();
        for depth in 0..128 {
            let bit = u8::from(address >> (127 - depth) & 1 == 1);
            cursor = self.trie.step(cursor, bit, depth);
        }
        if let Cursor::Leaf { data, .. } = cursor { Some(data) } else { None }
    }

    /// Whether any record names an autonomous system or the use of a network.
    pub(super) fn has_networks(&self) -> bool {
        self.records.iter().any(|record| record.network.is_some() || record.usage.is_some())
    }

    /// The flags that any record sets.
    pub(super) fn flags(&self) -> Flags {
        let nothing = SourceGives::default();
        let of = |record: &SourceRecord| record.clone().given(&nothing).flags;
        self.records.iter().map(of).fold(Flags::default(), Flags::with)
    }
}

impl SourceRecord {
    /// The record combined with the data that all records of its source share; its own data has precedence.
    pub(super) fn given(mut self, gives: &SourceGives) -> Self {
        self.flags = self.flags.with(gives.flags);
        self.usage = self.usage.or_else(|| gives.network.clone());
        self.crawler = self.crawler.or_else(|| gives.crawler.clone());
        if self.usage.as_ref().is_some_and(|usage| usage.kind == "hosting")
            && let Some(flag) = Flags::named("is_datacenter")
        {
            self.flags = self.flags.with(flag);
        }
        self
    }
}

/// Splits a range into the fewest prefixes, each with its length in bits of an IPv6 address; the whole space gives its two
/// halves, because a trie has no place for a prefix without bits.
pub(super) fn for_each_prefix(first: u128, last: u128, mut take: impl FnMut(u128, u8)) {
    let mut start = first;
    while start <= last {
        // The largest block that begins at `start` and ends within the range.
        let aligned = start.trailing_zeros().min(127);
        let left = (last - start).checked_add(1).map_or(127, |count| count.ilog2());
        let size = aligned.min(left);
        take(start, u8::try_from(128 - size).unwrap_or(128));
        let Some(next) = start.checked_add(1 << size) else { break };
        start = next;
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::Database;
    use crate::compile::extract::SourceNetwork;
    use crate::compile::{BuildSource, DataDescription, NoProgress, SourceData, build};

    fn bits(address: &str) -> u128 {
        match address.parse().expect("an address") {
            IpAddr::V4(v4) => u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits(),
        }
    }

    #[test]
    fn a_set_of_ranges_compiles_and_each_part_has_its_own_route() {
        let network = |number, name: &str| SourceRecord {
            network: Some(SourceNetwork { number, name: name.into(), ..SourceNetwork::default() }),
            ..SourceRecord::default()
        };
        let records = vec![network(1, "One"), network(2, "Two")];
        let ranges = [
            (bits("1.0.0.0"), bits("1.0.2.255"), 0),
            (bits("1.0.1.128"), bits("1.0.1.255"), 1),
            (bits("2001:db8::"), bits("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"), 1),
        ];
        let set = RangeSet::from_ranges("asn.csv".into(), &ranges, records);
        let gives = SourceGives { flags: Flags::named("is_tor").expect("a flag"), ..SourceGives::default() };
        let source = BuildSource { name: "asn".into(), data: SourceData::Ranges(set), gives };
        let compiled = build(&[source], &DataDescription::default(), &NoProgress).expect("it compiles");
        let database = Database::from_bytes(compiled.to_bytes()).expect("it opens");
        for (address, number, route) in [
            ("1.0.0.9", "AS1", "1.0.0.0/24"),
            ("1.0.1.0", "AS1", "1.0.1.0/25"),
            ("1.0.1.128", "AS2", "1.0.1.128/25"),
            ("1.0.2.255", "AS1", "1.0.2.0/24"),
            ("2001:db8::1", "AS2", "2001:db8::/32"),
        ] {
            let mut members = String::new();
            let location = database.lookup(address.parse().expect("an address")).expect(address);
            location.write_static(&mut members);
            assert!(members.contains(&format!(r#""asn":"{number}""#)), "{address}: {members}");
            assert!(members.contains(&format!(r#""route":"{route}""#)), "{address}: {members}");
        }
        assert!(database.lookup("1.0.3.0".parse().expect("an address")).is_none());
    }

    #[test]
    fn a_range_is_split_into_the_fewest_prefixes() {
        let split = |first, last| {
            let mut parts = Vec::new();
            for_each_prefix(first, last, |bits, length| parts.push((bits, length)));
            parts
        };
        assert_eq!(split(5, 5), [(5, 128)]);
        assert_eq!(split(0, 255), [(0, 120)]);
        assert_eq!(split(1, 4), [(1, 128), (2, 127), (4, 128)]);
        assert_eq!(split(u128::MAX, u128::MAX), [(u128::MAX, 128)]);
        assert_eq!(split(0, u128::MAX), [(0, 1), (1 << 127, 1)]);
    }
}
