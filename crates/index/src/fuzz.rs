//! The fuzz target of the index container: any bytes go in, no panic comes out.

use std::sync::Arc;

use bytes::Bytes;
use types::blob::MemoryBlob;

use crate::file::scrub;
use crate::params::SearchParams;
use crate::registry;
use crate::scratch::Scratch;
use crate::search::{SearchOptions, VectorIndex};
use crate::space::Range;
use crate::vectors::VectorRows;

/// Larger indexes are opened but not searched: a header may claim any number of vectors.
const SEARCHED_FLOATS_MAX: usize = 1 << 22;

/// Opens `bytes` as an index file, checks it, and searches it in every way over made-up vectors. Returns whether it opened.
pub fn fuzz_open(bytes: &[u8]) -> bool {
    let blob = MemoryBlob::new("fuzz", Bytes::copy_from_slice(bytes));
    let _sound = scrub(&blob).is_ok();
    let Ok(index) = registry::open(&blob) else {
        return false;
    };
    let description = index.description().clone();
    if description.vectors.saturating_mul(description.dim) <= SEARCHED_FLOATS_MAX {
        let rows = MadeUp::new(description.dim, description.vectors, description.segment_rows);
        search_every_way(&index, &rows);
    }
    true
}

/// Errors are fine here: only a panic is a finding.
fn search_every_way(index: &Arc<dyn VectorIndex>, rows: &MadeUp) {
    let query = rows.vector(0).to_vec();
    let params = SearchParams { ef: 32, nprobe: 4, max_empty_result_buckets: 2 };
    let mut scratch = Scratch::new();
    for k in [1, 10, 1000] {
        let options = SearchOptions { k, params: &params, filter: None, rows, cancelled: None };
        let mut hits = Vec::new();
        let _ = index.search(&query, &options, &mut scratch, &mut hits);
        let range = Range { from: f32::NEG_INFINITY, below: 1.0 };
        let _ = index.range_search(&query, range, &options, &mut scratch, &mut hits);
        if let Ok(mut cursor) = index.clone().cursor(&query, &params) {
            let _ = cursor.advance(&options, &mut scratch, &mut hits);
            let _ = cursor.advance(&options, &mut scratch, &mut hits);
        }
        assert!(hits.iter().all(|hit| (hit.row as usize) < rows.segment_rows), "a hit lies outside of the segment");
    }
}

/// A column of a given shape that takes next to no memory.
struct MadeUp {
    dim: usize,
    vectors: usize,
    segment_rows: usize,
    values: Vec<f32>,
}

/// Different vectors before they repeat.
const DISTINCT: usize = 31;

impl MadeUp {
    fn new(dim: usize, vectors: usize, segment_rows: usize) -> Self {
        let values = (0..dim + DISTINCT).map(|i| (i * 7919 % 257) as f32 / 128.0 - 1.0).collect();
        Self { dim, vectors, segment_rows, values }
    }
}

impl VectorRows for MadeUp {
    fn dim(&self) -> usize {
        self.dim
    }

    fn len(&self) -> usize {
        self.vectors
    }

    fn vector(&self, slot: u32) -> &[f32] {
        let start = slot as usize % DISTINCT;
        &self.values[start..start + self.dim]
    }

    fn segment_rows(&self) -> usize {
        self.segment_rows
    }
}
