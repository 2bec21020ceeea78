//! A store that counts, under Milvus's metric names: operations by outcome, their latency, their bytes.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use base::World;
use base::clock::Clock;
use base::metrics::milvus::{STORAGE_KV_SIZE, STORAGE_OP_COUNT, STORAGE_REQUEST_LATENCY};
use base::metrics::{Counter, Histogram};
use bytes::Bytes;

use crate::object::{ObjectInfo, Store, StoreError};

/// A store with metrics. Clones share them.
#[derive(Clone)]
pub struct MeteredStore {
    inner: Arc<dyn Store>,
    clock: Clock,
    put: Meter,
    get: Meter,
    head: Meter,
    list: Meter,
    delete: Meter,
}

/// The metrics of one kind of operation.
#[derive(Clone)]
struct Meter {
    total: Counter,
    success: Counter,
    fail: Counter,
    latency: Histogram,
    bytes: Histogram,
}

impl Meter {
    fn new(world: &World, operation: &str) -> Self {
        let count = world.metrics.family(&STORAGE_OP_COUNT);
        Self {
            total: count.with([operation, "total"]),
            success: count.with([operation, "success"]),
            fail: count.with([operation, "fail"]),
            latency: world.metrics.family(&STORAGE_REQUEST_LATENCY).with([operation]),
            bytes: world.metrics.family(&STORAGE_KV_SIZE).with([operation]),
        }
    }

    /// A call, counted. A missing object and a taken name are answers, no failures.
    async fn count<T>(
        &self,
        clock: &Clock,
        call: impl Future<Output = Result<T, StoreError>>,
        bytes: impl FnOnce(&T) -> Option<usize>,
    ) -> Result<T, StoreError> {
        self.total.inc();
        let start = clock.now();
        let result = call.await;
        self.latency.observe_duration(clock.now() - start);
        match &result {
            Ok(value) => {
                self.success.inc();
                if let Some(bytes) = bytes(value) {
                    self.bytes.observe(bytes as f64);
                }
            }
            Err(StoreError::Missing(_) | StoreError::Exists(_)) => self.success.inc(),
            Err(_) => self.fail.inc(),
        }
        result
    }
}

impl MeteredStore {
    /// Counts go to `world`'s metrics.
    pub fn new(inner: Arc<dyn Store>, world: &World) -> Self {
        let meter = |operation| Meter::new(world, operation);
        Self {
            inner,
            clock: world.clock.clone(),
            put: meter("put"),
            get: meter("get"),
            head: meter("stat"),
            list: meter("list"),
            delete: meter("remove"),
        }
    }
}

#[async_trait]
impl Store for MeteredStore {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        let length = bytes.len();
        self.put.count(&self.clock, self.inner.put(name, bytes), |()| Some(length)).await
    }

    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        let length = bytes.len();
        self.put.count(&self.clock, self.inner.put_if_absent(name, bytes), |()| Some(length)).await
    }

    async fn get(&self, name: &str) -> Result<Bytes, StoreError> {
        self.get.count(&self.clock, self.inner.get(name), |bytes| Some(bytes.len())).await
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.get.count(&self.clock, self.inner.get_range(name, range), |bytes| Some(bytes.len())).await
    }

    async fn head(&self, name: &str) -> Result<ObjectInfo, StoreError> {
        self.head.count(&self.clock, self.inner.head(name), |_| None).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        self.list.count(&self.clock, self.inner.list(prefix), |_| None).await
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.delete.count(&self.clock, self.inner.delete(name), |()| None).await
    }

    async fn map(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        // Mapped bytes are read by page faults, if ever.
        self.get.count(&self.clock, self.inner.map(name), |_| None).await
    }
}
