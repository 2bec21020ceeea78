//! Recall floors for every index type, metric and share of admitted rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use index::params::{IndexKind, SearchParams};
use index::{Scratch, SearchOptions, Strategy, VectorIndex, VectorRows, Vectors};
use types::bitset::Bitset;
use types::index_params::Metric;

use crate::data::*;

const QUERIES: usize = 50;

struct Subject<'a> {
    kind: IndexKind,
    metric: Metric,
    index: &'a Arc<dyn VectorIndex>,
    rows: VectorRows<'a>,
    queries: &'a [Vec<f32>],
}

/// Asks every query, checks every answer, and the mean recall against a floor.
fn check(subject: &Subject<'_>, k: usize, filter: Option<&Bitset>, params: &SearchParams, floor: f64) {
    let matching = filter.map_or(subject.rows.len(), Bitset::count_ones);
    let context = format!("{} {} k {k}, {matching} match, seed {SEED}", subject.kind.name(), subject.metric);
    let mut sum = 0.0;
    for query in subject.queries {
        let ask = Ask { query: floats(query), k, filter };
        let (hits, _) = found(subject.index, subject.rows, ask, params);
        check_sound(&hits, subject.metric, subject.rows, ask, &context);
        let exact = exact(subject.metric, subject.rows, ask);
        if subject.kind == IndexKind::Flat {
            assert_eq!(hits, exact, "{context}");
        }
        sum += recall(&hits, &exact);
    }
    let mean = sum / subject.queries.len() as f64;
    assert!(mean >= floor, "{context}: recall {mean}, at least {floor} expected");
}

#[test]
fn every_type_metric_and_filter() {
    let column = Column::clustered(12_000, 24, SEED);
    let rows = column.rows();
    let queries = column.queries(QUERIES, SEED);
    for metric in METRICS {
        for kind in KINDS {
            let index = built(kind, metric, rows);
            let subject = Subject { kind, metric, index: &index, rows, queries: &queries };
            // By default IVF reads 8 of 128 lists and HNSW keeps 16 candidates; with more of either recall must follow.
            let more = SearchParams { ef: 100, nprobe: 32, ..SearchParams::default() };
            let (floor, more_floor) = match (kind, metric) {
                (IndexKind::Flat, _) => (1.0, 1.0),
                (_, Metric::Ip) => (0.8, 0.95),
                _ => (0.9, 0.98),
            };
            check(&subject, 10, None, &params_of(kind, 10), floor);
            check(&subject, 10, None, &more, more_floor);
            check(&subject, 1, None, &more, more_floor);
            check(&subject, 100, None, &more, more_floor - 0.05);
            for share in [0.99, 0.5, 0.1, 0.01, 0.001] {
                let filter = random_filter(column.values.len() / column.dim, share, SEED);
                check(&subject, 10, Some(&filter), &params_of(kind, 10), floor);
                check(&subject, 10, Some(&filter), &more, more_floor);
            }
        }
    }
}

#[test]
fn a_filter_that_follows_the_vectors() {
    // Rows are admitted by their first coordinate, so most queries have no match near them.
    let column = Column::clustered(12_000, 16, SEED + 1);
    let rows = column.rows();
    let queries = column.queries(QUERIES, SEED + 1);
    for kind in KINDS {
        let index = built(kind, Metric::L2, rows);
        let subject = Subject { kind, metric: Metric::L2, index: &index, rows, queries: &queries };
        for bound in [1.0f32, 2.0, 3.0] {
            let filter = Bitset::from_fn(12_000, |row| column.values[row * 16] > bound);
            check(&subject, 10, Some(&filter), &params_of(kind, 10), 0.9);
        }
    }
}

#[test]
fn answers_are_never_short_where_only_the_farthest_rows_match() {
    let column = Column::clustered(12_000, 16, SEED + 5);
    let rows = column.rows();
    let query = &column.queries(1, SEED + 5)[0];
    let all = exact(Metric::L2, rows, Ask { query: floats(query), k: usize::MAX, filter: None });
    let farthest: BTreeSet<u32> = all[9_000..].iter().map(|hit| hit.row).collect();
    let filter = Bitset::from_fn(12_000, |row| farthest.contains(&(row as u32)));
    let least = SearchParams { ef: 1, nprobe: 1, max_empty_result_buckets: 0, ..SearchParams::default() };
    for kind in KINDS {
        let index = built(kind, Metric::L2, rows);
        for k in [1, 10, 500, 2_999] {
            let ask = Ask { query: floats(query), k, filter: Some(&filter) };
            let (hits, stats) = found(&index, rows, ask, &least);
            check_sound(&hits, Metric::L2, rows, ask, &format!("{} k {k}", kind.name()));
            assert!(kind != IndexKind::IvfFlat || k > 500 || stats.strategy == Strategy::Probe, "{k}: {stats:?}");
        }
    }
}

#[test]
fn lists_are_balanced_so_that_probes_cost_little() {
    // Random centroids and ten plain rounds compared with 1,120 vectors on average for a recall of 0.998.
    let (mut recalled, mut compared) = (0.0, 0);
    for seed in SEED..SEED + 3 {
        let column = Column::clustered(12_000, 16, seed);
        let rows = column.rows();
        let index = built(IndexKind::IvfFlat, Metric::L2, rows);
        for query in &column.queries(QUERIES, seed) {
            let ask = Ask { query: floats(query), k: 10, filter: None };
            let (hits, stats) = found(&index, rows, ask, &params_of(IndexKind::IvfFlat, 10));
            recalled += recall(&hits, &exact(Metric::L2, rows, ask)) / (3 * QUERIES) as f64;
            compared += stats.distances / (3 * QUERIES) as u64;
        }
    }
    assert!(recalled >= 0.99 && compared <= 1_060, "recall {recalled} for {compared} distances, seed {SEED}");
}

#[test]
fn strategies_are_reported_and_counted() {
    let column = Column::clustered(20_000, 16, SEED + 2);
    let rows = column.rows();
    let index = built(IndexKind::Hnsw, Metric::L2, rows);
    let query = &column.queries(1, SEED)[0];
    let params = params_of(IndexKind::Hnsw, 10);
    let strategy = |share: f64| {
        let filter = random_filter(20_000, share, SEED);
        found(&index, rows, Ask { query: floats(query), k: 10, filter: Some(&filter) }, &params).1
    };
    assert_eq!(strategy(0.9).strategy, Strategy::Graph);
    assert_eq!(strategy(0.5).strategy, Strategy::GraphInline);
    let scanned = strategy(0.001);
    assert_eq!((scanned.strategy, scanned.hops), (Strategy::Scan, 0));
    assert!(scanned.distances < 60);
    let unfiltered = found(&index, rows, Ask { query: floats(query), k: 10, filter: None }, &params).1;
    assert_eq!(unfiltered.strategy, Strategy::Graph);
    assert!(unfiltered.distances < 2_500 && unfiltered.hops >= 10, "{unfiltered:?}");
}

#[test]
fn a_batch_answers_as_its_queries_do() {
    let column = Column::clustered(3_000, 20, SEED + 3);
    let rows = column.rows();
    let queries = column.queries(9, SEED);
    let filter = random_filter(3_000, 0.3, SEED);
    for kind in KINDS {
        for metric in METRICS {
            let index = built(kind, metric, rows);
            let params = params_of(kind, 7);
            for filter in [None, Some(&filter)] {
                let options = SearchOptions { k: 7, params: &params, filter, rows, cancelled: None };
                let mut batch = vec![Vec::new(); 9];
                index.search_batch(Vectors::f32(20, &queries.concat()), &options, &mut Scratch::new(), &mut batch).expect("a search");
                for (query, hits) in queries.iter().zip(&batch) {
                    assert_eq!(
                        *hits,
                        found(&index, rows, Ask { query: floats(query), k: 7, filter }, &params).0,
                        "{} {metric}",
                        kind.name()
                    );
                }
            }
        }
    }
}

#[test]
fn a_warm_scratch_grows_no_more() {
    let column = Column::clustered(5_000, 16, SEED + 4);
    let rows = column.rows();
    let queries = column.queries(20, SEED);
    let filters: Vec<Bitset> = [0.9, 0.5, 0.2, 0.01].map(|share| random_filter(5_000, share, SEED)).into();
    for kind in KINDS {
        let index = built(kind, Metric::Cosine, rows);
        let params = SearchParams { ef: 64, nprobe: 8, ..SearchParams::default() };
        let mut scratch = Scratch::new();
        let mut hits = Vec::new();
        let mut round = |scratch: &mut Scratch| {
            for query in &queries {
                for filter in [None].into_iter().chain(filters.iter().map(Some)) {
                    hits.clear();
                    let options = SearchOptions { k: 10, params: &params, filter, rows, cancelled: None };
                    index.search(floats(query), &options, scratch, &mut hits).expect("a search");
                }
            }
        };
        round(&mut scratch);
        let warm = scratch.memory_bytes();
        round(&mut scratch);
        assert_eq!(scratch.memory_bytes(), warm, "{}", kind.name());
    }
}
