//! Files: the same bytes again and again, the same answers from them, and no harm from damaged ones.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use index::file::{Scrub, scrub};
use index::params::{BuildParams, IndexKind, Structure};
use index::{Element, Scratch, SearchOptions, SparseVectors, VectorRows, Vectors, fuzz_open, registry};
use kernel::{Bf16, F16};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use types::blob::MemoryBlob;
use types::index_params::Metric;
use types::{Code, Result};

use crate::data::*;
use crate::fuzzing;
use crate::kinds::Made;

fn blob(bytes: &[u8]) -> MemoryBlob {
    MemoryBlob::new("segment/7/hnsw", Bytes::copy_from_slice(bytes))
}

fn open_error(bytes: &[u8]) -> String {
    let error = registry::open(&blob(bytes)).expect_err("a damaged file");
    assert!(error.reason().starts_with("index segment/7/hnsw"), "{error}");
    error.reason().to_owned()
}

/// Each type of file, over some element.
const SAMPLES: [(IndexKind, Element, Metric); 9] = [
    (IndexKind::Flat, Element::F32, Metric::Cosine),
    (IndexKind::IvfFlat, Element::F32, Metric::Cosine),
    (IndexKind::IvfSq8, Element::Bf16, Metric::Cosine),
    (IndexKind::IvfSq8, Element::F32, Metric::L2),
    (IndexKind::Hnsw, Element::F32, Metric::Cosine),
    (IndexKind::Hnsw, Element::I8, Metric::L2),
    (IndexKind::BinFlat, Element::Bits, Metric::Superstructure),
    (IndexKind::BinIvfFlat, Element::Bits, Metric::Jaccard),
    (IndexKind::SparseInverted, Element::Sparse, Metric::Ip),
];

/// A small index, with a row map.
fn small_of((kind, element, metric): (IndexKind, Element, Metric), vectors: usize) -> Vec<u8> {
    let made = Made::new(element, vectors, 8);
    let map: Vec<u32> = (0..vectors as u32).map(|slot| slot * 2).collect();
    let rows = VectorRows::with_row_map(made.rows().vectors(), &map, vectors * 2 + 1);
    let structure = match structure(kind) {
        Structure::IvfFlat { .. } => Structure::IvfFlat { nlist: 5 },
        Structure::IvfSq8 { .. } => Structure::IvfSq8 { nlist: 5 },
        Structure::Hnsw { .. } => Structure::Hnsw { m: 3, ef_construction: 20 },
        other => other,
    };
    build_bytes(&BuildParams { kind, metric, structure }, rows, 1, SEED)
}

fn small(kind: IndexKind, vectors: usize) -> Vec<u8> {
    small_of((kind, Element::F32, Metric::Cosine), vectors)
}

/// Enough vectors that searches follow lists and links and do not just scan.
fn enough(kind: IndexKind) -> usize {
    match kind {
        IndexKind::IvfFlat | IndexKind::IvfSq8 | IndexKind::BinIvfFlat => 2_500,
        _ => 300,
    }
}

#[test]
fn threads_do_not_change_a_build_and_seeds_do() {
    let column = Column::clustered(4_000, 12, SEED);
    let rows = column.rows();
    for kind in KINDS {
        for metric in METRICS {
            let params = BuildParams { kind, metric, structure: structure(kind) };
            let bytes = build_bytes(&params, rows, 1, 11);
            for threads in [2, 3] {
                assert!(build_bytes(&params, rows, threads, 11) == bytes, "{} {metric} on {threads} threads", kind.name());
            }
            let other = build_bytes(&params, rows, 1, 12);
            assert_eq!(other == bytes, kind == IndexKind::Flat, "{} {metric} with another seed", kind.name());
        }
    }
}

#[test]
fn a_file_answers_wherever_it_lies() {
    let column = Column::clustered(1_500, 9, SEED);
    let rows = column.rows();
    let queries = column.queries(10, SEED);
    for kind in KINDS {
        let params = BuildParams { kind, metric: Metric::Cosine, structure: structure(kind) };
        let bytes = build_bytes(&params, rows, 1, SEED);
        let aligned = open_bytes(bytes.clone());
        scrub(&blob(&bytes)).expect("a sound file");
        in_steps(&bytes, 1_000).expect("a sound file");
        for shift in [1, 2, 4, 33] {
            // A blob that begins at an odd address: its sections are copied instead of mapped.
            let mut padded = vec![0; shift];
            padded.extend_from_slice(&bytes);
            let shifted = Bytes::from(padded).slice(shift..);
            let index = registry::open(&MemoryBlob::new("shifted", shifted)).expect("a sound file");
            assert_eq!(index.description(), aligned.description());
            for query in &queries {
                let ask = Ask { query: floats(query), k: 10, filter: None };
                let search_params = params_of(kind, 10);
                assert_eq!(found(&index, rows, ask, &search_params), found(&aligned, rows, ask, &search_params));
            }
        }
    }
}

fn in_steps(bytes: &[u8], step: u64) -> Result<()> {
    let mut scrub = Scrub::default();
    while !scrub.step(&blob(bytes), step)? {}
    Ok(())
}

#[test]
fn scrub_names_what_is_bad() {
    let bytes = small(IndexKind::Hnsw, 60);
    let names = ["rows", "norms", "shape", "links", "upper", "upper_links"];
    let mut named = std::collections::BTreeSet::new();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        let error = scrub(&blob(&damaged)).expect_err("every byte counts");
        assert_eq!(error.code(), Code::DATA_INTEGRITY);
        assert_eq!(in_steps(&damaged, 1 + at as u64), Err(error.clone()), "steps of {} bytes", 1 + at);
        named.extend(names.iter().copied().filter(|name| error.reason().contains(&format!("section '{name}' has a bad checksum"))));
    }
    assert!(names.iter().all(|name| named.contains(name)), "{named:?}");
}

#[test]
fn open_says_what_is_wrong() {
    let bytes = small(IndexKind::Flat, 10);
    assert!(open_error(&[]).contains("0 bytes are too few"));
    assert!(open_error(&bytes[..100]).contains("100 bytes are too few"));
    assert!(open_error(&bytes[..bytes.len() - 64]).contains("its header says"));
    let mut other = bytes.clone();
    other[0] = b'X';
    assert!(open_error(&other).contains("this is not an index"));
    let mut newer = bytes.clone();
    newer[8] = 2;
    assert!(open_error(&newer).contains("version 2 of the index format is unknown"));
    for at in 16..128 {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        open_error(&damaged);
    }
    let mut longer = bytes.clone();
    longer.extend_from_slice(&[0; 64]);
    assert!(open_error(&longer).contains("its header says"));
    for length in 0..bytes.len() {
        open_error(&bytes[..length]);
    }
}

/// Puts a right checksum on a damaged header or table, as someone who means harm would.
fn reseal(bytes: &mut [u8]) {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
    let (sections, params) = (word(12), word(80));
    let head = (128 + params).next_multiple_of(64) + sections * 64;
    if head <= bytes.len() {
        bytes[124..128].fill(0);
        let crc = crc32c::crc32c(&bytes[..head]);
        bytes[124..128].copy_from_slice(&crc.to_le_bytes());
    }
}

#[test]
fn damaged_files_do_no_harm() {
    let mut rng = StdRng::seed_from_u64(SEED);
    let (mut opened, mut refused) = (0, 0);
    for sample in SAMPLES {
        let bytes = small_of(sample, enough(sample.0));
        assert!(fuzz_open(&bytes));
        for round in 0..500 {
            let mut damaged = bytes.clone();
            for _ in 0..rng.random_range(1..8) {
                let at = rng.random_range(0..damaged.len());
                damaged[at] = [0, 1, 0x7f, 0x80, 0xff, rng.random()][rng.random_range(0..6usize)];
            }
            if round % 3 == 0 {
                // Numbers of the header and the sections in front, rather than links.
                let at = rng.random_range(0..damaged.len().min(700)) & !3;
                let value: u32 = [0, 1, 2, 63, 64, 65, 300, 301, u32::MAX, 1 << 31, rng.random()][rng.random_range(0..11usize)];
                damaged[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
            if round % 2 == 0 {
                reseal(&mut damaged);
            }
            if round % 17 == 0 {
                damaged.truncate(rng.random_range(0..damaged.len()));
            }
            match fuzz_open(&damaged) {
                true => opened += 1,
                false => refused += 1,
            }
        }
    }
    assert!(opened > 300 && refused > 300, "both kinds of damage occur: {opened} opened, {refused} refused");
}

/// As above, for as long as asked; every second input has its checksums made right.
#[test]
fn fuzz_index() {
    let valid: Vec<Vec<u8>> = SAMPLES.iter().map(|sample| small_of(*sample, enough(sample.0))).collect();
    fuzzing::fuzz("index", 1_000, &valid, |bytes| {
        let mut bytes = bytes.to_vec();
        if bytes.len() >= 128 && bytes.len() % 2 == 0 {
            reseal(&mut bytes);
        }
        fuzz_open(&bytes);
    });
}

#[test]
fn an_unknown_type_is_named() {
    let mut bytes = small(IndexKind::Flat, 10);
    bytes[16..24].copy_from_slice(b"DISKANN\0");
    reseal(&mut bytes);
    let error = registry::open(&blob(&bytes)).expect_err("an unknown type");
    assert_eq!(error.code(), Code::INDEX_NOT_SUPPORTED);
    assert!(error.reason().contains("is of type DISKANN"), "{error}");
}

/// Files written when the format was fixed. They must open for ever; no test writes them.
fn golden(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn golden_files_open_and_answer() -> Result<()> {
    // Whole numbers, so that every instruction set finds the same distances. The point (i, j) is row 10 i + j.
    let points: Vec<f32> = (0..100).flat_map(|row| [(row / 10) as f32, (row % 10) as f32]).collect();
    let halves: Vec<u16> = points.iter().map(|value| F16::from_f32(*value).0).collect();
    let upper: Vec<u16> = points.iter().map(|value| Bf16::from_f32(*value).0).collect();
    let small: Vec<i8> = points.iter().map(|value| *value as i8).collect();
    // The number of the row as sixteen bits.
    let bits: Vec<u8> = (0..100u16).flat_map(u16::to_le_bytes).collect();
    // The last digit as one index, the first as another.
    let offsets: Vec<u32> = (0..=100).map(|row| 2 * row).collect();
    let indices: Vec<u32> = (0..100).flat_map(|row| [row % 10, 10 + row / 10]).collect();
    let ones_and_twos: Vec<f32> = (0..100).flat_map(|_| [1.0, 2.0]).collect();
    let sparse = Vectors::Sparse(SparseVectors::new(&offsets, &indices, &ones_and_twos));
    let (half_query, upper_query) = ([3.0, 7.0].map(|value| F16::from_f32(value).0), [3.0, 7.0].map(|value| Bf16::from_f32(value).0));
    let sparse_query = Vectors::Sparse(SparseVectors::new(&[0, 2], &[7, 13], &[1.0, 1.0]));

    let near = [(37, 0.0), (27, 1.0), (36, 1.0), (38, 1.0), (47, 1.0)];
    let near_bits = [(37, 0.0), (5, 1.0), (33, 1.0), (36, 1.0), (39, 1.0)];
    let near_sparse = [(37, -3.0), (30, -2.0), (31, -2.0), (32, -2.0), (33, -2.0)];
    let graph = Structure::Hnsw { m: 4, ef_construction: 32 };
    let f32 = (Vectors::f32(2, &points), Vectors::f32(2, &[3.0, 7.0]));
    let bits = (Vectors::bits(16, &bits), Vectors::bits(16, &[37, 0]));
    for (name, kind, structure, metric, (column, query), expected) in [
        ("flat-1.index", IndexKind::Flat, Structure::Flat, Metric::L2, f32, near),
        ("ivf_flat-1.index", IndexKind::IvfFlat, Structure::IvfFlat { nlist: 2 }, Metric::L2, f32, near),
        ("hnsw-1.index", IndexKind::Hnsw, graph, Metric::L2, f32, near),
        ("ivf_sq8-1.index", IndexKind::IvfSq8, Structure::IvfSq8 { nlist: 2 }, Metric::L2, f32, near),
        ("flat_f16-1.index", IndexKind::Flat, Structure::Flat, Metric::L2, (Vectors::f16(2, &halves), Vectors::f16(2, &half_query)), near),
        (
            "flat_bf16-1.index",
            IndexKind::Flat,
            Structure::Flat,
            Metric::L2,
            (Vectors::bf16(2, &upper), Vectors::bf16(2, &upper_query)),
            near,
        ),
        ("hnsw_i8-1.index", IndexKind::Hnsw, graph, Metric::L2, (Vectors::i8(2, &small), Vectors::i8(2, &[3, 7])), near),
        ("bin_flat-1.index", IndexKind::BinFlat, Structure::Flat, Metric::Hamming, bits, near_bits),
        ("bin_ivf_flat-1.index", IndexKind::BinIvfFlat, Structure::IvfFlat { nlist: 2 }, Metric::Hamming, bits, near_bits),
        ("sparse_inverted_index-1.index", IndexKind::SparseInverted, Structure::Sparse, Metric::Ip, (sparse, sparse_query), near_sparse),
    ] {
        let rows = VectorRows::new(column);
        let bytes = golden(name);
        scrub(&blob(&bytes))?;
        let index = registry::open(&blob(&bytes))?;
        assert_eq!((index.description().index_type.as_str(), index.description().element), (kind.name(), column.element()));
        let params = params_of(kind, 5);
        let options = SearchOptions { k: 5, params: &params, filter: None, rows, cancelled: None };
        let mut hits = Vec::new();
        index.search(query, &options, &mut Scratch::new(), &mut hits)?;
        let found: Vec<(u32, f32)> = hits.iter().map(|hit| (hit.row, hit.distance)).collect();
        assert_eq!(found, expected, "{name}");
        if matches!(structure, Structure::Flat | Structure::Sparse) {
            // Of the other types the generator of random numbers is part: a new one may choose otherwise.
            let today = build_bytes(&BuildParams { kind, metric, structure }, rows, 1, 1);
            assert_eq!(today, bytes, "{name}");
        }
    }
    Ok(())
}
