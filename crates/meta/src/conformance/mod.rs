//! What every [`Meta`] promises, as one suite: `memory`, `redb` and `etcd` pass it, and so must whatever comes next.
//!
//! Checks panic with what they found. Each works below a prefix of its own in a store that may hold other keys, but [`Subject::compact`]
//! is of the whole store. Time is the subject's: paused for `memory`, real for the others.
//!
//! Start at [`check`].

mod counters;
mod elections;
mod leases;
mod listings;
mod sessions;
mod transactions;
mod watches;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::World;
use bytes::Bytes;

use crate::store::{Change, Condition, Entry, LeaseId, Meta, MetaError, Revision, Transaction, Watch};

/// How long a check waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A store under test.
#[async_trait]
pub trait Subject: Send + Sync {
    /// A connection of its own, as another process would have it where the store can be shared.
    fn connect(&self) -> Arc<dyn Meta>;

    /// Makes the store forget changes below `revision`.
    async fn compact(&self, below: Revision);

    /// Clock and tasks.
    fn world(&self) -> &World;

    /// The shortest lease that the store keeps exactly.
    fn lease(&self) -> Duration;
}

/// Runs every check.
///
/// # Panics
/// If one fails.
pub async fn check(subject: &dyn Subject) {
    transactions::check(subject).await;
    listings::check(subject).await;
    watches::check(subject).await;
    leases::check(subject).await;
    counters::check(subject).await;
    elections::check(subject).await;
    sessions::check(subject).await;
}

/// A key below a check's prefix.
fn key(prefix: &str, name: impl std::fmt::Display) -> Bytes {
    format!("{prefix}/{name}").into()
}

/// Commits what must succeed.
async fn must(meta: &dyn Meta, transaction: Transaction) -> Revision {
    meta.commit(transaction.clone()).await.unwrap_or_else(|error| panic!("{transaction:?}: {error}"))
}

/// Puts a key without a condition.
async fn put(meta: &dyn Meta, key: &Bytes, value: &'static str) -> Revision {
    must(meta, Transaction::new().put(key.clone(), value)).await
}

/// Reads what must be there.
async fn entry(meta: &dyn Meta, key: &Bytes) -> Entry {
    find(meta, key).await.unwrap_or_else(|| panic!("{} isn't there", key.escape_ascii()))
}

/// Reads what may be there.
async fn find(meta: &dyn Meta, key: &Bytes) -> Option<Entry> {
    meta.get(key).await.unwrap_or_else(|error| panic!("get {}: {error}", key.escape_ascii()))
}

/// The next answer of a watch, which must come.
async fn hear(world: &World, watch: &mut Box<dyn Watch>) -> Vec<Change> {
    let heard = world.within(PATIENCE, watch.next()).await.expect("a watch hears of a change in time");
    heard.expect("a watch ended")
}

/// Answers of a watch until it has heard `count` changes.
async fn hear_changes(world: &World, watch: &mut Box<dyn Watch>, count: usize) -> Vec<Change> {
    let mut changes = Vec::new();
    while changes.len() < count {
        changes.extend(hear(world, watch).await);
    }
    assert_eq!(changes.len(), count, "no more changes than were made: {changes:?}");
    changes
}

/// A lease that must be given.
async fn lease(meta: &dyn Meta, ttl: Duration) -> LeaseId {
    meta.grant(ttl).await.expect("grant")
}

/// What a fence is there for: a change that only its holder can make.
async fn fenced_put(meta: &dyn Meta, fence: Condition, key: &Bytes, value: &'static str) -> Result<Revision, MetaError> {
    meta.commit(Transaction::new().when(fence).put(key.clone(), value)).await
}
