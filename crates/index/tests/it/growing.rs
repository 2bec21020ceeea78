//! Columns without an index: in chunks, and longer than the filter that looks at them.

use index::flat::{self, Column as Searched};
use index::{Range, Scratch, SearchOptions, SliceRows, Space, VectorRows};
use types::bitset::Bitset;

use crate::data::*;

/// A column as a growing segment keeps it: in chunks of a fixed number of rows, the last one partly filled.
struct Chunks {
    dim: usize,
    chunk_rows: usize,
    chunks: Vec<Vec<f32>>,
}

impl Chunks {
    fn of(column: &Column, chunk_rows: usize) -> Self {
        let chunks = column.values.chunks(chunk_rows * column.dim).map(<[f32]>::to_vec).collect();
        Self { dim: column.dim, chunk_rows, chunks }
    }
}

impl VectorRows for Chunks {
    fn dim(&self) -> usize {
        self.dim
    }

    fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len() / self.dim).sum()
    }

    fn vector(&self, slot: u32) -> &[f32] {
        let (chunk, row) = (slot as usize / self.chunk_rows, slot as usize % self.chunk_rows);
        &self.chunks[chunk][row * self.dim..(row + 1) * self.dim]
    }
}

#[test]
fn chunks_answer_as_one_piece_does() {
    let column = Column::clustered(1_000, 19, SEED);
    let chunks = Chunks::of(&column, 64);
    let queries = column.queries(10, SEED);
    let filters = [None, Some(random_filter(1_000, 0.4, SEED)), Some(random_filter(700, 0.9, SEED)), Some(Bitset::zeros(0))];
    let mut scratch = Scratch::new();
    for metric in METRICS {
        let norms: Vec<f32> = (0..1_000).map(|slot| Space::new(metric).inverse_norm(chunks.vector(slot))).collect();
        for query in &queries {
            for filter in &filters {
                // A filter that is shorter than the column hides what lies behind its end.
                let seen = filter.as_ref().map_or(1_000, Bitset::len);
                let visible = SliceRows::new(19, &column.values[..seen * 19]);
                let ask = Ask { query, k: 25, filter: filter.as_ref() };
                let expected = exact(metric, &visible, ask);
                for inverse_norms in [None, Some(&norms[..])] {
                    let searched = Searched { space: Space::new(metric), rows: &chunks, inverse_norms };
                    let params = params_of(KINDS[0], 25);
                    let options = SearchOptions { k: 25, params: &params, filter: filter.as_ref(), rows: &chunks, cancelled: None };
                    let mut hits = Vec::new();
                    flat::search(searched, query, &options, &mut scratch, &mut hits).expect("a search");
                    assert_eq!(hits, expected, "{metric}");

                    let mut batch = vec![Vec::new(); 2];
                    flat::search_batch(searched, &[&query[..], query].concat(), &options, &mut scratch, &mut batch).expect("a search");
                    assert_eq!(batch, [expected.clone(), expected.clone()], "{metric}");

                    if let [.., near, far] = &expected[..] {
                        let range = Range { from: near.distance, below: far.distance };
                        hits.clear();
                        flat::range_search(searched, query, range, &options, &mut scratch, &mut hits).expect("a search");
                        assert!(hits.iter().all(|hit| range.contains(hit.distance)));
                        assert!(hits.first().is_none_or(|hit| hit.distance == near.distance));
                    }
                    let mut cursor = flat::cursor(Space::new(metric), query);
                    hits.clear();
                    for _ in 0..2 {
                        let options = SearchOptions { k: 12, ..options };
                        cursor.advance(&options, &mut scratch, &mut hits).expect("a search");
                    }
                    assert_eq!(hits, expected[..expected.len().min(24)], "{metric}");
                }
            }
        }
    }
}
