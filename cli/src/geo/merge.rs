//! Merging: all sources' trees walked at once, bit by bit, until all of them have said their word.

use std::path::Path;

use rustc_hash::FxHashMap;

use super::build::Progress;
use super::error::BuildError;
use super::extract::{Network, Place, Said, Shape};
use super::facts::Facts;
use super::record::Records;
use super::source::{Cursor, Source, Trie};
use super::tree::{Code, Nodes, Tree};

/// One tree to merge.
pub(super) enum Input<'a> {
    /// A source database.
    File(&'a Source, Shape),
    /// A small tree made here, and what its numbers stand for.
    Made(&'a Trie, &'a [Said]),
}

/// Steps between two words to whoever shows the progress.
const STEPS_A_WORD: u64 = 1 << 16;

impl Input<'_> {
    fn start(&self) -> Cursor {
        match self {
            Self::File(source, _) => source.start(),
            Self::Made(trie, _) => trie.start(),
        }
    }

    #[inline]
    fn step(&self, cursor: Cursor, bit: u8, depth: u8, in_ipv4: bool) -> Cursor {
        match self {
            Self::File(source, _) => source.step(cursor, bit, depth, in_ipv4),
            Self::Made(trie, _) => trie.step(cursor, bit, depth),
        }
    }

    fn said(&self, data: usize, facts: &Facts) -> Result<Said, BuildError> {
        let said = match self {
            Self::File(source, shape) => shape.read(&source.value(data)?, facts),
            Self::Made(_, said) => said.get(data).cloned().unwrap_or_default(),
        };
        Ok(said.cleaned(facts))
    }

    /// Maximum number of positions that a walk of its tree may visit: each node once, and the bits above IPv4. Twice that
    /// number leaves room for unusual valid trees; a tree with shared or circular nodes exceeds it.
    fn visits_max(&self) -> u64 {
        match self {
            Self::File(source, _) => 2 * (u64::from(source.nodes()) + 96),
            Self::Made(..) => u64::MAX,
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::File(source, _) => source.path(),
            Self::Made(..) => Path::new("(made here)"),
        }
    }

    /// Whether its records name networks, so that the prefix itself is worth knowing.
    fn names_networks(&self) -> bool {
        match self {
            Self::File(_, shape) => matches!(shape, Shape::Asn | Shape::IpInfo),
            Self::Made(..) => true,
        }
    }
}

/// A walk over all inputs.
pub(super) struct Merger<'a> {
    inputs: &'a [Input<'a>],
    /// The cursors of every depth, one behind the other.
    cursors: Vec<Cursor>,
    /// Remaining visits for each input's tree.
    visits_left: Vec<u64>,
    tree: Tree,
    records: Records,
    /// Leaves met: which data of which input, and for networks the prefix.
    known: FxHashMap<Box<[u128]>, Code>,
    key: Vec<u128>,
    steps: u64,
    progress: &'a dyn Progress,
}

impl<'a> Merger<'a> {
    pub(super) fn new(inputs: &'a [Input<'a>], progress: &'a dyn Progress) -> Self {
        let mut cursors = vec![Cursor::Empty; inputs.len() * 129];
        for (cursor, input) in cursors.iter_mut().zip(inputs) {
            *cursor = input.start();
        }
        Self {
            inputs,
            cursors,
            visits_left: inputs.iter().map(Input::visits_max).collect(),
            tree: Tree::default(),
            records: Records::new(),
            known: FxHashMap::default(),
            key: Vec::new(),
            steps: 0,
            progress,
        }
    }

    /// Walks everything; the nodes and which of them is the root, and the records that the leaves stand for.
    pub(super) fn run(mut self) -> Result<(Nodes, Records), BuildError> {
        let mut root = self.walk(0, 0)?;
        let numbers: Vec<(u32, Code)> =
            self.records.numbers().into_iter().map(|(number, record)| (number, Code::leaf(record))).collect();
        if !numbers.is_empty() {
            let graft = self.tree.numbers(&numbers);
            let prefix = ipgeo_runtime::geo::format::number_address(0).to_bits();
            root = self.tree.graft(root, prefix, 96, graft);
        }
        self.progress.done(self.steps % STEPS_A_WORD);
        Ok((self.tree.finish(root)?, self.records))
    }

    fn walk(&mut self, depth: u8, path: u128) -> Result<Code, BuildError> {
        let (count, here) = (self.inputs.len(), usize::from(depth) * self.inputs.len());
        let settled = |cursor: &Cursor| matches!(cursor, Cursor::Empty | Cursor::Leaf { .. });
        if depth == 128 || self.cursors[here..here + count].iter().all(settled) {
            return self.leaf(here, path);
        }
        for (index, left) in self.visits_left.iter_mut().enumerate() {
            if !settled(&self.cursors[here + index]) {
                let path = || self.inputs[index].path().to_owned();
                *left = left.checked_sub(1).ok_or_else(|| BuildError::Tangled { path: path() })?;
            }
        }
        self.steps += 1;
        if self.steps.is_multiple_of(STEPS_A_WORD) {
            self.progress.done(STEPS_A_WORD);
        }
        let mut halves = [Code::EMPTY; 2];
        for bit in [0, 1_u8] {
            let below = path | (u128::from(bit) << (127 - depth));
            let in_ipv4 = depth == 95 && below == 0;
            for (index, input) in self.inputs.iter().enumerate() {
                let cursor = self.cursors[here + index];
                self.cursors[here + count + index] = input.step(cursor, bit, depth, in_ipv4);
            }
            halves[usize::from(bit)] = self.walk(depth + 1, below)?;
        }
        Ok(self.tree.branch(halves[0], halves[1]))
    }

    fn leaf(&mut self, here: usize, path: u128) -> Result<Code, BuildError> {
        let cursors = &self.cursors[here..here + self.inputs.len()];
        self.key.clear();
        for (input, cursor) in self.inputs.iter().zip(cursors) {
            match cursor {
                Cursor::Leaf { data, length } => {
                    self.key.push(*data as u128 + 1);
                    if input.names_networks() {
                        self.key.push(prefix(path, *length));
                        self.key.push(u128::from(*length));
                    }
                }
                _ => self.key.push(0),
            }
        }
        if let Some(code) = self.known.get(self.key.as_slice()) {
            return Ok(*code);
        }
        let (mut place, mut network): (Option<Place>, Option<(Network, String)>) = (None, None);
        for (input, cursor) in self.inputs.iter().zip(cursors) {
            let Cursor::Leaf { data, length } = cursor else { continue };
            let said = input.said(*data, self.records.facts())?;
            match (&mut place, said.place) {
                (Some(place), Some(other)) => place.fill(other),
                (None, other) => place = other,
                (Some(_), None) => {}
            }
            if network.is_none() {
                network = said.network.map(|network| (network, route(path, *length)));
            }
        }
        let code = self.records.index(place, network).map_or(Code::EMPTY, Code::leaf);
        self.known.insert(self.key.as_slice().into(), code);
        Ok(code)
    }
}

fn prefix(path: u128, length: u8) -> u128 {
    if length == 0 { 0 } else { path & (u128::MAX << (128 - u32::from(length))) }
}

/// A prefix as text; below `::/96` as the IPv4 prefix that it is.
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
    fn routes_are_written_as_people_write_them() {
        assert_eq!(route(0x0808_0808, 120), "8.8.8.0/24");
        assert_eq!(route(0x2001_4860 << 96, 32), "2001:4860::/32");
        assert_eq!(route(0, 0), "::/0");
    }
}
