//! Reads a batch and a frame as `docs/formats/batch.md` and `docs/formats/record.md` describe them, without the crate's own decoders.

use bytes::Bytes;
use types::batch::Batch;
use types::bitset::Bitset;
use types::column::{Column, Values};
use types::id::{CollectionId, FieldId, PartitionId, ShardId, WriterId};
use types::record::{Body, Control, Epoch, HEADER_BYTES, Header, Keys, Kind, Refusal, Rows};
use types::time::Timestamp;

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

pub fn batch() -> Batch {
    let validity = Bitset::from_fn(3, |row| row != 1);
    Batch::new(
        3,
        vec![
            Column::new(FieldId(100), Values::Int64(vec![7, 8, 9].into())),
            Column::new(FieldId(101), Values::VarChar(["ab", "", "ö"].into_iter().collect())),
            Column {
                field: FieldId(102),
                validity: Some(validity),
                values: Values::FloatVector { dimension: 2, data: vec![1.0, 2.0, 3.0, 4.0].into() },
            },
        ],
    )
}

#[test]
fn a_batch_is_what_its_page_says() {
    let bytes = batch().encode();
    assert_eq!((&bytes[..4], u32_at(&bytes, 4), u32_at(&bytes, 8), u32_at(&bytes, 12)), (&b"ELB1"[..], 3, 3, 0));
    let entry = |i: usize| &bytes[16 + 48 * i..16 + 48 * (i + 1)];
    let expected = [(100, 5, 0, 0, 3), (101, 21, 0, 0, 3), (102, 101, 1, 2, 2)];
    for (i, (field, kind, flags, dimension, slots)) in expected.into_iter().enumerate() {
        let e = entry(i);
        assert_eq!((u64_at(e, 0), u32_at(e, 8), u32_at(e, 12), u32_at(e, 16), u32_at(e, 20)), (field, kind, flags, dimension, slots));
        assert_eq!(u64_at(e, 32) % 64, 0, "blocks are aligned");
    }
    let values = |i: usize| {
        let at = u64_at(entry(i), 32) as usize;
        &bytes[at..at + u64_at(entry(i), 40) as usize]
    };
    assert_eq!([0, 8, 16].map(|at| u64_at(values(0), at)), [7, 8, 9]);
    assert_eq!([0, 4, 8, 12].map(|at| u32_at(values(1), at)), [0, 2, 2, 4]);
    assert_eq!(&values(1)[16..], "abö".as_bytes());
    assert_eq!([0, 4, 8, 12].map(|at| f32::from_bits(u32_at(values(2), at))), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(u64_at(&bytes, u64_at(entry(2), 24) as usize), 0b101);
}

fn rows() -> Rows {
    Rows { runs: vec![(PartitionId(4), 1), (PartitionId(5), 2)], batch: batch() }
}

fn header(kind: Kind) -> Header {
    Header {
        kind,
        number: 11,
        epoch: Epoch { process: 12, attempt: 13 },
        writer: WriterId(14),
        sequence: 15,
        lowest_outstanding: 16,
        shard: ShardId::new(CollectionId(17), 18),
        schema_version: 19,
        timestamp: Timestamp(20),
        part: 1,
        parts: 2,
    }
}

/// A frame of every shape of body.
pub fn frames() -> Vec<Vec<u8>> {
    let keys = |keys: Values| Keys { keys, partition: Some(PartitionId(4)), kills_below: Some(Timestamp(9)) };
    let bodies = [
        Body::Insert(rows()),
        Body::Delete(keys(Values::Int64(vec![1, 2, 3].into()))),
        Body::Upsert { keys: keys(Values::VarChar(["a", "bc"].into_iter().collect())), rows: rows() },
        Body::Control(Control::Truncate { generation: 3 }),
        Body::Control(Control::DropPartition { partition: PartitionId(4) }),
        Body::Refused(Refusal { code: 100, reason: "gone".to_owned() }),
        Body::Clock,
        Body::Epoch { last_number: 8 },
    ];
    bodies.iter().map(|body| header(body.kind()).frame(&body.encode()).to_vec()).collect()
}

#[test]
fn a_frame_is_what_its_page_says() {
    let body = Body::Insert(rows()).encode();
    let frame: Bytes = header(Kind::Insert).frame(&body);
    assert_eq!((&frame[..4], frame[4]), (&b"ELR1"[..], 1));
    assert_eq!([8, 16, 32, 40, 48, 56, 72].map(|at| u64_at(&frame, at)), [11, 12, 14, 15, 16, 17, 20]);
    assert_eq!((u32_at(&frame, 24), u32_at(&frame, 28)), (13, 19));
    assert_eq!([64, 66, 68, 70].map(|at| u16_at(&frame, at)), [18, 1, 2, 0]);
    assert_eq!((u32_at(&frame, 80) as usize, u32_at(&frame, 84)), (body.len(), crc32c::crc32c(&body)));
    assert_eq!(u32_at(&frame, 124), crc32c::crc32c(&frame[..124]));
    assert_eq!(&frame[HEADER_BYTES..], &body[..]);
    let (head, length) = (u32_at(&body, 0) as usize, u32_at(&body, 4) as usize);
    assert_eq!((head, u64_at(&body, 8), u32_at(&body, 16), u64_at(&body, 20), u32_at(&body, 28)), (24, 4, 1, 5, 2));
    assert_eq!(&body[64..64 + length], &batch().encode()[..]);
    assert_eq!(body.len(), 64 + length.next_multiple_of(64));
}
