//! Writing a shard's growing rows as a segment: pin what there is, encode on the pool, put the objects, have datacoord move the manifest, adopt it.
//!
//! Nothing depends on this having happened: a crash anywhere leaves orphans that nobody names, and the rows in the log.

use std::sync::Arc;

use base::metrics::{Counter, Metrics, milvus};
use role::data::{FlushEdit, ManifestEdit};
use segment::FlushSet;
use store::delete_file;
use store::manifest::{DeleteFileRef, Origin, Segment};
use store::name::{self, AttemptId};
use store::object::StoreError;
use store::segment_file::{self, NewSegment, SegmentRows};
use types::id::{SegmentId, ShardId};
use types::time::Timestamp;
use types::{Code, Error, Result};

use super::{DataNodeRole, sequencing};
use crate::channel::Channel;

/// What a data node counts of its flushes.
pub(super) struct FlushFigures {
    total: Counter,
    success: Counter,
    fail: Counter,
    bytes: Counter,
}

impl FlushFigures {
    /// Under the process's node id.
    pub(super) fn new(metrics: &Metrics) -> Self {
        let (node, flushes) = (metrics.node(), metrics.family(&milvus::DATANODE_FLUSH_REQ_COUNT));
        let flushes = |status| flushes.with([node, status]);
        let bytes = metrics.family(&milvus::DATANODE_FLUSHED_DATA_SIZE).with([node, "streaming", "L1"]);
        Self { total: flushes("total"), success: flushes("success"), fail: flushes("fail"), bytes }
    }

    fn ended<T>(&self, result: &Result<T>) {
        self.total.inc();
        if result.is_ok() { self.success.inc() } else { self.fail.inc() }
    }
}

/// Flushes a shard as of now; returns the clock up to which manifests hold everything.
pub(super) async fn shard(node: &DataNodeRole, id: ShardId) -> Result<Timestamp> {
    let turn: Arc<tokio::sync::Mutex<()>> = node.turns.lock().entry(id).or_default().clone();
    let _turn = turn.lock().await;
    let channel = node.parts.channels.of_shard(id);
    let channel = channel.ok_or_else(|| Error::about(Code::CHANNEL_MISROUTED, &[("shard", &id)]))?;
    let call = node.own_call("flush");
    sequencing::confirm_new_shards(node, &call, &channel).await?;
    let (set, clock) = channel.begin_flush(id)?;
    let Some(mut set) = set else { return Ok(clock) };
    if node.parts.planted.flush_forgets_deletes {
        set.deletes.clear();
    }
    let rows = set.rows();
    let written = commit(node, &channel, set).await;
    node.figures.ended(&written);
    written?;
    tracing::info!(shard = %id, rows, "flushed");
    // The log may be cut now.
    node.parts.channels.changed();
    Ok(clock)
}

/// Writes what there is, moves the manifest, and has this process go over to it.
async fn commit(node: &DataNodeRole, channel: &Channel, set: FlushSet) -> Result<()> {
    let (id, call) = (set.id, node.own_call("flush"));
    let edit = write(node, set).await?;
    let dropped = edit.state == store::manifest::ShardState::Dropped;
    let edited = node.parts.coordinator.edit_manifest(&call, id, ManifestEdit::Flush(Box::new(edit))).await;
    if let Err(error) = edited {
        // The manifest may be ahead of the shard, where going over to it failed: then the next try starts from there.
        node.parts.refresher.refresh(&call, channel, id).await?;
        return Err(error);
    }
    if dropped {
        channel.remove(id);
        node.turns.lock().remove(&id);
    } else {
        node.parts.refresher.refresh(&call, channel, id).await?;
    }
    Ok(())
}

async fn write(node: &DataNodeRole, set: FlushSet) -> Result<FlushEdit> {
    let store = node.parts.opener.store();
    let mut segment_id = SegmentId(node.parts.root.allocate_ids(&node.own_call("segment id"), 1).await?.start);
    let mut attempt = AttemptId::draw(&node.parts.world.random);
    if node.parts.planted.reused_name {
        segment_id = SegmentId(1_000_000 + set.from.number as i64);
        attempt = AttemptId(u128::from(set.from.number));
    }
    let encoded = node.parts.world.cpu.run(move || encode(set, segment_id, attempt)).await?;
    for (name, bytes) in encoded.objects {
        node.figures.bytes.add(bytes.len() as u64);
        store.put(&name, bytes).await.map_err(StoreError::into_error)?;
    }
    Ok(encoded.edit)
}

struct Encoded {
    edit: FlushEdit,
    objects: Vec<(String, bytes::Bytes)>,
}

fn encode(mut set: FlushSet, segment: SegmentId, attempt: AttemptId) -> Result<Encoded> {
    let mut objects = Vec::new();
    let mut segments: Vec<Segment> = Vec::new();
    let (batch, timestamps, partitions) = set.sorted_rows();
    if !timestamps.is_empty() {
        let new = NewSegment {
            collection: set.id.collection,
            id: segment,
            schema: &set.state.schema,
            deletes_applied_to: Timestamp::ZERO,
            origin: Origin::Flush,
            clustered_by: None,
        };
        let encoded = segment_file::encode(&new, &SegmentRows { batch, timestamps, partitions })?;
        segments.push(encoded.segment);
        objects.extend(encoded.objects);
    }
    let deletes: Option<DeleteFileRef> = if set.deletes.is_empty() {
        None
    } else {
        let (reference, bytes) = delete_file::encode(name::delete_file(set.id, attempt), std::mem::take(&mut set.deletes))?;
        objects.push((reference.object.name.clone(), bytes));
        Some(reference)
    };
    let edit = FlushEdit {
        from: set.from,
        flushed: set.progress,
        segments,
        deletes,
        schema: (*set.state.schema).clone(),
        truncated: set.state.truncated,
        dropped_partitions: set.state.dropped_partitions.clone(),
        state: set.state.state,
    };
    Ok(Encoded { edit, objects })
}
