//! A log that tells what passes through it, around any other: counts, bytes and times, to whoever keeps the metrics.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::World;
use bytes::Bytes;
use types::id::ChannelName;
use types::position::{LogId, Position};

use crate::log::{Appender, Bounds, Log, LogError, Reader};

/// Takes the figures. Called on the hot path: does no more than count.
pub trait Recorder: Send + Sync {
    /// An append ended; `durable` says whether it was answered with positions.
    fn appended(&self, channel: &ChannelName, append: Passed, durable: bool);

    /// A read gave frames.
    fn read(&self, channel: &ChannelName, read: Passed);

    /// A read failed: unreachable, damaged, cut off.
    fn read_failed(&self, channel: &ChannelName);
}

/// What one call moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Passed {
    /// Frames.
    pub frames: usize,
    /// Bytes of all frames.
    pub bytes: usize,
    /// How long it took; for reads, waits for new frames included.
    pub took: Duration,
}

/// A log with a recorder.
pub struct MeteredLog {
    world: World,
    inner: Arc<dyn Log>,
    recorder: Arc<dyn Recorder>,
}

impl MeteredLog {
    /// Around `inner`.
    pub fn new(world: &World, inner: Arc<dyn Log>, recorder: Arc<dyn Recorder>) -> Self {
        Self { world: world.clone(), inner, recorder }
    }

    fn meter<T>(&self, channel: &ChannelName, inner: T) -> Metered<T> {
        Metered { world: self.world.clone(), recorder: self.recorder.clone(), channel: channel.clone(), inner }
    }
}

#[async_trait]
impl Log for MeteredLog {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn frame_bytes_max(&self) -> usize {
        self.inner.frame_bytes_max()
    }

    async fn open(&self, channel: &ChannelName) -> Result<LogId, LogError> {
        self.inner.open(channel).await
    }

    async fn appender(&self, channel: &ChannelName, process: u64) -> Result<Box<dyn Appender>, LogError> {
        let inner = self.inner.appender(channel, process).await?;
        Ok(Box::new(self.meter(channel, inner)))
    }

    async fn reader(&self, channel: &ChannelName, from: Position) -> Result<Box<dyn Reader>, LogError> {
        let inner = self.inner.reader(channel, from).await?;
        Ok(Box::new(self.meter(channel, inner)))
    }

    async fn bounds(&self, channel: &ChannelName) -> Result<Bounds, LogError> {
        self.inner.bounds(channel).await
    }

    async fn truncate(&self, channel: &ChannelName, position: Position) -> Result<(), LogError> {
        self.inner.truncate(channel, position).await
    }
}

struct Metered<T> {
    world: World,
    recorder: Arc<dyn Recorder>,
    channel: ChannelName,
    inner: T,
}

impl<T> Metered<T> {
    fn read(&self, started: tokio::time::Instant, result: &Result<Vec<(Position, Bytes)>, LogError>) {
        let Ok(frames) = result else { return self.recorder.read_failed(&self.channel) };
        if frames.is_empty() {
            return;
        }
        let bytes = frames.iter().map(|(_, frame)| frame.len()).sum();
        let took = self.world.clock.now() - started;
        self.recorder.read(&self.channel, Passed { frames: frames.len(), bytes, took });
    }
}

#[async_trait]
impl Appender for Metered<Box<dyn Appender>> {
    async fn append(&mut self, frames: Vec<Bytes>) -> Result<Vec<Position>, LogError> {
        let started = self.world.clock.now();
        let (count, bytes) = (frames.len(), frames.iter().map(Bytes::len).sum());
        let result = self.inner.append(frames).await;
        let took = self.world.clock.now() - started;
        self.recorder.appended(&self.channel, Passed { frames: count, bytes, took }, result.is_ok());
        result
    }
}

#[async_trait]
impl Reader for Metered<Box<dyn Reader>> {
    async fn next(&mut self) -> Result<Vec<(Position, Bytes)>, LogError> {
        let started = self.world.clock.now();
        let result = self.inner.next().await;
        self.read(started, &result);
        result
    }

    async fn next_available(&mut self) -> Result<Vec<(Position, Bytes)>, LogError> {
        let started = self.world.clock.now();
        let result = self.inner.next_available().await;
        self.read(started, &result);
        result
    }

    fn position(&self) -> Position {
        self.inner.position()
    }
}
