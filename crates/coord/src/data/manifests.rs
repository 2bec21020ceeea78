//! Reading and moving manifests: the object first, then the pointer by compare-and-swap, one edit of a shard at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use meta::catalog::document::Versioned;
use meta::catalog::model::{self, ObjectPointer, ShardStart};
use parking_lot::Mutex;
use role::data::{CurrentManifest, ManifestEdit, ManifestPointer};
use store::manifest::{Flushed, Manifest};
use store::name::{self, AttemptId};
use store::object::StoreError;
use store::reference::ObjectRef;
use types::id::ShardId;
use types::schema::Schema;
use types::{Code, Error, Result};

use super::{edit, garbage};
use crate::context::Context;

/// A shard's current manifest.
///
/// # Errors
/// `COLLECTION_NOT_FOUND`; damage of the shard's document or of the object, by name.
pub(crate) async fn current(context: &Context, shard: ShardId) -> Result<Arc<Manifest>> {
    let (found, schema) = find(context, shard)?;
    let Some(pointer) = &found.value.manifest else { return Ok(Arc::new(start(shard, schema?, found.value.start))) };
    if let Some(cached) = context.manifests.get(shard, pointer.version) {
        return Ok(cached);
    }
    let manifest = Arc::new(fetch(context, pointer).await?);
    context.manifests.keep(manifest.clone());
    Ok(manifest)
}

async fn fetch(context: &Context, pointer: &model::ManifestPointer) -> Result<Manifest> {
    let ObjectPointer { name, length, checksum } = pointer.object.clone();
    let bytes = context.store.get(&name).await.map_err(StoreError::into_error)?;
    let bytes = ObjectRef { name: name.clone(), length, checksum }.verify(bytes)?;
    Manifest::decode(&name, &bytes)
}

/// A shard's document and, for one without a manifest, the schema that it begins with.
fn find(context: &Context, shard: ShardId) -> Result<(Versioned<model::Shard>, Result<Schema>)> {
    let absent = || Error::about(Code::COLLECTION_NOT_FOUND, &[("collection", &shard.collection), ("shard", &shard.index)]);
    context.view.read(|loaded| {
        if let Some(damage) = loaded.damage_of_shard(shard) {
            return Err(damage.clone());
        }
        let found = loaded.shards.get(&shard).cloned().ok_or_else(absent)?;
        // A shard begins with the collection's first schema: the second must not be taken for it.
        let schema = match loaded.damage_of_schemas(shard.collection) {
            Some(damage) => Err(damage.clone()),
            None => {
                let first = loaded.schemas.range((shard.collection, 0)..).next();
                let first = first.filter(|((owner, _), _)| *owner == shard.collection);
                first.map(|(_, schema)| schema.value.schema.clone()).ok_or_else(absent)
            }
        };
        Ok((found, schema))
    })
}

/// Decoded manifests that are kept; one is read again when it is needed after that.
const CACHED_MAX: usize = 4_096;

/// Decoded manifests of a process, for all of its coordinators.
#[derive(Default)]
pub(crate) struct Cache {
    decoded: Mutex<BTreeMap<ShardId, Arc<Manifest>>>,
}

impl Cache {
    fn get(&self, shard: ShardId, version: u64) -> Option<Arc<Manifest>> {
        self.decoded.lock().get(&shard).filter(|manifest| manifest.version == version).cloned()
    }

    fn keep(&self, manifest: Arc<Manifest>) {
        let mut decoded = self.decoded.lock();
        if decoded.len() >= CACHED_MAX {
            decoded.clear();
        }
        decoded.insert(manifest.shard, manifest);
    }
}

/// Moves manifests.
pub(super) struct Manifests {
    context: Context,
    /// A turn for each shard that is being edited.
    turns: Mutex<BTreeMap<ShardId, Arc<tokio::sync::Mutex<()>>>>,
}

impl Manifests {
    pub fn new(context: Context) -> Self {
        Self { context, turns: Mutex::default() }
    }

    /// Where the current manifest is.
    pub fn pointer(&self, shard: ShardId) -> Result<CurrentManifest> {
        let (found, schema) = find(&self.context, shard)?;
        Ok(match &found.value.manifest {
            None => CurrentManifest::Start(Box::new(start(shard, schema?, found.value.start))),
            Some(pointer) => CurrentManifest::Object(to_role(pointer)),
        })
    }

    /// Applies an edit to the current manifest and moves the pointer.
    pub async fn edit(&self, shard: ShardId, edit: &ManifestEdit) -> Result<CurrentManifest> {
        let turn = self.turns.lock().entry(shard).or_default().clone();
        let edited = {
            let _turn = turn.lock().await;
            self.edit_alone(shard, edit).await
        };
        let mut turns = self.turns.lock();
        // The map's and this one: nobody waits for it.
        if Arc::strong_count(&turn) == 2 {
            turns.remove(&shard);
        }
        edited
    }

    async fn edit_alone(&self, shard: ShardId, edit: &ManifestEdit) -> Result<CurrentManifest> {
        let current = current(&self.context, shard).await?;
        let (found, _) = find(&self.context, shard)?;
        if found.value.version() != current.version {
            return Err(Error::new(
                Code::UNSUPPORTED,
                format!("the manifest of shard {shard} moved at the same time: unsupported operation"),
            ));
        }
        let Some(edited) = edit::apply(&current, edit)? else { return self.pointer(shard) };
        let mut manifest = edited.manifest;
        if self.context.planted.early_delete_file && matches!(edit, ManifestEdit::Compact(_)) {
            manifest.deletes.clear();
        }
        let name = name::manifest(shard, manifest.version, AttemptId::draw(&self.context.world.random));
        let bytes = manifest.encode()?;
        let object = ObjectRef::of(name, &bytes);
        self.context.store.put(&object.name, bytes).await.map_err(StoreError::into_error)?;
        let pointer = model::ManifestPointer {
            version: manifest.version,
            object: ObjectPointer { name: object.name, length: object.length, checksum: object.checksum },
        };
        let mut unneeded: Vec<String> = edited.garbage.into_iter().map(|object| object.name).collect();
        unneeded.extend(found.value.manifest.as_ref().map(|old| old.object.name.clone()));
        let tombstones = garbage::of_shard(&self.context, shard, manifest.version, unneeded).await?;
        let change = self.context.change().move_manifest(&found, pointer.clone(), &tombstones);
        self.context.commit(change).await?;
        self.context.manifests.keep(Arc::new(manifest));
        Ok(CurrentManifest::Object(to_role(&pointer)))
    }
}

/// Version 0: nothing but the create record.
fn start(shard: ShardId, schema: Schema, start: ShardStart) -> Manifest {
    let ShardStart { position, epoch, number, clock } = start;
    Manifest { version: 0, ..Manifest::created(shard, schema, Flushed { position, epoch, number, clock }) }
}

fn to_role(pointer: &model::ManifestPointer) -> ManifestPointer {
    let ObjectPointer { name, length, checksum } = pointer.object.clone();
    ManifestPointer { version: pointer.version, name, length, checksum }
}
