//! A log that fails and lingers by chance, around any other: for tests of what lies above. Chance and time come from the world.
//!
//! Not a model of a broker (that is [`crate::memory`]): it only adds what every log may do.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::World;
use bytes::Bytes;
use types::id::ChannelName;
use types::position::{LogId, Position};
use types::{Code, Error};

use crate::log::{Appender, Bounds, Log, LogError, Reader};

/// Probabilities 0 … 1, and waits.
#[derive(Clone, Debug, Default)]
pub struct LogFaults {
    /// An append fails before anything is written.
    pub append_lost: f64,
    /// An append is written, and fails.
    pub append_unanswered: f64,
    /// A read fails, and may be tried again.
    pub read_unavailable: f64,
    /// How long an append takes besides.
    pub append_latency: Range<Duration>,
    /// How long a read takes besides.
    pub read_latency: Range<Duration>,
}

/// A log with faults.
pub struct FaultyLog {
    world: World,
    inner: Arc<dyn Log>,
    faults: LogFaults,
}

impl FaultyLog {
    /// Around `inner`.
    pub fn new(world: &World, inner: Arc<dyn Log>, faults: LogFaults) -> Self {
        Self { world: world.clone(), inner, faults }
    }
}

fn failed(what: &str) -> LogError {
    LogError::Unavailable(Error::new(Code::IO_FAILED, format!("{what} failed by chance")))
}

async fn linger(world: &World, span: &Range<Duration>) {
    let width = span.end.saturating_sub(span.start).as_micros() as u64;
    if width > 0 {
        world.clock.sleep(span.start + Duration::from_micros(world.random.below(width))).await;
    }
}

#[async_trait]
impl Log for FaultyLog {
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
        Ok(Box::new(FaultyAppender { world: self.world.clone(), faults: self.faults.clone(), inner }))
    }

    async fn reader(&self, channel: &ChannelName, from: Position) -> Result<Box<dyn Reader>, LogError> {
        let inner = self.inner.reader(channel, from).await?;
        Ok(Box::new(FaultyReader { world: self.world.clone(), faults: self.faults.clone(), inner }))
    }

    async fn bounds(&self, channel: &ChannelName) -> Result<Bounds, LogError> {
        self.inner.bounds(channel).await
    }

    async fn truncate(&self, channel: &ChannelName, position: Position) -> Result<(), LogError> {
        self.inner.truncate(channel, position).await
    }
}

struct FaultyAppender {
    world: World,
    faults: LogFaults,
    inner: Box<dyn Appender>,
}

#[async_trait]
impl Appender for FaultyAppender {
    async fn append(&mut self, frames: Vec<Bytes>) -> Result<Vec<Position>, LogError> {
        linger(&self.world, &self.faults.append_latency).await;
        if self.world.random.chance(self.faults.append_lost) {
            return Err(failed("an append"));
        }
        let positions = self.inner.append(frames).await?;
        if self.world.random.chance(self.faults.append_unanswered) {
            return Err(failed("an append's answer"));
        }
        Ok(positions)
    }
}

struct FaultyReader {
    world: World,
    faults: LogFaults,
    inner: Box<dyn Reader>,
}

impl FaultyReader {
    async fn suffer(&mut self) -> Result<(), LogError> {
        linger(&self.world, &self.faults.read_latency).await;
        if self.world.random.chance(self.faults.read_unavailable) {
            return Err(failed("a read"));
        }
        Ok(())
    }
}

#[async_trait]
impl Reader for FaultyReader {
    async fn next(&mut self) -> Result<Vec<(Position, Bytes)>, LogError> {
        self.suffer().await?;
        self.inner.next().await
    }

    async fn next_available(&mut self) -> Result<Vec<(Position, Bytes)>, LogError> {
        self.suffer().await?;
        self.inner.next_available().await
    }

    fn position(&self) -> Position {
        self.inner.position()
    }
}
