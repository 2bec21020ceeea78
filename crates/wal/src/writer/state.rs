//! The sequencer's rules (`docs/protocol.md` §2) as a pure state machine: no clock, no task, no log. [`super::driver`] runs it.
//!
//! A channel is *read* to its end, an Epoch is appended and read back, then requests are *served*. Whether a record of its own counts is decided
//! by [`ReaderState`], as for any reader: an acknowledgement says where a frame lies, and the frames are fed from there. So an answer is always
//! a function of records that are durable and valid, and replay gives the same.
//!
//! Any doubt about an append ([`SequencerState::unknown`]) ends serving: the log is read again to its end, `Epoch(e, i + 1)` is appended and read
//! back, and what isn't valid by then is stamped and sent again. Later acknowledgements of the old attempt prove nothing and are dropped.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use types::id::{ChannelName, CollectionId, ShardId, WriterId};
use types::position::Position;
use types::record::{Body, Epoch, Header, Kind, Record};
use types::time::Timestamp;
use types::{Code, Error};

use super::admission::Admission;
use super::held::HeldRequests;
use super::request::{WriteError, WriteRequest};
use super::unit::{Origin, Unit};
use crate::checkpoint::Ring;
use crate::planted::Planted;
use crate::reader::assemble::{Assembler, decode_frame};
use crate::reader::{Acknowledged, Event, ReadError, ReaderState, Receipt, Span, Step};

mod requests;
mod serve;

pub use serve::Landed;

/// Who waits for an answer; the driver knows what it stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub u64);

/// What the driver has to do, in this order.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "effects live in one short list; a box for each record would cost more")]
pub enum Effect {
    /// A record became durable and counts: apply it.
    Apply(Event),
    /// A request is answered.
    Answer(Token, Result<Receipt, WriteError>),
}

/// Where a sequencer stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// Reads to the end, to append its Epoch there.
    Reading,
    /// Its Epoch was sent and not read yet.
    AwaitingEpoch,
    /// Takes requests.
    Serving,
    /// For good.
    Stopped(Stopped),
}

/// Why a sequencer stopped.
#[derive(Clone, Debug, PartialEq)]
pub enum Stopped {
    /// A higher epoch is in the log.
    Superseded(Epoch),
    /// `docs/design.md` rule 7: the log lost something, or can't be read.
    Loss(Error),
    /// It was asked to.
    Asked,
}

/// Sizes that bound a sequencer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The log's.
    pub frame_bytes_max: usize,
    /// Bytes of one append.
    pub group_bytes_max: usize,
    /// Bytes of bodies that are stamped and not durable; beyond, requests are told to come again.
    pub pending_bytes_max: usize,
    /// Bytes of log between two states that a checkpoint can be made of.
    pub checkpoint_spacing: usize,
}

impl Limits {
    /// For a log with this limit of a frame.
    pub fn for_frames(frame_bytes_max: usize) -> Self {
        Self { frame_bytes_max, group_bytes_max: 8 << 20, pending_bytes_max: 1 << 30, checkpoint_spacing: 4 << 20 }
    }
}

/// One process's sequencer of one channel.
pub struct SequencerState {
    channel: ChannelName,
    own: Epoch,
    phase: Phase,
    state: ReaderState,
    assembler: Assembler,
    ring: Ring,
    admission: Box<dyn Admission>,
    limits: Limits,
    /// Stamped, not known to count, in order of stamping.
    pending: VecDeque<Unit>,
    pending_bytes: usize,
    /// Last stamped sequence of writers that have pending units.
    stamped: BTreeMap<WriterId, u64>,
    held: HeldRequests,
    next_number: u64,
    last_timestamp: Timestamp,
    /// The first frame of `pending` that wasn't handed to the appender: (unit, part from 1).
    cursor: (usize, u16),
    in_flight: Vec<(Header, usize)>,
    planted: Planted,
}

impl SequencerState {
    /// A sequencer that starts reading at a checkpoint. `process` comes from meta and is new at every start.
    pub fn new(channel: ChannelName, process: u64, start: ReaderState, limits: Limits, admission: Box<dyn Admission>) -> Self {
        assert!(start.is_between_records(), "a checkpoint lies between records");
        Self {
            channel,
            own: Epoch { process, attempt: 0 },
            phase: Phase::Reading,
            ring: Ring::new(start.clone(), limits.checkpoint_spacing),
            state: start,
            assembler: Assembler::default(),
            admission,
            limits,
            pending: VecDeque::new(),
            pending_bytes: 0,
            stamped: BTreeMap::new(),
            held: HeldRequests::default(),
            next_number: 0,
            last_timestamp: Timestamp::ZERO,
            cursor: (0, 1),
            in_flight: Vec::new(),
            planted: Planted::default(),
        }
    }

    #[doc(hidden)]
    pub fn plant(&mut self, planted: Planted) {
        self.planted = planted;
        self.state.plant(planted);
    }

    /// Where it stands.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The epoch that it writes under.
    pub fn epoch(&self) -> Epoch {
        self.own
    }

    /// What it has read, its own acknowledged records included.
    pub fn reader(&self) -> &ReaderState {
        &self.state
    }

    /// Up to where everything is durable and applied.
    pub fn acknowledged(&self) -> Acknowledged {
        Acknowledged { position: self.state.position, epoch: self.state.epoch, number: self.state.number, clock: self.state.clock }
    }

    /// The state for a checkpoint, given the first unflushed record as of now; `None` if it would not advance.
    /// Whoever has committed its pointer says so by [`Self::checkpointed`].
    pub fn checkpoint(&self, first_unflushed: Option<Position>) -> Option<ReaderState> {
        let mut state = self.ring.propose(first_unflushed, &self.state)?;
        if self.planted.checkpoint_of_now {
            let position = state.position;
            state = self.state.clone();
            state.position = position;
        }
        Some(state)
    }

    /// A state that [`Self::checkpoint`] gave is committed.
    pub fn checkpointed(&mut self, state: ReaderState) {
        self.ring.committed(state);
    }

    /// Takes a frame from the log, while reading or to fill a gap.
    pub fn read(&mut self, at: Position, bytes: &Bytes, effects: &mut Vec<Effect>) {
        if let Phase::Stopped(_) = self.phase {
            return;
        }
        let (frame, last_number) = match decode_frame(at, bytes) {
            Ok(decoded) => decoded,
            Err(error) => return self.lose(&error, effects),
        };
        if frame.header.kind == Kind::Epoch && frame.header.epoch > self.own {
            return self.stop(Stopped::Superseded(frame.header.epoch), effects);
        }
        self.take(&frame.header, last_number, at, Some(frame.body), effects);
        if let Phase::Stopped(_) = self.phase {
            return;
        }
        self.ring.passed(&self.state, bytes.len());
        if self.phase == Phase::AwaitingEpoch && self.state.epoch == self.own {
            self.begin_serving();
        }
    }

    /// The log's end was reached while reading: gives the Epoch to append, once.
    pub fn at_end(&mut self, wall: Timestamp, effects: &mut Vec<Effect>) -> Option<Bytes> {
        if self.phase != Phase::Reading {
            return None;
        }
        if self.state.epoch >= self.own {
            // The checkpoint is of a successor already.
            self.stop(Stopped::Superseded(self.state.epoch), effects);
            return None;
        }
        self.phase = Phase::AwaitingEpoch;
        let timestamp = wall.max(self.state.clock.next());
        let header = Header {
            kind: Kind::Epoch,
            number: 0,
            epoch: self.own,
            writer: WriterId(0),
            sequence: 0,
            lowest_outstanding: 0,
            shard: ShardId::new(CollectionId(0), 0),
            schema_version: 0,
            timestamp,
            part: 1,
            parts: 1,
        };
        Some(header.frame(&Body::Epoch { last_number: self.state.number }.encode()))
    }

    /// An append's outcome isn't known, or isn't what it should be: only the log decides from here.
    pub fn unknown(&mut self) {
        if let Phase::Stopped(_) = self.phase {
            return;
        }
        self.own.attempt += 1;
        self.phase = Phase::Reading;
        self.in_flight.clear();
    }

    /// Ends it; everyone who waits is told to go elsewhere.
    pub fn stop(&mut self, why: Stopped, effects: &mut Vec<Effect>) {
        if let Phase::Stopped(_) = self.phase {
            return;
        }
        let answer = match &why {
            Stopped::Loss(error) => WriteError::Stopped(error.clone()),
            Stopped::Superseded(_) | Stopped::Asked => WriteError::NotSequencer,
        };
        self.phase = Phase::Stopped(why);
        self.in_flight.clear();
        let waiters = self.pending.drain(..).flat_map(|unit| unit.waiters).collect::<Vec<_>>();
        let held = self.held.take_all().into_iter().flat_map(|held| held.waiters);
        effects.extend(waiters.into_iter().chain(held).map(|token| Effect::Answer(token, Err(answer.clone()))));
    }

    fn lose(&mut self, error: &ReadError, effects: &mut Vec<Effect>) {
        let error = error.to_error(&self.channel);
        self.stop(Stopped::Loss(error), effects);
    }

    /// Feeds one frame to the rules: from the log (with a body), or own and acknowledged (without).
    fn take(&mut self, header: &Header, last_number: u64, at: Position, body: Option<Result<Bytes, Error>>, effects: &mut Vec<Effect>) {
        let step = match self.state.take(header, last_number, at) {
            Ok(step) => step,
            Err(error) => return self.lose(&error, effects),
        };
        match step {
            Step::Void(_) => {}
            Step::Epoch => self.assembler.clear(),
            Step::Part => {
                if let Some(body) = body {
                    self.assembler.push(header, body);
                }
            }
            Step::Complete { first } => {
                let span = Span { first, last: at };
                let unit = self.take_unit(header);
                let (body, waiters) = match unit {
                    Some(unit) => {
                        self.assembler.clear();
                        (Ok(unit.payload.into_body()), unit.waiters)
                    }
                    None => {
                        let part = body.unwrap_or_else(|| Err(Error::internal("an acknowledged frame has no unit")));
                        self.assembler.push(header, part);
                        (self.assembler.finish(header), Vec::new())
                    }
                };
                self.complete(header, body, span, waiters, effects);
            }
        }
    }

    fn complete(&mut self, header: &Header, body: Result<Body, Error>, span: Span, waiters: Vec<Token>, effects: &mut Vec<Effect>) {
        let receipt = self.state.complete(header, body.as_ref().ok(), span.last);
        let refusal = match &body {
            Ok(Body::Refused(refusal)) => Some(refusal.clone()),
            _ => None,
        };
        effects.push(Effect::Apply(match body {
            Ok(body) => Event::Record { record: Record { header: *header, body }, span },
            Err(error) => Event::Unreadable { header: *header, span, error },
        }));
        for token in waiters {
            let answer = match &refusal {
                Some(refusal) => Err(WriteError::Refused { refusal: refusal.clone(), receipt: Some(receipt) }),
                None => Ok(receipt),
            };
            effects.push(Effect::Answer(token, answer));
        }
    }

    /// The pending unit that this record is, under the stamp it was last sent with. Records count in order of stamping, so it is the first.
    fn take_unit(&mut self, last: &Header) -> Option<Unit> {
        let unit = self.pending.front()?;
        if unit.last_header() != *last {
            return None;
        }
        let unit = self.pending.pop_front()?;
        self.pending_bytes -= unit.payload.encoded().len();
        self.cursor.0 = self.cursor.0.saturating_sub(1);
        if let Origin::Writer { writer, sequence, .. } = unit.origin
            && self.stamped.get(&writer) == Some(&sequence)
        {
            self.stamped.remove(&writer);
        }
        Some(unit)
    }
}

fn too_large(bytes: usize, limit: usize) -> Error {
    Error::new(Code::PARAMETER_TOO_LARGE, format!("a write of {bytes} bytes to one shard, the limit is {limit}"))
}
