//! rootcoord: names, schemas, partitions, ids, timestamps.

use std::collections::BTreeMap;
use std::ops::Range;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use types::Result;
use types::collection::{Collection, Consistency};
use types::id::{CollectionId, PartitionId, WriterId};
use types::schema::{Field, Schema};
use types::time::Timestamp;

use crate::Call;

/// The coordinator of names.
#[async_trait]
pub trait RootCoord: Send + Sync {
    /// Makes a collection; the same definition again is a success.
    async fn create_collection(&self, call: &Call, request: CreateCollection) -> Result<()>;

    /// Drops a collection; an absent one is a success.
    async fn drop_collection(&self, call: &Call, database: &str, name: &str) -> Result<()>;

    /// A collection by name, alias or id.
    ///
    /// # Errors
    /// `COLLECTION_NOT_FOUND` with database and name, `DATABASE_NOT_FOUND`.
    async fn collection(&self, call: &Call, which: &CollectionRef) -> Result<Collection>;

    /// Every collection of a database, oldest first.
    async fn collections(&self, call: &Call, database: &str) -> Result<Vec<Collection>>;

    /// Makes a partition; one that is there is a success.
    async fn create_partition(&self, call: &Call, collection: CollectionId, name: &str) -> Result<()>;

    /// Drops a partition with its rows; an absent one is a success.
    async fn drop_partition(&self, call: &Call, collection: CollectionId, name: &str) -> Result<()>;

    /// Adds a field to a live collection, checked but for its id, which is drawn here: rows that are there read as its default, else as null.
    /// Returns when every shard's log and every proxy know; the same field again is a success.
    ///
    /// # Errors
    /// `INVALID_PARAMETER`: another field has the name.
    async fn add_field(&self, call: &Call, collection: CollectionId, field: Field) -> Result<()>;

    /// Names of databases, `default` first.
    async fn databases(&self, call: &Call) -> Result<Vec<String>>;

    /// `count` ids that nobody else gets, rising from call to call.
    async fn allocate_ids(&self, call: &Call, count: u32) -> Result<Range<i64>>;

    /// A timestamp above every one given before.
    async fn allocate_timestamp(&self, call: &Call) -> Result<Timestamp>;

    /// A writer's id for a proxy that starts; the proxy's address, where it can be told of changes.
    async fn register_proxy(&self, call: &Call, address: &str) -> Result<WriterId>;
}

/// A collection by one of its names or by id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum CollectionRef {
    /// Name or alias in a database.
    Name {
        /// The database's name.
        database: String,
        /// The collection's name or an alias.
        name: String,
    },
    /// By id, whatever the database.
    Id(CollectionId),
}

/// A checked definition; ids of fields are already there, those of the collection and its partitions not.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CreateCollection {
    /// The database's name.
    pub database: String,
    /// The new name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// The rows.
    pub schema: Schema,
    /// 1 … `proxy.maxShardNum`.
    pub shards: u16,
    /// Partitions to begin with: `_default`, or those of a partition key.
    pub partitions: Vec<String>,
    /// Of reads that name none.
    pub consistency: Consistency,
    /// As sent.
    pub properties: BTreeMap<String, String>,
}

/// What changed of a collection, for those who cache it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Changed {
    /// Whose entries are stale.
    pub collection: CollectionId,
    /// A partition that is gone.
    pub dropped_partition: Option<PartitionId>,
}
