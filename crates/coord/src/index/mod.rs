//! indexcoord: definitions, and builds of what is missing.
//!
//! A definition is one transaction; which segment lacks which index is planned from manifests, so nothing has to be remembered.

mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use meta::catalog::Loaded;
use meta::catalog::document::Versioned;
use meta::catalog::model::Indexes;
use parking_lot::Mutex;
use role::Call;
use role::data::ManifestEdit;
use role::index::{BuildTask, CreateIndex, IndexCoord, IndexStatus};
use store::manifest::Manifest;
use types::id::{CollectionId, IndexId, NodeId, SegmentId};
use types::index_params::IndexDefinition;
use types::time::Timestamp;
use types::{Code, Error, Result};

use crate::context::Context;
use crate::data::manifests;
use crate::members::Member;
use crate::reconcile::rounds;
use crate::seat::{Coordinator, Office};
use crate::view::collection as found;

/// The longest build: a graph over a full segment on one slow core.
const BUILD_MAX: Duration = Duration::from_secs(4 * 60 * 60);

/// The coordinator of indexes.
pub struct Index {
    context: Context,
    /// Why the last build of an index failed.
    failures: Mutex<BTreeMap<IndexId, String>>,
    /// Builds under way on each node.
    building: Mutex<BTreeMap<NodeId, usize>>,
}

impl Coordinator for Index {
    const OFFICE: Office = Office::Index;

    fn begin(context: Context) -> Arc<Self> {
        Arc::new(Self { context, failures: Mutex::default(), building: Mutex::default() })
    }

    fn run(self: &Arc<Self>) {
        rounds(self, "building", |index| async move { index.build_missing().await.map(drop) });
    }

    fn context(&self) -> &Context {
        &self.context
    }
}

/// One build that is to be done.
struct Build {
    manifest: Arc<Manifest>,
    segment: SegmentId,
    definition: IndexDefinition,
}

impl Index {
    /// Builds what is missing, one build at a time on each index node; returns how many were built.
    ///
    /// # Errors
    /// The first that failed; others were tried. Call again.
    pub async fn build_missing(&self) -> Result<usize> {
        let definitions = self.definitions();
        let known: BTreeSet<IndexId> = definitions.iter().flat_map(|(_, of)| of.iter().map(|definition| definition.id)).collect();
        self.failures.lock().retain(|index, _| known.contains(index));
        let mut failed = None;
        let mut builds = Vec::new();
        for (collection, definitions) in &definitions {
            let manifests = match self.manifests(*collection).await {
                Ok(manifests) => manifests,
                Err(error) => {
                    failed.get_or_insert(error);
                    continue;
                }
            };
            for manifest in manifests {
                if let Err(error) = self.remove_dropped(&manifest, definitions).await {
                    tracing::warn!(shard = %manifest.shard, %error, "files of dropped indexes aren't let go of yet");
                    failed.get_or_insert(error);
                }
                let missing = plan::missing(&manifest, definitions, self.context.settings().indexed_rows_min);
                let build = |(segment, definition): (SegmentId, &IndexDefinition)| Build {
                    manifest: manifest.clone(),
                    segment,
                    definition: definition.clone(),
                };
                builds.extend(missing.into_iter().map(build));
            }
        }
        let nodes = self.context.members().index_nodes.len();
        let building = builds.into_iter().map(|build| self.try_build(build));
        let results: Vec<Result<()>> = futures::stream::iter(building).buffer_unordered(nodes.max(1)).collect().await;
        let built = results.iter().filter(|result| result.is_ok()).count();
        failed.map_or(Ok(()), Err).and(results.into_iter().collect::<Result<()>>()).map(|()| built)
    }

    async fn try_build(&self, build: Build) -> Result<()> {
        // Others were built before it, for hours perhaps.
        if self.is_over(&build).await {
            return Ok(());
        }
        let member = self.free_node()?;
        let built = self.build(&build, &member).await;
        self.free(&member);
        if let Err(error) = &built
            && (error.code() == Code::UNSUPPORTED || self.is_over(&build).await)
        {
            tracing::info!(segment = %build.segment, %error, "an index of a segment that was rewritten, or has it, isn't needed");
            return Ok(());
        }
        let Build { segment, definition, .. } = build;
        if let Err(error) = &built {
            tracing::warn!(%segment, index = %definition.name, node = %member.node, %error, "an index isn't built yet");
            self.failures.lock().insert(definition.id, error.reason().to_owned());
        }
        built
    }

    /// Whether the segment is no longer there, or has the index: compactions bring new segments with theirs.
    async fn is_over(&self, build: &Build) -> bool {
        let current = manifests::current(&self.context, build.manifest.shard).await;
        let lacks =
            |manifest: &Manifest| manifest.segment(build.segment).is_some_and(|segment| segment.index(build.definition.id).is_none());
        current.is_ok_and(|manifest| !lacks(&manifest))
    }

    /// The index node with the least to do.
    fn free_node(&self) -> Result<Member> {
        let members = self.context.members();
        let mut building = self.building.lock();
        let least = members.index_nodes.iter().min_by_key(|member| (building.get(&member.node).copied().unwrap_or(0), member.node));
        let least = least.ok_or_else(|| Error::new(Code::SERVICE_NOT_READY, "no index node is there: service not ready"))?;
        *building.entry(least.node).or_default() += 1;
        Ok(least.clone())
    }

    fn free(&self, member: &Member) {
        let mut building = self.building.lock();
        if let Some(count) = building.get_mut(&member.node) {
            *count -= 1;
        }
        building.retain(|_, count| *count > 0);
    }

    async fn build(&self, build: &Build, member: &Member) -> Result<()> {
        let Build { manifest, segment, definition } = build;
        let segment = *segment;
        let call = Call::within(&self.context.world, BUILD_MAX, "index build");
        let entry = manifest.segment(segment).expect("planned from this manifest").clone();
        let task = BuildTask { shard: manifest.shard, segment: entry, schema: manifest.schema.clone(), definition: definition.clone() };
        let file = self.context.peers.index_node(&member.address)?.build(&call, task).await?;
        self.context.data.edit_manifest(&call, manifest.shard, ManifestEdit::AddIndex { segment, file }).await?;
        self.failures.lock().remove(&definition.id);
        Ok(())
    }

    async fn remove_dropped(&self, manifest: &Manifest, definitions: &[IndexDefinition]) -> Result<()> {
        let known: BTreeSet<IndexId> = definitions.iter().map(|definition| definition.id).collect();
        let built: BTreeSet<IndexId> = manifest.segments.iter().flat_map(|segment| segment.indexes.iter().map(|file| file.index)).collect();
        let call = Call::within(&self.context.world, Duration::from_secs(10), "index drop");
        for index in built.difference(&known) {
            self.context.data.edit_manifest(&call, manifest.shard, ManifestEdit::RemoveIndex { index: *index }).await?;
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
            manifests.push(manifests::current(&self.context, shard).await?);
        }
        Ok(manifests)
    }
}

/// The definitions of a collection.
///
/// # Errors
/// Damage, by name.
fn known(loaded: &Loaded, collection: CollectionId) -> Result<Option<&Versioned<Indexes>>> {
    match loaded.damage::<Indexes>(&collection) {
        Some(damage) => Err(damage.clone()),
        None => Ok(loaded.indexes.get(&collection)),
    }
}

#[async_trait]
impl IndexCoord for Index {
    async fn create_index(&self, _call: &Call, request: CreateIndex) -> Result<()> {
        let CreateIndex { collection, definition } = request;
        let created = Timestamp::from_millis(self.context.world.clock.wall_ms());
        let definition = IndexDefinition { id: IndexId(self.context.id().await?), created, ..definition };
        let plan = |loaded: &Loaded| {
            let owner = found(loaded, collection)?;
            let old = known(loaded, collection)?;
            let mut definitions = old.map(|old| old.value.definitions.clone()).unwrap_or_default();
            if plan::is_known(&definitions, &definition)? {
                return Ok((None, ()));
            }
            definitions.push(definition.clone());
            Ok((Some(self.context.change().unchanged(owner).put(old, &Indexes { collection, definitions })), ()))
        };
        self.context.transact(plan).await
    }

    async fn drop_index(&self, _call: &Call, collection: CollectionId, name: &str) -> Result<()> {
        let plan = |loaded: &Loaded| {
            let Some(old) = known(loaded, collection)? else { return Ok((None, ())) };
            let mut left = old.value.clone();
            left.definitions.retain(|definition| definition.name != name);
            let changed = left.definitions.len() < old.value.definitions.len();
            Ok((changed.then(|| self.context.change().replace(old, &left)), ()))
        };
        self.context.transact(plan).await
    }

    async fn indexes(&self, _call: &Call, collection: CollectionId) -> Result<Vec<IndexStatus>> {
        let manifests = self.manifests(collection).await?;
        let failures = self.failures.lock().clone();
        let minimum = self.context.settings().indexed_rows_min;
        let definitions =
            self.context.view.read(|loaded| known(loaded, collection).map(|found| found.map(|found| found.value.definitions.clone())))?;
        let status = |definition| plan::status(&manifests, definition, minimum, &failures);
        Ok(definitions.into_iter().flatten().map(status).collect())
    }
}
