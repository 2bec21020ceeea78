//! What is asked of a sequencer, in the order of `docs/protocol.md` §2: repeat, gap, stale, stamp.

use types::limits::{WRITE_BYTES_MAX, WRITER_IN_FLIGHT_MAX};
use types::record::{Control, Refusal};

use super::super::request::Payload;
use super::super::unit::{Stamp, parts_of};
use super::*;
use crate::reader::shards::Verdict;

/// How far above the wall clock a snapshot may lie (`docs/protocol.md` §7).
const CLOCK_AHEAD_MAX_MS: u64 = 1_000;

impl SequencerState {
    /// A proxy's request. The answer may come later, under `token`.
    pub fn write(&mut self, request: WriteRequest, token: Token, wall: Timestamp, effects: &mut Vec<Effect>) {
        let (writer, sequence) = (request.writer, request.sequence);
        let mut answer = |answer| effects.push(Effect::Answer(token, answer));
        if self.phase != Phase::Serving {
            return answer(Err(WriteError::NotSequencer));
        }
        if writer.0 <= 0 || sequence == 0 || !matches!(request.payload.kind(), Kind::Insert | Kind::Delete | Kind::Upsert) {
            let error = Error::internal("a write has a writer, a sequence from 1, and rows or keys");
            return answer(Err(WriteError::Invalid(error)));
        }
        let last = self.stamped.get(&writer).copied().or_else(|| self.state.writers.last(writer));
        if last.is_some_and(|last| sequence <= last) {
            return self.repeat(writer, sequence, token, effects);
        }
        if self.held.join(writer, sequence, token) {
            return;
        }
        if let Err(error) = self.order(&request, last) {
            return answer(Err(error));
        }
        if self.pending_bytes > self.limits.pending_bytes_max {
            return answer(Err(WriteError::Busy(self.no_room(self.pending_bytes))));
        }
        self.admit(request, vec![token], wall, effects);
    }

    /// A sequence that was stamped: answered as before, or when it is durable.
    fn repeat(&mut self, writer: WriterId, sequence: u64, token: Token, effects: &mut Vec<Effect>) {
        let early = self.planted.answer_before_durable;
        if let Some(unit) = self.pending.iter_mut().find(|unit| unit.is_of(writer, sequence)) {
            unit.waiters.push(token);
            if early {
                let answer = Ok(stamped_receipt(unit));
                effects.push(Effect::Answer(token, answer));
            }
            return;
        }
        let answer = match self.state.writers.answer(writer, sequence) {
            None => Err(WriteError::AnswerForgotten),
            Some(answer) => match &answer.refusal {
                None => Ok(answer.receipt),
                Some(refusal) => Err(WriteError::Refused { refusal: (**refusal).clone(), receipt: Some(answer.receipt) }),
            },
        };
        effects.push(Effect::Answer(token, answer));
    }

    /// Whether a new sequence is the next one.
    fn order(&self, request: &WriteRequest, last: Option<u64>) -> Result<(), WriteError> {
        let (writer, sequence) = (request.writer, request.sequence);
        let held = self.held.last(writer);
        if last.is_none() && held.is_none() {
            if self.state.writers.is_expired(writer) {
                return Err(WriteError::WriterExpired);
            }
            if sequence != 1 && !self.planted.gap_accepted {
                return Err(WriteError::UnknownWriter);
            }
        }
        let expected = last.max(held).unwrap_or(0) + 1;
        if sequence != expected && !self.planted.gap_accepted {
            return Err(WriteError::OutOfOrder { expected });
        }
        if sequence - request.lowest_outstanding.min(sequence) >= WRITER_IN_FLIGHT_MAX as u64 {
            return Err(WriteError::Busy(Error::about(Code::TOO_MANY_REQUESTS, &[("writer", &writer)])));
        }
        Ok(())
    }

    /// The next sequence of its writer: refused, held or stamped.
    fn admit(&mut self, request: WriteRequest, waiters: Vec<Token>, wall: Timestamp, effects: &mut Vec<Effect>) {
        let origin = Origin::Writer { writer: request.writer, sequence: request.sequence, lowest_outstanding: request.lowest_outstanding };
        let encoded_bytes = request.payload.encoded().len();
        let parts = parts_of(encoded_bytes, self.limits.frame_bytes_max).filter(|_| encoded_bytes <= WRITE_BYTES_MAX);
        let stamp = Stamp { first_number: 0, epoch: self.own, timestamp: Timestamp::ZERO };
        let (shard, schema_version) = (request.shard, request.schema_version);
        let header = unit_header(&request);
        let verdict = match parts {
            None => Verdict::Refuse((&too_large(encoded_bytes, WRITE_BYTES_MAX)).into()),
            Some(_) if self.held.last(request.writer).is_some() => Verdict::Hold,
            Some(_) => self.admission.check(&header, request.payload.body()),
        };
        match verdict {
            Verdict::Admit => {
                let parts = parts.expect("a write without parts was refused");
                let unit = Unit { origin, shard, schema_version, payload: request.payload, parts, stamp, waiters };
                self.stamp(unit, wall, effects);
            }
            Verdict::Refuse(refusal) if self.planted.refusal_in_memory => self.refuse_in_memory(&header, refusal, waiters, effects),
            Verdict::Refuse(refusal) => {
                let payload = Payload::new(Body::Refused(refusal));
                let unit = Unit { origin, shard, schema_version, payload, parts: 1, stamp, waiters };
                self.stamp(unit, wall, effects);
            }
            Verdict::Hold => self.hold(request, waiters, wall, effects),
        }
    }

    fn hold(&mut self, request: WriteRequest, waiters: Vec<Token>, wall: Timestamp, effects: &mut Vec<Effect>) {
        let (writer, sequence) = (request.writer, request.sequence);
        let mut waiters = waiters.into_iter();
        let Some(first) = waiters.next() else { return };
        match self.held.push(request, first, wall) {
            Ok(()) => {
                for token in waiters {
                    self.held.join(writer, sequence, token);
                }
            }
            Err(request) => {
                let busy = WriteError::Busy(self.no_room(request.payload.encoded().len()));
                effects.extend(std::iter::once(first).chain(waiters).map(|token| Effect::Answer(token, Err(busy.clone()))));
            }
        }
    }

    /// A control record from a coordinator. One whose state is there, or on its way, isn't written again: its receipt is that of the first.
    pub fn control(&mut self, shard: ShardId, control: Control, token: Token, wall: Timestamp, effects: &mut Vec<Effect>) {
        let mut answer = |answer| effects.push(Effect::Answer(token, answer));
        if self.phase != Phase::Serving {
            return answer(Err(WriteError::NotSequencer));
        }
        if let Some(receipt) = self.state.shards.brought(shard, &control) {
            return answer(Ok(receipt));
        }
        let same = |unit: &&mut Unit| unit.shard == shard && matches!(unit.payload.body(), Body::Control(other) if *other == control);
        if let Some(unit) = self.pending.iter_mut().find(same) {
            return unit.waiters.push(token);
        }
        let brings_schema = matches!(control, Control::Schema { .. } | Control::Create { .. });
        let payload = Payload::new(Body::Control(control));
        let Some(parts) = parts_of(payload.encoded().len(), self.limits.frame_bytes_max) else {
            return answer(Err(WriteError::Invalid(too_large(payload.encoded().len(), WRITE_BYTES_MAX))));
        };
        let stamp = Stamp { first_number: 0, epoch: self.own, timestamp: Timestamp::ZERO };
        let unit = Unit { origin: Origin::Own, shard, schema_version: 0, payload, parts, stamp, waiters: vec![token] };
        match self.admission.check(&unit.last_header(), unit.payload.body()) {
            Verdict::Refuse(refusal) => return answer(Err(WriteError::Refused { refusal, receipt: None })),
            Verdict::Admit | Verdict::Hold => self.stamp(unit, wall, effects),
        }
        if brings_schema {
            self.release_held(wall, effects);
        }
    }

    /// Sees that the channel's clock reaches `timestamp` (`docs/protocol.md` §7); answered when it has.
    pub fn clock_at_least(&mut self, timestamp: Timestamp, token: Token, wall: Timestamp, effects: &mut Vec<Effect>) {
        let mut answer = |answer| effects.push(Effect::Answer(token, answer));
        if self.phase != Phase::Serving {
            return answer(Err(WriteError::NotSequencer));
        }
        if timestamp > Timestamp::from_millis(wall.millis() + CLOCK_AHEAD_MAX_MS) {
            let error = Error::invalid(format!("timestamp {timestamp} lies more than {CLOCK_AHEAD_MAX_MS} ms ahead"));
            return answer(Err(WriteError::Invalid(error)));
        }
        if self.state.clock >= timestamp {
            let receipt = self.last_receipt();
            return answer(Ok(receipt));
        }
        match self.pending.iter_mut().find(|unit| unit.stamp.timestamp >= timestamp) {
            Some(unit) => unit.waiters.push(token),
            None => self.stamp_clock(token, wall.max(timestamp), effects),
        }
    }

    /// Answered when an append that was sent after this call is durable (`docs/protocol.md` §5): a write's that waits to be sent, else a Clock's.
    pub fn barrier(&mut self, token: Token, wall: Timestamp, effects: &mut Vec<Effect>) {
        if self.phase != Phase::Serving {
            return effects.push(Effect::Answer(token, Err(WriteError::NotSequencer)));
        }
        // A unit whose first frame has gone out may be durable already at a broker that this process can't reach any more.
        let unsent = if self.cursor.1 == 1 { self.cursor.0 } else { self.cursor.0 + 1 };
        match self.pending.get_mut(unsent) {
            Some(unit) => unit.waiters.push(token),
            None => self.stamp_clock(token, wall, effects),
        }
    }

    /// Tells requests that have waited too long for their schema to come again. Call at times while [`Self::holds`].
    pub fn expire_held(&mut self, wall: Timestamp, effects: &mut Vec<Effect>) {
        for held in self.held.take_expired(wall) {
            let writer = held.request.writer;
            let expected = self.stamped.get(&writer).copied().or_else(|| self.state.writers.last(writer)).unwrap_or(0) + 1;
            effects.extend(held.waiters.into_iter().map(|token| Effect::Answer(token, Err(WriteError::OutOfOrder { expected }))));
        }
    }

    /// Whether requests wait for a schema.
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    fn release_held(&mut self, wall: Timestamp, effects: &mut Vec<Effect>) {
        for held in self.held.take_all() {
            self.admit(held.request, held.waiters, wall, effects);
        }
    }

    fn stamp_clock(&mut self, token: Token, at_least: Timestamp, effects: &mut Vec<Effect>) {
        let shard = ShardId::new(CollectionId(0), 0);
        let stamp = Stamp { first_number: 0, epoch: self.own, timestamp: Timestamp::ZERO };
        let payload = Payload::new(Body::Clock);
        let unit = Unit { origin: Origin::Own, shard, schema_version: 0, payload, parts: 1, stamp, waiters: vec![token] };
        self.stamp(unit, at_least, effects);
    }

    fn stamp(&mut self, mut unit: Unit, wall: Timestamp, effects: &mut Vec<Effect>) {
        self.restamp(&mut unit, wall);
        if self.planted.answer_before_durable {
            let answer = Ok(stamped_receipt(&unit));
            effects.extend(unit.waiters.iter().map(|token| Effect::Answer(*token, answer.clone())));
        }
        self.pending_bytes += unit.payload.encoded().len();
        self.pending.push_back(unit);
    }

    fn refuse_in_memory(&mut self, header: &Header, refusal: Refusal, waiters: Vec<Token>, effects: &mut Vec<Effect>) {
        self.stamped.insert(header.writer, header.sequence);
        let answer = Err(WriteError::Refused { refusal, receipt: None });
        effects.extend(waiters.into_iter().map(|token| Effect::Answer(token, answer.clone())));
    }

    /// A receipt that says "everything so far"; nothing lies at its position.
    fn last_receipt(&self) -> Receipt {
        let ReaderState { position, number, epoch, clock, .. } = self.state;
        Receipt { position, number, epoch, timestamp: clock }
    }

    fn no_room(&self, needed: usize) -> Error {
        let limit = self.limits.pending_bytes_max;
        Error::new(Code::RATE_LIMIT, format!("channel {} holds {needed} bytes that aren't durable, the limit is {limit}", self.channel))
    }
}

fn unit_header(request: &WriteRequest) -> Header {
    Header {
        kind: request.payload.kind(),
        number: 0,
        epoch: Epoch::default(),
        writer: request.writer,
        sequence: request.sequence,
        lowest_outstanding: request.lowest_outstanding,
        shard: request.shard,
        schema_version: request.schema_version,
        timestamp: Timestamp::ZERO,
        part: 1,
        parts: 1,
    }
}

fn stamped_receipt(unit: &Unit) -> Receipt {
    let header = unit.last_header();
    Receipt { position: Position::default(), number: header.number, epoch: header.epoch, timestamp: header.timestamp }
}
