//! Objects that nothing current names: tombstones in meta, then deletion (`docs/protocol.md` §8).
//!
//! A tombstone is committed by the same transaction that takes the last name away, so no object is deleted that a crash could bring back into
//! use. A process that is alone deletes as soon as its own readers let go; in a cluster the grace and the nodes' pins decide.

use std::collections::BTreeSet;
use std::sync::Arc;

use meta::catalog::document::Versioned;
use meta::catalog::model::{OperationId, TOMBSTONE_OBJECTS_MAX, Tombstone};
use store::manifest::Manifest;
use store::object::StoreError;
use types::Result;
use types::id::{CollectionId, ShardId};
use types::time::Timestamp;

use crate::context::Context;

/// How long what a reader of this process may still hold stays: mapped files outlive their names, so this only spares failed opens.
const GRACE_ALONE_MS: u64 = 30_000;
/// `dataCoord.gc.dropTolerance`: readers elsewhere may be this late.
const GRACE_MS: u64 = 3 * 60 * 60 * 1_000;

/// Tombstones for what a manifest's successor doesn't name.
pub(super) async fn of_shard(context: &Context, shard: ShardId, below_version: u64, objects: Vec<String>) -> Result<Vec<Tombstone>> {
    let mut tombstones = Vec::new();
    for names in objects.chunks(TOMBSTONE_OBJECTS_MAX) {
        let tombstone = of_objects(context, Some(shard), names.to_vec()).await?;
        tombstones.push(Tombstone { below_version, ..tombstone });
    }
    Ok(tombstones)
}

/// A tombstone for objects that no manifest names.
pub(super) async fn of_objects(context: &Context, shard: Option<ShardId>, objects: Vec<String>) -> Result<Tombstone> {
    let since = Timestamp::from_millis(context.world.clock.wall_ms());
    Ok(Tombstone { id: context.id().await?, shard, below_version: u64::MAX, objects, since })
}

/// Deletes what tombstones name, once their grace is over. What fails holds back nothing else.
pub(super) async fn collect(context: &Context) -> Result<()> {
    let grace = if context.settings().alone { GRACE_ALONE_MS } else { GRACE_MS };
    let now = context.world.clock.wall_ms();
    let due: Vec<_> = context.view.read(|loaded| {
        let all = loaded.tombstones.values().filter(|found| found.value.since.millis() + grace <= now);
        // A dropped collection's files are still read while its sweep goes on.
        all.filter(|found| !loaded.intents.contains_key(&OperationId(found.value.id))).cloned().collect()
    });
    let mut failed = None;
    for found in due {
        if let Err(error) = bury(context, &found).await {
            tracing::warn!(tombstone = found.value.id, %error, "garbage can't be deleted yet");
            failed.get_or_insert(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

async fn bury(context: &Context, found: &Versioned<Tombstone>) -> Result<()> {
    for name in &found.value.objects {
        delete(context, name).await?;
    }
    context.commit(context.change().remove(found)).await
}

async fn delete(context: &Context, name: &str) -> Result<()> {
    let Some(prefix) = name.strip_suffix('/') else {
        return context.store.delete(name).await.map_err(StoreError::into_error);
    };
    for object in context.store.list(prefix).await.map_err(StoreError::into_error)? {
        context.store.delete(&object.name).await.map_err(StoreError::into_error)?;
    }
    Ok(())
}

/// Deletes files below the shards' prefixes that neither a manifest, a pointer nor a tombstone names. Those of collections in `unknown` stay:
/// a manifest of theirs can't be read. While a document in meta can't be read nothing is deleted: it may name anything.
pub(super) async fn sweep_orphans(context: &Context, live: &[Arc<Manifest>], unknown: &BTreeSet<CollectionId>) -> Result<()> {
    if let Some(error) = context.view.read(|loaded| loaded.damaged.values().next().cloned()) {
        tracing::error!(%error, "files of failed attempts stay: metadata that may name them can't be read");
        return Ok(());
    }
    let unknown: BTreeSet<String> = unknown.iter().map(ToString::to_string).collect();
    let named = context.view.read(|loaded| {
        let manifests = loaded.shards.values().filter_map(|shard| shard.value.manifest.as_ref().map(|pointer| pointer.object.name.clone()));
        let checkpoints = loaded.checkpoints.values().map(|checkpoint| checkpoint.value.object.name.clone());
        let buried = loaded.tombstones.values().flat_map(|tombstone| tombstone.value.objects.clone());
        manifests.chain(checkpoints).chain(buried).collect::<BTreeSet<String>>()
    });
    let named: BTreeSet<&str> = named
        .iter()
        .map(String::as_str)
        .chain(live.iter().flat_map(|manifest| manifest.objects().map(|object| object.name.as_str())))
        .collect();
    for prefix in ["manifest", "segment", "delete", "index", "checkpoint"] {
        for object in context.store.list(prefix).await.map_err(StoreError::into_error)? {
            let of_unknown = || object.name.split('/').nth(1).is_some_and(|collection| unknown.contains(collection));
            let kept = named.contains(object.name.as_str()) || (prefix != "checkpoint" && of_unknown());
            if !kept {
                tracing::info!(object = %object.name, bytes = object.length, "deleting a file that a failed attempt left");
                context.store.delete(&object.name).await.map_err(StoreError::into_error)?;
            }
        }
    }
    Ok(())
}
