//! What an edit makes of a manifest: a pure function, so that who wins a race is decided by the manifest that is there.
//!
//! Refused edits change nothing and are final: their files become orphans, their author starts over from the manifest that is there.

use role::data::{CompactionEdit, FlushEdit, ManifestEdit};
use store::manifest::{IndexFile, Manifest, ShardState};
use store::reference::ObjectRef;
use types::{Code, Error, Result};

/// An edited manifest, and what it no longer names.
pub struct Edited {
    /// The next version.
    pub manifest: Manifest,
    /// Objects that only older versions need.
    pub garbage: Vec<ObjectRef>,
}

/// Applies `edit` to `current`; `None` where it is there already.
///
/// # Errors
/// `UNSUPPORTED`: the edit doesn't fit what is there.
pub fn apply(current: &Manifest, edit: &ManifestEdit) -> Result<Option<Edited>> {
    let mut next = current.successor();
    match edit {
        ManifestEdit::Flush(flush) => apply_flush(&mut next, flush)?,
        ManifestEdit::Compact(compaction) => apply_compaction(&mut next, compaction)?,
        ManifestEdit::AddIndex { segment, file } => {
            let Some(entry) = next.segments.iter_mut().find(|entry| entry.id == *segment) else {
                return Err(refused(current, format!("segment {segment} isn't there")));
            };
            if entry.index(file.index).is_some() {
                return Err(refused(current, format!("segment {segment} has index {} already", file.index)));
            }
            entry.indexes.push(file.clone());
        }
        ManifestEdit::RemoveDamagedIndex { segment, index, object } => {
            let is_it = |file: &IndexFile| file.index == *index && file.object.name == *object;
            let entry = next.segments.iter_mut().find(|entry| entry.id == *segment && entry.indexes.iter().any(is_it));
            let Some(entry) = entry else { return Ok(None) };
            entry.indexes.retain(|file| !is_it(file));
        }
        ManifestEdit::RemoveIndex { index } => {
            if current.segments.iter().all(|segment| segment.index(*index).is_none()) {
                return Ok(None);
            }
            for segment in &mut next.segments {
                segment.indexes.retain(|file| file.index != *index);
            }
        }
    }
    let garbage = garbage(current, &next);
    Ok(Some(Edited { manifest: next, garbage }))
}

fn apply_flush(next: &mut Manifest, flush: &FlushEdit) -> Result<()> {
    if next.flushed != flush.from {
        return Err(refused(next, format!("flushed to {}, not {}", next.flushed.position, flush.from.position)));
    }
    if next.state == ShardState::Dropped {
        return Err(refused(next, "the shard was dropped".to_owned()));
    }
    assert!(flush.flushed.position > flush.from.position, "a flush goes forward");
    next.flushed = flush.flushed;
    next.schema = flush.schema.clone();
    next.truncated = flush.truncated;
    next.dropped_partitions = flush.dropped_partitions.clone();
    next.state = flush.state;
    next.segments.extend(flush.segments.iter().cloned());
    next.deletes.extend(flush.deletes.iter().cloned());
    drop_dead(next);
    next.segments.sort_by_key(|segment| segment.id);
    next.deletes.sort_by_key(|file| file.effective.1);
    Ok(())
}

/// Puts new segments in the place of those that they were made of. Deletes, truncations and dropped partitions that came meanwhile are in the manifest
/// and hold for the new segments as for any.
fn apply_compaction(next: &mut Manifest, compaction: &CompactionEdit) -> Result<()> {
    if let Some(gone) = compaction.from.iter().find(|segment| next.segment(**segment).is_none()) {
        return Err(refused(next, format!("segment {gone} isn't there any more")));
    }
    next.segments.retain(|segment| !compaction.from.contains(&segment.id));
    next.segments.extend(compaction.to.iter().cloned());
    next.kept_since = next.kept_since.max(compaction.applied_to);
    drop_dead(next);
    next.segments.sort_by_key(|segment| segment.id);
    Ok(())
}

/// Lets go of segments that are dead as a whole, and of delete files that no segment needs (`docs/protocol.md` §8).
fn drop_dead(next: &mut Manifest) {
    let (truncated, dropped, state) = (next.truncated.timestamp, &next.dropped_partitions, next.state);
    next.segments.retain(|segment| {
        let in_dropped_partitions = segment.partitions.iter().all(|part| dropped.contains(&part.partition));
        state != ShardState::Dropped && segment.timestamps.1 >= truncated && !in_dropped_partitions
    });
    let needed: Vec<bool> = next.deletes.iter().map(|file| next.needs(file)).collect();
    let mut needed = needed.into_iter();
    next.deletes.retain(|_| needed.next().expect("one answer for each file"));
}

fn garbage(before: &Manifest, after: &Manifest) -> Vec<ObjectRef> {
    let kept: std::collections::BTreeSet<&str> = after.objects().map(|object| object.name.as_str()).collect();
    before.objects().filter(|object| !kept.contains(object.name.as_str())).cloned().collect()
}

fn refused(current: &Manifest, why: String) -> Error {
    Error::new(Code::UNSUPPORTED, format!("shard {} at version {}: {why}: unsupported operation", current.shard, current.version))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use store::manifest::{DeleteFileRef, FileKind, Flushed, Origin, PartitionRows, Segment, SegmentFile, Truncated};
    use types::id::{CollectionId, FieldId, IndexId, PartitionId, SegmentId, ShardId};
    use types::position::{LogId, Position};
    use types::record::Epoch;
    use types::schema::Schema;
    use types::time::Timestamp;

    use super::*;

    fn flushed(at: u64) -> Flushed {
        Flushed {
            position: Position::from_u64(LogId(1), at),
            epoch: Epoch { process: 1, attempt: 0 },
            number: at,
            clock: Timestamp(at * 10),
        }
    }

    fn object(name: &str) -> ObjectRef {
        ObjectRef::of(name, b"")
    }

    fn segment(id: i64, partition: i64, timestamps: (u64, u64)) -> Segment {
        let file = |kind: FileKind| SegmentFile { kind, object: object(&format!("segment/1/{id}/{kind}")) };
        Segment {
            id: SegmentId(id),
            rows: 2,
            partitions: vec![PartitionRows { partition: PartitionId(partition), rows: 2 }],
            timestamps: (Timestamp(timestamps.0), Timestamp(timestamps.1)),
            schema_version: 1,
            deletes_applied_to: Timestamp::ZERO,
            committed: None,
            origin: Origin::Flush,
            clustered_by: None,
            files: vec![file(FileKind::Fixed), file(FileKind::Keys), file(FileKind::Stats)],
            indexes: Vec::new(),
        }
    }

    fn flush(from: u64, to: u64, segments: Vec<Segment>) -> FlushEdit {
        FlushEdit {
            from: flushed(from),
            flushed: flushed(to),
            segments,
            deletes: None,
            schema: Schema { version: 1, fields: Vec::new() },
            truncated: Truncated::default(),
            dropped_partitions: BTreeSet::new(),
            state: ShardState::Created,
        }
    }

    fn flushed_edit(flush: FlushEdit) -> ManifestEdit {
        ManifestEdit::Flush(Box::new(flush))
    }

    fn start() -> Manifest {
        Manifest::created(ShardId::new(CollectionId(1), 0), Schema { version: 1, fields: Vec::new() }, flushed(1))
    }

    fn edit(manifest: &Manifest, edit: ManifestEdit) -> Edited {
        apply(manifest, &edit).expect("fits").expect("changes something")
    }

    #[test]
    fn of_two_flushes_of_one_range_one_wins() {
        let first = edit(&start(), flushed_edit(flush(1, 5, vec![segment(9, 1, (20, 30))]))).manifest;
        assert_eq!((first.version, first.segments.len(), first.flushed), (2, 1, flushed(5)));
        let error = apply(&first, &flushed_edit(flush(1, 4, vec![segment(10, 1, (20, 30))]))).err().expect("the range is flushed");
        assert_eq!(error.code(), Code::UNSUPPORTED);
        let second = edit(&first, flushed_edit(flush(5, 8, vec![segment(3, 1, (60, 70))]))).manifest;
        assert_eq!(second.segments.iter().map(|segment| segment.id.0).collect::<Vec<_>>(), [3, 9]);
    }

    #[test]
    fn what_is_dead_as_a_whole_becomes_garbage() {
        let manifest = edit(&start(), flushed_edit(flush(1, 5, vec![segment(2, 1, (20, 30)), segment(3, 7, (20, 30))]))).manifest;
        let truncate = FlushEdit { truncated: Truncated { generation: 1, timestamp: Timestamp(60) }, ..flush(5, 6, Vec::new()) };
        let drop_partition = FlushEdit { dropped_partitions: [PartitionId(7)].into(), ..flush(5, 6, Vec::new()) };
        let drop = FlushEdit { state: ShardState::Dropped, ..flush(5, 6, Vec::new()) };
        for (flush, left, objects) in [(truncate, 0, 6), (drop_partition, 1, 3), (drop, 0, 6)] {
            let edited = edit(&manifest, flushed_edit(flush));
            assert_eq!((edited.manifest.segments.len(), edited.garbage.len()), (left, objects));
        }
    }

    #[test]
    fn a_delete_file_stays_while_a_segment_has_older_rows() {
        let deletes = DeleteFileRef {
            object: object("delete/1/0/a"),
            entries: 1,
            effective: (Timestamp(45), Timestamp(45)),
            kills_below_max: Timestamp(45),
        };
        let with = |segment| FlushEdit { deletes: Some(deletes.clone()), ..flush(1, 5, vec![segment]) };
        assert_eq!(edit(&start(), flushed_edit(with(segment(2, 1, (20, 30))))).manifest.deletes.len(), 1);
        assert_eq!(edit(&start(), flushed_edit(with(segment(2, 1, (46, 50))))).manifest.deletes.len(), 0);
    }

    #[test]
    fn a_compaction_takes_the_place_of_what_it_was_made_of() {
        let deletes = |at| DeleteFileRef {
            object: object(&format!("delete/1/0/{at}")),
            entries: 1,
            effective: (Timestamp(at), Timestamp(at)),
            kills_below_max: Timestamp(at),
        };
        let with = |from, to, segment, at| flushed_edit(FlushEdit { deletes: Some(deletes(at)), ..flush(from, to, vec![segment]) });
        let two = edit(&edit(&start(), with(1, 5, segment(2, 1, (20, 30)), 40)).manifest, with(5, 8, segment(3, 1, (50, 60)), 70)).manifest;
        assert_eq!((two.segments.len(), two.deletes.len()), (2, 2));
        let merged = |applied_to| Segment { deletes_applied_to: Timestamp(applied_to), ..segment(9, 1, (20, 60)) };
        let compact = |from: &[i64], to: Vec<Segment>| {
            let from = from.iter().map(|id| SegmentId(*id)).collect();
            let applied_to = to.first().map_or(Timestamp(70), |segment| segment.deletes_applied_to);
            ManifestEdit::Compact(Box::new(CompactionEdit { from, to, applied_to }))
        };
        // What was applied goes, what came later stays for readers.
        for (applied_to, left) in [(0, 2), (40, 1), (69, 1), (70, 0)] {
            let edited = edit(&two, compact(&[2, 3], vec![merged(applied_to)]));
            let ids: Vec<i64> = edited.manifest.segments.iter().map(|segment| segment.id.0).collect();
            assert_eq!((ids, edited.manifest.deletes.len(), edited.garbage.len()), (vec![9], left, 6 + 2 - left));
        }
        let none_left = edit(&two, compact(&[2, 3], Vec::new())).manifest;
        assert_eq!((none_left.segments.len(), none_left.kept_since), (0, Timestamp(70)));
        // Somebody else was first.
        assert!(apply(&two, &compact(&[2, 4], vec![merged(0)])).is_err());
        let once = edit(&two, compact(&[2, 3], vec![merged(0)])).manifest;
        assert!(apply(&once, &compact(&[2, 3], vec![merged(0)])).is_err());
        // A partition was dropped meanwhile: what comes back of it is dead.
        let dropped =
            edit(&two, flushed_edit(FlushEdit { dropped_partitions: [PartitionId(7)].into(), ..flush(8, 9, Vec::new()) })).manifest;
        assert!(edit(&dropped, compact(&[2], vec![segment(9, 7, (20, 30))])).manifest.segments.iter().all(|segment| segment.id.0 == 3));
    }

    #[test]
    fn indexes_come_and_go() {
        let manifest = edit(&start(), flushed_edit(flush(1, 5, vec![segment(2, 1, (20, 30))]))).manifest;
        let file = IndexFile { index: IndexId(4), field: FieldId(101), object: object("index/1/2/4/a") };
        let add = ManifestEdit::AddIndex { segment: SegmentId(2), file };
        let indexed = edit(&manifest, add.clone()).manifest;
        assert!(apply(&indexed, &add).is_err() && apply(&start(), &add).is_err());
        let damaged =
            |object: &str| ManifestEdit::RemoveDamagedIndex { segment: SegmentId(2), index: IndexId(4), object: object.to_owned() };
        assert!(apply(&indexed, &damaged("index/1/2/4/b")).expect("fits").is_none());
        assert_eq!(edit(&indexed, damaged("index/1/2/4/a")).manifest.segments[0].indexes.len(), 0);
        let removed = edit(&indexed, ManifestEdit::RemoveIndex { index: IndexId(4) });
        assert_eq!((removed.garbage.len(), removed.manifest.segments[0].indexes.len()), (1, 0));
        assert!(apply(&removed.manifest, &ManifestEdit::RemoveIndex { index: IndexId(4) }).expect("fits").is_none());
    }
}
