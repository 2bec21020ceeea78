//! Resumed searches: every matching row once, near ones first.

use std::collections::BTreeSet;

use index::params::{IndexKind, SearchParams};
use index::{Hit, Scratch, SearchOptions};
use types::index_params::Metric;

use crate::data::*;

#[test]
fn every_row_comes_once() {
    let column = Column::clustered(2_500, 10, SEED);
    let rows = column.rows();
    let queries = column.queries(4, SEED);
    for kind in KINDS {
        for metric in METRICS {
            let index = built(kind, metric, rows);
            for share in [1.0, 0.95, 0.5, 0.05, 0.0] {
                let filter = random_filter(2_500, share, SEED);
                for query in &queries {
                    let params = SearchParams { ef: 40, nprobe: 4, ..SearchParams::default() };
                    let mut cursor = index.clone().cursor(floats(query), &params).expect("a cursor");
                    let mut scratch = Scratch::new();
                    let mut all: Vec<Hit> = Vec::new();
                    for k in [1, 10, 100, 7].into_iter().cycle() {
                        let options = SearchOptions { k, params: &params, filter: Some(&filter), rows, cancelled: None };
                        let mut hits = Vec::new();
                        cursor.advance(&options, &mut scratch, &mut hits).expect("an advance");
                        assert!(hits.is_sorted_by(|a, b| (a.distance, a.row) < (b.distance, b.row)));
                        all.extend(&hits);
                        if hits.len() < k {
                            break;
                        }
                    }
                    let context = format!("{} {metric} share {share} seed {SEED}", kind.name());
                    assert!(cursor.memory_bytes() > 0);
                    let seen: BTreeSet<usize> = all.iter().map(|hit| hit.row as usize).collect();
                    assert_eq!(seen.len(), all.len(), "{context}: a row came twice");
                    assert!(seen.into_iter().eq(filter.iter_ones()), "{context}: rows are missing");
                    let expected = exact(metric, rows, Ask { query: floats(query), k: usize::MAX, filter: Some(&filter) });
                    if kind == IndexKind::Flat {
                        assert_eq!(all, expected, "{context}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_first_calls_are_as_good_as_a_search() {
    let column = Column::clustered(10_000, 16, SEED);
    let rows = column.rows();
    let queries = column.queries(30, SEED);
    for kind in KINDS {
        let index = built(kind, Metric::L2, rows);
        let params = SearchParams { ef: 100, nprobe: 16, ..SearchParams::default() };
        let mut sum = 0.0;
        for query in &queries {
            let mut cursor = index.clone().cursor(floats(query), &params).expect("a cursor");
            let mut hits = Vec::new();
            let options = SearchOptions { k: 10, params: &params, filter: None, rows, cancelled: None };
            for _ in 0..5 {
                cursor.advance(&options, &mut Scratch::new(), &mut hits).expect("an advance");
            }
            sum += recall(&hits, &exact(Metric::L2, rows, Ask { query: floats(query), k: 50, filter: None }));
        }
        let mean = sum / queries.len() as f64;
        assert!(mean > 0.95, "{}: {mean}", kind.name());
    }
}
