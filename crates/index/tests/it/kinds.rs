//! Every index type over every element and metric that it takes: sound answers, recall against brute force, filters, null rows,
//! ranges, cursors, batches. What holds for 32-bit floats alone is in `recall.rs` and `edges.rs`.

use std::collections::BTreeSet;

use index::params::{BuildParams, IndexKind, Purpose, SearchParams, Structure};
use index::{Element, Hit, Range, Scratch, SearchOptions, SparseVectors, VectorRows, Vectors};
use kernel::{Bf16, F16};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use types::bitset::Bitset;
use types::index_params::Metric;

use crate::data::*;

/// A column of any kind with queries near its vectors.
pub struct Made {
    pub element: Element,
    dim: usize,
    floats: [Vec<f32>; 2],
    halves: [Vec<u16>; 2],
    bytes: [Vec<u8>; 2],
    offsets: [Vec<u32>; 2],
    indices: [Vec<u32>; 2],
}

const QUERIES: usize = 12;

impl Made {
    pub fn new(element: Element, vectors: usize, dim: usize) -> Self {
        let column = Column::clustered(vectors, dim, SEED);
        let queries: Vec<f32> = if vectors == 0 { vec![0.5; QUERIES * dim] } else { column.queries(QUERIES, SEED).concat() };
        let empty = || [Vec::new(), Vec::new()];
        let mut made = Self {
            element,
            dim,
            floats: [Vec::new(), Vec::new()],
            halves: [Vec::new(), Vec::new()],
            bytes: [Vec::new(), Vec::new()],
            offsets: empty(),
            indices: empty(),
        };
        for (which, values) in [column.values, queries].into_iter().enumerate() {
            let values = &values;
            match element {
                Element::F32 => made.floats[which] = values.clone(),
                Element::F16 => made.halves[which] = values.iter().map(|value| F16::from_f32(*value).0).collect(),
                Element::Bf16 => made.halves[which] = values.iter().map(|value| Bf16::from_f32(*value).0).collect(),
                Element::I8 => made.bytes[which] = values.iter().map(|value| (value * 20.0) as i8 as u8).collect(),
                Element::Bits => {
                    let byte = |eight: &[f32]| eight.iter().enumerate().fold(0, |byte, (bit, value)| byte | u8::from(*value > 0.6) << bit);
                    made.bytes[which] = values.chunks(8).map(byte).collect();
                }
                Element::Sparse => made.make_sparse(which, values),
            }
        }
        made
    }

    /// Few of many indices, some frequent and some rare; now and then none at all.
    fn make_sparse(&mut self, which: usize, values: &[f32]) {
        let mut rng = StdRng::seed_from_u64(SEED + which as u64);
        self.offsets[which].push(0);
        for vector in values.chunks(self.dim) {
            let pairs = if rng.random_range(0..50) == 0 { 0 } else { vector.len() };
            let drawn: BTreeSet<u32> = (0..pairs).map(|_| (500.0 * rng.random::<f32>().powi(3)) as u32 * 7).collect();
            for (index, value) in drawn.into_iter().zip(vector) {
                self.indices[which].push(index);
                self.floats[which].push(value.abs());
            }
            self.offsets[which].push(self.indices[which].len() as u32);
        }
    }

    pub fn vectors(&self, which: usize) -> Vectors<'_> {
        match self.element {
            Element::F32 => Vectors::f32(self.dim, &self.floats[which]),
            Element::F16 => Vectors::f16(self.dim, &self.halves[which]),
            Element::Bf16 => Vectors::bf16(self.dim, &self.halves[which]),
            Element::I8 => Vectors::i8(self.dim, bytemuck::cast_slice(&self.bytes[which])),
            Element::Bits => Vectors::bits(self.dim, &self.bytes[which]),
            Element::Sparse => Vectors::Sparse(SparseVectors::new(&self.offsets[which], &self.indices[which], &self.floats[which])),
        }
    }

    pub fn rows(&self) -> VectorRows<'_> {
        VectorRows::new(self.vectors(0))
    }

    pub fn queries(&self) -> Vectors<'_> {
        self.vectors(1)
    }
}

const BIT_METRICS: [Metric; 4] = [Metric::Hamming, Metric::Jaccard, Metric::Substructure, Metric::Superstructure];

/// Every combination, with what is built for AUTOINDEX over many vectors.
pub fn combinations() -> Vec<(IndexKind, Element, Metric)> {
    let mut all = Vec::new();
    for element in [Element::F16, Element::Bf16] {
        for metric in METRICS {
            all.extend(KINDS.map(|kind| (kind, element, metric)));
        }
    }
    all.extend(METRICS.map(|metric| (IndexKind::Hnsw, Element::I8, metric)));
    all.extend(BIT_METRICS.map(|metric| (IndexKind::BinFlat, Element::Bits, metric)));
    all.extend([Metric::Hamming, Metric::Jaccard].map(|metric| (IndexKind::BinIvfFlat, Element::Bits, metric)));
    // AUTOINDEX walks a graph over bits.
    all.extend([Metric::Hamming, Metric::Jaccard].map(|metric| (IndexKind::Hnsw, Element::Bits, metric)));
    all.push((IndexKind::SparseInverted, Element::Sparse, Metric::Ip));
    all.push((IndexKind::SparseWand, Element::Sparse, Metric::Ip));
    all
}

fn is_exact(kind: IndexKind) -> bool {
    matches!(kind, IndexKind::Flat | IndexKind::BinFlat | IndexKind::SparseInverted | IndexKind::SparseWand)
}

fn params(kind: IndexKind) -> SearchParams {
    SearchParams { ef: 100, nprobe: 32, ..params_of(kind, 10) }
}

#[test]
fn answers_are_sound_and_recalled() {
    for (kind, element, metric) in combinations() {
        let made = Made::new(element, 6_000, 64);
        let rows = made.rows();
        let index = built(kind, metric, rows);
        assert_eq!((index.description().element, index.description().metric), (element, metric));
        for share in [1.0, 0.5, 0.01] {
            let filter = random_filter(6_000, share, SEED);
            let filter = (share < 1.0).then_some(&filter);
            for k in [10, 200] {
                let mut sum = 0.0;
                for query in made.queries().each() {
                    let ask = Ask { query, k, filter };
                    let (hits, _) = found(&index, rows, ask, &params(kind));
                    let context = format!("{} {element:?} {metric} share {share} k {k} seed {SEED}", kind.name());
                    check_sound(&hits, metric, rows, ask, &context);
                    let exact = exact(metric, rows, ask);
                    if is_exact(kind) {
                        assert_eq!(hits, exact, "{context}");
                    }
                    sum += recall(&hits, &exact);
                }
                let mean = sum / QUERIES as f64;
                let floor = if metric == Metric::Ip { 0.92 } else { 0.95 };
                assert!(mean >= floor, "{} {element:?} {metric} share {share} k {k}: recall {mean}", kind.name());
            }
        }
    }
}

#[test]
fn codes_of_eight_bits_change_no_answer() {
    for element in [Element::F32, Element::F16] {
        let made = Made::new(element, 8_000, 48);
        let rows = made.rows();
        for metric in METRICS {
            let (plain, coded) = (built(IndexKind::IvfFlat, metric, rows), built(IndexKind::IvfSq8, metric, rows));
            let (mut plainly, mut through_codes) = (0, 0);
            for query in made.queries().each() {
                for nprobe in [1, 8, 100] {
                    let params = SearchParams { nprobe, ..SearchParams::default() };
                    let ask = Ask { query, k: 10, filter: None };
                    let ((expected, one), (hits, other)) = (found(&plain, rows, ask, &params), found(&coded, rows, ask, &params));
                    assert_eq!(hits, expected, "{element:?} {metric} nprobe {nprobe}");
                    plainly += one.distances;
                    through_codes += other.distances;
                }
            }
            assert!(through_codes < plainly * 2 / 3, "{element:?} {metric}: codes leave {through_codes} of {plainly}");
        }
    }
}

#[test]
fn ranges_cursors_and_batches() {
    for (kind, element, metric) in combinations() {
        let made = Made::new(element, 3_000, 32);
        let rows = made.rows();
        let index = built(kind, metric, rows);
        let filter = random_filter(3_000, 0.6, SEED);
        let context = format!("{} {element:?} {metric}", kind.name());
        let (mut right, mut there) = (0, 0);
        for query in made.queries().each().take(8) {
            let all = exact(metric, rows, Ask { query, k: usize::MAX, filter: Some(&filter) });
            let mut cursor = index.clone().cursor(query, &params(kind)).expect("a cursor");
            let (mut scratch, mut hits) = (Scratch::new(), Vec::<Hit>::new());
            loop {
                let options = SearchOptions { k: 700, params: &params(kind), filter: Some(&filter), rows, cancelled: None };
                let before = hits.len();
                cursor.advance(&options, &mut scratch, &mut hits).expect("an advance");
                if hits.len() - before < 700 {
                    break;
                }
            }
            let rows_of = |hits: &[Hit]| hits.iter().map(|hit| hit.row).collect::<BTreeSet<u32>>();
            assert!(hits.len() == all.len() && rows_of(&hits) == rows_of(&all), "{context}: {} of {}", hits.len(), all.len());

            let (Some(from), Some(below)) = (all.get(all.len() / 20), all.get(all.len() / 5)) else { continue };
            let range = Range { from: from.distance, below: below.distance };
            let expected: Vec<Hit> = all.iter().filter(|hit| range.contains(hit.distance)).copied().collect();
            let params = SearchParams { nprobe: 64, ..SearchParams::defaults(kind, Purpose::Range) };
            let options = SearchOptions { k: 2_000, params: &params, filter: Some(&filter), rows, cancelled: None };
            hits.clear();
            index.range_search(query, range, &options, &mut scratch, &mut hits).expect("a search");
            assert!(hits.iter().all(|hit| expected.contains(hit)), "{context}");
            assert!(!is_exact(kind) || hits == expected, "{context}");
            right += hits.len();
            there += expected.len();
        }
        assert!(right as f64 >= 0.85 * there as f64, "{context}: {right} of {there} in range");

        let (queries, params) = (made.queries().range(0, 5), params(kind));
        let options = SearchOptions { k: 7, params: &params, filter: Some(&filter), rows, cancelled: None };
        let mut batch = vec![Vec::new(); 5];
        index.search_batch(queries, &options, &mut Scratch::new(), &mut batch).expect("a search");
        for (query, hits) in queries.each().zip(batch) {
            assert_eq!(hits, found(&index, rows, Ask { query, k: 7, filter: Some(&filter) }, &params).0, "{context}");
        }
    }
}

#[test]
fn few_and_null_rows() {
    for (kind, element, metric) in combinations() {
        for vectors in [0, 1, 3, 50, 300] {
            let made = Made::new(element, vectors, 16);
            let map: Vec<u32> = (0..vectors as u32).map(|slot| slot + slot / 2).collect();
            let segment_rows = vectors * 2 + 1;
            let rows = VectorRows::with_row_map(made.vectors(0), &map, segment_rows);
            let index = built(kind, metric, rows);
            let filters = [None, Some(Bitset::zeros(segment_rows)), Some(random_filter(segment_rows, 0.5, SEED))];
            for filter in &filters {
                for (query, k) in made.queries().each().take(3).zip([1, 20, 1_000]) {
                    let ask = Ask { query, k, filter: filter.as_ref() };
                    let (hits, _) = found(&index, rows, ask, &params(kind));
                    check_sound(&hits, metric, rows, ask, &format!("{} {element:?} {metric} {vectors} vectors", kind.name()));
                }
            }
        }
    }
}

#[test]
fn sparse_answers_are_exact_although_most_lists_are_skipped() {
    // Many windows; a few strong rows that lie far apart, so that most windows promise less than what was found.
    let mut rng = StdRng::seed_from_u64(SEED);
    let (mut offsets, mut indices, mut values) = (vec![0u32], Vec::new(), Vec::new());
    for row in 0..60_000 {
        let drawn: BTreeSet<u32> = (0..12).map(|_| (300.0 * rng.random::<f32>().powi(2)) as u32).collect();
        for index in drawn {
            indices.push(index);
            values.push(if row % 9_973 == 0 { 3.0 } else { 1.0 } * rng.random::<f32>());
        }
        offsets.push(indices.len() as u32);
    }
    let rows = VectorRows::new(Vectors::Sparse(SparseVectors::new(&offsets, &indices, &values)));
    let index = built(IndexKind::SparseInverted, Metric::Ip, rows);
    for _ in 0..20 {
        let terms: BTreeSet<u32> = (0..8).map(|_| rng.random_range(0..300)).collect();
        let query_indices: Vec<u32> = terms.into_iter().collect();
        // Of either sign: what a list adds at most may be nothing.
        let weights: Vec<f32> = query_indices.iter().map(|_| rng.random_range(-0.3..2.0f32)).collect();
        let ends = [0, query_indices.len() as u32];
        let query = Vectors::Sparse(SparseVectors::new(&ends, &query_indices, &weights));
        for (k, share) in [(1, 1.0), (10, 1.0), (100, 0.5), (10, 0.001)] {
            let filter = random_filter(60_000, share, SEED);
            let ask = Ask { query, k, filter: (share < 1.0).then_some(&filter) };
            let exactly = exact(Metric::Ip, rows, ask);
            let (hits, _) = found(&index, rows, ask, &SearchParams::default());
            assert_eq!(hits, exactly, "k {k} share {share} seed {SEED}");
            let dropping = SearchParams { drop_ratio: 0.3, ..SearchParams::default() };
            let (hits, _) = found(&index, rows, ask, &dropping);
            check_sound(&hits, Metric::Ip, rows, ask, "with values dropped");
        }
    }
}

#[test]
fn autoindex_finds_what_there_is() {
    // Vectors of 512 bytes: 4,096 of them are 2 MiB.
    let made_of = [
        (Element::F32, 128, Metric::Cosine),
        (Element::F16, 256, Metric::L2),
        (Element::Bf16, 256, Metric::Cosine),
        (Element::I8, 512, Metric::Cosine),
        (Element::Bits, 4_096, Metric::Jaccard),
    ];
    for (element, dim, metric) in made_of {
        for (vectors, chosen) in [(1_000, "FLAT"), (4_095, "FLAT"), (5_000, "HNSW")] {
            let made = Made::new(element, vectors, dim);
            let build = BuildParams { kind: IndexKind::Auto, metric, structure: Structure::Hnsw { m: 18, ef_construction: 240 } };
            let index = open_bytes(build_bytes(&build, made.rows(), 2, SEED));
            assert!(index.description().index_type.ends_with(chosen), "{element:?} {vectors}: {}", index.description().index_type);
            let mut sum = 0.0;
            for query in made.queries().each() {
                let ask = Ask { query, k: 10, filter: None };
                let (hits, _) = found(&index, made.rows(), ask, &params_of(IndexKind::Auto, 10));
                sum += recall(&hits, &exact(metric, made.rows(), ask));
            }
            assert!(sum / QUERIES as f64 >= 0.97, "{element:?} {metric} {vectors}: recall {}", sum / QUERIES as f64);
        }
    }
}

#[test]
fn bits_that_lie_in_no_cluster_are_found_by_a_graph() {
    let mut rng = StdRng::seed_from_u64(SEED);
    let bytes: Vec<u8> = (0..6_000 * 16).map(|_| rng.random()).collect();
    let rows = VectorRows::new(Vectors::bits(128, &bytes));
    let build = BuildParams { kind: IndexKind::Hnsw, metric: Metric::Hamming, structure: Structure::Hnsw { m: 18, ef_construction: 240 } };
    let index = open_bytes(build_bytes(&build, rows, 2, SEED));
    let mut sum = 0.0;
    for _ in 0..30 {
        let query: Vec<u8> = (0..16).map(|_| rng.random()).collect();
        let ask = Ask { query: Vectors::bits(128, &query), k: 10, filter: None };
        let (hits, _) = found(&index, rows, ask, &params_of(IndexKind::Auto, 10));
        sum += recall(&hits, &exact(Metric::Hamming, rows, ask));
    }
    assert!(sum / 30.0 >= 0.9, "recall {}", sum / 30.0);
}
