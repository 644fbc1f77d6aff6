//! Merges all sources into one tree, by walking all their trees at once, bit by bit.
//!
//! A walk visits each prefix, shortest first, with one cursor per source. It stops going down where every cursor has
//! settled, that is, reached a leaf or an empty half: no longer prefix can change anything there.
//!
//! ```text
//!                 source A    source B    result
//!   0.0.0.0/1       node        leaf b      node            A still differs below: go on, B keeps its leaf
//!   0.0.0.0/2       leaf a      leaf b      leaf (a, b)     both settled
//!   64.0.0.0/2      empty       leaf b      leaf (-, b)
//!   128.0.0.0/1     leaf c      empty       leaf (c, -)
//! ```
//!
//! A combination such as (a, b) becomes one record, in which a later source only fills gaps of an earlier one. Millions of
//! prefixes share some hundred thousand combinations, so each is read, cleaned and written once and found again by its key.
//! The tree is built on the way back up: [`TreeBuilder::branch`] joins the two halves, and equal parts become one.

use std::path::Path;

use rustc_hash::FxHashMap;

use super::countries::CountryTable;
use super::error::BuildError;
use super::extract::{SourceLayout, SourceNetwork, SourcePlace, SourceRecord};
use super::facts::SourceGives;
use super::progress::BuildProgress;
use super::ranges::RangeSet;
use super::record::RecordSet;
use super::source::{Cursor, Source};
use super::tree::{FinishedTree, Target, TreeBuilder};
use crate::format::number_address;

/// A source to merge.
pub(super) struct MergeInput<'a> {
    pub(super) tree: MergeTree<'a>,
    /// What every record of the source has besides its own data.
    pub(super) gives: &'a SourceGives,
}

/// The tree of a source.
pub(super) enum MergeTree<'a> {
    /// A source database.
    File(&'a Source, SourceLayout),
    /// Ranges read into memory.
    Ranges(&'a RangeSet),
}

/// Number of visited prefixes between two reports of progress.
const STEPS_PER_REPORT: u64 = 1 << 16;

impl MergeInput<'_> {
    fn start(&self) -> Cursor {
        match &self.tree {
            MergeTree::File(source, _) => source.start(),
            MergeTree::Ranges(ranges) => ranges.trie().start(),
        }
    }

    #[inline]
    fn step(&self, cursor: Cursor, bit: u8, depth: u8, in_ipv4: bool) -> Cursor {
        match &self.tree {
            MergeTree::File(source, _) => source.step(cursor, bit, depth, in_ipv4),
            MergeTree::Ranges(ranges) => ranges.trie().step(cursor, bit, depth),
        }
    }

    fn record(&self, data: usize, countries: &CountryTable) -> Result<SourceRecord, BuildError> {
        let record = match &self.tree {
            MergeTree::File(source, layout) => {
                layout.read(&source.value(data)?, countries).restricted(source.parts())
            }
            MergeTree::Ranges(ranges) => ranges.record(data),
        };
        Ok(record.cleaned(countries).given(self.gives))
    }

    /// Maximum number of visits to nodes of this tree. A sound tree is left after one visit to each node and to the 96 bits
    /// above IPv4; twice that leaves room for unusual trees. In a tree with shared or circular nodes the number of visits
    /// can double with every level, so without this limit a hostile file of a few kilobytes would keep the walk busy forever.
    fn visits_max(&self) -> u64 {
        match &self.tree {
            MergeTree::File(source, _) => 2 * (u64::from(source.nodes()) + 96),
            MergeTree::Ranges(_) => u64::MAX,
        }
    }

    fn path(&self) -> &Path {
        match &self.tree {
            MergeTree::File(source, _) => source.path(),
            MergeTree::Ranges(ranges) => ranges.path(),
        }
    }

    /// Whether a record depends on its prefix too: the answer about a network names the prefix as its route.
    fn has_routes(&self) -> bool {
        match &self.tree {
            MergeTree::File(_, layout) => matches!(layout, SourceLayout::Asn | SourceLayout::IpInfo),
            MergeTree::Ranges(ranges) => ranges.has_networks(),
        }
    }
}

/// A walk over all inputs.
pub(super) struct Merger<'a> {
    inputs: &'a [MergeInput<'a>],
    /// The cursors of the current path: one per input at depth 0, then one per input at depth 1, and so on to 128. A stack
    /// in one allocation, because the walk makes millions of steps.
    cursors: Vec<Cursor>,
    /// Remaining visits for each input's tree.
    visits_left: Vec<u64>,
    tree: TreeBuilder,
    records: RecordSet,
    /// Combinations seen, by [`Merger::key`].
    leaves: FxHashMap<Box<[u128]>, Target>,
    /// The key of the current combination: for each input its data offset + 1, or 0; with routes, also prefix and length.
    key: Vec<u128>,
    visits: u64,
    progress: &'a dyn BuildProgress,
}

impl<'a> Merger<'a> {
    pub(super) fn new(inputs: &'a [MergeInput<'a>], progress: &'a dyn BuildProgress) -> Self {
        let mut cursors = vec![Cursor::Empty; inputs.len() * 129];
        for (cursor, input) in cursors.iter_mut().zip(inputs) {
            *cursor = input.start();
        }
        Self {
            inputs,
            cursors,
            visits_left: inputs.iter().map(MergeInput::visits_max).collect(),
            tree: TreeBuilder::default(),
            records: RecordSet::new(),
            leaves: FxHashMap::default(),
            key: Vec::new(),
            visits: 0,
            progress,
        }
    }

    /// Merges the inputs into a tree, and the records that its leaves stand for.
    pub(super) fn run(mut self) -> Result<(FinishedTree, RecordSet), BuildError> {
        let mut root = self.walk(0, 0)?;
        let numbers: Vec<(u32, Target)> = self
            .records
            .numbers()
            .into_iter()
            .map(|(number, record)| (number, Target::leaf(record)))
            .collect();
        if !numbers.is_empty() {
            let graft = self.tree.numbers(&numbers);
            // Whatever a source says about the discard prefix is replaced.
            root = self.tree.graft(root, number_address(0).to_bits(), 96, graft);
        }
        self.progress.done(self.visits % STEPS_PER_REPORT);
        Ok((self.tree.finish(root)?, self.records))
    }

    /// Merges all prefixes below the first `depth` bits of `path`.
    fn walk(&mut self, depth: u8, path: u128) -> Result<Target, BuildError> {
        let (count, level) = (self.inputs.len(), usize::from(depth) * self.inputs.len());
        let settled = |cursor: &Cursor| matches!(cursor, Cursor::Empty | Cursor::Leaf { .. });
        if depth == 128 || self.cursors[level..level + count].iter().all(settled) {
            return self.leaf(level, path);
        }
        for (index, left) in self.visits_left.iter_mut().enumerate() {
            if !settled(&self.cursors[level + index]) {
                let path = || self.inputs[index].path().to_owned();
                *left = left.checked_sub(1).ok_or_else(|| BuildError::Tangled { path: path() })?;
            }
        }
        self.visits += 1;
        if self.visits.is_multiple_of(STEPS_PER_REPORT) {
            self.progress.done(STEPS_PER_REPORT);
        }
        let mut halves = [Target::EMPTY; 2];
        for bit in [0, 1_u8] {
            let below = path | (u128::from(bit) << (127 - depth));
            let in_ipv4 = depth == 95 && below == 0;
            for (index, input) in self.inputs.iter().enumerate() {
                let cursor = self.cursors[level + index];
                self.cursors[level + count + index] = input.step(cursor, bit, depth, in_ipv4);
            }
            halves[usize::from(bit)] = self.walk(depth + 1, below)?;
        }
        Ok(self.tree.branch(halves[0], halves[1]))
    }

    /// The leaf for the settled cursors that start at `level`; `path` is any address below.
    fn leaf(&mut self, level: usize, path: u128) -> Result<Target, BuildError> {
        let cursors = &self.cursors[level..level + self.inputs.len()];
        self.key.clear();
        for (input, cursor) in self.inputs.iter().zip(cursors) {
            match cursor {
                Cursor::Leaf { data, length } => {
                    self.key.push(*data as u128 + 1);
                    if input.has_routes() {
                        self.key.push(prefix(path, *length));
                        self.key.push(u128::from(*length));
                    }
                }
                _ => self.key.push(0),
            }
        }
        if let Some(leaf) = self.leaves.get(self.key.as_slice()) {
            return Ok(*leaf);
        }
        let (mut place, mut network): (Option<SourcePlace>, Option<(SourceNetwork, String)>) = (None, None);
        for (input, cursor) in self.inputs.iter().zip(cursors) {
            let Cursor::Leaf { data, length } = cursor else { continue };
            let record = input.record(*data, self.records.countries())?;
            match (&mut place, record.place) {
                (Some(place), Some(other)) => place.fill(other),
                (None, other) => place = other,
                (Some(_), None) => {}
            }
            if network.is_none() {
                network = record.network.map(|network| (network, route(path, *length)));
            }
        }
        let leaf = self.records.index(place, network).map_or(Target::EMPTY, Target::leaf);
        self.leaves.insert(self.key.as_slice().into(), leaf);
        Ok(leaf)
    }
}

/// The first `length` bits of `path`.
fn prefix(path: u128, length: u8) -> u128 {
    if length == 0 { 0 } else { path & (u128::MAX << (128 - u32::from(length))) }
}

/// A prefix as text; inside `::/96`, as an IPv4 prefix.
fn route(path: u128, length: u8) -> String {
    let network = prefix(path, length);
    match u32::try_from(network) {
        Ok(ipv4) if length >= 96 => format!("{}/{}", std::net::Ipv4Addr::from_bits(ipv4), length - 96),
        _ => format!("{}/{length}", std::net::Ipv6Addr::from_bits(network)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_have_the_usual_notation() {
        assert_eq!(route(0x0808_0808, 120), "8.8.8.0/24");
        assert_eq!(route(0x2001_4860 << 96, 32), "2001:4860::/32");
        assert_eq!(route(0, 0), "::/0");
    }
}
