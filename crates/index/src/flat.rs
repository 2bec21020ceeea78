//! FLAT and BIN_FLAT: every matching row is compared, so every answer is exact. Also the search of growing segments.
//!
//! The functions here take any column, with or without an index file; [`Flat`] is the file's side. There is no structure to
//! write but the norms that COSINE needs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use kernel::{Neighbor, TopK};
use types::blob::Blob;
use types::{Error, Result};

use crate::file::{Container, Draft};
use crate::opened::{self, Opened};
use crate::params::SearchParams;
use crate::scan::{Rows, SCAN_STEP, Scan, offer, score_step};
use crate::scorer::Scorer;
use crate::scratch::Scratch;
use crate::search::{Cursor, Description, Hit, SearchOptions, SearchStats, Strategy, VectorIndex};
use crate::space::{Range, Space};
use crate::vectors::{Element, OwnedVectors, VectorRows, Vectors};

/// A column that is searched without an index file: a growing segment, or a sealed one whose index is not there yet.
#[derive(Clone, Copy)]
pub struct Column<'a> {
    /// Metric and kernels.
    pub space: Space,
    /// The vectors.
    pub rows: VectorRows<'a>,
    /// `1 / ‖v‖` by slot, where the owner keeps them; else COSINE computes each again.
    pub inverse_norms: Option<&'a [f32]>,
}

/// The `options.k` nearest matching rows, exactly, appended to `hits`. `options.rows` is not looked at.
///
/// A filter that is shorter than the column hides the rows behind its end: a growing column may be appended to while it is
/// searched, and the filter says how much of it the search sees.
///
/// # Errors
/// A query that does not fit the column; [`types::Code::CANCELED`].
pub fn search(
    column: Column<'_>,
    query: Vectors<'_>,
    options: &SearchOptions<'_>,
    scratch: &mut Scratch,
    hits: &mut Vec<Hit>,
) -> Result<SearchStats> {
    column.check(query)?;
    let scan = column.scan(options);
    scratch.top.reset(options.k);
    let distances = scan.collect(&column.scorer(query), &mut scratch.top)?;
    opened::append(scratch.top.sorted(), scan.rows, hits);
    Ok(scanned(distances))
}

/// [`search`] for several queries; each vector is read from memory once for all.
///
/// # Errors
/// As [`search`].
///
/// # Panics
/// If `queries` are not `hits.len()` vectors.
pub fn search_batch(
    column: Column<'_>,
    queries: Vectors<'_>,
    options: &SearchOptions<'_>,
    scratch: &mut Scratch,
    hits: &mut [Vec<Hit>],
) -> Result<SearchStats> {
    assert_eq!(queries.len(), hits.len(), "one query per list of hits");
    column.check(queries)?;
    let scorers: Vec<Scorer<'_>> = queries.each().map(|query| column.scorer(query)).collect();
    Ok(scanned(scan_batch(&column.scan(options), &scorers, options.k, scratch, hits)?))
}

/// All matching rows within `range`, exactly, best first, `options.k` at most. As [`search`] otherwise.
///
/// # Errors
/// As [`search`].
pub fn range_search(
    column: Column<'_>,
    query: Vectors<'_>,
    range: Range,
    options: &SearchOptions<'_>,
    scratch: &mut Scratch,
    hits: &mut Vec<Hit>,
) -> Result<SearchStats> {
    column.check(query)?;
    let scan = column.scan(options);
    let distances = scan_range(&scan, &column.scorer(query), range, options.k, scratch)?;
    opened::append(scratch.top.sorted(), scan.rows, hits);
    Ok(scanned(distances))
}

/// A resumable search of a column. It computes all distances at the first call and hands them out in order.
pub fn cursor(space: Space, query: Vectors<'_>) -> Box<dyn Cursor> {
    Box::new(ColumnCursor { space, query: query.to_owned(), scan: ResumedScan::default() })
}

impl<'a> Column<'a> {
    /// Refuses queries of another kind, and vectors that the metric doesn't measure: mistakes of the caller's code.
    fn check(&self, queries: Vectors<'_>) -> Result<()> {
        let (element, dim) = (self.rows.vectors.element(), self.rows.dim());
        if queries.element() == element && queries.dim() == dim && self.space.measures(element) {
            return Ok(());
        }
        let (metric, other, other_dim) = (self.space.metric(), queries.element(), queries.dim());
        Err(Error::internal(format!("{metric} of a query of {other_dim} {other:?} and a column of {dim} {element:?}")))
    }

    fn scorer(&self, query: Vectors<'a>) -> Scorer<'a> {
        Scorer::new(self.space, query, self.rows.vectors, self.inverse_norms)
    }

    fn scan(&self, options: &SearchOptions<'a>) -> Scan<'a> {
        let rows = Rows { map: self.rows.row_map, segment_rows: self.rows.segment_rows, filter: options.filter };
        let slots = self.inverse_norms.map_or(self.rows.len(), |norms| norms.len().min(self.rows.len()));
        Scan { rows, slots, cancelled: options.cancelled }
    }
}

fn scanned(distances: u64) -> SearchStats {
    SearchStats { distances, hops: 0, strategy: Strategy::Scan }
}

/// One scan for several queries: steps outside, queries inside, so that a step's vectors come from memory for the first
/// query and from cache for the others.
fn scan_batch(scan: &Scan<'_>, scorers: &[Scorer<'_>], k: usize, scratch: &mut Scratch, hits: &mut [Vec<Hit>]) -> Result<u64> {
    if scratch.tops.len() < scorers.len() {
        scratch.tops.resize_with(scorers.len(), TopK::default);
    }
    let tops = &mut scratch.tops[..scorers.len()];
    tops.iter_mut().for_each(|top| top.reset(k));
    let mut distances = 0;
    let mut out = [0.0; SCAN_STEP];
    scan.steps(|slots| {
        let out = &mut out[..slots.len()];
        for (scorer, top) in scorers.iter().zip(tops.iter_mut()) {
            score_step(scorer, slots, out);
            offer(top, slots, out, scorer.is_partial());
        }
        distances += (slots.len() * scorers.len()) as u64;
    })?;
    for (top, hits) in tops.iter_mut().zip(hits) {
        opened::append(top.sorted(), scan.rows, hits);
    }
    Ok(distances)
}

/// Leaves the nearest rows within a range in `scratch.top`.
pub(crate) fn scan_range(scan: &Scan<'_>, scorer: &Scorer<'_>, range: Range, k: usize, scratch: &mut Scratch) -> Result<u64> {
    scratch.top.reset(k);
    scan.run(scorer, |slots, distances| {
        for (&slot, &distance) in slots.iter().zip(distances) {
            if range.contains(distance) {
                scratch.top.offer(Neighbor::new(distance, slot));
            }
        }
    })
}

/// A scan that hands out what it found bit by bit.
#[derive(Debug, Default)]
pub(crate) struct ResumedScan {
    pending: Option<BinaryHeap<Reverse<Neighbor>>>,
}

impl ResumedScan {
    /// The next `k` in order; the first call compares with every matching row.
    pub(crate) fn advance(&mut self, scan: &Scan<'_>, scorer: &Scorer<'_>, k: usize, hits: &mut Vec<Hit>) -> Result<SearchStats> {
        let mut distances = 0;
        if self.pending.is_none() {
            let (mut found, partial) = (Vec::new(), scorer.is_partial());
            distances = scan.run(scorer, |slots, distances| {
                let there = slots.iter().zip(distances).filter(|(_, distance)| !(partial && distance.is_nan()));
                found.extend(there.map(|(&slot, &distance)| Reverse(Neighbor::new(distance, slot))));
            })?;
            self.pending = Some(BinaryHeap::from(found));
        }
        let pending = self.pending.get_or_insert_default();
        for Reverse(neighbor) in std::iter::from_fn(|| pending.pop()).take(k) {
            opened::append(&[neighbor], scan.rows, hits);
        }
        Ok(scanned(distances))
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.pending.as_ref().map_or(0, |pending| pending.capacity() * size_of::<Neighbor>())
    }
}

struct ColumnCursor {
    space: Space,
    query: OwnedVectors,
    scan: ResumedScan,
}

impl Cursor for ColumnCursor {
    fn advance(&mut self, options: &SearchOptions<'_>, _: &mut Scratch, hits: &mut Vec<Hit>) -> Result<SearchStats> {
        let column = Column { space: self.space, rows: options.rows, inverse_norms: None };
        column.check(self.query.borrowed())?;
        self.scan.advance(&column.scan(options), &column.scorer(self.query.borrowed()), options.k, hits)
    }

    fn memory_bytes(&self) -> usize {
        self.query.memory_bytes() + self.scan.memory_bytes()
    }
}

/// The type's name in containers.
pub(crate) const NAME: &str = "FLAT";
/// That over bits.
pub(crate) const BITS_NAME: &str = "BIN_FLAT";

pub(crate) fn build(space: Space, rows: VectorRows<'_>, params: String) -> Draft {
    let norms = opened::inverse_norms(space, rows.vectors);
    let name = if rows.vectors.element() == Element::Bits { BITS_NAME } else { NAME };
    opened::draft(name, space, rows, norms, params)
}

pub(crate) fn open(container: &Container, blob: &dyn Blob) -> Result<Arc<dyn VectorIndex>> {
    Ok(Arc::new(Flat { opened: Opened::open(container, blob)? }))
}

/// An opened FLAT index.
#[derive(Debug)]
struct Flat {
    opened: Opened,
}

impl VectorIndex for Flat {
    fn description(&self) -> &Description {
        &self.opened.description
    }

    fn search(&self, query: Vectors<'_>, options: &SearchOptions<'_>, scratch: &mut Scratch, hits: &mut Vec<Hit>) -> Result<SearchStats> {
        self.opened.check(query, options)?;
        let scorer = self.opened.scorer(query, options.rows);
        Ok(scanned(self.opened.scan_top(&scorer, options, &mut scratch.top, hits)?))
    }

    fn search_batch(
        &self,
        queries: Vectors<'_>,
        options: &SearchOptions<'_>,
        scratch: &mut Scratch,
        hits: &mut [Vec<Hit>],
    ) -> Result<SearchStats> {
        assert_eq!(queries.len(), hits.len(), "one query per list of hits");
        for query in queries.each() {
            self.opened.check(query, options)?;
        }
        let scorers: Vec<Scorer<'_>> = queries.each().map(|query| self.opened.scorer(query, options.rows)).collect();
        Ok(scanned(scan_batch(&self.opened.scan(options), &scorers, options.k, scratch, hits)?))
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
        let scorer = self.opened.scorer(query, options.rows);
        let distances = scan_range(&self.opened.scan(options), &scorer, range, options.k, scratch)?;
        opened::append(scratch.top.sorted(), self.opened.rows(options), hits);
        Ok(scanned(distances))
    }

    fn cursor(self: Arc<Self>, query: Vectors<'_>, _: &SearchParams) -> Result<Box<dyn Cursor>> {
        self.opened.check_query(query)?;
        Ok(Box::new(FlatCursor { index: self, query: query.to_owned(), scan: ResumedScan::default() }))
    }
}

struct FlatCursor {
    index: Arc<Flat>,
    query: OwnedVectors,
    scan: ResumedScan,
}

impl Cursor for FlatCursor {
    fn advance(&mut self, options: &SearchOptions<'_>, _: &mut Scratch, hits: &mut Vec<Hit>) -> Result<SearchStats> {
        let opened = &self.index.opened;
        let query = self.query.borrowed();
        opened.check(query, options)?;
        self.scan.advance(&opened.scan(options), &opened.scorer(query, options.rows), options.k, hits)
    }

    fn memory_bytes(&self) -> usize {
        self.query.memory_bytes() + self.scan.memory_bytes()
    }
}
