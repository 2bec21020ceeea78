//! Columns that are small, odd or partly null, and callers that make mistakes or go away.

use std::sync::atomic::AtomicBool;

use base::cpu::CpuPool;
use index::params::{BuildParams, IndexKind, SearchParams};
use index::space::score_of;
use index::{BuildContext, Progress, Range, Scratch, SearchOptions, VectorRows, Vectors, build};
use types::Code;
use types::bitset::Bitset;
use types::index_params::Metric;

use crate::data::*;

#[test]
fn few_rows_and_large_k() {
    for kind in KINDS {
        for metric in METRICS {
            for vectors in [0, 1, 2, 3, 10, 40, 100] {
                for dim in [1, 2, 7, 65] {
                    let column = Column::clustered(vectors, dim, SEED);
                    let rows = column.rows();
                    let index = built(kind, metric, rows);
                    let query = vec![0.5; dim];
                    let filters = [None, Some(Bitset::zeros(vectors)), Some(Bitset::from_fn(vectors, |row| row % 3 == 1))];
                    for filter in &filters {
                        for k in [0, 1, 5, 1000] {
                            let ask = Ask { query: floats(&query), k, filter: filter.as_ref() };
                            let (hits, _) = found(&index, rows, ask, &params_of(kind, k.max(1)));
                            check_sound(&hits, metric, rows, ask, &format!("{} {metric} {vectors} × {dim}", kind.name()));
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_vector_that_is_there_many_times() {
    // A third of all rows are copies of one vector; the others must still be found, and the copies too.
    let mut column = Column::clustered(3_000, 8, SEED);
    for row in (0..3_000).filter(|row| row % 3 == 0) {
        column.values[row * 8..(row + 1) * 8].fill(0.25);
    }
    let rows = column.rows();
    let queries = column.queries(40, SEED);
    for kind in KINDS {
        for metric in METRICS {
            let index = built(kind, metric, rows);
            let params = SearchParams { ef: 100, nprobe: 32, ..SearchParams::default() };
            let mut sum = 0.0;
            for query in queries.iter().chain([&vec![0.25; 8]]) {
                let ask = Ask { query: floats(query), k: 10, filter: None };
                let (hits, _) = found(&index, rows, ask, &params);
                check_sound(&hits, metric, rows, ask, kind.name());
                sum += recall(&hits, &exact(metric, rows, ask));
            }
            let mean = sum / 41.0;
            assert!(mean > 0.95, "{} {metric}: {mean}", kind.name());
        }
    }
}

#[test]
fn all_rows_alike() {
    let values = vec![1.5; 4 * 2_000];
    let rows = VectorRows::new(Vectors::f32(4, &values));
    for kind in KINDS {
        for metric in METRICS {
            let index = built(kind, metric, rows);
            let ask = Ask { query: floats(&[1.0, 2.0, 3.0, 4.0]), k: 50, filter: None };
            let (hits, _) = found(&index, rows, ask, &params_of(kind, 50));
            check_sound(&hits, metric, rows, ask, kind.name());
            if kind == IndexKind::Flat {
                assert!(hits.iter().map(|hit| hit.row).eq(0..50), "ties go to the smaller row");
            }
        }
    }
}

#[test]
fn vectors_without_direction() {
    let mut column = Column::clustered(500, 6, SEED);
    column.values[..6 * 100].fill(0.0);
    let rows = column.rows();
    for kind in KINDS {
        let index = built(kind, Metric::Cosine, rows);
        let zero = [0.0; 6];
        let ask = Ask { query: floats(&zero), k: 500, filter: None };
        let (hits, _) = found(&index, rows, ask, &params_of(kind, 500));
        assert!(hits.len() == 500 && hits.iter().all(|hit| score_of(Metric::Cosine, hit.distance).to_bits() == 0));
        let ask = Ask { query: floats(&[1.0; 6]), k: 500, filter: None };
        let (hits, _) = found(&index, rows, ask, &params_of(kind, 500));
        for hit in hits {
            let score = score_of(Metric::Cosine, hit.distance);
            assert!((-1.000_001..=1.000_001).contains(&score));
            assert!(hit.row >= 100 && hit.row != 5 || score == 0.0, "row {} has score {score}", hit.row);
        }
    }
}

#[test]
fn infinite_and_undefined_numbers_do_no_harm() {
    let mut column = Column::clustered(400, 5, SEED);
    for (row, poison) in [(7, f32::NAN), (8, f32::INFINITY), (9, f32::NEG_INFINITY), (10, f32::MAX), (11, f32::MIN_POSITIVE)] {
        column.values[row * 5 + 2] = poison;
    }
    let rows = column.rows();
    for kind in KINDS {
        for metric in METRICS {
            let index = built(kind, metric, rows);
            for query in [[0.1; 5], [f32::NAN; 5], [f32::MAX; 5], [f32::NEG_INFINITY; 5]] {
                let ask = Ask { query: floats(&query), k: 400, filter: None };
                let (hits, _) = found(&index, rows, ask, &params_of(kind, 400));
                let mut seen: Vec<u32> = hits.iter().map(|hit| hit.row).collect();
                seen.sort_unstable();
                assert!(seen.into_iter().eq(0..400), "{} {metric}", kind.name());
            }
        }
    }
}

#[test]
fn null_rows_take_no_slot() {
    let column = Column::clustered(4_000, 12, SEED);
    // Every third row of the segment is null.
    let map: Vec<u32> = (0..4_000).map(|slot| slot + slot / 2).collect();
    let segment_rows = 6_001;
    let rows = VectorRows::with_row_map(Vectors::f32(12, &column.values), &map, segment_rows);
    let queries = column.queries(20, SEED);
    for kind in KINDS {
        for metric in METRICS {
            let index = built(kind, metric, rows);
            assert_eq!((index.description().vectors, index.description().segment_rows), (4_000, segment_rows));
            let mut sum = 0.0;
            let filters = [None, Some(0.9), Some(0.4), Some(0.05), Some(0.002)];
            for share in filters {
                let filter = share.map(|share| random_filter(segment_rows, share, SEED));
                for query in &queries {
                    let ask = Ask { query: floats(query), k: 10, filter: filter.as_ref() };
                    let params = SearchParams { ef: 80, nprobe: 32, ..SearchParams::default() };
                    let (hits, _) = found(&index, rows, ask, &params);
                    check_sound(&hits, metric, rows, ask, kind.name());
                    sum += recall(&hits, &exact(metric, rows, ask));
                }
            }
            let mean = sum / (filters.len() * queries.len()) as f64;
            assert!(mean > 0.95, "{} {metric}: {mean}", kind.name());
        }
    }
}

#[test]
fn what_does_not_belong_to_the_index_is_refused() {
    let column = Column::clustered(100, 4, SEED);
    let rows = column.rows();
    let short = VectorRows::new(Vectors::f32(4, &column.values[..40]));
    let other = VectorRows::new(Vectors::f32(2, &column.values[..200]));
    let filter = Bitset::ones(99);
    for kind in KINDS {
        let index = built(kind, Metric::L2, rows);
        let params = params_of(kind, 5);
        let cases: [(&[f32], VectorRows<'_>, Option<&Bitset>); 4] =
            [(&[0.0; 3], rows, None), (&[0.0; 4], short, None), (&[0.0; 4], other, None), (&[0.0; 4], rows, Some(&filter))];
        for (query, rows, filter) in cases {
            let options = SearchOptions { k: 5, params: &params, filter, rows, cancelled: None };
            let mut scratch = Scratch::new();
            let mut hits = Vec::new();
            let range = Range { from: 0.0, below: 1.0 };
            let searched = index.search(floats(query), &options, &mut scratch, &mut hits).map(drop);
            let ranged = index.range_search(floats(query), range, &options, &mut scratch, &mut hits).map(drop);
            let resumed = index.clone().cursor(floats(query), &params);
            let resumed = resumed.and_then(|mut cursor| cursor.advance(&options, &mut scratch, &mut hits)).map(drop);
            for result in [searched, ranged, resumed] {
                assert_eq!(result.expect_err("a mistake").code(), Code::INTERNAL);
            }
            assert!(hits.is_empty());
        }
    }
}

#[test]
fn callers_may_go_away() {
    let column = Column::clustered(2_000, 4, SEED);
    let rows = column.rows();
    let gone = AtomicBool::new(true);
    for kind in KINDS {
        let index = built(kind, Metric::L2, rows);
        let params = params_of(kind, 5);
        let options = SearchOptions { k: 5, params: &params, filter: None, rows, cancelled: Some(&gone) };
        let error = index.search(floats(&[0.0; 4]), &options, &mut Scratch::new(), &mut Vec::new()).expect_err("cancelled");
        assert_eq!(error.code(), Code::CANCELED);
        let progress = Progress::new();
        progress.cancel();
        let context = BuildContext { pool: &CpuPool::inline(), seed: 1, progress: &progress };
        let params = BuildParams { kind, metric: Metric::L2, structure: structure(kind) };
        assert_eq!(build::build(&params, rows, &context).expect_err("cancelled").code(), Code::CANCELED);
    }
}

#[test]
fn a_build_stays_within_its_estimate() {
    let column = Column::clustered(3_000, 16, SEED);
    for kind in KINDS {
        let params = BuildParams { kind, metric: Metric::Cosine, structure: structure(kind) };
        let bytes = build_bytes(&params, column.rows(), 1, SEED);
        let estimate = build::memory_bytes(&params, column.rows().vectors());
        assert!(estimate >= bytes.len() as u64 - 1_024, "{}: {estimate} for a file of {}", kind.name(), bytes.len());
    }
}
