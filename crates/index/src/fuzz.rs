//! The fuzz target of the index container: any bytes go in, no panic comes out.

use std::sync::Arc;

use bytes::Bytes;
use types::blob::MemoryBlob;

use crate::file::scrub;
use crate::params::SearchParams;
use crate::registry;
use crate::scratch::Scratch;
use crate::search::{Description, SearchOptions, VectorIndex};
use crate::space::Range;
use crate::sparse::SparseVectors;
use crate::vectors::{Element, VectorRows, Vectors};

/// Larger indexes are opened but not searched: a header may claim any number of vectors.
const SEARCHED_BYTES_MAX: usize = 1 << 22;
/// Pairs of each made-up sparse vector.
const PAIRS: usize = 4;

/// Opens `bytes` as an index file, checks it, and searches it in every way over made-up vectors. Returns whether it opened.
pub fn fuzz_open(bytes: &[u8]) -> bool {
    let blob = MemoryBlob::new("fuzz", Bytes::copy_from_slice(bytes));
    let _sound = scrub(&blob).is_ok();
    let Ok(index) = registry::open(&blob) else {
        return false;
    };
    let description = index.description().clone();
    let each = description.element.vector_bytes(description.dim).max(8 * PAIRS);
    if description.vectors.saturating_mul(each) <= SEARCHED_BYTES_MAX {
        search_every_way(&index, &MadeUp::new(&description));
    }
    true
}

/// Errors are fine here: only a panic is a finding.
fn search_every_way(index: &Arc<dyn VectorIndex>, made_up: &MadeUp) {
    let segment_rows = made_up.segment_rows;
    let row_map: Vec<u32> = (0..made_up.vectors as u32).collect();
    let rows = VectorRows::with_row_map(made_up.vectors(made_up.vectors), &row_map, segment_rows);
    let query = made_up.vectors(1);
    let mut scratch = Scratch::new();
    for (k, drop_ratio) in [(1, 0.0), (10, 0.5), (1000, 0.0)] {
        let params = SearchParams { ef: 32, nprobe: 4, max_empty_result_buckets: 2, drop_ratio };
        let options = SearchOptions { k, params: &params, filter: None, rows, cancelled: None };
        let mut hits = Vec::new();
        let _ = index.search(query, &options, &mut scratch, &mut hits);
        let range = Range { from: f32::NEG_INFINITY, below: 1.0 };
        let _ = index.range_search(query, range, &options, &mut scratch, &mut hits);
        if let Ok(mut cursor) = index.clone().cursor(query, &params) {
            let _ = cursor.advance(&options, &mut scratch, &mut hits);
            let _ = cursor.advance(&options, &mut scratch, &mut hits);
        }
        assert!(hits.iter().all(|hit| (hit.row as usize) < segment_rows), "a hit lies outside of the segment");
    }
}

/// Vectors of any kind, and at least one.
struct MadeUp {
    element: Element,
    dim: usize,
    vectors: usize,
    segment_rows: usize,
    floats: Vec<f32>,
    halves: Vec<u16>,
    bytes: Vec<u8>,
    /// For sparse vectors.
    offsets: Vec<u32>,
    indices: Vec<u32>,
}

impl MadeUp {
    fn new(description: &Description) -> Self {
        let Description { element, dim, vectors, segment_rows, .. } = *description;
        let each = if element == Element::Sparse { PAIRS } else { dim };
        let count = vectors.max(1) * each;
        let of = |wanted: &[Element]| if wanted.contains(&element) { count } else { 0 };
        let byte = |i: usize| (i * 7919 % 257) as u8;
        let sparse = of(&[Element::Sparse]);
        Self {
            element,
            dim,
            vectors,
            segment_rows,
            floats: (0..of(&[Element::F32, Element::Sparse])).map(|i| f32::from(byte(i)) / 128.0 - 1.0).collect(),
            // Ordinary numbers in either format.
            halves: (0..of(&[Element::F16, Element::Bf16])).map(|i| 0x3a00 | u16::from(byte(i))).collect(),
            bytes: (0..of(&[Element::I8, Element::Bits])).map(byte).collect(),
            offsets: (0..=vectors.max(1) as u32).map(|slot| slot * PAIRS as u32).collect(),
            indices: (0..sparse as u32).map(|i| i % PAIRS as u32 * 3 + i / PAIRS as u32 % 3).collect(),
        }
    }

    /// The first `count`.
    fn vectors(&self, count: usize) -> Vectors<'_> {
        let values = count * self.dim;
        match self.element {
            Element::F32 => Vectors::f32(self.dim, &self.floats[..values]),
            Element::F16 => Vectors::f16(self.dim, &self.halves[..values]),
            Element::Bf16 => Vectors::bf16(self.dim, &self.halves[..values]),
            Element::I8 => Vectors::i8(self.dim, bytemuck::cast_slice(&self.bytes[..values])),
            Element::Bits => Vectors::bits(self.dim, &self.bytes[..values / 8]),
            Element::Sparse => Vectors::Sparse(SparseVectors::new(&self.offsets[..=count], &self.indices, &self.floats)),
        }
    }
}
