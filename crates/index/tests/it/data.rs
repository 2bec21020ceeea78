//! Made-up columns, the exact answers for them, and indexes built over them.

use std::sync::Arc;

use base::cpu::CpuPool;
use bytes::Bytes;
use index::params::{BuildParams, IndexKind, Purpose, SearchParams, Structure};
use index::{BuildContext, Hit, Progress, Scratch, SearchOptions, SearchStats, SliceRows, Space, VectorIndex, VectorRows, build, registry};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use types::bitset::Bitset;
use types::blob::MemoryBlob;
use types::index_params::Metric;

pub const METRICS: [Metric; 3] = [Metric::L2, Metric::Ip, Metric::Cosine];
pub const KINDS: [IndexKind; 3] = [IndexKind::Flat, IndexKind::IvfFlat, IndexKind::Hnsw];
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

    pub fn rows(&self) -> SliceRows<'_> {
        SliceRows::new(self.dim, &self.values)
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
        IndexKind::Flat => Structure::Flat,
        IndexKind::IvfFlat => Structure::IvfFlat { nlist: 128 },
        IndexKind::Hnsw | IndexKind::Auto => Structure::Hnsw { m: 16, ef_construction: 120 },
    }
}

pub fn build_bytes(params: &BuildParams, rows: &dyn VectorRows, threads: usize, seed: u64) -> Vec<u8> {
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

pub fn built(kind: IndexKind, metric: Metric, rows: &dyn VectorRows) -> Arc<dyn VectorIndex> {
    let params = BuildParams { kind, metric, structure: structure(kind) };
    open_bytes(build_bytes(&params, rows, 2, SEED))
}

/// A search as tests make it.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    pub query: &'a [f32],
    pub k: usize,
    pub filter: Option<&'a Bitset>,
}

pub fn params_of(kind: IndexKind, k: usize) -> SearchParams {
    SearchParams::defaults(kind, Purpose::Nearest { k })
}

pub fn found(index: &Arc<dyn VectorIndex>, rows: &dyn VectorRows, ask: Ask<'_>, params: &SearchParams) -> (Vec<Hit>, SearchStats) {
    let options = SearchOptions { k: ask.k, params, filter: ask.filter, rows, cancelled: None };
    let mut hits = Vec::new();
    let stats = index.search(ask.query, &options, &mut Scratch::new(), &mut hits).expect("a search");
    (hits, stats)
}

/// The answer by definition: every row's distance in one line each, sorted.
pub fn exact(metric: Metric, rows: &dyn VectorRows, ask: Ask<'_>) -> Vec<Hit> {
    let space = Space::new(metric);
    let mut hits: Vec<Hit> = (0..rows.len() as u32)
        .map(|slot| Hit {
            row: rows.row_map().map_or(slot, |map| map[slot as usize]),
            distance: distance(space, ask.query, rows.vector(slot)),
        })
        .filter(|hit| ask.filter.is_none_or(|filter| filter.get(hit.row as usize)))
        .collect();
    hits.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row)));
    hits.truncate(ask.k);
    hits
}

fn distance(space: Space, query: &[f32], vector: &[f32]) -> f32 {
    let dot = space.kernels().dot().one(query, vector);
    match space.metric() {
        Metric::L2 => space.kernels().squared_l2().one(query, vector),
        Metric::Ip => 0.0 - dot,
        Metric::Cosine => 0.0 - dot * space.inverse_norm(vector) * space.inverse_norm(query),
    }
}

/// What every answer must be, whatever it was asked: ordered, without repetition, filtered, of true distances, not short.
pub fn check_sound(hits: &[Hit], metric: Metric, rows: &dyn VectorRows, ask: Ask<'_>, context: &str) {
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
