//! Choosing a node's links among candidates: near ones, but in different directions.
//!
//! A candidate that is nearer to a chosen neighbour than to the node itself can be reached through that neighbour and is
//! passed over (relative neighbourhood rule). Candidates passed over fill what room is left, nearest first.
//!
//! Copies of a node get no more than a quarter of its links. Otherwise a vector that is there a thousand times would
//! link its copies among each other and nothing else, and a walk that came among them would not get out.

use kernel::Neighbor;

use crate::scorer::Scorer;

/// Copies get one link in this many.
const COPIES_PER_LINKS: usize = 4;
/// Chosen neighbours that a candidate is compared with at once.
const GROUP: usize = 8;

/// The node whose links are chosen.
pub(super) struct Selection<'a> {
    /// The vectors, seen from the node.
    pub(super) scorer: &'a Scorer<'a>,
    /// The vector of each node of the layer, where they are numbered otherwise.
    pub(super) slots: Option<&'a [u32]>,
    /// Links at most.
    pub(super) limit: usize,
}

impl Selection<'_> {
    /// Chooses from candidates in ascending order, none of which is the node itself; in ascending order.
    pub(super) fn choose(&self, candidates: &[Neighbor], own_distance: f32) -> Vec<Neighbor> {
        let mut chosen: Vec<Neighbor> = Vec::with_capacity(self.limit);
        let mut chosen_slots: Vec<u32> = Vec::with_capacity(self.limit);
        let mut passed_over: Vec<Neighbor> = Vec::new();
        let mut copies_left = self.limit.div_ceil(COPIES_PER_LINKS);
        for &candidate in candidates {
            if chosen.len() == self.limit {
                break;
            }
            let copy = candidate.distance() <= own_distance;
            let taken = if copy { copies_left > 0 } else { !self.covered(candidate, &chosen_slots) };
            if !taken {
                passed_over.push(candidate);
                continue;
            }
            if copy {
                copies_left -= 1;
            } else {
                // Copies cover nothing: whatever is near to the node is as near to them.
                chosen_slots.push(self.slot(candidate.id()));
            }
            chosen.push(candidate);
        }
        let room = self.limit - chosen.len();
        chosen.extend(passed_over.into_iter().take(room));
        chosen.sort_unstable();
        chosen
    }

    fn covered(&self, candidate: Neighbor, chosen_slots: &[u32]) -> bool {
        let from_candidate = self.scorer.seen_from(self.slot(candidate.id()));
        let mut distances = [0.0; GROUP];
        chosen_slots.chunks(GROUP).any(|group| {
            let distances = &mut distances[..group.len()];
            from_candidate.score(group, distances);
            distances.iter().any(|&distance| distance < candidate.distance())
        })
    }

    fn slot(&self, node: u32) -> u32 {
        self.slots.map_or(node, |slots| slots[node as usize])
    }
}
