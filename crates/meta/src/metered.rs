//! A store whose calls are counted and timed. Where the figures go is the caller's: an [`Observer`] is told of each call.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::clock::Clock;

use crate::store::{Change, Entry, LeaseId, Listing, Meta, MetaError, Revision, Transaction, Watch};

/// A call that has ended.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Call {
    /// `redb`, `etcd`, `memory`.
    pub kind: &'static str,
    /// `get`, `list`, `commit`, `watch`, `grant`, `keep_alive`, `revoke`; `next` for an answer of a watch, whose waiting isn't timed.
    pub operation: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
    /// Keys and values, there and back.
    pub bytes: usize,
}

/// How a call ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// As asked.
    Done,
    /// An answer, but not the one hoped for: refused, compacted, lease lost, too large.
    Declined,
    /// Unavailable or damaged.
    Failed,
}

/// Who is told of calls. Must not block.
pub type Observer = Arc<dyn Fn(Call) + Send + Sync>;

/// A store whose calls are told to an observer.
pub struct MeteredMeta {
    inner: Arc<dyn Meta>,
    clock: Clock,
    observer: Observer,
}

impl MeteredMeta {
    /// `inner`, with each call told to `observer`.
    pub fn new(inner: Arc<dyn Meta>, clock: Clock, observer: Observer) -> Self {
        Self { inner, clock, observer }
    }

    async fn call<T>(
        &self,
        operation: &'static str,
        sent: usize,
        call: impl Future<Output = Result<T, MetaError>> + Send,
        received: impl FnOnce(&T) -> usize + Send,
    ) -> Result<T, MetaError> {
        let began = self.clock.now();
        let result = call.await;
        let bytes = sent + result.as_ref().map_or(0, received);
        let took = self.clock.now() - began;
        (self.observer)(Call { kind: self.inner.kind(), operation, outcome: Outcome::of(&result), took, bytes });
        result
    }
}

impl Outcome {
    fn of<T>(result: &Result<T, MetaError>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(MetaError::Unavailable(_) | MetaError::Damaged(_)) => Self::Failed,
            Err(MetaError::Refused | MetaError::TooLarge { .. } | MetaError::Compacted | MetaError::LeaseLost) => Self::Declined,
        }
    }
}

fn entry_bytes(entry: &Entry) -> usize {
    entry.key.len() + entry.value.len()
}

#[async_trait]
impl Meta for MeteredMeta {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Entry>, MetaError> {
        let received = |entry: &Option<Entry>| entry.as_ref().map_or(0, entry_bytes);
        self.call("get", key.len(), self.inner.get(key), received).await
    }

    async fn list(&self, prefix: &[u8]) -> Result<Listing, MetaError> {
        let received = |listing: &Listing| listing.entries.iter().map(entry_bytes).sum();
        self.call("list", prefix.len(), self.inner.list(prefix), received).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, MetaError> {
        self.call("commit", transaction.bytes(), self.inner.commit(transaction), |_| 0).await
    }

    async fn watch(&self, prefix: &[u8], from: Revision) -> Result<Box<dyn Watch>, MetaError> {
        let watch = self.call("watch", prefix.len(), self.inner.watch(prefix, from), |_| 0).await?;
        Ok(Box::new(MeteredWatch { inner: watch, kind: self.inner.kind(), observer: self.observer.clone() }))
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, MetaError> {
        self.call("grant", 0, self.inner.grant(ttl), |_| 0).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), MetaError> {
        self.call("keep_alive", 0, self.inner.keep_alive(lease), |()| 0).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), MetaError> {
        self.call("revoke", 0, self.inner.revoke(lease), |()| 0).await
    }
}

struct MeteredWatch {
    inner: Box<dyn Watch>,
    kind: &'static str,
    observer: Observer,
}

#[async_trait]
impl Watch for MeteredWatch {
    async fn next(&mut self) -> Result<Vec<Change>, MetaError> {
        let result = self.inner.next().await;
        let bytes = result.as_ref().map_or(0, |changes| {
            let bytes = |change: &Change| match change {
                Change::Put(entry) => entry_bytes(entry),
                Change::Delete { key, .. } => key.len(),
            };
            changes.iter().map(bytes).sum()
        });
        (self.observer)(Call { kind: self.kind, operation: "next", outcome: Outcome::of(&result), took: Duration::ZERO, bytes });
        result
    }
}
