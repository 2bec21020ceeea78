//! Requests as Milvus's metrics: what its dashboards and alerts read.
//!
//! Each is told of once, when it ends. Not here: what is true whether somebody asks or not ([`crate::sample`]), what nodes count themselves.

use std::time::Duration;

use base::config::Current;
use base::metrics::{Counter, Family, Gauge, Histogram, Metrics, milvus};
use node::proxy::{Finished, Observe};

use crate::roles::RoleSet;

/// What a request is to the metrics of its kind; `None` for those that have none but the common ones.
enum Kind {
    /// `insert`, `upsert`, `delete`.
    Write(&'static str),
    /// `search`, `query`.
    Read(&'static str),
    /// A change of definitions.
    Definition,
    Load,
    Release,
}

impl Kind {
    fn of(function: &str) -> Option<Self> {
        Some(match function {
            "Insert" => Self::Write("insert"),
            "Upsert" => Self::Write("upsert"),
            "Delete" => Self::Write("delete"),
            "Search" => Self::Read("search"),
            "HybridSearch" => Self::Read("hybrid_search"),
            "Query" => Self::Read("query"),
            "CreateCollection" | "DropCollection" | "AlterCollection" | "RenameCollection" | "AddCollectionField" | "CreatePartition"
            | "DropPartition" | "CreateIndex" | "DropIndex" | "AlterIndex" | "CreateAlias" | "DropAlias" | "AlterAlias"
            | "CreateDatabase" | "DropDatabase" | "AlterDatabase" => Self::Definition,
            "LoadCollection" | "LoadPartitions" => Self::Load,
            "ReleaseCollection" | "ReleasePartitions" => Self::Release,
            _ => return None,
        })
    }
}

/// Counts and times requests. Families are looked up once, as requests are many.
pub struct RequestMetrics {
    node: String,
    /// What is slow (`proxy.slowQuerySpanInSeconds`).
    slow: Current<Duration>,
    requests: Family<Counter, 6>,
    latency: Family<Histogram, 2>,
    received_bytes: Family<Counter, 4>,
    sent_bytes: Family<Counter, 1>,
    inserted: Family<Counter, 3>,
    upserted: Family<Counter, 3>,
    deleted: Family<Counter, 3>,
    mutation_latency: Family<Histogram, 4>,
    collection_mutation_latency: Family<Histogram, 4>,
    mutation_send: Family<Histogram, 2>,
    received_queries: Family<Counter, 4>,
    searched: Family<Counter, 3>,
    slow_queries: Family<Counter, 2>,
    read_latency: Family<Histogram, 4>,
    collection_read_latency: Family<Histogram, 4>,
    waiting: Family<Histogram, 2>,
    merging: Family<Histogram, 2>,
    definitions: Family<Counter, 2>,
    definition_latency: Family<Histogram, 1>,
    index_requests: Family<Counter, 1>,
    loads: Family<Counter, 1>,
    releases: Family<Counter, 1>,
}

impl RequestMetrics {
    /// Under the process's node id.
    pub fn new(metrics: &Metrics, slow: Current<Duration>) -> Self {
        Self {
            node: metrics.node().to_owned(),
            slow,
            requests: metrics.family(&milvus::PROXY_REQ_COUNT),
            latency: metrics.family(&milvus::PROXY_REQ_LATENCY),
            received_bytes: metrics.family(&milvus::PROXY_RECEIVE_BYTES_COUNT),
            sent_bytes: metrics.family(&milvus::PROXY_SEND_BYTES_COUNT),
            inserted: metrics.family(&milvus::PROXY_INSERT_VECTORS_COUNT),
            upserted: metrics.family(&milvus::PROXY_UPSERT_VECTORS_COUNT),
            deleted: metrics.family(&milvus::PROXY_DELETE_VECTORS_COUNT),
            mutation_latency: metrics.family(&milvus::PROXY_MUTATION_LATENCY),
            collection_mutation_latency: metrics.family(&milvus::PROXY_COLLECTION_MUTATION_LATENCY),
            mutation_send: metrics.family(&milvus::PROXY_MUTATION_SEND_LATENCY),
            received_queries: metrics.family(&milvus::PROXY_RECEIVED_NQ),
            searched: metrics.family(&milvus::PROXY_SEARCH_VECTORS_COUNT),
            slow_queries: metrics.family(&milvus::PROXY_SLOW_QUERY_COUNT),
            read_latency: metrics.family(&milvus::PROXY_SQ_LATENCY),
            collection_read_latency: metrics.family(&milvus::PROXY_COLLECTION_SQ_LATENCY),
            waiting: metrics.family(&milvus::PROXY_SQ_WAIT_RESULT_LATENCY),
            merging: metrics.family(&milvus::PROXY_SQ_REDUCE_RESULT_LATENCY),
            definitions: metrics.family(&milvus::ROOTCOORD_DDL_REQ_COUNT),
            definition_latency: metrics.family(&milvus::ROOTCOORD_DDL_REQ_LATENCY),
            index_requests: metrics.family(&milvus::DATACOORD_INDEX_REQ_COUNT),
            loads: metrics.family(&milvus::QUERYCOORD_LOAD_REQ_COUNT),
            releases: metrics.family(&milvus::QUERYCOORD_RELEASE_REQ_COUNT),
        }
    }

    fn wrote(&self, kind: &'static str, request: &Finished<'_>) {
        let (node, figures) = (self.node.as_str(), &request.figures);
        let (database, collection) = (request.database, request.collection);
        count(&self.received_bytes, [node, kind, database, collection], figures.received_bytes);
        if request.code != 0 {
            return;
        }
        let rows = match kind {
            "insert" => &self.inserted,
            "upsert" => &self.upserted,
            _ => &self.deleted,
        };
        count(rows, [node, database, collection], figures.rows);
        time(&self.mutation_latency, [node, kind, database, collection], request.elapsed);
        time(&self.collection_mutation_latency, [node, kind, database, collection], request.elapsed);
        time(&self.mutation_send, [node, kind], figures.shards);
    }

    fn read(&self, kind: &'static str, request: &Finished<'_>) {
        let (node, figures) = (self.node.as_str(), &request.figures);
        let (database, collection) = (request.database, request.collection);
        count(&self.received_queries, [node, kind, database, collection], figures.queries);
        count(&self.received_bytes, [node, kind, database, collection], figures.received_bytes);
        count(&self.sent_bytes, [node], figures.sent_bytes);
        if request.elapsed >= *self.slow.get() {
            count(&self.slow_queries, [node, kind], 1);
            let (took_ms, collection) = (request.elapsed.as_millis() as u64, request.collection);
            tracing::warn!(kind, took_ms, database, collection, request = request.request, "a slow read");
        }
        if request.code != 0 {
            return;
        }
        if kind != "query" {
            count(&self.searched, [node, database, collection], figures.queries);
        }
        time(&self.read_latency, [node, kind, database, collection], request.elapsed);
        time(&self.collection_read_latency, [node, kind, database, collection], request.elapsed);
        time(&self.waiting, [node, kind], figures.shards);
        time(&self.merging, [node, kind], figures.merging);
    }

    fn defined(&self, request: &Finished<'_>, outcome: &str) {
        for status in ["total", outcome] {
            count(&self.definitions, [request.function, status], 1);
            if request.function == "CreateIndex" {
                count(&self.index_requests, [status], 1);
            }
        }
        time(&self.definition_latency, [request.function], request.elapsed);
    }
}

fn count<const N: usize>(family: &Family<Counter, N>, labels: [&str; N], count: u64) {
    // What never happened has no series: a collection that is only read has no zero of its inserts.
    if count > 0 {
        family.with(labels).add(count);
    }
}

fn time<const N: usize>(family: &Family<Histogram, N>, labels: [&str; N], took: Duration) {
    family.with(labels).observe_duration(took);
}

impl Observe for RequestMetrics {
    fn finished(&self, request: &Finished<'_>) {
        let node = self.node.as_str();
        let outcome = if request.code == 0 { "success" } else { "fail" };
        let cause = match (request.code, request.input_error) {
            (0, _) => "",
            (_, true) => "user",
            (_, false) => "system",
        };
        for (status, cause) in [("total", ""), (outcome, cause)] {
            self.requests.with([node, request.function, status, cause, request.database, request.collection]).inc();
        }
        self.latency.with([node, request.function]).observe_duration(request.elapsed);
        let statuses = ["total", outcome];
        match Kind::of(request.function) {
            Some(Kind::Write(kind)) => self.wrote(kind, request),
            Some(Kind::Read(kind)) => self.read(kind, request),
            Some(Kind::Definition) => self.defined(request, outcome),
            Some(Kind::Load) => statuses.iter().for_each(|status| count(&self.loads, [status], 1)),
            Some(Kind::Release) => statuses.iter().for_each(|status| count(&self.releases, [status], 1)),
            None => {}
        }
    }

    fn dropped(&self, _database: &str, collection: &str) {
        const LABEL: &str = "collection_name";
        self.requests.forget(LABEL, collection);
        self.received_bytes.forget(LABEL, collection);
        self.received_queries.forget(LABEL, collection);
        [&self.inserted, &self.upserted, &self.deleted, &self.searched].iter().for_each(|family| family.forget(LABEL, collection));
        let timed = [&self.mutation_latency, &self.collection_mutation_latency, &self.read_latency, &self.collection_read_latency];
        timed.iter().for_each(|family| family.forget(LABEL, collection));
    }
}

/// Says what runs, once: always 1.
pub fn say_what_runs(metrics: &Metrics, run: &RoleSet, log: &str, meta: &str) {
    let one = |gauge: Gauge| gauge.set(1.0);
    one(metrics.family(&milvus::BUILD_INFO).with([env!("CARGO_PKG_VERSION"), "", ""]));
    one(metrics.family(&milvus::RUNTIME_INFO).with([log, meta]));
    run.iter().for_each(|role| one(metrics.family(&milvus::NUM_NODE).with([metrics.node(), role.name()])));
}
