//! The task that runs a [`SequencerState`] over a [`Log`]: reads back, serves, and keeps one append in flight while the next group gathers.
//!
//! Requests wait in a bounded channel while the log is read; they are looked at only while serving. Records are applied by the one task, in log
//! order, before their answers leave, so an [`Apply`] needs no lock of its own against the sequencer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base::World;
use base::task::Task;
use base::watch;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use types::Error;
use types::id::{ChannelName, ShardId};
use types::position::Position;
use types::record::{Control, Epoch};
use types::time::Timestamp;

use super::admission::Admission;
use super::request::{WriteError, WriteRequest};
use super::state::{Limits, Phase, SequencerState, Stopped};
use crate::log::Log;
use crate::planted::Planted;
use crate::reader::{Acknowledged, Event, ReaderState, Receipt, Surroundings};

mod run;

/// Requests that wait for the task.
const COMMANDS_MAX: usize = 4_096;

/// What becomes of records: the shards of this node. Called by the sequencer's task alone, in log order.
pub trait Apply: Send {
    /// A record is durable and counts. Those at or below a shard's `flushed_to` come too, and are skipped by the shard.
    fn apply(&mut self, event: Event);

    /// The first record (its first frame) whose effect no committed manifest holds, over the shards that have one; control records count until
    /// a manifest has them (`docs/protocol.md` §4). Everything given to [`Self::apply`] so far is considered.
    fn first_unflushed(&self) -> Option<Position>;
}

/// What a sequencer needs to begin.
pub struct SequencerOptions {
    /// The channel.
    pub channel: ChannelName,
    /// `e`: from meta, new at every start.
    pub process: u64,
    /// The checkpoint, or [`ReaderState::beginning`].
    pub start: ReaderState,
    /// Judges what is stale.
    pub admission: Box<dyn Admission>,
    /// Where the newest checkpoint is read before a cut is taken for a loss: a successor may have made it. `None` where there can be none.
    pub surroundings: Option<Arc<dyn Surroundings>>,
    /// Sizes; `None` takes the defaults for the log.
    pub limits: Option<Limits>,
    /// Bugs of simulations.
    #[doc(hidden)]
    pub planted: Planted,
}

/// Where a sequencer stands, as others see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// What it does.
    pub phase: Phase,
    /// The epoch it writes under.
    pub epoch: Epoch,
    /// Up to where everything is durable and applied.
    pub acknowledged: Acknowledged,
}

/// A handle on a channel's sequencer. Clones share it; the task ends when the last one goes, or at [`Sequencer::stop`].
#[derive(Clone)]
pub struct Sequencer {
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Status>,
    stop: Arc<watch::Sender<bool>>,
    _task: Arc<Mutex<Task<()>>>,
}

/// An answer on its way; resolves to `NotSequencer` if the sequencer goes without one.
pub struct Reply<T = Receipt>(oneshot::Receiver<Result<T, WriteError>>);

pub(super) enum Command {
    Write(Box<WriteRequest>, oneshot::Sender<Result<Receipt, WriteError>>),
    Control(ShardId, Box<Control>, oneshot::Sender<Result<Receipt, WriteError>>),
    ClockAtLeast(Timestamp, oneshot::Sender<Result<Acknowledged, WriteError>>),
    Barrier(oneshot::Sender<Result<Acknowledged, WriteError>>),
    Checkpoint(oneshot::Sender<Result<Option<ReaderState>, WriteError>>),
    Checkpointed(Box<ReaderState>),
}

impl Sequencer {
    /// Starts a sequencer's task: it reads `log` from the checkpoint, applying what counts, then serves.
    pub fn start(world: &World, log: Arc<dyn Log>, apply: Box<dyn Apply>, options: SequencerOptions) -> Self {
        let limits = options.limits.unwrap_or_else(|| Limits::for_frames(log.frame_bytes_max()));
        let mut core = SequencerState::new(options.channel.clone(), options.process, options.start, limits, options.admission);
        core.plant(options.planted);
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let status = Status { phase: core.phase().clone(), epoch: core.epoch(), acknowledged: core.acknowledged() };
        let (publish, status) = watch::channel(status);
        let (stop, stopping) = watch::channel(false);
        let parts = run::Parts { core, apply, commands: receiver, stopping, publish, surroundings: options.surroundings };
        let task = world.tasks.spawn(run::Driver::new(world.clone(), log, options.channel, parts).run());
        Self { commands, status, stop: Arc::new(stop), _task: Arc::new(Mutex::new(task)) }
    }

    /// Hands over a request, in the order of calls; waits only for room. Await [`Reply`] for the answer.
    pub async fn submit(&self, request: WriteRequest) -> Reply {
        self.ask(|answer| Command::Write(Box::new(request), answer)).await
    }

    /// [`Self::submit`] and its answer.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn write(&self, request: WriteRequest) -> Result<Receipt, WriteError> {
        self.submit(request).await.await
    }

    /// Writes a control record, unless its state is there already; the receipt is that of the record that brought it.
    ///
    /// # Errors
    /// See [`WriteError`]; ask again until another than `NotSequencer` or a receipt comes: it is idempotent.
    pub async fn control(&self, shard: ShardId, control: Control) -> Result<Receipt, WriteError> {
        self.submit_control(shard, control).await.await
    }

    /// [`Self::control`] without waiting for the answer.
    pub async fn submit_control(&self, shard: ShardId, control: Control) -> Reply {
        self.ask(|answer| Command::Control(shard, Box::new(control), answer)).await
    }

    /// Sees that the channel's clock reaches `timestamp`, at most a second ahead; a reader that has read to the position given has it.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn clock_at_least(&self, timestamp: Timestamp) -> Result<Acknowledged, WriteError> {
        self.ask(|answer| Command::ClockAtLeast(timestamp, answer)).await.await
    }

    /// The end of the log for a strong read, proven by an append of its own that was sent after this call (`docs/protocol.md` §5).
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn barrier(&self) -> Result<Acknowledged, WriteError> {
        self.ask(Command::Barrier).await.await
    }

    /// What is acknowledged and applied now. Good for a strong read only where a lease is checked after this (`docs/protocol.md` §5).
    ///
    /// # Errors
    /// `NotSequencer` unless it serves.
    pub fn acknowledged(&self) -> Result<Acknowledged, WriteError> {
        let status = self.status.borrow();
        if status.phase != Phase::Serving {
            return Err(WriteError::NotSequencer);
        }
        Ok(status.acknowledged)
    }

    /// The state for a checkpoint at the first unflushed record; `None` if it would not advance. Write it with [`crate::checkpoint::write`],
    /// commit the pointer in meta, truncate the log below its position, then call [`Self::checkpointed`].
    ///
    /// # Errors
    /// `NotSequencer` where it has stopped.
    pub async fn checkpoint(&self) -> Result<Option<ReaderState>, WriteError> {
        self.ask(Command::Checkpoint).await.await
    }

    /// The checkpoint at a state that [`Self::checkpoint`] gave is committed: the next one lies above. Without this the same is given again.
    pub async fn checkpointed(&self, state: ReaderState) {
        // One that has stopped makes no more checkpoints.
        drop(self.commands.send(Command::Checkpointed(Box::new(state))).await);
    }

    /// Where it stands, as it changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Waits until it serves.
    ///
    /// # Errors
    /// Why it stopped instead.
    pub async fn serving(&self) -> Result<Epoch, Stopped> {
        let mut status = self.status.clone();
        let reached = status.wait_for(|status| !matches!(status.phase, Phase::Reading | Phase::AwaitingEpoch)).await;
        match reached.as_deref() {
            Ok(Status { phase: Phase::Stopped(why), .. }) => Err(why.clone()),
            Ok(status) => Ok(status.epoch),
            Err(_) => Err(Stopped::Asked),
        }
    }

    /// Waits until it has stopped.
    pub async fn stopped(&self) -> Stopped {
        let mut status = self.status.clone();
        let reached = status.wait_for(|status| matches!(status.phase, Phase::Stopped(_))).await;
        match reached.as_deref() {
            Ok(Status { phase: Phase::Stopped(why), .. }) => why.clone(),
            _ => Stopped::Asked,
        }
    }

    /// Ends it: what waits is answered `NotSequencer`, and may be in the log or not.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        self.stopped().await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<Result<T, WriteError>>) -> Command) -> Reply<T> {
        let (answer, reply) = oneshot::channel();
        // A task that has ended drops the command, and the reply says so.
        let _ = self.commands.send(command(answer)).await;
        Reply(reply)
    }
}

impl<T> Future for Reply<T> {
    type Output = Result<T, WriteError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(WriteError::NotSequencer)))
    }
}

/// How long to wait after the `failures`-th failure in a row.
pub(super) fn pause(failures: u32) -> Duration {
    const FIRST: Duration = Duration::from_millis(20);
    const LONGEST: Duration = Duration::from_secs(1);
    (FIRST * 2u32.pow(failures.min(10))).min(LONGEST)
}

/// Wall clock as a timestamp.
pub(super) fn wall(world: &World) -> Timestamp {
    Timestamp::from_millis(world.clock.wall_ms())
}

/// A log's failure that no retry mends, as a reason to stop.
pub(super) fn loss(channel: &ChannelName, what: String) -> Stopped {
    Stopped::Loss(Error::new(types::Code::CHANNEL_NOT_AVAILABLE, format!("log of channel {channel}: {what}")))
}
