//! Candidate lists of a best-first graph walk: which node to expand next, and when to stop.
//!
//! A beam holds the `capacity` nearest *kept* nodes. Nodes that may be walked through but not returned (a filter rejects
//! them) are offered with `kept = false`. Two implementations of one behaviour: [`SortedBeam`] is an array in order, the
//! fastest up to a few hundred entries but unable to tell kept from walked; [`HeapBeam`] is two heaps, for everything else.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::neighbor::Neighbor;

/// Up to this capacity moving entries inside an array is cheaper than two heaps.
pub const SORTED_BEAM_MAX: usize = 512;

/// What a graph walk asks of its candidate list.
pub trait Beam {
    /// Whether a node at this place can still change the outcome: the beam is not full, or the node is nearer than its
    /// farthest kept one.
    fn admits(&self, neighbor: Neighbor) -> bool;

    /// Takes a node if it is admitted. Each id may be offered once.
    fn offer(&mut self, neighbor: Neighbor, kept: bool);

    /// The nearest node that was not yet expanded, marked as expanded; `None` when no such node can improve the result.
    fn next(&mut self) -> Option<Neighbor>;

    /// The node that `next` would most likely return, for a prefetch.
    fn peek(&self) -> Option<u32>;

    /// How many are kept.
    fn len(&self) -> usize;

    /// Whether none is kept.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the kept nodes in order.
    fn drain_into(&mut self, out: &mut Vec<Neighbor>);
}

/// A beam as one sorted array. Every offered node counts as kept; ids lie below 2³¹.
#[derive(Debug, Default)]
pub struct SortedBeam {
    /// (distance key, id, expanded) from the highest bits to the lowest.
    entries: Vec<u64>,
    capacity: usize,
    /// No entry before this one is unexpanded.
    cursor: usize,
}

const EXPANDED: u64 = 1;

fn to_entry(neighbor: Neighbor) -> u64 {
    let bits = neighbor.bits();
    debug_assert!(neighbor.id() < 1 << 31, "id does not leave room for the mark");
    (bits & !0xffff_ffff) | (bits & 0x7fff_ffff) << 1
}

fn from_entry(entry: u64) -> Neighbor {
    Neighbor::from_bits((entry & !0xffff_ffff) | (entry & 0xffff_ffff) >> 1)
}

impl SortedBeam {
    /// Empties it for a walk that keeps `capacity` ≥ 1 nodes.
    pub fn reset(&mut self, capacity: usize) {
        assert!(capacity > 0, "a beam keeps at least one node");
        self.entries.clear();
        self.entries.reserve(capacity);
        self.capacity = capacity;
        self.cursor = 0;
    }

    /// Takes the kept nodes out, in order.
    pub fn drain(&mut self) -> impl Iterator<Item = Neighbor> {
        self.entries.drain(..).map(from_entry)
    }

    /// Bytes held.
    pub fn capacity_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<u64>()
    }
}

impl Beam for SortedBeam {
    #[inline(always)]
    fn admits(&self, neighbor: Neighbor) -> bool {
        self.entries.len() < self.capacity || self.entries.last().is_some_and(|&last| to_entry(neighbor) < last)
    }

    #[inline]
    fn offer(&mut self, neighbor: Neighbor, kept: bool) {
        debug_assert!(kept, "a sorted beam keeps every node");
        if !self.admits(neighbor) {
            return;
        }
        if self.entries.len() == self.capacity {
            self.entries.pop();
        }
        let entry = to_entry(neighbor);
        let position = self.entries.partition_point(|&other| other < entry);
        self.entries.insert(position, entry);
        self.cursor = self.cursor.min(position);
    }

    #[inline]
    fn next(&mut self) -> Option<Neighbor> {
        while let Some(entry) = self.entries.get_mut(self.cursor) {
            self.cursor += 1;
            if *entry & EXPANDED == 0 {
                *entry |= EXPANDED;
                return Some(from_entry(*entry));
            }
        }
        None
    }

    #[inline]
    fn peek(&self) -> Option<u32> {
        let entry = self.entries.get(self.cursor)?;
        (entry & EXPANDED == 0).then(|| from_entry(*entry).id())
    }

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn drain_into(&mut self, out: &mut Vec<Neighbor>) {
        out.extend(self.drain());
    }
}

/// A beam as two heaps: the nodes to expand, and the kept ones.
#[derive(Debug, Default)]
pub struct HeapBeam {
    frontier: BinaryHeap<Reverse<Neighbor>>,
    kept: BinaryHeap<Neighbor>,
    capacity: usize,
}

impl HeapBeam {
    /// Empties it for a walk that keeps `capacity` ≥ 1 nodes. The frontier grows to the number of offered nodes at most.
    pub fn reset(&mut self, capacity: usize) {
        assert!(capacity > 0, "a beam keeps at least one node");
        self.frontier.clear();
        self.kept.clear();
        self.capacity = capacity;
    }

    /// Bytes held.
    pub fn capacity_bytes(&self) -> usize {
        (self.frontier.capacity() + self.kept.capacity()) * size_of::<Neighbor>()
    }
}

impl Beam for HeapBeam {
    #[inline(always)]
    fn admits(&self, neighbor: Neighbor) -> bool {
        self.kept.len() < self.capacity || self.kept.peek().is_some_and(|farthest| neighbor < *farthest)
    }

    #[inline]
    fn offer(&mut self, neighbor: Neighbor, kept: bool) {
        if !self.admits(neighbor) {
            return;
        }
        self.frontier.push(Reverse(neighbor));
        if !kept {
            return;
        }
        if self.kept.len() < self.capacity {
            self.kept.push(neighbor);
        } else if let Some(mut farthest) = self.kept.peek_mut() {
            *farthest = neighbor;
        }
    }

    #[inline]
    fn next(&mut self) -> Option<Neighbor> {
        let Reverse(nearest) = self.frontier.pop()?;
        let useful = self.kept.len() < self.capacity || self.kept.peek().is_some_and(|farthest| nearest <= *farthest);
        useful.then_some(nearest)
    }

    #[inline]
    fn peek(&self) -> Option<u32> {
        self.frontier.peek().map(|Reverse(nearest)| nearest.id())
    }

    fn len(&self) -> usize {
        self.kept.len()
    }

    fn drain_into(&mut self, out: &mut Vec<Neighbor>) {
        let start = out.len();
        out.extend(self.kept.drain());
        out[start..].sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A made-up graph walk: every expansion offers a few nodes at pseudo-random distances.
    fn walk(beam: &mut impl Beam, seed: u64, offers: usize) -> (Vec<Neighbor>, Vec<Neighbor>) {
        let mut state = seed;
        let mut draw = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as u32
        };
        let mut id = 0;
        beam.offer(Neighbor::new(1e9, id), true);
        let mut expanded = Vec::new();
        while let Some(node) = beam.next() {
            expanded.push(node);
            for _ in 0..draw() % 6 {
                if (id as usize) < offers {
                    id += 1;
                    beam.offer(Neighbor::new((draw() % 64) as f32, id), true);
                }
            }
        }
        let mut kept = Vec::new();
        beam.drain_into(&mut kept);
        (expanded, kept)
    }

    #[test]
    fn both_layouts_walk_alike() {
        let (mut sorted, mut heap) = (SortedBeam::default(), HeapBeam::default());
        for seed in 0..200 {
            for capacity in [1, 2, 7, 40, 300] {
                sorted.reset(capacity);
                heap.reset(capacity);
                assert_eq!(walk(&mut sorted, seed, 500), walk(&mut heap, seed, 500), "seed {seed}, capacity {capacity}");
            }
        }
    }

    #[test]
    fn walked_nodes_lead_on_but_are_not_kept() {
        let mut beam = HeapBeam::default();
        beam.reset(1);
        beam.offer(Neighbor::new(5.0, 1), false);
        beam.offer(Neighbor::new(9.0, 2), true);
        beam.offer(Neighbor::new(7.0, 3), false);
        assert_eq!(beam.next().map(Neighbor::id), Some(1));
        assert_eq!(beam.next().map(Neighbor::id), Some(3));
        assert_eq!(beam.next().map(Neighbor::id), Some(2));
        beam.offer(Neighbor::new(10.0, 4), false);
        assert_eq!(beam.next(), None);
        let mut kept = Vec::new();
        beam.drain_into(&mut kept);
        assert_eq!(kept, [Neighbor::new(9.0, 2)]);
    }
}
