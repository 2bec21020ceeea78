//! Requests made under a schema version whose record isn't here yet, and what follows them from the same writer (`docs/protocol.md` §2).
//!
//! They burn nothing: when the time is up or room runs out the proxy is told "out of order" and sends them again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use types::id::WriterId;
use types::time::Timestamp;

use super::request::WriteRequest;
use super::state::Token;

/// How long a request waits for its schema's record.
pub(super) const HELD_MAX: Duration = Duration::from_secs(10);
/// Bytes of all held bodies.
const HELD_BYTES_MAX: usize = 64 << 20;

/// A request that waits.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) request: WriteRequest,
    pub(super) waiters: Vec<Token>,
    pub(super) since: Timestamp,
}

/// Queues per writer, in order of sequence.
#[derive(Debug, Default)]
pub(super) struct HeldRequests {
    queues: BTreeMap<WriterId, VecDeque<Held>>,
    bytes: usize,
}

impl HeldRequests {
    /// The last sequence that waits, if any of the writer does.
    pub(super) fn last(&self, writer: WriterId) -> Option<u64> {
        Some(self.queues.get(&writer)?.back()?.request.sequence)
    }

    /// Adds a waiter to a request that is here already; false if it isn't.
    pub(super) fn join(&mut self, writer: WriterId, sequence: u64, token: Token) -> bool {
        let held = self.queues.get_mut(&writer).and_then(|queue| queue.iter_mut().find(|held| held.request.sequence == sequence));
        match held {
            Some(held) => held.waiters.push(token),
            None => return false,
        }
        true
    }

    /// Keeps a request; gives it back where there is no room.
    pub(super) fn push(&mut self, request: WriteRequest, token: Token, now: Timestamp) -> Result<(), WriteRequest> {
        let bytes = request.payload.encoded().len();
        if self.bytes + bytes > HELD_BYTES_MAX {
            return Err(request);
        }
        self.bytes += bytes;
        self.queues.entry(request.writer).or_default().push_back(Held { request, waiters: vec![token], since: now });
        Ok(())
    }

    /// Takes out everything, writers ascending, each in order.
    pub(super) fn take_all(&mut self) -> Vec<Held> {
        self.bytes = 0;
        std::mem::take(&mut self.queues).into_values().flatten().collect()
    }

    /// Takes out the queues whose first request has waited too long.
    pub(super) fn take_expired(&mut self, now: Timestamp) -> Vec<Held> {
        let limit = HELD_MAX.as_millis() as u64;
        let late = |queue: &VecDeque<Held>| queue.front().is_some_and(|held| held.since.millis() + limit <= now.millis());
        let writers: Vec<WriterId> = self.queues.iter().filter(|(_, queue)| late(queue)).map(|(writer, _)| *writer).collect();
        let expired: Vec<Held> = writers.iter().filter_map(|writer| self.queues.remove(writer)).flatten().collect();
        self.bytes -= expired.iter().map(|held| held.request.payload.encoded().len()).sum::<usize>();
        expired
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }
}
