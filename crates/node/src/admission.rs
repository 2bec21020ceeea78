//! Memory for what is served: estimated from manifests and admitted before anything is opened.
//!
//! A shard takes what searches need in memory: its indexes, its scalars and keys, its deletes, and the vectors of fields without an
//! index, which are scanned. Vectors under an index are read where it refines, a few pages at a time, and count as mapped. Rows that no
//! segment holds count beside.
//!
//! A shard that is served already stays served however it grows: refusing its new manifest would free nothing. It counts, so that
//! others are refused before the machine ends the process.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use role::query::Memory;
use store::manifest::{FileKind, Manifest, Segment};
use types::id::ShardId;
use types::{Code, Error, Result};

use crate::channels::Channels;

/// What an operator says of it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct MemoryLimits {
    /// Bytes that what is served may take, growing rows included.
    pub bytes: u64,
    /// A shard is admitted with this many times what it is estimated to take (`queryNode.loadMemoryUsageFactor`).
    pub factor: f64,
}

impl MemoryLimits {
    /// No bound.
    pub const NONE: Self = Self { bytes: u64::MAX, factor: 1.0 };
}

/// Who was admitted, with how much.
pub struct Admission {
    limits: MemoryLimits,
    channels: Arc<Channels>,
    admitted: Mutex<Admitted>,
}

#[derive(Default)]
struct Admitted {
    by_shard: BTreeMap<ShardId, u64>,
    /// Of all.
    bytes: u64,
}

impl Admission {
    /// Nobody yet.
    pub fn new(limits: MemoryLimits, channels: Arc<Channels>) -> Self {
        Self { limits, channels, admitted: Mutex::default() }
    }

    /// Admits a shard as its manifest has it, or counts it anew.
    ///
    /// # Errors
    /// `MEMORY_LIMIT`, naming what is needed and what is there: it isn't served yet and doesn't fit.
    pub fn admit(&self, manifest: &Manifest, is_served: bool) -> Result<()> {
        let (shard, limit) = (manifest.shard, self.limits.bytes);
        let bytes = (estimate(manifest) as f64 * self.limits.factor) as u64;
        let growing = self.channels.unflushed_bytes() as u64;
        let mut admitted = self.admitted.lock();
        let before = admitted.by_shard.get(&shard).copied().unwrap_or(0);
        let used = admitted.bytes - before + growing;
        if !is_served && bytes > limit.saturating_sub(used) {
            let text = format!(
                "insufficient memory to load shard {shard}: load segment failed, OOM if load, {bytes} bytes are needed, \
                 {used} of {limit} are in use: memory limit exceeded"
            );
            return Err(Error::new(Code::MEMORY_LIMIT, text));
        }
        admitted.bytes = admitted.bytes - before + bytes;
        admitted.by_shard.insert(shard, bytes);
        Ok(())
    }

    /// A shard is served no longer.
    pub fn leave(&self, shard: ShardId) {
        let mut admitted = self.admitted.lock();
        let bytes = admitted.by_shard.remove(&shard).unwrap_or(0);
        admitted.bytes -= bytes;
    }

    /// What there is, and what is used.
    pub fn memory(&self) -> Memory {
        let used_bytes = self.admitted.lock().bytes + self.channels.unflushed_bytes() as u64;
        Memory { limit_bytes: self.limits.bytes, used_bytes }
    }
}

/// Bytes that serving a shard takes, about.
fn estimate(manifest: &Manifest) -> u64 {
    let segments: u64 = manifest.segments.iter().map(estimate_segment).sum();
    segments + manifest.deletes.iter().map(|file| file.object.length).sum::<u64>()
}

fn estimate_segment(segment: &Segment) -> u64 {
    let is_indexed = |kind: FileKind| matches!(kind, FileKind::Vector(field) if segment.indexes.iter().any(|index| index.field == field));
    let files = segment.files.iter().filter(|file| !is_indexed(file.kind)).map(|file| file.object.length);
    let indexes = segment.indexes.iter().map(|index| index.object.length);
    files.chain(indexes).sum()
}

#[cfg(test)]
mod tests {
    use store::manifest::{DeleteFileRef, Flushed, IndexFile, Origin, SegmentFile};
    use store::reference::ObjectRef;
    use types::id::{CollectionId, FieldId, IndexId, SegmentId};
    use types::position::{LogId, Position};
    use types::record::Epoch;
    use types::schema::Schema;
    use types::time::Timestamp;

    use super::*;

    fn object(length: u64) -> ObjectRef {
        ObjectRef { name: length.to_string(), length, checksum: 0 }
    }

    fn segment(indexed: bool) -> Segment {
        let file = |kind, length| SegmentFile { kind, object: object(length) };
        let index = IndexFile { index: IndexId(1), field: FieldId(101), object: object(1) };
        Segment {
            id: SegmentId(1),
            rows: 1,
            partitions: Vec::new(),
            timestamps: (Timestamp(1), Timestamp(1)),
            schema_version: 1,
            deletes_applied_to: Timestamp::ZERO,
            committed: None,
            origin: Origin::Flush,
            clustered_by: None,
            files: vec![file(FileKind::Fixed, 10), file(FileKind::Keys, 100), file(FileKind::Vector(FieldId(101)), 1_000)],
            indexes: if indexed { vec![index] } else { Vec::new() },
        }
    }

    fn manifest(index: u16, segments: Vec<Segment>) -> Manifest {
        let flushed = Flushed { position: Position::from_u64(LogId(1), 1), epoch: Epoch::default(), number: 0, clock: Timestamp(1) };
        let schema = Schema { version: 1, fields: Vec::new() };
        Manifest { segments, ..Manifest::created(ShardId::new(CollectionId(1), index), schema, flushed) }
    }

    #[test]
    fn vectors_under_an_index_are_mapped_and_the_rest_counts() {
        assert_eq!(estimate(&manifest(0, Vec::new())), 0);
        assert_eq!(estimate(&manifest(0, vec![segment(true)])), 111);
        let deletes =
            DeleteFileRef { object: object(10_000), entries: 1, effective: (Timestamp(1), Timestamp(1)), kills_below_max: Timestamp(1) };
        assert_eq!(estimate(&Manifest { deletes: vec![deletes], ..manifest(0, vec![segment(true), segment(false)]) }), 11_221);
    }

    #[test]
    fn what_is_served_may_grow_and_then_others_are_refused() {
        let admission = Admission::new(MemoryLimits { bytes: 2_000, factor: 1.0 }, Arc::default());
        let small = |index| manifest(index, vec![segment(true)]);
        let large = |index| manifest(index, vec![segment(false), segment(false)]);
        admission.admit(&small(0), false).expect("there is room");
        admission.admit(&small(1), false).expect("there is room");
        assert_eq!(admission.admit(&large(2), false).map_err(|error| error.code()), Err(Code::MEMORY_LIMIT));
        admission.admit(&large(1), true).expect("it is served");
        assert_eq!(admission.memory(), Memory { limit_bytes: 2_000, used_bytes: 2_331 });
        assert!(admission.admit(&small(3), false).is_err(), "more is there than may be");
        admission.leave(ShardId::new(CollectionId(1), 1));
        admission.leave(ShardId::new(CollectionId(1), 7));
        admission.admit(&small(3), false).expect("there is room again");
        assert_eq!(admission.memory().used_bytes, 222);
    }
}
