//! What happened during runs: a simulation that never flushes or never loses a node proves nothing, so the seeds together must have seen everything.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use role::data::WriteRequest;
use types::id::{ChannelName, WriterId};
use types::position::Position;
use types::record::{Header, Kind};

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Event {
    /// An operation of a client was answered or given up.
    Operation,
    /// One that got no answer, or an error that leaves its outcome open.
    Unanswered,
    /// A manifest was written.
    Flush,
    /// One with a segment that a compaction made.
    Compaction,
    /// A process took up a channel that another one, or an earlier life, had written.
    Takeover,
    /// A request came to a sequencer again.
    Repeat,
    /// A request was refused in the log.
    Refusal,
    /// A part of a set of several was appended.
    MultiPart,
    /// A read at an earlier timestamp was compared with what it was.
    Snapshot,
    /// The log let go of records.
    Truncation,
    /// A process was killed.
    Kill,
    /// A machine lost its power.
    PowerLoss,
    /// A process stood still longer than it may.
    Pause,
    /// Processes didn't reach each other, meta, the log or the objects.
    Partition,
    /// An office went to another process.
    LeaderTakeover,
    /// A transaction of somebody who no longer led was refused by its fence.
    FencedOut,
    /// A record of a sequencer came after the Epoch of its successor.
    VoidRecord,
    /// Meta was away for all.
    MetaOutage,
    /// A write was acknowledged meanwhile.
    WrittenWithoutMeta,
    /// A strong read was answered meanwhile.
    ReadWithoutMeta,
    /// A wall clock was off, within what nodes may be off.
    Skew,
    /// A wall clock was off by more.
    FarSkew,
    /// A process was stopped gracefully.
    Stop,
}

/// The counters of one run or of many.
#[derive(Default)]
pub struct Coverage {
    counts: Mutex<BTreeMap<Event, u64>>,
    highest: Mutex<BTreeMap<(ChannelName, WriterId), u64>>,
    /// The process of each channel's highest Epoch, and where that is.
    processes: Mutex<BTreeMap<ChannelName, (u64, Position)>>,
    leaders: Mutex<BTreeMap<String, &'static str>>,
    trace: AtomicU64,
}

impl Coverage {
    /// Something happened.
    pub fn count(&self, event: Event) {
        *self.counts.lock().entry(event).or_default() += 1;
    }

    /// How often.
    pub fn of(&self, event: Event) -> u64 {
        self.counts.lock().get(&event).copied().unwrap_or(0)
    }

    /// Adds another run's counts.
    pub fn add(&self, other: &Self) {
        let other = other.counts.lock().clone();
        let mut counts = self.counts.lock();
        for (event, count) in other {
            *counts.entry(event).or_default() += count;
        }
    }

    /// What of `events` never happened.
    pub fn missing(&self, events: &[Event]) -> Vec<Event> {
        events.iter().copied().filter(|event| self.of(*event) == 0).collect()
    }

    /// A request is on its way to a sequencer.
    pub fn request(&self, key: &(ChannelName, WriterId), request: &WriteRequest) {
        let mut highest = self.highest.lock();
        let highest = highest.entry(key.clone()).or_default();
        if request.sequence <= *highest {
            self.count(Event::Repeat);
        }
        *highest = request.sequence.max(*highest);
    }

    /// An office has a leader.
    pub fn leads(&self, office: &str, process: &'static str) {
        let before = self.leaders.lock().insert(office.to_owned(), process);
        if before.is_some_and(|before| before != process) {
            self.count(Event::LeaderTakeover);
        }
    }

    /// A frame is appended.
    pub fn frame(&self, channel: &ChannelName, header: &Header, at: Position) {
        let mut processes = self.processes.lock();
        let known = processes.get(channel).copied();
        if known.is_some_and(|(process, since)| header.epoch.process < process && at > since) {
            self.count(Event::VoidRecord);
        }
        match header.kind {
            Kind::Epoch if known.is_none_or(|(process, _)| process < header.epoch.process) => {
                processes.insert(channel.clone(), (header.epoch.process, at));
                if known.is_some() {
                    self.count(Event::Takeover);
                }
            }
            Kind::Refused => self.count(Event::Refusal),
            _ if header.parts > 1 => self.count(Event::MultiPart),
            _ => {}
        }
    }

    /// Folds what was seen into one number: two runs of a seed must agree.
    pub fn trace(&self, seen: u64) {
        let mixed = (self.trace.load(Ordering::Relaxed) ^ seen).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
        self.trace.store(mixed, Ordering::Relaxed);
    }

    /// That number.
    pub fn traced(&self) -> u64 {
        self.trace.load(Ordering::Relaxed)
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.counts.lock();
        let parts: Vec<String> = counts.iter().map(|(event, count)| format!("{event:?} {count}")).collect();
        f.write_str(&parts.join(", "))
    }
}
