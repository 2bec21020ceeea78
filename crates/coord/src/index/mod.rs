//! indexcoord: definitions, and builds of what is missing.
//!
//! A definition is one transaction; which segment lacks which index is planned from manifests, so nothing has to be remembered.

mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use meta::catalog::model::Indexes;
use parking_lot::Mutex;
use role::Call;
use role::data::{DataCoord, ManifestEdit};
use role::index::{BuildTask, CreateIndex, IndexCoord, IndexStatus};
use store::manifest::Manifest;
use types::id::{CollectionId, IndexId, SegmentId};
use types::index_params::IndexDefinition;
use types::{Code, Error, Result};

use crate::context::Context;
use crate::data::Data;

/// The longest build: a graph over a full segment on one slow core.
const BUILD_MAX: Duration = Duration::from_secs(4 * 60 * 60);

/// The coordinator of indexes.
pub struct Index {
    context: Context,
    data: Arc<Data>,
    failures: Mutex<BTreeMap<IndexId, String>>,
    turn: tokio::sync::Mutex<()>,
}

impl Index {
    /// A coordinator over `context`; manifests are read and edited through `data`.
    pub fn new(context: Context, data: Arc<Data>) -> Self {
        Self { context, data, failures: Mutex::default(), turn: tokio::sync::Mutex::new(()) }
    }

    /// Builds what is missing, one after the other on the index node with the least to do; returns how many were built.
    ///
    /// # Errors
    /// The first that failed; others were tried. Call again.
    pub async fn build_missing(&self) -> Result<usize> {
        let mut built = 0;
        let mut failed = None;
        for (collection, definitions) in self.definitions() {
            let manifests = match self.manifests(collection).await {
                Ok(manifests) => manifests,
                Err(error) => {
                    failed.get_or_insert(error);
                    continue;
                }
            };
            for manifest in manifests {
                for (segment, definition) in plan::missing(&manifest, &definitions, self.context.settings().indexed_rows_min) {
                    match self.build(&manifest, segment, definition).await {
                        Ok(()) => built += 1,
                        Err(error) => {
                            tracing::warn!(%segment, index = %definition.name, %error, "an index isn't built yet");
                            self.failures.lock().insert(definition.id, error.reason().to_owned());
                            failed.get_or_insert(error);
                        }
                    }
                }
                self.remove_dropped(&manifest, &definitions).await?;
            }
        }
        failed.map_or(Ok(built), Err)
    }

    async fn build(&self, manifest: &Manifest, segment: SegmentId, definition: &IndexDefinition) -> Result<()> {
        let call = Call::within(&self.context.world, BUILD_MAX, "index build");
        let member = self.context.members().index_nodes.first().cloned();
        let member = member.ok_or_else(|| Error::new(Code::SERVICE_NOT_READY, "no index node is there: service not ready"))?;
        let entry = manifest.segment(segment).expect("planned from this manifest").clone();
        let task = BuildTask { shard: manifest.shard, segment: entry, schema: manifest.schema.clone(), definition: definition.clone() };
        let file = self.context.peers.index_node(&member.address)?.build(&call, task).await?;
        self.data.edit_manifest(&call, manifest.shard, ManifestEdit::AddIndex { segment, file }).await?;
        self.failures.lock().remove(&definition.id);
        Ok(())
    }

    async fn remove_dropped(&self, manifest: &Manifest, definitions: &[IndexDefinition]) -> Result<()> {
        let known: BTreeSet<IndexId> = definitions.iter().map(|definition| definition.id).collect();
        let built: BTreeSet<IndexId> = manifest.segments.iter().flat_map(|segment| segment.indexes.iter().map(|file| file.index)).collect();
        let call = Call::within(&self.context.world, Duration::from_secs(10), "index drop");
        for index in built.difference(&known) {
            self.data.edit_manifest(&call, manifest.shard, ManifestEdit::RemoveIndex { index: *index }).await?;
        }
        Ok(())
    }

    fn definitions(&self) -> Vec<(CollectionId, Vec<IndexDefinition>)> {
        self.context.view.read(|loaded| {
            let created = loaded.indexes.iter().filter(|(id, _)| loaded.collections.get(id).is_some_and(|found| found.value.is_created()));
            created.map(|(id, found)| (*id, found.value.definitions.clone())).collect()
        })
    }

    async fn manifests(&self, collection: CollectionId) -> Result<Vec<Arc<Manifest>>> {
        let shards: Vec<_> = self.context.view.read(|loaded| loaded.shards_of(collection).map(|shard| shard.value.id).collect());
        let mut manifests = Vec::with_capacity(shards.len());
        for shard in shards {
            manifests.push(self.data.current(shard).await?);
        }
        Ok(manifests)
    }

    fn known(&self, collection: CollectionId) -> Vec<IndexDefinition> {
        self.context.view.read(|loaded| loaded.indexes.get(&collection).map(|found| found.value.definitions.clone()).unwrap_or_default())
    }
}

#[async_trait]
impl IndexCoord for Index {
    async fn create_index(&self, _call: &Call, request: CreateIndex) -> Result<()> {
        let _turn = self.turn.lock().await;
        let collection = request.collection;
        if plan::is_known(&self.known(collection), &request.definition)? {
            return Ok(());
        }
        let begin = self.context.begin().await?;
        let definition = IndexDefinition { id: IndexId(self.context.id().await?), created: begin.now, ..request.definition };
        let (old, owner) =
            self.context.view.read(|loaded| (loaded.indexes.get(&collection).cloned(), loaded.collections.get(&collection).cloned()));
        let owner = owner.ok_or_else(|| Error::about(Code::COLLECTION_NOT_FOUND, &[("collection", &collection)]))?;
        let mut definitions = old.as_ref().map(|old| old.value.definitions.clone()).unwrap_or_default();
        definitions.push(definition);
        let change = self.context.change().unchanged(&owner).put(old.as_ref(), &Indexes { collection, definitions });
        self.context.commit(change).await
    }

    async fn drop_index(&self, _call: &Call, collection: CollectionId, name: &str) -> Result<()> {
        let _turn = self.turn.lock().await;
        let Some(old) = self.context.view.read(|loaded| loaded.indexes.get(&collection).cloned()) else { return Ok(()) };
        let mut left = old.value.clone();
        left.definitions.retain(|definition| definition.name != name);
        if left.definitions.len() == old.value.definitions.len() {
            return Ok(());
        }
        self.context.commit(self.context.change().replace(&old, &left)).await
    }

    async fn indexes(&self, _call: &Call, collection: CollectionId) -> Result<Vec<IndexStatus>> {
        let manifests = self.manifests(collection).await?;
        let failures = self.failures.lock().clone();
        let minimum = self.context.settings().indexed_rows_min;
        Ok(self.known(collection).into_iter().map(|definition| plan::status(&manifests, definition, minimum, &failures)).collect())
    }
}
