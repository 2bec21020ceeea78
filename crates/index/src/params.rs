//! Index types, their parameters and the texts for wrong ones: what CreateIndex and Search check before any work is done.
//!
//! CreateIndex brings strings, Search brings JSON; both know many keys that an index type has no use for, and those are
//! ignored, whatever they hold. Not here: which field may have how many indexes, and scalar indexes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use types::index_params::{IndexDefinition, Metric};
use types::schema::DataType;
use types::{Error, Result};

/// The largest value of parameters that Milvus holds in an `int`.
const INT_MAX: i64 = 2_147_483_647;
/// Links per node of a graph that AUTOINDEX builds.
const AUTO_M: usize = 18;
/// Candidates per insertion into a graph that AUTOINDEX builds.
const AUTO_EF_CONSTRUCTION: usize = 240;
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

/// A vector index type that can be created.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IndexKind {
    /// No structure: every search compares with every row.
    Flat,
    /// Inverted lists around centroids.
    IvfFlat,
    /// A layered proximity graph.
    Hnsw,
    /// Whatever we think is best: today a graph.
    Auto,
}

impl IndexKind {
    const ALL: [Self; 4] = [Self::Flat, Self::IvfFlat, Self::Hnsw, Self::Auto];

    /// Milvus's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flat => "FLAT",
            Self::IvfFlat => "IVF_FLAT",
            Self::Hnsw => "HNSW",
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
    if data_type != DataType::FloatVector {
        return Err(Error::invalid(format!("data type {data_type} can't build with this index {index_type}")));
    }
    if let Some(given) = params.get("dim") {
        let agrees = given.parse() == Ok(dim);
        if !agrees {
            return Err(Error::invalid(format!("dimension mismatch, dimension in schema: {dim}, dimension: {given}")));
        }
    }
    let metric = match params.get("metric_type").map(String::as_str) {
        None | Some("") if kind == IndexKind::Auto => Metric::Cosine,
        None | Some("") => return Err(Error::invalid("metric type not set for vector index")),
        Some(name) => {
            Metric::from_name(name).ok_or_else(|| Error::invalid(format!("float vector index does not support metric type: {name}")))?
        }
    };
    let structure = match kind {
        IndexKind::Flat => Structure::Flat,
        IndexKind::IvfFlat => Structure::IvfFlat { nlist: build_int(params, &NLIST)? },
        IndexKind::Hnsw => Structure::Hnsw { m: build_int(params, &M)?, ef_construction: build_int(params, &EF_CONSTRUCTION)? },
        IndexKind::Auto => {
            check_auto(params)?;
            Structure::Hnsw { m: AUTO_M, ef_construction: AUTO_EF_CONSTRUCTION }
        }
    };
    Ok(BuildParams { kind, metric, structure })
}

impl BuildParams {
    /// From a definition that [`check_build`] let into meta.
    ///
    /// # Errors
    /// A definition that a newer version wrote.
    pub fn from_definition(definition: &IndexDefinition, dim: usize) -> Result<Self> {
        let mut params = definition.params.clone();
        if let Some(metric) = definition.metric {
            params.insert("metric_type".to_owned(), metric.name().to_owned());
        }
        check_build(&definition.index_type, DataType::FloatVector, dim, &params)
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SearchParams {
    /// HNSW: candidates kept while walking; at least k.
    pub ef: usize,
    /// IVF: lists read, at most all.
    pub nprobe: usize,
    /// IVF, range search: so many lists in a row without a hit end it.
    pub max_empty_result_buckets: usize,
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
        IndexKind::Flat | IndexKind::Auto => {}
        IndexKind::IvfFlat => {
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
        Self { ef, nprobe: NPROBE.default as usize, max_empty_result_buckets: MAX_EMPTY_RESULT_BUCKETS.default as usize }
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
