//! Objects in memory: of tests and simulations, deterministic, shared by its clones.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use base::clock::Clock;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{ObjectInfo, Store, StoreError, beyond_the_end, check_name, check_prefix};

/// A store without a disk. Clones are one store; it outlives the simulated processes that use it.
#[derive(Clone)]
pub struct MemoryStore {
    clock: Clock,
    objects: Arc<Mutex<BTreeMap<String, Object>>>,
}

struct Object {
    bytes: Bytes,
    written: Instant,
}

impl MemoryStore {
    /// An empty store whose ages are `clock`'s.
    pub fn new(clock: Clock) -> Self {
        Self { clock, objects: Arc::default() }
    }

    fn find<T>(&self, name: &str, read: impl FnOnce(&Object) -> T) -> Result<T, StoreError> {
        check_name(name)?;
        self.objects.lock().get(name).map(read).ok_or_else(|| StoreError::Missing(name.to_owned()))
    }

    fn info(&self, name: &str, object: &Object) -> ObjectInfo {
        ObjectInfo { name: name.to_owned(), length: object.bytes.len() as u64, age: self.clock.now() - object.written }
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn kind(&self) -> &'static str {
        "memory"
    }

    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        check_name(name)?;
        self.objects.lock().insert(name.to_owned(), Object { bytes, written: self.clock.now() });
        Ok(())
    }

    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        check_name(name)?;
        let mut objects = self.objects.lock();
        if objects.contains_key(name) {
            return Err(StoreError::Exists(name.to_owned()));
        }
        objects.insert(name.to_owned(), Object { bytes, written: self.clock.now() });
        Ok(())
    }

    async fn get(&self, name: &str) -> Result<Bytes, StoreError> {
        self.find(name, |object| object.bytes.clone())
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let bytes = self.get(name).await?;
        if range.start > range.end || range.end > bytes.len() as u64 {
            return Err(beyond_the_end(name, &range, bytes.len() as u64));
        }
        Ok(bytes.slice(range.start as usize..range.end as usize))
    }

    async fn head(&self, name: &str) -> Result<ObjectInfo, StoreError> {
        self.find(name, |object| self.info(name, object))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        check_prefix(prefix)?;
        let beginning = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let objects = self.objects.lock();
        let found = objects.range(beginning.clone()..).take_while(|(name, _)| name.starts_with(&beginning));
        Ok(found.map(|(name, object)| self.info(name, object)).collect())
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        check_name(name)?;
        self.objects.lock().remove(name);
        Ok(())
    }

    async fn map(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        self.get(name).await.map(Some)
    }
}
