//! Requests as Milvus's metrics: what its dashboards and alerts read.

use base::metrics::{Counter, Family, Histogram, Metrics, milvus};
use node::proxy::{Finished, Observe};

/// Counts and times requests.
pub struct RequestMetrics {
    node: String,
    requests: Family<Counter, 6>,
    latency: Family<Histogram, 2>,
}

impl RequestMetrics {
    /// Under a node's id.
    pub fn new(metrics: &Metrics, node: i64) -> Self {
        Self {
            node: node.to_string(),
            requests: metrics.family(&milvus::PROXY_REQ_COUNT),
            latency: metrics.family(&milvus::PROXY_REQ_LATENCY),
        }
    }
}

impl Observe for RequestMetrics {
    fn finished(&self, request: &Finished<'_>) {
        let status = if request.code == 0 { "success" } else { "fail" };
        let cause = match (request.code, request.input_error) {
            (0, _) => "",
            (_, true) => "user",
            (_, false) => "system",
        };
        for status in ["total", status] {
            self.requests.with([&self.node, request.function, status, cause, "", ""]).inc();
        }
        self.latency.with([&self.node, request.function]).observe(request.elapsed.as_secs_f64() * 1e3);
    }
}
