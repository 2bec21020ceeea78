//! indexcoord and indexnode: which segment needs which index, and building it.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use store::manifest::{IndexFile, Segment};
use types::Result;
use types::id::{CollectionId, ShardId};
use types::index_params::IndexDefinition;
use types::schema::Schema;

use crate::Call;

/// The coordinator of indexes.
#[async_trait]
pub trait IndexCoord: Send + Sync {
    /// Defines an index on a field; building goes on behind. The same definition again is a success.
    async fn create_index(&self, call: &Call, request: CreateIndex) -> Result<()>;

    /// Drops an index by its name or its field's; an absent one is a success.
    async fn drop_index(&self, call: &Call, collection: CollectionId, name: &str) -> Result<()>;

    /// Every index of a collection, oldest first, with what is built.
    async fn indexes(&self, call: &Call, collection: CollectionId) -> Result<Vec<IndexStatus>>;
}

/// A client's wish, with the definition already checked against the schema by `index::params`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CreateIndex {
    /// Of which collection.
    pub collection: CollectionId,
    /// Its id and time are drawn by the coordinator.
    pub definition: IndexDefinition,
}

/// An index and how far it is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct IndexStatus {
    /// The definition.
    pub definition: IndexDefinition,
    /// Rows of sealed segments.
    pub total_rows: u64,
    /// Rows of segments whose index is built (or that are too small to have one).
    pub indexed_rows: u64,
    /// Why the last build failed, if none has succeeded since.
    pub failure: Option<String>,
}

/// The worker that builds.
#[async_trait]
pub trait IndexNode: Send + Sync {
    /// Builds one index of one segment and writes its container. Dropping the call cancels the build.
    async fn build(&self, call: &Call, task: BuildTask) -> Result<IndexFile>;
}

/// One build.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BuildTask {
    /// Of which shard.
    pub shard: ShardId,
    /// The segment with its files.
    pub segment: Segment,
    /// The schema that the segment is read under.
    pub schema: Schema,
    /// What to build.
    pub definition: IndexDefinition,
}
