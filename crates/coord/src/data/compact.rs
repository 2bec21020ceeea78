//! Compaction: which segments of a shard are rewritten as fewer ones, and having it done (`docs/protocol.md` §8).
//!
//! Segments of about one size are merged when there are [`FAN_IN`] of them, so that each row is rewritten once for each size that its segment goes
//! through; all small ones of a shard that has come to rest; and any segment with many dead rows. The plan is pure and made anew from the
//! manifest each round: nothing has to be remembered, and a task that failed is planned again.
//!
//! Not here: the rewriting (`node::index`), the edit's rules ([`super::edit`]).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use role::Call;
use role::data::{CompactionEdit, ManifestEdit};
use role::index::CompactionTask;
use store::manifest::{DeleteFileRef, Manifest, Segment, ShardState};
use types::id::{PartitionId, SegmentId, ShardId};
use types::index_params::IndexDefinition;
use types::time::Timestamp;
use types::{Code, Error, Result};

use super::{Data, manifests};
use crate::context::Context;

/// Segments of about one size that are merged.
const FAN_IN: usize = 4;
/// Segments that are rewritten at once.
const INPUTS_MAX: usize = 64;
/// Segments below this are of one size; then each size is four times the one before.
const SIZE_FIRST: u64 = 64 << 10;
/// A partition with this part of a full segment has segments of its own.
const OWN_PART: u64 = 4;
/// A segment with more dead rows than this part of all is rewritten.
const DEAD_PART: u64 = 5;
/// So is one that this many delete files are opened for.
const DELETE_FILES_MAX: usize = 100;
/// A shard into which nothing was flushed for so long has come to rest: who loads in bursts isn't rewritten between them.
const REST: Duration = Duration::from_secs(300);
/// The longest compaction: a full segment and a graph over it, on one slow core.
const COMPACTION_MAX: Duration = Duration::from_secs(4 * 60 * 60);

/// By what a plan is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// Bytes of a full segment.
    pub bytes_max: u64,
    /// Rows that ended at or below may go.
    pub horizon: Timestamp,
    /// Wall time.
    pub now: Timestamp,
}

/// Groups of segments to be rewritten, each by itself.
pub(super) fn plan(manifest: &Manifest, policy: &Policy) -> Vec<Vec<SegmentId>> {
    if manifest.state == ShardState::Dropped {
        return Vec::new();
    }
    let worn = worn(manifest, policy);
    let at_rest = manifest.flushed.clock.millis() + REST.as_millis() as u64 <= policy.now.millis();
    let mut classes: BTreeMap<(Option<PartitionId>, u32), Vec<&Segment>> = BTreeMap::new();
    for segment in manifest.segments.iter().filter(|segment| is_small(segment, policy)) {
        let size = if at_rest { 0 } else { size_class(segment) };
        classes.entry((own_partition(segment, policy), size)).or_default().push(segment);
    }
    let fan_in = if at_rest { 2 } else { FAN_IN };
    let mut groups = Vec::new();
    let mut taken = BTreeSet::new();
    for mut class in classes.into_values().filter(|class| class.len() >= fan_in) {
        class.sort_by_key(|segment| (data_bytes(segment), segment.id));
        for group in packed(&class, policy.bytes_max) {
            // What is left over waits for more of its size, unless it nearly fills a segment.
            let fills = group.len() >= 2 && group.iter().map(|segment| data_bytes(segment)).sum::<u64>() >= policy.bytes_max / 2;
            if group.len() >= fan_in || fills {
                taken.extend(group.iter().map(|segment| segment.id));
                groups.push(group.into_iter().map(|segment| segment.id).collect());
            }
        }
    }
    groups.extend(worn.into_iter().filter(|segment| !taken.contains(segment)).map(|segment| vec![segment]));
    groups
}

/// Runs of segments that fit a full one together.
fn packed<'a>(class: &[&'a Segment], bytes_max: u64) -> Vec<Vec<&'a Segment>> {
    let mut groups: Vec<Vec<&Segment>> = Vec::new();
    let mut bytes = 0;
    for segment in class.iter().copied() {
        match groups.last_mut() {
            Some(last) if bytes + data_bytes(segment) <= bytes_max && last.len() < INPUTS_MAX => last.push(segment),
            _ => {
                groups.push(vec![segment]);
                bytes = 0;
            }
        }
        bytes += data_bytes(segment);
    }
    groups
}

/// Segments that are worth a rewriting by themselves: by what deletes, dropped partitions and truncations that may be applied have killed of them.
fn worn(manifest: &Manifest, policy: &Policy) -> Vec<SegmentId> {
    let may_apply = |file: &&DeleteFileRef| file.effective.1 <= policy.horizon;
    let files: Vec<(&DeleteFileRef, u64)> =
        manifest.deletes.iter().filter(may_apply).map(|file| (file, rows_under(manifest, file))).collect();
    let is_worn = |segment: &&Segment| {
        let rows = u64::from(segment.rows);
        let needed = || files.iter().filter(|(file, _)| segment.needs(file));
        let deleted: u64 = needed().map(|(file, under)| file.entries.min(*under) * rows / (*under).max(1)).sum();
        let dropped: u64 = segment
            .partitions
            .iter()
            .filter(|part| manifest.dropped_partitions.contains(&part.partition))
            .map(|part| u64::from(part.rows))
            .sum();
        let truncated = segment.timestamps.0 < manifest.truncated.timestamp;
        let dead = deleted + dropped;
        truncated || dead * DEAD_PART > rows || needed().count() > DELETE_FILES_MAX
    };
    manifest.segments.iter().filter(is_worn).map(|segment| segment.id).collect()
}

/// Rows of all segments that a delete file may kill some of.
fn rows_under(manifest: &Manifest, file: &DeleteFileRef) -> u64 {
    manifest.segments.iter().filter(|segment| segment.needs(file)).map(|segment| u64::from(segment.rows)).sum()
}

fn data_bytes(segment: &Segment) -> u64 {
    segment.files.iter().map(|file| file.object.length).sum()
}

fn is_small(segment: &Segment, policy: &Policy) -> bool {
    data_bytes(segment) < policy.bytes_max / 2 && segment.committed.is_none()
}

fn size_class(segment: &Segment) -> u32 {
    (data_bytes(segment) / SIZE_FIRST).max(1).ilog(4)
}

/// The partition of a segment that is large enough to be of one partition alone: merged with others it would be taken apart again.
fn own_partition(segment: &Segment, policy: &Policy) -> Option<PartitionId> {
    let own = segment.partitions.len() == 1 && data_bytes(segment) >= policy.bytes_max / OWN_PART;
    own.then(|| segment.partitions[0].partition)
}

/// One task.
struct Planned {
    shard: ShardId,
    task: CompactionTask,
}

impl Data {
    /// Rewrites what is to be rewritten of these shards; returns how many rewritings there were.
    ///
    /// # Errors
    /// The first that failed; others were tried. Call again.
    pub(super) async fn compact(&self, shards: Vec<ShardId>) -> Result<usize> {
        let mut failed = None;
        let mut planned = Vec::new();
        for shard in shards {
            match self.planned(shard).await {
                Ok(tasks) => planned.extend(tasks),
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        let nodes = self.context.members().index_nodes.clone();
        if nodes.is_empty() && !planned.is_empty() {
            return Err(Error::new(Code::SERVICE_NOT_READY, "no index node is there to compact: service not ready"));
        }
        let count = planned.len();
        let carried_out = planned.into_iter().enumerate().map(|(number, planned)| {
            let address = nodes[number % nodes.len()].address.clone();
            async move { self.carry_out(&address, planned).await }
        });
        let results: Vec<Result<()>> = futures::stream::iter(carried_out).buffer_unordered(nodes.len().max(1)).collect().await;
        failed.map_or(Ok(()), Err).and(results.into_iter().collect::<Result<()>>()).map(|()| count)
    }

    async fn planned(&self, shard: ShardId) -> Result<Vec<Planned>> {
        let context = &self.context;
        let manifest = manifests::current(context, shard).await?;
        let policy = policy(context, &manifest);
        let definitions = definitions(context, shard)?;
        let mut planned = Vec::new();
        for group in plan(&manifest, &policy) {
            let segments: Vec<Segment> = manifest.segments.iter().filter(|segment| group.contains(&segment.id)).cloned().collect();
            let bytes: u64 = segments.iter().map(data_bytes).sum();
            let outputs = 1 + (OWN_PART + 1) * bytes.div_ceil(policy.bytes_max.max(1));
            let mut ids = Vec::new();
            for _ in 0..outputs {
                ids.push(SegmentId(context.id().await?));
            }
            let deletes = manifest.deletes.iter().filter(|file| segments.iter().any(|segment| segment.needs(file))).cloned().collect();
            // What an earlier one dropped is gone already; a clock that went back brings nothing back.
            let applied_to = policy.horizon.min(manifest.flushed.clock).max(manifest.kept_since);
            let task = CompactionTask {
                shard,
                segments,
                deletes,
                schema: manifest.schema.clone(),
                applied_to,
                truncated: manifest.truncated,
                dropped_partitions: manifest.dropped_partitions.clone(),
                ids,
                bytes_max: policy.bytes_max,
                own_bytes: policy.bytes_max / OWN_PART,
                definitions: definitions.clone(),
                indexed_rows_min: context.settings().indexed_rows_min,
            };
            planned.push(Planned { shard, task });
        }
        Ok(planned)
    }

    async fn carry_out(&self, address: &str, planned: Planned) -> Result<()> {
        let Planned { shard, mut task } = planned;
        let call = Call::within(&self.context.world, COMPACTION_MAX, "compaction");
        let from: BTreeSet<SegmentId> = task.segments.iter().map(|segment| segment.id).collect();
        let before: u64 = task.segments.iter().map(|segment| u64::from(segment.rows)).sum();
        let done = async {
            let node = self.context.peers.index_node(address)?;
            let applied_to = task.applied_to;
            if self.context.planted.compaction_ignores_snapshots {
                task.applied_to = Timestamp::MAX;
            }
            let mut to = call.bound("a compaction", node.compact(&call, task)).await?;
            to.iter_mut().for_each(|segment| segment.deletes_applied_to = applied_to);
            let after: u64 = to.iter().map(|segment| u64::from(segment.rows)).sum();
            tracing::info!(%shard, from = from.len(), to = to.len(), rows_before = before, rows = after, "segments were compacted");
            let edit = ManifestEdit::Compact(Box::new(CompactionEdit { from: from.clone(), to, applied_to }));
            self.manifests.edit(shard, &edit).await.map(drop)
        };
        let done = self.context.ended.run_until_cancelled(done).await;
        match done.unwrap_or_else(|| Err(Error::timeout("a term that is over"))) {
            // Another one, a truncation or a drop was first: the next round plans anew.
            Err(error) if error.code() == Code::UNSUPPORTED => {
                tracing::info!(%shard, %error, "a compaction came too late");
                Ok(())
            }
            done => done.inspect_err(|error| tracing::warn!(%shard, %error, "a compaction failed and is tried again")),
        }
    }
}

fn policy(context: &Context, manifest: &Manifest) -> Policy {
    let settings = context.settings();
    let now = Timestamp::from_millis(context.world.clock.wall_ms());
    let young = now.minus_millis(settings.snapshot_horizon.as_millis() as u64);
    // Named snapshots are promises without an end.
    let pinned = manifest.snapshots.values().map(|snapshot| snapshot.timestamp).min();
    let horizon = pinned.map_or(young, |pinned| young.min(pinned));
    Policy { bytes_max: settings.segment_bytes_max, horizon, now }
}

fn definitions(context: &Context, shard: ShardId) -> Result<Vec<IndexDefinition>> {
    context.view.read(|loaded| match loaded.damage::<meta::catalog::model::Indexes>(&shard.collection) {
        Some(damage) => Err(damage.clone()),
        None => Ok(loaded.indexes.get(&shard.collection).map(|found| found.value.definitions.clone()).unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use store::manifest::{FileKind, Flushed, Origin, PartitionRows, SegmentFile};
    use store::reference::ObjectRef;
    use types::id::CollectionId;
    use types::position::{LogId, Position};
    use types::record::Epoch;
    use types::schema::Schema;

    use super::*;

    const MB: u64 = 1 << 20;
    const NOW: u64 = 10_000_000;

    fn segment(id: i64, megabytes: u64, partitions: &[(i64, u32)]) -> Segment {
        let file = |kind, length| SegmentFile { kind, object: ObjectRef { name: format!("{id}/{kind}"), length, checksum: 0 } };
        Segment {
            id: SegmentId(id),
            rows: partitions.iter().map(|(_, rows)| rows).sum(),
            partitions: partitions.iter().map(|(id, rows)| PartitionRows { partition: PartitionId(*id), rows: *rows }).collect(),
            timestamps: (Timestamp(10), Timestamp(20)),
            schema_version: 1,
            deletes_applied_to: Timestamp::ZERO,
            committed: None,
            origin: Origin::Flush,
            clustered_by: None,
            files: vec![file(FileKind::Fixed, megabytes * MB), file(FileKind::Keys, 0), file(FileKind::Stats, 0)],
            indexes: Vec::new(),
        }
    }

    fn manifest(segments: Vec<Segment>, flushed_ms: u64) -> Manifest {
        let epoch = Epoch { process: 1, attempt: 0 };
        let flushed = Flushed { position: Position::from_u64(LogId(1), 1), epoch, number: 1, clock: Timestamp::from_millis(flushed_ms) };
        let schema = Schema { version: 1, fields: Vec::new() };
        Manifest { segments, ..Manifest::created(ShardId::new(CollectionId(1), 0), schema, flushed) }
    }

    fn policy() -> Policy {
        let now = Timestamp::from_millis(NOW);
        Policy { bytes_max: 1024 * MB, horizon: now.minus_millis(600_000), now }
    }

    fn check(manifest: &Manifest, policy: &Policy, expected: &[&[i64]]) {
        let groups = plan(manifest, policy);
        let groups: Vec<Vec<i64>> = groups.iter().map(|group| group.iter().map(|id| id.0).collect()).collect();
        assert_eq!(groups, expected);
    }

    fn deletes(entries: u64, effective_ms: u64) -> DeleteFileRef {
        let at = Timestamp::from_millis(effective_ms);
        let object = ObjectRef { name: format!("delete/{effective_ms}"), length: 1, checksum: 0 };
        DeleteFileRef { object, entries, effective: (at, at), kills_below_max: at }
    }

    #[test]
    fn segments_of_one_size_are_merged_when_they_are_enough() {
        let of =
            |sizes: &[u64], flushed_ms| manifest((1..).zip(sizes).map(|(id, size)| segment(id, *size, &[(1, 100)])).collect(), flushed_ms);
        check(&of(&[20, 20, 20], NOW), &policy(), &[]);
        check(&of(&[20, 20, 20, 200], NOW), &policy(), &[]);
        check(&of(&[20, 20, 200, 20, 20], NOW), &policy(), &[&[1, 2, 4, 5]]);
        // A full one stays, and no group is larger than one.
        check(&of(&[700, 700, 700, 700], NOW), &policy(), &[]);
        check(&of(&[200, 200, 200, 200, 200, 200, 200], NOW), &policy(), &[&[1, 2, 3, 4, 5]]);
        // At rest.
        check(&of(&[20, 200, 1], NOW - 300_000), &policy(), &[&[3, 1, 2]]);
        check(&of(&[20], NOW - 300_000), &policy(), &[]);
        check(&of(&[], NOW - 300_000), &policy(), &[]);
    }

    #[test]
    fn partitions_with_segments_of_their_own_are_merged_by_themselves() {
        let mine = |id, partition| segment(id, 300, &[(partition, 100)]);
        let at_rest = NOW - 300_000;
        check(&manifest(vec![mine(1, 1), mine(2, 2), segment(3, 20, &[(1, 5), (2, 5)])], at_rest), &policy(), &[]);
        let segments = vec![mine(1, 1), mine(2, 1), mine(3, 2), segment(4, 20, &[(1, 5), (2, 5)]), segment(5, 20, &[(3, 5)])];
        check(&manifest(segments, at_rest), &policy(), &[&[4, 5], &[1, 2]]);
    }

    #[test]
    fn many_dead_rows_are_worth_a_rewriting() {
        let with = |deletes: Vec<DeleteFileRef>| Manifest { deletes, ..manifest(vec![segment(1, 700, &[(1, 100)])], NOW) };
        check(&with(vec![deletes(10, 1_000)]), &policy(), &[]);
        check(&with(vec![deletes(10, 1_000), deletes(11, 2_000)]), &policy(), &[&[1]]);
        // What may not be applied yet is no reason: it would be one again.
        check(&with(vec![deletes(90, NOW - 599_000)]), &policy(), &[]);
        check(&with((0..=DELETE_FILES_MAX as u64).map(|at| deletes(0, 1_000 + at)).collect()), &policy(), &[&[1]]);
        let mut dropped = manifest(vec![segment(1, 700, &[(1, 70), (2, 30)])], NOW);
        dropped.dropped_partitions.insert(PartitionId(2));
        check(&dropped, &policy(), &[&[1]]);
        let mut truncated = manifest(vec![segment(1, 700, &[(1, 70)])], NOW);
        truncated.truncated.timestamp = Timestamp(15);
        check(&truncated, &policy(), &[&[1]]);
        truncated.state = ShardState::Dropped;
        check(&truncated, &policy(), &[]);
    }
}
