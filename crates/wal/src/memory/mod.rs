//! A log in memory, for simulations and tests: shared by all nodes that hold a clone, and alive when they die.
//!
//! It behaves as one of three brokers ([`Personality`]) and goes wrong as they do ([`Faults`]), deterministically from the world it was made in:
//! chance comes from a generator of its own, waits are timers of the simulated clock. Not durable.

mod faults;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::World;
use base::random::Random;
use base::watch;
use bytes::Bytes;
use parking_lot::Mutex;
use types::id::ChannelName;
use types::position::{LogId, Position};
use types::{Code, Error};

pub use faults::{Faults, Personality};

use crate::log::{Appender, Bounds, Log, LogError, Reader};

/// The default limit of a frame.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// Frames that one read gives.
const READ_FRAMES_MAX: usize = 1_024;
/// How long a node that is cut off waits before it gives up.
const PARTITION_TIMEOUT: Duration = Duration::from_secs(1);

/// A handle on the log, of one node. Clones are the same log.
#[derive(Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
    node: u64,
}

struct Shared {
    world: World,
    random: Random,
    personality: Personality,
    frame_bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    faults: Faults,
    channels: BTreeMap<ChannelName, Channel>,
    cut_off: BTreeSet<u64>,
}

struct Channel {
    log: LogId,
    /// Lowest offset that can be read.
    start: u64,
    frames: VecDeque<(u64, Bytes)>,
    /// The lowest process that may append: Pulsar's broker keeps it.
    fence: u64,
    /// The next offset; readers wait on it.
    next: watch::Sender<u64>,
}

impl MemoryLog {
    /// An empty log. `world` is the broker's: what is on its way lands even if the node that sent it is gone.
    pub fn new(world: &World, personality: Personality) -> Self {
        Self::with_frame_limit(world, personality, FRAME_BYTES_MAX)
    }

    /// An empty log that takes frames of up to `frame_bytes_max`.
    pub fn with_frame_limit(world: &World, personality: Personality, frame_bytes_max: usize) -> Self {
        let shared = Shared { world: world.clone(), random: world.random.fork(), personality, frame_bytes_max, state: Mutex::default() };
        Self { shared: Arc::new(shared), node: 0 }
    }

    /// The same log, as `node` reaches it.
    pub fn for_node(&self, node: u64) -> Self {
        Self { shared: self.shared.clone(), node }
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.state.lock().faults = faults;
    }

    /// Cuts a node off from the log, or heals it.
    pub fn partition(&self, node: u64, cut_off: bool) {
        let mut state = self.shared.state.lock();
        if cut_off {
            state.cut_off.insert(node);
        } else {
            state.cut_off.remove(&node);
        }
    }

    /// Loses everything at and above `position`, as a broker with an unclean election does.
    pub fn lose_end(&self, channel: &ChannelName, position: Position) {
        let mut state = self.shared.state.lock();
        let Some(channel) = state.channels.get_mut(channel) else { return };
        channel.frames.retain(|(offset, _)| *offset < position.to_u64());
        channel.next.send_replace(position.to_u64());
    }

    /// All frames of a channel, for checks.
    pub fn frames(&self, channel: &ChannelName) -> Vec<(Position, Bytes)> {
        let state = self.shared.state.lock();
        let Some(channel) = state.channels.get(channel) else { return Vec::new() };
        channel.frames.iter().map(|(offset, frame)| (Position::from_u64(channel.log, *offset), frame.clone())).collect()
    }

    async fn reach(&self) -> Result<(), LogError> {
        if self.shared.state.lock().cut_off.contains(&self.node) {
            self.shared.world.clock.sleep(PARTITION_TIMEOUT).await;
            return Err(unavailable("the log can't be reached"));
        }
        Ok(())
    }

    fn with<T>(&self, channel: &ChannelName, work: impl FnOnce(&mut Channel) -> T) -> T {
        let mut state = self.shared.state.lock();
        let random = &self.shared.random;
        work(state.channels.entry(channel.clone()).or_insert_with(|| Channel::new(LogId(random.u128()))))
    }
}

impl Channel {
    fn new(log: LogId) -> Self {
        Self { log, start: 0, frames: VecDeque::new(), fence: 0, next: watch::Sender::new(0) }
    }

    fn end(&self) -> u64 {
        *self.next.borrow()
    }

    /// Writes one frame, after `gap` offsets that nobody gets.
    fn land(&mut self, frame: Bytes, gap: u64) -> Position {
        let offset = self.end() + gap;
        self.frames.push_back((offset, frame));
        self.next.send_replace(offset + 1);
        Position::from_u64(self.log, offset)
    }

    /// Checks a reader's place.
    fn check(&self, from: Position) -> Result<(), LogError> {
        let position = |offset| Position::from_u64(self.log, offset);
        if from.log != self.log || from.to_u64() > self.end() {
            return Err(LogError::Shrunk { known: from, end: position(self.end()) });
        }
        if from.to_u64() < self.start {
            return Err(LogError::Truncated { asked: from, start: position(self.start) });
        }
        Ok(())
    }
}

#[async_trait]
impl Log for MemoryLog {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn frame_bytes_max(&self) -> usize {
        self.shared.frame_bytes_max
    }

    async fn open(&self, channel: &ChannelName) -> Result<LogId, LogError> {
        self.reach().await?;
        Ok(self.with(channel, |channel| channel.log))
    }

    async fn appender(&self, channel: &ChannelName, process: u64) -> Result<Box<dyn Appender>, LogError> {
        self.reach().await?;
        self.with(channel, |channel| channel.fence = channel.fence.max(process));
        Ok(Box::new(faults::MemoryAppender::new(self.clone(), channel.clone(), process)))
    }

    async fn reader(&self, channel: &ChannelName, from: Position) -> Result<Box<dyn Reader>, LogError> {
        self.reach().await?;
        let next = self.with(channel, |channel| channel.check(from).map(|()| channel.next.subscribe()))?;
        Ok(Box::new(MemoryReader { log: self.clone(), channel: channel.clone(), position: from, next }))
    }

    async fn bounds(&self, channel: &ChannelName) -> Result<Bounds, LogError> {
        self.reach().await?;
        Ok(self.with(channel, |channel| Bounds {
            start: Position::from_u64(channel.log, channel.start),
            end: Position::from_u64(channel.log, channel.end()),
        }))
    }

    async fn truncate(&self, channel: &ChannelName, position: Position) -> Result<(), LogError> {
        self.reach().await?;
        self.with(channel, |channel| {
            channel.start = channel.start.max(position.to_u64().min(channel.end()));
            while channel.frames.front().is_some_and(|(offset, _)| *offset < channel.start) {
                channel.frames.pop_front();
            }
        });
        Ok(())
    }
}

struct MemoryReader {
    log: MemoryLog,
    channel: ChannelName,
    position: Position,
    next: watch::Receiver<u64>,
}

impl MemoryReader {
    fn take(&mut self) -> Result<Vec<(Position, Bytes)>, LogError> {
        let from = self.position;
        let limit = self.log.shared.read_limit();
        let frames = self.log.with(&self.channel, |channel| {
            channel.check(from)?;
            let first = channel.frames.partition_point(|(offset, _)| *offset < from.to_u64());
            let frames = channel.frames.iter().skip(first).take(limit);
            Ok(frames.map(|(offset, frame)| (Position::from_u64(channel.log, *offset), frame.clone())).collect::<Vec<_>>())
        })?;
        if let Some((last, _)) = frames.last() {
            self.position = last.next();
        }
        Ok(frames)
    }
}

#[async_trait]
impl Reader for MemoryReader {
    async fn next(&mut self) -> Result<Vec<(Position, Bytes)>, LogError> {
        loop {
            let frames = self.next_available().await?;
            if !frames.is_empty() {
                return Ok(frames);
            }
            let position = self.position.to_u64();
            // The sender lives as long as the log that `self` holds.
            let _ = self.next.wait_for(|next| *next != position).await;
        }
    }

    async fn next_available(&mut self) -> Result<Vec<(Position, Bytes)>, LogError> {
        self.log.reach().await?;
        self.take()
    }

    fn position(&self) -> Position {
        self.position
    }
}

fn unavailable(what: &str) -> LogError {
    LogError::Unavailable(Error::new(Code::IO_FAILED, what))
}
