//! Columns without an index, and longer than the filter that looks at them.

use index::flat::{self, Column as Searched};
use index::{Range, Scratch, SearchOptions, Space, VectorRows, Vectors};
use types::bitset::Bitset;

use crate::data::*;

#[test]
fn a_column_answers_as_its_index_would() {
    let column = Column::clustered(1_000, 19, SEED);
    let rows = column.rows();
    let queries = column.queries(10, SEED);
    let filters = [None, Some(random_filter(1_000, 0.4, SEED)), Some(random_filter(700, 0.9, SEED)), Some(Bitset::zeros(0))];
    let mut scratch = Scratch::new();
    for metric in METRICS {
        let norms: Vec<f32> = (0..1_000).map(|slot| Space::new(metric).inverse_norm(rows.vectors(), slot)).collect();
        for query in &queries {
            for filter in &filters {
                // A filter that is shorter than the column hides what lies behind its end.
                let seen = filter.as_ref().map_or(1_000, Bitset::len);
                let visible = VectorRows::new(Vectors::f32(19, &column.values[..seen * 19]));
                let ask = Ask { query: floats(query), k: 25, filter: filter.as_ref() };
                let expected = exact(metric, visible, ask);
                for inverse_norms in [None, Some(&norms[..])] {
                    let searched = Searched { space: Space::new(metric), rows, inverse_norms };
                    let params = params_of(KINDS[0], 25);
                    let options = SearchOptions { k: 25, params: &params, filter: filter.as_ref(), rows, cancelled: None };
                    let mut hits = Vec::new();
                    flat::search(searched, floats(query), &options, &mut scratch, &mut hits).expect("a search");
                    assert_eq!(hits, expected, "{metric}");

                    let mut batch = vec![Vec::new(); 2];
                    flat::search_batch(searched, Vectors::f32(19, &[&query[..], query].concat()), &options, &mut scratch, &mut batch)
                        .expect("a search");
                    assert_eq!(batch, [expected.clone(), expected.clone()], "{metric}");

                    if let [.., near, far] = &expected[..] {
                        let range = Range { from: near.distance, below: far.distance };
                        hits.clear();
                        flat::range_search(searched, floats(query), range, &options, &mut scratch, &mut hits).expect("a search");
                        assert!(hits.iter().all(|hit| range.contains(hit.distance)));
                        assert!(hits.first().is_none_or(|hit| hit.distance == near.distance));
                    }
                    let mut cursor = flat::cursor(Space::new(metric), floats(query));
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
