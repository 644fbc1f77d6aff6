//! Sources as trees that can be walked bit by bit: mapped databases, and tries built in memory.

use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::error::BuildError;
use super::kind::other_kind;
use crate::map::map_file;
use crate::raw::{Layout, Step, Value};

/// A source database, mapped into memory.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    map: Mmap,
    layout: Layout,
    parts: Parts,
}

/// The parts of a source's records that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Country and continent.
    pub country: bool,
    /// Everything about the place, the country too.
    pub city: bool,
    /// The autonomous system.
    pub asn: bool,
}

impl Parts {
    /// Only the networks.
    pub const NONE: Self = Self { country: false, city: false, asn: false };
    /// Everything.
    pub const ALL: Self = Self { country: true, city: true, asn: true };
}

/// The position of a walk in one tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cursor {
    /// No data for any address below.
    Empty,
    /// The same data for all addresses below, and the length of the prefix it belongs to.
    Leaf { data: usize, length: u8 },
    /// At a node.
    Node(u32),
    /// This many zero bits above the root of a tree that holds IPv4 only.
    Above(u8),
}

/// Bits above an IPv4 address in an IPv6 tree.
const IPV4_DEPTH: u8 = 96;

impl Source {
    /// Maps a source database. The file must not be changed in place while it is open.
    pub fn open(path: &Path) -> Result<Self, BuildError> {
        let failed = |source| BuildError::Open { path: path.to_owned(), source };
        // Opening a pipe would wait for its writer, and a device has no end.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(failed(std::io::Error::other("it is not a file")));
        }
        let map = map_file(path).map_err(failed)?;
        let read = Layout::read(&map).map(|(layout, _)| layout);
        let layout = read.map_err(|source| match other_kind(&map) {
            Some(fault) => BuildError::Feed { path: path.to_owned(), fault },
            None => BuildError::Source { path: path.to_owned(), source },
        })?;
        Ok(Self { path: path.to_owned(), map, layout, parts: Parts::ALL })
    }

    /// The same source, limited to some parts.
    #[must_use]
    pub fn only(self, parts: Parts) -> Self {
        Self { parts, ..self }
    }

    pub(super) fn parts(&self) -> Parts {
        self.parts
    }

    /// The path it was opened with.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of nodes of its tree.
    pub(super) fn nodes(&self) -> u32 {
        self.layout.node_count
    }

    /// The value at an offset of the data section.
    pub(super) fn value(&self, data: usize) -> Result<Value<'_>, BuildError> {
        self.layout
            .data(&self.map)
            .value(data)
            .map(|(value, _)| value)
            .map_err(|source| BuildError::Source { path: self.path.clone(), source })
    }

    /// The start of a walk through the whole IPv6 space.
    pub(super) fn start(&self) -> Cursor {
        if self.layout.ip_version == 4 { Cursor::Above(IPV4_DEPTH) } else { Cursor::Node(0) }
    }

    /// The cursor after one more bit; `depth` bits were taken before.
    #[inline]
    pub(super) fn step(&self, cursor: Cursor, bit: u8, depth: u8, in_ipv4: bool) -> Cursor {
        match cursor {
            Cursor::Empty | Cursor::Leaf { .. } => cursor,
            Cursor::Above(_) if bit == 1 => Cursor::Empty,
            Cursor::Above(1) => Cursor::Node(0),
            Cursor::Above(left) => Cursor::Above(left - 1),
            Cursor::Node(node) => {
                let record = self.layout.record(&self.map, node, bit);
                match self.layout.step(record) {
                    Step::Empty => Cursor::Empty,
                    Step::Data(data) => Cursor::Leaf { data, length: depth + 1 },
                    // In some trees 2002::/16 and other prefixes lead to the IPv4 nodes again. Following
                    // them would copy all of IPv4 for each.
                    Step::Node(node) if node == self.layout.ipv4_start && node != 0 && !in_ipv4 => {
                        Cursor::Empty
                    }
                    Step::Node(node) => Cursor::Node(node),
                }
            }
        }
    }

    /// The distinct data offsets of the tree's leaves, sorted.
    pub(super) fn leaves(&self) -> Vec<usize> {
        let mut offsets: Vec<usize> = (0..self.layout.node_count)
            .flat_map(|node| [0, 1].map(|bit| self.layout.step(self.layout.record(&self.map, node, bit))))
            .filter_map(|step| if let Step::Data(offset) = step { Some(offset) } else { None })
            .collect();
        offsets.sort_unstable();
        offsets.dedup();
        offsets
    }
}

/// A binary tree from prefixes to numbers, built in memory.
#[derive(Debug, Default)]
pub(super) struct PrefixTrie {
    nodes: Vec<[TrieLink; 2]>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum TrieLink {
    #[default]
    Empty,
    Node(u32),
    /// A node without an empty link below it.
    Full(u32),
    Leaf(u32),
}

impl PrefixTrie {
    /// Gives the addresses of a prefix, which is not empty, the number `data`, except those that have one already: insert
    /// the most trusted or longest prefixes first.
    pub(super) fn insert(&mut self, bits: u128, length: u8, data: u32) {
        if self.nodes.is_empty() {
            self.nodes.push([TrieLink::Empty; 2]);
        }
        let mut node = 0_usize;
        for depth in 0..length {
            let bit = usize::from(bits >> (127 - depth) & 1 == 1);
            let link = self.nodes[node][bit];
            if depth + 1 == length {
                self.fill(node, bit, data);
                return;
            }
            node = match link {
                TrieLink::Node(next) => next as usize,
                TrieLink::Full(_) | TrieLink::Leaf(_) => return,
                TrieLink::Empty => {
                    self.nodes.push([TrieLink::Empty; 2]);
                    let next = self.nodes.len() - 1;
                    self.nodes[node][bit] = TrieLink::Node(u32::try_from(next).unwrap_or(u32::MAX));
                    next
                }
            };
        }
    }

    /// Fills every empty link at and below a link. Each node is filled once, however many prefixes contain it.
    fn fill(&mut self, node: usize, bit: usize, data: u32) {
        match self.nodes[node][bit] {
            TrieLink::Empty => self.nodes[node][bit] = TrieLink::Leaf(data),
            TrieLink::Full(_) | TrieLink::Leaf(_) => {}
            TrieLink::Node(below) => {
                self.fill(below as usize, 0, data);
                self.fill(below as usize, 1, data);
                self.nodes[node][bit] = TrieLink::Full(below);
            }
        }
    }

    pub(super) fn start(&self) -> Cursor {
        if self.nodes.is_empty() { Cursor::Empty } else { Cursor::Node(0) }
    }

    pub(super) fn step(&self, cursor: Cursor, bit: u8, depth: u8) -> Cursor {
        let Cursor::Node(node) = cursor else { return cursor };
        match self.nodes[node as usize][usize::from(bit)] {
            TrieLink::Empty => Cursor::Empty,
            TrieLink::Node(next) | TrieLink::Full(next) => Cursor::Node(next),
            TrieLink::Leaf(data) => Cursor::Leaf { data: data as usize, length: depth + 1 },
        }
    }

    /// Number of nodes.
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }
}
