//! Channels that this process reads while another one writes them: one tailer each, shards that join it, and the hand-over to and from a
//! sequencer of this process.
//!
//! A shard joins a running tailer by a read of its own from its manifest (or the checkpoint, if that is later) up to where the tailer was when
//! it began; what comes meanwhile is kept for it (`docs/protocol.md` §3). Where a channel's feed changes, a new [`Channel`] takes the place of the old
//! one, and reads are refused as not ready until the segments of what is served are open in it again: so no read sees half a shard.
//!
//! Not here: the rules of reading (`wal::reader`), sequencing (`data::sequencing`), opening segments (`refresh`).
//!
//! Start at [`Followers::channel_with`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::World;
use base::task::Task;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use role::Call;
use role::data::DataCoord;
use role::peers::Peers;
use segment::Base;
use store::object::Store;
use types::id::{ChannelName, ShardId};
use types::position::Position;
use types::{Code, Error, Result};
use wal::checkpoint;
use wal::log::Log;
use wal::reader::{Acknowledged, Event, ReaderState, Surroundings, TailError, Tailer};

use crate::channel::{Channel, Source};
use crate::channels::Channels;
use crate::opener::is_damage;
use crate::planted::Planted;
use crate::refresh::Refresher;

/// How long calls of a follower's own to other roles may take.
const CALL_MAX: Duration = Duration::from_secs(10);
/// Between two tries of what failed: doubled from the first to the last.
const RETRY: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);
/// How often a shard that joins may find its part of the log cut away by a flush.
const JOIN_ATTEMPTS_MAX: u32 = 8;

/// What a process follows channels with.
#[derive(Clone)]
pub struct Parts {
    /// The world.
    pub world: World,
    /// What is read.
    pub log: Arc<dyn Log>,
    /// Knows checkpoints, manifests and routes.
    pub coordinator: Arc<dyn DataCoord>,
    /// Reaches sequencers.
    pub peers: Arc<Peers>,
    /// The process's channels.
    pub channels: Arc<Channels>,
    /// Opens segments.
    pub refresher: Arc<Refresher>,
    /// Checkpoints are read from here.
    pub store: Arc<dyn Store>,
    /// Bugs of simulations.
    #[doc(hidden)]
    pub planted: Planted,
}

/// The tailers of a process.
pub struct Followers {
    parts: Parts,
    tails: Mutex<BTreeMap<ChannelName, Task<()>>>,
    /// One change of a channel's feed at a time.
    turns: Mutex<BTreeMap<ChannelName, Arc<tokio::sync::Mutex<()>>>>,
}

impl Followers {
    /// Follows nothing yet.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self { parts, tails: Mutex::default(), turns: Mutex::default() })
    }

    /// The turn to change who feeds a channel.
    pub(crate) fn turn(&self, name: &ChannelName) -> Arc<tokio::sync::Mutex<()>> {
        self.turns.lock().entry(name.clone()).or_default().clone()
    }

    /// The channel with the shard in it; follows the channel from now on if nobody feeds it here.
    ///
    /// # Errors
    /// Coordinator, log or store can't be reached; what is lost, by name.
    pub async fn channel_with(self: &Arc<Self>, call: &Call, name: &ChannelName, shard: ShardId) -> Result<Arc<Channel>> {
        let turn = self.turn(name);
        let _turn = turn.lock().await;
        // This process is to write the channel, and says why it can't: reading it beside that would hide the reason.
        if let Some(error) = self.parts.channels.failure(name) {
            return Err(error);
        }
        let channel = match self.parts.channels.get(name) {
            Some(channel) => channel,
            None => self.begin(call, name, &[]).await?,
        };
        if channel.source() == Source::Tailer && !channel.has(shard) {
            self.join(call, &channel, shard).await?;
        }
        Ok(channel)
    }

    /// Lets go of a shard that is served no longer.
    pub fn leave(&self, channel: &Channel, shard: ShardId) {
        if channel.source() == Source::Tailer {
            channel.remove(shard);
        }
    }

    /// Ends the tailer of a channel that is sequenced here from now on.
    pub(crate) fn stop(&self, name: &ChannelName) {
        drop(self.tails.lock().remove(name));
    }

    /// Where to read a channel from: its checkpoint, else its beginning. Read it before manifests (`docs/protocol.md` §3).
    ///
    /// # Errors
    /// As [`Self::channel_with`].
    pub(crate) async fn starting_point(&self, call: &Call, name: &ChannelName) -> Result<ReaderState> {
        let log = self.parts.log.open(name).await.map_err(|error| error.to_error(name))?;
        match self.parts.coordinator.checkpoint(call, name).await? {
            Some(pointer) => {
                let pointer = checkpoint::Pointer { name: pointer.name, length: pointer.length, checksum: pointer.checksum };
                checkpoint::load(&*self.parts.store, &pointer).await
            }
            None => Ok(ReaderState::beginning(log)),
        }
    }

    /// Opens the segments of what is served of a channel whose feed has changed, until that has worked or the feed changes again.
    pub(crate) async fn reopen(&self, channel: &Arc<Channel>) {
        for shard in self.served(channel) {
            let mut retry = RETRY;
            while self.parts.channels.is_current(channel) && self.parts.refresher.is_served(shard) {
                let call = Call::within(&self.parts.world, CALL_MAX, "reopen");
                match self.parts.refresher.refresh(&call, channel, shard).await {
                    Ok(()) => break,
                    Err(error) => tracing::info!(%shard, %error, "a shard isn't open again yet"),
                }
                self.parts.world.clock.sleep(retry).await;
                retry = (retry * 2).min(RETRY_LAST);
            }
        }
    }

    /// Reads a channel anew whose feed has ended: its sequencer was superseded, or its log was cut above its tailer. What is served of it goes on.
    pub(crate) fn rebuild(self: Arc<Self>, old: Arc<Channel>) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.read_anew(&old).await })
    }

    async fn read_anew(self: &Arc<Self>, old: &Arc<Channel>) {
        let served = self.served(old);
        let mut retry = RETRY;
        let channel = loop {
            let turn = self.turn(old.name());
            let _turn = turn.lock().await;
            if !self.parts.channels.is_current(old) {
                return;
            }
            if served.is_empty() {
                return self.parts.channels.remove(old);
            }
            let call = Call::within(&self.parts.world, CALL_MAX, "read a channel anew");
            match self.begin(&call, old.name(), &served).await {
                Ok(channel) => break channel,
                Err(error) => tracing::warn!(channel = %old.name(), %error, "a channel can't be read anew yet"),
            }
            drop(_turn);
            self.parts.world.clock.sleep(retry).await;
            retry = (retry * 2).min(RETRY_LAST);
        };
        self.reopen(&channel).await;
    }

    fn served(&self, channel: &Channel) -> Vec<ShardId> {
        channel.shards().into_iter().filter(|shard| self.parts.refresher.is_served(*shard)).collect()
    }

    async fn begin(self: &Arc<Self>, call: &Call, name: &ChannelName, shards: &[ShardId]) -> Result<Arc<Channel>> {
        let start = self.starting_point(call, name).await?;
        let channel = Channel::new(name.clone(), Source::Tailer, &start);
        for shard in shards {
            match self.parts.refresher.manifest(call, *shard).await {
                Ok(manifest) => channel.add(*shard, Base::of(&manifest)),
                // Dropped meanwhile.
                Err(error) if error.code() == Code::COLLECTION_NOT_FOUND => {}
                // The others are served meanwhile.
                Err(error) if is_damage(&error) => channel.quarantine(*shard, error, false, None),
                Err(error) => return Err(error),
            }
        }
        let tailer = self.tailer(name, start);
        let task = self.parts.world.tasks.spawn(follow(self.clone(), channel.clone(), tailer));
        self.parts.channels.insert(channel.clone());
        self.tails.lock().insert(name.clone(), task);
        Ok(channel)
    }

    /// What readers and sequencers of a channel ask others for.
    pub(crate) fn surroundings(&self, name: &ChannelName) -> Arc<dyn Surroundings> {
        let Parts { world, coordinator, peers, store, .. } = self.parts.clone();
        Arc::new(Others { world, channel: name.clone(), coordinator, peers, store })
    }

    fn tailer(&self, name: &ChannelName, start: ReaderState) -> Tailer {
        let Parts { world, log, .. } = &self.parts;
        let mut tailer = Tailer::new(world, log.clone(), name.clone(), start, self.surroundings(name));
        tailer.plant(self.parts.planted.log);
        tailer
    }

    async fn join(&self, call: &Call, channel: &Channel, shard: ShardId) -> Result<()> {
        let joining = channel.join(shard);
        let (base, missed) = call.bound("the log of a shard", self.catch_up(call, channel.name(), shard, joining.until)).await?;
        joining.finish(base, missed)
    }

    /// What a shard's manifest lacks of its log below `until`.
    async fn catch_up(&self, call: &Call, name: &ChannelName, shard: ShardId, until: Position) -> Result<(Base, Vec<Event>)> {
        for _ in 0..JOIN_ATTEMPTS_MAX {
            let checkpoint = self.starting_point(call, name).await?;
            let manifest = self.parts.refresher.manifest(call, shard).await?;
            let flushed = manifest.flushed;
            let start = match flushed.position >= checkpoint.position {
                true => ReaderState::at(flushed.position.next(), flushed.epoch, flushed.number, flushed.clock),
                false => checkpoint,
            };
            if start.position >= until {
                return Ok((Base::of(&manifest), Vec::new()));
            }
            match self.tailer(name, start).read_until(until).await {
                Ok(events) => {
                    let of_shard = events.into_iter().filter(|event| event.header().shard == shard).collect();
                    return Ok((Base::of(&manifest), of_shard));
                }
                Err(TailError::Lost(error)) => return Err(error),
                // A flush has let go of what lies between.
                Err(TailError::StartAgain(_)) => {}
            }
        }
        Err(Error::new(Code::SERVICE_NOT_READY, format!("the log of shard {shard} is cut faster than read: service not ready")))
    }
}

async fn follow(followers: Arc<Followers>, channel: Arc<Channel>, mut tailer: Tailer) {
    let tasks = followers.parts.world.tasks.clone();
    let mut sink = channel.sink();
    loop {
        match tailer.next().await {
            Ok(events) => {
                events.into_iter().for_each(|event| sink.apply(event));
                channel.passed(tailer.state());
            }
            Err(TailError::StartAgain(_)) => {
                // A task of its own, since this one ends when the channel's new tailer takes its place.
                return tasks.spawn(followers.rebuild(channel)).detach();
            }
            Err(TailError::Lost(error)) => {
                tracing::error!(channel = %channel.name(), %error, "a channel isn't read any further");
                return channel.lose(error);
            }
        }
    }
}

/// What a tailer asks other roles for.
struct Others {
    world: World,
    channel: ChannelName,
    coordinator: Arc<dyn DataCoord>,
    peers: Arc<Peers>,
    store: Arc<dyn Store>,
}

#[async_trait]
impl Surroundings for Others {
    async fn checkpoint(&self) -> Result<Option<ReaderState>> {
        let call = Call::within(&self.world, CALL_MAX, "checkpoint");
        let Some(pointer) = self.coordinator.checkpoint(&call, &self.channel).await? else { return Ok(None) };
        let pointer = checkpoint::Pointer { name: pointer.name, length: pointer.length, checksum: pointer.checksum };
        checkpoint::load(&*self.store, &pointer).await.map(Some)
    }

    async fn acknowledged(&self) -> Option<Acknowledged> {
        let call = Call::within(&self.world, CALL_MAX, "end of log");
        let routes = self.coordinator.routes(&call).await.ok()?;
        let route = routes.iter().find(|route| route.channel == self.channel)?;
        let end = self.peers.data_node(&route.address).ok()?.barrier(&call, &self.channel).await.ok()?;
        Some(Acknowledged { position: end.position, epoch: end.epoch, number: end.number, clock: end.clock })
    }
}
