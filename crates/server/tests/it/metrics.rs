//! What `/metrics` says after a small job: each number is what the job did, and nothing that the table names stays without a value.

use std::collections::{BTreeMap, BTreeSet};

use base::metrics::milvus;

use crate::binary::{Binary, Start};
use crate::client::Client;

/// A scrape: series with their values, labels sorted as the server writes them.
struct Scrape {
    series: BTreeMap<String, f64>,
    text: String,
}

impl Scrape {
    fn of(server: &mut Binary) -> Self {
        let (status, text) = server.get("/metrics");
        assert_eq!(status, 200);
        let parse = |line: &str| line.rsplit_once(' ').and_then(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
        let series = text.lines().filter(|line| !line.starts_with('#')).filter_map(parse).collect();
        Self { series, text }
    }

    /// The sum over all series of this name whose labels hold `part`s.
    fn sum(&self, name: &str, parts: &[&str]) -> f64 {
        let of = |series: &&String| series.split('{').next() == Some(name) && parts.iter().all(|part| series.contains(part));
        self.series.iter().filter(|(series, _)| of(series)).map(|(_, value)| value).sum()
    }

    fn is(&self, name: &str, parts: &[&str], expected: f64) {
        let found = self.sum(name, parts);
        let lines: Vec<&str> = self.text.lines().filter(|line| line.starts_with(name) && !line.contains("_bucket")).collect();
        assert_eq!(found, expected, "{name} {parts:?} of:\n{}", lines.join("\n"));
    }

    fn is_some(&self, name: &str, parts: &[&str]) {
        assert!(self.sum(name, parts) > 0.0, "{name} {parts:?} is 0 or isn't there");
    }
}

#[test]
fn a_small_job_is_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut server = Start::standalone().data(directory.path()).serving();
    let mut client = Client::connect(&server.clients());
    client.create("books");
    client.insert("books", 0..3_000);
    client.flush("books");
    client.index("books");
    client.load("books");
    client.insert("books", 3_000..3_010);
    assert_eq!(client.delete("books", "id in [1, 2, 3]"), 3);
    assert_eq!(client.search("books", &[5, 3_005], 1), [5, 3_005]);
    assert_eq!(client.count("books"), 3_007);
    assert_ne!(client.search_nothing("books"), 0);
    let scrape = Scrape::of(&mut server);
    let books = r#"collection_name="books""#;
    let all = [books, r#"db_name="default""#];

    scrape.is("milvus_proxy_insert_vectors_count", &all, 3_010.0);
    scrape.is("milvus_proxy_delete_vectors_count", &all, 3.0);
    scrape.is("milvus_proxy_search_vectors_count", &all, 2.0);
    scrape.is("milvus_proxy_received_nq", &[books, r#"query_type="search""#], 2.0);
    scrape.is("milvus_proxy_req_count", &[r#"function_name="Insert""#, r#"status="success""#, books], 2.0);
    scrape.is("milvus_proxy_req_count", &[r#"function_name="Search""#, r#"status="total""#, books], 2.0);
    scrape.is("milvus_proxy_req_count", &[r#"function_name="Search""#, r#"status="fail""#, r#"cause="user""#, books], 1.0);
    scrape.is("milvus_proxy_mutation_latency_count", &[r#"msg_type="insert""#, books], 2.0);
    scrape.is("milvus_proxy_sq_latency_count", &[r#"query_type="search""#, books], 1.0);
    scrape.is("milvus_proxy_sq_latency_count", &[r#"query_type="query""#, books], 1.0);
    assert!(scrape.sum("milvus_proxy_receive_bytes_count", &[r#"msg_type="insert""#, books]) > 3_010.0 * 16.0);
    scrape.is_some("milvus_proxy_send_bytes_count", &[]);
    scrape.is("milvus_rootcoord_collection_num", &[r#"db_name="default""#], 1.0);
    scrape.is("milvus_rootcoord_partition_num", &[], 1.0);
    scrape.is("milvus_rootcoord_ddl_req_count", &[r#"function_name="CreateCollection""#, r#"status="success""#], 1.0);
    scrape.is("milvus_rootcoord_entity_num", &[books, r#"status="total""#], 3_010.0);
    scrape.is("milvus_rootcoord_entity_num", &[books, r#"status="loaded""#], 3_010.0);
    scrape.is("milvus_datacoord_segment_num", &[r#"segment_state="Flushed""#], 1.0);
    scrape.is("milvus_datacoord_segment_num", &[r#"segment_state="Growing""#], 1.0);
    scrape.is("milvus_datacoord_stored_rows_num", &[books], 3_000.0);
    assert!(scrape.sum("milvus_datacoord_stored_binlog_size", &[]) > 3_000.0 * 24.0);
    scrape.is("milvus_datacoord_index_req_count", &[r#"status="success""#], 1.0);
    scrape.is("milvus_datanode_flush_req_count", &[r#"status="success""#], 1.0);
    scrape.is_some("milvus_datanode_flushed_data_size", &[]);
    scrape.is("milvus_querycoord_collection_num", &[], 1.0);
    scrape.is("milvus_querycoord_load_req_count", &[r#"status="success""#], 1.0);
    scrape.is("milvus_querynode_collection_num", &[], 1.0);
    scrape.is("milvus_querynode_sq_req_count", &[r#"query_type="search""#, r#"status="success""#], 1.0);
    scrape.is("milvus_querynode_sq_core_latency_count", &[r#"query_type="search""#], 1.0);
    scrape.is("milvus_querynode_segment_num", &[r#"segment_state="Sealed""#], 1.0);
    scrape.is("milvus_querynode_entity_num", &[books, r#"segment_state="Growing""#], 10.0);
    scrape.is("milvus_querynode_search_nq_sum", &[], 2.0);
    scrape.is("milvus_runtime_info", &[r#"mq="embedded""#, r#"meta="redb""#], 1.0);
    let end = scrape.sum("elanus_log_end_number", &[]);
    assert!(end > 0.0 && scrape.sum("elanus_log_applied_number", &[]) == end, "one process applies what it acknowledges");
    scrape.is_some("elanus_unflushed_bytes", &[]);
    every_metric_is_fed(&scrape);

    // What is gone leaves no gauge behind.
    client.drop_collection("books");
    let scrape = Scrape::of(&mut server);
    scrape.is("milvus_rootcoord_collection_num", &[], 0.0);
    assert!(!scrape.series.keys().any(|series| series.starts_with("milvus_rootcoord_entity_num{")), "of a collection that is dropped");
    server.stop();
}

/// Metrics of things that the job didn't do, with the reason.
const ELSEWHERE: &[(&str, &str)] = &[
    ("milvus_proxy_upsert_vectors_count", "no upsert"),
    ("milvus_proxy_slow_query_count", "nothing was slow"),
    ("milvus_querycoord_release_req_count", "no release"),
    ("milvus_rootcoord_indexed_entity_num", "an index of that few rows may still be being built"),
];

/// Each metric of the table has a series: one that nothing feeds would lie.
fn every_metric_is_fed(scrape: &Scrape) {
    let there: BTreeSet<&str> = scrape.series.keys().map(|series| series.split('{').next().unwrap_or_default()).collect();
    let fed = |name: &str| there.contains(name) || there.contains(format!("{name}_count").as_str());
    let unfed: Vec<&str> = milvus::TABLE.iter().map(|(name, _, _)| *name).filter(|name| !fed(name)).collect();
    let surprising: Vec<&&str> = unfed.iter().filter(|name| !ELSEWHERE.iter().any(|(other, _)| other == *name)).collect();
    assert!(surprising.is_empty(), "nothing feeds {surprising:?}");
}
