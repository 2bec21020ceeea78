//! Follows a channel: the reader's rules over a [`Log`], with what needs others: cuts, and numbers that don't come.
//!
//! One per pchannel and node; it demultiplexes by header, above. A shard that joins later is caught up by a tailer of its own
//! ([`Tailer::read_until`]) that starts at the later of the shard's `flushed_to` and the checkpoint, and handed over between records.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::World;
use tokio::time::Instant;
use types::Error;
use types::id::ChannelName;
use types::position::Position;
use types::record::Epoch;
use types::time::Timestamp;

use super::assemble::{Event, RecordReader};
use super::state::{ReaderState, Step, Void};
use crate::log::{Log, LogError, Reader};
use crate::planted::Planted;

/// How long an Epoch may take after a number was missing, before the sequencer is asked (`docs/protocol.md` §3).
const EPOCH_WAIT: Duration = Duration::from_secs(2);
/// Between two tries of a log that isn't available.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Up to where a sequencer has acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Acknowledged {
    /// A reader that stands here or above has all of it.
    pub position: Position,
    /// The epoch there.
    pub epoch: Epoch,
    /// The last number there.
    pub number: u64,
    /// The clock there.
    pub clock: Timestamp,
}

/// What a tailer asks others for.
#[async_trait]
pub trait Surroundings: Send + Sync {
    /// The channel's newest checkpoint, read now; `None` if there was never one.
    async fn checkpoint(&self) -> Result<Option<ReaderState>, Error>;

    /// What the channel's sequencer has acknowledged; `None` while there is none that answers.
    async fn acknowledged(&self) -> Option<Acknowledged>;
}

/// Why a tailer stops.
#[derive(Clone, Debug, PartialEq)]
pub enum TailError {
    /// The log was cut above where this reader is, as it may be: start again with this checkpoint, and manifests read after it.
    StartAgain(Box<ReaderState>),
    /// `docs/design.md` rule 7: names what is lost. The channel stops.
    Lost(Error),
}

/// A reader of one channel.
pub struct Tailer {
    world: World,
    log: Arc<dyn Log>,
    channel: ChannelName,
    surroundings: Arc<dyn Surroundings>,
    records: RecordReader,
    reader: Option<Box<dyn Reader>>,
    /// Since when a number is missing.
    missing_since: Option<Instant>,
}

impl Tailer {
    /// Reads on from `start`: the checkpoint, read before the manifests.
    pub fn new(world: &World, log: Arc<dyn Log>, channel: ChannelName, start: ReaderState, surroundings: Arc<dyn Surroundings>) -> Self {
        let records = RecordReader::new(start);
        Self { world: world.clone(), log, channel, surroundings, records, reader: None, missing_since: None }
    }

    #[doc(hidden)]
    pub fn plant(&mut self, planted: Planted) {
        self.records.state.plant(planted);
    }

    /// What was read so far: position, number, epoch, clock.
    pub fn state(&self) -> &ReaderState {
        &self.records.state
    }

    /// The next records, at least one unless frames without effect moved the position; waits for them. Cancel safe.
    ///
    /// # Errors
    /// See [`TailError`]; final.
    pub async fn next(&mut self) -> Result<Vec<Event>, TailError> {
        loop {
            let deadline = self.missing_since.map(|since| since + EPOCH_WAIT);
            if deadline.is_some_and(|deadline| self.world.clock.now() >= deadline) {
                self.ask_about_missing().await?;
                continue;
            }
            let frames = match self.frames(deadline).await {
                Ok(Some(frames)) => frames,
                Ok(None) => continue,
                Err(error) => {
                    self.failed(error).await?;
                    continue;
                }
            };
            return self.take(frames);
        }
    }

    /// Everything below `until`, which lies between records; for a shard that catches up. Bounded by the distance.
    ///
    /// # Errors
    /// See [`TailError`].
    pub async fn read_until(&mut self, until: Position) -> Result<Vec<Event>, TailError> {
        let mut events = Vec::new();
        while self.state().position < until && self.reader.as_ref().is_none_or(|reader| reader.position() < until) {
            match self.frames(None).await {
                Ok(Some(frames)) => events.extend(self.take(frames.into_iter().take_while(|(at, _)| *at < until).collect())?),
                Ok(None) => {}
                Err(error) => self.failed(error).await?,
            }
        }
        // Frames above may have been given and weren't taken.
        self.reader = None;
        Ok(events)
    }

    /// Frames, or `None` at the deadline.
    async fn frames(&mut self, deadline: Option<Instant>) -> Result<Option<Vec<(Position, bytes::Bytes)>>, LogError> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            empty => empty.insert(self.log.reader(&self.channel, self.records.state.position).await?),
        };
        match deadline {
            None => reader.next().await.map(Some),
            Some(deadline) => match tokio::time::timeout_at(deadline, reader.next()).await {
                Ok(frames) => frames.map(Some),
                Err(_) => Ok(None),
            },
        }
    }

    fn take(&mut self, frames: Vec<(Position, bytes::Bytes)>) -> Result<Vec<Event>, TailError> {
        let mut events = Vec::new();
        for (at, bytes) in frames {
            let fed = self.records.feed(at, &bytes).map_err(|error| TailError::Lost(error.to_error(&self.channel)))?;
            match fed.step {
                Step::Void(Void::Higher) => {
                    self.missing_since.get_or_insert_with(|| self.world.clock.now());
                }
                Step::Void(_) => {}
                Step::Epoch | Step::Part | Step::Complete { .. } => self.missing_since = None,
            }
            events.extend(fed.event);
        }
        Ok(events)
    }

    /// A number is missing and no Epoch came. If the sequencer has acknowledged beyond it, below where this reader stands, it is lost.
    async fn ask_about_missing(&mut self) -> Result<(), TailError> {
        let state = &self.records.state;
        let (number, position, epoch) = (state.number, state.position, state.epoch);
        if let Some(acknowledged) = self.surroundings.acknowledged().await
            && acknowledged.epoch == epoch
            && acknowledged.number > number
            && acknowledged.position <= position
        {
            let text = format!(
                "log of channel {}: record {} isn't there, and its sequencer has acknowledged up to {} below {position}: \
                 acknowledged writes are missing, the channel stops",
                self.channel,
                number + 1,
                acknowledged.number
            );
            return Err(TailError::Lost(Error::new(types::Code::CHANNEL_NOT_AVAILABLE, text)));
        }
        self.missing_since = Some(self.world.clock.now());
        Ok(())
    }

    async fn failed(&mut self, error: LogError) -> Result<(), TailError> {
        self.reader = None;
        match error {
            LogError::Unavailable(error) => {
                tracing::debug!(channel = %self.channel, %error, "log not available, reading goes on when it is");
                self.world.clock.sleep(RETRY_PAUSE).await;
                Ok(())
            }
            LogError::Truncated { asked, start } => self.cut(asked, start).await,
            LogError::Shrunk { known, end } => {
                let text = format!("log of channel {} ends at {end}, and was read to {known}: it isn't the log it was", self.channel);
                Err(TailError::Lost(Error::new(types::Code::CHANNEL_NOT_AVAILABLE, text)))
            }
            LogError::Damaged(error) | LogError::Misconfigured(error) => Err(TailError::Lost(error)),
            LogError::FrameTooLarge { bytes, limit } => Err(TailError::Lost(Error::internal(format!("reading gave {bytes} > {limit}")))),
        }
    }

    /// The log begins above this reader. A checkpoint above says that nothing was lost; it is read again first, since a flush between reading
    /// it and reading the log looks the same as loss.
    async fn cut(&mut self, asked: Position, start: Position) -> Result<(), TailError> {
        match self.surroundings.checkpoint().await {
            Ok(Some(checkpoint)) if checkpoint.position >= start && checkpoint.position > self.records.state.position => {
                Err(TailError::StartAgain(Box::new(checkpoint)))
            }
            Ok(_) => {
                let text = format!(
                    "log of channel {} begins at {start}, records from {asked} on are needed: someone cut more than the checkpoint allows",
                    self.channel
                );
                Err(TailError::Lost(Error::new(types::Code::CHANNEL_NOT_AVAILABLE, text)))
            }
            Err(error) if error.code() == types::Code::DATA_INTEGRITY => {
                Err(TailError::Lost(error.context("checkpoint of a log that was cut")))
            }
            Err(error) => {
                tracing::info!(channel = %self.channel, %error, "the log was cut, and its checkpoint can't be read yet");
                self.world.clock.sleep(RETRY_PAUSE).await;
                Ok(())
            }
        }
    }
}
