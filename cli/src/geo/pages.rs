//! Laying the search tree out in pages, so that a walk reads few of them: a fresh environment pays for each.
//!
//! Whatever lies in one page with all that is below it is a *twig*: a walk that has come to one stays in its
//! page. What is above all twigs is the *trunk*: a hundredth of the nodes, at the start of the file, in pages
//! that each hold the heaviest nodes below their first. The tree shares equal parts; a twig that shares a part with
//! a twig of another page gets a copy of it, because following it there would be one page more.
//!
//! In a page the order is the same again in small: runs of as many nodes as a cache line holds.

use std::collections::{BinaryHeap, VecDeque};
use std::ops::Range;

use rustc_hash::{FxHashMap, FxHashSet};

use super::tree::{Code, Meaning};

/// Bytes of a page of memory and of the page cache.
pub(super) const PAGE_BYTES: usize = 4_096;
/// Bytes that our reader takes at a node, whatever the node's own size.
const READ_BYTES: usize = 8;
/// Nodes of a twig at most. Larger twigs make a smaller trunk, and leave larger gaps at the ends of pages.
const TWIG_NODES_MAX: usize = 200;
/// Pages that are filled at the same time; a bit each in [`Packer::held`].
const OPEN_MAX: usize = 16;
/// Nodes that a cache line of 64 bytes holds.
const LINE_NODES: usize = 9;

/// The nodes below `root` in the order of a file whose nodes take `node_bytes`, the root first. A node must come
/// after those that it leads to.
pub(super) fn lay_out(nodes: &[[Code; 2]], root: u32, node_bytes: usize) -> Vec<[Code; 2]> {
    let tree = Below::new(nodes);
    let mut packer = Packer::new(nodes.len(), node_bytes);
    if !tree.is_twig(root) {
        packer.pack_trunk(&tree, root);
        packer.close_all();
    }
    let (trunk_pages, mut places) = (packer.closed.len(), std::mem::take(&mut packer.places));
    for twig in tree.twigs(root) {
        packer.add_twig(&tree, twig);
    }
    packer.close_all();
    places.extend(packer.places.drain());

    let mut out = Vec::new();
    let mut here = vec![0_u32; nodes.len()];
    packer.closed.sort_unstable_by_key(|page| page.number);
    for page in &packer.closed {
        let slots = slots(page.number, node_bytes);
        // What is between the pages' nodes are nodes that nothing leads to.
        out.resize(slots.start as usize, [Code::EMPTY; 2]);
        for (node, slot) in page.nodes.iter().zip(slots) {
            here[*node as usize] = slot;
        }
        let in_trunk = (page.number as usize) < trunk_pages;
        let moved = |code: Code| match code.meaning() {
            Meaning::Node(node) if in_trunk => places.get(&node).map_or(Code::EMPTY, |at| Code::node(*at)),
            Meaning::Node(node) => Code::node(here[node as usize]),
            Meaning::Empty | Meaning::Leaf(_) => code,
        };
        out.extend(page.nodes.iter().map(|node| nodes[*node as usize].map(moved)));
    }
    out
}

/// The nodes of a page: those of which a read stays in it.
fn slots(page: u32, node_bytes: usize) -> Range<u32> {
    let start = page as usize * PAGE_BYTES;
    let last = (start + PAGE_BYTES - READ_BYTES) / node_bytes;
    let slot = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    slot(start.div_ceil(node_bytes))..slot(last + 1)
}

/// A tree, and how much is below each of its nodes.
struct Below<'a> {
    nodes: &'a [[Code; 2]],
    /// Nodes below and with a node, a shared one as often as it is met: about how many networks there are.
    weight: Vec<u32>,
    /// Whether few enough are distinct.
    twig: Vec<bool>,
}

impl<'a> Below<'a> {
    fn new(nodes: &'a [[Code; 2]]) -> Self {
        let mut below =
            Self { nodes, weight: Vec::with_capacity(nodes.len()), twig: Vec::with_capacity(nodes.len()) };
        for id in 0..u32::try_from(nodes.len()).unwrap_or(u32::MAX) {
            let sum = below.halves(id).fold(1_u32, |sum, half| sum.saturating_add(below.weight(half)));
            below.weight.push(sum);
            let twig = sum as usize <= TWIG_NODES_MAX
                || (below.halves(id).all(|half| below.is_twig(half))
                    && below.members(id).len() <= TWIG_NODES_MAX);
            below.twig.push(twig);
        }
        below
    }

    fn halves(&self, node: u32) -> impl Iterator<Item = u32> + use<> {
        self.nodes[node as usize].into_iter().filter_map(|half| match half.meaning() {
            Meaning::Node(below) => Some(below),
            Meaning::Empty | Meaning::Leaf(_) => None,
        })
    }

    fn weight(&self, node: u32) -> u32 {
        self.weight[node as usize]
    }

    fn is_twig(&self, node: u32) -> bool {
        self.twig[node as usize]
    }

    /// A node and the distinct ones below it; a few more than a twig may have, and no more.
    fn members(&self, node: u32) -> Vec<u32> {
        let (mut members, mut known) = (vec![node], FxHashSet::from_iter([node]));
        let mut next = 0;
        while next < members.len() && members.len() <= TWIG_NODES_MAX {
            members.extend(self.halves(members[next]).filter(|half| known.insert(*half)));
            next += 1;
        }
        members
    }

    /// The largest twigs, each once, in the order of addresses.
    fn twigs(&self, root: u32) -> Vec<u32> {
        let (mut twigs, mut known, mut waiting) = (Vec::new(), FxHashSet::default(), vec![root]);
        while let Some(node) = waiting.pop() {
            if !known.insert(node) {
                continue;
            }
            if self.is_twig(node) {
                twigs.push(node);
            } else {
                let halves: Vec<u32> = self.halves(node).collect();
                waiting.extend(halves.into_iter().rev());
            }
        }
        twigs
    }

    /// Takes nodes from `root` downwards, the heaviest of all that may come next first, until `take` has
    /// taken `count`; what could have come next, the lightest first.
    fn heaviest(&self, root: u32, count: usize, mut take: impl FnMut(u32) -> bool) -> Vec<u32> {
        let mut waiting = BinaryHeap::from([(self.weight(root), root)]);
        let mut left = count;
        while left > 0 {
            let Some((_, node)) = waiting.pop() else { break };
            if take(node) {
                left -= 1;
                waiting.extend(self.halves(node).map(|half| (self.weight(half), half)));
            }
        }
        waiting.into_sorted_vec().into_iter().map(|(_, node)| node).collect()
    }

    /// Gives all nodes that `take` takes from `root` downwards, in runs that lie in a cache line each.
    fn in_lines(&self, root: u32, mut take: impl FnMut(u32) -> bool) {
        let mut roots = vec![root];
        while let Some(root) = roots.pop() {
            roots.extend(self.heaviest(root, LINE_NODES, &mut take));
        }
    }
}

/// A page that is being filled, or full.
struct Page {
    number: u32,
    nodes: Vec<u32>,
}

/// Fills pages.
struct Packer {
    node_bytes: usize,
    /// Pages begun so far.
    begun: u32,
    open: [Option<Page>; OPEN_MAX],
    closed: Vec<Page>,
    /// In which of the open pages a node is, a bit for each.
    held: Vec<u16>,
    /// Where nodes lie that other pages lead to.
    places: FxHashMap<u32, u32>,
}

impl Packer {
    fn new(nodes: usize, node_bytes: usize) -> Self {
        Self {
            node_bytes,
            begun: 0,
            open: std::array::from_fn(|_| None),
            closed: Vec::new(),
            held: vec![0; nodes],
            places: FxHashMap::default(),
        }
    }

    fn room(&self, page: &Page) -> usize {
        slots(page.number, self.node_bytes).len() - page.nodes.len()
    }

    /// The open page that needs to take the fewest of `nodes` and has room for them, or a new one.
    fn page_for(&mut self, nodes: &[u32]) -> usize {
        let mut there = [0_usize; OPEN_MAX];
        for node in nodes {
            let mut held = self.held[*node as usize];
            while held != 0 {
                there[held.trailing_zeros() as usize] += 1;
                held &= held - 1;
            }
        }
        let fitting = self.open.iter().enumerate().filter_map(|(index, page)| {
            let (new, room) = (nodes.len() - there[index], self.room(page.as_ref()?));
            (new <= room).then_some((new, room, index))
        });
        fitting.min().map_or_else(|| self.begin(), |(_, _, index)| index)
    }

    /// Begins a page, in the place of the fullest when no other is free.
    fn begin(&mut self) -> usize {
        let index = self.open.iter().position(Option::is_none).unwrap_or_else(|| {
            let rooms = self.open.iter().map(|page| page.as_ref().map_or(0, |page| self.room(page)));
            let fullest = rooms.enumerate().min_by_key(|(_, room)| *room).map_or(0, |(index, _)| index);
            self.close(fullest);
            fullest
        });
        self.open[index] = Some(Page { number: self.begun, nodes: Vec::new() });
        self.begun += 1;
        index
    }

    fn close(&mut self, index: usize) {
        let Some(page) = self.open[index].take() else { return };
        for node in &page.nodes {
            self.held[*node as usize] &= !(1 << index);
        }
        self.closed.push(page);
    }

    fn close_all(&mut self) {
        for index in 0..OPEN_MAX {
            self.close(index);
        }
    }

    /// Puts into an open page what `wanted` wants of the nodes from `root` downwards and is not there yet.
    fn fill(&mut self, index: usize, tree: &Below<'_>, root: u32, wanted: impl Fn(u32) -> bool) {
        let Some(page) = &mut self.open[index] else { return };
        let held = &mut self.held;
        tree.in_lines(root, |node| {
            let held = &mut held[node as usize];
            if *held & (1 << index) != 0 || !wanted(node) {
                return false;
            }
            *held |= 1 << index;
            page.nodes.push(node);
            true
        });
    }

    /// Says where the nodes of an open page lie that came after its first `from`.
    fn note_places(&mut self, index: usize, from: usize, noted: impl Fn(u32) -> bool) {
        let Some(page) = &self.open[index] else { return };
        let slots = slots(page.number, self.node_bytes);
        let new = page.nodes.iter().zip(slots).skip(from).filter(|(node, _)| noted(**node));
        self.places.extend(new.map(|(node, slot)| (*node, slot)));
    }

    fn filled(&self, index: usize) -> usize {
        self.open[index].as_ref().map_or(0, |page| page.nodes.len())
    }

    fn add_twig(&mut self, tree: &Below<'_>, twig: u32) {
        let index = self.page_for(&tree.members(twig));
        self.fill(index, tree, twig, |_| true);
        let Some(page) = &self.open[index] else { return };
        if let Some(at) = page.nodes.iter().position(|node| *node == twig) {
            let slot = slots(page.number, self.node_bytes).start as usize + at;
            self.places.insert(twig, u32::try_from(slot).unwrap_or(u32::MAX));
        }
    }

    /// Packs what is above the twigs: a page takes the heaviest nodes below its first; what comes after
    /// them begins pages of its own, several in one where they are small.
    fn pack_trunk(&mut self, tree: &Below<'_>, root: u32) {
        let mut waiting = VecDeque::from([root]);
        while let Some(root) = waiting.pop_front() {
            let page_nodes = slots(self.begun, self.node_bytes).len();
            let mut taken = FxHashSet::default();
            let rest = tree.heaviest(root, page_nodes, |node| {
                !tree.is_twig(node) && !self.places.contains_key(&node) && taken.insert(node)
            });
            if taken.is_empty() {
                continue;
            }
            let index = if taken.len() == page_nodes {
                self.begin()
            } else {
                let nodes: Vec<u32> = taken.iter().copied().collect();
                self.page_for(&nodes)
            };
            let from = self.filled(index);
            self.fill(index, tree, root, |node| taken.contains(&node));
            self.note_places(index, from, |_| true);
            waiting.extend(rest.into_iter().rev().filter(|node| !tree.is_twig(*node)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tree::Tree;
    use super::*;

    /// A tree of random shape with `depth` levels at most, of whose leaves many are alike.
    fn grown(tree: &mut Tree, random: &mut fastrand::Rng, depth: u32) -> Code {
        if depth == 0 || random.u32(0..12) == 0 {
            return if random.u8(0..6) == 0 { Code::EMPTY } else { Code::leaf(random.u32(0..400)) };
        }
        let (left, right) = (grown(tree, random, depth - 1), grown(tree, random, depth - 1));
        tree.branch(left, right)
    }

    /// Where a walk by random bits ends, and the nodes that it passes.
    fn walk(nodes: &[[Code; 2]], root: u32, bits: u64) -> (Code, Vec<u32>) {
        let (mut code, mut passed) = (Code::node(root), Vec::new());
        while let Meaning::Node(node) = code.meaning() {
            let bit = usize::from(bits >> passed.len() & 1 == 1);
            passed.push(node);
            code = nodes[node as usize][bit];
        }
        (code, passed)
    }

    #[test]
    fn a_walk_ends_where_it_did_and_reads_few_pages() {
        // (levels, nodes at least, pages of a walk at most, bytes of a node)
        let table =
            [(3, 1, 1, 7), (12, 200, 2, 7), (20, 20_000, 3, 7), (20, 20_000, 3, 8), (24, 150_000, 4, 7)];
        for (levels, nodes_min, pages_max, node_bytes) in table {
            let mut random = fastrand::Rng::with_seed(u64::from(levels));
            let mut tree = Tree::default();
            let root = loop {
                let code = grown(&mut tree, &mut random, levels);
                if matches!(code.meaning(), Meaning::Node(_)) {
                    break code;
                }
            };
            let made = tree.finish(root).expect("a tree");
            assert!(made.nodes.len() >= nodes_min, "{} nodes", made.nodes.len());
            let laid = lay_out(&made.nodes, made.root, node_bytes);
            assert!(laid.len() < made.nodes.len() * 2 + 600, "{} nodes", laid.len());
            for _ in 0..5_000 {
                let bits = random.u64(..);
                let (end, _) = walk(&made.nodes, made.root, bits);
                let (laid_end, passed) = walk(&laid, 0, bits);
                assert_eq!(end, laid_end);
                let page = |at: usize| at / PAGE_BYTES;
                let reads = passed.iter().map(|node| *node as usize * node_bytes);
                let pages: BTreeSet<usize> =
                    reads.flat_map(|at| [page(at), page(at + READ_BYTES - 1)]).collect();
                assert!(pages.len() <= pages_max, "{levels} levels: {pages:?}");
            }
        }
    }

    #[test]
    fn pages_have_no_slot_that_a_read_would_leave_them_from() {
        for node_bytes in [7, 8] {
            let mut before = 0;
            for page in 0..5_000 {
                let slots = slots(page, node_bytes);
                assert!(slots.start >= before && slots.start - before <= 1);
                let (first, last) =
                    (slots.start as usize * node_bytes, (slots.end as usize - 1) * node_bytes);
                assert_eq!([first / PAGE_BYTES, (last + READ_BYTES - 1) / PAGE_BYTES], [page as usize; 2]);
                before = slots.end;
            }
        }
    }
}
