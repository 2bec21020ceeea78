//! Range search: bounds to the bit, limits, and recall.

use index::params::{IndexKind, Purpose, SearchParams};
use index::{Hit, Range, Scratch, SearchOptions};
use types::index_params::Metric;

use crate::data::*;

#[test]
fn every_type_and_metric() {
    let column = Column::clustered(8_000, 16, SEED);
    let rows = column.rows();
    let queries = column.queries(30, SEED);
    let filter = random_filter(8_000, 0.5, SEED);
    for metric in METRICS {
        for kind in KINDS {
            let index = built(kind, metric, rows);
            let params = SearchParams::defaults(kind, Purpose::Range);
            let mut found_and_there = (0, 0);
            for query in &queries {
                for filter in [None, Some(&filter)] {
                    let all = exact(metric, rows, Ask { query: floats(query), k: 400, filter });
                    // From the 50th to the 300th: bounds are distances that occur.
                    let range = Range { from: all[50].distance, below: all[300].distance };
                    let expected: Vec<Hit> = all.iter().filter(|hit| range.contains(hit.distance)).copied().collect();
                    for k in [20, 1_000] {
                        let options = SearchOptions { k, params: &params, filter, rows, cancelled: None };
                        let mut hits = Vec::new();
                        index.range_search(floats(query), range, &options, &mut Scratch::new(), &mut hits).expect("a search");
                        let context = format!("{} {metric} k {k}", kind.name());
                        assert!(hits.len() <= k, "{context}");
                        assert!(hits.is_sorted_by(|a, b| (a.distance, a.row) < (b.distance, b.row)), "{context}");
                        assert!(hits.iter().all(|hit| expected.contains(hit)), "{context}");
                        if kind == IndexKind::Flat {
                            assert_eq!(hits, expected[..k.min(expected.len())], "{context}");
                        }
                        found_and_there.0 += hits.len();
                        found_and_there.1 += k.min(expected.len());
                    }
                }
            }
            let recall = found_and_there.0 as f64 / found_and_there.1 as f64;
            let floor = if metric == Metric::Ip { 0.85 } else { 0.9 };
            assert!(recall >= floor, "{} {metric}: {recall}", kind.name());
        }
    }
}

#[test]
fn nothing_and_everything() {
    let column = Column::clustered(3_000, 8, SEED);
    let rows = column.rows();
    for kind in KINDS {
        let index = built(kind, Metric::L2, rows);
        let params = SearchParams::defaults(kind, Purpose::Range);
        let options = SearchOptions { k: 10_000, params: &params, filter: None, rows, cancelled: None };
        let ranges = [(0.0, 0.0, 0), (f32::NEG_INFINITY, 0.0, 0), (f32::NAN, f32::NAN, 0)];
        for (from, below, expected) in ranges {
            let mut hits = Vec::new();
            index.range_search(floats(&[9.0; 8]), Range { from, below }, &options, &mut Scratch::new(), &mut hits).expect("a search");
            assert_eq!(hits.len(), expected, "{} [{from}, {below})", kind.name());
        }
        let mut hits = Vec::new();
        let everything = Range { from: f32::NEG_INFINITY, below: f32::INFINITY };
        index.range_search(floats(&[0.5; 8]), everything, &options, &mut Scratch::new(), &mut hits).expect("a search");
        assert_eq!(hits.len(), 3_000, "{}", kind.name());
    }
}
