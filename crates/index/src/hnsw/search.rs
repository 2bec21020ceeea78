//! Answering from an opened graph.

use std::sync::Arc;

use kernel::{Beam, Neighbor, SORTED_BEAM_MAX};
use types::Result;
use types::blob::Blob;

use super::cursor::{GraphCursor, Resumed};
use super::graph::Graph;
use super::plan::Case;
use super::walk::{Budget, Walk, Walked};
use crate::file::Container;
use crate::opened::{self, Opened};
use crate::params::SearchParams;
use crate::scan::Rows;
use crate::scorer::Scorer;
use crate::scratch::{Scratch, WalkMemory};
use crate::search::{Cursor, Description, Hit, SearchOptions, SearchStats, Strategy, VectorIndex};
use crate::space::Range;
use crate::vectors::Vectors;

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

    fn search(&self, query: Vectors<'_>, options: &SearchOptions<'_>, scratch: &mut Scratch, hits: &mut Vec<Hit>) -> Result<SearchStats> {
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
        query: Vectors<'_>,
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

    fn cursor(self: Arc<Self>, query: Vectors<'_>, params: &SearchParams) -> Result<Box<dyn Cursor>> {
        self.opened.check_query(query)?;
        Ok(Box::new(GraphCursor::new(self, query, params.ef)))
    }
}

impl Hnsw {
    pub(super) fn case(&self, options: &SearchOptions<'_>) -> Case {
        let description = &self.opened.description;
        Case {
            nodes: self.graph.nodes(),
            admitted: self.opened.admitted(options),
            k: options.k,
            ef: options.params.ef.max(options.k).max(1),
            degree_max: self.graph.degree_max(),
            vector_bytes: description.element.vector_bytes(description.dim),
        }
    }

    /// Descends through the upper layers and leaves nodes of the lowest in `memory.entries`. There must be a node.
    pub(super) fn enter(&self, scorer: &Scorer<'_>, memory: &mut WalkMemory, stats: &mut SearchStats) {
        memory.entries.clear();
        memory.entries.push(0);
        for layer in self.graph.upper() {
            let walk = Walk { layer, scorer, cancelled: None, budget: Budget::UNLIMITED };
            stats.distances += walk.descend(memory);
        }
        if self.graph.has_upper() {
            for entry in &mut memory.entries {
                *entry = self.graph.upper_slot(*entry);
            }
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
            if self.case.scan_after_inline() {
                return Ok(false);
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
                walk.run_two_hop(self.case.k, heap, memory, keeps)?
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

#[cfg(test)]
mod tests {
    use base::cpu::CpuPool;
    use bytes::Bytes;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    use types::bitset::Bitset;
    use types::blob::MemoryBlob;
    use types::index_params::Metric;

    use super::*;
    use crate::build::{BuildContext, Progress};
    use crate::flat::{self, Column};
    use crate::hnsw::{Shape, build};
    use crate::space::Space;
    use crate::vectors::VectorRows;

    const DIM: usize = 16;
    const VECTORS: usize = 6_000;
    const K: usize = 10;
    const EF: usize = 64;

    fn values(rng: &mut StdRng) -> Vec<f32> {
        let centres: Vec<f32> = (0..30 * DIM).map(|_| rng.random_range(-3.0..3.0)).collect();
        let near = |rng: &mut StdRng, cluster: usize| -> Vec<f32> {
            centres[cluster * DIM..][..DIM].iter().map(|value| value + rng.random_range(-1.0..1.0f32)).collect()
        };
        (0..VECTORS).flat_map(|i| near(rng, i % 30)).collect()
    }

    fn index(rows: VectorRows<'_>) -> Hnsw {
        let context = BuildContext { pool: &CpuPool::inline(), seed: 3, progress: &Progress::new() };
        let shape = Shape { m: 12, ef_construction: 80 };
        let draft = build(Space::new(Metric::L2), rows, shape, String::new(), &context).expect("a build that nobody cancels");
        let blob = MemoryBlob::new("test", Bytes::from(draft.to_bytes()));
        let container = Container::open(&blob).expect("a sound file");
        Hnsw {
            opened: Opened::open(&container, &blob).expect("a sound file"),
            graph: Graph::open(&container, &blob).expect("a sound file"),
        }
    }

    /// Walks in a given way whatever the plan says; whether the walk was enough, and its recall.
    fn walk(index: &Hnsw, query: &[f32], options: &SearchOptions<'_>, strategy: Strategy, budget: bool) -> (bool, f64) {
        let query = Vectors::from(query);
        let scorer = index.opened.scorer(query, options.rows);
        let (mut scratch, mut stats) = (Scratch::new(), SearchStats { strategy, ..SearchStats::default() });
        let mut case = index.case(options);
        if !budget {
            // As if there were more rows than any walk can take.
            case.admitted = case.admitted.max(VECTORS * 9 / 10);
        }
        index.enter(&scorer, &mut scratch.walk, &mut stats);
        let search = GraphSearch { index, scorer: &scorer, options, case };
        let enough = search.run(&mut scratch, &mut stats).expect("a walk that nobody cancels");
        let column = Column { space: index.opened.space, rows: options.rows, inverse_norms: None };
        let mut exact = Vec::new();
        flat::search(column, query, options, &mut Scratch::new(), &mut exact).expect("a scan");
        let found: Vec<u32> = scratch.found.iter().map(|neighbor| neighbor.id()).collect();
        assert!(found.len() <= options.k);
        assert!(found.iter().all(|&slot| options.filter.is_none_or(|filter| filter.get(slot as usize))));
        let right = exact.iter().filter(|hit| found.contains(&hit.row)).count();
        (enough, right as f64 / exact.len() as f64)
    }

    #[test]
    fn every_way_of_walking_finds_what_matches() {
        let mut rng = StdRng::seed_from_u64(5);
        let values = values(&mut rng);
        let rows = VectorRows::new(Vectors::f32(DIM, &values));
        let index = index(rows);
        let params = SearchParams { ef: EF, nprobe: 1, ..SearchParams::default() };
        for (strategy, shares) in [
            (Strategy::Graph, &[1.0, 0.9, 0.8][..]),
            (Strategy::GraphInline, &[1.0, 0.6, 0.3, 0.1]),
            (Strategy::GraphTwoHop, &[0.5, 0.2, 0.1]),
        ] {
            for &share in shares {
                let filter = Bitset::from_fn(VECTORS, |_| rng.random_bool(share));
                let options = SearchOptions { k: K, params: &params, filter: Some(&filter), rows, cancelled: None };
                let mut sum = 0.0;
                for _ in 0..30 {
                    let start = rng.random_range(0..VECTORS) * DIM;
                    let (enough, recall) = walk(&index, &values[start..start + DIM], &options, strategy, false);
                    assert!(enough, "{strategy:?} {share}");
                    sum += recall;
                }
                assert!(sum / 30.0 > 0.95, "{strategy:?} at {share}: recall {}", sum / 30.0);
            }
        }
    }

    #[test]
    fn a_walk_that_leads_nowhere_gives_up() {
        let mut rng = StdRng::seed_from_u64(6);
        let values = values(&mut rng);
        let rows = VectorRows::new(Vectors::f32(DIM, &values));
        let index = index(rows);
        let params = SearchParams { ef: EF, nprobe: 1, ..SearchParams::default() };
        // Some clusters match, the query lies in another one: an inline walk goes through everything between them.
        let filter = Bitset::from_fn(VECTORS, |row| (7..12).contains(&(row % 30)));
        let options = SearchOptions { k: K, params: &params, filter: Some(&filter), rows, cancelled: None };
        let query = &values[..DIM];
        let (enough, _) = walk(&index, query, &options, Strategy::GraphInline, true);
        assert!(!enough, "both walks take more distances than a scan of what matches");
        let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
        index.search(query.into(), &options, &mut scratch, &mut hits).expect("a search");
        assert_eq!(hits.len(), K);
        // From the seeds a two-hop walk gets there if it is given the time.
        let (_, recall) = walk(&index, query, &options, Strategy::GraphTwoHop, false);
        assert!(recall > 0.8, "recall {recall}");
    }
}
