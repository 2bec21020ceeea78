//! Families and their children: what code holds and counts with.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use prometheus::core::Collector;
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts};

use super::{Metric, SERIES_MOST};

/// The value of every label in the child that counts for all label sets beyond the bound.
const OTHER: &str = "other";

/// A number that only grows.
#[derive(Clone)]
pub struct Counter {
    counter: prometheus::IntCounter,
}

/// A number that goes up and down.
#[derive(Clone)]
pub struct Gauge {
    gauge: prometheus::Gauge,
}

/// Observations, counted per bucket.
#[derive(Clone)]
pub struct Histogram {
    histogram: prometheus::Histogram,
}

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.counter.inc();
    }

    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.counter.inc_by(count);
    }

    /// The number so far.
    pub fn get(&self) -> u64 {
        self.counter.get()
    }
}

impl Gauge {
    /// Sets the number.
    pub fn set(&self, value: f64) {
        self.gauge.set(value);
    }

    /// Adds `change`, which may be negative.
    pub fn add(&self, change: f64) {
        self.gauge.add(change);
    }

    /// The number now.
    pub fn get(&self) -> f64 {
        self.gauge.get()
    }
}

impl Histogram {
    /// Counts a value.
    pub fn observe(&self, value: f64) {
        self.histogram.observe(value);
    }

    /// Counts a duration in milliseconds, the unit of Milvus's latencies.
    pub fn observe_duration(&self, duration: Duration) {
        self.histogram.observe(duration.as_secs_f64() * 1e3);
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.histogram.get_sample_count()
    }
}

/// A kind of metric. Implemented here only.
pub trait Child: Clone + Send + Sync + Sized + 'static {
    #[doc(hidden)]
    type Vector: Clone + Send + Sync + 'static;
    #[doc(hidden)]
    fn vector<const N: usize>(metric: &Metric<Self, N>) -> prometheus::Result<Self::Vector>;
    #[doc(hidden)]
    fn collector(vector: &Self::Vector) -> Box<dyn Collector>;
    #[doc(hidden)]
    fn child(vector: &Self::Vector, labels: &[&str]) -> Self;
    #[doc(hidden)]
    fn remove(vector: &Self::Vector, labels: &[&str]);
}

macro_rules! child {
    ($kind:ident, $field:ident, $vector:ty, |$metric:ident| $options:expr) => {
        impl Child for $kind {
            type Vector = $vector;

            fn vector<const N: usize>($metric: &Metric<Self, N>) -> prometheus::Result<Self::Vector> {
                <$vector>::new($options, &$metric.labels)
            }

            fn collector(vector: &Self::Vector) -> Box<dyn Collector> {
                Box::new(vector.clone())
            }

            fn child(vector: &Self::Vector, labels: &[&str]) -> Self {
                Self { $field: vector.with_label_values(labels) }
            }

            fn remove(vector: &Self::Vector, labels: &[&str]) {
                // Absent is as good as removed.
                drop(vector.remove_label_values(labels));
            }
        }
    };
}

child!(Counter, counter, IntCounterVec, |metric| Opts::new(metric.name, metric.help));
child!(Gauge, gauge, GaugeVec, |metric| Opts::new(metric.name, metric.help));
child!(Histogram, histogram, HistogramVec, |metric| HistogramOpts::new(metric.name, metric.help).buckets(metric.buckets.to_vec()));

/// One metric with all its label sets. Clones share them.
pub struct Family<C: Child, const N: usize> {
    inner: Arc<Inner<C>>,
}

struct Inner<C: Child> {
    labels: Vec<&'static str>,
    vector: C::Vector,
    children: RwLock<HashMap<Vec<String>, C>>,
}

impl<C: Child, const N: usize> Clone for Family<C, N> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<C: Child, const N: usize> Family<C, N> {
    pub(super) fn new(metric: &Metric<C, N>) -> Self {
        let vector = C::vector(metric).unwrap_or_else(|error| panic!("metric {}: {error}", metric.name));
        let family = Self { inner: Arc::new(Inner { labels: metric.labels.to_vec(), vector, children: RwLock::default() }) };
        if N == 0 {
            // Without labels there is one child, and it is shown as 0 before the first event.
            family.with([""; N]);
        }
        family
    }

    pub(super) fn collector(&self) -> Box<dyn Collector> {
        C::collector(&self.inner.vector)
    }

    /// The child of these label values, in the order of the declaration. Hold it where counting is frequent.
    pub fn with(&self, values: [&str; N]) -> C {
        let key: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        if let Some(child) = self.inner.children.read().get(&key) {
            return child.clone();
        }
        let mut children = self.inner.children.write();
        if children.len() >= SERIES_MOST && !children.contains_key(&key) {
            return C::child(&self.inner.vector, &[OTHER; N]);
        }
        children.entry(key).or_insert_with(|| C::child(&self.inner.vector, &values)).clone()
    }

    /// Drops every child whose `label` is `value`.
    pub fn forget(&self, label: &str, value: &str) {
        let Some(at) = self.inner.labels.iter().position(|name| *name == label) else { return };
        self.inner.children.write().retain(|values, _| {
            let gone = values[at] == value;
            if gone {
                let values: Vec<&str> = values.iter().map(String::as_str).collect();
                C::remove(&self.inner.vector, &values);
            }
            !gone
        });
    }
}

impl<const N: usize> Family<Gauge, N> {
    /// Has exactly these children with these values: what isn't among them is gone. At most [`SERIES_MOST`] are shown.
    pub fn set_all(&self, values: &BTreeMap<[String; N], f64>) {
        self.inner.children.write().retain(|labels, _| {
            let stays = <&[String; N]>::try_from(labels.as_slice()).is_ok_and(|labels| values.contains_key(labels));
            if !stays {
                Gauge::remove(&self.inner.vector, &labels.iter().map(String::as_str).collect::<Vec<_>>());
            }
            stays
        });
        for (labels, value) in values.iter().take(SERIES_MOST) {
            self.with(labels.each_ref().map(String::as_str)).set(*value);
        }
    }
}
