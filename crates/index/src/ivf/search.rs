//! Searching inverted lists.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use kernel::Neighbor;
use types::Result;

use super::Ivf;
use super::codes::CodedQuery;
use crate::flat::{ResumedScan, scan_range};
use crate::opened;
use crate::params::SearchParams;
use crate::scan::{Rows, SCAN_STEP};
use crate::scorer::Scorer;
use crate::scratch::Scratch;
use crate::search::{Cursor, Description, Hit, SearchOptions, SearchStats, Strategy, VectorIndex, check_cancelled};
use crate::space::Range;
use crate::vectors::{OwnedVectors, Vectors};

/// So few matching rows are compared one by one: exact, and hardly slower than ranking the lists.
const SCANNED_ROWS: usize = 1_024;
/// Looking up that a member does not match costs this part of a distance.
const TESTS_PER_DISTANCE: usize = 16;

impl VectorIndex for Ivf {
    fn description(&self) -> &Description {
        &self.opened.description
    }

    fn search(&self, query: Vectors<'_>, options: &SearchOptions<'_>, scratch: &mut Scratch, hits: &mut Vec<Hit>) -> Result<SearchStats> {
        self.opened.check(query, options)?;
        let scorer = self.opened.scorer(query, options.rows);
        if self.scan_is_cheaper(options) {
            let distances = self.opened.scan_top(&scorer, options, &mut scratch.top, hits)?;
            return Ok(SearchStats { distances, hops: 0, strategy: Strategy::Scan });
        }
        let rows = self.opened.rows(options);
        let Scratch { top, found, .. } = scratch;
        let mut lists = NearestLists::rank(self, query, found);
        let mut stats = SearchStats { distances: self.lists() as u64, hops: 0, strategy: Strategy::Probe };
        top.reset(options.k);
        let reading = Reading { index: self, rows, scorer: &scorer, coded: self.coded(query) };
        let nprobe = options.params.nprobe;
        let enough = self.enough(options);
        let (mut matching_lists, mut compared) = (0, 0);
        while let Some(list) = lists.next(nprobe) {
            if matching_lists >= nprobe && compared >= enough && top.len() >= options.k {
                break;
            }
            let start = top.limit();
            let read = reading.list(list, start, |slots, distances| {
                top.offer_all(slots, distances);
                top.limit()
            });
            matching_lists += usize::from(read.matching > 0);
            compared += read.matching;
            stats.distances += read.distances;
            stats.hops += 1;
            options.check_cancelled()?;
        }
        opened::append(top.sorted(), rows, hits);
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
        let scorer = self.opened.scorer(query, options.rows);
        let rows = self.opened.rows(options);
        let mut stats = SearchStats::default();
        if self.scan_is_cheaper(options) {
            stats.distances = scan_range(&self.opened.scan(options), &scorer, range, options.k, scratch)?;
            opened::append(scratch.top.sorted(), rows, hits);
            return Ok(stats);
        }
        stats.strategy = Strategy::Probe;
        stats.distances = self.lists() as u64;
        let Scratch { top, found, .. } = scratch;
        let mut lists = NearestLists::rank(self, query, found);
        top.reset(options.k);
        let reading = Reading { index: self, rows, scorer: &scorer, coded: self.coded(query) };
        let (nprobe, enough) = (options.params.nprobe, self.enough(options));
        let (mut matching_lists, mut compared, mut empty) = (0, 0, 0);
        while let Some(list) = lists.next(nprobe) {
            if matching_lists >= nprobe && compared >= enough && empty > options.params.max_empty_result_buckets {
                break;
            }
            let mut any = false;
            let read = reading.list(list, range.below, |slots, distances| {
                for (&slot, &distance) in slots.iter().zip(distances).filter(|(_, distance)| range.contains(**distance)) {
                    any = true;
                    top.offer(Neighbor::new(distance, slot));
                }
                range.below
            });
            // A list of which the filter left nothing says nothing about the range.
            empty = match (any, read.matching) {
                (true, _) => 0,
                (false, 0) => empty,
                (false, _) => empty + 1,
            };
            matching_lists += usize::from(read.matching > 0);
            compared += read.matching;
            stats.distances += read.distances;
            stats.hops += 1;
            options.check_cancelled()?;
        }
        opened::append(top.sorted(), rows, hits);
        Ok(stats)
    }

    fn cursor(self: Arc<Self>, query: Vectors<'_>, params: &SearchParams) -> Result<Box<dyn Cursor>> {
        self.opened.check_query(query)?;
        Ok(Box::new(IvfCursor { query: query.to_owned(), nprobe: params.nprobe, index: self, state: State::Start }))
    }
}

impl Ivf {
    fn lists(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Rows that a search compares with at least. Lists without a match do not count as read, so `nprobe` lists with matches are;
    /// that is enough where the filter has nothing to do with the vectors. One that has may leave the matches far from the query,
    /// where all lists are about as far away and their order says little: then more rows must be compared than lie in as many
    /// lists on average. Taken is the geometric mean of those and of what the same search without a filter compares with.
    fn enough(&self, options: &SearchOptions<'_>) -> u64 {
        let (lists, vectors) = (self.lists(), self.opened.description.vectors);
        let admitted = self.opened.admitted(options).min(vectors);
        if admitted >= vectors / 2 {
            return 0;
        }
        let root = (admitted as f64 * vectors as f64).sqrt();
        (root * options.params.nprobe.min(lists) as f64 / lists as f64).ceil() as u64
    }

    /// Whether comparing with every matching row takes no more than ranking the lists and reading `nprobe` of them.
    fn scan_is_cheaper(&self, options: &SearchOptions<'_>) -> bool {
        let (lists, vectors) = (self.lists(), self.opened.description.vectors);
        let admitted = self.opened.admitted(options).min(vectors);
        let probed = |rows: usize| (rows as u64 * options.params.nprobe.min(lists) as u64 / lists.max(1) as u64) as usize;
        let probing = lists + probed(admitted).max(self.enough(options) as usize) + probed(vectors) / TESTS_PER_DISTANCE;
        admitted <= options.k.max(SCANNED_ROWS) || admitted <= probing
    }

    fn coded(&self, query: Vectors<'_>) -> Option<CodedQuery<'_>> {
        self.codes.as_ref().map(|codes| codes.query(&self.opened, query))
    }
}

/// Reads lists for one query.
struct Reading<'a> {
    index: &'a Ivf,
    rows: Rows<'a>,
    scorer: &'a Scorer<'a>,
    coded: Option<CodedQuery<'a>>,
}

/// What reading a list came to.
#[derive(Clone, Copy)]
struct Read {
    /// Members that match.
    matching: u64,
    /// Members that were compared; codes rule some out.
    distances: u64,
}

impl Reading<'_> {
    /// Hands the matching members of a list with their distances to `sink`, those left out that are farther than a limit: the one
    /// given, later the one that `sink` last gave back.
    fn list(&self, list: u32, mut limit: f32, mut sink: impl FnMut(&[u32], &[f32]) -> f32) -> Read {
        let vectors = self.index.opened.description.vectors as u32;
        let (start, end) = (self.index.offsets[list as usize] as usize, self.index.offsets[list as usize + 1] as usize);
        let (mut slots, mut distances) = ([0u32; SCAN_STEP], [0f32; SCAN_STEP]);
        let mut read = Read { matching: 0, distances: 0 };
        for from in (start..end).step_by(SCAN_STEP) {
            let members = &self.index.members[from..end.min(from + SCAN_STEP)];
            let near = &mut distances[..members.len()];
            match &self.coded {
                Some(coded) if limit < f32::INFINITY => coded.may_be_near(list, from, members, limit, near),
                _ => near.fill(0.0),
            }
            let mut count = 0;
            for (&slot, near) in members.iter().zip(near) {
                // A damaged file may name any slot.
                let matches = slot < vectors && self.rows.allows(slot);
                read.matching += u64::from(matches);
                slots[count] = slot;
                count += usize::from(matches && !near.is_nan());
            }
            let distances = &mut distances[..count];
            self.scorer.score(&slots[..count], distances);
            limit = sink(&slots[..count], distances);
            read.distances += count as u64;
        }
        read
    }
}

/// The lists in order of their centroids' distance, the first `nprobe` ready before the others are sorted.
struct NearestLists<'a> {
    ranked: &'a mut Vec<Neighbor>,
    sorted: usize,
    next: usize,
}

impl<'a> NearestLists<'a> {
    fn rank(index: &Ivf, query: Vectors<'_>, ranked: &'a mut Vec<Neighbor>) -> Self {
        ranked.clear();
        let centroids = index.centroids.vectors(query.dim());
        let mut widened = Vec::new();
        let query = match query {
            Vectors::F32(_) | Vectors::Bits(_) => query,
            _ => {
                query.widen(0, &mut widened);
                Vectors::f32(query.dim(), &widened)
            }
        };
        let scorer = Scorer::new(index.centroid_space, query, centroids, None);
        let mut distances = [0.0; SCAN_STEP];
        for start in (0..centroids.len()).step_by(SCAN_STEP) {
            let out = &mut distances[..SCAN_STEP.min(centroids.len() - start)];
            scorer.score_run(start as u32, out);
            ranked.extend(out.iter().enumerate().map(|(i, &distance)| Neighbor::new(distance, (start + i) as u32)));
        }
        Self { ranked, sorted: 0, next: 0 }
    }

    fn next(&mut self, nprobe: usize) -> Option<u32> {
        if self.next == self.sorted {
            let rest = &mut self.ranked[self.sorted..];
            if self.sorted == 0 && nprobe < rest.len() {
                rest.select_nth_unstable(nprobe);
                rest[..nprobe].sort_unstable();
                self.sorted = nprobe;
            } else {
                rest.sort_unstable();
                self.sorted = self.ranked.len();
            }
        }
        let list = self.ranked.get(self.next)?.id();
        self.next += 1;
        Some(list)
    }
}

struct IvfCursor {
    index: Arc<Ivf>,
    query: OwnedVectors,
    nprobe: usize,
    state: State,
}

enum State {
    Start,
    Scan(ResumedScan),
    Probe(Probing),
}

/// The lists still to be read, farthest first, and the rows read but not yet handed out.
struct Probing {
    unread: Vec<u32>,
    pending: BinaryHeap<Reverse<Neighbor>>,
}

impl Cursor for IvfCursor {
    fn advance(&mut self, options: &SearchOptions<'_>, scratch: &mut Scratch, hits: &mut Vec<Hit>) -> Result<SearchStats> {
        let Self { index, query, nprobe, state } = self;
        let query = query.borrowed();
        index.opened.check(query, options)?;
        let scorer = index.opened.scorer(query, options.rows);
        let mut stats = SearchStats::default();
        if matches!(state, State::Start) {
            *state = if index.scan_is_cheaper(options) {
                State::Scan(ResumedScan::default())
            } else {
                let mut lists = NearestLists::rank(index, query, &mut scratch.found);
                let mut unread: Vec<u32> = std::iter::from_fn(|| lists.next(usize::MAX)).collect();
                unread.reverse();
                stats.distances = index.lists() as u64;
                State::Probe(Probing { unread, pending: BinaryHeap::new() })
            };
        }
        match state {
            State::Start => Ok(stats),
            State::Scan(scan) => scan.advance(&index.opened.scan(options), &scorer, options.k, hits),
            State::Probe(probing) => {
                stats.strategy = Strategy::Probe;
                let rows = index.opened.rows(options);
                let reading = Reading { index, rows, scorer: &scorer, coded: None };
                let mut matching_lists = 0;
                while matching_lists < *nprobe || probing.pending.len() < options.k {
                    let Some(list) = probing.unread.pop() else { break };
                    stats.hops += 1;
                    let read = reading.list(list, f32::INFINITY, |slots, distances| {
                        let read = slots.iter().zip(distances);
                        probing.pending.extend(read.map(|(&slot, &distance)| Reverse(Neighbor::new(distance, slot))));
                        f32::INFINITY
                    });
                    matching_lists += usize::from(read.matching > 0);
                    stats.distances += read.distances;
                    check_cancelled(options.cancelled)?;
                }
                for Reverse(neighbor) in std::iter::from_fn(|| probing.pending.pop()).take(options.k) {
                    opened::append(&[neighbor], rows, hits);
                }
                Ok(stats)
            }
        }
    }

    fn memory_bytes(&self) -> usize {
        let state = match &self.state {
            State::Start => 0,
            State::Scan(scan) => scan.memory_bytes(),
            State::Probe(probing) => probing.unread.capacity() * size_of::<u32>() + probing.pending.capacity() * size_of::<Neighbor>(),
        };
        self.query.memory_bytes() + state
    }
}
