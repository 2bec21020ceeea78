//! What a process counts, and its text for Prometheus.
//!
//! One [`Metrics`] per process (a simulation has several), no global state. A metric is declared once, as a constant with its name,
//! labels and buckets: Milvus's own in [`milvus`], ours (`elanus_…`) beside the code that fills them. A component asks for its
//! [`Family`] when it is made, and for a child (one set of label values) where it counts.
//!
//! Invariants: a name has one kind and one list of labels; a family has at most [`SERIES_MOST`] children, later ones are counted together
//! under the value `other`.
//!
//! This module owns the `prometheus` crate; its types don't leave it.

pub mod milvus;
pub mod process;

mod family;

pub use family::{Child, Counter, Family, Gauge, Histogram};

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use prometheus::{Registry, TextEncoder};

/// The most label sets of one metric: a scrape stays small whatever clients name their collections.
pub const SERIES_MOST: usize = 10_000;

/// The HTTP content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Milliseconds 1, 2, 4 … 131,072: Milvus's buckets for latencies.
pub const LATENCY_BUCKETS: &[f64] =
    &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0, 32768.0, 65536.0, 131072.0];

/// Milliseconds up to hours: Milvus's buckets for compactions and imports.
pub const LONG_TASK_BUCKETS: &[f64] = &[1.0, 100.0, 500.0, 1e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2.5e5, 5e5, 1e6, 3.6e6, 5e6, 1e7];

/// A metric as it is declared: `C` is its kind, `N` how many labels it has.
pub struct Metric<C, const N: usize> {
    name: &'static str,
    help: &'static str,
    labels: [&'static str; N],
    buckets: &'static [f64],
    kind: std::marker::PhantomData<fn() -> C>,
}

impl<const N: usize> Metric<Counter, N> {
    /// A number that only grows.
    pub const fn counter(name: &'static str, help: &'static str, labels: [&'static str; N]) -> Self {
        Self { name, help, labels, buckets: &[], kind: std::marker::PhantomData }
    }
}

impl<const N: usize> Metric<Gauge, N> {
    /// A number that goes up and down.
    pub const fn gauge(name: &'static str, help: &'static str, labels: [&'static str; N]) -> Self {
        Self { name, help, labels, buckets: &[], kind: std::marker::PhantomData }
    }
}

impl<const N: usize> Metric<Histogram, N> {
    /// Observations, counted per bucket. Bounds ascend.
    pub const fn histogram(name: &'static str, help: &'static str, labels: [&'static str; N], buckets: &'static [f64]) -> Self {
        Self { name, help, labels, buckets, kind: std::marker::PhantomData }
    }
}

impl<C, const N: usize> Metric<C, N> {
    /// The name as Prometheus knows it.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The names of the labels, in the order in which [`Family::with`] takes their values.
    pub const fn labels(&self) -> &[&'static str] {
        &self.labels
    }
}

/// All metrics of one process. Clones share them.
#[derive(Clone, Default)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    registry: Registry,
    node: OnceLock<String>,
    families: Mutex<BTreeMap<&'static str, Box<dyn Registered>>>,
}

/// A family, whatever its type.
trait Registered: Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn forget(&self, label: &str, value: &str);
}

impl<C: Child, const N: usize> Registered for Family<C, N> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn forget(&self, label: &str, value: &str) {
        Family::forget(self, label, value);
    }
}

impl Metrics {
    /// No metrics yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says which node the process is, for the label `node_id`. Only the first call counts: a process is one node for life.
    pub fn set_node(&self, id: i64) {
        self.inner.node.get_or_init(|| id.to_string());
    }

    /// The value of the label `node_id`; `0` before the process has an id.
    pub fn node(&self) -> &str {
        self.inner.node.get().map_or("0", String::as_str)
    }

    /// The family of a declared metric, registered when first asked for.
    ///
    /// # Panics
    /// If the name was registered with another kind or another number of labels: two declarations of one name are a bug.
    pub fn family<C: Child, const N: usize>(&self, metric: &Metric<C, N>) -> Family<C, N> {
        let mut families = self.inner.families.lock();
        let registered = families.entry(metric.name).or_insert_with(|| {
            let family = Family::<C, N>::new(metric);
            self.inner.registry.register(family.collector()).unwrap_or_else(|error| panic!("metric {}: {error}", metric.name));
            Box::new(family)
        });
        let family = registered.as_any().downcast_ref::<Family<C, N>>();
        family.unwrap_or_else(|| panic!("metric {} is declared twice, differently", metric.name)).clone()
    }

    /// Drops every child whose `label` is `value`: a collection that is gone has no series any more.
    pub fn forget(&self, label: &str, value: &str) {
        for registered in self.inner.families.lock().values() {
            registered.forget(label, value);
        }
    }

    /// Everything in Prometheus's text format, sorted by name and labels.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        TextEncoder::new().encode_utf8(&self.inner.registry.gather(), &mut text).expect("writing to memory doesn't fail");
        text
    }
}
