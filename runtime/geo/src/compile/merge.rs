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

use super::combine::{Combined, Prefix, Statement};
use super::countries::CountryTable;
use super::error::BuildError;
use super::extract::{SourceLayout, SourceRecord};
use super::facts::{Flags, SourceGives};
use super::progress::BuildProgress;
use super::ranges::RangeSet;
use super::record::RecordSet;
use super::source::{Cursor, Source};
use super::tree::{FinishedTree, Target, TargetKind, TreeBuilder};
use crate::format::number_address;

/// A source to merge.
pub(super) struct MergeInput<'a> {
    pub(super) name: &'a str,
    pub(super) tree: MergeTree<'a>,
    /// Data that every record of the source has in addition to its own.
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

    /// Whether a record depends on the length of its prefix too: the answer about a network names the prefix as its route.
    fn has_routes(&self) -> bool {
        self.gives.network.is_some()
            || match &self.tree {
                MergeTree::File(_, layout) => matches!(layout, SourceLayout::Asn | SourceLayout::IpInfo),
                MergeTree::Ranges(ranges) => ranges.has_networks(),
            }
    }

    fn is_correction(&self) -> bool {
        matches!(&self.tree, MergeTree::Ranges(ranges) if ranges.is_correction())
    }

    /// The flags that the source covers.
    fn flags(&self) -> Flags {
        let own = match &self.tree {
            MergeTree::File(..) => Flags::default(),
            MergeTree::Ranges(ranges) => ranges.flags(),
        };
        own.with(SourceRecord::default().given(self.gives).flags)
    }
}

/// A source's data about an address, given as IPv6; `None` if it has none.
pub(super) fn statement(
    source: u16,
    input: &MergeInput<'_>,
    address: u128,
    countries: &CountryTable,
) -> Result<Option<Statement>, BuildError> {
    let mut cursor = input.start();
    for depth in 0..128 {
        let bit = u8::from(address >> (127 - depth) & 1 == 1);
        let in_ipv4 = depth == 95 && address >> 32 == 0;
        cursor = input.step(cursor, bit, depth, in_ipv4);
    }
    let Cursor::Leaf { data, length } = cursor else { return Ok(None) };
    let record = input.record(data, countries)?;
    let (prefix, is_correction) = (Prefix::of(address, length), input.is_correction());
    Ok(Some(Statement { source, prefix, record, is_correction }))
}

/// The leaf of a combination, and its AS number with the length of its route.
#[derive(Debug, Clone, Copy)]
struct KnownLeaf {
    target: Target,
    network: Option<(u32, u8)>,
}

/// A walk over all inputs.
pub(super) struct Merger<'a> {
    inputs: &'a [MergeInput<'a>],
    /// [`MergeInput::has_routes`] of each.
    with_route: Vec<bool>,
    /// The cursors of the current path with their inputs, level below level, without those that are empty: most lists have
    /// nothing in most prefixes, so a dozen more of them cost hardly anything. A stack in one allocation, because the walk
    /// makes millions of steps.
    cursors: Vec<(u16, Cursor)>,
    /// Remaining visits for each input's tree.
    visits_left: Vec<u64>,
    tree: TreeBuilder,
    records: RecordSet,
    /// Combinations seen, by [`Merger::key`].
    leaves: FxHashMap<Box<[u64]>, KnownLeaf>,
    /// The key of the current combination: for each input with data its number in 16 bits, its data offset in 40, and with
    /// routes the length of the prefix in 8.
    key: Vec<u64>,
    visits: u64,
    progress: &'a dyn BuildProgress,
}

impl<'a> Merger<'a> {
    pub(super) fn new(inputs: &'a [MergeInput<'a>], progress: &'a dyn BuildProgress) -> Self {
        let cursors = (0..).zip(inputs.iter().map(MergeInput::start)).collect();
        Self {
            inputs,
            with_route: inputs.iter().map(MergeInput::has_routes).collect(),
            cursors,
            visits_left: inputs.iter().map(MergeInput::visits_max).collect(),
            tree: TreeBuilder::default(),
            records: RecordSet::new(
                inputs.iter().map(|input| (input.name, input.gives.blocklist.as_ref())),
                inputs.iter().map(MergeInput::flags).fold(Flags::default(), Flags::with),
            ),
            leaves: FxHashMap::default(),
            key: Vec::new(),
            visits: 0,
            progress,
        }
    }

    /// Merges the inputs into a tree, and the records that its leaves stand for.
    pub(super) fn run(mut self) -> Result<(FinishedTree, RecordSet), BuildError> {
        let mut root = self.walk(0, 0, 0)?;
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

    /// Merges all prefixes below the first `depth` bits of `path`; the cursors from `level` on are those of this prefix.
    fn walk(&mut self, depth: u8, path: u128, level: usize) -> Result<Target, BuildError> {
        let below = self.cursors.len();
        let settled = |cursor: &Cursor| matches!(cursor, Cursor::Empty | Cursor::Leaf { .. });
        if depth == 128 || self.cursors[level..].iter().all(|(_, cursor)| settled(cursor)) {
            return self.leaf(level, path, depth);
        }
        for (input, cursor) in &self.cursors[level..] {
            if !settled(cursor) {
                let input = usize::from(*input);
                let path = || self.inputs[input].path().to_owned();
                let left = &mut self.visits_left[input];
                *left = left.checked_sub(1).ok_or_else(|| BuildError::Tangled { path: path() })?;
            }
        }
        self.visits += 1;
        if self.visits.is_multiple_of(STEPS_PER_REPORT) {
            self.progress.done(STEPS_PER_REPORT);
        }
        let mut halves = [Target::EMPTY; 2];
        for bit in [0, 1_u8] {
            let path = path | (u128::from(bit) << (127 - depth));
            let in_ipv4 = depth == 95 && path == 0;
            for at in level..below {
                let (input, cursor) = self.cursors[at];
                let cursor = self.inputs[usize::from(input)].step(cursor, bit, depth, in_ipv4);
                if cursor != Cursor::Empty {
                    self.cursors.push((input, cursor));
                }
            }
            halves[usize::from(bit)] = self.walk(depth + 1, path, below)?;
            self.cursors.truncate(below);
        }
        Ok(self.tree.branch(halves[0], halves[1]))
    }

    /// The leaf of a prefix, the first `depth` bits of `path`, for the settled cursors that start at `level`.
    fn leaf(&mut self, level: usize, path: u128, depth: u8) -> Result<Target, BuildError> {
        let leaf = self.known_leaf(level, path)?;
        if let Some((number, length)) = leaf.network {
            self.records.count_route(number, Prefix::of(path, length));
        }
        if let TargetKind::Leaf(record) = leaf.target.kind() {
            self.records.weigh(record, weight(path, depth));
        }
        Ok(leaf.target)
    }

    fn known_leaf(&mut self, level: usize, path: u128) -> Result<KnownLeaf, BuildError> {
        let cursors = &self.cursors[level..];
        self.key.clear();
        for (input, cursor) in cursors {
            let Cursor::Leaf { data, length } = cursor else { continue };
            let length = if self.with_route[usize::from(*input)] { u64::from(*length) } else { 0 };
            self.key.push(u64::from(*input) << 48 | (*data as u64) << 8 | length);
        }
        if let Some(leaf) = self.leaves.get(self.key.as_slice()) {
            return Ok(*leaf);
        }
        let mut statements = Vec::new();
        for (source, cursor) in cursors {
            let Cursor::Leaf { data, length } = cursor else { continue };
            let input = &self.inputs[usize::from(*source)];
            let record = input.record(*data, self.records.countries())?;
            let (prefix, is_correction) = (Prefix::of(path, *length), input.is_correction());
            statements.push(Statement { source: *source, prefix, record, is_correction });
        }
        let all = Combined::of(&statements);
        let network = all.network.as_ref().map(|(network, route)| (network.number, route.length));
        let target = self.records.index(all).map_or(Target::EMPTY, Target::leaf);
        let leaf = KnownLeaf { target, network };
        self.leaves.insert(self.key.as_slice().into(), leaf);
        Ok(leaf)
    }
}

/// How often a lookup of any address is likely to end in a prefix of `depth` bits that contains `path`: the number of its
/// IPv4 addresses, or of its IPv6 networks of 48 bits, each of which is about one customer.
fn weight(path: u128, depth: u8) -> u64 {
    let bits: u32 = if path >> 32 == 0 { 128 } else { 48 };
    1 << bits.saturating_sub(u32::from(depth)).min(32)
}
