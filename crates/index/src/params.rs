//! Index types, their parameters and the texts for wrong ones: what CreateIndex and Search check before any work is done.
//!
//! CreateIndex brings strings, Search brings JSON; both know many keys that an index type has no use for, and those are
//! ignored, whatever they hold. Not here: which field may have how many indexes, and scalar indexes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use types::index_params::{IndexDefinition, Metric};
use types::schema::DataType;
use types::{Error, Result};

use crate::auto;

/// The largest value of parameters that Milvus holds in an `int`.
const INT_MAX: i64 = 2_147_483_647;
/// Candidates that a search of an AUTOINDEX keeps at least: its recall is ours to choose, and 100 candidates found 0.98 of
/// the ten nearest among 300,000 vectors of 128 dimensions in 200 clusters, a hard set.
const AUTO_EF_MIN: usize = 96;
/// Candidates that a search keeps at least where the client names no `ef`.
const EF_MIN: usize = 16;
/// Candidates that a range search keeps where the client names no `ef`.
const RANGE_EF: usize = 512;

/// A whole number with its bounds.
struct Int {
    key: &'static str,
    min: i64,
    max: i64,
    default: i64,
}

const NLIST: Int = Int { key: "nlist", min: 1, max: 65_536, default: 128 };
const NPROBE: Int = Int { key: "nprobe", min: 1, max: 65_536, default: 8 };
const MAX_EMPTY_RESULT_BUCKETS: Int = Int { key: "max_empty_result_buckets", min: 0, max: 65_536, default: 2 };
const M: Int = Int { key: "M", min: 2, max: 2_048, default: 30 };
const EF_CONSTRUCTION: Int = Int { key: "efConstruction", min: 1, max: INT_MAX, default: 360 };
const EF: Int = Int { key: "ef", min: 1, max: INT_MAX, default: 0 };

/// A number with its bounds, the upper one part of the range or not.
struct Float {
    key: &'static str,
    min: f64,
    max: f64,
    includes_max: bool,
}

const DROP_RATIO_BUILD: Float = Float { key: "drop_ratio_build", min: 0.0, max: 1.0, includes_max: false };
const DROP_RATIO_SEARCH: Float = Float { key: "drop_ratio_search", min: 0.0, max: 1.0, includes_max: false };
const DIM_MAX_SCORE_RATIO: Float = Float { key: "dim_max_score_ratio", min: 0.5, max: 1.3, includes_max: true };
const REFINE_K: Float = Float { key: "refine_k", min: 1.0, max: f32::MAX as f64, includes_max: true };

/// Ways of walking sparse lists that Milvus has. All give the same answers; ours is one of its own (`sparse`).
const SPARSE_ALGORITHMS: [&str; 6] = ["TAAT_NAIVE", "DAAT_WAND", "DAAT_MAXSCORE", "BLOCK_MAX_MAXSCORE", "BLOCK_MAX_WAND", "SINDI"];
/// What a coarser code may be refined with.
const REFINE_TYPES: [&str; 6] = ["sq6", "sq8", "fp16", "bf16", "fp32", "flat"];

/// A vector index type that can be created.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IndexKind {
    /// No structure: every search compares with every row.
    Flat,
    /// Inverted lists around centroids.
    IvfFlat,
    /// Inverted lists with codes of eight bits.
    IvfSq8,
    /// A layered proximity graph.
    Hnsw,
    /// As `Flat`, over bits.
    BinFlat,
    /// As `IvfFlat`, over bits.
    BinIvfFlat,
    /// Lists of rows for each index of sparse vectors.
    SparseInverted,
    /// The same, walked otherwise in Milvus.
    SparseWand,
    /// Whatever we think is best: see `auto.rs`.
    Auto,
}

impl IndexKind {
    const ALL: [Self; 9] = [
        Self::Flat,
        Self::IvfFlat,
        Self::IvfSq8,
        Self::Hnsw,
        Self::BinFlat,
        Self::BinIvfFlat,
        Self::SparseInverted,
        Self::SparseWand,
        Self::Auto,
    ];

    /// Milvus's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flat => "FLAT",
            Self::IvfFlat => "IVF_FLAT",
            Self::IvfSq8 => "IVF_SQ8",
            Self::Hnsw => "HNSW",
            Self::BinFlat => "BIN_FLAT",
            Self::BinIvfFlat => "BIN_IVF_FLAT",
            Self::SparseInverted => "SPARSE_INVERTED_INDEX",
            Self::SparseWand => "SPARSE_WAND",
            Self::Auto => "AUTOINDEX",
        }
    }

    /// The type of this name; Milvus's names are upper-case and nothing else.
    ///
    /// # Errors
    /// No such type.
    pub fn from_name(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| Error::expected("", "valid index", format!("invalid index type: {name}")))
    }

    /// Whether it can be built over a type of vector.
    fn takes(self, data_type: DataType) -> bool {
        use DataType::{BFloat16Vector, BinaryVector, Float16Vector, FloatVector, Int8Vector, SparseFloatVector};
        match self {
            Self::Flat | Self::IvfFlat | Self::IvfSq8 => matches!(data_type, FloatVector | Float16Vector | BFloat16Vector),
            Self::Hnsw => matches!(data_type, FloatVector | Float16Vector | BFloat16Vector | Int8Vector),
            Self::BinFlat | Self::BinIvfFlat => data_type == BinaryVector,
            Self::SparseInverted | Self::SparseWand => data_type == SparseFloatVector,
            Self::Auto => data_type.is_vector(),
        }
    }
}

/// Whether the metric is one of a type of vector, and Milvus's text if not.
fn check_metric(kind: IndexKind, data_type: DataType, name: &str) -> Result<Metric> {
    let metric = Metric::from_name(name);
    let wrong = |text: String| Err(Error::invalid(text));
    let bits = |metric| matches!(metric, Metric::Hamming | Metric::Jaccard | Metric::Substructure | Metric::Superstructure);
    match (data_type, metric) {
        (DataType::SparseFloatVector, Some(Metric::Ip)) => Ok(Metric::Ip),
        (DataType::SparseFloatVector, _) if name.eq_ignore_ascii_case("BM25") => {
            wrong("only BM25 Function output field support BM25 metric type".to_owned())
        }
        (DataType::SparseFloatVector, _) => wrong("only IP&BM25 is the supported metric type for sparse index".to_owned()),
        (DataType::BinaryVector, Some(metric)) if bits(metric) => match (kind, metric) {
            (IndexKind::BinIvfFlat, Metric::Substructure | Metric::Superstructure) => {
                wrong(format!("metric type {name} not found or not supported, supported: [HAMMING JACCARD]"))
            }
            _ => Ok(metric),
        },
        (DataType::BinaryVector, _) => wrong(format!("binary vector index does not support metric type: {name}")),
        (_, Some(metric)) if !bits(metric) => Ok(metric),
        (DataType::Int8Vector, _) => wrong(format!("int vector index does not support metric type: {name}")),
        (_, _) => wrong(format!("float vector index does not support metric type: {name}")),
    }
}

/// The metric of an AUTOINDEX whose request names none.
fn default_metric(data_type: DataType) -> Metric {
    match data_type {
        DataType::BinaryVector => Metric::Hamming,
        DataType::SparseFloatVector => Metric::Ip,
        _ => Metric::Cosine,
    }
}

/// What CreateIndex asks for, checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BuildParams {
    /// The type as asked for.
    pub kind: IndexKind,
    /// The metric.
    pub metric: Metric,
    /// The structure to build.
    pub structure: Structure,
}

/// A structure with all of its parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Structure {
    /// Nothing but the norms.
    Flat,
    /// Inverted lists.
    IvfFlat {
        /// Lists asked for; fewer are made where there are few rows.
        nlist: usize,
    },
    /// Inverted lists with codes of eight bits.
    IvfSq8 {
        /// As `IvfFlat`.
        nlist: usize,
    },
    /// Lists of rows for each index of sparse vectors.
    Sparse,
    /// A layered graph.
    Hnsw {
        /// Links per node in the upper layers; twice as many in the lowest.
        m: usize,
        /// Candidates kept while a node is inserted.
        ef_construction: usize,
    },
}

/// Checks the flattened parameters of a vector index, `index_type` and `metric_type` among them or not.
///
/// # Errors
/// Milvus's text for the first parameter that is wrong.
pub fn check_build(index_type: &str, data_type: DataType, dim: usize, params: &BTreeMap<String, String>) -> Result<BuildParams> {
    let kind = IndexKind::from_name(index_type)?;
    if !kind.takes(data_type) {
        return Err(Error::invalid(format!("data type {data_type} can't build with this index {index_type}")));
    }
    if let Some(given) = params.get("dim") {
        let agrees = given.parse() == Ok(dim);
        if !agrees {
            return Err(Error::invalid(format!("dimension mismatch, dimension in schema: {dim}, dimension: {given}")));
        }
    }
    let metric = match params.get("metric_type").map(String::as_str) {
        None | Some("") if kind == IndexKind::Auto => default_metric(data_type),
        None | Some("") => return Err(Error::invalid("metric type not set for vector index")),
        Some(name) => check_metric(kind, data_type, name)?,
    };
    let structure = match kind {
        IndexKind::Flat | IndexKind::BinFlat => Structure::Flat,
        IndexKind::IvfFlat | IndexKind::BinIvfFlat => Structure::IvfFlat { nlist: build_int(params, &NLIST)? },
        IndexKind::IvfSq8 => {
            check_codes(params)?;
            Structure::IvfSq8 { nlist: build_int(params, &NLIST)? }
        }
        IndexKind::Hnsw => Structure::Hnsw { m: build_int(params, &M)?, ef_construction: build_int(params, &EF_CONSTRUCTION)? },
        IndexKind::SparseInverted | IndexKind::SparseWand => {
            check_sparse(params)?;
            Structure::Sparse
        }
        IndexKind::Auto => {
            check_auto(params)?;
            auto::structure(data_type, metric)
        }
    };
    Ok(BuildParams { kind, metric, structure })
}

impl BuildParams {
    /// From a definition that [`check_build`] let into meta.
    ///
    /// # Errors
    /// A definition that a newer version wrote.
    pub fn from_definition(definition: &IndexDefinition, data_type: DataType, dim: usize) -> Result<Self> {
        let mut params = definition.params.clone();
        if let Some(metric) = definition.metric {
            params.insert("metric_type".to_owned(), metric.name().to_owned());
        }
        check_build(&definition.index_type, data_type, dim, &params)
    }
}

/// Keys that may stand beside AUTOINDEX: they say where an index lies, not what it is.
const AUTO_KEYS: [&str; 6] = ["index_type", "metric_type", "dim", "mmap.enabled", "warmup", "params"];

fn check_auto(params: &BTreeMap<String, String>) -> Result<()> {
    if params.keys().all(|key| AUTO_KEYS.contains(&key.as_str())) {
        return Ok(());
    }
    Err(Error::invalid("only metric type can be passed when use AutoIndex"))
}

fn check_codes(params: &BTreeMap<String, String>) -> Result<()> {
    if params.get("sq_type").is_some_and(|name| !name.eq_ignore_ascii_case("SQ8")) {
        return Err(Error::invalid("invalid scalar quantizer type"));
    }
    if let Some(text) = params.get("refine").filter(|text| !["true", "false"].contains(&text.to_lowercase().as_str())) {
        return Err(Error::invalid(format!("Type conflict in json: param 'refine' ({text}) should be a boolean")));
    }
    match params.get("refine_type") {
        Some(name) if !REFINE_TYPES.contains(&name.to_lowercase().as_str()) => {
            let types = REFINE_TYPES.join(", ");
            Err(Error::invalid(format!("invalid refine type : {name}, optional types are [{types}]")))
        }
        _ => Ok(()),
    }
}

fn check_sparse(params: &BTreeMap<String, String>) -> Result<()> {
    if let Some(name) = params.get("inverted_index_algo").filter(|name| !SPARSE_ALGORITHMS.contains(&name.as_str())) {
        let supported = SPARSE_ALGORITHMS.join(" ");
        return Err(Error::invalid(format!("sparse inverted index algo {name} not found or not supported, supported: [{supported}]")));
    }
    match params.get(DROP_RATIO_BUILD.key) {
        None => Ok(()),
        Some(text) => match text.parse() {
            Ok(value) => float_in_range(&DROP_RATIO_BUILD, value, text).map(drop),
            Err(_) => Err(Error::invalid(format!("invalid float value, key: '{}', value: '{text}'", DROP_RATIO_BUILD.key))),
        },
    }
}

fn float_in_range(float: &Float, value: f64, text: &str) -> Result<f64> {
    let Float { key, min, max, includes_max } = *float;
    if value >= min && (value < max || includes_max && value == max) {
        return Ok(value);
    }
    let end = if includes_max { ']' } else { ')' };
    Err(Error::invalid(format!("Out of range in json: param '{key}' ({text}) should be in range [{min:.6}, {max:.6}{end}")))
}

fn search_float(params: &Map<String, Value>, float: &Float) -> Result<Option<f64>> {
    let Some(value) = params.get(float.key) else {
        return Ok(None);
    };
    let (number, text) = match value {
        Value::Number(number) => (number.as_f64(), number.to_string()),
        Value::String(text) => (text.parse().ok(), text.clone()),
        _ => (None, String::new()),
    };
    match number {
        Some(number) => float_in_range(float, number, &text).map(Some),
        None => Err(Error::invalid(format!("Type conflict in json: param '{}' ({value}) should be a number", float.key))),
    }
}

fn build_int(params: &BTreeMap<String, String>, int: &Int) -> Result<usize> {
    let Some(text) = params.get(int.key) else {
        return Ok(int.default as usize);
    };
    match text.parse::<i64>() {
        Ok(value) => in_range(int, value),
        Err(_) if text.parse::<f64>().is_ok() => {
            Err(Error::invalid(format!("wrong data type in json, key: '{}', value: '{text}'", int.key)))
        }
        Err(_) => Err(Error::invalid(format!("invalid integer value, key: '{}', value: '{text}'", int.key))),
    }
}

fn in_range(int: &Int, value: i64) -> Result<usize> {
    if (int.min..=int.max).contains(&value) {
        return Ok(value as usize);
    }
    Err(Error::invalid(format!("Out of range in json: param '{}' ({value}) should be in range [{}, {}]", int.key, int.min, int.max)))
}

/// Search parameters, checked. One value serves every index type: each reads its own.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SearchParams {
    /// HNSW: candidates kept while walking; at least k.
    pub ef: usize,
    /// IVF: lists read, at most all.
    pub nprobe: usize,
    /// IVF, range search: so many lists in a row without a hit end it.
    pub max_empty_result_buckets: usize,
    /// Sparse: so large a part of the query's values, the smallest, only counts where the others have found a row. 0 … 1.
    pub drop_ratio: f32,
}

impl Default for SearchParams {
    fn default() -> Self {
        Self::defaults(IndexKind::Flat, Purpose::Nearest { k: 0 })
    }
}

/// What a client wants from a search, as far as parameters depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// The k nearest.
    Nearest {
        /// Offset and limit together.
        k: usize,
    },
    /// All within a radius.
    Range,
}

/// Checks the JSON of a search's `params` for an index type.
///
/// # Errors
/// Milvus's text for the first parameter that is wrong, or the unknown index type.
pub fn check_search(index_type: &str, params: &Map<String, Value>, purpose: Purpose) -> Result<SearchParams> {
    let kind = IndexKind::from_name(index_type)?;
    let mut checked = SearchParams::defaults(kind, purpose);
    match kind {
        IndexKind::Flat | IndexKind::BinFlat | IndexKind::Auto => {}
        IndexKind::SparseInverted | IndexKind::SparseWand => {
            checked.drop_ratio = search_float(params, &DROP_RATIO_SEARCH)?.unwrap_or_default() as f32;
            // Milvus skips by an estimate where it is below 1; nothing that counts is skipped here.
            search_float(params, &DIM_MAX_SCORE_RATIO)?;
        }
        IndexKind::IvfFlat | IndexKind::IvfSq8 | IndexKind::BinIvfFlat => {
            if kind == IndexKind::IvfSq8 {
                // All rows that codes don't rule out are refined.
                search_float(params, &REFINE_K)?;
            }
            checked.nprobe = search_int(params, &NPROBE)?.unwrap_or(checked.nprobe);
            let buckets = search_int(params, &MAX_EMPTY_RESULT_BUCKETS)?;
            checked.max_empty_result_buckets = buckets.unwrap_or(checked.max_empty_result_buckets);
        }
        IndexKind::Hnsw => {
            if let Some(ef) = search_int(params, &EF)? {
                match purpose {
                    Purpose::Nearest { k } if ef < k => {
                        return Err(Error::invalid(format!("ef({ef}) should be larger than k({k})")));
                    }
                    _ => checked.ef = ef,
                }
            }
        }
    }
    Ok(checked)
}

impl SearchParams {
    /// What an index type takes where the client says nothing.
    pub fn defaults(kind: IndexKind, purpose: Purpose) -> Self {
        let ef = match (kind, purpose) {
            (IndexKind::Auto, Purpose::Nearest { k }) => (k + k / 2).max(AUTO_EF_MIN),
            (_, Purpose::Nearest { k }) => k.max(EF_MIN),
            (_, Purpose::Range) => RANGE_EF,
        };
        let max_empty_result_buckets = MAX_EMPTY_RESULT_BUCKETS.default as usize;
        Self { ef, nprobe: NPROBE.default as usize, max_empty_result_buckets, drop_ratio: 0.0 }
    }
}

fn search_int(params: &Map<String, Value>, int: &Int) -> Result<Option<usize>> {
    let Some(value) = params.get(int.key) else {
        return Ok(None);
    };
    let number = match value {
        Value::Number(number) => number.as_i64(),
        // Newer servers read a number that was sent as text.
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    match number {
        Some(number) => in_range(int, number).map(Some),
        None => Err(Error::invalid(format!("Type conflict in json: param '{}' ({value}) should be integer", int.key))),
    }
}
