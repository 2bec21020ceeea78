//! Metrics: what is counted, what is shown, what is bounded.

use std::collections::BTreeSet;
use std::time::Duration;

use base::metrics::{self, Counter, Gauge, Histogram, Metric, Metrics, milvus};

const APPENDS: Metric<Counter, 1> = Metric::counter("elanus_test_appends", "Appends.", ["kind"]);
const SIZE: Metric<Gauge, 0> = Metric::gauge("elanus_test_size", "Size.", []);
const LATENCY: Metric<Histogram, 1> = Metric::histogram("elanus_test_latency", "Latency.", ["kind"], &[1.0, 10.0]);

#[test]
fn text_for_prometheus() {
    let metrics = Metrics::new();
    assert_eq!(metrics.encode(), "");
    let appends = metrics.family(&APPENDS);
    appends.with(["b"]).inc();
    appends.with(["a \"quoted\"\n"]).add(2);
    metrics.family(&SIZE);
    let latency = metrics.family(&LATENCY).with(["x"]);
    latency.observe(1.0);
    latency.observe_duration(Duration::from_micros(2_500));
    latency.observe(100.0);
    assert_eq!(latency.count(), 3);
    let expected = "\
# HELP elanus_test_appends Appends.
# TYPE elanus_test_appends counter
elanus_test_appends{kind=\"a \\\"quoted\\\"\\n\"} 2
elanus_test_appends{kind=\"b\"} 1
# HELP elanus_test_latency Latency.
# TYPE elanus_test_latency histogram
elanus_test_latency_bucket{kind=\"x\",le=\"1\"} 1
elanus_test_latency_bucket{kind=\"x\",le=\"10\"} 2
elanus_test_latency_bucket{kind=\"x\",le=\"+Inf\"} 3
elanus_test_latency_sum{kind=\"x\"} 103.5
elanus_test_latency_count{kind=\"x\"} 3
# HELP elanus_test_size Size.
# TYPE elanus_test_size gauge
elanus_test_size 0
";
    assert_eq!(metrics.encode(), expected);
}

#[test]
fn instances_are_apart_and_families_shared() {
    let (one, two) = (Metrics::new(), Metrics::new());
    one.family(&APPENDS).with(["a"]).inc();
    one.clone().family(&APPENDS).with(["a"]).inc();
    assert_eq!(one.family(&APPENDS).with(["a"]).get(), 2);
    assert_eq!(two.family(&APPENDS).with(["a"]).get(), 0);
    let size = one.family(&SIZE).with([]);
    size.set(5.0);
    size.add(-2.0);
    assert_eq!(one.family(&SIZE).with([]).get(), 3.0);
}

#[test]
#[should_panic(expected = "declared twice")]
fn a_name_has_one_declaration() {
    const OTHER: Metric<Gauge, 1> = Metric::gauge("elanus_test_appends", "Appends.", ["kind"]);
    let metrics = Metrics::new();
    metrics.family(&APPENDS);
    metrics.family(&OTHER);
}

#[test]
fn what_is_gone_is_forgotten() {
    let metrics = Metrics::new();
    let vectors = metrics.family(&milvus::PROXY_INSERT_VECTORS_COUNT);
    vectors.with(["1", "default", "a"]).add(5);
    vectors.with(["1", "default", "b"]).add(7);
    metrics.family(&milvus::PROXY_SEARCH_VECTORS_COUNT).with(["1", "default", "a"]).inc();
    metrics.family(&milvus::PROXY_SEND_BYTES_COUNT).with(["1"]).inc();
    metrics.forget("collection_name", "a");
    let text = metrics.encode();
    assert!(!text.contains("collection_name=\"a\""), "{text}");
    assert!(text.contains("milvus_proxy_insert_vectors_count{collection_name=\"b\",db_name=\"default\",node_id=\"1\"} 7"), "{text}");
    assert!(text.contains("milvus_proxy_send_bytes_count{node_id=\"1\"} 1"), "{text}");
    assert_eq!(vectors.with(["1", "default", "a"]).get(), 0, "a new collection of that name begins at 0");
}

#[test]
fn series_are_bounded() {
    let metrics = Metrics::new();
    let appends = metrics.family(&APPENDS);
    for i in 0..metrics::SERIES_MOST + 50 {
        appends.with([&i.to_string()]).inc();
    }
    assert_eq!(appends.with(["other"]).get(), 50);
    appends.with(["3"]).inc();
    assert_eq!(appends.with(["3"]).get(), 2, "those that are there still count");
    assert_eq!(metrics.encode().lines().count(), metrics::SERIES_MOST + 3);
}

#[test]
fn milvus_table() {
    let names: BTreeSet<_> = milvus::TABLE.iter().map(|(name, _, _)| *name).collect();
    assert_eq!(names.len(), milvus::TABLE.len(), "a name stands once");
    for (name, labels, help) in milvus::TABLE {
        assert!(name.starts_with("milvus_") && help.ends_with('.'), "{name}");
        assert_eq!(labels.iter().collect::<BTreeSet<_>>().len(), labels.len(), "{name}");
    }
    let labels = |name: &str| milvus::TABLE.iter().find(|row| row.0 == name).map(|row| row.1.join(","));
    let check = |name: &str, expected: &str| assert_eq!(labels(name).as_deref(), Some(expected), "{name}");
    check("milvus_proxy_req_count", "node_id,function_name,status,cause,db_name,collection_name");
    check("milvus_build_info", "version,built,git_commit");
    check("milvus_rootcoord_proxy_num", "");
    check("milvus_storage_op_count", "persistent_data_op_type,status");
    check("milvus_meta_op_count", "meta_op_type,status");
    check("milvus_msgstream_op_count", "message_op_type,status");
    assert_eq!(milvus::PROXY_REQ_LATENCY.name(), "milvus_proxy_req_latency");
    assert_eq!(milvus::PROXY_REQ_LATENCY.labels(), ["node_id", "function_name"]);
    assert_eq!(metrics::LATENCY_BUCKETS.len(), 18);
    assert!(metrics::LATENCY_BUCKETS.windows(2).all(|pair| pair[1] == pair[0] * 2.0));
}

#[test]
fn a_bucket_list_of_milvus() {
    let metrics = Metrics::new();
    metrics.family(&milvus::PROXY_REQ_LATENCY).with(["1", "Search"]).observe(3.0);
    let text = metrics.encode();
    assert!(text.contains("milvus_proxy_req_latency_bucket{function_name=\"Search\",node_id=\"1\",le=\"131072\"} 1"), "{text}");
    assert!(text.contains("milvus_proxy_req_latency_bucket{function_name=\"Search\",node_id=\"1\",le=\"2\"} 0"), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_itself() {
    let metrics = Metrics::new();
    metrics::process::sample(&metrics);
    let text = metrics.encode();
    for name in ["process_resident_memory_bytes", "process_virtual_memory_bytes", "process_threads", "process_open_fds"] {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
        assert!(line.parse::<f64>().unwrap() > 0.0, "{name}");
    }
}

#[test]
fn gauges_are_exactly_what_was_set() {
    let metrics = Metrics::new();
    let family = metrics.family(&milvus::ROOTCOORD_COLLECTION_NUM);
    let set = |values: &[(&str, f64)]| {
        family.set_all(&values.iter().map(|(name, value)| ([(*name).to_owned()], *value)).collect());
        let text = metrics.encode();
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(set(&[("a", 1.0), ("b", 2.0)]).len(), 2);
    assert_eq!(set(&[("b", 3.0)]), [r#"milvus_rootcoord_collection_num{db_name="b"} 3"#]);
    assert_eq!(set(&[]), [""; 0]);
    assert_eq!(metrics.node(), "0");
    metrics.set_node(7);
    metrics.set_node(8);
    assert_eq!(metrics.node(), "7");
}
