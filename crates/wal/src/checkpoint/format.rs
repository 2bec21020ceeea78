//! Bytes of a checkpoint (`docs/formats/checkpoint.md`): little-endian, one checksum at the end, hostile until that matched.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use types::id::{CollectionId, JobId, PartitionId, ShardId, WriterId};
use types::limits::WRITER_IN_FLIGHT_MAX;
use types::position::Position;
use types::record::{Epoch, Refusal};
use types::time::Timestamp;
use types::{Error, Result};

use crate::reader::shards::Shards;
use crate::reader::writers::Entry;
use crate::reader::{Answer, ReaderState, Receipt, ShardState, ShardStates, Writers};

const MAGIC: u32 = u32::from_le_bytes(*b"ELC1");
const CHECKSUM_BYTES: usize = 4;

/// Encodes a state.
///
/// # Panics
/// If a set is open: a checkpoint lies between records.
pub fn encode(state: &ReaderState) -> Bytes {
    assert!(state.is_between_records(), "a checkpoint lies between records");
    let mut out = BytesMut::new();
    out.put_u32_le(MAGIC);
    out.put_slice(&state.position.to_bytes());
    put_epoch(&mut out, state.epoch);
    out.put_u64_le(state.number);
    out.put_u64_le(state.clock.0);
    put_writers(&mut out, &state.writers);
    put_shards(&mut out, &state.shards.shards);
    let checksum = crc32c::crc32c(&out);
    out.put_u32_le(checksum);
    out.freeze()
}

/// The reverse of [`encode`].
///
/// # Errors
/// `DATA_INTEGRITY` for bytes that aren't a checkpoint.
pub fn decode(bytes: &Bytes) -> Result<ReaderState> {
    let Some(length) = bytes.len().checked_sub(CHECKSUM_BYTES) else { return Err(early()) };
    let (mut rest, mut checksum) = (bytes.slice(..length), bytes.slice(length..));
    if crc32c::crc32c(&rest) != checksum.get_u32_le() {
        return Err(Error::corrupt("a checkpoint has another checksum"));
    }
    if rest.try_get_u32_le().map_err(|_| early())? != MAGIC {
        return Err(Error::corrupt("a checkpoint of an unknown version"));
    }
    let position = position(&mut rest)?;
    let epoch = epoch(&mut rest)?;
    let (number, clock) = (u64(&mut rest)?, Timestamp(u64(&mut rest)?));
    let mut state = ReaderState::at(position, epoch, number, clock);
    state.writers = writers(&mut rest)?;
    state.shards = ShardStates { shards: Arc::new(shards(&mut rest)?) };
    if rest.has_remaining() {
        return Err(Error::corrupt(format!("{} bytes follow a checkpoint", rest.remaining())));
    }
    Ok(state)
}

fn early() -> Error {
    Error::corrupt("a checkpoint ends early")
}

fn put_epoch(out: &mut BytesMut, epoch: Epoch) {
    out.put_u64_le(epoch.process);
    out.put_u32_le(epoch.attempt);
}

fn put_receipt(out: &mut BytesMut, receipt: &Receipt) {
    out.put_slice(&receipt.position.to_bytes());
    out.put_u64_le(receipt.number);
    put_epoch(out, receipt.epoch);
    out.put_u64_le(receipt.timestamp.0);
}

fn put_count(out: &mut BytesMut, count: usize) {
    out.put_u32_le(u32::try_from(count).expect("tables of a channel are bounded far below"));
}

fn put_writers(out: &mut BytesMut, writers: &Writers) {
    out.put_i64_le(writers.dropped.0);
    out.put_u64_le(writers.swept.0);
    put_count(out, writers.entries.len());
    for (writer, entry) in &writers.entries {
        out.put_i64_le(writer.0);
        out.put_u64_le(entry.last);
        out.put_u64_le(entry.heard.0);
        put_count(out, entry.answers.len());
        for (sequence, answer) in &entry.answers {
            out.put_u64_le(*sequence);
            put_receipt(out, &answer.receipt);
            match &answer.refusal {
                None => out.put_u8(0),
                Some(refusal) => {
                    out.put_u8(1);
                    out.put_i32_le(refusal.code);
                    put_count(out, refusal.reason.len());
                    out.put_slice(refusal.reason.as_bytes());
                }
            }
        }
    }
}

fn put_shard_id(out: &mut BytesMut, shard: ShardId) {
    out.put_i64_le(shard.collection.0);
    out.put_u16_le(shard.index);
}

fn put_shards(out: &mut BytesMut, shards: &Shards) {
    out.put_i64_le(shards.forgotten);
    put_count(out, shards.live.len());
    for (shard, state) in &shards.live {
        put_shard_id(out, *shard);
        put_receipt(out, &state.created);
        out.put_u32_le(state.schema.0);
        put_receipt(out, &state.schema.1);
        out.put_u64_le(state.generation.0);
        put_receipt(out, &state.generation.1);
        put_count(out, state.dropped_partitions.len());
        for (partition, receipt) in &state.dropped_partitions {
            out.put_i64_le(partition.0);
            put_receipt(out, receipt);
        }
        put_count(out, state.imports.len());
        for (job, receipt) in &state.imports {
            out.put_i64_le(job.0);
            put_receipt(out, receipt);
        }
    }
    put_count(out, shards.dropped.len());
    for (shard, receipt) in &shards.dropped {
        put_shard_id(out, *shard);
        put_receipt(out, receipt);
    }
}

fn u64(rest: &mut Bytes) -> Result<u64> {
    rest.try_get_u64_le().map_err(|_| early())
}

fn i64(rest: &mut Bytes) -> Result<i64> {
    rest.try_get_i64_le().map_err(|_| early())
}

fn u32(rest: &mut Bytes) -> Result<u32> {
    rest.try_get_u32_le().map_err(|_| early())
}

fn position(rest: &mut Bytes) -> Result<Position> {
    let mut bytes = [0; 40];
    rest.try_copy_to_slice(&mut bytes).map_err(|_| early())?;
    Ok(Position::from_bytes(&bytes))
}

fn epoch(rest: &mut Bytes) -> Result<Epoch> {
    Ok(Epoch { process: u64(rest)?, attempt: u32(rest)? })
}

fn receipt(rest: &mut Bytes) -> Result<Receipt> {
    Ok(Receipt { position: position(rest)?, number: u64(rest)?, epoch: epoch(rest)?, timestamp: Timestamp(u64(rest)?) })
}

fn refusal(rest: &mut Bytes) -> Result<Option<Arc<Refusal>>> {
    if rest.try_get_u8().map_err(|_| early())? == 0 {
        return Ok(None);
    }
    let code = rest.try_get_i32_le().map_err(|_| early())?;
    let length = u32(rest)? as usize;
    if rest.len() < length {
        return Err(early());
    }
    let reason = String::from_utf8(rest.split_to(length).to_vec()).map_err(|_| Error::corrupt("a refusal in a checkpoint isn't text"))?;
    Ok(Some(Arc::new(Refusal { code, reason })))
}

fn writers(rest: &mut Bytes) -> Result<Writers> {
    let (dropped, swept) = (WriterId(i64(rest)?), Timestamp(u64(rest)?));
    let mut entries = BTreeMap::new();
    for _ in 0..u32(rest)? {
        let (writer, last, heard) = (WriterId(i64(rest)?), u64(rest)?, Timestamp(u64(rest)?));
        let count = u32(rest)?;
        if count as usize > WRITER_IN_FLIGHT_MAX {
            return Err(Error::corrupt(format!("a checkpoint with {count} answers of one writer")));
        }
        let mut answers = BTreeMap::new();
        for _ in 0..count {
            let sequence = u64(rest)?;
            answers.insert(sequence, Answer { receipt: receipt(rest)?, refusal: refusal(rest)? });
        }
        entries.insert(writer, Arc::new(Entry { last, heard, answers }));
    }
    Ok(Writers { entries, dropped, swept })
}

fn shard_id(rest: &mut Bytes) -> Result<ShardId> {
    Ok(ShardId::new(CollectionId(i64(rest)?), rest.try_get_u16_le().map_err(|_| early())?))
}

fn receipts<K: Ord>(rest: &mut Bytes, key: fn(i64) -> K) -> Result<BTreeMap<K, Receipt>> {
    let count = u32(rest)?;
    (0..count).map(|_| Ok((key(i64(rest)?), receipt(rest)?))).collect()
}

fn shards(rest: &mut Bytes) -> Result<Shards> {
    let mut shards = Shards { forgotten: i64(rest)?, ..Shards::default() };
    for _ in 0..u32(rest)? {
        let shard = shard_id(rest)?;
        let state = ShardState {
            created: receipt(rest)?,
            schema: (u32(rest)?, receipt(rest)?),
            generation: (u64(rest)?, receipt(rest)?),
            dropped_partitions: receipts(rest, PartitionId)?,
            imports: receipts(rest, JobId)?,
        };
        shards.live.insert(shard, state);
    }
    for _ in 0..u32(rest)? {
        let shard = shard_id(rest)?;
        shards.dropped.insert(shard, receipt(rest)?);
    }
    Ok(shards)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::position::LogId;
    use types::record::{Body, Control, Header, Kind};
    use types::schema::Schema;

    use super::*;

    fn state() -> ReaderState {
        let mut state = ReaderState::beginning(LogId(5));
        for number in 1..6 {
            let shard = ShardId::new(CollectionId(number), 0);
            let (kind, body) = match number {
                4 => (Kind::Refused, Body::Refused(Refusal { code: 100, reason: "gone".into() })),
                _ => (Kind::Create, Body::Control(Control::Create { schema: Schema { version: 3, fields: vec![] }, partitions: vec![] })),
            };
            let header = Header {
                kind,
                number: number as u64,
                epoch: Epoch::default(),
                writer: WriterId(number % 2),
                sequence: number as u64,
                lowest_outstanding: 1,
                shard,
                schema_version: 3,
                timestamp: Timestamp(number as u64),
                part: 1,
                parts: 1,
            };
            let at = Position::from_u64(LogId(5), number as u64);
            state.take(&header, 0, at).expect("in order");
            state.complete(&header, Some(&body), at);
            state.shards.fold(shard, &Control::Truncate { generation: 2 }, Receipt { position: at, ..receipt_of(&header) });
            state.shards.fold(shard, &Control::DropPartition { partition: PartitionId(9) }, receipt_of(&header));
        }
        let created = state.shards.live().next().expect("created above").1.created;
        state.shards.fold(ShardId::new(CollectionId(1), 0), &Control::Drop, created);
        state
    }

    fn receipt_of(header: &Header) -> Receipt {
        Receipt { position: Position::default(), number: header.number, epoch: header.epoch, timestamp: header.timestamp }
    }

    #[test]
    fn everything_round_trips() {
        assert_eq!(decode(&encode(&state())), Ok(state()));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(at in 0usize..2000, value: u8, cut in 0usize..2000) {
            let mut bytes = encode(&state()).to_vec();
            let length = bytes.len() - CHECKSUM_BYTES;
            bytes.truncate(length);
            bytes[at % length] = value;
            bytes.truncate(length - cut % length);
            let checksum = crc32c::crc32c(&bytes);
            bytes.extend(checksum.to_le_bytes());
            let _ = decode(&Bytes::from(bytes));
        }
    }
}
