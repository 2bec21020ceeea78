//! datacoord: assignments of channels, manifests, checkpoints, flushes asked for by clients, garbage.
//!
//! It alone moves a shard's manifest: others send edits, which [`edit`] applies to the manifest that is there.

mod assign;
mod compact;
pub mod edit;
mod garbage;
mod lease;
pub(crate) mod manifests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{join_all, try_join_all};
use meta::catalog::model::{self, Checkpoint, ObjectPointer};
use role::Call;
use role::data::{CheckpointPointer, CurrentManifest, DataCoord, DataNode, FlushStarted, ManifestEdit, Route, SegmentInfo};
use store::manifest::Manifest;
use types::id::{ChannelName, CollectionId, PartitionId, ShardId};
use types::time::Timestamp;
use types::{Code, Error, Result};

use crate::context::Context;
use crate::reconcile::{ROUND_MAX, rounds};
use crate::seat::{Coordinator, Office};
use crate::view::meta_error;
use assign::Sequencers;
use manifests::Manifests;

/// The coordinator of shards.
pub struct Data {
    context: Context,
    manifests: Manifests,
    sequencers: Sequencers,
}

impl Coordinator for Data {
    const OFFICE: Office = Office::Data;

    fn begin(context: Context) -> Arc<Self> {
        let sequencers = Sequencers::new(context.began);
        Arc::new(Self { manifests: Manifests::new(context.clone()), context, sequencers })
    }

    fn run(self: &Arc<Self>) {
        rounds(self, "channels", |data| async move {
            let call = Call::within(&data.context.world, ROUND_MAX, "assign");
            data.assign_channels(&call).await
        });
        rounds(self, "garbage", |data| async move { data.collect_garbage().await });
        rounds(self, "compaction", |data| async move { data.compact_worn().await });
    }

    fn context(&self) -> &Context {
        &self.context
    }
}

impl Data {
    /// Gives channels without a live sequencer to one, and moves one from the node with most to that with fewest where nodes have settled.
    ///
    /// # Errors
    /// The first that failed; others were tried. Call again.
    pub async fn assign_channels(&self, call: &Call) -> Result<()> {
        assign::channels(&self.context, call, &self.sequencers).await
    }

    /// Rewrites segments that are many and small, or hold many dead rows, unless the settings forbid it.
    ///
    /// # Errors
    /// The first that failed; others were tried. Call again.
    pub async fn compact_worn(&self) -> Result<()> {
        match self.context.settings().compacts {
            true => self.compact(self.all_shards()).await.map(drop),
            false => Ok(()),
        }
    }

    /// Deletes objects that nobody needs any more.
    ///
    /// # Errors
    /// The store or meta failed; what is left is deleted by the next call.
    pub async fn collect_garbage(&self) -> Result<()> {
        garbage::collect(&self.context).await
    }

    /// Names the files of failed attempts as garbage. Only where this process is alone and no attempt is under way: at start.
    ///
    /// # Errors
    /// As [`Self::collect_garbage`].
    pub async fn sweep_orphans(&self) -> Result<()> {
        let (mut live, mut unknown) = (Vec::new(), BTreeSet::new());
        for shard in self.all_shards() {
            match manifests::current(&self.context, shard).await {
                Ok(manifest) => live.push(manifest),
                Err(error) => {
                    tracing::error!(%shard, %error, "a manifest can't be read: the shard isn't served, and none of its files is deleted");
                    unknown.insert(shard.collection);
                }
            }
        }
        garbage::sweep_orphans(&self.context, &live, &unknown).await
    }

    fn all_shards(&self) -> Vec<ShardId> {
        self.context.view.read(|loaded| loaded.shards.keys().copied().collect())
    }

    fn collection_shards(&self, collection: CollectionId) -> Result<Vec<(ShardId, ChannelName)>> {
        self.context.view.read(|loaded| {
            let collection = crate::view::collection(loaded, collection)?;
            Ok(collection.value.shards().map(|(shard, channel)| (shard, channel.clone())).collect())
        })
    }

    async fn manifests_of(&self, collection: CollectionId) -> Result<Vec<Arc<Manifest>>> {
        let shards = self.collection_shards(collection)?;
        try_join_all(shards.iter().map(|(shard, _)| manifests::current(&self.context, *shard))).await
    }

    /// Without it a channel would be read from its beginning, which is cut off.
    fn refuse_damaged_checkpoint(&self, channel: &ChannelName) -> Result<()> {
        self.context.view.read(|loaded| loaded.damage::<Checkpoint>(channel).cloned()).map_or(Ok(()), Err)
    }
}

#[async_trait]
impl DataCoord for Data {
    async fn routes(&self, _call: &Call) -> Result<Vec<Route>> {
        let assigned: Vec<model::Assignment> =
            self.context.view.read(|loaded| loaded.assignments.values().map(|found| found.value.clone()).collect());
        let members = self.context.members();
        let routes = assigned.into_iter().filter_map(|assignment| {
            let member = members.data_nodes.iter().find(|member| member.node == assignment.node)?;
            let confirmed = self.sequencers.confirmed(&assignment);
            let model::Assignment { channel, node, process, lease: _ } = assignment;
            Some(Route { channel, node, address: member.address.clone(), process, confirmed })
        });
        Ok(routes.collect())
    }

    async fn extend_leases(&self, _call: &Call, sequencers: &[(ChannelName, u64)]) -> Result<Vec<Duration>> {
        Ok(self.sequencers.leases.extend(&self.context, sequencers))
    }

    async fn manifest(&self, _call: &Call, shard: ShardId) -> Result<CurrentManifest> {
        self.manifests.pointer(shard)
    }

    async fn shards_of_channel(&self, _call: &Call, channel: &ChannelName) -> Result<Vec<ShardId>> {
        Ok(self.context.view.read(|loaded| loaded.shards_of_channel(channel).into_iter().collect()))
    }

    async fn unknown_shards(&self, _call: &Call, shards: &[ShardId]) -> Result<Vec<ShardId>> {
        let mut unknown = Vec::new();
        for shard in shards {
            if self.context.view.catalog().read::<model::Shard>(shard).await.map_err(meta_error)?.is_none() {
                unknown.push(*shard);
            }
        }
        Ok(unknown)
    }

    async fn edit_manifest(&self, _call: &Call, shard: ShardId, edit: ManifestEdit) -> Result<CurrentManifest> {
        self.manifests.edit(shard, &edit).await
    }

    async fn commit_checkpoint(&self, _call: &Call, channel: &ChannelName, pointer: CheckpointPointer) -> Result<()> {
        self.refuse_damaged_checkpoint(channel)?;
        let (assignment, old) =
            self.context.view.read(|loaded| (loaded.assignments.get(channel).cloned(), loaded.checkpoints.get(channel).cloned()));
        let assignment = assignment.filter(|assignment| assignment.value.process == pointer.process);
        let assignment = assignment.ok_or_else(|| Error::about(Code::CHANNEL_MISROUTED, &[("channel", channel)]))?;
        if old.as_ref().is_some_and(|old| old.value.position >= pointer.position) {
            return Ok(());
        }
        let CheckpointPointer { name, length, checksum, position, process } = pointer;
        let object = ObjectPointer { name, length, checksum };
        let new = Checkpoint { channel: channel.clone(), position, process, object };
        let mut change = self.context.change().advance_checkpoint(&assignment, old.as_ref(), &new);
        if let Some(old) = &old {
            change = change.create(&garbage::of_objects(&self.context, None, vec![old.value.object.name.clone()]).await?);
        }
        self.context.commit(change).await
    }

    async fn checkpoint(&self, _call: &Call, channel: &ChannelName) -> Result<Option<CheckpointPointer>> {
        self.refuse_damaged_checkpoint(channel)?;
        let found = self.context.view.read(|loaded| loaded.checkpoints.get(channel).map(|found| found.value.clone()));
        Ok(found.map(|Checkpoint { object, position, process, .. }| {
            let ObjectPointer { name, length, checksum } = object;
            CheckpointPointer { name, length, checksum, position, process }
        }))
    }

    async fn flush(&self, call: &Call, collection: CollectionId) -> Result<FlushStarted> {
        let shards = self.collection_shards(collection)?;
        let flush = |shard| move |node: Arc<dyn DataNode>| async move { node.flush(call, shard).await };
        let flushed = shards.iter().map(|(shard, channel)| self.context.at_sequencer(call, channel, flush(*shard)));
        // A flush that is under way isn't given up because another one failed.
        let clocks: Vec<Timestamp> = join_all(flushed).await.into_iter().collect::<Result<_>>()?;
        let manifests = self.manifests_of(collection).await?;
        let segments = manifests.iter().flat_map(|manifest| manifest.segments.iter().map(|segment| segment.id)).collect();
        Ok(FlushStarted { timestamp: clocks.into_iter().min().unwrap_or(Timestamp::ZERO), segments })
    }

    async fn is_flushed(&self, _call: &Call, collection: CollectionId, timestamp: Timestamp) -> Result<bool> {
        let manifests = self.manifests_of(collection).await?;
        Ok(manifests.iter().all(|manifest| manifest.flushed.clock >= timestamp))
    }

    async fn segments(&self, _call: &Call, collection: CollectionId) -> Result<Vec<SegmentInfo>> {
        let manifests = self.manifests_of(collection).await?;
        let all = manifests.iter().flat_map(|manifest| manifest.segments.iter().map(|segment| (manifest.shard, segment)));
        let info = all.map(|(shard, segment)| SegmentInfo {
            id: segment.id,
            shard,
            rows: segment.partitions.iter().map(|part| (part.partition, u64::from(part.rows))).collect(),
            bytes: segment.bytes(),
            indexes: segment.indexes.iter().map(|file| file.index).collect(),
        });
        Ok(info.collect())
    }

    async fn statistics(&self, call: &Call, collection: CollectionId) -> Result<BTreeMap<PartitionId, u64>> {
        let mut rows = BTreeMap::new();
        for (shard, channel) in self.collection_shards(collection)? {
            // Growing rows first: those that are flushed in between are counted twice rather than not at all, and the next call is right.
            let ask = |node: Arc<dyn DataNode>| async move { node.growing_rows(call, shard).await };
            let growing = self.context.at_sequencer(call, &channel, ask).await?;
            let manifest = manifests::current(&self.context, shard).await?;
            let sealed =
                manifest.segments.iter().flat_map(|segment| segment.partitions.iter().map(|part| (part.partition, u64::from(part.rows))));
            for (partition, count) in sealed.chain(growing) {
                *rows.entry(partition).or_insert(0) += count;
            }
        }
        Ok(rows)
    }
}
