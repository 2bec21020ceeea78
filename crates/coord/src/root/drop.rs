//! Dropping collections and partitions: the name is free at once, the rows die with a record in each shard's log, the files go last.

use std::sync::Arc;

use futures::future::{join_all, try_join_all};
use meta::catalog::document::Versioned;
use meta::catalog::model::{Collection, CollectionState, Tombstone};
use role::Call;
use role::data::DataNode;
use store::manifest::ShardState;
use store::name::prefixes_of;
use types::id::{ChannelName, CollectionId, PartitionId, ShardId};
use types::record::Control;
use types::time::Timestamp;
use types::{Code, Error, Result};

use crate::context::Context;
use crate::data::manifests;
use crate::view::meta_error;

/// Frees the names.
pub async fn begin(context: &Context, collection: &Versioned<Collection>) -> Result<()> {
    let begin = context.begin().await?;
    let aliases = context.view.read(|loaded| loaded.aliases(collection.value.id));
    context.commit(context.change().drop_collection(collection, &aliases, begin)).await?;
    tracing::info!(collection = %collection.value.id, name = collection.value.name, "a collection is being dropped");
    Ok(())
}

/// Writes the drop records: from then on nothing can be appended to the shards.
pub async fn log(context: &Context, call: &Call, id: CollectionId) -> Result<()> {
    let collection = dropping(context, id)?;
    let placed = collection.value.shards().map(|(shard, channel)| async move {
        let ask = |node: Arc<dyn DataNode>| async move { node.control(call, channel, shard, Control::Drop).await };
        let placed = context.at_sequencer(call, channel, ask).await;
        // A shard that was never created has nothing to end.
        match placed {
            Err(error) if error.code() != Code::COLLECTION_NOT_FOUND => Err(error),
            _ => Ok(()),
        }
    });
    try_join_all(placed).await.map(drop)
}

/// Lets manifests show the end, then forgets the collection; its objects are named as garbage first.
pub async fn sweep(context: &Context, call: &Call, id: CollectionId) -> Result<()> {
    let collection = dropping(context, id)?;
    let created = context.view.read(|loaded| loaded.shards_of(id).count() > 0);
    if created {
        let ended = collection.value.shards().map(|(shard, channel)| end_shard(context, call, shard, channel));
        join_all(ended).await.into_iter().collect::<Result<()>>()?;
    }
    let intent = context.view.read(|loaded| {
        let CollectionState::Dropping(operation) = collection.value.state else { return None };
        loaded.intents.get(&operation).cloned()
    });
    let intent = intent.ok_or_else(|| Error::internal(format!("collection {id} is dropping without an intent")))?;
    // The operation's own number, so that a repeated sweep finds it.
    let garbage = Tombstone {
        id: intent.value.id.0,
        shard: None,
        below_version: u64::MAX,
        objects: prefixes_of(id).into_iter().map(|prefix| format!("{prefix}/")).collect(),
        since: Timestamp::from_millis(context.world.clock.wall_ms()),
    };
    if context.view.read(|loaded| !loaded.tombstones.contains_key(&garbage.id)) {
        context.commit(context.change().unchanged(&collection).create(&garbage)).await?;
    }
    context.view.catalog().forget_collection(context.fence.clone(), &collection, &intent).await.map_err(meta_error)?;
    tracing::info!(collection = %id, name = collection.value.name, "a collection was dropped");
    Ok(())
}

/// Brings the end of a shard into its manifest. One whose manifest has it already was let go of by its node.
async fn end_shard(context: &Context, call: &Call, shard: ShardId, channel: &ChannelName) -> Result<()> {
    if manifests::current(context, shard).await?.state == ShardState::Dropped {
        return Ok(());
    }
    context.at_sequencer(call, channel, |node| async move { node.flush(call, shard).await.map(drop) }).await
}

fn dropping(context: &Context, id: CollectionId) -> Result<Versioned<Collection>> {
    let found = context.view.read(|loaded| loaded.collections.get(&id).cloned());
    found.ok_or_else(|| Error::internal(format!("collection {id} is dropping and not in meta")))
}

/// Frees a partition's name.
pub async fn begin_partition(context: &Context, collection: &Versioned<Collection>, partition: PartitionId) -> Result<()> {
    let begin = context.begin().await?;
    context.commit(context.change().drop_partition(collection, partition, begin)).await
}

/// Writes the records that kill a partition's rows.
pub async fn finish_partition(context: &Context, call: &Call, id: CollectionId, partition: PartitionId) -> Result<()> {
    let collection = dropping(context, id)?;
    let placed = collection.value.shards().map(|(shard, channel)| async move {
        let ask = |node: Arc<dyn DataNode>| async move { node.control(call, channel, shard, Control::DropPartition { partition }).await };
        context.at_sequencer(call, channel, ask).await
    });
    try_join_all(placed).await?;
    let intent = context.view.read(|loaded| {
        let dropping = collection.value.dropping_partitions.iter().find(|dropping| dropping.id == partition)?;
        loaded.intents.get(&dropping.operation).cloned()
    });
    match intent {
        Some(intent) => context.commit(context.change().finish_drop_partition(&collection, &intent)).await,
        None => Ok(()),
    }
}
