//! The writers' table (`docs/protocol.md` §2): what each proxy was last answered, so that a repeat is answered as before.
//!
//! A function of the valid records: replay rebuilds it. Void records and unfinished sets never get here.
//! Keeping only the last answer isn't enough: a proxy has up to 1,024 requests in flight and may repeat any of them.
//!
//! An entry goes when the log's clock is an hour past the writer's last record. Ids only grow, so an unknown id at or below the highest that
//! ever went is refused: taking it as new would write its repeats twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::id::WriterId;
use types::limits::WRITER_IN_FLIGHT_MAX;
use types::record::{Header, Refusal};
use types::time::Timestamp;

use super::state::Receipt;

/// How long an entry outlives its writer's last record.
const EXPIRY_MS: u64 = 3_600_000;
/// Entries are swept when the clock has moved this far.
const SWEEP_MS: u64 = 60_000;

/// What a request was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The record that decided it.
    pub receipt: Receipt,
    /// Why nothing happened, if so.
    pub refusal: Option<Arc<Refusal>>,
}

/// One writer. Shared between snapshots until it changes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The last sequence in the log.
    pub(crate) last: u64,
    /// When it came.
    pub(crate) heard: Timestamp,
    /// From the lowest sequence that the writer waits for.
    pub(crate) answers: BTreeMap<u64, Answer>,
}

/// All writers of a channel. Cloning is cheap: checkpoints keep many.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Writers {
    pub(crate) entries: BTreeMap<WriterId, Arc<Entry>>,
    pub(crate) dropped: WriterId,
    pub(crate) swept: Timestamp,
}

impl Writers {
    /// The last sequence of a writer; `None` if it is unknown.
    pub fn last(&self, writer: WriterId) -> Option<u64> {
        self.entries.get(&writer).map(|entry| entry.last)
    }

    /// What a sequence was answered, while its writer may still ask.
    pub fn answer(&self, writer: WriterId, sequence: u64) -> Option<&Answer> {
        self.entries.get(&writer)?.answers.get(&sequence)
    }

    /// Whether an unknown id may be one that was known and went.
    pub fn is_expired(&self, writer: WriterId) -> bool {
        writer <= self.dropped && !self.entries.contains_key(&writer)
    }

    /// How many writers there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn record(&mut self, header: &Header, answer: Answer) {
        let fresh = || Arc::new(Entry { last: 0, heard: Timestamp::ZERO, answers: BTreeMap::new() });
        let entry = Arc::make_mut(self.entries.entry(header.writer).or_insert_with(fresh));
        entry.last = entry.last.max(header.sequence);
        entry.heard = header.timestamp;
        entry.answers.insert(header.sequence, answer);
        if header.lowest_outstanding > 0 && entry.answers.first_key_value().is_some_and(|(lowest, _)| *lowest < header.lowest_outstanding) {
            entry.answers = entry.answers.split_off(&header.lowest_outstanding);
        }
        while entry.answers.len() > WRITER_IN_FLIGHT_MAX {
            entry.answers.pop_first();
        }
    }

    /// Drops entries that nobody has used for an hour of the log's own time.
    pub(crate) fn sweep(&mut self, clock: Timestamp) {
        if clock <= Timestamp(self.swept.0.saturating_add(Timestamp::from_millis(SWEEP_MS).0)) {
            return;
        }
        self.swept = clock;
        let oldest = clock.minus_millis(EXPIRY_MS);
        let gone: Vec<WriterId> = self.entries.iter().filter(|(_, entry)| entry.heard < oldest).map(|(writer, _)| *writer).collect();
        for writer in gone {
            self.entries.remove(&writer);
            self.dropped = self.dropped.max(writer);
        }
    }
}
