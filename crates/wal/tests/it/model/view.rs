//! What a node makes of the log: rows per shard, from a manifest and the records above it. Sequencers and readers use the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use types::id::{CollectionId, ShardId};
use types::position::Position;
use types::record::{Body, Control, Epoch};
use types::time::Timestamp;
use wal::{Apply, Event, ReaderState, Span};

/// A write's name: the key that it inserts.
pub type Op = i64;

pub fn shard(index: usize) -> ShardId {
    ShardId::new(CollectionId(7), index as u16)
}

/// A shard's committed state.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub version: u64,
    /// Records below it are in here.
    pub flushed_to: Position,
    pub epoch: Epoch,
    pub number: u64,
    pub clock: Timestamp,
    pub rows: Vec<(Op, Timestamp)>,
    pub schema: u32,
}

impl Manifest {
    pub fn empty(start: &ReaderState) -> Self {
        let ReaderState { position, epoch, number, clock, .. } = *start;
        Self { version: 0, flushed_to: position, epoch, number, clock, rows: Vec::new(), schema: 0 }
    }
}

#[derive(Clone)]
struct Row {
    op: Op,
    timestamp: Timestamp,
    span: Span,
}

#[derive(Clone)]
pub struct ShardView {
    pub manifest: Manifest,
    growing: Vec<Row>,
    unflushed: Vec<Span>,
    schemas: Vec<(u32, Position)>,
}

/// The shards that a node serves.
#[derive(Clone, Default)]
pub struct View {
    pub shards: BTreeMap<ShardId, ShardView>,
    /// Above the last record applied, and what a manifest there would hold.
    applied: Option<(Position, Epoch, u64, Timestamp)>,
    controls_not_unflushed: bool,
}

impl View {
    pub fn new(manifests: &BTreeMap<ShardId, Manifest>, shards: &[ShardId], controls_not_unflushed: bool) -> Self {
        let mut view = Self { controls_not_unflushed, ..Self::default() };
        for shard in shards {
            view.add(*shard, manifests[shard].clone());
        }
        view
    }

    pub fn add(&mut self, shard: ShardId, manifest: Manifest) {
        self.shards.insert(shard, ShardView { manifest, growing: Vec::new(), unflushed: Vec::new(), schemas: Vec::new() });
    }

    pub fn take(&mut self, event: &Event) {
        let Event::Record { record, span } = event else { panic!("nothing damages bodies here: {event:?}") };
        let header = &record.header;
        self.applied = Some((span.last.next(), header.epoch, header.number, header.timestamp));
        let Some(view) = self.shards.get_mut(&header.shard).filter(|view| span.last >= view.manifest.flushed_to) else { return };
        match &record.body {
            Body::Insert(rows) => {
                let types::column::Values::Int64(keys) = &rows.batch.columns()[0].values else { panic!("keys are numbers here") };
                view.growing.push(Row { op: keys[0], timestamp: header.timestamp, span: *span });
                view.unflushed.push(*span);
            }
            Body::Control(Control::Create { schema, .. } | Control::Schema { schema }) => {
                view.schemas.push((schema.version, span.last));
                if !self.controls_not_unflushed {
                    view.unflushed.push(*span);
                }
            }
            _ => {}
        }
    }

    /// A manifest of everything applied so far, if that is more than the last one has.
    pub fn flush(&self, shard: ShardId) -> Option<Manifest> {
        let (flushed_to, epoch, number, clock) = self.applied?;
        let view = self.shards.get(&shard)?;
        if view.unflushed.is_empty() && view.growing.is_empty() || flushed_to <= view.manifest.flushed_to {
            return None;
        }
        let (rows, schema) = (view.rows(), view.schema());
        Some(Manifest { version: view.manifest.version + 1, flushed_to, epoch, number, clock, rows, schema })
    }

    /// Takes a newer manifest, once this much is applied.
    pub fn adopt(&mut self, shard: ShardId, manifest: &Manifest, position: Position) {
        let Some(view) = self.shards.get_mut(&shard) else { return };
        if manifest.version <= view.manifest.version || position < manifest.flushed_to {
            return;
        }
        view.manifest = manifest.clone();
        view.growing.retain(|row| row.span.last >= manifest.flushed_to);
        view.unflushed.retain(|span| span.last >= manifest.flushed_to);
        view.schemas.retain(|(_, at)| *at >= manifest.flushed_to);
    }

    /// Takes a shard over from a view that caught it up.
    pub fn join(&mut self, shard: ShardId, other: &Self) {
        self.shards.insert(shard, other.shards[&shard].clone());
    }

    pub fn position(&self) -> Option<Position> {
        self.applied.map(|applied| applied.0)
    }
}

impl ShardView {
    pub fn rows(&self) -> Vec<(Op, Timestamp)> {
        let growing = self.growing.iter().map(|row| (row.op, row.timestamp));
        self.manifest.rows.iter().copied().chain(growing).collect()
    }

    pub fn schema(&self) -> u32 {
        self.schemas.iter().map(|(version, _)| *version).max().unwrap_or(0).max(self.manifest.schema)
    }
}

/// A sequencer's view, shared with the test.
#[derive(Clone)]
pub struct Shared(pub Arc<Mutex<View>>);

impl Apply for Shared {
    fn apply(&mut self, event: Event) {
        self.0.lock().take(&event);
    }

    fn first_unflushed(&self) -> Option<Position> {
        self.0.lock().shards.values().flat_map(|view| view.unflushed.iter().map(|span| span.first)).min()
    }
}
