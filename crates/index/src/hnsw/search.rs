//! Answering from an opened graph.

use std::sync::Arc;

use kernel::{Beam, Neighbor, SORTED_BEAM_MAX};
use types::blob::Blob;
use types::{Error, Result};

use super::cursor::{GraphCursor, Resumed};
use super::graph::Graph;
use super::plan::Case;
use super::walk::{Walk, Walked};
use crate::file::Container;
use crate::opened::{self, Opened};
use crate::params::SearchParams;
use crate::scan::Rows;
use crate::scorer::Scorer;
use crate::scratch::{Scratch, WalkMemory};
use crate::search::{Cursor, Description, Hit, SearchOptions, SearchStats, Strategy, VectorIndex};
use crate::space::Range;

/// Nodes of the lowest layer that a walk begins at. In clustered data the single nearest node of the layer above often lies
/// in the wrong cluster.
const ENTRIES: usize = 8;
/// Matching rows from all over the segment that a two-hop walk begins at as well, in case that nothing near the query matches.
const SEEDS: usize = 32;
/// A walk whose kept matches are fewer than this part of `ef` met rejected rows where it mattered, and is done again.
const MATCHES_OF_EF: usize = 2;

/// An opened HNSW index.
#[derive(Debug)]
pub(super) struct Hnsw {
    pub(super) opened: Opened,
    pub(super) graph: Graph,
}

pub(crate) fn open(container: &Container, blob: &dyn Blob) -> Result<Arc<dyn VectorIndex>> {
    Ok(Arc::new(Hnsw { opened: Opened::open(container, blob)?, graph: Graph::open(container, blob)? }))
}

impl VectorIndex for Hnsw {
    fn description(&self) -> &Description {
        &self.opened.description
    }

    fn search(&self, query: &[f32], options: &SearchOptions<'_>, scratch: &mut Scratch, hits: &mut Vec<Hit>) -> Result<SearchStats> {
        self.opened.check(query, options)?;
        let scorer = self.opened.scorer(query, options.rows);
        let case = self.case(options);
        let mut stats = SearchStats { strategy: case.strategy(), ..SearchStats::default() };
        if stats.strategy != Strategy::Scan {
            self.enter(&scorer, &mut scratch.walk, &mut stats);
            let search = GraphSearch { index: self, scorer: &scorer, options, case };
            if search.run(scratch, &mut stats)? {
                opened::append(&scratch.found, self.opened.rows(options), hits);
                return Ok(stats);
            }
            stats.strategy = Strategy::GraphThenScan;
        }
        stats.distances += self.opened.scan_top(&scorer, options, &mut scratch.top, hits)?;
        Ok(stats)
    }

    fn range_search(
        &self,
        query: &[f32],
        range: Range,
        options: &SearchOptions<'_>,
        scratch: &mut Scratch,
        hits: &mut Vec<Hit>,
    ) -> Result<SearchStats> {
        self.opened.check(query, options)?;
        let mut resumed = Resumed::new(options.params.ef);
        let batch = SearchOptions { k: options.params.ef, ..*options };
        let (mut stats, mut within, mut found) = (SearchStats::default(), Vec::<Hit>::new(), Vec::<Hit>::new());
        loop {
            found.clear();
            stats.add(resumed.advance(self, query, &batch, scratch, &mut found)?);
            within.extend(found.iter().filter(|hit| range.contains(hit.distance)));
            // Batches come in order, but for what an approximate walk finds late.
            let beyond = found.last().is_none_or(|last| last.distance >= range.below || last.distance.is_nan());
            if beyond || found.len() < batch.k || within.len() >= options.k {
                break;
            }
        }
        within.sort_unstable_by_key(|hit| Neighbor::new(hit.distance, hit.row));
        within.truncate(options.k);
        hits.append(&mut within);
        Ok(stats)
    }

    fn cursor(self: Arc<Self>, query: &[f32], params: &SearchParams) -> Result<Box<dyn Cursor>> {
        let dim = self.opened.description.dim;
        if query.len() != dim {
            return Err(Error::internal(format!("index of dimension {dim}, query of {}", query.len())));
        }
        Ok(Box::new(GraphCursor::new(self, query, params.ef)))
    }
}

impl Hnsw {
    pub(super) fn case(&self, options: &SearchOptions<'_>) -> Case {
        Case {
            nodes: self.graph.nodes(),
            admitted: self.opened.admitted(options),
            k: options.k,
            ef: options.params.ef.max(options.k).max(1),
            degree_max: self.graph.degree_max(),
            dim: self.opened.description.dim,
        }
    }

    /// Descends through the upper layers and leaves nodes of the lowest in `memory.entries`. There must be a node.
    pub(super) fn enter(&self, scorer: &Scorer<'_>, memory: &mut WalkMemory, stats: &mut SearchStats) {
        memory.entries.clear();
        let Some(last) = self.graph.upper().last() else {
            memory.entries.push(0);
            return;
        };
        let mut node = 0;
        for layer in self.graph.upper().filter(|layer| layer.nodes < last.nodes) {
            let walk = Walk { layer, scorer, cancelled: None, budget: u64::MAX };
            let (nearest, distances) = walk.descend(node, &mut memory.step);
            node = nearest;
            stats.distances += distances;
        }
        let walk = Walk { layer: last, scorer, cancelled: None, budget: u64::MAX };
        stats.distances += walk.run_narrow(node, ENTRIES, memory);
        for entry in &mut memory.entries {
            *entry = self.graph.upper_slot(*entry);
        }
    }
}

/// One search of the lowest layer.
struct GraphSearch<'a> {
    index: &'a Hnsw,
    scorer: &'a Scorer<'a>,
    options: &'a SearchOptions<'a>,
    case: Case,
}

impl GraphSearch<'_> {
    /// Leaves the hits in `scratch.found`; false where no walk could find enough and a scan must.
    fn run(&self, scratch: &mut Scratch, stats: &mut SearchStats) -> Result<bool> {
        if stats.strategy == Strategy::Graph {
            if self.drop_afterwards(scratch, stats)? {
                return Ok(true);
            }
            if self.case.admitted >= self.case.nodes {
                return Ok(false);
            }
            stats.strategy = Strategy::GraphInline;
        }
        if stats.strategy == Strategy::GraphInline {
            if self.keep_matches(scratch, stats)? {
                return Ok(true);
            }
            stats.strategy = Strategy::GraphTwoHop;
        }
        self.keep_matches(scratch, stats)
    }

    /// Walks as if there were no filter.
    fn drop_afterwards(&self, scratch: &mut Scratch, stats: &mut SearchStats) -> Result<bool> {
        let ef = self.case.ef_of(Strategy::Graph);
        let Scratch { walk: memory, sorted, heap, found, .. } = scratch;
        memory.visited.reset(self.case.nodes);
        found.clear();
        let walk = self.walk(Strategy::Graph);
        let walked = if ef <= SORTED_BEAM_MAX {
            sorted.reset(ef);
            let walked = walk.run(sorted, memory, |_| true)?;
            sorted.drain_into(found);
            walked
        } else {
            heap.reset(ef);
            let walked = walk.run(heap, memory, |_| true)?;
            heap.drain_into(found);
            walked
        };
        stats.count(walked);
        let rows = self.rows();
        found.retain(|neighbor| rows.allows(neighbor.id()));
        let wanted = self.case.k.max(self.case.ef / MATCHES_OF_EF).min(self.case.admitted);
        let enough = found.len() >= wanted;
        found.truncate(self.case.k);
        Ok(enough)
    }

    /// Walks until enough matches are kept.
    fn keep_matches(&self, scratch: &mut Scratch, stats: &mut SearchStats) -> Result<bool> {
        let Scratch { walk: memory, heap, found, .. } = scratch;
        memory.visited.reset(self.case.nodes);
        heap.reset(self.case.ef_of(stats.strategy));
        found.clear();
        let walk = self.walk(stats.strategy);
        let rows = self.rows();
        let keeps = |slot: u32| rows.allows(slot);
        let walked = match stats.strategy {
            Strategy::GraphTwoHop => {
                memory.entries.extend(rows.sample(self.case.nodes, SEEDS));
                walk.run_two_hop(heap, memory, keeps)?
            }
            _ => walk.run(heap, memory, keeps)?,
        };
        stats.count(walked);
        heap.drain_into(found);
        let enough = walked.complete && found.len() >= self.case.k.min(self.case.admitted);
        found.truncate(self.case.k);
        Ok(enough)
    }

    fn walk(&self, strategy: Strategy) -> Walk<'_> {
        let budget = self.case.budget(strategy);
        Walk { layer: self.index.graph.lowest(), scorer: self.scorer, cancelled: self.options.cancelled, budget }
    }

    fn rows(&self) -> Rows<'_> {
        self.index.opened.rows(self.options)
    }
}

impl SearchStats {
    fn count(&mut self, walked: Walked) {
        self.distances += walked.distances;
        self.hops += walked.hops;
    }
}
