//! Made-up columns, the exact answers for them, and indexes built over them.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::cpu::CpuPool;
use bytes::Bytes;
use index::params::{BuildParams, IndexKind, Purpose, SearchParams, Structure};
use index::{BuildContext, Hit, Progress, Scratch, SearchOptions, SearchStats, VectorIndex, VectorRows, Vectors, build, registry};
use kernel::{Kernels, inverse_norm};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use types::bitset::Bitset;
use types::blob::MemoryBlob;
use types::index_params::Metric;

pub const METRICS: [Metric; 3] = [Metric::L2, Metric::Ip, Metric::Cosine];
/// Types over floats.
pub const KINDS: [IndexKind; 4] = [IndexKind::Flat, IndexKind::IvfFlat, IndexKind::IvfSq8, IndexKind::Hnsw];
/// Every random choice in these tests comes from it.
pub const SEED: u64 = 20_261_121;

/// Vectors in clusters of different size and spread, some of them copies of others, one of them zero.
pub struct Column {
    pub dim: usize,
    pub values: Vec<f32>,
}

impl Column {
    pub fn clustered(vectors: usize, dim: usize, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let clusters = (vectors / 200).clamp(1, 40);
        let centres: Vec<f32> = (0..clusters * dim).map(|_| normal(&mut rng)).collect();
        let mut values = Vec::with_capacity(vectors * dim);
        for i in 0..vectors {
            if i > 10 && rng.random_range(0..100) == 0 {
                let copied = rng.random_range(0..i) * dim;
                values.extend_from_within(copied..copied + dim);
                continue;
            }
            // The first clusters are the largest, and lengths differ, so that IP and COSINE do.
            let cluster = rng.random_range(0..clusters).min(rng.random_range(0..clusters));
            let length = rng.random_range(0.5..2.0f32);
            let centre = &centres[cluster * dim..][..dim];
            values.extend(centre.iter().map(|value| (value + 0.6 * normal(&mut rng)) * length));
        }
        if vectors > 5 {
            values[5 * dim..6 * dim].fill(0.0);
        }
        Self { dim, values }
    }

    pub fn rows(&self) -> VectorRows<'_> {
        VectorRows::new(Vectors::f32(self.dim, &self.values))
    }

    /// Vectors near those of the column.
    pub fn queries(&self, count: usize, seed: u64) -> Vec<Vec<f32>> {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x51ed);
        let vectors = self.values.len() / self.dim;
        let near = |rng: &mut StdRng| {
            let start = rng.random_range(0..vectors) * self.dim;
            self.values[start..start + self.dim].iter().map(|value| value + 0.3 * normal(rng)).collect()
        };
        (0..count).map(|_| near(&mut rng)).collect()
    }
}

fn normal(rng: &mut StdRng) -> f32 {
    // Twelve uniforms: near enough to a bell.
    (0..12).map(|_| rng.random_range(-0.5..0.5f32)).sum()
}

/// A filter that admits each row with a probability.
pub fn random_filter(rows: usize, share: f64, seed: u64) -> Bitset {
    let mut rng = StdRng::seed_from_u64(seed ^ 0xf117e2);
    Bitset::from_fn(rows, |_| rng.random_bool(share))
}

pub fn structure(kind: IndexKind) -> Structure {
    match kind {
        IndexKind::Flat | IndexKind::BinFlat => Structure::Flat,
        IndexKind::IvfFlat | IndexKind::BinIvfFlat => Structure::IvfFlat { nlist: 128 },
        IndexKind::IvfSq8 => Structure::IvfSq8 { nlist: 128 },
        IndexKind::SparseInverted | IndexKind::SparseWand => Structure::Sparse,
        IndexKind::Hnsw | IndexKind::Auto => Structure::Hnsw { m: 16, ef_construction: 120 },
    }
}

pub fn build_bytes(params: &BuildParams, rows: VectorRows<'_>, threads: usize, seed: u64) -> Vec<u8> {
    let pool = if threads == 1 { CpuPool::inline() } else { CpuPool::with_threads("test", threads) };
    let progress = Progress::new();
    let context = BuildContext { pool: &pool, seed, progress: &progress };
    let draft = build::build(params, rows, &context).expect("a build that nobody cancels");
    assert_eq!(progress.fraction(), 1.0);
    let bytes = draft.to_bytes();
    assert_eq!(bytes.len() as u64, draft.file_bytes());
    bytes
}

pub fn open_bytes(bytes: Vec<u8>) -> Arc<dyn VectorIndex> {
    registry::open(&MemoryBlob::new("test", Bytes::from(bytes))).expect("a container that was just written")
}

pub fn built(kind: IndexKind, metric: Metric, rows: VectorRows<'_>) -> Arc<dyn VectorIndex> {
    let params = BuildParams { kind, metric, structure: structure(kind) };
    open_bytes(build_bytes(&params, rows, 2, SEED))
}

/// A search as tests make it.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    pub query: Vectors<'a>,
    pub k: usize,
    pub filter: Option<&'a Bitset>,
}

pub fn params_of(kind: IndexKind, k: usize) -> SearchParams {
    SearchParams::defaults(kind, Purpose::Nearest { k })
}

pub fn found(index: &Arc<dyn VectorIndex>, rows: VectorRows<'_>, ask: Ask<'_>, params: &SearchParams) -> (Vec<Hit>, SearchStats) {
    let options = SearchOptions { k: ask.k, params, filter: ask.filter, rows, cancelled: None };
    let mut hits = Vec::new();
    let stats = index.search(ask.query, &options, &mut Scratch::new(), &mut hits).expect("a search");
    (hits, stats)
}

/// The answer by definition: every row's distance by itself, sorted. Rows without a distance don't match.
pub fn exact(metric: Metric, rows: VectorRows<'_>, ask: Ask<'_>) -> Vec<Hit> {
    let partial = matches!(rows.vectors(), Vectors::Sparse(_)) || matches!(metric, Metric::Substructure | Metric::Superstructure);
    let mut hits: Vec<Hit> = rows
        .vectors()
        .each()
        .enumerate()
        .map(|(slot, vector)| Hit {
            row: rows.row_map().map_or(slot as u32, |map| map[slot]),
            distance: distance(metric, ask.query, vector),
        })
        .filter(|hit| ask.filter.is_none_or(|filter| filter.get(hit.row as usize)) && !(partial && hit.distance.is_nan()))
        .collect();
    hits.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row)));
    hits.truncate(ask.k);
    hits
}

fn distance(metric: Metric, query: Vectors<'_>, vector: Vectors<'_>) -> f32 {
    match (query, vector) {
        (Vectors::F32(query), Vectors::F32(vector)) => of_numbers(metric, query.values(), vector.values()),
        (Vectors::F16(query), Vectors::F16(vector)) => of_numbers(metric, query.values(), vector.values()),
        (Vectors::Bf16(query), Vectors::Bf16(vector)) => of_numbers(metric, query.values(), vector.values()),
        (Vectors::I8(query), Vectors::I8(vector)) => of_numbers(metric, query.values(), vector.values()),
        (Vectors::Bits(query), Vectors::Bits(vector)) => {
            let measures = Kernels::scalar().bit_vectors();
            let measure = match metric {
                Metric::Hamming => &measures.hamming,
                Metric::Jaccard => &measures.jaccard,
                Metric::Substructure => &measures.within_query,
                _ => &measures.around_query,
            };
            measure.one(query.values(), vector.values())
        }
        (Vectors::Sparse(query), Vectors::Sparse(vector)) => of_sparse(query.row(0), vector.row(0)),
        _ => panic!("a query of another kind"),
    }
}

fn of_numbers<T: kernel::Number>(metric: Metric, query: &[T], vector: &[T]) -> f32 {
    let measures = Kernels::detect().measures::<T>();
    let dot = measures.dot.one(query, vector);
    let inverse = |v: &[T]| inverse_norm(measures.dot.one(v, v));
    match metric {
        Metric::L2 => measures.squared_l2.one(query, vector),
        Metric::Ip => 0.0 - dot,
        _ => 0.0 - dot * inverse(vector) * inverse(query),
    }
}

fn of_sparse(query: (&[u32], &[f32]), vector: (&[u32], &[f32])) -> f32 {
    let vector: BTreeMap<u32, f32> = vector.0.iter().copied().zip(vector.1.iter().copied()).collect();
    let mut shared = query.0.iter().zip(query.1).filter_map(|(index, value)| Some(value * vector.get(index)?)).peekable();
    if shared.peek().is_none() { f32::NAN } else { 0.0 - shared.fold(0.0, |sum, product| sum + product) }
}

/// One query of floats.
pub fn floats(query: &[f32]) -> Vectors<'_> {
    query.into()
}

/// What every answer must be, whatever it was asked: ordered, without repetition, filtered, of true distances, not short.
pub fn check_sound(hits: &[Hit], metric: Metric, rows: VectorRows<'_>, ask: Ask<'_>, context: &str) {
    let all = exact(metric, rows, Ask { k: usize::MAX, ..ask });
    let by_row: std::collections::BTreeMap<u32, f32> = all.iter().map(|hit| (hit.row, hit.distance)).collect();
    assert_eq!(hits.len(), ask.k.min(all.len()), "{context}: short");
    assert!(hits.is_sorted_by(|a, b| (a.distance, a.row) < (b.distance, b.row)), "{context}: not in order");
    for hit in hits {
        let distance = by_row.get(&hit.row).unwrap_or_else(|| panic!("{context}: row {} does not match", hit.row));
        assert_eq!(hit.distance.to_bits(), (distance + 0.0).to_bits(), "{context}: distance of row {}", hit.row);
    }
}

/// Share of the exact hits' places that are as near as they should be. Copies of a vector are as good as the vector.
pub fn recall(hits: &[Hit], exact: &[Hit]) -> f64 {
    let Some(farthest) = exact.last() else {
        return 1.0;
    };
    hits.iter().filter(|hit| hit.distance <= farthest.distance).count().min(exact.len()) as f64 / exact.len() as f64
}
