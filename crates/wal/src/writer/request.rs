//! What a sequencer is asked, and what it answers.

use bytes::Bytes;
use types::id::{ShardId, WriterId};
use types::record::{Body, Kind, Refusal};
use types::{Code, Error};

use crate::reader::Receipt;

/// A body and its encoding, made once: by the proxy in the same process, or taken as it came over the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct Payload {
    body: Body,
    encoded: Bytes,
}

impl Payload {
    /// Encodes `body`.
    pub fn new(body: Body) -> Self {
        let encoded = body.encode();
        Self { body, encoded }
    }

    /// Keeps `encoded` as it came.
    ///
    /// # Errors
    /// `DATA_INTEGRITY` if it isn't the encoding of a body of `kind`.
    pub fn decode(kind: Kind, encoded: Bytes) -> Result<Self, Error> {
        Ok(Self { body: Body::decode(kind, &encoded)?, encoded })
    }

    /// What the record's header says.
    pub fn kind(&self) -> Kind {
        self.body.kind()
    }

    /// The decoded body.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The encoded body.
    pub fn encoded(&self) -> &Bytes {
        &self.encoded
    }

    pub(crate) fn into_body(self) -> Body {
        self.body
    }
}

/// A write of one proxy to one shard. It keeps its (writer, sequence) for life, whoever the sequencer is.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteRequest {
    /// The proxy.
    pub writer: WriterId,
    /// Rises by one from request to request of (writer, channel), from 1.
    pub sequence: u64,
    /// The lowest sequence that the proxy still waits for: answers below are forgotten.
    pub lowest_outstanding: u64,
    /// The shard.
    pub shard: ShardId,
    /// The schema version that the body was made under.
    pub schema_version: u32,
    /// Insert, Delete or Upsert.
    pub payload: Payload,
}

/// Why a request has no receipt.
#[derive(Clone, Debug, PartialEq)]
pub enum WriteError {
    /// Refused, durably: nothing was written under this sequence and nothing will be. A new request may be made of it.
    Refused {
        /// Why.
        refusal: Refusal,
        /// The record of the refusal; `None` for a control request, which has no sequence to burn.
        receipt: Option<Receipt>,
    },
    /// This process doesn't sequence the channel, or not any more. Burns nothing: send the same again, to who does.
    NotSequencer,
    /// Requests before it are missing. Burns nothing: send all outstanding again, from the lowest.
    OutOfOrder {
        /// The sequence that can be taken.
        expected: u64,
    },
    /// The table doesn't know the writer, and the sequence isn't 1. Burns nothing: send all outstanding again, from the lowest;
    /// never under a new id.
    UnknownWriter,
    /// The writer's entry went after an hour without a record: outstanding requests end as "outcome unknown", new ones take a new id.
    WriterExpired,
    /// The writer said that it doesn't wait for this sequence any more.
    AnswerForgotten,
    /// No room now. Burns nothing: send the same again.
    Busy(Error),
    /// The request can't be one: a control record with a writer, a sequence of 0, a clock too far ahead.
    Invalid(Error),
    /// The sequencer stopped on its log's failure (`docs/design.md` rule 7).
    Stopped(Error),
}

impl WriteError {
    /// As clients see it.
    pub fn to_error(&self) -> Error {
        match self {
            Self::Refused { refusal, .. } => refusal.to_error(),
            Self::NotSequencer => Error::about(Code::CHANNEL_MISROUTED, &[]),
            Self::OutOfOrder { expected } => Error::new(Code::CHANNEL_MISROUTED, format!("request out of order, {expected} is expected")),
            Self::UnknownWriter => Error::new(Code::CHANNEL_MISROUTED, "unknown writer"),
            Self::WriterExpired => Error::new(Code::CHANNEL_NOT_AVAILABLE, "the writer's entry has expired, the outcome is unknown"),
            Self::AnswerForgotten => Error::internal("a request was repeated after its answer was no longer waited for"),
            Self::Busy(error) | Self::Invalid(error) | Self::Stopped(error) => error.clone(),
        }
    }
}
