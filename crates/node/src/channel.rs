//! The shards of one channel in this process, shared by who writes them (the sequencer's or the tailer's task) and who reads them.
//!
//! Invariants: records are applied by one task, in log order, under the channel's lock; [`Progress`] moves after the versions that it
//! speaks of are published, so a reader that sees a clock and then takes a version misses nothing at or below that clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use base::watch;
use parking_lot::Mutex;
use role::Call;
use segment::{Base, ControlState, FlushSet, Segments, Shard, Version};
use store::manifest::{Flushed, ShardState, Truncated};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use types::id::{ChannelName, PartitionId, ShardId};
use types::position::Position;
use types::record::{Body, Control, Record};
use types::time::Timestamp;
use types::{Code, Error, Result};
use wal::reader::ReaderState;
use wal::{Apply, Event, Span};

use crate::mileage::Mileage;
use crate::quarantined::Quarantined;

/// Up to where a channel is applied in this process: the last valid record.
pub type Progress = Flushed;

/// Bytes of log that wait for a shard which is caught up; beyond, its joining is given up and begun again.
const JOINING_BYTES_MAX: u64 = 256 << 20;

/// Who feeds a channel in this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// This process's sequencer, and no other process can have one: what it has acknowledged is all there is.
    OnlySequencer,
    /// This process's sequencer. Another process may have taken over without a word to this one.
    Sequencer,
    /// A reader of the log that another process writes.
    Tailer,
}

/// One channel's shards.
pub struct Channel {
    name: ChannelName,
    source: Source,
    shards: Mutex<Shards>,
    progress: watch::Sender<Progress>,
    /// Bytes of rows and deletes that no manifest holds.
    unflushed: AtomicUsize,
    /// Bytes of writes that this process's sequencer has stamped and that aren't applied yet.
    stamped: AtomicUsize,
    mileage: Mileage,
    /// When a question was asked whose answer, the log's end, is applied here by now.
    level: Mutex<Option<Instant>>,
    /// Where its newest checkpoint lies.
    checkpoint: Mutex<Position>,
    /// Nobody feeds it any more.
    ended: CancellationToken,
}

#[derive(Default)]
struct Shards {
    live: BTreeMap<ShardId, Shard>,
    /// What came for shards that are being caught up with a tailed channel.
    joining: BTreeMap<ShardId, Kept>,
    /// Why nothing can be read any more (`docs/design.md` rule 7).
    lost: Option<Error>,
    /// Where the create record lies of shards that meta may not have yet: they hold the checkpoint.
    unconfirmed: BTreeMap<ShardId, Position>,
    /// Shards with a record that couldn't be applied.
    quarantined: BTreeMap<ShardId, Quarantined>,
}

/// See [`Shards::joining`].
#[derive(Default)]
struct Kept {
    events: Vec<Event>,
    bytes: u64,
}

/// A shard that is being caught up with; dropped, it isn't any longer.
pub struct Joining<'a> {
    channel: &'a Channel,
    id: ShardId,
    /// All before it must be read for the shard from elsewhere.
    pub until: Position,
}

impl Joining<'_> {
    /// Takes the shard up that was caught up with by `missed`, in log order, which end at [`Self::until`].
    ///
    /// # Errors
    /// `SERVICE_NOT_READY`: too much came meanwhile; begin again.
    pub fn finish(self, base: Base, missed: Vec<Event>) -> Result<()> {
        self.channel.finish_join(self.id, base, missed)
    }
}

impl Drop for Joining<'_> {
    fn drop(&mut self) {
        self.channel.shards.lock().joining.remove(&self.id);
    }
}

/// What a reader of a shard holds.
#[derive(Clone)]
pub struct ShardReader {
    /// Where versions come from.
    pub versions: Arc<ArcSwap<Version>>,
}

impl Channel {
    /// A channel without shards, read up to `start`.
    pub fn new(name: ChannelName, source: Source, start: &ReaderState) -> Arc<Self> {
        Arc::new(Self {
            name,
            source,
            shards: Mutex::default(),
            progress: watch::channel(progress_of(start)).0,
            unflushed: AtomicUsize::default(),
            stamped: AtomicUsize::default(),
            mileage: Mileage::default(),
            level: Mutex::default(),
            checkpoint: Mutex::new(start.position),
            ended: CancellationToken::new(),
        })
    }

    /// Who feeds it.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Whether all that was acknowledged `within` the time before `now` is applied.
    pub fn is_level(&self, now: Instant, within: Duration) -> bool {
        self.source == Source::OnlySequencer || self.level.lock().is_some_and(|at| now.duration_since(at) <= within)
    }

    /// Notes that all that was acknowledged before `asked` is applied.
    pub fn was_level(&self, asked: Instant) {
        let mut level = self.level.lock();
        *level = level.max(Some(asked));
    }

    /// Waits until `reached`; the progress then.
    ///
    /// # Errors
    /// `TIMEOUT` naming `what`; `SERVICE_NOT_READY` where another object takes the channel's place: look it up again; why the log is lost.
    pub async fn wait(&self, call: &Call, what: &str, mut reached: impl FnMut(&Progress) -> bool) -> Result<Progress> {
        let mut progress = self.progress.subscribe();
        let wait = async {
            tokio::select! {
                biased;
                () = self.ended.cancelled() => Err(self.why_ended()),
                reached = progress.wait_for(|progress| reached(progress)) => match reached {
                    Ok(progress) => Ok(*progress),
                    Err(_) => Err(self.why_ended()),
                },
            }
        };
        call.bound(what, wait).await
    }

    fn why_ended(&self) -> Error {
        let lost = self.shards.lock().lost.clone();
        lost.unwrap_or_else(|| Error::new(Code::SERVICE_NOT_READY, format!("channel {} is read anew: service not ready", self.name)))
    }

    /// Nobody feeds this object any more: who waits for progress goes elsewhere.
    pub fn end(&self) {
        self.ended.cancel();
    }

    /// The log lost something (`docs/design.md` rule 7): reads are refused with this error.
    pub fn lose(&self, error: Error) {
        self.shards.lock().lost = Some(error);
        self.end();
    }

    /// Everything below the state's position was applied.
    pub fn passed(&self, state: &ReaderState) {
        self.progress.send_replace(progress_of(state));
    }

    /// Whether the shard is here.
    pub fn has(&self, id: ShardId) -> bool {
        let shards = self.shards.lock();
        shards.live.contains_key(&id) || shards.quarantined.contains_key(&id)
    }

    /// The shards that are here.
    pub fn shards(&self) -> Vec<ShardId> {
        self.shards.lock().live.keys().copied().collect()
    }

    /// Begins to keep what comes for a shard.
    pub fn join(&self, id: ShardId) -> Joining<'_> {
        let mut shards = self.shards.lock();
        shards.joining.insert(id, Kept::default());
        let until = self.progress.borrow().position.next();
        Joining { channel: self, id, until }
    }

    fn finish_join(&self, id: ShardId, base: Base, missed: Vec<Event>) -> Result<()> {
        let mut shards = self.shards.lock();
        let kept = shards.joining.remove(&id).filter(|kept| kept.bytes <= JOINING_BYTES_MAX);
        let kept =
            kept.ok_or_else(|| Error::new(Code::SERVICE_NOT_READY, format!("shard {id} is written faster than read: service not ready")))?;
        shards.live.insert(id, Shard::new(id, base));
        for event in missed.into_iter().chain(kept.events) {
            shards.take(event);
        }
        self.count(0, shards.unflushed_bytes(id));
        Ok(())
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

    /// Keeps a shard in quarantine that can't be taken up; one that was dropped needs nothing more.
    /// Records up to `kept` were copied before.
    pub fn quarantine(&self, id: ShardId, error: Error, dropped: bool, kept: Option<Position>) {
        tracing::error!(shard = %id, %error, "a shard is quarantined: reads and writes of it are refused until it is repaired");
        let mut quarantined = Quarantined::remembered(error, kept);
        if dropped {
            quarantined.drop_all();
        }
        self.shards.lock().quarantined.insert(id, quarantined);
    }

    /// Applies a record from a quarantine file, before the log is read.
    ///
    /// # Errors
    /// It still can't be applied.
    pub fn restore(&self, record: &Record, span: Span) -> Result<()> {
        let mut shards = self.shards.lock();
        let shard = shards.live.get_mut(&record.header.shard).ok_or_else(|| absent(record.header.shard))?;
        let before = shard.unflushed_bytes();
        shard.apply(record, span.first, span.last)?;
        shard.publish();
        self.count(before, shard.unflushed_bytes());
        Ok(())
    }

    /// Quarantined shards with records that are in the log alone: from where on, and why they are quarantined.
    pub fn uncopied(&self) -> Vec<(ShardId, Position, Error)> {
        let shards = self.shards.lock();
        let uncopied = |(id, quarantined): (&ShardId, &Quarantined)| Some((*id, quarantined.uncopied()?, quarantined.reason().clone()));
        shards.quarantined.iter().filter_map(uncopied).collect()
    }

    /// A quarantined shard's records up to `through` are in objects.
    pub fn copied(&self, id: ShardId, through: Position) {
        if let Some(quarantined) = self.shards.lock().quarantined.get_mut(&id) {
            quarantined.copied(through);
        }
    }

    /// Why writes to a shard are refused, if they are.
    pub fn refusal(&self, id: ShardId) -> Option<Error> {
        self.shards.lock().quarantined.get(&id).map(|quarantined| quarantined.refusal(id))
    }

    /// Bytes of the log at and above `position`, about.
    pub fn log_bytes_above(&self, position: Position) -> u64 {
        self.mileage.above(position)
    }

    /// Where its newest checkpoint lies.
    pub fn checkpoint(&self) -> Position {
        *self.checkpoint.lock()
    }

    /// A checkpoint is committed.
    pub fn checkpointed(&self, at: Position) {
        *self.checkpoint.lock() = at;
    }

    /// Counts log bytes together with other channels: where they lie in common files.
    pub fn share_log(&self, total: Arc<AtomicU64>) {
        self.mileage.share(total, self.checkpoint());
    }

    /// Bytes that no manifest holds, applied or on their way into the log.
    pub fn held_bytes(&self) -> usize {
        self.unflushed.load(Ordering::Relaxed) + self.stamped.load(Ordering::Relaxed)
    }

    /// A write was stamped.
    pub fn stamped(&self, bytes: usize) {
        self.stamped.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The sequencer stamps anew what isn't in the log.
    pub fn stamps_anew(&self) {
        self.stamped.store(0, Ordering::Relaxed);
    }

    /// A record was applied; this process may have stamped it, or another one before.
    fn landed(&self, bytes: usize) {
        let less = |stamped: usize| Some(stamped.saturating_sub(bytes));
        // It always gives a value.
        let _ = self.stamped.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    fn count(&self, before: usize, after: usize) {
        self.unflushed.fetch_add(after, Ordering::Relaxed);
        self.unflushed.fetch_sub(before, Ordering::Relaxed);
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
        let before = shards.unflushed_bytes(id);
        shards.live.remove(&id);
        shards.unconfirmed.remove(&id);
        shards.quarantined.remove(&id);
        self.count(before, 0);
    }

    /// What a reader holds of a shard.
    ///
    /// # Errors
    /// `DATA_INTEGRITY` where the shard is quarantined, `COLLECTION_NOT_FOUND` where it isn't here.
    pub fn reader(&self, id: ShardId) -> Result<ShardReader> {
        let shards = self.shards.lock();
        if let Some(error) = &shards.lost {
            return Err(error.clone());
        }
        if let Some(quarantined) = shards.quarantined.get(&id) {
            return Err(quarantined.refusal(id));
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

    /// What a flush of the shard has to write as of now; with it the clock that its manifest has then. No set where manifests hold everything:
    /// the channel's clock goes on with other shards' records, the manifest's doesn't.
    pub fn begin_flush(&self, id: ShardId) -> Result<(Option<FlushSet>, Timestamp)> {
        let mut shards = self.shards.lock();
        let progress = *self.progress.borrow();
        match shards.quarantined.get(&id) {
            // Nothing of it is needed any more.
            Some(quarantined) if quarantined.is_dropped() => {
                shards.quarantined.remove(&id);
                return Ok((None, Timestamp::ZERO));
            }
            Some(quarantined) => return Err(quarantined.refusal(id)),
            None => {}
        }
        let shard = shards.live.get_mut(&id).ok_or_else(|| absent(id))?;
        // Records that were restored from copies lie in the log too, and a manifest that ends below them would bring them twice.
        if shard.applied() > progress.position {
            return Err(Error::new(Code::SERVICE_NOT_READY, format!("the log of shard {id} isn't read yet: service not ready")));
        }
        let set = shard.begin_flush(progress);
        let clock = if set.is_some() { progress.clock } else { shard.flushed().clock };
        Ok((set, clock))
    }

    /// Has the shard go over to a manifest. Call when the channel's clock has reached the manifest's.
    ///
    /// # Errors
    /// As [`Self::reader`].
    pub fn adopt(&self, id: ShardId, base: &Base, segments: Option<Segments>) -> Result<()> {
        let mut shards = self.shards.lock();
        let shard = shards.live.get_mut(&id).ok_or_else(|| absent(id))?;
        shard.advance(self.progress.borrow().clock);
        let before = shard.unflushed_bytes();
        shard.adopt(base, segments);
        self.count(before, shard.unflushed_bytes());
        Ok(())
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

/// What a record takes in the log, about.
fn event_bytes(event: &Event) -> u64 {
    /// Header and framing of a small record.
    const OVERHEAD: usize = 192;
    let body = match event {
        Event::Record { record, .. } => record.body.bytes(),
        Event::Unreadable { .. } => 0,
    };
    (OVERHEAD + body) as u64
}

/// Bytes of what a write brings; 0 for other records.
pub fn write_bytes(body: &Body) -> usize {
    if matches!(body, Body::Insert(_) | Body::Delete(_) | Body::Upsert { .. }) { body.bytes() } else { 0 }
}

fn absent(id: ShardId) -> Error {
    Error::new(Code::COLLECTION_NOT_FOUND, format!("shard {id} isn't here: collection not found[collection={}]", id.collection))
}

/// What a reader's state says of how far a channel is read.
fn progress_of(state: &ReaderState) -> Progress {
    Flushed { position: state.position.previous(), epoch: state.epoch, number: state.number, clock: state.clock }
}

impl Shards {
    fn unflushed_bytes(&self, id: ShardId) -> usize {
        self.live.get(&id).map_or(0, Shard::unflushed_bytes)
    }

    /// Applies an event to a shard that is here.
    fn take(&mut self, event: Event) {
        let (span, shard) = (event.span(), event.header().shard);
        match event {
            Event::Record { record, .. } => self.apply(&record, span, false),
            Event::Unreadable { error, .. } => self.quarantine(shard, span, error),
        }
    }

    /// Keeps an event for a shard that is being caught up.
    fn keep(&mut self, event: &Event) {
        if let Some(kept) = self.joining.get_mut(&event.header().shard)
            && kept.bytes <= JOINING_BYTES_MAX
        {
            kept.bytes += event_bytes(event);
            kept.events.push(event.clone());
        }
    }

    fn apply(&mut self, record: &Record, span: Span, takes_new: bool) {
        let header = &record.header;
        if !header.kind.is_of_shard() {
            return;
        }
        if let Some(quarantined) = self.quarantined.get_mut(&header.shard) {
            match &record.body {
                Body::Control(Control::Drop) => quarantined.drop_all(),
                _ => quarantined.passed(span),
            }
            return;
        }
        if let Body::Control(Control::Create { schema, .. }) = &record.body
            && takes_new
            && !self.live.contains_key(&header.shard)
        {
            let flushed = Flushed { position: span.last, epoch: header.epoch, number: header.number, clock: header.timestamp };
            let state = ControlState {
                schema: Arc::new(schema.clone()),
                truncated: Truncated::default(),
                dropped_partitions: Default::default(),
                state: ShardState::Created,
            };
            self.live.insert(header.shard, Shard::new(header.shard, Base { version: 0, flushed, state, kept_since: Timestamp::ZERO }));
            self.unconfirmed.insert(header.shard, span.first);
            return;
        }
        // Records of a shard that meta has forgotten, or of one that a request named and nobody has, are refused or dead.
        let Some(shard) = self.live.get_mut(&header.shard) else { return };
        match shard.apply(record, span.first, span.last) {
            Ok(()) => shard.publish(),
            Err(error) => self.quarantine(header.shard, span, error),
        }
    }

    fn quarantine(&mut self, id: ShardId, span: Span, error: Error) {
        if self.quarantined.contains_key(&id) {
            return;
        }
        tracing::error!(shard = %id, %error, "a shard is quarantined: reads and writes of it are refused until it is repaired");
        // Rows that were growing go with it, so they must be copied too.
        let growing = self.live.remove(&id).and_then(|shard| shard.first_unflushed());
        let first = [self.unconfirmed.remove(&id), growing].into_iter().flatten().min();
        let mut quarantined = Quarantined::new(error, first);
        quarantined.passed(span);
        self.quarantined.insert(id, quarantined);
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
        shards.keep(&event);
        let before = shards.unflushed_bytes(header.shard);
        self.channel.mileage.passed(span.first, event_bytes(&event));
        match event {
            Event::Record { record, .. } => {
                self.channel.landed(write_bytes(&record.body));
                shards.apply(&record, span, self.channel.source != Source::Tailer);
            }
            Event::Unreadable { error, .. } => match shards.quarantined.get_mut(&header.shard) {
                Some(quarantined) => quarantined.passed(span),
                None => shards.quarantine(header.shard, span, error),
            },
        }
        self.channel.count(before, shards.unflushed_bytes(header.shard));
        let progress = Flushed { position: span.last, epoch: header.epoch, number: header.number, clock: header.timestamp };
        self.channel.progress.send_replace(progress);
    }

    fn first_unflushed(&self) -> Option<Position> {
        let shards = self.channel.shards.lock();
        let records = shards.live.values().filter_map(Shard::first_unflushed);
        let uncopied = shards.quarantined.values().filter_map(Quarantined::uncopied);
        records.chain(shards.unconfirmed.values().copied()).chain(uncopied).min()
    }
}
