//! The search tree under construction: nodes that are never written twice.
//!
//! Two halves alike become one leaf, and two subtrees alike become one node that both parents point to:
//! the format's readers follow records from the root and never ask where a node has been before.

use rustc_hash::FxHashMap;

use super::error::BuildError;

/// What one half of a node leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Code(u32);

const LEAF: u32 = 1 << 31;

/// What a [`Code`] stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Empty,
    Leaf(u32),
    Node(u32),
}

impl Code {
    /// Nothing is known.
    pub(super) const EMPTY: Self = Self(u32::MAX);

    /// The record of this index.
    pub(super) fn leaf(record: u32) -> Self {
        Self(LEAF | record)
    }

    /// The node of this number.
    pub(super) fn node(number: u32) -> Self {
        Self(number)
    }

    pub(super) fn meaning(self) -> Meaning {
        match self.0 {
            u32::MAX => Meaning::Empty,
            leaf if leaf & LEAF != 0 => Meaning::Leaf(leaf & !LEAF),
            node => Meaning::Node(node),
        }
    }
}

/// All nodes, each after those that it leads to; and which of them is the root.
#[derive(Debug)]
pub(super) struct Nodes {
    pub(super) nodes: Vec<[Code; 2]>,
    pub(super) root: u32,
}

/// Nodes made so far.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<[Code; 2]>,
    known: FxHashMap<[Code; 2], u32>,
}

impl Tree {
    /// The tree whose halves are `left` and `right`.
    pub(super) fn branch(&mut self, left: Code, right: Code) -> Code {
        if left == right && !matches!(left.meaning(), Meaning::Node(_)) {
            return left;
        }
        self.node(left, right)
    }

    fn node(&mut self, left: Code, right: Code) -> Code {
        let nodes = &mut self.nodes;
        let id = *self.known.entry([left, right]).or_insert_with(|| {
            nodes.push([left, right]);
            // Half a million million bytes of nodes would come before this wraps.
            u32::try_from(nodes.len() - 1).unwrap_or(u32::MAX)
        });
        Code::node(id)
    }

    /// `code` with the tree at the first `length` bits of `bits` replaced by `graft`.
    pub(super) fn graft(&mut self, code: Code, bits: u128, length: u8, graft: Code) -> Code {
        self.graft_below(code, bits, 0, length, graft)
    }

    fn graft_below(&mut self, code: Code, bits: u128, depth: u8, length: u8, graft: Code) -> Code {
        if depth == length {
            return graft;
        }
        let [left, right] = match code.meaning() {
            Meaning::Node(node) => self.nodes[node as usize],
            Meaning::Empty | Meaning::Leaf(_) => [code; 2],
        };
        if bits >> (127 - depth) & 1 == 0 {
            let left = self.graft_below(left, bits, depth + 1, length, graft);
            self.branch(left, right)
        } else {
            let right = self.graft_below(right, bits, depth + 1, length, graft);
            self.branch(left, right)
        }
    }

    /// The tree of 32 more bits that holds `numbers`, which must be sorted by number.
    pub(super) fn numbers(&mut self, numbers: &[(u32, Code)]) -> Code {
        self.numbers_below(numbers, 0)
    }

    fn numbers_below(&mut self, numbers: &[(u32, Code)], depth: u8) -> Code {
        match numbers {
            [] => Code::EMPTY,
            [(_, code)] if depth == 32 => *code,
            _ if depth == 32 => Code::EMPTY,
            _ => {
                let middle = numbers.partition_point(|(number, _)| number >> (31 - depth) & 1 == 0);
                let left = self.numbers_below(&numbers[..middle], depth + 1);
                let right = self.numbers_below(&numbers[middle..], depth + 1);
                self.branch(left, right)
            }
        }
    }

    /// What was made, from `root` downwards.
    pub(super) fn finish(mut self, root: Code) -> Result<Nodes, BuildError> {
        let root = match root.meaning() {
            Meaning::Node(node) => node,
            Meaning::Empty => return Err(BuildError::Empty),
            // One record for everything: the format still wants a node.
            Meaning::Leaf(_) => match self.node(root, root).meaning() {
                Meaning::Node(node) => node,
                _ => return Err(BuildError::Empty),
            },
        };
        Ok(Nodes { nodes: self.nodes, root })
    }
}
