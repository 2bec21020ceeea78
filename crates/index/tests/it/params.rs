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
    let unknown = check_search("ANNOY", &Map::new(), Purpose::Nearest { k: 1 }).expect_err("no such type");
    assert_eq!(unknown.reason(), "invalid parameter[expected=valid index][actual=invalid index type: ANNOY]");
    assert!(IndexKind::from_name("HNSW").is_ok());
}
