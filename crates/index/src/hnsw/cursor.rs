//! A graph search that stands still: iterators, grouping, and range search on top of it.
//!
//! Each call walks on until the `ef` nearest of what was not yet handed out are nearer than everything in sight, then hands
//! out the nearest. When the graph leads nowhere any more, the rows that it did not reach are scanned, so that all come.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use kernel::Neighbor;
use types::Result;
use types::bitset::Bitset;

use super::search::Hnsw;
use crate::flat::ResumedScan;
use crate::opened;
use crate::scorer::Scorer;
use crate::scratch::{Scratch, Step, WalkMemory};
use crate::search::{Cursor, Hit, SearchOptions, SearchStats, Strategy};
use crate::vectors::{OwnedVectors, Vectors};

/// Expansions between two looks at the cancel flag.
const CANCEL_EVERY: u64 = 64;

pub(super) struct GraphCursor {
    index: Arc<Hnsw>,
    query: OwnedVectors,
    resumed: Resumed,
}

impl GraphCursor {
    pub(super) fn new(index: Arc<Hnsw>, query: Vectors<'_>, ef: usize) -> Self {
        Self { index, query: query.to_owned(), resumed: Resumed::new(ef) }
    }
}

impl Cursor for GraphCursor {
    fn advance(&mut self, options: &SearchOptions<'_>, scratch: &mut Scratch, hits: &mut Vec<Hit>) -> Result<SearchStats> {
        let query = self.query.borrowed();
        self.index.opened.check(query, options)?;
        self.resumed.advance(&self.index, query, options, scratch, hits)
    }

    fn memory_bytes(&self) -> usize {
        self.query.memory_bytes() + self.resumed.memory_bytes()
    }
}

/// The state between two calls.
pub(super) struct Resumed {
    ef: usize,
    state: State,
}

enum State {
    Start,
    Scan(ResumedScan),
    Walk(Walking),
}

/// What one call sees.
#[derive(Clone, Copy)]
struct View<'a> {
    index: &'a Hnsw,
    scorer: &'a Scorer<'a>,
    options: &'a SearchOptions<'a>,
}

struct Walking {
    visited: Bitset,
    /// Nodes to expand.
    frontier: BinaryHeap<Reverse<Neighbor>>,
    /// Matching rows seen and not handed out.
    pending: BinaryHeap<Reverse<Neighbor>>,
    /// The rows that the graph did not lead to have been scanned.
    exhausted: bool,
}

impl Resumed {
    pub(super) fn new(ef: usize) -> Self {
        Self { ef, state: State::Start }
    }

    pub(super) fn advance(
        &mut self,
        index: &Hnsw,
        query: Vectors<'_>,
        options: &SearchOptions<'_>,
        scratch: &mut Scratch,
        hits: &mut Vec<Hit>,
    ) -> Result<SearchStats> {
        let scorer = index.opened.scorer(query, options.rows);
        let view = View { index, scorer: &scorer, options };
        let memory = &mut scratch.walk;
        let mut stats = SearchStats::default();
        if matches!(self.state, State::Start) {
            let case = index.case(&SearchOptions { k: options.k.max(self.ef), ..*options });
            self.state = match case.strategy() {
                Strategy::Scan => State::Scan(ResumedScan::default()),
                _ => State::Walk(Walking::start(view, memory, &mut stats)),
            };
        }
        match &mut self.state {
            State::Start => Ok(stats),
            State::Scan(scan) => scan.advance(&index.opened.scan(options), &scorer, options.k, hits),
            State::Walk(walking) => {
                stats.strategy = Strategy::GraphInline;
                walking.advance(view, self.ef.max(options.k), &mut memory.step, &mut stats)?;
                let rows = index.opened.rows(options);
                for Reverse(neighbor) in std::iter::from_fn(|| walking.pending.pop()).take(options.k) {
                    opened::append(&[neighbor], rows, hits);
                }
                Ok(stats)
            }
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match &self.state {
            State::Start => 0,
            State::Scan(scan) => scan.memory_bytes(),
            State::Walk(walking) => {
                size_of_val(walking.visited.words()) + (walking.frontier.capacity() + walking.pending.capacity()) * size_of::<Neighbor>()
            }
        }
    }
}

impl Walking {
    fn start(view: View<'_>, memory: &mut WalkMemory, stats: &mut SearchStats) -> Self {
        view.index.enter(view.scorer, memory, stats);
        let WalkMemory { step, entries, .. } = memory;
        let mut walking = Self {
            visited: Bitset::zeros(view.index.graph.nodes()),
            frontier: BinaryHeap::new(),
            pending: BinaryHeap::new(),
            exhausted: false,
        };
        step.ids.clear();
        for &entry in entries.iter() {
            walking.visited.set(entry as usize, true);
            step.ids.push(entry);
        }
        let mut window = BinaryHeap::new();
        walking.see(view, step, &mut window, usize::MAX);
        walking.pending.extend(window.into_iter().map(Reverse));
        walking
    }

    /// Walks until `ef` pending rows are nearer than the whole frontier.
    fn advance(&mut self, view: View<'_>, ef: usize, step: &mut Step, stats: &mut SearchStats) -> Result<()> {
        let layer = view.index.graph.lowest();
        // The `ef` nearest pending rows, the farthest on top.
        let mut window: BinaryHeap<Neighbor> = std::iter::from_fn(|| self.pending.pop()).take(ef).map(|Reverse(n)| n).collect();
        while let Some(&Reverse(nearest)) = self.frontier.peek() {
            if window.len() >= ef && window.peek().is_some_and(|farthest| nearest > *farthest) {
                break;
            }
            self.frontier.pop();
            step.ids.clear();
            for id in layer.neighbors(nearest.id()) {
                if !self.visited.get(id as usize) {
                    self.visited.set(id as usize, true);
                    step.ids.push(id);
                }
            }
            stats.distances += step.ids.len() as u64;
            stats.hops += 1;
            self.see(view, step, &mut window, ef);
            if stats.hops.is_multiple_of(CANCEL_EVERY) {
                view.options.check_cancelled()?;
            }
        }
        let short = window.len() < ef;
        self.pending.extend(window.into_iter().map(Reverse));
        if short && !self.exhausted {
            self.exhausted = true;
            let Self { visited, pending, .. } = self;
            stats.distances += view.index.opened.scan(view.options).run(view.scorer, |slots, distances| {
                let unseen = slots.iter().zip(distances).filter(|(slot, _)| !visited.get(**slot as usize));
                pending.extend(unseen.map(|(&slot, &distance)| Reverse(Neighbor::new(distance, slot))));
            })?;
        }
        Ok(())
    }

    /// Puts the nodes of `step` on the frontier and the matching ones into `window`, which spills into `pending`.
    fn see(&mut self, view: View<'_>, step: &mut Step, window: &mut BinaryHeap<Neighbor>, ef: usize) {
        let rows = view.index.opened.rows(view.options);
        step.distances.resize(step.ids.len(), 0.0);
        view.scorer.score(&step.ids, &mut step.distances);
        for (&id, &distance) in step.ids.iter().zip(&step.distances) {
            let neighbor = Neighbor::new(distance, id);
            self.frontier.push(Reverse(neighbor));
            if rows.allows(id) {
                window.push(neighbor);
                if window.len() > ef
                    && let Some(spilled) = window.pop()
                {
                    self.pending.push(Reverse(spilled));
                }
            }
        }
    }
}
