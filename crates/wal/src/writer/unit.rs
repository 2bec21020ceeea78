//! A stamped record that isn't known to be durable: one or more frames, and who waits for it.

use bytes::Bytes;
use types::id::{ShardId, WriterId};
use types::record::{Epoch, HEADER_BYTES, Header};
use types::time::Timestamp;

use super::request::Payload;
use super::state::Token;

/// Who asked for a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// A proxy.
    Writer { writer: WriterId, sequence: u64, lowest_outstanding: u64 },
    /// This node, or a coordinator through it.
    Own,
}

/// What a stamp fixes until the unit is stamped again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    pub(super) first_number: u64,
    pub(super) epoch: Epoch,
    pub(super) timestamp: Timestamp,
}

/// One record on its way.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) origin: Origin,
    pub(super) shard: ShardId,
    pub(super) schema_version: u32,
    pub(super) payload: Payload,
    pub(super) parts: u16,
    pub(super) stamp: Stamp,
    pub(super) waiters: Vec<Token>,
}

impl Unit {
    /// The header of a part, counted from 1.
    pub(super) fn header(&self, part: u16) -> Header {
        let (writer, sequence, lowest_outstanding) = match self.origin {
            Origin::Writer { writer, sequence, lowest_outstanding } => (writer, sequence, lowest_outstanding),
            Origin::Own => (WriterId(0), 0, 0),
        };
        Header {
            kind: self.payload.kind(),
            number: self.stamp.first_number + u64::from(part) - 1,
            epoch: self.stamp.epoch,
            writer,
            sequence,
            lowest_outstanding,
            shard: self.shard,
            schema_version: self.schema_version,
            timestamp: self.stamp.timestamp,
            part,
            parts: self.parts,
        }
    }

    /// The header of the last part: the record's.
    pub(super) fn last_header(&self) -> Header {
        self.header(self.parts)
    }

    /// The frame of a part.
    pub(super) fn frame(&self, part: u16, frame_bytes_max: usize) -> Bytes {
        let size = part_bytes(frame_bytes_max);
        let encoded = self.payload.encoded();
        let start = (usize::from(part) - 1) * size;
        self.header(part).frame(&encoded[start..encoded.len().min(start + size)])
    }

    pub(super) fn is_of(&self, writer: WriterId, sequence: u64) -> bool {
        matches!(self.origin, Origin::Writer { writer: w, sequence: s, .. } if w == writer && s == sequence)
    }
}

/// Bytes of a body that one frame takes.
fn part_bytes(frame_bytes_max: usize) -> usize {
    assert!(frame_bytes_max > HEADER_BYTES, "a log takes frames larger than their header");
    frame_bytes_max - HEADER_BYTES
}

/// How many frames a body needs; `None` if that is more than a header can say.
pub(super) fn parts_of(encoded_bytes: usize, frame_bytes_max: usize) -> Option<u16> {
    u16::try_from(encoded_bytes.div_ceil(part_bytes(frame_bytes_max)).max(1)).ok()
}
