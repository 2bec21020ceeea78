//! What every vector index answers, and what it is asked with.
//!
//! Promise of every search here: results are never short. Fewer than `k` hits mean that fewer rows match, whatever the
//! index type, its parameters and the filter. A row matches where the filter admits it, it has a vector, and the metric
//! gives it a distance from the query (`space.rs`). Hits are ordered by (distance, row); each row comes at most once.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use types::bitset::Bitset;
use types::index_params::Metric;
use types::{Code, Error, Result};

use crate::params::SearchParams;
use crate::scratch::Scratch;
use crate::space::Range;
use crate::vectors::{Element, VectorRows, Vectors};

/// One result.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Hit {
    /// Offset of the row in its segment.
    pub row: u32,
    /// Smaller is nearer; [`crate::space::score_of`] gives what clients see.
    pub distance: f32,
}

/// Everything about a search but the query.
#[derive(Clone, Copy)]
pub struct SearchOptions<'a> {
    /// How many hits at most.
    pub k: usize,
    /// Checked search parameters.
    pub params: &'a SearchParams,
    /// Rows that may be returned, one bit per row of the segment; `None` means all.
    pub filter: Option<&'a Bitset>,
    /// The vectors that the index was built over.
    pub rows: VectorRows<'a>,
    /// Set by whoever no longer wants the answer; the search then ends with [`Code::CANCELED`] within a few thousand
    /// distances.
    pub cancelled: Option<&'a AtomicBool>,
}

impl SearchOptions<'_> {
    pub(crate) fn check_cancelled(&self) -> Result<()> {
        check_cancelled(self.cancelled)
    }
}

pub(crate) fn check_cancelled(cancelled: Option<&AtomicBool>) -> Result<()> {
    match cancelled {
        Some(flag) if flag.load(Ordering::Relaxed) => Err(Error::new(Code::CANCELED, "search canceled by its caller")),
        _ => Ok(()),
    }
}

/// How a search went about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Strategy {
    /// Every matching row was compared.
    #[default]
    Scan,
    /// The nearest inverted lists were compared.
    Probe,
    /// The graph was walked and what the filter rejects was dropped from the result.
    Graph,
    /// The graph was walked through rejected rows, which took no place in the result.
    GraphInline,
    /// The graph was walked from match to match, across rejected neighbours.
    GraphTwoHop,
    /// A walk that found too little or took too long, then a scan.
    GraphThenScan,
}

/// Work done, counted: the figures by which speed is judged without a clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SearchStats {
    /// Distances computed, those to centroids included.
    pub distances: u64,
    /// Graph nodes expanded or inverted lists read.
    pub hops: u64,
    /// What was done.
    pub strategy: Strategy,
}

impl SearchStats {
    /// Adds another search's work, and keeps its strategy.
    pub fn add(&mut self, other: Self) {
        self.distances += other.distances;
        self.hops += other.hops;
        self.strategy = other.strategy;
    }
}

/// Facts about an opened index.
#[derive(Clone, PartialEq, Debug)]
pub struct Description {
    /// The type whose code reads the file: `FLAT`, `IVF_FLAT`, `HNSW` and so on. An AUTOINDEX is of the type that was chosen.
    pub index_type: String,
    /// The metric it was built for, the only one it answers.
    pub metric: Metric,
    /// What the vectors are made of.
    pub element: Element,
    /// Elements per vector; 0 of sparse ones.
    pub dim: usize,
    /// Vectors indexed.
    pub vectors: usize,
    /// Rows of the segment, those without a vector included.
    pub segment_rows: usize,
    /// Build parameters as JSON, for people.
    pub params: String,
    /// Bytes of the file's sections: what stays mapped.
    pub bytes: u64,
}

impl Description {
    /// Whether its answers are those of comparing with every row.
    pub fn is_exact(&self) -> bool {
        [crate::flat::NAME, crate::flat::BITS_NAME, crate::sparse::NAME].contains(&self.index_type.as_str())
    }
}

/// An opened vector index. Shared by all searches; all state of one search is in its [`Scratch`].
pub trait VectorIndex: Send + Sync + fmt::Debug {
    /// What this is.
    fn description(&self) -> &Description;

    /// Appends the `k` nearest matching rows to `hits`, best first. `query` is one vector.
    ///
    /// # Errors
    /// A query, filter or column that does not fit the index; [`Code::CANCELED`].
    fn search(&self, query: Vectors<'_>, options: &SearchOptions<'_>, scratch: &mut Scratch, hits: &mut Vec<Hit>) -> Result<SearchStats>;

    /// Searches for several queries; `hits[i]` takes the results of query `i`. An index
    /// that scans reads each vector once for all of them.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    ///
    /// # Panics
    /// If `queries` are not `hits.len()` vectors.
    fn search_batch(
        &self,
        queries: Vectors<'_>,
        options: &SearchOptions<'_>,
        scratch: &mut Scratch,
        hits: &mut [Vec<Hit>],
    ) -> Result<SearchStats> {
        assert_eq!(queries.len(), hits.len(), "one query per list of hits");
        let mut stats = SearchStats::default();
        for (query, hits) in queries.each().zip(hits) {
            stats.add(self.search(query, options, scratch, hits)?);
        }
        Ok(stats)
    }

    /// Appends matching rows within `range`, best first, `k` at most. An approximate index may miss some.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    fn range_search(
        &self,
        query: Vectors<'_>,
        range: Range,
        options: &SearchOptions<'_>,
        scratch: &mut Scratch,
        hits: &mut Vec<Hit>,
    ) -> Result<SearchStats>;

    /// A search that can be resumed: for iterators and grouping. It keeps the index open.
    ///
    /// # Errors
    /// A query of another kind or dimension.
    fn cursor(self: Arc<Self>, query: Vectors<'_>, params: &SearchParams) -> Result<Box<dyn Cursor>>;
}

/// A search that stands still between calls and owns all of its state.
pub trait Cursor: Send {
    /// Appends up to `options.k` further hits, best first within this call. Fewer than `k` mean the end.
    ///
    /// Across all calls every matching row comes exactly once. An approximate index may give a row in a later call that is
    /// nearer than one of an earlier call; a scan never does. Filter and vectors must be the same at every call; `options.params`
    /// is not looked at.
    ///
    /// # Errors
    /// As [`VectorIndex::search`]; the cursor is then of no further use.
    fn advance(&mut self, options: &SearchOptions<'_>, scratch: &mut Scratch, hits: &mut Vec<Hit>) -> Result<SearchStats>;

    /// Bytes that it holds between calls.
    fn memory_bytes(&self) -> usize;
}
