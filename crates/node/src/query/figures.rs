//! What a query node counts of its reads: how many, how they ended, how long they waited for the log and how long they computed.

use std::time::Duration;

use base::metrics::{Counter, Family, Histogram, Metrics, milvus};
use types::Result;
use types::id::CollectionId;

/// Whoever asks speaks to the shard's leader: there is no other way to it.
const SCOPE: &str = "leader";

/// Of a process, under its node id.
pub(super) struct Figures {
    node: String,
    requests: Family<Counter, 5>,
    search: Latencies,
    query: Latencies,
    queries: Histogram,
    limits: Histogram,
}

/// Of one kind of read.
pub(super) struct Latencies {
    kind: &'static str,
    whole: Histogram,
    waiting: Histogram,
    computing: Histogram,
}

impl Figures {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let node = metrics.node();
        let of = |kind| Latencies {
            kind,
            whole: metrics.family(&milvus::QUERYNODE_SQ_REQ_LATENCY).with([node, kind, SCOPE]),
            waiting: metrics.family(&milvus::QUERYNODE_SQ_WAIT_TSAFE_LATENCY).with([node, kind]),
            computing: metrics.family(&milvus::QUERYNODE_SQ_CORE_LATENCY).with([node, kind]),
        };
        Self {
            node: node.to_owned(),
            requests: metrics.family(&milvus::QUERYNODE_SQ_REQ_COUNT),
            search: of("search"),
            query: of("query"),
            queries: metrics.family(&milvus::QUERYNODE_SEARCH_NQ).with([node]),
            limits: metrics.family(&milvus::QUERYNODE_SEARCH_TOPK).with([node]),
        }
    }

    pub(super) fn search(&self) -> &Latencies {
        &self.search
    }

    pub(super) fn query(&self) -> &Latencies {
        &self.query
    }

    /// What a search asked for.
    pub(super) fn asked(&self, queries: usize, limit: usize) {
        self.queries.observe(queries as f64);
        self.limits.observe(limit as f64);
    }

    /// A read of one shard ended.
    pub(super) fn ended<T>(&self, of: &Latencies, collection: CollectionId, result: &Result<T>, took: Duration) {
        let status = if result.is_ok() { "success" } else { "fail" };
        for status in ["total", status] {
            self.requests.with([&self.node, of.kind, status, SCOPE, &collection.to_string()]).inc();
        }
        of.whole.observe_duration(took);
    }
}

impl Latencies {
    /// Until a version was there that is fresh enough.
    pub(super) fn waited(&self, took: Duration) {
        self.waiting.observe_duration(took);
    }

    /// From there to the answer, the queue for processors included.
    pub(super) fn computed(&self, took: Duration) {
        self.computing.observe_duration(took);
    }
}
