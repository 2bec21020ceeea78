//! Parameters and Milvus's texts for wrong ones.

use std::collections::BTreeMap;

use index::params::{IndexKind, Purpose, Structure, check_build, check_search};
use serde_json::{Map, Value, json};
use types::Code;
use types::index_params::Metric;
use types::schema::DataType;

fn strings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn check_structure(index_type: &str, pairs: &[(&str, &str)], metric: Metric, structure: Structure) {
    let built = check_build(index_type, DataType::FloatVector, 128, &strings(pairs)).expect("good parameters");
    assert_eq!((built.metric, built.structure), (metric, structure), "{index_type} {pairs:?}");
    assert_eq!(built.kind.name(), index_type);
}

#[test]
fn builds_and_their_defaults() {
    let l2 = ("metric_type", "L2");
    check_structure("FLAT", &[l2, ("nlist", "many"), ("whatever", "x")], Metric::L2, Structure::Flat);
    check_structure("FLAT", &[("metric_type", "ip")], Metric::Ip, Structure::Flat);
    check_structure("IVF_FLAT", &[l2], Metric::L2, Structure::IvfFlat { nlist: 128 });
    check_structure("IVF_FLAT", &[l2, ("nlist", "65536"), ("M", "x"), ("dim", "128")], Metric::L2, Structure::IvfFlat { nlist: 65_536 });
    check_structure("HNSW", &[("metric_type", "COSINE")], Metric::Cosine, Structure::Hnsw { m: 30, ef_construction: 360 });
    let given = [l2, ("M", "16"), ("efConstruction", "200")];
    check_structure("HNSW", &given, Metric::L2, Structure::Hnsw { m: 16, ef_construction: 200 });
    check_structure("AUTOINDEX", &[], Metric::Cosine, Structure::Hnsw { m: 18, ef_construction: 240 });
    check_structure("AUTOINDEX", &[l2, ("mmap.enabled", "true")], Metric::L2, Structure::Hnsw { m: 18, ef_construction: 240 });
}

#[test]
fn every_type_over_every_vector() {
    use DataType::{BFloat16Vector, BinaryVector, Float16Vector, FloatVector, Int8Vector, SparseFloatVector, VarChar};
    let all = [FloatVector, Float16Vector, BFloat16Vector, Int8Vector, BinaryVector, SparseFloatVector, VarChar];
    // Contract: the matrix of types and data. One letter for each of `all`, a metric that fits, or a dot.
    for (name, takes) in [
        ("FLAT", "LLL...."),
        ("IVF_FLAT", "LLL...."),
        ("IVF_SQ8", "LLL...."),
        ("HNSW", "LLLL..."),
        ("BIN_FLAT", "....H.."),
        ("BIN_IVF_FLAT", "....H.."),
        ("SPARSE_INVERTED_INDEX", ".....I."),
        ("SPARSE_WAND", ".....I."),
        ("AUTOINDEX", "LLLLHI."),
    ] {
        for (data_type, letter) in all.into_iter().zip(takes.chars()) {
            let metric = match letter {
                'H' => "HAMMING",
                'I' => "IP",
                _ => "L2",
            };
            let built = check_build(name, data_type, 128, &strings(&[("metric_type", metric)]));
            match letter {
                '.' => {
                    let text = format!("data type {data_type} can't build with this index {name}: invalid parameter");
                    assert_eq!(built.expect_err("no such pair").reason(), text);
                }
                _ => assert_eq!(built.expect("a pair").metric.name(), metric),
            }
        }
    }
    let default = |data_type| check_build("AUTOINDEX", data_type, 128, &strings(&[])).expect("good parameters");
    assert_eq!((default(BinaryVector).metric, default(SparseFloatVector).metric), (Metric::Hamming, Metric::Ip));
    assert_eq!((default(Int8Vector).metric, default(SparseFloatVector).structure), (Metric::Cosine, Structure::Sparse));
}

#[test]
fn metrics_that_a_vector_does_not_have() {
    let check = |name: &str, data_type: DataType, metric: &str, text: &str| {
        let error = check_build(name, data_type, 128, &strings(&[("metric_type", metric)])).expect_err(text);
        assert_eq!(error.reason(), format!("{text}: invalid parameter"));
    };
    check("FLAT", DataType::FloatVector, "JACCARD", "float vector index does not support metric type: JACCARD");
    check("HNSW", DataType::Float16Vector, "XX", "float vector index does not support metric type: XX");
    check("HNSW", DataType::Int8Vector, "HAMMING", "int vector index does not support metric type: HAMMING");
    check("BIN_FLAT", DataType::BinaryVector, "L2", "binary vector index does not support metric type: L2");
    let lists = "metric type SUBSTRUCTURE not found or not supported, supported: [HAMMING JACCARD]";
    check("BIN_IVF_FLAT", DataType::BinaryVector, "SUBSTRUCTURE", lists);
    let sparse = "only IP&BM25 is the supported metric type for sparse index";
    check("SPARSE_WAND", DataType::SparseFloatVector, "L2", sparse);
    check("AUTOINDEX", DataType::SparseFloatVector, "COSINE", sparse);
    check("SPARSE_WAND", DataType::SparseFloatVector, "BM25", "only BM25 Function output field support BM25 metric type");
    assert!(check_build("BIN_FLAT", DataType::BinaryVector, 128, &strings(&[("metric_type", "SUPERSTRUCTURE")])).is_ok());
}

#[test]
fn parameters_of_codes_and_sparse_lists() {
    let check = |name: &str, key: &str, value: &str, text: &str| {
        let (data_type, metric) = if name == "IVF_SQ8" { (DataType::FloatVector, "L2") } else { (DataType::SparseFloatVector, "IP") };
        let built = check_build(name, data_type, 128, &strings(&[("metric_type", metric), (key, value)]));
        match text {
            "" => assert!(built.is_ok(), "{key} {value}: {built:?}"),
            _ => assert_eq!(built.expect_err(text).reason(), format!("{text}: invalid parameter")),
        }
    };
    let ratio = |value| format!("Out of range in json: param 'drop_ratio_build' ({value}) should be in range [0.000000, 1.000000)");
    check("SPARSE_INVERTED_INDEX", "drop_ratio_build", "0.3", "");
    check("SPARSE_INVERTED_INDEX", "drop_ratio_build", "1.0", &ratio("1.0"));
    check("SPARSE_WAND", "drop_ratio_build", "-0.1", &ratio("-0.1"));
    check("SPARSE_WAND", "drop_ratio_build", "x", "invalid float value, key: 'drop_ratio_build', value: 'x'");
    check("SPARSE_WAND", "inverted_index_algo", "DAAT_MAXSCORE", "");
    let supported = "[TAAT_NAIVE DAAT_WAND DAAT_MAXSCORE BLOCK_MAX_MAXSCORE BLOCK_MAX_WAND SINDI]";
    let unknown = format!("sparse inverted index algo INVALID not found or not supported, supported: {supported}");
    check("SPARSE_WAND", "inverted_index_algo", "INVALID", &unknown);
    check("IVF_SQ8", "nlist", "0", "Out of range in json: param 'nlist' (0) should be in range [1, 65536]");
    check("IVF_SQ8", "sq_type", "SQ8", "");
    check("IVF_SQ8", "sq_type", "SQ3", "invalid scalar quantizer type");
    check("IVF_SQ8", "refine", "True", "");
    check("IVF_SQ8", "refine_type", "FP16", "");
    check("IVF_SQ8", "refine_type", "INT8", "invalid refine type : INT8, optional types are [sq6, sq8, fp16, bf16, fp32, flat]");
}

#[test]
fn build_errors() {
    let check = |index_type: &str, data_type: DataType, pairs: &[(&str, &str)], text: &str| {
        let error = check_build(index_type, data_type, 128, &strings(pairs)).expect_err(text);
        assert_eq!(error.code(), Code::INVALID_PARAMETER);
        assert_eq!(error.reason(), text, "{index_type} {pairs:?}");
    };
    let float = |index_type: &str, pairs: &[(&str, &str)], text: &str| {
        let mut pairs = pairs.to_vec();
        pairs.push(("metric_type", "L2"));
        check(index_type, DataType::FloatVector, &pairs, &format!("{text}: invalid parameter"));
    };
    for name in ["ANNOY", "hnsw", "", "RHNSW_FLAT", "HYBRID", "IVF_FLAT_CC"] {
        let text = format!("invalid parameter[expected=valid index][actual=invalid index type: {name}]");
        check(name, DataType::FloatVector, &[("metric_type", "L2")], &text);
    }
    check("HNSW", DataType::VarChar, &[("metric_type", "L2")], "data type VarChar can't build with this index HNSW: invalid parameter");
    check("HNSW", DataType::FloatVector, &[], "metric type not set for vector index: invalid parameter");
    let unsupported = "float vector index does not support metric type: HAMMING: invalid parameter";
    check("HNSW", DataType::FloatVector, &[("metric_type", "HAMMING")], unsupported);
    check("AUTOINDEX", DataType::FloatVector, &[("metric_type", "HAMMING")], unsupported);
    float("AUTOINDEX", &[("nlist", "128")], "only metric type can be passed when use AutoIndex");
    float("HNSW", &[("dim", "64")], "dimension mismatch, dimension in schema: 128, dimension: 64");
    float("HNSW", &[("M", "2049")], "Out of range in json: param 'M' (2049) should be in range [2, 2048]");
    float("HNSW", &[("M", "1")], "Out of range in json: param 'M' (1) should be in range [2, 2048]");
    float("HNSW", &[("M", "-5")], "Out of range in json: param 'M' (-5) should be in range [2, 2048]");
    float("HNSW", &[("M", "True")], "invalid integer value, key: 'M', value: 'True'");
    float("HNSW", &[("M", "[16]")], "invalid integer value, key: 'M', value: '[16]'");
    float("HNSW", &[("M", "16.0")], "wrong data type in json, key: 'M', value: '16.0'");
    float("HNSW", &[("M", "99999999999999999999")], "wrong data type in json, key: 'M', value: '99999999999999999999'");
    let range = "Out of range in json: param 'efConstruction' (0) should be in range [1, 2147483647]";
    float("HNSW", &[("efConstruction", "0")], range);
    float("IVF_FLAT", &[("nlist", "65537")], "Out of range in json: param 'nlist' (65537) should be in range [1, 65536]");
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

#[test]
fn searches_and_their_defaults() {
    let check = |index_type: &str, value: Value, purpose: Purpose, ef: usize, nprobe: usize, buckets: usize| {
        let params = check_search(index_type, &object(value), purpose).expect("good parameters");
        assert_eq!((params.ef, params.nprobe, params.max_empty_result_buckets), (ef, nprobe, buckets));
    };
    let nearest = |k| Purpose::Nearest { k };
    check("HNSW", json!({}), nearest(10), 16, 8, 2);
    check("HNSW", json!({}), nearest(100), 100, 8, 2);
    check("HNSW", json!({}), Purpose::Range, 512, 8, 2);
    check("HNSW", json!({"ef": 10, "nprobe": "x"}), nearest(10), 10, 8, 2);
    check("HNSW", json!({"ef": "32"}), nearest(10), 32, 8, 2);
    check("HNSW", json!({"ef": 5}), Purpose::Range, 5, 8, 2);
    check("IVF_FLAT", json!({"nprobe": 65536, "ef": true}), nearest(10), 16, 65_536, 2);
    check("IVF_FLAT", json!({"max_empty_result_buckets": 0}), Purpose::Range, 512, 8, 0);
    check("FLAT", json!({"nprobe": "x", "ef": -1}), nearest(10), 16, 8, 2);
    let auto = check_search("AUTOINDEX", &object(json!({"level": 3, "ef": "x"})), nearest(10)).expect("good parameters");
    assert!(auto.ef >= 64, "{auto:?}");
}

#[test]
fn search_errors() {
    let check = |index_type: &str, value: Value, k: usize, text: &str| {
        let error = check_search(index_type, &object(value), Purpose::Nearest { k }).expect_err(text);
        assert_eq!(error.reason(), format!("{text}: invalid parameter"));
    };
    check("HNSW", json!({"ef": 1}), 10, "ef(1) should be larger than k(10)");
    check("HNSW", json!({"ef": 32.0}), 10, "Type conflict in json: param 'ef' (32.0) should be integer");
    check("HNSW", json!({"ef": true}), 10, "Type conflict in json: param 'ef' (true) should be integer");
    check("HNSW", json!({"ef": [32]}), 10, "Type conflict in json: param 'ef' ([32]) should be integer");
    check("HNSW", json!({"ef": "x"}), 10, "Type conflict in json: param 'ef' (\"x\") should be integer");
    let range = "Out of range in json: param 'ef' (0) should be in range [1, 2147483647]";
    check("HNSW", json!({"ef": 0}), 10, range);
    check("IVF_FLAT", json!({"nprobe": 0}), 10, "Out of range in json: param 'nprobe' (0) should be in range [1, 65536]");
    check("IVF_FLAT", json!({"nprobe": 65537}), 10, "Out of range in json: param 'nprobe' (65537) should be in range [1, 65536]");
    let ratio = "Out of range in json: param 'drop_ratio_search' (1.0) should be in range [0.000000, 1.000000)";
    check("SPARSE_WAND", json!({"drop_ratio_search": 1.0}), 10, ratio);
    let wrong = "Type conflict in json: param 'drop_ratio_search' (true) should be a number";
    check("SPARSE_WAND", json!({"drop_ratio_search": true}), 10, wrong);
    let ratio = "Out of range in json: param 'dim_max_score_ratio' (2) should be in range [0.500000, 1.300000]";
    check("SPARSE_INVERTED_INDEX", json!({"dim_max_score_ratio": 2}), 10, ratio);
    let refined = "param 'refine_k' (0) should be in range [1.000000, 340282346638528859811704183484516925440.000000]";
    check("IVF_SQ8", json!({"refine_k": 0}), 10, &format!("Out of range in json: {refined}"));
    check("BIN_IVF_FLAT", json!({"nprobe": 0}), 10, "Out of range in json: param 'nprobe' (0) should be in range [1, 65536]");
    let dropped = check_search("SPARSE_WAND", &object(json!({"drop_ratio_search": "0.5"})), Purpose::Range).expect("good parameters");
    assert_eq!(dropped.drop_ratio, 0.5);
    let unknown = check_search("ANNOY", &Map::new(), Purpose::Nearest { k: 1 }).expect_err("no such type");
    assert_eq!(unknown.reason(), "invalid parameter[expected=valid index][actual=invalid index type: ANNOY]");
    assert!(IndexKind::from_name("HNSW").is_ok());
}
