//! Requests as Milvus's metrics: what its dashboards and alerts read.
//!
//! Each is told of once, when it ends. Not here: what is true whether somebody asks or not ([`crate::sample`]), what nodes count themselves.

use std::time::Duration;

use base::config::Current;
use base::metrics::{Counter, Family, Gauge, Histogram, Metric, Metrics, milvus};
use node::proxy::{Finished, Observe};

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

/// Counts and times requests.
pub struct RequestMetrics {
    metrics: Metrics,
    requests: Family<Counter, 6>,
    latency: Family<Histogram, 2>,
    /// What is slow (`proxy.slowQuerySpanInSeconds`).
    slow: Current<Duration>,
}

impl RequestMetrics {
    /// Under the process's node id.
    pub fn new(metrics: &Metrics, slow: Current<Duration>) -> Self {
        Self {
            requests: metrics.family(&milvus::PROXY_REQ_COUNT),
            latency: metrics.family(&milvus::PROXY_REQ_LATENCY),
            metrics: metrics.clone(),
            slow,
        }
    }

    fn count<const N: usize>(&self, metric: &Metric<Counter, N>, labels: [&str; N], count: u64) {
        // What never happened has no series: a collection that is only read has no zero of its inserts.
        if count > 0 {
            self.metrics.family(metric).with(labels).add(count);
        }
    }

    fn time<const N: usize>(&self, metric: &Metric<Histogram, N>, labels: [&str; N], took: Duration) {
        self.metrics.family(metric).with(labels).observe_duration(took);
    }

    fn wrote(&self, kind: &'static str, request: &Finished<'_>) {
        let (node, figures) = (self.metrics.node(), &request.figures);
        let (database, collection) = (request.database, request.collection);
        self.count(&milvus::PROXY_RECEIVE_BYTES_COUNT, [node, kind, database, collection], figures.received_bytes);
        if request.code != 0 {
            return;
        }
        let rows = match kind {
            "insert" => &milvus::PROXY_INSERT_VECTORS_COUNT,
            "upsert" => &milvus::PROXY_UPSERT_VECTORS_COUNT,
            _ => &milvus::PROXY_DELETE_VECTORS_COUNT,
        };
        self.count(rows, [node, database, collection], figures.rows);
        self.time(&milvus::PROXY_MUTATION_LATENCY, [node, kind, database, collection], request.elapsed);
        self.time(&milvus::PROXY_COLLECTION_MUTATION_LATENCY, [node, kind, database, collection], request.elapsed);
        self.time(&milvus::PROXY_MUTATION_SEND_LATENCY, [node, kind], figures.shards);
    }

    fn read(&self, kind: &'static str, request: &Finished<'_>) {
        let (node, figures) = (self.metrics.node(), &request.figures);
        let (database, collection) = (request.database, request.collection);
        self.count(&milvus::PROXY_RECEIVED_NQ, [node, kind, database, collection], figures.queries);
        self.count(&milvus::PROXY_RECEIVE_BYTES_COUNT, [node, kind, database, collection], figures.received_bytes);
        self.count(&milvus::PROXY_SEND_BYTES_COUNT, [node], figures.sent_bytes);
        if request.elapsed >= *self.slow.get() {
            self.count(&milvus::PROXY_SLOW_QUERY_COUNT, [node, kind], 1);
            let (took_ms, collection) = (request.elapsed.as_millis() as u64, request.collection);
            tracing::warn!(kind, took_ms, database, collection, request = request.request, "a slow read");
        }
        if request.code != 0 {
            return;
        }
        if kind != "query" {
            self.count(&milvus::PROXY_SEARCH_VECTORS_COUNT, [node, database, collection], figures.queries);
        }
        self.time(&milvus::PROXY_SQ_LATENCY, [node, kind, database, collection], request.elapsed);
        self.time(&milvus::PROXY_COLLECTION_SQ_LATENCY, [node, kind, database, collection], request.elapsed);
        self.time(&milvus::PROXY_SQ_WAIT_RESULT_LATENCY, [node, kind], figures.shards);
        self.time(&milvus::PROXY_SQ_REDUCE_RESULT_LATENCY, [node, kind], figures.merging);
    }

    fn defined(&self, request: &Finished<'_>, outcome: &str) {
        for status in ["total", outcome] {
            self.count(&milvus::ROOTCOORD_DDL_REQ_COUNT, [request.function, status], 1);
            if request.function == "CreateIndex" {
                self.count(&milvus::DATACOORD_INDEX_REQ_COUNT, [status], 1);
            }
        }
        self.time(&milvus::ROOTCOORD_DDL_REQ_LATENCY, [request.function], request.elapsed);
    }
}

impl Observe for RequestMetrics {
    fn finished(&self, request: &Finished<'_>) {
        let node = self.metrics.node();
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
            Some(Kind::Load) => statuses.iter().for_each(|status| self.count(&milvus::QUERYCOORD_LOAD_REQ_COUNT, [status], 1)),
            Some(Kind::Release) => statuses.iter().for_each(|status| self.count(&milvus::QUERYCOORD_RELEASE_REQ_COUNT, [status], 1)),
            None => {}
        }
    }
}

/// What a process that is everything is, in Milvus's words.
const ROLES: &[&str] = &["proxy", "rootcoord", "datacoord", "indexcoord", "querycoord", "datanode", "indexnode", "querynode"];

/// Says what runs, once: always 1.
pub fn say_what_runs(metrics: &Metrics, log: &str, meta: &str) {
    let one = |gauge: Gauge| gauge.set(1.0);
    one(metrics.family(&milvus::BUILD_INFO).with([env!("CARGO_PKG_VERSION"), "", ""]));
    one(metrics.family(&milvus::RUNTIME_INFO).with([log, meta]));
    ROLES.iter().for_each(|role| one(metrics.family(&milvus::NUM_NODE).with([metrics.node(), role])));
}
