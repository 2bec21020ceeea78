//! A store that fails as real ones do: calls without an answer, puts that happened although they failed, an outage.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use base::random::Random;
use bytes::Bytes;
use parking_lot::Mutex;
use types::{Code, Error};

use crate::object::{ObjectInfo, Store, StoreError};

/// How often what fails: probabilities from 0 to 1.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Faults {
    /// A call does nothing and has no answer.
    pub lost: f64,
    /// A put or delete happens and has no answer.
    pub unanswered: f64,
    /// Every call fails until this is taken back.
    pub outage: bool,
}

/// A store with faults, which may be changed while it is used. Chance comes from the simulation's seed.
#[derive(Clone)]
pub struct FaultStore {
    inner: Arc<dyn Store>,
    random: Random,
    faults: Arc<Mutex<Faults>>,
}

impl FaultStore {
    /// No faults yet.
    pub fn new(inner: Arc<dyn Store>, random: Random) -> Self {
        Self { inner, random, faults: Arc::default() }
    }

    /// From now on.
    pub fn set(&self, faults: Faults) {
        *self.faults.lock() = faults;
    }

    fn no_answer(&self, name: &str) -> StoreError {
        StoreError::Unavailable(Error::new(Code::IO_FAILED, format!("{name}: no answer from the {} store: IO failed", self.inner.kind())))
    }

    /// Draws whether a call gets through.
    fn before(&self, name: &str) -> Result<(), StoreError> {
        let faults = *self.faults.lock();
        if faults.outage || self.random.chance(faults.lost) { Err(self.no_answer(name)) } else { Ok(()) }
    }

    /// Draws whether the answer of a call that changed something gets through.
    fn after<T>(&self, name: &str, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        let unanswered = self.faults.lock().unanswered;
        if self.random.chance(unanswered) { Err(self.no_answer(name)) } else { answer }
    }
}

#[async_trait]
impl Store for FaultStore {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.before(name)?;
        self.after(name, self.inner.put(name, bytes).await)
    }

    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.before(name)?;
        self.after(name, self.inner.put_if_absent(name, bytes).await)
    }

    async fn get(&self, name: &str) -> Result<Bytes, StoreError> {
        self.before(name)?;
        self.inner.get(name).await
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.before(name)?;
        self.inner.get_range(name, range).await
    }

    async fn head(&self, name: &str) -> Result<ObjectInfo, StoreError> {
        self.before(name)?;
        self.inner.head(name).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        self.before(prefix)?;
        self.inner.list(prefix).await
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.before(name)?;
        self.after(name, self.inner.delete(name).await)
    }

    async fn map(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        self.before(name)?;
        self.inner.map(name).await
    }
}
