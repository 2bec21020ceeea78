//! What passes between roles and storage, counted and timed under Milvus's names: operations by outcome, milliseconds, bytes.
//!
//! Not here: what roles themselves know ([`crate::observe`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use base::World;
use base::metrics::{Counter, Family, Histogram, Metric, milvus};
use meta::metered::{Call, MeteredMeta, Outcome};
use meta::store::Meta;
use store::object::Store;
use store::object::decorate::MeteredStore;
use types::id::ChannelName;
use wal::log::Log;
use wal::metered::{MeteredLog, Passed, Recorder};

/// What metadata stores are asked to do, and what Milvus's dashboards call it.
const META_OPERATIONS: &[(&str, &str)] = &[
    ("get", "get"),
    ("list", "list"),
    ("commit", "txn"),
    ("watch", "watch"),
    ("next", "watch_event"),
    ("grant", "lease_grant"),
    ("keep_alive", "lease_keep_alive"),
    ("revoke", "lease_revoke"),
];

/// Frames that went through the log, and their bytes.
const LOG_BYTES: Metric<Counter, 1> =
    Metric::counter("elanus_log_bytes_total", "Bytes of records appended to and read from the log.", ["op"]);

/// Metadata with figures.
pub(super) fn meta(world: &World, inner: Arc<dyn Meta>) -> Arc<dyn Meta> {
    let count = world.metrics.family(&milvus::META_OP_COUNT);
    let latency = world.metrics.family(&milvus::META_REQUEST_LATENCY);
    let bytes = world.metrics.family(&milvus::META_KV_SIZE);
    let meters: BTreeMap<&'static str, Meter> =
        META_OPERATIONS.iter().map(|(operation, label)| (*operation, Meter::new(&count, &latency, label))).collect();
    let bytes: BTreeMap<&'static str, Histogram> =
        META_OPERATIONS.iter().map(|(operation, label)| (*operation, bytes.with([label]))).collect();
    let observer = move |call: Call| {
        let (Some(meter), Some(bytes)) = (meters.get(call.operation), bytes.get(call.operation)) else { return };
        // A condition that doesn't hold is an answer, no failure.
        meter.count(call.outcome != Outcome::Failed);
        bytes.observe(call.bytes as f64);
        if call.operation != "next" {
            meter.latency.observe_duration(call.took);
        }
    };
    Arc::new(MeteredMeta::new(inner, world.clock.clone(), Arc::new(observer)))
}

/// A log with figures.
pub(super) fn log(world: &World, inner: Arc<dyn Log>) -> Arc<dyn Log> {
    let count = world.metrics.family(&milvus::MSGSTREAM_OP_COUNT);
    let latency = world.metrics.family(&milvus::MSGSTREAM_REQUEST_LATENCY);
    let bytes = world.metrics.family(&LOG_BYTES);
    let recorder = LogFigures {
        produce: Meter::new(&count, &latency, "produce"),
        consumed: count.with(["consume", "success"]),
        consume_failed: count.with(["consume", "fail"]),
        appended: bytes.with(["append"]),
        read: bytes.with(["read"]),
    };
    Arc::new(MeteredLog::new(world, inner, Arc::new(recorder)))
}

/// Objects with figures.
pub(super) fn store(world: &World, inner: Arc<dyn Store>) -> Arc<dyn Store> {
    Arc::new(MeteredStore::new(inner, world))
}

/// One kind of operation.
struct Meter {
    total: Counter,
    success: Counter,
    fail: Counter,
    latency: Histogram,
}

impl Meter {
    fn new(count: &Family<Counter, 2>, latency: &Family<Histogram, 1>, label: &str) -> Self {
        Self {
            total: count.with([label, "total"]),
            success: count.with([label, "success"]),
            fail: count.with([label, "fail"]),
            latency: latency.with([label]),
        }
    }

    fn count(&self, succeeded: bool) {
        self.total.inc();
        if succeeded { self.success.inc() } else { self.fail.inc() }
    }
}

/// Appends are timed; a read mostly waits for new records, which is no latency.
struct LogFigures {
    produce: Meter,
    consumed: Counter,
    consume_failed: Counter,
    appended: Counter,
    read: Counter,
}

impl Recorder for LogFigures {
    fn appended(&self, _: &ChannelName, append: Passed, durable: bool) {
        self.produce.count(durable);
        self.produce.latency.observe_duration(append.took);
        if durable {
            self.appended.add(append.bytes as u64);
        }
    }

    fn read(&self, _: &ChannelName, read: Passed) {
        self.consumed.inc();
        self.read.add(read.bytes as u64);
    }

    fn read_failed(&self, _: &ChannelName) {
        self.consume_failed.inc();
    }
}
