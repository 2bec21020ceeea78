//! A store that takes its time: what S3 in another building feels like, on any clock.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::World;
use bytes::Bytes;

use crate::object::{ObjectInfo, Store, StoreError};

/// How long calls take.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Latency {
    /// Every call, at least.
    pub call: Duration,
    /// Added: up to this much, at random.
    pub jitter: Duration,
    /// Bytes per second that a call's payload takes besides; 0 for no limit.
    pub bytes_per_second: u64,
}

/// A store with latency. It can't be mapped: what is far has to be fetched.
#[derive(Clone)]
pub struct LatencyStore {
    inner: Arc<dyn Store>,
    world: World,
    latency: Latency,
}

impl LatencyStore {
    /// Time and chance are `world`'s.
    pub fn new(inner: Arc<dyn Store>, world: World, latency: Latency) -> Self {
        Self { inner, world, latency }
    }

    async fn take(&self, bytes: usize) {
        let Latency { call, jitter, bytes_per_second } = self.latency;
        let jitter = Duration::from_micros(self.world.random.below(jitter.as_micros() as u64 + 1));
        let payload = Duration::from_secs_f64(if bytes_per_second == 0 { 0.0 } else { bytes as f64 / bytes_per_second as f64 });
        self.world.clock.sleep(call + jitter + payload).await;
    }
}

#[async_trait]
impl Store for LatencyStore {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.take(bytes.len()).await;
        self.inner.put(name, bytes).await
    }

    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.take(bytes.len()).await;
        self.inner.put_if_absent(name, bytes).await
    }

    async fn get(&self, name: &str) -> Result<Bytes, StoreError> {
        let bytes = self.inner.get(name).await?;
        self.take(bytes.len()).await;
        Ok(bytes)
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let bytes = self.inner.get_range(name, range).await?;
        self.take(bytes.len()).await;
        Ok(bytes)
    }

    async fn head(&self, name: &str) -> Result<ObjectInfo, StoreError> {
        self.take(0).await;
        self.inner.head(name).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        self.take(0).await;
        self.inner.list(prefix).await
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.take(0).await;
        self.inner.delete(name).await
    }

    async fn map(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        // Says that there is no such object, as the others do.
        self.head(name).await.map(|_| None)
    }
}
