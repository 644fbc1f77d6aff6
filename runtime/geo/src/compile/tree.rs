//! The search tree under construction, in which equal parts are stored once.
//!
//! Two equal halves without nodes become one leaf, and two equal subtrees become one node with two parents. Readers of the
//! format follow records from the root only, so they cannot tell. For the DB-IP City set this leaves 8.8 of 14.8 million nodes; `pages` adds 2.2 million
//! copies and gaps.

use rustc_hash::FxHashMap;

use super::error::BuildError;

/// What one half of a node leads to: nothing, a record or another node, packed into four bytes because millions of them
/// are in memory at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Target(u32);

const LEAF: u32 = 1 << 31;

/// The meaning of a [`Target`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TargetKind {
    Empty,
    Leaf(u32),
    Node(u32),
}

impl Target {
    /// No data.
    pub(super) const EMPTY: Self = Self(u32::MAX);

    /// A record, by index.
    pub(super) fn leaf(record: u32) -> Self {
        Self(LEAF | record)
    }

    /// A node, by number.
    pub(super) fn node(number: u32) -> Self {
        Self(number)
    }

    pub(super) fn kind(self) -> TargetKind {
        match self.0 {
            u32::MAX => TargetKind::Empty,
            leaf if leaf & LEAF != 0 => TargetKind::Leaf(leaf & !LEAF),
            node => TargetKind::Node(node),
        }
    }
}

/// All nodes, each after those it leads to, and the number of the root.
#[derive(Debug)]
pub(super) struct FinishedTree {
    pub(super) nodes: Vec<[Target; 2]>,
    pub(super) root: u32,
}

/// Builds a tree from its leaves upwards.
#[derive(Debug, Default)]
pub(super) struct TreeBuilder {
    nodes: Vec<[Target; 2]>,
    numbers_by_halves: FxHashMap<[Target; 2], u32>,
}

impl TreeBuilder {
    /// The tree with the halves `left` and `right`.
    pub(super) fn branch(&mut self, left: Target, right: Target) -> Target {
        if left == right && !matches!(left.kind(), TargetKind::Node(_)) {
            return left;
        }
        self.node(left, right)
    }

    fn node(&mut self, left: Target, right: Target) -> Target {
        let nodes = &mut self.nodes;
        let id = *self.numbers_by_halves.entry([left, right]).or_insert_with(|| {
            nodes.push([left, right]);
            // The leaves' bit limits nodes to 2^31; their 16 GiB would be exceeded first.
            u32::try_from(nodes.len() - 1).unwrap_or(u32::MAX)
        });
        Target::node(id)
    }

    /// `tree` with the subtree at the first `length` bits of `bits` replaced by `graft`.
    pub(super) fn graft(&mut self, tree: Target, bits: u128, length: u8, graft: Target) -> Target {
        self.graft_below(tree, bits, 0, length, graft)
    }

    fn graft_below(&mut self, tree: Target, bits: u128, depth: u8, length: u8, graft: Target) -> Target {
        if depth == length {
            return graft;
        }
        let [left, right] = match tree.kind() {
            TargetKind::Node(node) => self.nodes[node as usize],
            TargetKind::Empty | TargetKind::Leaf(_) => [tree; 2],
        };
        if bits >> (127 - depth) & 1 == 0 {
            let left = self.graft_below(left, bits, depth + 1, length, graft);
            self.branch(left, right)
        } else {
            let right = self.graft_below(right, bits, depth + 1, length, graft);
            self.branch(left, right)
        }
    }

    /// A tree of 32 levels from numbers to targets; `numbers` must be sorted.
    pub(super) fn numbers(&mut self, numbers: &[(u32, Target)]) -> Target {
        self.numbers_below(numbers, 0)
    }

    fn numbers_below(&mut self, numbers: &[(u32, Target)], depth: u8) -> Target {
        match numbers {
            [] => Target::EMPTY,
            [(_, target)] if depth == 32 => *target,
            _ if depth == 32 => Target::EMPTY,
            _ => {
                let middle = numbers.partition_point(|(number, _)| number >> (31 - depth) & 1 == 0);
                let left = self.numbers_below(&numbers[..middle], depth + 1);
                let right = self.numbers_below(&numbers[middle..], depth + 1);
                self.branch(left, right)
            }
        }
    }

    /// Ends the construction; `root` is the whole tree.
    pub(super) fn finish(mut self, root: Target) -> Result<FinishedTree, BuildError> {
        let root = match root.kind() {
            TargetKind::Node(node) => node,
            TargetKind::Empty => return Err(BuildError::Empty),
            // The same record for every address: the format requires a node all the same.
            TargetKind::Leaf(_) => match self.node(root, root).kind() {
                TargetKind::Node(node) => node,
                _ => return Err(BuildError::Empty),
            },
        };
        Ok(FinishedTree { nodes: self.nodes, root })
    }
}
