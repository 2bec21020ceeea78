//! datanode: sequences its channels, writes their shards' rows to segments, keeps checkpoints.
//!
//! Start at [`DataNodeRole`]; [`sequencing`] takes up a channel, [`flush`] writes segments, [`upkeep`] decides when.

mod admission;
mod flush;
mod lease;
mod quarantine;
mod sequencing;
mod stream;
mod upkeep;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use base::World;
use base::config::Current;
use parking_lot::Mutex;
use role::Call;
use role::data::{DataCoord, DataNode, LogEnd, Placed, WriteStream};
use tokio::sync::oneshot;
use types::id::{ChannelName, PartitionId, ShardId, WriterId};
use types::record::Control;
use types::time::Timestamp;
use types::{Code, Error, Result};
use wal::log::Log;
use wal::reader::Acknowledged;
use wal::writer::{Phase, Sequencer, Stopped};

use crate::channels::Channels;
use crate::follow::Followers;
use crate::opener::Opener;
use crate::planted::Planted;
use crate::refresh::Refresher;

pub use upkeep::Limits;

/// How long calls of the node's own to coordinators may take.
const COORDINATOR_MAX: Duration = Duration::from_secs(30);

/// What a data node is made of.
#[derive(Clone)]
pub struct Parts {
    /// The world.
    pub world: World,
    /// Where records go.
    pub log: Arc<dyn Log>,
    /// Who moves manifests and checkpoints.
    pub coordinator: Arc<dyn DataCoord>,
    /// Where ids of segments come from.
    pub root: Arc<dyn role::root::RootCoord>,
    /// The process's channels, shared with its query node.
    pub channels: Arc<Channels>,
    /// Opens segments, and has the store.
    pub opener: Opener,
    /// Takes shards over to new manifests.
    pub refresher: Arc<Refresher>,
    /// Reads channels that are sequenced elsewhere.
    pub followers: Arc<Followers>,
    /// When to flush, to begin with.
    pub limits: Limits,
    /// Bugs of simulations.
    #[doc(hidden)]
    pub planted: Planted,
}

/// The data node of a process.
pub struct DataNodeRole {
    parts: Parts,
    /// For tasks that outlive a call.
    own: Weak<DataNodeRole>,
    sequencers: Mutex<BTreeMap<ChannelName, Assigned>>,
    /// A flush of one shard at a time.
    turns: Mutex<BTreeMap<ShardId, Arc<tokio::sync::Mutex<()>>>>,
    /// Bytes that went through a log whose channels lie in common files.
    log_bytes: Arc<AtomicU64>,
    /// Shards whose quarantined records could be applied at the start, with the objects that hold them.
    restored: Mutex<quarantine::Copies>,
    leases: lease::Leases,
    figures: flush::FlushFigures,
    limits: Current<Limits>,
}

#[derive(Clone)]
struct Assigned {
    process: u64,
    sequencer: Sequencer,
}

impl DataNodeRole {
    /// A node without channels, and its upkeep.
    pub fn start(parts: Parts) -> Arc<Self> {
        let figures = flush::FlushFigures::new(&parts.world.metrics);
        let limits = Current::new(parts.limits);
        let role = Arc::new_cyclic(|own| Self {
            parts,
            own: own.clone(),
            sequencers: Mutex::default(),
            turns: Mutex::default(),
            log_bytes: Arc::default(),
            restored: Mutex::default(),
            leases: lease::Leases::default(),
            figures,
            limits,
        });
        role.parts.world.tasks.spawn(upkeep::run(Arc::downgrade(&role))).detach();
        if !role.parts.limits.alone {
            role.parts.world.tasks.spawn(lease::keep(Arc::downgrade(&role))).detach();
        }
        role
    }

    /// Flushes by other sizes from the next look on.
    pub fn set_limits(&self, limits: Limits) {
        self.limits.set(limits);
    }

    /// The number of the last record of each channel that is acknowledged; channels whose sequencer doesn't serve are left out.
    pub fn acknowledged(&self) -> Vec<(ChannelName, u64)> {
        let sequencers = self.sequencers.lock();
        sequencers.iter().filter_map(|(name, assigned)| Some((name.clone(), assigned.sequencer.acknowledged().ok()?.number))).collect()
    }

    fn sequencer(&self, channel: &ChannelName) -> Result<Sequencer> {
        if let Some(error) = self.loss(channel) {
            return Err(error);
        }
        let found = self.sequencers.lock().get(channel).map(|assigned| assigned.sequencer.clone());
        found.ok_or_else(|| Error::about(Code::CHANNEL_MISROUTED, &[("channel", channel)]))
    }

    fn own(&self) -> Result<Arc<Self>> {
        self.own.upgrade().ok_or_else(going)
    }

    /// Why a channel of this node is out of service, wherever else it would be tried (`docs/design.md` rule 7).
    fn loss(&self, channel: &ChannelName) -> Option<Error> {
        let sequencers = self.sequencers.lock();
        let status = sequencers.get(channel).map(|assigned| assigned.sequencer.status());
        let why = status.and_then(|status| match &status.borrow().phase {
            Phase::Stopped(why @ Stopped::Loss(_)) => Some(stopped(channel, why)),
            _ => None,
        });
        why.or_else(|| self.parts.channels.failure(channel))
    }

    /// Whether this process sequences a channel that is read to its end.
    fn is_serving(&self, channel: &ChannelName) -> bool {
        let sequencers = self.sequencers.lock();
        sequencers.get(channel).is_some_and(|assigned| assigned.sequencer.status().borrow().phase == Phase::Serving)
    }

    /// A call of the node's own.
    fn own_call(&self, what: &str) -> Call {
        Call::within(&self.parts.world, COORDINATOR_MAX, what)
    }

    /// Waits until every channel that is assigned here is read to its end and serves. One that can't doesn't keep the others from it.
    ///
    /// # Errors
    /// No channel serves: the reason of the first; the call's deadline.
    pub async fn ready(&self, call: &Call) -> Result<()> {
        let assigned: Vec<(ChannelName, Sequencer)> =
            self.sequencers.lock().iter().map(|(name, assigned)| (name.clone(), assigned.sequencer.clone())).collect();
        let failed = self.parts.channels.failed();
        let mut errors: Vec<Error> = failed.iter().filter_map(|(name, _)| self.parts.channels.failure(name)).collect();
        let mut serving = 0;
        for (name, sequencer) in assigned {
            let read = call.bound("the log's end", async { sequencer.serving().await.map_err(|why| stopped(&name, &why)) }).await;
            match read {
                Ok(_) => serving += 1,
                Err(error) if error.code() == Code::TIMEOUT => return Err(error),
                Err(error) => {
                    tracing::error!(channel = %name, %error, "a channel has stopped, the collections on it are out of service");
                    errors.push(error);
                }
            }
        }
        match errors.into_iter().next() {
            Some(first) if serving == 0 => Err(first),
            _ => Ok(()),
        }
    }

    /// Flushes everything and writes checkpoints: a start after it replays nothing.
    pub async fn settle(&self) {
        for channel in self.parts.channels.all() {
            for (_, shard) in channel.holding() {
                if let Err(error) = flush::shard(self, shard).await {
                    tracing::warn!(%shard, %error, "a shard wasn't flushed at the end: its log is read again at the next start");
                }
            }
            if let Err(error) = upkeep::checkpoint(self, channel.name()).await {
                tracing::warn!(channel = %channel.name(), %error, "no checkpoint was written at the end");
            }
        }
    }
}

#[async_trait]
impl DataNode for DataNodeRole {
    async fn open_stream(&self, _call: &Call, channel: &ChannelName, writer: WriterId) -> Result<WriteStream> {
        match self.loss(channel) {
            Some(error) => Err(error),
            None => Ok(stream::open(&self.parts.world, self.sequencer(channel)?, writer)),
        }
    }

    async fn control(&self, call: &Call, channel: &ChannelName, shard: ShardId, control: Control) -> Result<Placed> {
        let sequencer = self.sequencer(channel)?;
        let written = async { sequencer.control(shard, control).await.map_err(|error| error.to_error()) };
        let receipt = call.bound("a control record", written).await?;
        Ok(Placed { position: receipt.position, epoch: receipt.epoch, number: receipt.number, timestamp: receipt.timestamp })
    }

    async fn barrier(&self, call: &Call, channel: &ChannelName) -> Result<LogEnd> {
        let sequencer = self.sequencer(channel)?;
        // The process that sequences alone has applied what it acknowledged; others prove by a lease or by an append that they still sequence.
        let acknowledged: Acknowledged = if self.parts.limits.alone {
            call.bound("the sequencer's start", async { sequencer.serving().await.map_err(|why| stopped(channel, &why)) }).await?;
            sequencer.acknowledged().map_err(|error| error.to_error())?
        } else if let Some(acknowledged) = lease::end(self, channel) {
            acknowledged
        } else {
            call.bound("a barrier", async { sequencer.barrier().await.map_err(|error| error.to_error()) }).await?
        };
        let Acknowledged { position, epoch, number, clock } = acknowledged;
        Ok(LogEnd { position, epoch, number, clock })
    }

    async fn advance_clock(&self, call: &Call, channel: &ChannelName, timestamp: Timestamp) -> Result<()> {
        let sequencer = self.sequencer(channel)?;
        call.bound("a clock", async { sequencer.clock_at_least(timestamp).await.map(drop).map_err(|error| error.to_error()) }).await
    }

    async fn flush(&self, call: &Call, shard: ShardId) -> Result<Timestamp> {
        let own = self.own()?;
        let (answer, flushed) = oneshot::channel();
        // A task of its own: a caller that leaves at its deadline leaves nothing half done.
        let flush = async move { drop(answer.send(flush::shard(&own, shard).await)) };
        self.parts.world.tasks.spawn(flush).detach();
        call.bound("a flush", async { flushed.await.unwrap_or_else(|_| Err(going())) }).await
    }

    async fn assign(&self, call: &Call, channel: &ChannelName, process: u64) -> Result<()> {
        let own = self.own()?;
        let assigned = sequencing::assign(&own, call, channel, process).await;
        if let Err(error) = &assigned {
            tracing::error!(%channel, %error, "a channel can't be taken up, the collections on it are out of service");
            self.parts.channels.fail(channel, process, error.clone());
        }
        assigned
    }

    async fn growing_rows(&self, _call: &Call, shard: ShardId) -> Result<BTreeMap<PartitionId, u64>> {
        let channel = self.parts.channels.of_shard(shard);
        Ok(channel.map(|channel| channel.growing_rows(shard)).unwrap_or_default())
    }
}

fn going() -> Error {
    Error::new(Code::SERVICE_NOT_READY, "the data node stops: service not ready")
}

fn stopped(channel: &ChannelName, why: &Stopped) -> Error {
    match why {
        Stopped::Loss(error) => {
            let text = format!("channel {channel} has stopped, the collections on it are out of service: {error}");
            Error::new(Code::DATA_INTEGRITY, text)
        }
        Stopped::Superseded(_) | Stopped::Asked => {
            Error::new(Code::CHANNEL_NOT_AVAILABLE, format!("channel {channel} has stopped: {why:?}: channel not available"))
        }
    }
}
