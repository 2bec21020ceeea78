//! A store that takes its time, there and back: what a cluster's meta is like beside an embedded one.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::clock::Clock;
use base::random::Random;

use crate::store::{Change, Entry, LeaseId, Listing, Meta, MetaError, Revision, Transaction, Watch};

/// A store whose every call and every answer of a watch waits.
pub struct SlowMeta {
    inner: Arc<dyn Meta>,
    pace: Pace,
}

#[derive(Clone)]
struct Pace {
    clock: Clock,
    random: Random,
    one_way: Range<Duration>,
}

impl SlowMeta {
    /// `inner`, with a wait drawn from `one_way` before each request and each answer.
    pub fn new(inner: Arc<dyn Meta>, clock: Clock, random: Random, one_way: Range<Duration>) -> Self {
        Self { inner, pace: Pace { clock, random, one_way } }
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T, MetaError>> + Send) -> Result<T, MetaError> {
        self.pace.wait().await;
        let result = call.await;
        self.pace.wait().await;
        result
    }
}

impl Pace {
    fn draw(&self) -> Duration {
        let width = self.one_way.end.saturating_sub(self.one_way.start);
        let width = u64::try_from(width.as_micros()).unwrap_or(u64::MAX);
        self.one_way.start + Duration::from_micros(if width == 0 { 0 } else { self.random.below(width) })
    }

    async fn wait(&self) {
        self.clock.sleep(self.draw()).await;
    }
}

#[async_trait]
impl Meta for SlowMeta {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Entry>, MetaError> {
        self.call(self.inner.get(key)).await
    }

    async fn list(&self, prefix: &[u8]) -> Result<Listing, MetaError> {
        self.call(self.inner.list(prefix)).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, MetaError> {
        self.call(self.inner.commit(transaction)).await
    }

    async fn watch(&self, prefix: &[u8], from: Revision) -> Result<Box<dyn Watch>, MetaError> {
        let watch = self.call(self.inner.watch(prefix, from)).await?;
        Ok(Box::new(SlowWatch { inner: watch, pace: self.pace.clone(), late: None }))
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, MetaError> {
        self.call(self.inner.grant(ttl)).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), MetaError> {
        self.call(self.inner.keep_alive(lease)).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), MetaError> {
        self.call(self.inner.revoke(lease)).await
    }
}

struct SlowWatch {
    inner: Box<dyn Watch>,
    pace: Pace,
    /// What was heard but is still on its way: a dropped call loses nothing.
    late: Option<(tokio::time::Instant, Vec<Change>)>,
}

#[async_trait]
impl Watch for SlowWatch {
    async fn next(&mut self) -> Result<Vec<Change>, MetaError> {
        if self.late.is_none() {
            let changes = self.inner.next().await?;
            self.late = Some((self.pace.clock.now() + self.pace.draw(), changes));
        }
        if let Some((due, _)) = &self.late {
            self.pace.clock.sleep_until(*due).await;
        }
        Ok(self.late.take().map(|(_, changes)| changes).unwrap_or_default())
    }
}
