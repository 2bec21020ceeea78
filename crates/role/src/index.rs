//! indexcoord and indexnode: which segment needs which index, and building it; rewriting segments, which datacoord asks for.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use store::manifest::{DeleteFileRef, IndexFile, Segment, Truncated};
use types::Result;
use types::id::{CollectionId, PartitionId, SegmentId, ShardId};
use types::index_params::IndexDefinition;
use types::schema::Schema;
use types::time::Timestamp;

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

    /// Writes the rows of some segments that anyone may still read to new ones, with their indexes; none where no row is left.
    /// Dropping the call cancels it.
    async fn compact(&self, call: &Call, task: CompactionTask) -> Result<Vec<Segment>>;
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

/// One rewriting (`docs/protocol.md` §8), as of one manifest of the shard.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CompactionTask {
    /// Of which shard.
    pub shard: ShardId,
    /// What is rewritten.
    pub segments: Vec<Segment>,
    /// The delete files that some of them needs.
    pub deletes: Vec<DeleteFileRef>,
    /// The schema of the manifest: rows are written under it.
    pub schema: Schema,
    /// Rows that ended at or below this go; later deletes stay for readers to resolve. Not above what the manifest holds.
    pub applied_to: Timestamp,
    /// The last truncation of the manifest.
    pub truncated: Truncated,
    /// Partitions whose rows are dead.
    pub dropped_partitions: BTreeSet<PartitionId>,
    /// Ids for new segments, drawn for this attempt. With fewer than it takes the last one gets larger.
    pub ids: Vec<SegmentId>,
    /// Bytes of rows, about, after which another segment begins.
    pub bytes_max: u64,
    /// A partition with as many bytes of rows gets segments of its own.
    pub own_bytes: u64,
    /// Indexes to be built of new segments.
    pub definitions: Vec<IndexDefinition>,
    /// New segments with fewer rows get none.
    pub indexed_rows_min: u64,
}
