//! Memory that a search needs and the next one can have again.
//!
//! One [`Scratch`] per searching thread: after a few searches it has grown to what they need, and a search allocates
//! nothing more. It holds nothing that a later search may see.

use kernel::{HeapBeam, Neighbor, SortedBeam, TopK};

/// The working memory of one search at a time. Not shared, cheap to make, better kept.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) walk: WalkMemory,
    pub(crate) sorted: SortedBeam,
    pub(crate) heap: HeapBeam,
    pub(crate) top: TopK,
    pub(crate) tops: Vec<TopK>,
    pub(crate) found: Vec<Neighbor>,
    pub(crate) sparse: crate::sparse::Memory,
}

/// What a walk through a graph needs beside its candidate list.
#[derive(Debug, Default)]
pub(crate) struct WalkMemory {
    pub(crate) visited: Visited,
    pub(crate) step: Step,
    /// Where a walk begins.
    pub(crate) entries: Vec<u32>,
    /// Candidates of an upper layer.
    pub(crate) narrow: SortedBeam,
}

/// Ids whose distances are computed together.
#[derive(Debug, Default)]
pub(crate) struct Step {
    pub(crate) ids: Vec<u32>,
    pub(crate) distances: Vec<f32>,
    /// The vectors of `ids`, where those are numbered otherwise.
    pub(crate) slots: Vec<u32>,
}

impl Step {
    fn capacity_bytes(&self) -> usize {
        (self.ids.capacity() + self.slots.capacity()) * size_of::<u32>() + self.distances.capacity() * size_of::<f32>()
    }
}

impl Scratch {
    /// Empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        let tops: usize = self.tops.iter().map(TopK::capacity_bytes).sum();
        self.walk.visited.stamps.capacity() * size_of::<u16>()
            + self.sorted.capacity_bytes()
            + self.heap.capacity_bytes()
            + self.top.capacity_bytes()
            + tops
            + self.walk.step.capacity_bytes()
            + self.walk.entries.capacity() * size_of::<u32>()
            + self.walk.narrow.capacity_bytes()
            + self.found.capacity() * size_of::<Neighbor>()
            + self.sparse.capacity_bytes()
    }
}

/// A set of node ids that empties in O(1): a node is in it where its stamp is the current epoch.
#[derive(Debug, Default)]
pub(crate) struct Visited {
    stamps: Vec<u16>,
    epoch: u16,
}

impl Visited {
    /// Empties the set, and makes room for ids below `nodes`.
    pub(crate) fn reset(&mut self, nodes: usize) {
        if self.stamps.len() < nodes {
            self.stamps.resize(nodes, 0);
        }
        if self.epoch == u16::MAX {
            self.stamps.fill(0);
            self.epoch = 0;
        }
        self.epoch += 1;
    }

    /// Adds an id that lies below `nodes`; whether it was new.
    #[inline(always)]
    pub(crate) fn insert(&mut self, id: u32) -> bool {
        let stamp = &mut self.stamps[id as usize];
        let new = *stamp != self.epoch;
        *stamp = self.epoch;
        new
    }

    /// Whether an id that lies below `nodes` is in the set.
    #[inline(always)]
    pub(crate) fn contains(&self, id: u32) -> bool {
        self.stamps[id as usize] == self.epoch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_wrap_without_leaking_old_marks() {
        let mut visited = Visited::default();
        for round in 0..u32::from(u16::MAX) + 10 {
            visited.reset(3);
            assert!(!visited.contains(1), "round {round}");
            assert!(visited.insert(1) && !visited.insert(1) && visited.contains(1));
        }
        visited.reset(10);
        assert!((0..10).all(|id| !visited.contains(id)));
    }
}
