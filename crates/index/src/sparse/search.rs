//! Searching inverted lists of sparse vectors.
//!
//! In a window, lists of which all together cannot lift a row above the k-th best are not added up (as in MaxScore, Turtle and
//! Flood 1995, with bounds for each block): a row that the others bring near enough is compared as it lies in the column.

use std::sync::Arc;

use kernel::{Neighbor, TopK, bits};
use types::blob::Blob;
use types::buffer::Buffer;
use types::{Error, Result};

use super::*;
use crate::file::Container;
use crate::flat::{ResumedScan, scan_range};
use crate::opened::{self, Opened};
use crate::params::SearchParams;
use crate::scan::Rows;
use crate::scorer::Scorer;
use crate::scratch::Scratch;
use crate::search::{Cursor, Description, Hit, SearchOptions, SearchStats, Strategy, VectorIndex};
use crate::space::Range;
use crate::vectors::{OwnedVectors, Vectors};

/// A search that leaves out part of the query looks at so many times the rows that are wanted, and compares them with all of it.
const REFINED_PER_HIT: usize = 4;

#[derive(Debug)]
struct Inverted {
    opened: Opened,
    terms: Buffer<u32>,
    term_blocks: Buffer<u32>,
    windows: Buffer<u32>,
    bounds: Buffer<f32>,
    block_postings: Buffer<u32>,
    slots: Buffer<u16>,
    values: Buffer<f32>,
}

pub(crate) fn open(container: &Container, blob: &dyn Blob) -> Result<Arc<dyn VectorIndex>> {
    let corrupt = |what: &str| Error::corrupt(format!("index {}: {what}", blob.name()));
    let shape = container.required::<u32>(blob, SHAPE_SECTION, SHAPE_WORDS)?;
    if shape[0] as usize != WINDOW {
        return Err(corrupt("windows of another size"));
    }
    let [terms, blocks, postings] = [shape[1], shape[2], shape[3]].map(|count| count as usize);
    let index = Inverted {
        opened: Opened::open(container, blob)?,
        terms: container.required(blob, TERMS_SECTION, terms)?,
        term_blocks: container.required(blob, TERM_BLOCKS_SECTION, terms + 1)?,
        windows: container.required(blob, WINDOWS_SECTION, blocks)?,
        bounds: container.required(blob, BOUNDS_SECTION, 2 * blocks)?,
        block_postings: container.required(blob, BLOCK_POSTINGS_SECTION, blocks + 1)?,
        slots: container.required(blob, SLOTS_SECTION, postings)?,
        values: container.required(blob, VALUES_SECTION, postings)?,
    };
    // What slices are cut by is checked at once; the rest as it is followed.
    let covers = |ends: &[u32], all: usize| ends.is_sorted() && ends.first() == Some(&0) && ends.last() == Some(&(all as u32));
    if !covers(&index.term_blocks, blocks) || !covers(&index.block_postings, postings) {
        return Err(corrupt("lists do not cover the postings"));
    }
    if !matches!(container.header().element, crate::vectors::Element::Sparse) {
        return Err(corrupt("lists of vectors that are not sparse"));
    }
    Ok(Arc::new(index))
}

/// Working memory of a search.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    sums: Vec<f32>,
    touched: Vec<u64>,
    windows: Vec<Promise>,
    blocks: Vec<Block>,
}

impl Memory {
    pub(crate) fn capacity_bytes(&self) -> usize {
        self.sums.capacity() * 4
            + self.touched.capacity() * 8
            + self.windows.capacity() * size_of::<Promise>()
            + self.blocks.capacity() * size_of::<Block>()
    }
}

/// What a row of a window can have at most.
#[derive(Clone, Copy, Debug, Default)]
struct Promise {
    window: u32,
    most: f64,
    /// The sum of the magnitudes that may be added: roundings are a part of it.
    magnitude: f64,
}

/// A list in a window.
#[derive(Clone, Copy, Debug)]
struct Block {
    number: usize,
    weight: f32,
    promise: Promise,
}

/// A list of the query.
#[derive(Clone, Copy)]
struct Term {
    weight: f32,
    start: usize,
    end: usize,
}

/// What a search leaves its hits with, and the distance up to which it wants them.
trait Wanted {
    fn limit(&self) -> f32;
    fn offer(&mut self, neighbor: Neighbor);
}

impl Wanted for TopK {
    fn limit(&self) -> f32 {
        TopK::limit(self)
    }

    fn offer(&mut self, neighbor: Neighbor) {
        TopK::offer(self, neighbor);
    }
}

struct Within<'a> {
    range: Range,
    top: &'a mut TopK,
}

impl Wanted for Within<'_> {
    fn limit(&self) -> f32 {
        self.range.below
    }

    fn offer(&mut self, neighbor: Neighbor) {
        if self.range.contains(neighbor.distance()) {
            self.top.offer(neighbor);
        }
    }
}

/// One search of the lists.
struct Summing<'a> {
    index: &'a Inverted,
    query: SparseVector<'a>,
    column: SparseVectors<'a>,
    rows: Rows<'a>,
    options: &'a SearchOptions<'a>,
}

impl Summing<'_> {
    fn run(&self, wanted: &mut impl Wanted, memory: &mut Memory, stats: &mut SearchStats) -> Result<()> {
        let terms = self.index.terms_of(self.query);
        self.promises(&terms, &mut memory.windows);
        memory.sums.resize(WINDOW, 0.0);
        memory.touched.resize(WINDOW / 64, 0);
        let promises = std::mem::take(&mut memory.windows);
        for promise in &promises {
            if promise.bound(terms.len()) < -f64::from(wanted.limit()) {
                break;
            }
            self.window(promise.window, &terms, wanted, memory, stats);
            self.options.check_cancelled()?;
        }
        memory.windows = promises;
        Ok(())
    }

    /// The windows that any list of the query has, the most promising first.
    fn promises(&self, terms: &[Term], windows: &mut Vec<Promise>) {
        let count = self.index.opened.description.vectors.div_ceil(WINDOW);
        windows.clear();
        windows.extend((0..count as u32).map(|window| Promise { window, ..Promise::default() }));
        for term in terms {
            for block in term.start..term.end {
                // A damaged file may name any window.
                if let Some(promise) = windows.get_mut(self.index.windows[block] as usize) {
                    promise.add(self.index.promise(block, term.weight));
                }
            }
        }
        windows.retain(|promise| promise.magnitude > 0.0);
        windows.sort_by(|a, b| b.bound(terms.len()).total_cmp(&a.bound(terms.len())).then(a.window.cmp(&b.window)));
    }

    fn window(&self, window: u32, terms: &[Term], wanted: &mut impl Wanted, memory: &mut Memory, stats: &mut SearchStats) {
        let Memory { sums, touched, blocks, .. } = memory;
        self.index.blocks_of(window, terms, blocks);
        let (added, left_out) = split(blocks, -f64::from(wanted.limit()));
        sums.fill(0.0);
        touched.fill(0);
        for block in &blocks[..added] {
            let postings = self.index.postings(block.number);
            stats.distances += postings.len() as u64;
            for (&slot, value) in self.index.slots[postings.clone()].iter().zip(&self.index.values[postings]) {
                let slot = slot as usize % WINDOW;
                sums[slot] += block.weight * value;
                touched[slot / 64] |= 1 << (slot % 64);
            }
        }
        stats.hops += 1;
        let first = window * WINDOW as u32;
        let vectors = self.index.opened.description.vectors as u32;
        let whole = added == blocks.len();
        for slot in bits::ones(touched) {
            let (row, sum) = (first + slot as u32, sums[slot]);
            if row >= vectors || !self.rows.allows(row) {
                continue;
            }
            if whole {
                // By ascending index, as vectors are compared: the same sum.
                wanted.offer(Neighbor::new(-sum, row));
            } else if f64::from(sum) + left_out >= -f64::from(wanted.limit()) {
                stats.distances += 1;
                let distance = -self.query.dot(self.column.vector(row));
                if !distance.is_nan() {
                    wanted.offer(Neighbor::new(distance, row));
                }
            }
        }
    }
}

/// Brings the blocks that have to be added up to the front; how many they are, and what the others add at most.
/// Where all have to be, their order is that of the query.
fn split(blocks: &mut [Block], needed: f64) -> (usize, f64) {
    let count = blocks.len();
    let all: Promise = blocks.iter().fold(Promise::default(), |mut sum, block| {
        sum.add(block.promise);
        sum
    });
    let least_promising = blocks.iter().map(|block| block.promise.bound(count)).fold(f64::INFINITY, f64::min);
    let rounding = all.bound(count) - all.most;
    let some_may_be_left_out = least_promising + rounding < needed;
    if !some_may_be_left_out {
        return (count, 0.0);
    }
    blocks.sort_by(|a, b| b.promise.most.total_cmp(&a.promise.most));
    let (mut added, mut left_out) = (count, Promise::default());
    while added > 0 {
        let mut more = left_out;
        more.add(blocks[added - 1].promise);
        let too_little = more.most + rounding < needed;
        if !too_little {
            break;
        }
        left_out = more;
        added -= 1;
    }
    // The sum that is compared with has roundings of its own: those of all are counted.
    (added, left_out.most + rounding)
}

impl Promise {
    fn add(&mut self, other: Self) {
        self.most += other.most;
        self.magnitude += other.magnitude;
    }

    /// What a sum of `terms` products in 32-bit floats can come to.
    fn bound(&self, terms: usize) -> f64 {
        self.most + self.magnitude * (terms + 2) as f64 * f64::from(f32::EPSILON)
    }
}

impl Inverted {
    fn terms_of(&self, query: SparseVector<'_>) -> Vec<Term> {
        let found = query.indices.iter().zip(query.values).filter_map(|(index, &weight)| {
            let number = self.terms.binary_search(index).ok()?;
            Some(Term { weight, start: self.term_blocks[number] as usize, end: self.term_blocks[number + 1] as usize })
        });
        found.collect()
    }

    fn promise(&self, block: usize, weight: f32) -> Promise {
        let [most, least] = [self.bounds[2 * block], self.bounds[2 * block + 1]].map(|value| f64::from(weight) * f64::from(value));
        let magnitude = most.abs().max(least.abs());
        // A row that the list lacks gets nothing from it. A NaN promises everything.
        let most = if magnitude.is_nan() { f64::INFINITY } else { most.max(least).max(0.0) };
        // Products of the least magnitudes still make a window worth a look.
        Promise { window: 0, most, magnitude: magnitude.max(f64::MIN_POSITIVE) }
    }

    fn blocks_of(&self, window: u32, terms: &[Term], blocks: &mut Vec<Block>) {
        blocks.clear();
        for term in terms {
            let windows = &self.windows[term.start..term.end];
            if let Ok(at) = windows.binary_search(&window) {
                let number = term.start + at;
                blocks.push(Block { number, weight: term.weight, promise: self.promise(number, term.weight) });
            }
        }
    }

    fn postings(&self, block: usize) -> std::ops::Range<usize> {
        self.block_postings[block] as usize..self.block_postings[block + 1] as usize
    }

    /// Whether comparing with every matching row reads no more pairs than the lists of the query have.
    fn scan_is_cheaper(&self, query: SparseVector<'_>, column: SparseVectors<'_>, options: &SearchOptions<'_>) -> bool {
        let vectors = self.opened.description.vectors;
        let pairs_each = query.indices.len() + column.pairs() / vectors.max(1);
        let listed = |term: &Term| self.block_postings[term.end] as usize - self.block_postings[term.start] as usize;
        let listed: usize = self.terms_of(query).iter().map(listed).sum();
        options.filter.is_some() && self.opened.admitted(options).saturating_mul(pairs_each) <= listed
    }

    /// The `k` best by part of the query, compared with all of it; false where too few share a part of it.
    fn search_part(
        &self,
        part: SparseVector<'_>,
        (summing, scorer): (&Summing<'_>, &Scorer<'_>),
        scratch: &mut Scratch,
        stats: &mut SearchStats,
    ) -> Result<bool> {
        let k = summing.options.k;
        let Scratch { top, sparse, found, .. } = scratch;
        top.reset(k.saturating_mul(REFINED_PER_HIT));
        Summing { query: part, ..*summing }.run(top, sparse, stats)?;
        found.clear();
        found.extend_from_slice(top.sorted());
        if found.len() < k {
            return Ok(false);
        }
        top.reset(k);
        for neighbor in found.iter() {
            let mut distance = [0.0];
            scorer.score(&[neighbor.id()], &mut distance);
            top.offer(Neighbor::new(distance[0], neighbor.id()));
        }
        Ok(true)
    }
}

/// A query without the smallest of its values.
fn without_smallest(query: SparseVector<'_>, ratio: f32) -> (Vec<u32>, Vec<f32>) {
    let dropped = (query.values.len() as f32 * ratio) as usize;
    let mut order: Vec<usize> = (0..query.values.len()).collect();
    order.sort_by(|&a, &b| query.values[a].abs().total_cmp(&query.values[b].abs()));
    let mut kept = order.split_off(dropped.min(query.values.len()));
    kept.sort_unstable();
    (kept.iter().map(|&at| query.indices[at]).collect(), kept.iter().map(|&at| query.values[at]).collect())
}

impl VectorIndex for Inverted {
    fn description(&self) -> &Description {
        &self.opened.description
    }

    fn search(&self, query: Vectors<'_>, options: &SearchOptions<'_>, scratch: &mut Scratch, hits: &mut Vec<Hit>) -> Result<SearchStats> {
        self.opened.check(query, options)?;
        let (Vectors::Sparse(all), Vectors::Sparse(column)) = (query, options.rows.vectors) else {
            unreachable!("what is searched was checked to be sparse");
        };
        let (vector, scorer) = (all.vector(0), self.opened.scorer(query, options.rows));
        if self.scan_is_cheaper(vector, column, options) {
            let distances = self.opened.scan_top(&scorer, options, &mut scratch.top, hits)?;
            return Ok(SearchStats { distances, hops: 0, strategy: Strategy::Scan });
        }
        let rows = self.opened.rows(options);
        let summing = Summing { index: self, query: vector, column, rows, options };
        let mut stats = SearchStats { strategy: Strategy::Probe, ..SearchStats::default() };
        let (indices, values) = without_smallest(vector, options.params.drop_ratio);
        let part = SparseVector { indices: &indices, values: &values };
        let partly = indices.len() < vector.indices.len() && self.search_part(part, (&summing, &scorer), scratch, &mut stats)?;
        if !partly {
            scratch.top.reset(options.k);
            summing.run(&mut scratch.top, &mut scratch.sparse, &mut stats)?;
        }
        opened::append(scratch.top.sorted(), rows, hits);
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
        let (Vectors::Sparse(all), Vectors::Sparse(column)) = (query, options.rows.vectors) else {
            unreachable!("what is searched was checked to be sparse");
        };
        let (vector, rows) = (all.vector(0), self.opened.rows(options));
        let mut stats = SearchStats::default();
        if self.scan_is_cheaper(vector, column, options) {
            let scorer = self.opened.scorer(query, options.rows);
            stats.distances = scan_range(&self.opened.scan(options), &scorer, range, options.k, scratch)?;
        } else {
            stats.strategy = Strategy::Probe;
            let Scratch { top, sparse, .. } = scratch;
            top.reset(options.k);
            let summing = Summing { index: self, query: vector, column, rows, options };
            summing.run(&mut Within { range, top }, sparse, &mut stats)?;
        }
        opened::append(scratch.top.sorted(), rows, hits);
        Ok(stats)
    }

    fn cursor(self: Arc<Self>, query: Vectors<'_>, _: &SearchParams) -> Result<Box<dyn Cursor>> {
        self.opened.check_query(query)?;
        Ok(Box::new(ListCursor { index: self, query: query.to_owned(), scan: ResumedScan::default() }))
    }
}

/// Compares with every matching row at the first call: a whole result is wanted, and lists would be read to their ends.
struct ListCursor {
    index: Arc<Inverted>,
    query: OwnedVectors,
    scan: ResumedScan,
}

impl Cursor for ListCursor {
    fn advance(&mut self, options: &SearchOptions<'_>, _: &mut Scratch, hits: &mut Vec<Hit>) -> Result<SearchStats> {
        let (opened, query) = (&self.index.opened, self.query.borrowed());
        opened.check(query, options)?;
        self.scan.advance(&opened.scan(options), &opened.scorer(query, options.rows), options.k, hits)
    }

    fn memory_bytes(&self) -> usize {
        self.query.memory_bytes() + self.scan.memory_bytes()
    }
}
