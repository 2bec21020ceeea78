//! Numbers that are given once: ids, node ids, writer ids, process epochs, and rootcoord's timestamps.
//!
//! A counter is one key that holds the next number; whoever draws moves it by compare-and-swap first and uses the numbers afterwards.
//! So a draw without an answer only skips numbers. Allocators draw in batches ahead: what they give is never behind what meta holds, whatever
//! the wall clock does and whoever else draws.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use base::clock::Clock;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::Mutex;
use types::id::{NodeId, WriterId};
use types::time::{LOGICAL_BITS, Timestamp};
use types::{Code, Error};

use crate::catalog::document::{self, Document, unknown_version};
use crate::store::{Condition, Meta, MetaError, Transaction};

/// The first of the ids of collections, partitions, segments, indexes, jobs, rows: below are those that are fixed.
pub const FIRST_ID: i64 = 1_000;
/// How far ahead of the last timestamp the persisted mark lies: what a restart may be ahead of the wall clock.
pub const TIMESTAMP_WINDOW: Duration = Duration::from_secs(1);
/// Draws that lose against others in a row before one gives up.
const DRAW_ATTEMPTS_MAX: usize = 1_000;

/// Counters by name.
mod name {
    pub(super) const ID: &str = "id";
    pub(super) const NODE: &str = "node";
    pub(super) const WRITER: &str = "writer";
    pub(super) const PROCESS: &str = "process";
    pub(super) const TIMESTAMP: &str = "timestamp";
}

#[derive(Clone, Debug)]
struct Counter {
    name: String,
    next: i64,
}

#[derive(Serialize, Deserialize)]
struct StoredCounter {
    next: i64,
}

impl Document for Counter {
    type Id = String;
    const ROOT: &'static str = "";
    const KIND: &'static str = "counter";
    const VERSION: u32 = 1;

    fn id(&self) -> String {
        self.name.clone()
    }

    fn path(name: &String) -> String {
        name.clone()
    }

    fn parse(path: &str) -> Option<String> {
        Some(path.to_owned())
    }

    fn encode(&self) -> Result<Box<RawValue>, serde_json::Error> {
        serde_json::value::to_raw_value(&StoredCounter { next: self.next })
    }

    fn decode(name: String, version: u32, json: &str) -> Result<Self, serde_json::Error> {
        if version != Self::VERSION {
            return Err(unknown_version::<Self>(version));
        }
        let StoredCounter { next } = serde_json::from_str(json)?;
        Ok(Self { name, next })
    }
}

/// Moves a counter: reads what it holds (`None`: it isn't there), puts what `moved` says, and gives both.
async fn advance(
    meta: &dyn Meta,
    name: &str,
    fence: Option<&Condition>,
    moved: impl Fn(Option<i64>) -> i64,
) -> Result<(Option<i64>, i64), MetaError> {
    let key = document::key::<Counter>(&name.to_owned());
    for _ in 0..DRAW_ATTEMPTS_MAX {
        let entry = meta.get(&key).await?;
        let held = entry.as_ref().map(document::read::<Counter>).transpose().map_err(MetaError::Damaged)?;
        let before = held.as_ref().map(|counter| counter.value.next);
        let next = moved(before);
        assert!(before.is_none_or(|before| next >= before), "counter {name} only rises");
        let unchanged = held.as_ref().map_or_else(|| Condition::Absent(key.clone()), document::Versioned::unchanged);
        let counter = Counter { name: name.to_owned(), next };
        let mut transaction = Transaction::new().when(unchanged.clone()).put(key.clone(), document::value(&counter));
        transaction.conditions.extend(fence.cloned());
        match meta.commit(transaction).await {
            Ok(_) => return Ok((before, next)),
            Err(MetaError::Refused) if fence.is_some() && still(meta, &key, before).await? => return Err(MetaError::Refused),
            Err(MetaError::Refused) => {}
            Err(error) => return Err(error),
        }
    }
    Err(MetaError::Unavailable(Error::new(Code::SERVICE_UNAVAILABLE, format!("meta counter {name}: too many others draw from it"))))
}

/// Whether the counter is what it was: then it is the fence that refused.
async fn still(meta: &dyn Meta, key: &[u8], before: Option<i64>) -> Result<bool, MetaError> {
    let entry = meta.get(key).await?;
    let held = entry.as_ref().map(document::read::<Counter>).transpose().map_err(MetaError::Damaged)?;
    Ok(held.map(|counter| counter.value.next) == before)
}

/// Whether nobody has drawn a node's id yet: no process has ever worked on this metadata.
///
/// # Errors
/// As [`Meta::get`].
pub async fn is_new(meta: &dyn Meta) -> Result<bool, MetaError> {
    Ok(meta.get(&document::key::<Counter>(&name::NODE.to_owned())).await?.is_none())
}

/// Draws `count` numbers, the first ever being `first`.
async fn draw(meta: &dyn Meta, name: &str, first: i64, count: i64) -> Result<Range<i64>, MetaError> {
    let (before, next) = advance(meta, name, None, |before| before.unwrap_or(first) + count).await?;
    Ok(before.unwrap_or(first)..next)
}

/// An epoch for a process that starts, or is given a channel once more: `e` of `docs/protocol.md`, from 1.
pub async fn next_process_epoch(meta: &dyn Meta) -> Result<u64, MetaError> {
    let drawn = draw(meta, name::PROCESS, 1, 1).await?;
    Ok(u64::try_from(drawn.start).expect("a counter from 1 is positive"))
}

/// A node id for a process that starts, from 1.
pub async fn next_node(meta: &dyn Meta) -> Result<NodeId, MetaError> {
    Ok(NodeId(draw(meta, name::NODE, 1, 1).await?.start))
}

/// A writer's id for a proxy that registers, from 1.
pub async fn next_writer(meta: &dyn Meta) -> Result<WriterId, MetaError> {
    Ok(WriterId(draw(meta, name::WRITER, 1, 1).await?.start))
}

/// Ids in batches: rising within one allocator, never twice among all. Needs no leader.
pub struct IdAllocator {
    meta: Arc<dyn Meta>,
    batch: i64,
    /// Held while a batch is drawn: who comes meanwhile waits for that batch and doesn't draw another.
    drawn: Mutex<Range<i64>>,
}

impl IdAllocator {
    /// An allocator that draws `batch` ids at once.
    ///
    /// # Panics
    /// If `batch` is 0.
    pub fn new(meta: Arc<dyn Meta>, batch: u32) -> Self {
        assert!(batch > 0, "a batch has ids");
        Self { meta, batch: i64::from(batch), drawn: Mutex::new(0..0) }
    }

    /// `count` ids in a row. What is left of a batch that is too short is skipped.
    pub async fn allocate(&self, count: u32) -> Result<Range<i64>, MetaError> {
        let count = i64::from(count);
        let mut drawn = self.drawn.lock().await;
        if drawn.end - drawn.start < count {
            *drawn = draw(self.meta.as_ref(), name::ID, FIRST_ID, self.batch.max(count)).await?;
        }
        let given = drawn.start..drawn.start + count;
        drawn.start = given.end;
        Ok(given)
    }

    /// One id.
    pub async fn next(&self) -> Result<i64, MetaError> {
        Ok(self.allocate(1).await?.start)
    }
}

/// rootcoord's timestamps: rising strictly, near the wall clock, and above all that any earlier rootcoord gave.
///
/// Meta holds a mark that no timestamp reaches; it is moved ahead, under the leader's fence, before timestamps come near it. So a deposed
/// leader's timestamps end below its mark and its successor's begin at it.
pub struct TimestampAllocator {
    meta: Arc<dyn Meta>,
    clock: Clock,
    fence: Condition,
    window_ms: u64,
    /// Held while the mark is moved: nobody gets a timestamp meanwhile.
    given: Mutex<Given>,
}

#[derive(Default)]
struct Given {
    /// The next timestamp is at or above it.
    next: Timestamp,
    /// No timestamp reaches this millisecond; 0 before the mark was first moved.
    mark_ms: u64,
}

impl TimestampAllocator {
    /// An allocator of the leader with this fence.
    ///
    /// # Panics
    /// If `window` is shorter than a millisecond.
    pub fn new(meta: Arc<dyn Meta>, clock: Clock, fence: Condition, window: Duration) -> Self {
        let window_ms = u64::try_from(window.as_millis()).expect("a window is short");
        assert!(window_ms > 0, "a window has a millisecond");
        Self { meta, clock, fence, window_ms, given: Mutex::default() }
    }

    /// One timestamp above every one before.
    ///
    /// # Errors
    /// [`MetaError::Refused`] if the leader isn't one any more.
    pub async fn next(&self) -> Result<Timestamp, MetaError> {
        self.allocate(1).await
    }

    /// The first of `count` timestamps in a row.
    ///
    /// # Errors
    /// [`MetaError::Refused`] if the leader isn't one any more.
    pub async fn allocate(&self, count: u32) -> Result<Timestamp, MetaError> {
        let mut given = self.given.lock().await;
        // A wall clock that stepped back is ignored until it has caught up.
        let first = given.next.max(Timestamp::from_millis(self.clock.wall_ms()));
        let end = Timestamp(first.0 + u64::from(count));
        if end.0 > given.mark_ms << LOGICAL_BITS {
            return self.extend(&mut given, first, count).await;
        }
        given.next = end;
        Ok(first)
    }

    async fn extend(&self, given: &mut Given, first: Timestamp, count: u32) -> Result<Timestamp, MetaError> {
        let known = given.mark_ms;
        let span_ms = (u64::from(count) >> LOGICAL_BITS) + 1;
        let from = |held: Option<i64>| {
            let held = held.map_or(0, |mark| u64::try_from(mark).unwrap_or(0));
            // A mark that is known is our own: timestamps go on below it. Any other is where an earlier leader's end.
            if held == known { first } else { first.max(Timestamp::from_millis(held)) }
        };
        let moved = |held: Option<i64>| i64::try_from(from(held).millis() + span_ms + self.window_ms).expect("milliseconds fit");
        let (held, mark) = advance(self.meta.as_ref(), name::TIMESTAMP, Some(&self.fence), moved).await?;
        let first = from(held);
        given.mark_ms = u64::try_from(mark).expect("a mark is positive");
        given.next = Timestamp(first.0 + u64::from(count));
        Ok(first)
    }
}
