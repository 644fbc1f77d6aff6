//! The networks of a compiled database as a numbered list, without storing the list: the networks below each node are
//! counted once (the tree shares equal parts), so a walk from the root finds the n-th. Used to draw networks at random.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use memmap2::Mmap;

use super::error::BuildError;
use crate::map::map_file;
use crate::raw::{Layout, Step};

/// The prefix of the AS numbers' records: no addresses, so not counted.
const NUMBERS: (u128, u8) = (0x0100_u128 << 112, 64);
/// The count of a node that is not counted yet.
const UNKNOWN: u64 = u64::MAX;

/// Number of nodes in a block of counts.
const BLOCK: usize = 4_096;

/// Counts by node, in blocks allocated on first write: a sparse file may declare hundreds of millions of unreachable nodes
/// without taking disk space.
#[derive(Default)]
struct Counts {
    blocks: Vec<Option<Box<[u64]>>>,
    nodes: u32,
}

impl Counts {
    fn new(nodes: u32) -> Self {
        Self { blocks: vec![None; (nodes as usize).div_ceil(BLOCK)], nodes }
    }

    /// The count of a node, which may be [`UNKNOWN`]; `None` if there is no such node.
    fn get(&self, node: u32) -> Option<u64> {
        let block = self.blocks.get(node as usize / BLOCK).filter(|_| node < self.nodes)?;
        Some(block.as_ref().map_or(UNKNOWN, |block| block[node as usize % BLOCK]))
    }

    fn set(&mut self, node: u32, count: u64) {
        if let Some(block) = self.blocks.get_mut(node as usize / BLOCK) {
            let block = block.get_or_insert_with(|| vec![UNKNOWN; BLOCK].into());
            block[node as usize % BLOCK] = count;
        }
    }
}

/// The networks of a compiled database, numbered from 0.
pub struct Networks {
    map: Mmap,
    layout: Layout,
    counts: Counts,
}

impl Networks {
    /// Maps a database and counts its networks.
    pub fn open(path: &Path) -> Result<Self, BuildError> {
        let failed = |source| BuildError::Open { path: path.to_owned(), source };
        let map = map_file(path).map_err(failed)?;
        let layout = match Layout::read(&map) {
            Ok((layout, _)) => layout,
            Err(source) => return Err(BuildError::Source { path: path.to_owned(), source }),
        };
        let mut networks = Self { map, layout, counts: Counts::default() };
        networks.count();
        Ok(networks)
    }

    fn step(&self, node: u32, bit: u8) -> Step {
        self.layout.step(self.layout.record(&self.map, node, bit))
    }

    /// The node of a prefix, if the tree is that deep there.
    fn node_of(&self, bits: u128, length: u8) -> Option<u32> {
        let mut node = 0;
        for depth in 0..length {
            match self.step(node, u8::from(bits >> (127 - depth) & 1 == 1)) {
                Step::Node(next) => node = next,
                Step::Empty | Step::Data(_) => return None,
            }
        }
        Some(node)
    }

    /// Counts the networks below every node that IPv6 or IPv4 addresses lead to.
    fn count(&mut self) {
        self.counts = Counts::new(self.layout.node_count);
        let roots = [self.layout.ipv4_start, 0];
        let numbers = (self.layout.ip_version == 6).then(|| self.node_of(NUMBERS.0, NUMBERS.1)).flatten();
        if let Some(node) = numbers {
            self.counts.set(node, 0);
        }
        self.count_below(roots[0]);
        if self.layout.ip_version == 6 {
            // IPv4 networks are counted separately: their root counts as zero while IPv6 is counted.
            let ipv4 = self.total(roots[0]);
            self.counts.set(roots[0], 0);
            self.count_below(roots[1]);
            self.counts.set(roots[0], ipv4);
        }
    }

    fn count_below(&mut self, root: u32) {
        let mut stack = vec![root];
        while let Some(&node) = stack.last() {
            let mut sum = 0_u64;
            let mut waits = false;
            for bit in [0, 1] {
                match self.step(node, bit) {
                    Step::Empty => {}
                    Step::Data(_) => sum += 1,
                    Step::Node(next) => match self.counts.get(next) {
                        // A damaged tree may lead back to a node above: never go deeper than an address has bits.
                        Some(UNKNOWN) if stack.len() <= 128 => {
                            stack.push(next);
                            waits = true;
                            break;
                        }
                        Some(UNKNOWN) | None => {}
                        Some(count) => sum = sum.saturating_add(count),
                    },
                }
            }
            if !waits {
                self.counts.set(node, sum.min(UNKNOWN - 1));
                stack.pop();
            }
        }
    }

    fn total(&self, root: u32) -> u64 {
        self.counts.get(root).filter(|count| *count != UNKNOWN).unwrap_or(0)
    }

    /// The number of IPv6 networks (without IPv4) or of IPv4 networks.
    pub fn len(&self, ipv6: bool) -> u64 {
        match (ipv6, self.layout.ip_version) {
            (true, 4) => 0,
            (true, _) => self.total(0),
            (false, _) => self.total(self.layout.ipv4_start),
        }
    }

    /// An address in the network of this number; `random` fills the bits after its prefix.
    pub fn address(&self, ipv6: bool, mut number: u64, random: u128) -> Option<IpAddr> {
        let length = if ipv6 { 128_u8 } else { 32 };
        let mut node = if ipv6 { 0 } else { self.layout.ipv4_start };
        let mut bits = 0_u128;
        for depth in 0..length {
            let mut taken = None;
            for bit in [0, 1] {
                let step = self.step(node, bit);
                let count = match step {
                    Step::Empty => 0,
                    Step::Data(_) => 1,
                    Step::Node(next) if ipv6 && next == self.layout.ipv4_start => 0,
                    Step::Node(next) => self.total(next),
                };
                if number < count {
                    taken = Some((bit, step));
                    break;
                }
                number -= count;
            }
            let (bit, step) = taken?;
            bits |= u128::from(bit) << (length - 1 - depth);
            match step {
                Step::Node(next) => node = next,
                Step::Empty => return None,
                Step::Data(_) => {
                    let free = u32::from(length - 1 - depth);
                    let mask = if free == 0 { 0 } else { u128::MAX >> (128 - free) };
                    return Some(address_from(bits | (random & mask), ipv6));
                }
            }
        }
        None
    }
}

fn address_from(bits: u128, ipv6: bool) -> IpAddr {
    match u32::try_from(bits) {
        Ok(v4) if !ipv6 => Ipv4Addr::from_bits(v4).into(),
        _ => Ipv6Addr::from_bits(bits).into(),
    }
}
