//! Rewriting segments of a shard: the inputs are opened and compared with their checksums, what lives is merged, new files and their indexes are
//! written. Which segments, and when they take the place of the old ones, is datacoord's business (`docs/protocol.md` §8).
//!
//! A crash or a lost answer leaves files that no manifest names: each attempt has ids of its own.

use std::sync::Arc;

use role::Call;
use role::index::{BuildTask, CompactionTask};
use segment::compact::{Compaction, Cut};
use segment::{ControlState, Sealed};
use store::manifest::{Origin, Segment, ShardState};
use store::object::StoreError;
use store::segment_file::{self, EncodedSegment, NewSegment, ScrubCursor};
use types::delete::DeleteEntry;
use types::{Error, Result};

use super::IndexNodeRole;

impl IndexNodeRole {
    pub(super) async fn rewrite(&self, call: &Call, task: CompactionTask) -> Result<Vec<Segment>> {
        let inputs = self.inputs(&task).await?;
        let task = Arc::new(task);
        let merging = {
            let (task, inputs) = (task.clone(), inputs.clone());
            self.pool.run(move || merge(&task, &inputs))
        };
        let encoded = call.bound("a compaction", merging).await?;
        drop(inputs);
        let mut segments = Vec::with_capacity(encoded.len());
        for EncodedSegment { segment, objects } in encoded {
            for (name, bytes) in objects {
                self.opener.store().put(&name, bytes).await.map_err(StoreError::into_error)?;
            }
            segments.push(self.indexed(call, &task, segment).await?);
        }
        Ok(segments)
    }

    /// The segments to be rewritten, each with the deletes that are to be applied and no other.
    async fn inputs(&self, task: &CompactionTask) -> Result<Arc<Vec<Sealed>>> {
        let key = task.schema.primary();
        let mut deletes: Vec<Vec<DeleteEntry>> = Vec::with_capacity(task.deletes.len());
        for file in &task.deletes {
            let entries = self.opener.source().delete_file(file).await?;
            deletes.push(entries.entries().filter(|entry| entry.effective <= task.applied_to).collect());
        }
        let mut inputs = Vec::with_capacity(task.segments.len());
        for entry in &task.segments {
            let reader = self.opener.reader(entry, &task.schema).await?;
            // What is damaged would be whole again, and wrong, in a new file.
            let reader = self.world.tasks.blocking(move || reader.scrub(&mut ScrubCursor::default(), u64::MAX).map(|_| reader)).await?;
            let sealed = Sealed::new(reader, key.clone(), Vec::new(), &[])?;
            for (_, entries) in task.deletes.iter().zip(&deletes).filter(|(file, _)| entry.needs(file)) {
                entries.iter().try_for_each(|delete| sealed.delete(delete))?;
            }
            inputs.push(sealed);
        }
        Ok(Arc::new(inputs))
    }

    /// A new segment with the indexes that it needs. One that can't be built is left to indexcoord, which says why.
    async fn indexed(&self, call: &Call, task: &CompactionTask, mut segment: Segment) -> Result<Segment> {
        if u64::from(segment.rows) < task.indexed_rows_min {
            return Ok(segment);
        }
        for definition in &task.definitions {
            let build =
                BuildTask { shard: task.shard, segment: segment.clone(), schema: task.schema.clone(), definition: definition.clone() };
            match self.build_one(call, build).await {
                Ok(file) => segment.indexes.push(file),
                Err(error) => {
                    tracing::warn!(segment = %segment.id, index = %definition.name, %error, "a compacted segment comes without an index");
                }
            }
        }
        Ok(segment)
    }
}

fn merge(task: &CompactionTask, inputs: &[Sealed]) -> Result<Vec<EncodedSegment>> {
    let state = ControlState {
        schema: Arc::new(task.schema.clone()),
        truncated: task.truncated,
        dropped_partitions: task.dropped_partitions.clone(),
        state: ShardState::Created,
    };
    let cut = Cut { bytes_max: task.bytes_max, own_bytes: task.own_bytes, segments_max: task.ids.len() };
    let compaction = Compaction::plan(inputs, &state, cut)?;
    let level = |segment: &Segment| match segment.origin {
        Origin::Compaction { level } => level,
        Origin::Flush | Origin::Import { .. } => 0,
    };
    let level = 1 + task.segments.iter().map(level).max().unwrap_or(0);
    let encode = |output: usize| {
        let id = *task.ids.get(output).ok_or_else(|| Error::internal("a compaction has no id for a segment"))?;
        let new = NewSegment {
            collection: task.shard.collection,
            id,
            schema: &task.schema,
            deletes_applied_to: task.applied_to,
            origin: Origin::Compaction { level },
            clustered_by: None,
        };
        segment_file::encode(&new, &compaction.rows(output)?)
    };
    (0..compaction.len()).map(encode).collect()
}
