//! Which frames of a log count (`docs/protocol.md` §3): a pure fold over headers in log order.
//!
//! The state is the last number and the epoch; the rest (clock, open set, writers, shards) is derived from what was taken.
//! - `last + 1` under the current epoch is taken. A lower number is a repeat. A higher one is void for ever, and `last + 1` is still taken
//!   after it: who buffers higher numbers, or voids everything until the next Epoch, disagrees with a reader that starts in between.
//! - An Epoch counts if it is higher than any seen. It voids an unfinished set; the set's numbers stay used, since another reader's
//!   checkpoint may have counted them. An Epoch that doesn't count changes nothing, or a repeated one would void its own sequencer's set.
//! - A frame of a lower epoch is void. An Epoch that names more than was read, and a frame above the highest Epoch, mean loss (`docs/design.md` rule 7).
//!
//! Not here: bodies ([`super::assemble`]), waiting ([`super::tailer`]).

use std::fmt;

use types::id::ChannelName;
use types::position::{LogId, Position};
use types::record::{Body, Epoch, Header, Kind};
use types::time::Timestamp;
use types::{Code, Error};

use super::shards::ShardStates;
use super::writers::{Answer, Writers};
use crate::planted::Planted;

/// Where and when a record took effect. A function of the log alone, so that a replay gives the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The record's last frame: a reader has it when it reads on from `position.next()`.
    pub position: Position,
    /// The number of that frame.
    pub number: u64,
    /// Who wrote it.
    pub epoch: Epoch,
    /// The record's timestamp.
    pub timestamp: Timestamp,
}

/// All that a reader knows of a channel below [`Self::position`]. A checkpoint is one of these.
#[derive(Clone, Debug, PartialEq)]
pub struct ReaderState {
    /// Where the next frame is read.
    pub position: Position,
    /// The highest Epoch seen.
    pub epoch: Epoch,
    /// The last number taken.
    pub number: u64,
    /// The greatest timestamp that has taken effect.
    pub clock: Timestamp,
    /// What the sequencer answers to repeats.
    pub writers: Writers,
    /// What the sequencer checks requests against.
    pub shards: ShardStates,
    open: Option<OpenSet>,
    planted: Planted,
}

/// A set whose last part isn't there yet.
#[derive(Clone, Copy, Debug, PartialEq)]
struct OpenSet {
    first: Position,
    header: Header,
}

/// What a frame did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Nothing.
    Void(Void),
    /// A sequencer began; an unfinished set before it is void.
    Epoch,
    /// Taken; the record goes on.
    Part,
    /// Taken; the record that began at `first` is whole. [`ReaderState::complete`] must follow.
    Complete {
        /// The record's first frame.
        first: Position,
    },
}

/// Why a frame counts for nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Void {
    /// Its sequencer was superseded.
    LowerEpoch,
    /// Its number was taken before.
    Repeat,
    /// Numbers are missing before it: an Epoch must follow soon.
    Higher,
}

/// What a reader can't go past (`docs/design.md` rule 7).
#[derive(Clone, PartialEq, Debug)]
pub enum ReadError {
    /// An Epoch names records that weren't there.
    NumbersMissing {
        /// Where.
        at: Position,
        /// What it names.
        named: u64,
        /// What was read.
        read: u64,
    },
    /// A frame of an epoch whose Epoch record wasn't there.
    EpochMissing {
        /// Where.
        at: Position,
        /// The frame's.
        epoch: Epoch,
        /// The highest seen.
        highest: Epoch,
    },
    /// Parts that don't follow each other, or timestamps that don't rise: a sequencer broke the rules.
    Inconsistent {
        /// Where.
        at: Position,
        /// What is wrong.
        what: String,
    },
    /// A header or an Epoch that can't be read.
    Undecodable {
        /// Where.
        at: Position,
        /// Why.
        error: Error,
    },
}

impl ReadError {
    /// The error that operators and clients see; names the channel and what is at risk.
    pub fn to_error(&self, channel: &ChannelName) -> Error {
        Error::new(
            Code::CHANNEL_NOT_AVAILABLE,
            format!("log of channel {channel} {self}: acknowledged writes may be missing, the channel stops"),
        )
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NumbersMissing { at, named, read } => write!(f, "at {at}: an Epoch names record {named}, only {read} were there"),
            Self::EpochMissing { at, epoch, highest } => {
                write!(f, "at {at}: a record of epoch {epoch}, the highest Epoch before it is {highest}")
            }
            Self::Inconsistent { at, what } => write!(f, "at {at}: {what}"),
            Self::Undecodable { at, error } => write!(f, "at {at}: {error}"),
        }
    }
}

impl ReaderState {
    /// Nothing read of `log` yet.
    pub fn beginning(log: LogId) -> Self {
        Self::at(Position::start(log), Epoch::default(), 0, Timestamp::ZERO)
    }

    /// As a manifest knows it at its `flushed_to` (`position` is above that): enough for a reader that catches up one shard, not for a sequencer.
    pub fn at(position: Position, epoch: Epoch, number: u64, clock: Timestamp) -> Self {
        Self {
            position,
            epoch,
            number,
            clock,
            writers: Writers::default(),
            shards: ShardStates::default(),
            open: None,
            planted: Planted::default(),
        }
    }

    #[doc(hidden)]
    pub fn plant(&mut self, planted: Planted) {
        self.planted = planted;
    }

    /// Whether no set is open: flush positions, checkpoints and hand-overs lie here only.
    pub fn is_between_records(&self) -> bool {
        self.open.is_none()
    }

    /// Where the open set begins.
    pub fn open_set(&self) -> Option<Position> {
        self.open.map(|open| open.first)
    }

    /// Takes the next frame in log order. `last_number` is what an Epoch's body names, and is ignored for other kinds.
    ///
    /// # Errors
    /// See [`ReadError`]; the state is as before, and the channel stops.
    pub fn take(&mut self, header: &Header, last_number: u64, at: Position) -> Result<Step, ReadError> {
        if at < self.position || at.log != self.position.log {
            let what = format!("the log gives a frame out of order, {} was to follow", self.position);
            return Err(ReadError::Inconsistent { at, what });
        }
        let step = match header.kind {
            Kind::Epoch => self.take_epoch(header, last_number, at)?,
            _ => self.take_numbered(header, at)?,
        };
        self.position = at.next();
        Ok(step)
    }

    fn take_epoch(&mut self, header: &Header, last_number: u64, at: Position) -> Result<Step, ReadError> {
        if header.epoch <= self.epoch {
            return Ok(Step::Void(Void::LowerEpoch));
        }
        if self.number < last_number {
            return Err(ReadError::NumbersMissing { at, named: last_number, read: self.number });
        }
        self.epoch = header.epoch;
        self.clock = self.clock.max(header.timestamp);
        if !self.planted.set_outlives_epoch {
            self.open = None;
        }
        Ok(Step::Epoch)
    }

    fn take_numbered(&mut self, header: &Header, at: Position) -> Result<Step, ReadError> {
        if header.epoch < self.epoch && !self.planted.ignored_epoch {
            return Ok(Step::Void(Void::LowerEpoch));
        }
        if header.epoch > self.epoch {
            return Err(ReadError::EpochMissing { at, epoch: header.epoch, highest: self.epoch });
        }
        if header.number <= self.number {
            return Ok(Step::Void(Void::Repeat));
        }
        if header.number != self.number + 1 {
            return Ok(Step::Void(Void::Higher));
        }
        let first = self.next_of_set(header, at)?;
        if header.timestamp <= self.clock && header.part == 1 {
            let what = format!("record {} has timestamp {}, the clock shows {}", header.number, header.timestamp, self.clock);
            return Err(ReadError::Inconsistent { at, what });
        }
        self.number = header.number;
        if self.planted.clock_by_part {
            self.clock = self.clock.max(header.timestamp);
        }
        if header.part < header.parts {
            self.open = Some(OpenSet { first, header: *header });
            return Ok(Step::Part);
        }
        self.open = None;
        self.clock = self.clock.max(header.timestamp);
        Ok(Step::Complete { first })
    }

    /// Checks that a frame goes on with the open set, or begins a record where none is open; gives the record's first position.
    fn next_of_set(&self, header: &Header, at: Position) -> Result<Position, ReadError> {
        let wrong = |what: String| ReadError::Inconsistent { at, what };
        let Some(open) = &self.open else {
            if header.part == 1 {
                return Ok(at);
            }
            return Err(wrong(format!("record {} is part {} of {}, the first isn't there", header.number, header.part, header.parts)));
        };
        let expected = Header { number: open.header.number + 1, part: open.header.part + 1, ..open.header };
        if *header == expected || (self.planted != Planted::default() && header.part == expected.part) {
            return Ok(open.first);
        }
        Err(wrong(format!("record {} doesn't go on with the set of {} parts before it", header.number, open.header.parts)))
    }

    /// Folds a whole record into writers and shards; `body` is `None` where it couldn't be decoded. Follows [`Step::Complete`].
    pub fn complete(&mut self, header: &Header, body: Option<&Body>, at: Position) -> Receipt {
        let receipt = Receipt { position: at, number: header.number, epoch: header.epoch, timestamp: header.timestamp };
        if header.writer.0 != 0 {
            let refusal = match (header.kind, body) {
                (Kind::Refused, Some(Body::Refused(refusal))) => Some(refusal.clone()),
                (Kind::Refused, _) => Some((&Error::corrupt("the log's record of a refusal can't be read")).into()),
                _ => None,
            };
            self.writers.record(header, Answer { receipt, refusal: refusal.map(Into::into) });
        }
        if let Some(Body::Control(control)) = body {
            self.shards.fold(header.shard, control, receipt);
        }
        self.writers.sweep(self.clock);
        receipt
    }
}
