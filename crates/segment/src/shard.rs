//! The one piece of code that applies the log: same log, same state, in every process that reads it.
//!
//! A [`Shard`] has one writer (whoever tails its channel); readers hold a [`Version`] and a timestamp. Rows, deaths and control state all
//! carry timestamps, so a version with a read timestamp at or below its clock is a snapshot that never moves.
//!
//! Not here: valid records (that is `wal::reader`), files (`store`), when to flush (`node::data`).
//!
//! Invariants: records come in log order; one at or below `flushed` was applied by whoever wrote the manifest; a flush covers exactly
//! the records up to its position; `first_unflushed` is at or below the first record whose effect no manifest holds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arc_swap::ArcSwap;
use store::manifest::{Flushed, Manifest};
use types::Result;
use types::batch::Batch;
use types::column::Column;
use types::delete::DeleteEntry;
use types::id::{PartitionId, SegmentId, ShardId};
use types::position::Position;
use types::record::{Body, Control, Keys, Record, Rows};
use types::time::Timestamp;

use crate::conform::conform;
use crate::control::ControlState;
use crate::gap::Gap;
use crate::growing::{Chunk, Growing, GrowingView};
use crate::sealed::Sealed;

/// What a manifest says of the shard, as far as applying the log goes on from it.
#[derive(Clone, PartialEq, Debug)]
pub struct Base {
    /// The manifest's version.
    pub version: u64,
    /// How far the log is in it.
    pub flushed: Flushed,
    /// The control state there.
    pub state: ControlState,
    /// Rows that ended at or below it may be gone.
    pub kept_since: Timestamp,
}

impl Base {
    /// What `manifest` says.
    pub fn of(manifest: &Manifest) -> Self {
        Self { version: manifest.version, flushed: manifest.flushed, state: ControlState::of(manifest), kept_since: manifest.kept_since }
    }
}

/// An immutable view: hold it as long as a read lasts.
pub struct Version {
    /// Which shard.
    pub id: ShardId,
    /// Control state, with the schema.
    pub state: Arc<ControlState>,
    /// Segments.
    pub sealed: Arc<[Arc<Sealed>]>,
    /// Segments that can't be read: [`Version::check_whole`] before any other use.
    pub gaps: Arc<[Gap]>,
    /// Rows that are in no segment.
    pub growing: GrowingView,
    /// Every record of the shard up to this timestamp is in the version.
    pub clock: Timestamp,
    /// Rows that ended at or below it may be gone: [`Version::check_whole`].
    pub kept_since: Timestamp,
    /// Of which manifest the segments are.
    pub manifest: u64,
    /// The segments are open: a reader that doesn't find them so must not answer.
    pub is_open: bool,
}

/// The segments of a manifest as they could be opened.
#[derive(Default)]
pub struct Segments {
    /// With the deaths of the manifest's delete files.
    pub sealed: Vec<Arc<Sealed>>,
    /// The others.
    pub gaps: Vec<Gap>,
}

/// A shard's state and its only writer.
pub struct Shard {
    id: ShardId,
    state: Arc<ControlState>,
    growing: Growing,
    deletes: Vec<DeleteEntry>,
    sealed: Arc<[Arc<Sealed>]>,
    gaps: Arc<[Gap]>,
    is_open: bool,
    manifest: u64,
    kept_since: Timestamp,
    flushed: Flushed,
    /// The last record's: one at or below it comes again (from a copy and from the log).
    applied: Position,
    clock: Timestamp,
    unflushed: VecDeque<Span>,
    published: Arc<ArcSwap<Version>>,
}

/// Records that a manifest doesn't hold yet, from the first's first frame to the last's last.
#[derive(Clone, Copy)]
struct Span {
    first: Position,
    last: Position,
    records: u32,
}

/// Records of one span: bounds the list for shards with many small writes, at the price of a checkpoint a little too low.
const SPAN_RECORDS_MAX: u32 = 256;

/// Everything of a shard that is in no manifest, as of one position.
pub struct FlushSet {
    /// Which shard.
    pub id: ShardId,
    /// What the edit must find in the manifest.
    pub from: Flushed,
    /// As of when.
    pub progress: Flushed,
    /// Rows in order of the log.
    pub chunks: Vec<Arc<Chunk>>,
    /// Deletes in order of the log.
    pub deletes: Vec<DeleteEntry>,
    /// The control state.
    pub state: ControlState,
}

impl Shard {
    /// A shard as its manifest has it, without segments: a reader that serves adds them by [`Self::adopt`].
    pub fn new(id: ShardId, base: Base) -> Self {
        let growing = Growing::new(base.state.schema.primary().id);
        let state = Arc::new(base.state);
        let version = Version {
            id,
            state: state.clone(),
            sealed: Arc::new([]),
            gaps: Arc::new([]),
            growing: growing.view(),
            clock: base.flushed.clock,
            kept_since: base.kept_since,
            manifest: base.version,
            is_open: false,
        };
        Self {
            id,
            state,
            growing,
            deletes: Vec::new(),
            sealed: Arc::new([]),
            gaps: Arc::new([]),
            is_open: false,
            manifest: base.version,
            kept_since: base.kept_since,
            flushed: base.flushed,
            applied: base.flushed.position,
            clock: base.flushed.clock,
            unflushed: VecDeque::new(),
            published: Arc::new(ArcSwap::from_pointee(version)),
        }
    }

    /// Which shard.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// Where readers get versions.
    pub fn versions(&self) -> Arc<ArcSwap<Version>> {
        self.published.clone()
    }

    /// The control state now.
    pub fn state(&self) -> &ControlState {
        &self.state
    }

    /// Bytes that a flush would write.
    pub fn unflushed_bytes(&self) -> usize {
        self.growing.bytes() + self.deletes.len() * DELETE_BYTES
    }

    /// At or below the first frame whose effect no manifest holds.
    pub fn first_unflushed(&self) -> Option<Position> {
        self.unflushed.front().map(|span| span.first)
    }

    /// The last record that was applied.
    pub fn applied(&self) -> Position {
        self.applied
    }

    /// What manifests hold.
    pub fn flushed(&self) -> Flushed {
        self.flushed
    }

    /// Growing rows by partition, dead ones included.
    pub fn growing_rows(&self) -> BTreeMap<PartitionId, u64> {
        self.growing.rows_by_partition()
    }

    /// Applies one valid record that lies at `first ..= last` in the log. Readers see it after [`Self::publish`].
    ///
    /// # Errors
    /// The record doesn't fit the shard's schema: the shard is to be quarantined, nothing was changed.
    pub fn apply(&mut self, record: &Record, first: Position, last: Position) -> Result<()> {
        if last <= self.flushed.position.max(self.applied) {
            return Ok(());
        }
        let timestamp = record.header.timestamp;
        match &record.body {
            Body::Insert(rows) => {
                let rows = self.conform(rows)?;
                self.growing.insert(&rows, timestamp);
            }
            Body::Delete(keys) => self.delete(keys, timestamp),
            Body::Upsert { keys, rows } => {
                let rows = self.conform(rows)?;
                self.delete(keys, timestamp);
                self.growing.insert(&rows, timestamp);
            }
            Body::Control(control) => {
                if let Control::Schema { schema } = control
                    && schema.version > self.state.schema.version
                {
                    self.growing.conform(schema).map_err(|error| error.context(format_args!("shard {}", self.id)))?;
                }
                Arc::make_mut(&mut self.state).fold(control, timestamp);
                self.conform_segments();
            }
            Body::Refused(_) | Body::Clock | Body::Epoch { .. } => {
                self.clock = self.clock.max(timestamp);
                return Ok(());
            }
        }
        self.clock = timestamp;
        self.applied = last;
        match self.unflushed.back_mut() {
            Some(span) if span.records < SPAN_RECORDS_MAX => {
                span.last = last;
                span.records += 1;
            }
            _ => self.unflushed.push_back(Span { first, last, records: 1 }),
        }
        Ok(())
    }

    /// Moves the clock: nothing of this shard lies between its last record and `clock`.
    pub fn advance(&mut self, clock: Timestamp) {
        self.clock = self.clock.max(clock);
    }

    /// Shows readers what was applied.
    pub fn publish(&self) {
        self.published.store(Arc::new(Version {
            id: self.id,
            state: self.state.clone(),
            sealed: self.sealed.clone(),
            gaps: self.gaps.clone(),
            growing: self.growing.view(),
            clock: self.clock,
            kept_since: self.kept_since,
            manifest: self.manifest,
            is_open: self.is_open,
        }));
    }

    /// What a flush as of `progress` has to write; `None` where manifests hold everything.
    pub fn begin_flush(&mut self, progress: Flushed) -> Option<FlushSet> {
        let span = self.unflushed.back_mut()?;
        // The next record begins a span of its own, so that the flush lets go of whole spans.
        span.records = SPAN_RECORDS_MAX;
        Some(FlushSet {
            id: self.id,
            from: self.flushed,
            progress,
            chunks: self.growing.view().chunks.to_vec(),
            deletes: self.deletes.clone(),
            state: (*self.state).clone(),
        })
    }

    /// Goes over to a newer manifest (or to other segments of the same one): rows up to its clock are in `segments` from now on.
    ///
    /// `segments` already have the deaths of the manifest's delete files; younger deletes are added here.
    /// `None` where nobody reads here.
    ///
    /// # Panics
    /// If the shard hasn't applied as much as the manifest holds: the caller waits for that.
    pub fn adopt(&mut self, base: &Base, segments: Option<Segments>) {
        assert!(
            base.flushed.clock <= self.clock,
            "shard {} adopts a manifest at {} with its own clock at {}",
            self.id,
            base.flushed.clock,
            self.clock
        );
        if base.version < self.manifest {
            return;
        }
        self.growing.forget(base.flushed.clock);
        self.is_open = segments.is_some();
        let segments = segments.unwrap_or_default();
        let known: BTreeMap<SegmentId, Arc<Sealed>> = self.sealed.iter().map(|sealed| (sealed.id(), sealed.clone())).collect();
        self.sealed = segments.sealed.into();
        self.gaps = segments.gaps.into();
        // They were opened under the manifest's schema, and the log may be further.
        self.conform_segments();
        self.deletes.retain(|entry| entry.effective > base.flushed.clock);
        // A segment that was here has had each delete as it came.
        let is_fresh = |sealed: &&Arc<Sealed>| known.get(&sealed.id()).is_none_or(|known| !known.shares_deaths(sealed));
        let fresh: Vec<Arc<Sealed>> = self.sealed.iter().filter(is_fresh).cloned().collect();
        let deletes = std::mem::take(&mut self.deletes);
        for entry in &deletes {
            self.delete_in(&fresh, entry);
        }
        self.deletes = deletes;
        while self.unflushed.front().is_some_and(|span| span.last <= base.flushed.position) {
            self.unflushed.pop_front();
        }
        self.flushed = base.flushed;
        (self.manifest, self.kept_since) = (base.version, base.kept_since);
        self.publish();
    }

    fn delete(&mut self, keys: &Keys, timestamp: Timestamp) {
        let column = Column::new(types::schema::ROW_ID_FIELD, keys.keys.clone());
        for row in 0..column.rows() {
            let entry = DeleteEntry {
                key: column.key(row).to_key(),
                partition: keys.partition,
                effective: timestamp,
                kills_below: keys.kills_below.unwrap_or(timestamp),
            };
            self.growing.delete(&entry);
            let sealed = self.sealed.clone();
            self.delete_in(&sealed, &entry);
            self.deletes.push(entry);
        }
    }

    /// Ends rows in `segments` of the shard. One whose key index is damaged becomes a gap: its rows that should be dead can't be told any more.
    fn delete_in(&mut self, segments: &[Arc<Sealed>], entry: &DeleteEntry) {
        let mut damaged = Vec::new();
        for segment in segments {
            if let Err(error) = segment.delete(entry) {
                damaged.push(Gap::of_open(segment, error));
            }
        }
        if !damaged.is_empty() {
            let whole = |segment: &&Arc<Sealed>| damaged.iter().all(|gap| gap.segment != segment.id());
            self.sealed = self.sealed.iter().filter(whole).cloned().collect();
            self.gaps = self.gaps.iter().cloned().chain(damaged).collect();
        }
    }

    /// The rows as the shard's schema has them.
    fn conform(&self, rows: &Rows) -> Result<Rows> {
        let batch = conform(&self.state.schema, &rows.batch).map_err(|error| error.context(format_args!("shard {}", self.id)))?;
        Ok(Rows { runs: rows.runs.clone(), batch })
    }

    /// Brings segments that were opened under an older schema to the shard's. One that contradicts it becomes a gap.
    fn conform_segments(&mut self) {
        let schema = &self.state.schema;
        let mut gaps = Vec::new();
        let segments = self.sealed.iter().filter_map(|segment| match segment.reader().schema_version() < schema.version {
            false => Some(segment.clone()),
            true => segment.under(schema).map(Arc::new).map_err(|error| gaps.push(Gap::of_open(segment, error))).ok(),
        });
        self.sealed = segments.collect();
        if !gaps.is_empty() {
            self.gaps = self.gaps.iter().cloned().chain(gaps).collect();
        }
    }
}

/// Memory of a delete entry, about.
const DELETE_BYTES: usize = 64;

impl FlushSet {
    /// Rows, dead ones included: a snapshot may still see them.
    pub fn rows(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.rows()).sum()
    }

    /// The rows sorted by partition (by log order inside), without those that a truncation or a dropped partition killed.
    pub fn sorted_rows(&self) -> (Batch, Vec<Timestamp>, Vec<PartitionId>) {
        let mut order: Vec<(PartitionId, u32, u32)> = Vec::with_capacity(self.rows());
        for (c, chunk) in self.chunks.iter().enumerate() {
            for row in 0..chunk.rows() {
                let partition = chunk.partitions[row];
                if !self.state.is_dead(partition, chunk.timestamps[row]) {
                    order.push((partition, c as u32, row as u32));
                }
            }
        }
        order.sort();
        let Some(first) = self.chunks.first() else { return (Batch::default(), Vec::new(), Vec::new()) };
        let mut starts = Vec::with_capacity(self.chunks.len());
        let mut total = 0u32;
        for chunk in &self.chunks {
            starts.push(total);
            total += chunk.rows() as u32;
        }
        let rows: Vec<u32> = order.iter().map(|&(_, c, row)| starts[c as usize] + row).collect();
        let columns = (0..first.batch.columns().len())
            .map(|i| Column::concat(&self.chunks.iter().map(|chunk| &chunk.batch.columns()[i]).collect::<Vec<_>>()).take(&rows))
            .collect();
        let timestamps = order.iter().map(|&(_, c, row)| self.chunks[c as usize].timestamps[row as usize]).collect();
        (Batch::new(rows.len(), columns), timestamps, order.iter().map(|&(partition, ..)| partition).collect())
    }
}
