//! What coordinators know of the whole, as numbers: for metrics and status pages.
//!
//! Not here: what nodes hold in memory. Invariant: each number is read from the catalog and the manifests when it is asked for; none is counted
//! beside them, so none can drift.

use std::collections::BTreeMap;

use meta::catalog::model::Collection;
use types::Result;
use types::id::{CollectionId, IndexId, ShardId};

use crate::data::manifests;
use crate::root::Root;
use crate::seat::Coordinator;

/// More shards than this would make each look read manifests that don't stay in memory: their segments aren't counted then.
const SHARDS_MAX: usize = 4_096;

/// The cluster.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Figures {
    /// Databases.
    pub databases: usize,
    /// Registered proxies.
    pub proxies: usize,
    /// Registered query nodes.
    pub query_nodes: usize,
    /// Channels that shards share.
    pub channels: usize,
    /// Collections that clients may use, by id.
    pub collections: Vec<CollectionFigures>,
    /// Whether [`CollectionFigures::stored`] is there.
    pub stored: bool,
    /// Shards whose manifest can't be read: their segments aren't counted.
    pub unreadable_shards: usize,
}

/// A collection.
#[derive(Clone, PartialEq, Debug)]
pub struct CollectionFigures {
    /// Which.
    pub id: CollectionId,
    /// The name of its database.
    pub database: String,
    /// Its name.
    pub name: String,
    /// Partitions.
    pub partitions: usize,
    /// Whether it is wanted loaded.
    pub loaded: bool,
    /// What its manifests hold.
    pub stored: Stored,
}

/// What manifests hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stored {
    /// Segments.
    pub segments: usize,
    /// Rows in them, deleted ones included.
    pub rows: u64,
    /// Bytes of their files, without indexes.
    pub bytes: u64,
    /// Bytes of their indexes.
    pub index_bytes: u64,
    /// Rows of segments that have an index, by the index's name.
    pub indexed_rows: BTreeMap<String, u64>,
}

/// A collection with what is needed to read its manifests.
type Listed = (CollectionFigures, Vec<ShardId>, BTreeMap<IndexId, String>);

impl Root {
    /// The numbers as of now.
    pub async fn figures(&self) -> Figures {
        let (databases, listed) = self.listed();
        let members = self.context().members().clone();
        let stored = listed.iter().map(|(_, shards, _)| shards.len()).sum::<usize>() <= SHARDS_MAX;
        let mut collections = Vec::with_capacity(listed.len());
        let mut unreadable_shards = 0;
        for (mut collection, shards, indexes) in listed {
            for shard in shards.into_iter().filter(|_| stored) {
                if let Err(error) = self.add_shard(&mut collection.stored, shard, &indexes).await {
                    tracing::warn!(%shard, %error, "a shard's segments aren't counted");
                    unreadable_shards += 1;
                }
            }
            collections.push(collection);
        }
        Figures {
            databases,
            proxies: members.proxies.len(),
            query_nodes: members.query_nodes.len(),
            channels: self.context().settings().channels,
            collections,
            stored,
            unreadable_shards,
        }
    }

    fn listed(&self) -> (usize, Vec<Listed>) {
        self.context().view.read(|loaded| {
            let of = |collection: &Collection| {
                let database = loaded.databases.get(&collection.database).map_or("", |database| &database.value.name);
                let definitions = loaded.indexes.get(&collection.id).map(|indexes| &indexes.value.definitions);
                let indexes = definitions.into_iter().flatten().map(|definition| (definition.id, definition.name.clone())).collect();
                let figures = CollectionFigures {
                    id: collection.id,
                    database: database.to_owned(),
                    name: collection.name.clone(),
                    partitions: collection.partitions.len(),
                    loaded: loaded.loads.contains_key(&collection.id),
                    stored: Stored::default(),
                };
                (figures, collection.shards().map(|(shard, _)| shard).collect(), indexes)
            };
            let created = loaded.collections.values().map(|collection| &collection.value).filter(|collection| collection.is_created());
            (loaded.databases.len(), created.map(of).collect())
        })
    }

    async fn add_shard(&self, stored: &mut Stored, shard: ShardId, indexes: &BTreeMap<IndexId, String>) -> Result<()> {
        let manifest = match manifests::current(self.context(), shard).await {
            Ok(manifest) => manifest,
            // Dropped since it was listed.
            Err(error) if error.code() == types::Code::COLLECTION_NOT_FOUND => return Ok(()),
            Err(error) => return Err(error),
        };
        for segment in &manifest.segments {
            stored.segments += 1;
            stored.rows += u64::from(segment.rows);
            stored.bytes += segment.files.iter().map(|file| file.object.length).sum::<u64>();
            for index in &segment.indexes {
                stored.index_bytes += index.object.length;
                if let Some(name) = indexes.get(&index.index) {
                    *stored.indexed_rows.entry(name.clone()).or_default() += u64::from(segment.rows);
                }
            }
        }
        Ok(())
    }
}
