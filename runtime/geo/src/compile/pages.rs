//! Orders the nodes of the search tree in pages of 4 KiB, so that a lookup reads few of them: a new Lambda environment
//! waits for each page to come from the disk. In the order of their construction a lookup read 18 pages.
//!
//! ```text
//!   page 0        ┌─────── root ───────┐          trunk: a hundredth of the nodes, at the start of the file;
//!                 │   heaviest nodes   │          each page holds the heaviest nodes below its first one
//!                 └─┬────┬─────────┬───┘
//!   page 1      ┌───┴────────┐ ┌───┴────────┐
//!               │ next trunk │ │ next trunk │     a trunk part smaller than a page shares one with others
//!               └─┬────────┬─┘ └─────────┬──┘
//!   page n      ┌─┴─┐ ┌────┴┐ ┌─────┐ ┌──┴──┐     twigs: subtrees of at most 200 nodes, each in one page,   
//!               └───┘ └─────┘ └─────┘ └─────┘     many to a page
//! ```
//!
//! So a walk reads the few trunk pages on its way (those near the root are in memory soon, as every walk reads them) and, once it
//! has entered a twig, exactly one page more.
//!
//! The tree shares equal parts. In the trunk a shared node stays shared. But two twigs in different pages that share a part
//! each get a copy of it, since following a pointer into the other page would cost the page that this order saves. To
//! keep the copies few, a twig goes to the one of several open pages that already holds most of its nodes.
//!
//! Within a page the same idea repeats on a smaller scale: nodes are in runs that fit in a cache line.

use std::collections::{BinaryHeap, VecDeque};
use std::ops::Range;

use rustc_hash::{FxHashMap, FxHashSet};

use super::tree::{Target, TargetKind};
use crate::trace::PAGE_BYTES;

/// Bytes that our reader loads at a node, whatever the node's size.
const READ_BYTES: usize = 8;
/// Maximum number of nodes of a twig. Larger twigs make the trunk smaller, but leave larger gaps at the ends of pages.
const TWIG_NODES_MAX: usize = 200;
/// Number of pages that are filled at the same time; one bit for each in [`PagePacker::held`].
const OPEN_MAX: usize = 64;
/// Number of nodes that fit in a cache line of 64 bytes.
const LINE_NODES: usize = 9;

/// Returns the nodes below `root` in the order of a file whose nodes take `node_bytes`, the root first. In `nodes` each
/// node must come after those it leads to.
pub(super) fn lay_out(nodes: &[[Target; 2]], root: u32, node_bytes: usize) -> Vec<[Target; 2]> {
    let tree = WeightedTree::new(nodes);
    let mut packer = PagePacker::new(nodes.len(), node_bytes);
    if !tree.is_twig(root) {
        packer.pack_trunk(&tree, root);
        packer.close_all();
    }
    // The trunk takes the first pages. Its pointers lead to the slots noted while packing, its own and the twigs'.
    let (trunk_pages, mut slot_of) = (packer.closed.len(), std::mem::take(&mut packer.slot_of));
    for twig in tree.twigs(root) {
        packer.add_twig(&tree, twig);
    }
    packer.close_all();
    slot_of.extend(packer.slot_of.drain());

    let mut out = Vec::new();
    // Pointers inside a twig lead to the copy in the same page: the slots of a page's nodes overwrite those of the page before.
    let mut slot_in_page = vec![0_u32; nodes.len()];
    packer.closed.sort_unstable_by_key(|page| page.number);
    for page in &packer.closed {
        let slots = slots(page.number, node_bytes);
        // Slots between two pages are filled with nodes that nothing leads to.
        out.resize(slots.start as usize, [Target::EMPTY; 2]);
        for (node, slot) in page.nodes.iter().zip(slots) {
            slot_in_page[*node as usize] = slot;
        }
        let in_trunk = (page.number as usize) < trunk_pages;
        let moved = |half: Target| match half.kind() {
            TargetKind::Node(node) if in_trunk => {
                slot_of.get(&node).map_or(Target::EMPTY, |at| Target::node(*at))
            }
            TargetKind::Node(node) => Target::node(slot_in_page[node as usize]),
            TargetKind::Empty | TargetKind::Leaf(_) => half,
        };
        out.extend(page.nodes.iter().map(|node| nodes[*node as usize].map(moved)));
    }
    out
}

/// The numbers of the nodes that a page may hold: those of which all bytes that the reader loads lie in the page. Nodes
/// of 7 bytes do not divide a page, so a node across its end is left unused.
fn slots(page: u32, node_bytes: usize) -> Range<u32> {
    let start = page as usize * PAGE_BYTES;
    let last = (start + PAGE_BYTES - READ_BYTES) / node_bytes;
    let slot = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    slot(start.div_ceil(node_bytes))..slot(last + 1)
}

/// A tree, with the weight of each node.
struct WeightedTree<'a> {
    nodes: &'a [[Target; 2]],
    /// Number of nodes at and below a node, a shared one counted as often as it is reached: a measure of how many networks
    /// are below, and so of how often a walk passes here.
    weight: Vec<u32>,
    /// Whether a node with everything below it is small enough for a twig: at most [`TWIG_NODES_MAX`] distinct nodes.
    twig: Vec<bool>,
}

impl<'a> WeightedTree<'a> {
    fn new(nodes: &'a [[Target; 2]]) -> Self {
        let mut below =
            Self { nodes, weight: Vec::with_capacity(nodes.len()), twig: Vec::with_capacity(nodes.len()) };
        for id in 0..u32::try_from(nodes.len()).unwrap_or(u32::MAX) {
            let sum = below.halves(id).fold(1_u32, |sum, half| sum.saturating_add(below.weight(half)));
            below.weight.push(sum);
            // The distinct nodes are at most `sum`, so they are counted only where that is too large and both halves are twigs.
            let twig = sum as usize <= TWIG_NODES_MAX
                || (below.halves(id).all(|half| below.is_twig(half))
                    && below.members(id).len() <= TWIG_NODES_MAX);
            below.twig.push(twig);
        }
        below
    }

    fn halves(&self, node: u32) -> impl Iterator<Item = u32> + use<> {
        self.nodes[node as usize].into_iter().filter_map(|half| match half.kind() {
            TargetKind::Node(below) => Some(below),
            TargetKind::Empty | TargetKind::Leaf(_) => None,
        })
    }

    fn weight(&self, node: u32) -> u32 {
        self.weight[node as usize]
    }

    fn is_twig(&self, node: u32) -> bool {
        self.twig[node as usize]
    }

    /// A node and the distinct ones below it. Stops once there are more than a twig may have.
    fn members(&self, node: u32) -> Vec<u32> {
        let (mut members, mut known) = (vec![node], FxHashSet::from_iter([node]));
        let mut next = 0;
        while next < members.len() && members.len() <= TWIG_NODES_MAX {
            members.extend(self.halves(members[next]).filter(|half| known.insert(*half)));
            next += 1;
        }
        members
    }

    /// The largest twigs, each once, in the order of addresses. Neighbours have similar records, so they share parts.
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

    /// Offers nodes to `take` from `root` downwards, always the heaviest candidate next, until it has accepted `count`. The
    /// halves of an accepted node become candidates. Returns the remaining candidates, the lightest first.
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

    /// Offers all nodes below `root` to `take`, in runs of a cache line each; does not go below a node it refuses.
    fn in_lines(&self, root: u32, mut take: impl FnMut(u32) -> bool) {
        let mut roots = vec![root];
        while let Some(root) = roots.pop() {
            roots.extend(self.heaviest(root, LINE_NODES, &mut take));
        }
    }
}

/// A page with the nodes it holds, in order.
struct Page {
    number: u32,
    nodes: Vec<u32>,
}

/// Distributes nodes over pages, of which several are open at a time.
struct PagePacker {
    node_bytes: usize,
    /// Number of pages begun so far.
    begun: u32,
    open: [Option<Page>; OPEN_MAX],
    closed: Vec<Page>,
    /// For each node, one bit for each open page that holds it.
    held: Vec<u64>,
    /// The slots of nodes that other pages point to: all trunk nodes, and the roots of twigs.
    slot_of: FxHashMap<u32, u32>,
}

impl PagePacker {
    fn new(nodes: usize, node_bytes: usize) -> Self {
        Self {
            node_bytes,
            begun: 0,
            open: std::array::from_fn(|_| None),
            closed: Vec::new(),
            held: vec![0; nodes],
            slot_of: FxHashMap::default(),
        }
    }

    fn room(&self, page: &Page) -> usize {
        slots(page.number, self.node_bytes).len() - page.nodes.len()
    }

    /// The open page that lacks the fewest of `nodes` and has room for those, or a new page.
    fn page_for(&mut self, nodes: &[u32]) -> usize {
        let mut present = [0_usize; OPEN_MAX];
        for node in nodes {
            let mut held = self.held[*node as usize];
            while held != 0 {
                present[held.trailing_zeros() as usize] += 1;
                held &= held - 1;
            }
        }
        let fitting = self.open.iter().enumerate().filter_map(|(index, page)| {
            let (new, room) = (nodes.len() - present[index], self.room(page.as_ref()?));
            (new <= room).then_some((new, room, index))
        });
        fitting.min().map_or_else(|| self.begin(), |(_, _, index)| index)
    }

    /// Begins a page. If all are open, closes the fullest one first.
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

    /// Adds to an open page the nodes below `root` that are `wanted` and not in it yet.
    fn fill(&mut self, index: usize, tree: &WeightedTree<'_>, root: u32, wanted: impl Fn(u32) -> bool) {
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

    /// Notes the slots of an open page's nodes, from the `from`th on.
    fn note_slots(&mut self, index: usize, from: usize) {
        let Some(page) = &self.open[index] else { return };
        let slots = slots(page.number, self.node_bytes);
        let new = page.nodes.iter().zip(slots).skip(from);
        self.slot_of.extend(new.map(|(node, slot)| (*node, slot)));
    }

    fn filled(&self, index: usize) -> usize {
        self.open[index].as_ref().map_or(0, |page| page.nodes.len())
    }

    fn add_twig(&mut self, tree: &WeightedTree<'_>, twig: u32) {
        let index = self.page_for(&tree.members(twig));
        self.fill(index, tree, twig, |_| true);
        let Some(page) = &self.open[index] else { return };
        if let Some(at) = page.nodes.iter().position(|node| *node == twig) {
            let slot = slots(page.number, self.node_bytes).start as usize + at;
            self.slot_of.insert(twig, u32::try_from(slot).unwrap_or(u32::MAX));
        }
    }

    /// Packs the nodes above the twigs. A page takes the heaviest nodes below its first one; each remaining candidate
    /// begins the next part. A part that does not fill a page shares it with other small parts.
    fn pack_trunk(&mut self, tree: &WeightedTree<'_>, root: u32) {
        let mut waiting = VecDeque::from([root]);
        while let Some(root) = waiting.pop_front() {
            let page_nodes = slots(self.begun, self.node_bytes).len();
            let mut taken = FxHashSet::default();
            let rest = tree.heaviest(root, page_nodes, |node| {
                !tree.is_twig(node) && !self.slot_of.contains_key(&node) && taken.insert(node)
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
            self.note_slots(index, from);
            waiting.extend(rest.into_iter().rev().filter(|node| !tree.is_twig(*node)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tree::TreeBuilder;
    use super::*;

    /// A tree of random shape with at most `depth` levels, in which many leaves are equal.
    fn grown(tree: &mut TreeBuilder, random: &mut fastrand::Rng, depth: u32) -> Target {
        if depth == 0 || random.u32(0..12) == 0 {
            return if random.u8(0..6) == 0 { Target::EMPTY } else { Target::leaf(random.u32(0..400)) };
        }
        let (left, right) = (grown(tree, random, depth - 1), grown(tree, random, depth - 1));
        tree.branch(left, right)
    }

    /// The end of a walk by the bits of `bits`, and the nodes it passes.
    fn walk(nodes: &[[Target; 2]], root: u32, bits: u64) -> (Target, Vec<u32>) {
        let (mut target, mut passed) = (Target::node(root), Vec::new());
        while let TargetKind::Node(node) = target.kind() {
            let bit = usize::from(bits >> passed.len() & 1 == 1);
            passed.push(node);
            target = nodes[node as usize][bit];
        }
        (target, passed)
    }

    #[test]
    fn a_walk_ends_where_it_did_and_reads_few_pages() {
        // (levels, nodes at least, pages of a walk at most, bytes of a node)
        let table =
            [(3, 1, 1, 7), (12, 200, 2, 7), (20, 20_000, 3, 7), (20, 20_000, 3, 8), (24, 150_000, 4, 7)];
        for (levels, nodes_min, pages_max, node_bytes) in table {
            let mut random = fastrand::Rng::with_seed(u64::from(levels));
            let mut tree = TreeBuilder::default();
            let root = loop {
                let target = grown(&mut tree, &mut random, levels);
                if matches!(target.kind(), TargetKind::Node(_)) {
                    break target;
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
    fn no_slot_of_a_page_is_read_across_its_end() {
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
