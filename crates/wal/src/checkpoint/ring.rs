//! Earlier states of a reader, spaced by bytes of log: what a checkpoint is made of.
//!
//! A checkpoint lies at the first unflushed record and must hold the state of *exactly* there: the table and number of now under an older
//! position make a new reader void the records in between. Rather than replay headers from the last checkpoint, the reader's states are
//! kept as it passes; they share their tables until those change. The one at or below the first unflushed record is chosen, so a checkpoint
//! lies at most one spacing lower than it could.

use std::collections::VecDeque;

use types::position::Position;

use crate::reader::ReaderState;

/// States kept; when there are more, every second one goes and the spacing doubles.
const STATES_MAX: usize = 128;

/// States of one channel, ascending by position.
#[derive(Debug)]
pub struct Ring {
    states: VecDeque<ReaderState>,
    spacing_min: usize,
    spacing: usize,
    since_last: usize,
}

impl Ring {
    /// Begins with the checkpoint that reading began at; keeps a state at least every `spacing` bytes of log.
    pub fn new(start: ReaderState, spacing: usize) -> Self {
        let mut states = VecDeque::with_capacity(STATES_MAX);
        states.push_back(start);
        Self { states, spacing_min: spacing, spacing, since_last: 0 }
    }

    /// Tells of `bytes` of log that `state` has passed.
    pub fn passed(&mut self, state: &ReaderState, bytes: usize) {
        self.since_last += bytes;
        if self.since_last < self.spacing || !state.is_between_records() {
            return;
        }
        self.since_last = 0;
        self.states.push_back(state.clone());
        if self.states.len() > STATES_MAX {
            let mut keep = false;
            self.states.retain(|_| {
                keep = !keep;
                keep
            });
            self.spacing *= 2;
        }
    }

    /// The state for a checkpoint: the highest at or below `first_unflushed`, or `current` where nothing is unflushed. `None` if that isn't above the
    /// last one that was committed.
    pub fn propose(&self, first_unflushed: Option<Position>, current: &ReaderState) -> Option<ReaderState> {
        let limit = [first_unflushed, current.open_set()].into_iter().flatten().min();
        let last = self.states.front()?.position;
        let chosen = match limit {
            None => current.clone(),
            Some(limit) if current.is_between_records() && current.position <= limit => current.clone(),
            Some(limit) => self.states.iter().rev().find(|state| state.position <= limit)?.clone(),
        };
        (chosen.position > last).then_some(chosen)
    }

    /// A proposed state is the checkpoint now: those below it aren't needed any more.
    pub fn committed(&mut self, checkpoint: ReaderState) {
        if self.states.front().is_some_and(|last| checkpoint.position > last.position) {
            self.states.retain(|state| state.position > checkpoint.position);
            self.states.push_front(checkpoint);
            self.spacing = self.spacing_min;
        }
    }
}
