//! Where the frames of each channel lie: in memory, rebuilt at open.
//!
//! A channel's frames have dense indexes from 0; its index keeps runs of them: stretches of one file that hold consecutive frames, perhaps with
//! others' in between. Stretches closer than [`BRIDGE_BYTES`] become one run, so that memory is bounded by the log's bytes, not by its frames.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use base::disk::File;
use base::watch;
use types::Error;
use types::id::ChannelName;
use types::position::{LogId, Position};

use super::format::{ChannelLine, address};
use crate::log::LogError;

/// A run goes on across this many bytes of others.
const BRIDGE_BYTES: u64 = 16 << 10;
/// A run doesn't grow beyond this: the size of one read.
const RUN_BYTES_MAX: u64 = 1 << 20;

/// Consecutive frames of a channel in one file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Run {
    /// Index of the first frame.
    pub(super) first: u64,
    /// One above the last frame's.
    pub(super) end: u64,
    /// Where its first entry begins.
    pub(super) address: u64,
    /// One above its last entry.
    pub(super) address_end: u64,
}

/// Frames that were there and can't be read (`docs/design.md` rule 7).
#[derive(Clone, Debug)]
pub(super) struct Hole {
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) error: Error,
}

/// One channel.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) name: ChannelName,
    pub(super) log: LogId,
    /// Lowest index that is needed.
    pub(super) start: u64,
    /// One above the last durable frame; readers wait on it.
    pub(super) next: watch::Sender<u64>,
    pub(super) runs: VecDeque<Run>,
    pub(super) holes: Vec<Hole>,
    /// A run doesn't go on across this address: what lies below it can't be walked through.
    pub(super) runs_from: u64,
}

/// An open file and what it holds.
pub(super) struct LogFile {
    pub(super) file: Arc<dyn File>,
    /// For each channel that has frames here, one above its last index here.
    pub(super) ends: BTreeMap<u32, u64>,
}

/// All that is known of the files.
pub(super) struct Index {
    pub(super) identity: u128,
    pub(super) channels: BTreeMap<u32, Channel>,
    pub(super) names: BTreeMap<ChannelName, u32>,
    pub(super) files: BTreeMap<u64, LogFile>,
}

impl Channel {
    pub(super) fn new(line: &ChannelLine) -> Self {
        Self {
            name: line.name.clone(),
            log: line.log,
            start: line.start,
            next: watch::Sender::new(line.next),
            runs: VecDeque::new(),
            holes: Vec::new(),
            runs_from: 0,
        }
    }

    pub(super) fn end(&self) -> u64 {
        *self.next.borrow()
    }

    pub(super) fn position(&self, index: u64) -> Position {
        Position::from_u64(self.log, index)
    }

    /// Adds the next frame, whose entry lies at `address` and is `bytes` long. Readers see it after [`Self::publish`].
    pub(super) fn push(&mut self, index: u64, address: u64, bytes: u64) {
        if let Some(run) = self.runs.back_mut() {
            let same_file = run.address >> 32 == address >> 32;
            let near = address.saturating_sub(run.address_end) <= BRIDGE_BYTES && run.address_end >= self.runs_from;
            let small = address + bytes - run.address <= RUN_BYTES_MAX;
            if same_file && near && small && run.end == index {
                run.end += 1;
                run.address_end = address + bytes;
                return;
            }
        }
        self.runs.push_back(Run { first: index, end: index + 1, address, address_end: address + bytes });
    }

    pub(super) fn publish(&self, next: u64) {
        self.next.send_replace(next);
    }

    /// The run that holds `index`.
    pub(super) fn run(&self, index: u64) -> Option<Run> {
        let at = self.runs.partition_point(|run| run.end <= index);
        self.runs.get(at).copied().filter(|run| run.first <= index)
    }

    /// Checks a reader's place.
    pub(super) fn check(&self, from: Position) -> Result<(), LogError> {
        let index = from.to_u64();
        if from.log != self.log || index > self.end() {
            return Err(LogError::Shrunk { known: from, end: self.position(self.end()) });
        }
        if index < self.start {
            return Err(LogError::Truncated { asked: from, start: self.position(self.start) });
        }
        match self.holes.iter().find(|hole| hole.first <= index && index < hole.end) {
            Some(hole) => Err(LogError::Damaged(hole.error.clone())),
            None => Ok(()),
        }
    }

    /// Where reading on from `index` must stop: the next hole or the end.
    pub(super) fn readable_end(&self, index: u64) -> u64 {
        self.holes.iter().map(|hole| hole.first).filter(|first| *first >= index).min().unwrap_or(u64::MAX).min(self.end())
    }

    /// Whether a fresh scan found no gap between frames.
    pub(super) fn runs_are_whole(&self) -> bool {
        self.runs.iter().zip(self.runs.iter().skip(1)).all(|(run, following)| run.end == following.first)
    }

    pub(super) fn truncate(&mut self, start: u64) {
        self.start = self.start.max(start.min(self.end()));
        while self.runs.front().is_some_and(|run| run.end <= self.start) {
            self.runs.pop_front();
        }
        self.holes.retain(|hole| hole.end > self.start);
    }
}

impl Index {
    pub(super) fn empty(identity: u128) -> Self {
        Self { identity, channels: BTreeMap::new(), names: BTreeMap::new(), files: BTreeMap::new() }
    }

    pub(super) fn add_channel(&mut self, line: &ChannelLine) {
        self.names.insert(line.name.clone(), line.channel);
        self.channels.insert(line.channel, Channel::new(line));
    }

    /// The table as of now, for a new file.
    pub(super) fn table(&self) -> Vec<ChannelLine> {
        let line = |(channel, state): (&u32, &Channel)| ChannelLine {
            channel: *channel,
            log: state.log,
            start: state.start,
            next: state.end(),
            name: state.name.clone(),
        };
        self.channels.iter().map(line).collect()
    }

    /// The oldest files that nobody needs, ascending; never the newest.
    pub(super) fn unneeded(&self) -> Vec<u64> {
        let needed =
            |file: &LogFile| file.ends.iter().any(|(channel, end)| self.channels.get(channel).is_none_or(|channel| channel.start < *end));
        let newest = self.files.last_key_value().map(|(number, _)| *number);
        let oldest = self.files.iter().take_while(|(number, file)| Some(**number) != newest && !needed(file));
        oldest.map(|(number, _)| *number).collect()
    }

    /// Where an entry lies, for texts.
    pub(super) fn place(address_: u64) -> String {
        debug_assert_eq!(address(address_ >> 32, address_ & 0xffff_ffff), address_);
        format!("file {:016x}.log at offset {}", address_ >> 32, address_ & 0xffff_ffff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_bridge_what_is_near() {
        let line = ChannelLine { channel: 0, log: LogId(1), start: 0, next: 0, name: "c".into() };
        let mut channel = Channel::new(&line);
        channel.push(0, address(1, 64), 192);
        channel.push(1, address(1, 64 + 192), 192);
        channel.push(2, address(1, 8_192), 192);
        channel.push(3, address(1, 60_000), 192);
        channel.push(4, address(2, 64), 192);
        channel.publish(5);
        assert_eq!(channel.runs.iter().map(|run| (run.first, run.end)).collect::<Vec<_>>(), [(0, 3), (3, 4), (4, 5)]);
        assert_eq!(channel.run(2).map(|run| run.first), Some(0));
        assert_eq!(channel.run(5), None);
        channel.truncate(3);
        assert_eq!(channel.runs.len(), 2);
        assert!(matches!(channel.check(Position::from_u64(LogId(1), 2)), Err(LogError::Truncated { .. })));
    }
}
