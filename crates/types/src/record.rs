//! What the log holds (`docs/protocol.md` §1; bytes in `docs/formats/record.md`): a header that every reader checks, and a body that its shard applies.
//!
//! A frame is one part of one record: a header of [`HEADER_BYTES`] and a slice of the body. The header has its own checksum,
//! so that damage in a body costs one shard and damage in a header stops the channel. Frames say nothing of where they lie.
//!
//! Not here: numbering, epochs, putting parts together (`wal`); what a record does to rows (`segment`).

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::column::{Column, Values};
use crate::id::{CollectionId, JobId, PartitionId, SegmentId, ShardId, WriterId};
use crate::schema::Schema;
use crate::time::Timestamp;
use crate::{Code, Error, Result};

/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 128;

/// Which sequencer wrote a record: `process` is taken from meta at every start, `attempt` rises when an append's outcome is unknown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Epoch {
    /// `e` of `docs/protocol.md`.
    pub process: u64,
    /// `i` of `docs/protocol.md`.
    pub attempt: u32,
}

impl std::fmt::Display for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "({}, {})", self.process, self.attempt)
    }
}

/// What a record is. Numbers are the stored ones and never change.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[repr(u8)]
pub enum Kind {
    /// Rows.
    Insert = 1,
    /// Keys.
    Delete = 2,
    /// Keys and rows that take effect together.
    Upsert = 3,
    /// A shard begins.
    Create = 16,
    /// A shard ends.
    Drop = 17,
    /// All rows below it are dead.
    Truncate = 18,
    /// All rows of a partition are dead.
    DropPartition = 19,
    /// The schema changes.
    Schema = 20,
    /// Imported segments become visible.
    ImportCommit = 21,
    /// A request that was refused: nothing happens, durably.
    Refused = 32,
    /// Moves the clock.
    Clock = 33,
    /// A sequencer begins. Has no number.
    Epoch = 34,
}

impl Kind {
    const ALL: [Self; 12] = [
        Self::Insert,
        Self::Delete,
        Self::Upsert,
        Self::Create,
        Self::Drop,
        Self::Truncate,
        Self::DropPartition,
        Self::Schema,
        Self::ImportCommit,
        Self::Refused,
        Self::Clock,
        Self::Epoch,
    ];

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// Whether it is a control record of one shard: holds the checkpoint until a manifest has its effect.
    pub fn is_shard_control(self) -> bool {
        matches!(self, Self::Create | Self::Drop | Self::Truncate | Self::DropPartition | Self::Schema | Self::ImportCommit)
    }

    /// Whether it belongs to one shard at all.
    pub fn is_of_shard(self) -> bool {
        !matches!(self, Self::Clock | Self::Epoch)
    }
}

/// A frame's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// What the record is.
    pub kind: Kind,
    /// Dense per channel from 1; an Epoch's is 0.
    pub number: u64,
    /// Who wrote it.
    pub epoch: Epoch,
    /// Who asked for it; 0 where the sequencer's own node did.
    pub writer: WriterId,
    /// The writer's sequence, from 1; 0 where there is no writer.
    pub sequence: u64,
    /// The lowest sequence that the writer still waits for.
    pub lowest_outstanding: u64,
    /// The shard; meaningless for Clock and Epoch.
    pub shard: ShardId,
    /// The schema version that the body was made under.
    pub schema_version: u32,
    /// From the sequencer: strictly rising from record to record of a channel; one for all parts of a set.
    pub timestamp: Timestamp,
    /// `1 ..= parts`.
    pub part: u16,
    /// How many frames make the record.
    pub parts: u16,
}

/// One frame, decoded as far as its header; the body's checksum was compared, its content not.
#[derive(Clone, PartialEq, Debug)]
pub struct Frame {
    /// The header.
    pub header: Header,
    /// This part's slice of the body, or the checksum's failure, which is its shard's trouble alone.
    pub body: Result<Bytes>,
}

const MAGIC: u32 = u32::from_le_bytes(*b"ELR1");

impl Header {
    /// A frame: header and `body`, with both checksums.
    pub fn frame(&self, body: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(HEADER_BYTES + body.len());
        out.put_u32_le(MAGIC);
        out.put_u8(self.kind as u8);
        out.put_bytes(0, 3);
        out.put_u64_le(self.number);
        out.put_u64_le(self.epoch.process);
        out.put_u32_le(self.epoch.attempt);
        out.put_u32_le(self.schema_version);
        out.put_i64_le(self.writer.0);
        out.put_u64_le(self.sequence);
        out.put_u64_le(self.lowest_outstanding);
        out.put_i64_le(self.shard.collection.0);
        out.put_u16_le(self.shard.index);
        out.put_u16_le(self.part);
        out.put_u16_le(self.parts);
        out.put_u16_le(0);
        out.put_u64_le(self.timestamp.0);
        out.put_u32_le(u32::try_from(body.len()).expect("a frame's body is bounded by the log's limit"));
        out.put_u32_le(crc32c::crc32c(body));
        out.put_bytes(0, HEADER_BYTES - 4 - out.len());
        out.put_u32_le(crc32c::crc32c(&out));
        debug_assert_eq!(out.len(), HEADER_BYTES);
        out.put_slice(body);
        out.freeze()
    }
}

impl Frame {
    /// Reads a frame.
    ///
    /// # Errors
    /// `DATA_INTEGRITY` where the header can't be trusted: the channel stops (`docs/design.md` rule 7). A damaged body is in [`Frame::body`].
    pub fn decode(bytes: &Bytes) -> Result<Self> {
        if bytes.len() < HEADER_BYTES {
            return Err(Error::corrupt(format!("a log frame of {} bytes has no header", bytes.len())));
        }
        let mut checksum = &bytes[HEADER_BYTES - 4..HEADER_BYTES];
        if crc32c::crc32c(&bytes[..HEADER_BYTES - 4]) != checksum.get_u32_le() {
            return Err(Error::corrupt("the header of a log frame has another checksum"));
        }
        let mut fields = &bytes[..HEADER_BYTES];
        if fields.get_u32_le() != MAGIC {
            return Err(Error::corrupt("a log frame of an unknown version"));
        }
        let number = fields.get_u8();
        let kind = Kind::from_number(number).ok_or_else(|| Error::corrupt(format!("a log record of unknown kind {number}")))?;
        fields.advance(3);
        let number = fields.get_u64_le();
        let epoch = Epoch { process: fields.get_u64_le(), attempt: fields.get_u32_le() };
        let schema_version = fields.get_u32_le();
        let (writer, sequence, lowest_outstanding) = (WriterId(fields.get_i64_le()), fields.get_u64_le(), fields.get_u64_le());
        let shard = ShardId::new(CollectionId(fields.get_i64_le()), fields.get_u16_le());
        let (part, parts) = (fields.get_u16_le(), fields.get_u16_le());
        fields.advance(2);
        let timestamp = Timestamp(fields.get_u64_le());
        let (length, checksum) = (fields.get_u32_le() as usize, fields.get_u32_le());
        if part == 0 || part > parts {
            return Err(Error::corrupt(format!("a log frame is part {part} of {parts}")));
        }
        let header = Header { kind, number, epoch, writer, sequence, lowest_outstanding, shard, schema_version, timestamp, part, parts };
        let body = bytes.slice(HEADER_BYTES..);
        let body = if body.len() == length && crc32c::crc32c(&body) == checksum {
            Ok(body)
        } else {
            Err(Error::corrupt(format!("record {} of shard {shard}: the body has another checksum", header.number)))
        };
        Ok(Self { header, body })
    }
}

/// A whole valid record: what `wal::reader` hands to `segment::Shard::apply`.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    /// The header of its last part.
    pub header: Header,
    /// What it does.
    pub body: Body,
}

/// What a record does.
#[derive(Clone, PartialEq, Debug)]
pub enum Body {
    /// Rows of one shard.
    Insert(Rows),
    /// Keys of one shard.
    Delete(Keys),
    /// First the keys die, then the rows are there, at one timestamp.
    Upsert {
        /// What dies.
        keys: Keys,
        /// What comes.
        rows: Rows,
    },
    /// The state that control records bring.
    Control(Control),
    /// See [`Refusal`].
    Refused(Refusal),
    /// Nothing but the header's timestamp.
    Clock,
    /// The last number that the new sequencer has read; its clock is the header's timestamp.
    Epoch {
        /// Last valid number of the channel below this record.
        last_number: u64,
    },
}

/// Rows of an insert, in runs of one partition.
#[derive(Clone, PartialEq, Debug)]
pub struct Rows {
    /// (partition, rows) in order of the batch; the rows add up to the batch's.
    pub runs: Vec<(PartitionId, u32)>,
    /// The rows.
    pub batch: Batch,
}

impl Rows {
    /// All rows in one partition.
    pub fn of_partition(partition: PartitionId, batch: Batch) -> Self {
        Self { runs: vec![(partition, batch.rows() as u32)], batch }
    }

    /// The partition of each row.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionId> + '_ {
        self.runs.iter().flat_map(|&(partition, rows)| std::iter::repeat_n(partition, rows as usize))
    }
}

/// Keys of a delete.
#[derive(Clone, PartialEq, Debug)]
pub struct Keys {
    /// Int64 or VarChar.
    pub keys: Values,
    /// Only rows of this partition.
    pub partition: Option<PartitionId>,
    /// Rows strictly below die; `None` means below the record's own timestamp.
    pub kills_below: Option<Timestamp>,
}

/// Control records name the state they bring, so that applying one twice changes nothing.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Control {
    /// The shard's first record.
    Create {
        /// The first schema.
        schema: Schema,
        /// The partitions that there are.
        partitions: Vec<PartitionId>,
    },
    /// The shard's last record.
    Drop,
    /// Rows below die.
    Truncate {
        /// The generation that begins.
        generation: u64,
    },
    /// Rows of the partition die, and writes to it are refused.
    DropPartition {
        /// Which.
        partition: PartitionId,
    },
    /// Rows from now on are of this schema.
    Schema {
        /// The new schema; its version is the state.
        schema: Schema,
    },
    /// Segments of an import become visible at the record's timestamp.
    ImportCommit {
        /// The job.
        job: JobId,
        /// What it made.
        segments: Vec<SegmentId>,
    },
}

impl Control {
    /// The record kind of this control.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Create { .. } => Kind::Create,
            Self::Drop => Kind::Drop,
            Self::Truncate { .. } => Kind::Truncate,
            Self::DropPartition { .. } => Kind::DropPartition,
            Self::Schema { .. } => Kind::Schema,
            Self::ImportCommit { .. } => Kind::ImportCommit,
        }
    }
}

/// Why a request was refused, as the log keeps it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// Milvus's code.
    pub code: i32,
    /// The text.
    pub reason: String,
}

impl Refusal {
    /// The refusal as an error.
    pub fn to_error(&self) -> Error {
        Error::new(Code(self.code), self.reason.clone())
    }
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        Self { code: error.code().0, reason: error.reason().to_owned() }
    }
}

const ALL_PARTITIONS: i64 = -1;
/// The batch inside of a body begins here or at a multiple, so that its vectors are aligned where the body is.
const BODY_ALIGNMENT: usize = 64;

impl Body {
    /// What goes into the header's kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Insert(_) => Kind::Insert,
            Self::Delete(_) => Kind::Delete,
            Self::Upsert { .. } => Kind::Upsert,
            Self::Control(control) => control.kind(),
            Self::Refused(_) => Kind::Refused,
            Self::Clock => Kind::Clock,
            Self::Epoch { .. } => Kind::Epoch,
        }
    }

    /// Bytes of keys and values in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Insert(rows) => rows.batch.bytes(),
            Self::Delete(keys) => keys.keys.bytes(),
            Self::Upsert { keys, rows } => keys.keys.bytes() + rows.batch.bytes(),
            _ => 0,
        }
    }

    /// The encoded body, to be cut into parts where it exceeds the log's limit.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Insert(rows) => encode_rows(&mut out, rows),
            Self::Delete(keys) => encode_keys(&mut out, keys),
            Self::Upsert { keys, rows } => {
                encode_keys(&mut out, keys);
                encode_rows(&mut out, rows);
            }
            Self::Control(control) => out.put_slice(&serde_json::to_vec(control).expect("a control record has a JSON form")),
            Self::Refused(refusal) => out.put_slice(&serde_json::to_vec(refusal).expect("a refusal has a JSON form")),
            Self::Clock => {}
            Self::Epoch { last_number } => out.put_u64_le(*last_number),
        }
        out.freeze()
    }

    /// The reverse of [`Self::encode`].
    ///
    /// # Errors
    /// `DATA_INTEGRITY`: the record can't be applied, its shard is quarantined.
    pub fn decode(kind: Kind, bytes: &Bytes) -> Result<Self> {
        let mut rest = bytes.clone();
        let body = match kind {
            Kind::Insert => Self::Insert(decode_rows(&mut rest)?),
            Kind::Delete => Self::Delete(decode_keys(&mut rest)?),
            Kind::Upsert => Self::Upsert { keys: decode_keys(&mut rest)?, rows: decode_rows(&mut rest)? },
            Kind::Refused => Self::Refused(json(&mut rest)?),
            Kind::Clock => Self::Clock,
            Kind::Epoch => Self::Epoch { last_number: rest.try_get_u64_le().map_err(|_| Error::corrupt("an Epoch record ends early"))? },
            _ => {
                let control: Control = json(&mut rest)?;
                if control.kind() != kind {
                    return Err(Error::corrupt(format!("a record of kind {kind:?} holds {:?}", control.kind())));
                }
                Self::Control(control)
            }
        };
        if rest.has_remaining() {
            return Err(Error::corrupt(format!("{} bytes follow a record of kind {kind:?}", rest.remaining())));
        }
        Ok(body)
    }
}

fn json<T: for<'a> Deserialize<'a>>(rest: &mut Bytes) -> Result<T> {
    let bytes = rest.split_to(rest.len());
    serde_json::from_slice(&bytes).map_err(|error| Error::corrupt(format!("a control record can't be read: {error}")))
}

fn encode_section(out: &mut BytesMut, head: &[u8], batch: &Batch) {
    let encoded = batch.encode();
    out.put_u32_le(head.len() as u32);
    out.put_u32_le(u32::try_from(encoded.len()).expect("a batch is bounded by WRITE_BYTES_MAX"));
    out.put_slice(head);
    out.put_bytes(0, out.len().next_multiple_of(BODY_ALIGNMENT) - out.len());
    out.put_slice(&encoded);
    out.put_bytes(0, out.len().next_multiple_of(BODY_ALIGNMENT) - out.len());
}

fn decode_section(rest: &mut Bytes) -> Result<(Bytes, Batch)> {
    let early = || Error::corrupt("a record's body ends early");
    if rest.len() < 8 {
        return Err(early());
    }
    let (head, batch) = (rest.get_u32_le() as usize, rest.get_u32_le() as usize);
    let padded = (head + 8).next_multiple_of(BODY_ALIGNMENT) - 8;
    let end = padded.saturating_add(batch.next_multiple_of(BODY_ALIGNMENT));
    if rest.len() < end {
        return Err(early());
    }
    let section = rest.split_to(end);
    Ok((section.slice(..head), Batch::decode(&section.slice(padded..padded + batch))?))
}

fn encode_rows(out: &mut BytesMut, rows: &Rows) {
    let mut head = Vec::with_capacity(12 * rows.runs.len());
    for (partition, count) in &rows.runs {
        head.put_i64_le(partition.0);
        head.put_u32_le(*count);
    }
    encode_section(out, &head, &rows.batch);
}

fn decode_rows(rest: &mut Bytes) -> Result<Rows> {
    let (mut head, batch) = decode_section(rest)?;
    if !head.len().is_multiple_of(12) {
        return Err(Error::corrupt("the partitions of a record's rows end early"));
    }
    let mut runs = Vec::with_capacity(head.len() / 12);
    let mut total = 0u64;
    while head.has_remaining() {
        runs.push((PartitionId(head.get_i64_le()), head.get_u32_le()));
        total += u64::from(runs[runs.len() - 1].1);
    }
    if total != batch.rows() as u64 {
        return Err(Error::corrupt(format!("partitions of {total} rows for a batch of {}", batch.rows())));
    }
    Ok(Rows { runs, batch })
}

fn encode_keys(out: &mut BytesMut, keys: &Keys) {
    let mut head = Vec::with_capacity(16);
    head.put_i64_le(keys.partition.map_or(ALL_PARTITIONS, |partition| partition.0));
    head.put_u64_le(keys.kills_below.map_or(0, |timestamp| timestamp.0));
    let column = Column::new(crate::schema::ROW_ID_FIELD, keys.keys.clone());
    encode_section(out, &head, &Batch::new(keys.keys.slots(), vec![column]));
}

fn decode_keys(rest: &mut Bytes) -> Result<Keys> {
    let (mut head, batch) = decode_section(rest)?;
    let wrong = || Error::corrupt("the keys of a delete can't be read");
    let (Ok(partition), Ok(kills_below)) = (head.try_get_i64_le(), head.try_get_u64_le()) else { return Err(wrong()) };
    let [Column { values, validity: None, .. }] = batch.columns() else { return Err(wrong()) };
    if !matches!(values, Values::Int64(_) | Values::VarChar(_)) {
        return Err(wrong());
    }
    Ok(Keys {
        keys: values.clone(),
        partition: (partition != ALL_PARTITIONS).then_some(PartitionId(partition)),
        kills_below: (kills_below != 0).then_some(Timestamp(kills_below)),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::FieldId;

    fn bodies() -> Vec<Body> {
        let batch = Batch::new(
            3,
            vec![
                Column::new(FieldId(100), Values::VarChar(["a", "b", ""].into_iter().collect())),
                Column::new(FieldId(101), Values::FloatVector { dimension: 2, data: vec![1.0; 6].into() }),
            ],
        );
        let rows = Rows { runs: vec![(PartitionId(7), 1), (PartitionId(8), 2)], batch };
        let keys = Keys { keys: Values::Int64(vec![1, 2].into()), partition: None, kills_below: Some(Timestamp(9)) };
        vec![
            Body::Insert(rows.clone()),
            Body::Delete(keys.clone()),
            Body::Upsert { keys, rows },
            Body::Control(Control::Drop),
            Body::Control(Control::Create { schema: Schema { version: 1, fields: Vec::new() }, partitions: vec![PartitionId(1)] }),
            Body::Refused(Refusal { code: 109, reason: "collection schema mismatch".into() }),
            Body::Clock,
            Body::Epoch { last_number: 12 },
        ]
    }

    fn header(kind: Kind) -> Header {
        Header {
            kind,
            number: 5,
            epoch: Epoch { process: 3, attempt: 1 },
            writer: WriterId(8),
            sequence: 9,
            lowest_outstanding: 2,
            shard: ShardId::new(CollectionId(44), 1),
            schema_version: 6,
            timestamp: Timestamp(1 << 40),
            part: 1,
            parts: 2,
        }
    }

    #[test]
    fn bodies_and_headers_round_trip() {
        for body in bodies() {
            let encoded = body.encode();
            assert_eq!(Body::decode(body.kind(), &encoded).expect("own encoding"), body);
            let frame = Frame::decode(&header(body.kind()).frame(&encoded)).expect("own frame");
            assert_eq!((frame.header, frame.body.expect("own body")), (header(body.kind()), encoded));
        }
    }

    #[test]
    fn damage_in_a_body_spares_the_header() {
        let mut bytes = header(Kind::Insert).frame(b"payload").to_vec();
        *bytes.last_mut().expect("not empty") ^= 1;
        assert!(Frame::decode(&Bytes::from(bytes.clone())).expect("the header is whole").body.is_err());
        bytes[9] ^= 1;
        assert!(Frame::decode(&Bytes::from(bytes)).is_err());
    }

    proptest! {
        #[test]
        fn hostile_bodies_never_panic(which in 0usize..8, at in 0usize..2000, value: u8, cut in 0usize..100) {
            let body = &bodies()[which];
            let mut bytes = body.encode().to_vec();
            if !bytes.is_empty() {
                let length = bytes.len();
                bytes[at % length] = value;
                bytes.truncate(length - cut % length);
            }
            let _ = Body::decode(body.kind(), &Bytes::from(bytes));
        }
    }
}
