//! The backend's trait: an ordered sequence of opaque frames per channel. Records, epochs and numbers are above it (`writer`, `reader`).
//!
//! What every implementation promises, and `conformance` checks:
//! - frames of one channel are read by everyone in one order, whole, and never change;
//! - an append that is answered with a position is durable there; any other answer means *unknown*: the frames may be there once,
//!   more than once, in part (a prefix), or arrive later;
//! - frames that one [`Appender`] had acknowledged lie in the order of its calls;
//! - reading below the start of what is kept is the error [`LogError::Truncated`], never a silent skip;
//! - a log that ends before what was already read is [`LogError::Shrunk`].
//!
//! Nothing here fences a stale writer for sure: two appenders of one channel may both succeed. Epochs in the records decide (`docs/protocol.md` §2, §3).

use async_trait::async_trait;
use bytes::Bytes;
use types::Error;
use types::id::ChannelName;
use types::position::{LogId, Position};

/// A kind of log: embedded files, Kafka, memory.
#[async_trait]
pub trait Log: Send + Sync {
    /// What operators call it: `embedded`, `kafka`, `memory`.
    fn kind(&self) -> &'static str;

    /// Bytes of the largest frame that an append takes.
    fn frame_bytes_max(&self) -> usize;

    /// Makes the channel if it isn't there, and gives its identity. Refuses (loudly) a channel that others made in a way that loses data.
    async fn open(&self, channel: &ChannelName) -> Result<LogId, LogError>;

    /// A new appender. It may fence earlier ones where the backend can; see the module's text.
    async fn appender(&self, channel: &ChannelName, process: u64) -> Result<Box<dyn Appender>, LogError>;

    /// A reader of the frames at `from` and above.
    ///
    /// # Errors
    /// [`LogError::Truncated`] (here or at the first read) if frames at or above `from` were cut; [`LogError::Shrunk`] if `from` is above the end.
    async fn reader(&self, channel: &ChannelName, from: Position) -> Result<Box<dyn Reader>, LogError>;

    /// The lowest position that can be read, and one above the last frame as this backend knows it now. The end may be stale where
    /// the backend has replicas: never used for a strong read (`docs/protocol.md` §5).
    async fn bounds(&self, channel: &ChannelName) -> Result<Bounds, LogError>;

    /// Lets go of frames below `position`. Frees what it can; never anything at or above.
    async fn truncate(&self, channel: &ChannelName, position: Position) -> Result<(), LogError>;
}

/// What a log holds of a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// At or below the first frame.
    pub start: Position,
    /// Above the last frame.
    pub end: Position,
}

/// Appends to one channel.
#[async_trait]
pub trait Appender: Send {
    /// Appends `frames` in order and waits until they are durable; the positions are theirs, rising.
    ///
    /// Frames of one call may share one fsync, one broker batch or one object; other frames may lie between them.
    ///
    /// # Errors
    /// Any error but [`LogError::FrameTooLarge`] means that the outcome is unknown: the caller stops and reads back. After it the appender is not
    /// used again.
    async fn append(&mut self, frames: Vec<Bytes>) -> Result<Vec<Position>, LogError>;
}

/// Reads one channel onwards.
#[async_trait]
pub trait Reader: Send {
    /// The next frames in order, at least one; waits for them. Cancel safe: a dropped call loses no frame.
    ///
    /// # Errors
    /// [`LogError::Truncated`], [`LogError::Shrunk`], [`LogError::Damaged`]: final. [`LogError::Unavailable`]: call again.
    async fn next(&mut self) -> Result<Vec<(Position, Bytes)>, LogError>;

    /// As [`Self::next`], but an empty list where the reader has reached the end that the log had when the call was made.
    async fn next_available(&mut self) -> Result<Vec<(Position, Bytes)>, LogError>;

    /// Where the next frame will be read: above the last one given.
    fn position(&self) -> Position;
}

/// How a log fails.
#[derive(Clone, PartialEq, Debug)]
pub enum LogError {
    /// Can't be reached, or failed: the outcome of an append is unknown, a read may be tried again.
    Unavailable(Error),
    /// A frame exceeds [`Log::frame_bytes_max`]; nothing was appended.
    FrameTooLarge {
        /// Bytes of the frame.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Frames at or above the asked position were cut.
    Truncated {
        /// What was asked for.
        asked: Position,
        /// The lowest that is there.
        start: Position,
    },
    /// The log ends below what was already read from it, or it is another log.
    Shrunk {
        /// Read up to here.
        known: Position,
        /// The log's end now.
        end: Position,
    },
    /// Bytes that aren't what was written (`docs/design.md` rule 7).
    Damaged(Error),
    /// The channel can't be used as it is: several partitions, a retention that deletes. Says what to change.
    Misconfigured(Error),
}

impl LogError {
    /// The error as operators and clients see it; names the channel and what is at risk.
    pub fn to_error(&self, channel: &ChannelName) -> Error {
        let lost = |what: String| {
            let text = format!("log of channel {channel}: {what}: acknowledged writes may be missing: channel not available");
            Error::new(types::Code::CHANNEL_NOT_AVAILABLE, text)
        };
        match self {
            Self::Unavailable(error) | Self::Damaged(error) | Self::Misconfigured(error) => error.clone(),
            Self::FrameTooLarge { bytes, limit } => Error::internal(format!("a log frame of {bytes} bytes, {limit} are the limit")),
            Self::Truncated { asked, start } => lost(format!("it was cut up to {start}, {asked} is needed")),
            Self::Shrunk { known, end } => lost(format!("it ends at {end}, it was read up to {known}")),
        }
    }
}
