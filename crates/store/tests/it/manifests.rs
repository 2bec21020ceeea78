//! Manifests: what they hold survives, what contradicts itself is refused.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use store::manifest::{
    DeleteFileRef, FileKind, Flushed, Import, IndexFile, Manifest, Origin, PartitionRows, Segment, SegmentFile, ShardState, Snapshot,
    Truncated,
};
use store::quarantine_file::{Head, QuarantineFile};
use store::reference::ObjectRef;
use types::id::{ChannelName, CollectionId, FieldId, IndexId, JobId, PartitionId, SegmentId, ShardId};
use types::position::{LogId, Position};
use types::record::Epoch;
use types::time::Timestamp;

use crate::sample;

fn object(name: &str) -> ObjectRef {
    ObjectRef { name: name.into(), length: 1_000, checksum: 0xdead_beef }
}

pub fn segment(id: i64, timestamps: (u64, u64)) -> Segment {
    let kinds = [FileKind::Fixed, FileKind::Vector(FieldId(110)), FileKind::Variable, FileKind::Keys, FileKind::Stats];
    let index = object(&format!("index/7/{id}/3/00000000000000000000000000000001"));
    Segment {
        id: SegmentId(id),
        rows: 30,
        partitions: vec![PartitionRows { partition: PartitionId(4), rows: 10 }, PartitionRows { partition: PartitionId(5), rows: 20 }],
        timestamps: (Timestamp(timestamps.0), Timestamp(timestamps.1)),
        schema_version: 2,
        deletes_applied_to: Timestamp(timestamps.1),
        committed: None,
        origin: Origin::Compaction { level: 2 },
        clustered_by: Some(FieldId(105)),
        files: kinds.map(|kind| SegmentFile { kind, object: object(&format!("segment/7/{id}/{kind}")) }).into(),
        indexes: vec![IndexFile { index: IndexId(3), field: FieldId(110), object: index }],
    }
}

pub fn deletes(name: &str, effective: (u64, u64)) -> DeleteFileRef {
    let effective = (Timestamp(effective.0), Timestamp(effective.1));
    DeleteFileRef { object: object(name), entries: 12, effective, kills_below_max: effective.1 }
}

/// Two frames of a shard.
pub fn quarantined() -> QuarantineFile {
    let at = |n| Position::from_parts(LogId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef), [1, 2, n]);
    let head = Head {
        shard: ShardId::new(CollectionId(7), 1),
        channel: ChannelName::from("by-dev-elanus-dml_3"),
        reason: "shard 7v1: field number holds Int32 in the log: data integrity check failed".into(),
        through: at(9),
    };
    QuarantineFile { head, frames: vec![(at(4), Bytes::from_static(b"a frame")), (at(8), Bytes::from_static(b"another one"))] }
}

/// One of everything.
pub fn sample() -> Manifest {
    let flushed = Flushed {
        position: Position::from_parts(LogId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef), [1, 2, 3]),
        epoch: Epoch { process: 8, attempt: 1 },
        number: 4_711,
        clock: Timestamp(9_000),
    };
    let mut imported = segment(12, (8_000, 8_000));
    imported.committed = Some(Timestamp(8_000));
    imported.origin = Origin::Import { job: JobId(30) };
    Manifest {
        version: 17,
        truncated: Truncated { generation: 2, timestamp: Timestamp(90) },
        dropped_partitions: BTreeSet::from([PartitionId(6)]),
        segments: vec![segment(10, (100, 200)), segment(11, (300, 8_999)), imported],
        deletes: vec![deletes("delete/7/1/a", (150, 250)), deletes("delete/7/1/b", (200, 8_000))],
        imports: BTreeMap::from([
            (JobId(30), Import::Committed { timestamp: Timestamp(8_000) }),
            (JobId(31), Import::Waiting { segments: vec![segment(20, (1, 1))] }),
        ]),
        kept_since: Timestamp::ZERO,
        snapshots: BTreeMap::from([("nightly".to_owned(), Snapshot { timestamp: Timestamp(700), version: 16 })]),
        ..Manifest::created(ShardId::new(sample::COLLECTION, 1), sample::first_schema(sample::KeyType::Int), flushed)
    }
}

#[test]
fn everything_round_trips() {
    let manifest = sample();
    let bytes = manifest.encode().expect("the sample agrees with itself");
    assert_eq!(Manifest::decode("m", &bytes).expect("own encoding"), manifest);
    let empty = Manifest { segments: vec![], deletes: vec![], imports: BTreeMap::new(), ..manifest.clone() };
    let bytes = empty.encode().expect("no segment is fine");
    assert_eq!(Manifest::decode("m", &bytes).expect("own encoding"), empty);
    assert_eq!(empty.objects().count(), 0);
    assert_eq!((manifest.successor().version, manifest.successor().segments), (18, manifest.segments.clone()));
    // Five files and an index for each of four segments, and two delete files.
    assert_eq!(manifest.objects().count(), 4 * 6 + 2);
}

#[test]
fn contradictions_are_refused() {
    let check = |change: &dyn Fn(&mut Manifest), expected: &str| {
        let mut manifest = sample();
        change(&mut manifest);
        let error = manifest.encode().expect_err(expected);
        assert!(error.reason().contains(expected), "{error}");
    };
    check(&|m| m.version = 0, "versions begin at 1");
    check(&|m| m.segments.swap(0, 1), "segments aren't in order");
    check(&|m| m.segments[1].id = SegmentId(10), "segments aren't in order");
    check(&|m| m.deletes.swap(0, 1), "delete files aren't in order");
    check(&|m| m.deletes[0].entries = 0, "impossible figures");
    check(&|m| m.deletes[0].kills_below_max = Timestamp(10_000), "impossible figures");
    check(&|m| m.segments[0].rows = 31, "rows of its partitions don't add up");
    check(&|m| m.segments[0].partitions.swap(0, 1), "its partitions aren't in order");
    check(&|m| m.segments[0].timestamps.1 = Timestamp(99), "its timestamps aren't a range");
    check(&|m| m.segments[1].timestamps.1 = Timestamp(9_001), "segment 11 has rows of 9001, after 9000");
    check(&|m| m.segments[2].committed = Some(Timestamp(7)), "its rows were committed at another time");
    check(&|m| m.segments[0].files[0].kind = FileKind::Keys, "two of its files are of one kind");
    check(&|m| drop(m.segments[0].files.remove(0)), "a file is missing");
    check(&|m| m.segments[0].files[0].object = object("delete/7/1/a"), "delete/7/1/a is named twice");
    check(
        &|m| {
            let twice = m.segments[0].indexes[0].clone();
            m.segments[0].indexes.push(twice)
        },
        "two files are of one index",
    );
}

#[test]
fn a_newer_format_is_named() {
    let mut bytes = sample().encode().expect("the sample agrees with itself").to_vec();
    bytes[4] = 9;
    let error = Manifest::decode("manifest/7/1/x", &bytes.into()).expect_err("a newer version");
    assert_eq!(
        error.reason(),
        "manifest/7/1/x: a manifest of version 9; this program reads up to 1: upgrade it: data integrity check failed"
    );
}

#[test]
fn a_delete_file_goes_when_every_segment_has_passed_it() {
    let manifest = Manifest { segments: vec![segment(10, (100, 200)), segment(11, (300, 400))], ..sample() };
    let check = |effective: (u64, u64), kills_below_max: u64, needed: bool| {
        let file = DeleteFileRef { kills_below_max: Timestamp(kills_below_max), ..deletes("d", effective) };
        assert_eq!(manifest.needs(&file), needed, "{effective:?} below {kills_below_max}");
    };
    check((150, 200), 200, false);
    check((150, 201), 201, true);
    check((500, 600), 600, true);
    check((500, 600), 100, false);
    check((350, 400), 300, true);
    check((210, 400), 101, true);
}

#[test]
fn a_dropped_shard_has_a_last_manifest() {
    let last = Manifest { state: ShardState::Dropped, segments: vec![], deletes: vec![], imports: BTreeMap::new(), ..sample() };
    let bytes = last.encode().expect("an empty one agrees with itself");
    assert_eq!(Manifest::decode("m", &bytes).expect("own encoding").state, ShardState::Dropped);
}
