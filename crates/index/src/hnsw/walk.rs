//! Best-first walks over one layer.

use std::sync::atomic::AtomicBool;

use kernel::{Beam, Neighbor, prefetch};
use types::Result;

use super::graph::Layer;
use crate::scorer::Scorer;
use crate::scratch::{Step, Visited, WalkMemory};
use crate::search::check_cancelled;

/// Expansions between two looks at the cancel flag.
const CANCEL_EVERY: u64 = 64;
/// Nodes by which a walk goes from one layer down to the next. In clustered data the single nearest node often lies in the
/// wrong cluster, and the layers below lead from cluster to cluster less and less.
pub(super) const ENTRIES: usize = 8;
/// A two-hop expansion that finds fewer matches than this also walks on through rejected neighbours.
const MATCHES_MIN: usize = 4;
/// So many of them.
const BRIDGES_MAX: usize = 8;

/// A layer and a query.
pub(super) struct Walk<'a> {
    pub(super) layer: Layer<'a>,
    pub(super) scorer: &'a Scorer<'a>,
    pub(super) cancelled: Option<&'a AtomicBool>,
    /// Where the walk gives up.
    pub(super) budget: Budget,
}

/// What a walk may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Budget {
    pub(super) distances: u64,
    pub(super) hops: u64,
}

impl Budget {
    pub(super) const UNLIMITED: Self = Self { distances: u64::MAX, hops: u64::MAX };
}

/// How a walk went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Walked {
    pub(super) distances: u64,
    pub(super) hops: u64,
    /// It ended because nothing nearer was in sight, not for want of budget.
    pub(super) complete: bool,
}

impl Walk<'_> {
    /// Walks from `memory.entries` and leaves the nearest nodes that it finds there instead; returns the distances.
    pub(super) fn descend(&self, memory: &mut WalkMemory) -> u64 {
        let mut beam = std::mem::take(&mut memory.narrow);
        beam.reset(ENTRIES);
        memory.visited.reset(self.layer.nodes);
        let walked = self.run(&mut beam, memory, |_| true).unwrap_or_default();
        memory.entries.clear();
        memory.entries.extend(beam.drain().map(Neighbor::id));
        memory.narrow = beam;
        walked.distances
    }

    /// Walks from `memory.entries` until the beam is satisfied. Nodes that `keeps` rejects are walked through.
    pub(super) fn run<B: Beam>(&self, beam: &mut B, memory: &mut WalkMemory, keeps: impl Fn(u32) -> bool) -> Result<Walked> {
        self.traverse(beam, memory, &keeps, |node, _, visited, ids| {
            for id in self.layer.neighbors(node) {
                if visited.insert(id) {
                    ids.push(id);
                }
            }
        })
    }

    /// Walks from `memory.entries` from match to match: a neighbour that `keeps` rejects stands for its own matching neighbours
    /// and its distance is not computed. Until `wanted` matches are kept, rejected neighbours are walked through as well where
    /// matches are rare.
    pub(super) fn run_two_hop<B: Beam>(
        &self,
        wanted: usize,
        beam: &mut B,
        memory: &mut WalkMemory,
        keeps: impl Fn(u32) -> bool,
    ) -> Result<Walked> {
        self.traverse(beam, memory, &keeps, |node, kept, visited, ids| {
            self.two_hops(node, kept < wanted, visited, ids, &keeps);
        })
    }

    fn two_hops(&self, node: u32, bridging: bool, visited: &mut Visited, ids: &mut Vec<u32>, keeps: &impl Fn(u32) -> bool) {
        let enough = self.layer.stride / 2;
        // Those already visited count as well: what matters is how many there are to go on with.
        let mut matches = 0;
        let mut take = |of: u32, visited: &mut Visited, matches: &mut usize| {
            for id in self.layer.neighbors(of).filter(|&id| keeps(id)) {
                *matches += 1;
                if visited.insert(id) {
                    ids.push(id);
                }
            }
        };
        take(node, visited, &mut matches);
        let mut bridges = [0u32; BRIDGES_MAX];
        let mut bridged = 0;
        for rejected in self.layer.neighbors(node) {
            if matches >= enough {
                break;
            }
            if keeps(rejected) || visited.contains(rejected) {
                continue;
            }
            take(rejected, visited, &mut matches);
            // All of its matches are now in the walk: nothing more can come of it, unless it becomes a bridge.
            visited.insert(rejected);
            if bridged < BRIDGES_MAX {
                bridges[bridged] = rejected;
                bridged += 1;
            }
        }
        if bridging && matches < MATCHES_MIN {
            ids.extend_from_slice(&bridges[..bridged]);
        }
    }

    fn traverse<B: Beam>(
        &self,
        beam: &mut B,
        WalkMemory { visited, step, entries, .. }: &mut WalkMemory,
        keeps: &impl Fn(u32) -> bool,
        expand: impl Fn(u32, usize, &mut Visited, &mut Vec<u32>),
    ) -> Result<Walked> {
        let mut walked = Walked { distances: entries.len() as u64, hops: 0, complete: true };
        self.score(step, |ids| ids.extend(entries.iter().copied().filter(|&entry| visited.insert(entry))));
        for (&id, &distance) in step.ids.iter().zip(&step.distances) {
            beam.offer(Neighbor::new(distance, id), keeps(id));
        }
        while let Some(node) = beam.next() {
            if let Some(ahead) = beam.peek() {
                prefetch(self.layer.record(ahead));
            }
            let kept = beam.len();
            self.score(step, |ids| expand(node.id(), kept, visited, ids));
            walked.distances += step.ids.len() as u64;
            walked.hops += 1;
            for (&id, &distance) in step.ids.iter().zip(&step.distances) {
                let neighbor = Neighbor::new(distance, id);
                if beam.admits(neighbor) {
                    beam.offer(neighbor, keeps(id));
                }
            }
            if walked.distances > self.budget.distances || walked.hops > self.budget.hops {
                walked.complete = false;
                break;
            }
            if walked.hops.is_multiple_of(CANCEL_EVERY) {
                check_cancelled(self.cancelled)?;
            }
        }
        Ok(walked)
    }

    /// Lets `gather` choose nodes and leaves them in `step` with their distances.
    #[inline(always)]
    fn score(&self, step: &mut Step, gather: impl FnOnce(&mut Vec<u32>)) {
        step.ids.clear();
        gather(&mut step.ids);
        step.distances.resize(step.ids.len(), 0.0);
        match self.layer.slots {
            None => self.scorer.score(&step.ids, &mut step.distances),
            Some(slots) => {
                step.slots.clear();
                step.slots.extend(step.ids.iter().map(|&id| slots[id as usize]));
                self.scorer.score(&step.slots, &mut step.distances);
            }
        }
    }
}
