//! From frames to whole records: checks by [`ReaderState`], parts put together, bodies decoded.

use bytes::Bytes;
use types::Error;
use types::position::Position;
use types::record::{Body, Frame, Header, Kind, Record};

use super::state::{ReadError, ReaderState, Step};
use crate::aligned;

/// The places of a record's first and last frame; equal for a record of one part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The first frame.
    pub first: Position,
    /// The last frame: flush positions are this or above.
    pub last: Position,
}

/// A valid record, in log order. Epochs aren't given: they change nothing but what counts.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// A record to apply.
    Record {
        /// The record.
        record: Record,
        /// Where it lies.
        span: Span,
    },
    /// A record that counts and can't be decoded: its shard is quarantined, by name (`docs/protocol.md` §3).
    Unreadable {
        /// What is known of it.
        header: Header,
        /// Where it lies: its frames are copied to objects from there.
        span: Span,
        /// Why.
        error: Error,
    },
}

impl Event {
    /// The record's header.
    pub fn header(&self) -> &Header {
        match self {
            Self::Record { record, .. } => &record.header,
            Self::Unreadable { header, .. } => header,
        }
    }

    /// Where the record lies.
    pub fn span(&self) -> Span {
        match self {
            Self::Record { span, .. } | Self::Unreadable { span, .. } => *span,
        }
    }
}

/// Bodies of the open set. Bounded by `WRITE_BYTES_MAX`, which the sequencer keeps.
#[derive(Clone, Debug, Default)]
pub struct Assembler {
    parts: Vec<Bytes>,
    damage: Option<Error>,
}

impl Assembler {
    /// Keeps a part that was taken.
    pub fn push(&mut self, header: &Header, body: Result<Bytes, Error>) {
        if header.part == 1 {
            self.clear();
        }
        match body {
            Ok(body) => self.parts.push(body),
            Err(error) => self.damage = Some(error),
        }
    }

    /// The whole body of a complete record.
    pub fn finish(&mut self, header: &Header) -> Result<Body, Error> {
        let damage = self.damage.take();
        let parts = std::mem::take(&mut self.parts);
        if let Some(error) = damage {
            return Err(error);
        }
        if parts.len() != usize::from(header.parts) {
            return Err(Error::internal(format!("{} of {} parts of record {} are here", parts.len(), header.parts, header.number)));
        }
        Body::decode(header.kind, &aligned::concatenate(&parts))
    }

    /// Forgets an unfinished set.
    pub fn clear(&mut self) {
        self.parts.clear();
        self.damage = None;
    }
}

/// A [`ReaderState`] with the bodies: frames in, events out.
#[derive(Clone, Debug)]
pub struct RecordReader {
    /// What was read so far.
    pub state: ReaderState,
    assembler: Assembler,
}

/// What a frame gave.
#[derive(Clone, PartialEq, Debug)]
pub struct Fed {
    /// What the rules say.
    pub step: Step,
    /// The frame's header.
    pub header: Header,
    /// The record that it completed.
    pub event: Option<Event>,
}

/// Reads a frame as far as the rules need: the header, and what an Epoch names.
///
/// # Errors
/// [`ReadError::Undecodable`]: the channel stops.
pub fn decode_frame(at: Position, bytes: &Bytes) -> Result<(Frame, u64), ReadError> {
    let undecodable = |error| ReadError::Undecodable { at, error };
    let frame = Frame::decode(bytes).map_err(undecodable)?;
    if frame.header.kind != Kind::Epoch {
        return Ok((frame, 0));
    }
    let body = frame.body.clone().map_err(undecodable)?;
    match Body::decode(Kind::Epoch, &body).map_err(undecodable)? {
        Body::Epoch { last_number } => Ok((frame, last_number)),
        other => Err(undecodable(Error::internal(format!("an Epoch's body is {:?}", other.kind())))),
    }
}

impl RecordReader {
    /// Reads on from `state`, which lies between records.
    pub fn new(state: ReaderState) -> Self {
        assert!(state.is_between_records(), "reading starts between records");
        Self { state, assembler: Assembler::default() }
    }

    /// Takes the next frame.
    ///
    /// # Errors
    /// See [`ReadError`]: the channel stops.
    pub fn feed(&mut self, at: Position, bytes: &Bytes) -> Result<Fed, ReadError> {
        let (frame, last_number) = decode_frame(at, bytes)?;
        let header = frame.header;
        let step = self.state.take(&header, last_number, at)?;
        let event = match step {
            Step::Void(_) => None,
            Step::Epoch => {
                self.assembler.clear();
                None
            }
            Step::Part => {
                self.assembler.push(&header, frame.body);
                None
            }
            Step::Complete { first } => {
                self.assembler.push(&header, frame.body);
                let body = self.assembler.finish(&header);
                let span = Span { first, last: at };
                self.state.complete(&header, body.as_ref().ok(), at);
                Some(match body {
                    Ok(body) => Event::Record { record: Record { header, body }, span },
                    Err(error) => Event::Unreadable { header, span, error },
                })
            }
        };
        Ok(Fed { step, header, event })
    }
}
