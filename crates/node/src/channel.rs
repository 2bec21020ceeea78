//! The shards of one channel in this process, shared by who writes them (the sequencer's task) and who reads them.
//!
//! Invariants: records are applied by one task, in log order, under the channel's lock; [`Progress`] moves after the versions that it
//! speaks of are published, so a reader that sees a clock and then takes a version misses nothing at or below that clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use segment::{Base, ControlState, FlushSet, Sealed, Shard, Version};
use store::manifest::{Flushed, ShardState, Truncated};
use tokio::sync::watch;
use types::id::{ChannelName, PartitionId, ShardId};
use types::position::Position;
use types::record::{Body, Control, Record};
use types::time::Timestamp;
use types::{Code, Error, Result};
use wal::{Apply, Event, Span};

/// Up to where a channel is applied in this process: the last valid record.
pub type Progress = Flushed;

/// One channel's shards.
pub struct Channel {
    name: ChannelName,
    /// This process is the sequencer: what it has acknowledged is applied here.
    sequenced: bool,
    shards: Mutex<Shards>,
    progress: watch::Sender<Progress>,
}

#[derive(Default)]
struct Shards {
    live: BTreeMap<ShardId, Shard>,
    /// Where the create record lies of shards that meta may not have yet: they hold the checkpoint.
    unconfirmed: BTreeMap<ShardId, Position>,
    /// Shards with a record that couldn't be applied, and why.
    quarantined: BTreeMap<ShardId, Error>,
}

/// What a reader of a shard holds.
#[derive(Clone)]
pub struct ShardReader {
    /// Where versions come from.
    pub versions: Arc<ArcSwap<Version>>,
}

impl Channel {
    /// A channel without shards that this process sequences, read up to `start`.
    pub fn sequenced(name: ChannelName, start: Progress) -> Arc<Self> {
        Arc::new(Self { name, sequenced: true, shards: Mutex::default(), progress: watch::channel(start).0 })
    }

    /// Whether this process sequences it.
    pub fn is_sequenced_here(&self) -> bool {
        self.sequenced
    }

    /// Its name.
    pub fn name(&self) -> &ChannelName {
        &self.name
    }

    /// Up to where it is applied, as it moves.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Takes up a shard from its manifest, before the log is read.
    pub fn add(&self, id: ShardId, base: Base) {
        self.shards.lock().live.insert(id, Shard::new(id, base));
    }

    /// Meta knows the shard: its create record holds nothing back any more.
    pub fn confirm(&self, known: &[ShardId]) {
        self.shards.lock().unconfirmed.retain(|shard, _| !known.contains(shard));
    }

    /// Shards whose create record is in the log and that weren't confirmed yet.
    pub fn unconfirmed(&self) -> Vec<ShardId> {
        self.shards.lock().unconfirmed.keys().copied().collect()
    }

    /// Lets go of a shard.
    pub fn remove(&self, id: ShardId) {
        let mut shards = self.shards.lock();
        shards.live.remove(&id);
        shards.unconfirmed.remove(&id);
        shards.quarantined.remove(&id);
    }

    /// What a reader holds of a shard.
    ///
    /// # Errors
    /// `CHANNEL_NOT_AVAILABLE` where the shard is quarantined, `COLLECTION_NOT_FOUND` where it isn't here.
    pub fn reader(&self, id: ShardId) -> Result<ShardReader> {
        let shards = self.shards.lock();
        if let Some(error) = shards.quarantined.get(&id) {
            return Err(Error::new(Code::CHANNEL_NOT_AVAILABLE, format!("shard {id} is quarantined: {error}")));
        }
        let shard = shards.live.get(&id).ok_or_else(|| absent(id))?;
        Ok(ShardReader { versions: shard.versions() })
    }

    /// Unflushed bytes of each shard.
    pub fn unflushed_bytes(&self) -> Vec<(ShardId, usize)> {
        self.shards.lock().live.values().map(|shard| (shard.id(), shard.unflushed_bytes())).collect()
    }

    /// The shards that hold the checkpoint, lowest first, with the position of the first record that isn't in a manifest.
    pub fn holding(&self) -> Vec<(Position, ShardId)> {
        let shards = self.shards.lock();
        let mut holding: Vec<_> = shards.live.values().filter_map(|shard| Some((shard.first_unflushed()?, shard.id()))).collect();
        holding.sort();
        holding
    }

    /// Growing rows by partition.
    pub fn growing_rows(&self, id: ShardId) -> BTreeMap<PartitionId, u64> {
        self.shards.lock().live.get(&id).map(Shard::growing_rows).unwrap_or_default()
    }

    /// What a flush of the shard has to write as of now; with it the clock that is reached then. No set where manifests hold everything.
    pub fn begin_flush(&self, id: ShardId) -> Result<(Option<FlushSet>, Timestamp)> {
        let mut shards = self.shards.lock();
        let progress = *self.progress.borrow();
        let shard = shards.live.get_mut(&id).ok_or_else(|| absent(id))?;
        Ok((shard.begin_flush(progress), progress.clock))
    }

    /// Has the shard go over to a manifest. Call when the channel's clock has reached the manifest's.
    pub fn adopt(&self, id: ShardId, base: &Base, sealed: Vec<Arc<Sealed>>) -> Result<()> {
        let mut shards = self.shards.lock();
        let shard = shards.live.get_mut(&id).ok_or_else(|| absent(id))?;
        shard.advance(self.progress.borrow().clock);
        shard.adopt(base, sealed)
    }

    /// Where a sequencer's or tailer's records go.
    pub fn sink(self: &Arc<Self>) -> Box<dyn Apply> {
        Box::new(Sink { channel: self.clone() })
    }

    /// Every live shard as readers see it now, with the bytes of its growing rows: for figures.
    pub fn versions(&self) -> Vec<(Arc<Version>, usize)> {
        let shards = self.shards.lock();
        shards.live.values().map(|shard| (shard.versions().load_full(), shard.unflushed_bytes())).collect()
    }

    /// Control state of every live shard, for tests and status pages.
    pub fn states(&self) -> Vec<(ShardId, ControlState)> {
        self.shards.lock().live.values().map(|shard| (shard.id(), shard.state().clone())).collect()
    }
}

fn absent(id: ShardId) -> Error {
    Error::new(Code::COLLECTION_NOT_FOUND, format!("shard {id} isn't here: collection not found[collection={}]", id.collection))
}

impl Shards {
    fn apply(&mut self, record: &Record, span: Span) {
        let header = &record.header;
        if !header.kind.is_of_shard() || self.quarantined.contains_key(&header.shard) {
            return;
        }
        if let Body::Control(Control::Create { schema, .. }) = &record.body
            && !self.live.contains_key(&header.shard)
        {
            let flushed = Flushed { position: span.last, epoch: header.epoch, number: header.number, clock: header.timestamp };
            let state = ControlState {
                schema: Arc::new(schema.clone()),
                truncated: Truncated::default(),
                dropped_partitions: Default::default(),
                state: ShardState::Created,
            };
            self.live.insert(header.shard, Shard::new(header.shard, Base { version: 0, flushed, state }));
            self.unconfirmed.insert(header.shard, span.first);
            return;
        }
        // Records of a shard that meta has forgotten, or of one that a request named and nobody has, are refused or dead.
        let Some(shard) = self.live.get_mut(&header.shard) else { return };
        match shard.apply(record, span.first, span.last) {
            Ok(()) => shard.publish(),
            Err(error) => self.quarantine(header.shard, error),
        }
    }

    fn quarantine(&mut self, shard: ShardId, error: Error) {
        tracing::error!(%shard, %error, "a shard is quarantined: reads and writes of it are refused until it is repaired");
        self.quarantined.insert(shard, error);
        self.live.remove(&shard);
        self.unconfirmed.remove(&shard);
    }
}

struct Sink {
    channel: Arc<Channel>,
}

impl Apply for Sink {
    fn apply(&mut self, event: Event) {
        let span = event.span();
        let header = *event.header();
        let mut shards = self.channel.shards.lock();
        match event {
            Event::Record { record, .. } => shards.apply(&record, span),
            Event::Unreadable { error, .. } => shards.quarantine(header.shard, error),
        }
        let progress = Flushed { position: span.last, epoch: header.epoch, number: header.number, clock: header.timestamp };
        self.channel.progress.send_replace(progress);
    }

    fn first_unflushed(&self) -> Option<Position> {
        let shards = self.channel.shards.lock();
        let records = shards.live.values().filter_map(Shard::first_unflushed);
        records.chain(shards.unconfirmed.values().copied()).min()
    }
}

/// The channels of a process.
#[derive(Default)]
pub struct Channels {
    channels: RwLock<BTreeMap<ChannelName, Arc<Channel>>>,
}

impl Channels {
    /// The channel, if this process reads it.
    pub fn get(&self, name: &ChannelName) -> Option<Arc<Channel>> {
        self.channels.read().get(name).cloned()
    }

    /// Takes a channel up.
    pub fn insert(&self, channel: Arc<Channel>) {
        self.channels.write().insert(channel.name.clone(), channel);
    }

    /// Every channel, by name.
    pub fn all(&self) -> Vec<Arc<Channel>> {
        self.channels.read().values().cloned().collect()
    }

    /// The channel that a shard is in.
    pub fn of_shard(&self, id: ShardId) -> Option<Arc<Channel>> {
        self.channels.read().values().find(|channel| channel.shards.lock().live.contains_key(&id)).cloned()
    }
}
