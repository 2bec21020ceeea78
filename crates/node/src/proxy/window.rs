//! What one writer has under way on one channel, as pure state: sequences, what was handed to the current stream, what was answered.
//!
//! Not here: streams, tasks, time (`stream`), and what a write holds (`write`).
//!
//! Invariants, each of which `docs/protocol.md` §2 relies on:
//! - sequences are dense from 1 and given at the first sending, so that a request whose caller left before is no gap;
//! - a request keeps its (writer, sequence) until it is decided, whether its caller still waits or not: a later request can only be stamped after it;
//! - what is sent again is sent in order from the lowest outstanding one;
//! - a request that a stream has carried never moves to a new writer: only one that was never sent does.
//!
//! Start at [`Window::push`], then [`Window::answer`].

use std::collections::BTreeMap;

use bytes::Bytes;
use role::data::{Outcome, WriteAnswer, WriteRequest};
use types::id::ShardId;
use types::limits::WRITER_IN_FLIGHT_MAX;
use types::record::{Kind, Refusal};

/// Bytes of bodies under way on one channel; one write is let in whatever its size.
pub const WINDOW_BYTES_MAX: usize = 256 << 20;
/// Failures in a row without a decision: then the sequencer takes none of what is outstanding, ever.
const FAILURES_MAX: u32 = 16;

/// One shard's part of a client's write.
#[derive(Clone, PartialEq, Debug)]
pub struct Write {
    /// Where to.
    pub shard: ShardId,
    /// The schema that the body was made under.
    pub schema_version: u32,
    /// Insert, delete or upsert.
    pub kind: Kind,
    /// `types::record::Body::encode`.
    pub body: Bytes,
}

/// Requests under way; `R` is where an outcome goes.
pub struct Window<R> {
    slots: BTreeMap<u64, Slot<R>>,
    /// The sequence of the next push.
    next: u64,
    /// The current stream was handed everything below.
    unsent: u64,
    bytes: usize,
    failures: u32,
}

struct Slot<R> {
    write: Write,
    /// `None` once its caller was told that it failed: it is still sent, for the sake of those after it.
    reply: Option<R>,
    /// A stream has carried it.
    was_sent: bool,
}

/// Whom to tell what when no stream can be had.
#[derive(PartialEq, Debug)]
pub struct TurnedAway<R> {
    /// Nothing of theirs was sent, and nothing will be.
    pub unwritten: Vec<R>,
    /// A stream has carried theirs: it stays outstanding.
    pub unknown: Vec<R>,
}

/// What an answer asks for.
#[derive(PartialEq, Debug)]
pub enum Step<R> {
    /// Nothing: a repeat of an answer, or one to a request that is no longer outstanding.
    Nothing,
    /// A request is decided; its caller may know already that it waits in vain.
    Settled {
        /// Where its outcome goes.
        reply: Option<R>,
        /// The outcome.
        outcome: Outcome,
    },
    /// The sequencer can't tell a request's outcome: tell its caller so, open a new stream and send all again.
    Failed {
        /// Where the failure goes.
        reply: Option<R>,
        /// What it is.
        refusal: Refusal,
    },
    /// Open a new stream and send all again.
    Reopen,
    /// The writer's id has gone: take a new one and [`Window::renumber`].
    WriterExpired,
    /// The sequencer contradicts what it acknowledged or was never sent, or takes nothing: take a new id and [`Window::abandon`].
    Contradiction,
}

impl<R> Default for Window<R> {
    fn default() -> Self {
        Self { slots: BTreeMap::new(), next: 1, unsent: 1, bytes: 0, failures: 0 }
    }
}

impl<R> Window<R> {
    /// Whether another write may be pushed.
    pub fn has_room(&self) -> bool {
        self.slots.len() < WRITER_IN_FLIGHT_MAX && self.bytes < WINDOW_BYTES_MAX
    }

    /// Whether nothing is outstanding.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Takes a write in under the next sequence.
    pub fn push(&mut self, write: Write, reply: R) {
        self.bytes += write.body.len();
        self.slots.insert(self.next, Slot { write, reply: Some(reply), was_sent: false });
        self.next += 1;
    }

    /// A new stream was opened: everything is to be sent again from the lowest outstanding sequence.
    pub fn reopened(&mut self) {
        self.unsent = self.lowest();
    }

    /// Whether the current stream lacks a request.
    pub fn has_unsent(&self) -> bool {
        self.slots.range(self.unsent..).next().is_some()
    }

    /// The next request for the current stream, which is counted as handed over.
    pub fn send(&mut self) -> Option<WriteRequest> {
        let lowest_outstanding = self.lowest();
        let (&sequence, slot) = self.slots.range_mut(self.unsent..).next()?;
        slot.was_sent = true;
        self.unsent = sequence + 1;
        let Write { shard, schema_version, kind, ref body } = slot.write;
        Some(WriteRequest { shard, sequence, lowest_outstanding, schema_version, kind, body: body.clone() })
    }

    /// What an answer means.
    pub fn answer(&mut self, answer: WriteAnswer) -> Step<R> {
        match answer {
            WriteAnswer::Decided { sequence, outcome } => match self.remove(sequence) {
                Some(slot) => {
                    self.failures = 0;
                    Step::Settled { reply: slot.reply, outcome }
                }
                None => Step::Nothing,
            },
            // What nobody waits for asks for nothing.
            _ if self.slots.is_empty() => Step::Nothing,
            WriteAnswer::Failed { sequence, refusal } => self.fail(sequence, refusal),
            WriteAnswer::OutOfOrder { expected } if expected < self.lowest() || expected > self.next => Step::Contradiction,
            WriteAnswer::UnknownWriter if self.lowest() > 1 => Step::Contradiction,
            WriteAnswer::OutOfOrder { .. } | WriteAnswer::UnknownWriter | WriteAnswer::NotSequencer => Step::Reopen,
            WriteAnswer::WriterExpired => Step::WriterExpired,
        }
    }

    fn fail(&mut self, sequence: u64, refusal: Refusal) -> Step<R> {
        let Some(slot) = self.slots.get_mut(&sequence) else { return Step::Nothing };
        self.failures += 1;
        if self.failures >= FAILURES_MAX {
            return Step::Contradiction;
        }
        Step::Failed { reply: slot.reply.take(), refusal }
    }

    /// The channel is out of service. What no stream has carried is forgotten: it has the highest sequences, so that no gap is left.
    pub fn turned_away(&mut self) -> TurnedAway<R> {
        let first = self.slots.iter().find(|(_, slot)| !slot.was_sent).map_or(self.next, |(&sequence, _)| sequence);
        let unsent = self.slots.split_off(&first);
        debug_assert!(unsent.values().all(|slot| !slot.was_sent), "what was sent lies before what wasn't");
        self.next = first;
        self.bytes -= unsent.values().map(|slot| slot.write.body.len()).sum::<usize>();
        let unwritten = unsent.into_values().filter_map(|slot| slot.reply).collect();
        TurnedAway { unwritten, unknown: self.slots.values_mut().filter_map(|slot| slot.reply.take()).collect() }
    }

    /// Goes over to a new writer id: sequences begin at 1 again. Gives back the replies of requests that were sent: their outcome is unknown.
    pub fn renumber(&mut self) -> Vec<R> {
        let (kept, unknown): (Vec<_>, Vec<_>) = std::mem::take(self).slots.into_values().partition(|slot| !slot.was_sent);
        for slot in kept {
            if let Some(reply) = slot.reply {
                self.push(slot.write, reply);
            }
        }
        unknown.into_iter().filter_map(|slot| slot.reply).collect()
    }

    /// Forgets everything for a new writer id; gives back all replies.
    pub fn abandon(&mut self) -> Vec<R> {
        std::mem::take(self).slots.into_values().filter_map(|slot| slot.reply).collect()
    }

    fn lowest(&self) -> u64 {
        self.slots.first_key_value().map_or(self.next, |(&sequence, _)| sequence)
    }

    fn remove(&mut self, sequence: u64) -> Option<Slot<R>> {
        let slot = self.slots.remove(&sequence)?;
        self.bytes -= slot.write.body.len();
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use types::id::CollectionId;
    use types::time::Timestamp;

    use super::*;

    fn write(bytes: usize) -> Write {
        Write { shard: ShardId::new(CollectionId(1), 0), schema_version: 1, kind: Kind::Insert, body: Bytes::from(vec![0; bytes]) }
    }

    fn window(count: u32) -> Window<u32> {
        let mut window = Window::default();
        (1..=count).for_each(|reply| window.push(write(1), reply));
        window
    }

    /// (sequence, lowest outstanding) of everything that can be sent now.
    fn sent(window: &mut Window<u32>) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| window.send()).map(|request| (request.sequence, request.lowest_outstanding)).collect()
    }

    fn decided(sequence: u64) -> WriteAnswer {
        WriteAnswer::Decided { sequence, outcome: Outcome::Written { timestamp: Timestamp(sequence) } }
    }

    fn settled(reply: u32) -> Step<u32> {
        Step::Settled { reply: Some(reply), outcome: Outcome::Written { timestamp: Timestamp(reply.into()) } }
    }

    #[test]
    fn a_new_stream_gets_what_is_outstanding_in_order_under_the_same_sequences() {
        let mut window = window(3);
        assert_eq!(sent(&mut window), [(1, 1), (2, 1), (3, 1)]);
        assert_eq!(window.answer(decided(2)), settled(2));
        assert_eq!(window.answer(decided(2)), Step::Nothing, "an answer that comes twice");
        window.reopened();
        assert_eq!(sent(&mut window), [(1, 1), (3, 1)]);
        assert_eq!(window.answer(decided(1)), settled(1));
        window.push(write(1), 4);
        assert_eq!(sent(&mut window), [(4, 3)]);
        assert_eq!(window.answer(decided(3)), settled(3));
        assert_eq!(window.answer(decided(4)), settled(4));
        assert!(window.is_empty() && !window.has_unsent());
        window.push(write(1), 5);
        assert_eq!(sent(&mut window), [(5, 5)], "sequences go on after an idle time");
    }

    #[test]
    fn answers_that_burn_nothing() {
        let cases = [
            (WriteAnswer::OutOfOrder { expected: 2 }, Step::Reopen),
            (WriteAnswer::OutOfOrder { expected: 4 }, Step::Reopen),
            (WriteAnswer::NotSequencer, Step::Reopen),
            (WriteAnswer::WriterExpired, Step::WriterExpired),
            (WriteAnswer::UnknownWriter, Step::Contradiction),
            (WriteAnswer::OutOfOrder { expected: 1 }, Step::Contradiction),
            (WriteAnswer::OutOfOrder { expected: 5 }, Step::Contradiction),
        ];
        for (answer, step) in cases {
            let mut window = window(3);
            sent(&mut window);
            window.answer(decided(1));
            assert_eq!(window.answer(answer.clone()), step, "{answer:?}");
            window.reopened();
            assert_eq!(sent(&mut window), [(2, 2), (3, 2)], "{answer:?}");
        }
        assert_eq!(window(0).answer(WriteAnswer::OutOfOrder { expected: 7 }), Step::Nothing);
        assert_eq!(window(0).answer(WriteAnswer::UnknownWriter), Step::Nothing);
        let mut fresh = window(2);
        sent(&mut fresh);
        assert_eq!(fresh.answer(WriteAnswer::UnknownWriter), Step::Reopen, "nothing was acknowledged that could be lost");
    }

    #[test]
    fn a_failure_is_told_once_and_the_request_stays_for_those_after_it() {
        let refusal = || Refusal { code: 1009, reason: "the channel stopped".to_owned() };
        let failed = || WriteAnswer::Failed { sequence: 1, refusal: refusal() };
        let mut window = window(2);
        sent(&mut window);
        assert_eq!(window.answer(failed()), Step::Failed { reply: Some(1), refusal: refusal() });
        window.reopened();
        assert_eq!(sent(&mut window), [(1, 1), (2, 1)]);
        assert_eq!(window.answer(failed()), Step::Failed { reply: None, refusal: refusal() });
        let outcome = Outcome::Written { timestamp: Timestamp(1) };
        assert_eq!(window.answer(decided(1)), Step::Settled { reply: None, outcome });
        assert_eq!(window.answer(failed()), Step::Nothing);
        let again = |sequence| WriteAnswer::Failed { sequence, refusal: refusal() };
        (1..FAILURES_MAX).for_each(|_| drop(window.answer(again(2))));
        assert_eq!(window.answer(again(2)), Step::Contradiction);
        assert_eq!(window.abandon(), [] as [u32; 0], "its caller knows");
    }

    #[test]
    fn where_no_stream_can_be_had_only_what_was_never_sent_is_forgotten() {
        let mut window = window(2);
        sent(&mut window);
        window.push(write(1), 3);
        assert_eq!(window.turned_away(), TurnedAway { unwritten: vec![3], unknown: vec![1, 2] });
        window.push(write(1), 4);
        assert_eq!(window.turned_away(), TurnedAway { unwritten: vec![4], unknown: vec![] }, "each is told once");
        window.push(write(1), 5);
        window.reopened();
        assert_eq!(sent(&mut window), [(1, 1), (2, 1), (3, 1)], "no sequence is left out");
        let outcome = Outcome::Written { timestamp: Timestamp(1) };
        assert_eq!(window.answer(decided(1)), Step::Settled { reply: None, outcome });
        let outcome = Outcome::Written { timestamp: Timestamp(3) };
        assert_eq!(window.answer(decided(3)), Step::Settled { reply: Some(5), outcome });
    }

    #[test]
    fn only_what_was_never_sent_moves_to_a_new_writer() {
        let mut window = window(2);
        sent(&mut window);
        window.push(write(1), 3);
        window.push(write(1), 4);
        assert_eq!(window.renumber(), [1, 2]);
        window.reopened();
        assert_eq!(sent(&mut window), [(1, 1), (2, 1)]);
        assert_eq!(window.answer(decided(1)), Step::Settled { reply: Some(3), outcome: Outcome::Written { timestamp: Timestamp(1) } });
        assert_eq!(window.abandon(), [4]);
        assert!(window.is_empty());
    }

    #[test]
    fn requests_and_bytes_are_bounded() {
        let mut by_count = window(WRITER_IN_FLIGHT_MAX as u32 - 1);
        assert!(by_count.has_room());
        by_count.push(write(1), 0);
        assert!(!by_count.has_room());
        by_count.answer(decided(5));
        assert!(by_count.has_room());
        let mut by_bytes = window(0);
        by_bytes.push(write(WINDOW_BYTES_MAX), 1);
        assert!(!by_bytes.has_room());
        by_bytes.answer(decided(1));
        assert!(by_bytes.has_room());
    }
}
