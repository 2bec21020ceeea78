//! Compactions as datacoord has them done, and builds of indexes beside them.

use std::time::Duration;

use role::data::{CurrentManifest, DataCoord, FlushEdit, ManifestEdit};
use role::index::{CreateIndex, IndexCoord};
use store::manifest::{FileKind, Flushed, Manifest, Origin, PartitionRows, Segment, SegmentFile, ShardState, Truncated};
use store::reference::ObjectRef;
use types::id::{PartitionId, SegmentId, ShardId};
use types::position::{LogId, Position};
use types::time::Timestamp;

use crate::fixture::{Cluster, Leading};
use crate::serving::definition;

fn segment(id: i64, at: Timestamp) -> Segment {
    let file =
        |kind: FileKind| SegmentFile { kind, object: ObjectRef { name: format!("segment/{id}/{kind}"), length: 1_000, checksum: 0 } };
    Segment {
        id: SegmentId(id),
        rows: 10,
        partitions: vec![PartitionRows { partition: PartitionId(1), rows: 10 }],
        timestamps: (at, at),
        schema_version: 1,
        deletes_applied_to: Timestamp::ZERO,
        committed: None,
        origin: Origin::Flush,
        clustered_by: None,
        files: vec![file(FileKind::Fixed), file(FileKind::Keys), file(FileKind::Stats)],
        indexes: Vec::new(),
    }
}

async fn manifest(cluster: &Cluster, term: &Leading, shard: ShardId) -> Manifest {
    match term.data.manifest(&cluster.call(), shard).await.expect("it leads") {
        CurrentManifest::Start(manifest) => *manifest,
        CurrentManifest::Object(pointer) => {
            let bytes = cluster.objects.get(&pointer.name).await.expect("memory");
            Manifest::decode(&pointer.name, &bytes).expect("it was just written")
        }
    }
}

/// A flush of one segment.
async fn flush(cluster: &Cluster, term: &Leading, (shard, id): (ShardId, i64)) {
    let current = manifest(cluster, term, shard).await;
    let next = 1_000 + id as u64;
    let clock = Timestamp(next << 18);
    let flushed = Flushed { position: Position::from_u64(LogId(7), next), number: next, clock, ..current.flushed };
    let edit = FlushEdit {
        from: current.flushed,
        flushed,
        segments: vec![segment(id, clock)],
        deletes: None,
        schema: current.schema.clone(),
        truncated: Truncated::default(),
        dropped_partitions: Default::default(),
        state: ShardState::Created,
    };
    term.data.edit_manifest(&cluster.call(), shard, ManifestEdit::Flush(Box::new(edit))).await.expect("it follows");
}

fn ids(manifest: &Manifest) -> Vec<i64> {
    manifest.segments.iter().map(|segment| segment.id.0).collect()
}

#[tokio::test(start_paused = true)]
async fn small_segments_of_a_shard_at_rest_become_one() {
    let cluster = Cluster::new();
    let term = cluster.started().await;
    let shard = ShardId::new(cluster.create(&term, "books", 1).await.id, 0);
    for id in 1..=3 {
        flush(&cluster, &term, (shard, id)).await;
    }
    // One that fails changes nothing, and is done again.
    cluster.nodes[0].fail("compact 1 2 3", 1);
    term.data.compact_worn().await.expect_err("the node can't");
    assert_eq!(ids(&manifest(&cluster, &term, shard).await), [1, 2, 3]);
    term.data.compact_worn().await.expect("now it can");
    let compacted = manifest(&cluster, &term, shard).await;
    assert_eq!((compacted.segments.len(), compacted.segments[0].rows, cluster.nodes[0].count("compact ")), (1, 30, 2));
    assert_eq!(compacted.kept_since, compacted.flushed.clock, "all of it is older than the horizon");
    term.data.compact_worn().await.expect("nothing is to be done");
    assert_eq!(cluster.nodes[0].count("compact "), 2);
}

#[tokio::test(start_paused = true)]
async fn a_build_whose_segment_is_rewritten_meanwhile_is_no_failure() {
    let cluster = Cluster::new();
    let term = cluster.started().await;
    let collection = cluster.create(&term, "books", 1).await.id;
    let shard = ShardId::new(collection, 0);
    flush(&cluster, &term, (shard, 1)).await;
    flush(&cluster, &term, (shard, 2)).await;
    let call = cluster.call();
    term.index.create_index(&call, CreateIndex { collection, definition: definition("i") }).await.expect("a plain definition");
    let compaction = async {
        cluster.world.clock.sleep(Duration::from_secs(1)).await;
        term.data.compact_worn().await
    };
    let (built, compacted) = futures::join!(term.index.build_missing(), compaction);
    compacted.expect("the node is there");
    built.expect("nothing failed");
    assert_eq!(cluster.nodes[0].count("build "), 1, "the second one's segment was gone before its turn");
    let status = &term.index.indexes(&call, collection).await.expect("it leads")[0];
    assert_eq!((status.failure.clone(), status.total_rows), (None, 20));
}
