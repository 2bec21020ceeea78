//! A store that counts: calls, failures, bytes and time of each kind of operation.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base::clock::Clock;
use bytes::Bytes;

use crate::object::{ObjectInfo, Store, StoreError};

/// A kind of call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Both kinds of put.
    Put,
    /// Whole objects, ranges and mappings.
    Get,
    /// Heads.
    Head,
    /// Listings.
    List,
    /// Deletes.
    Delete,
}

impl Operation {
    /// In order of their counters.
    pub const ALL: [Self; 5] = [Self::Put, Self::Get, Self::Head, Self::List, Self::Delete];

    /// As a metric's label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Head => "stat",
            Self::List => "list",
            Self::Delete => "remove",
        }
    }
}

/// What was counted of one kind of call since the store was made.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// Calls that ended.
    pub calls: u64,
    /// Of those: [`StoreError::Unavailable`], [`StoreError::Misconfigured`], [`StoreError::Damaged`].
    pub failures: u64,
    /// Bytes of objects, written or read.
    pub bytes: u64,
    /// All calls together.
    pub time: Duration,
}

#[derive(Default)]
struct Counters {
    calls: AtomicU64,
    failures: AtomicU64,
    bytes: AtomicU64,
    micros: AtomicU64,
}

/// A store with counters. Clones share them.
#[derive(Clone)]
pub struct MeteredStore {
    inner: Arc<dyn Store>,
    clock: Clock,
    counters: Arc<[Counters; Operation::ALL.len()]>,
}

impl MeteredStore {
    /// Nothing counted yet.
    pub fn new(inner: Arc<dyn Store>, clock: Clock) -> Self {
        Self { inner, clock, counters: Arc::default() }
    }

    /// The counters of one kind of call.
    pub fn usage(&self, operation: Operation) -> Usage {
        let counters = &self.counters[operation as usize];
        Usage {
            calls: counters.calls.load(Ordering::Relaxed),
            failures: counters.failures.load(Ordering::Relaxed),
            bytes: counters.bytes.load(Ordering::Relaxed),
            time: Duration::from_micros(counters.micros.load(Ordering::Relaxed)),
        }
    }

    async fn count<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T, StoreError>>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Result<T, StoreError> {
        let start = self.clock.now();
        let result = call.await;
        let counters = &self.counters[operation as usize];
        counters.calls.fetch_add(1, Ordering::Relaxed);
        counters.micros.fetch_add((self.clock.now() - start).as_micros() as u64, Ordering::Relaxed);
        match &result {
            Ok(value) => counters.bytes.fetch_add(bytes(value) as u64, Ordering::Relaxed),
            Err(StoreError::Missing(_) | StoreError::Exists(_)) => 0,
            Err(_) => counters.failures.fetch_add(1, Ordering::Relaxed),
        };
        result
    }
}

#[async_trait]
impl Store for MeteredStore {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        let length = bytes.len();
        self.count(Operation::Put, self.inner.put(name, bytes), |()| length).await
    }

    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        let length = bytes.len();
        self.count(Operation::Put, self.inner.put_if_absent(name, bytes), |()| length).await
    }

    async fn get(&self, name: &str) -> Result<Bytes, StoreError> {
        self.count(Operation::Get, self.inner.get(name), Bytes::len).await
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.count(Operation::Get, self.inner.get_range(name, range), Bytes::len).await
    }

    async fn head(&self, name: &str) -> Result<ObjectInfo, StoreError> {
        self.count(Operation::Head, self.inner.head(name), |_| 0).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        self.count(Operation::List, self.inner.list(prefix), |_| 0).await
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.count(Operation::Delete, self.inner.delete(name), |()| 0).await
    }

    async fn map(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        // Mapped bytes are read by page faults, if ever.
        self.count(Operation::Get, self.inner.map(name), |_| 0).await
    }
}
