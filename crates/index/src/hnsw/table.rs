//! A layer under construction: link records with spare room, so that a full record is thinned out once in a while and
//! not at every new link.

use kernel::Neighbor;

use super::graph::{Layer, UNUSED};
use super::select::Selection;
use crate::scorer::Scorer;

/// Spare links beyond the limit, as a part of it.
const SPARE_OF_LIMIT: usize = 4;
const SPARE_MIN: usize = 8;

/// Links of one layer.
pub(super) struct Table {
    links: Vec<u32>,
    degrees: Vec<u32>,
    limit: usize,
    stride: usize,
}

/// A new link: from `target`, which is there already, to a node that was just inserted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reverse {
    pub(super) target: u32,
    pub(super) source: Neighbor,
}

impl Table {
    /// `nodes` records without a link.
    pub(super) fn new(nodes: usize, limit: usize) -> Self {
        let stride = stride(limit);
        Self { links: vec![UNUSED; nodes * stride], degrees: vec![0; nodes], limit, stride }
    }

    /// The layer as walks see it.
    pub(super) fn layer<'a>(&'a self, slots: Option<&'a [u32]>) -> Layer<'a> {
        Layer { links: &self.links, stride: self.stride, nodes: self.degrees.len(), slots }
    }

    pub(super) fn degree(&self, node: u32) -> usize {
        self.degrees[node as usize] as usize
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn links(&self, node: u32) -> &[u32] {
        let start = node as usize * self.stride;
        &self.links[start..start + self.degree(node)]
    }

    /// Replaces a record.
    pub(super) fn set(&mut self, node: u32, links: impl Iterator<Item = u32>) {
        let start = node as usize * self.stride;
        let record = &mut self.links[start..start + self.stride];
        record.fill(UNUSED);
        let mut degree = 0;
        for (place, link) in record.iter_mut().zip(links) {
            *place = link;
            degree += 1;
        }
        self.degrees[node as usize] = degree;
    }

    /// Adds links to a record that has room.
    pub(super) fn append(&mut self, node: u32, links: impl Iterator<Item = u32>) {
        for link in links {
            let degree = self.degree(node);
            assert!(degree < self.stride, "a record without room is thinned out first");
            self.links[node as usize * self.stride + degree] = link;
            self.degrees[node as usize] += 1;
        }
    }

    /// The record of the target of `added`, thinned out, if they do not fit into it as it is. All have one target.
    pub(super) fn thinned(&self, added: &[Reverse], slots: Option<&[u32]>, column: &Scorer<'_>) -> Option<Vec<u32>> {
        let target = added.first()?.target;
        if self.degree(target) + added.len() <= self.stride {
            return None;
        }
        Some(self.choose(target, added.iter().map(|reverse| reverse.source), slots, column))
    }

    /// The record of a node that has more links than the limit, thinned out.
    pub(super) fn trimmed(&self, node: u32, slots: Option<&[u32]>, column: &Scorer<'_>) -> Option<Vec<u32>> {
        (self.degree(node) > self.limit).then(|| self.choose(node, std::iter::empty(), slots, column))
    }

    fn choose(&self, node: u32, added: impl Iterator<Item = Neighbor>, slots: Option<&[u32]>, column: &Scorer<'_>) -> Vec<u32> {
        let slot_of = |node: u32| slots.map_or(node, |slots| slots[node as usize]);
        let scorer = column.seen_from(slot_of(node));
        let links = self.links(node);
        let link_slots: Vec<u32> = links.iter().map(|&link| slot_of(link)).collect();
        let mut distances = vec![0.0; links.len()];
        scorer.score(&link_slots, &mut distances);
        let present = links.iter().zip(distances).map(|(&link, distance)| Neighbor::new(distance, link));
        let mut candidates: Vec<Neighbor> = present.chain(added).collect();
        candidates.sort_unstable();
        let selection = Selection { scorer: &scorer, slots, limit: self.limit };
        selection.choose(&candidates, scorer.own_distance()).into_iter().map(Neighbor::id).collect()
    }
}

/// Links per record under construction.
pub(super) fn stride(limit: usize) -> usize {
    limit + (limit / SPARE_OF_LIMIT).max(SPARE_MIN)
}
