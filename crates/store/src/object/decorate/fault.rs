//! A store that fails as real ones do, by a [`FaultPlan`]: calls that do nothing, puts that happened although they failed, delays.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use base::fault::FaultPlan;
use bytes::Bytes;
use types::{Code, Error};

use crate::object::{ObjectInfo, Store, StoreError};

/// A store with faults. The plan calls operations as the trait does, and may be changed while the store is used.
#[derive(Clone)]
pub struct FaultStore {
    inner: Arc<dyn Store>,
    plan: FaultPlan,
}

impl FaultStore {
    /// `inner` under a plan. An outage is a plan in which every call fails.
    pub fn new(inner: Arc<dyn Store>, plan: FaultPlan) -> Self {
        Self { inner, plan }
    }

    /// What a caller is told who gets no answer: it doesn't say whether the call happened.
    fn no_answer(&self, name: &str) -> StoreError {
        StoreError::Unavailable(Error::new(Code::IO_FAILED, format!("{name}: no answer from the {} store: IO failed", self.inner.kind())))
    }
}

#[async_trait]
impl Store for FaultStore {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.plan.run("put", || self.no_answer(name), || self.inner.put(name, bytes.clone())).await
    }

    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.plan.run("put_if_absent", || self.no_answer(name), || self.inner.put_if_absent(name, bytes.clone())).await
    }

    async fn get(&self, name: &str) -> Result<Bytes, StoreError> {
        self.plan.run("get", || self.no_answer(name), || self.inner.get(name)).await
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.plan.run("get_range", || self.no_answer(name), || self.inner.get_range(name, range.clone())).await
    }

    async fn head(&self, name: &str) -> Result<ObjectInfo, StoreError> {
        self.plan.run("head", || self.no_answer(name), || self.inner.head(name)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        self.plan.run("list", || self.no_answer(prefix), || self.inner.list(prefix)).await
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.plan.run("delete", || self.no_answer(name), || self.inner.delete(name)).await
    }

    async fn map(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        self.plan.run("map", || self.no_answer(name), || self.inner.map(name)).await
    }
}
