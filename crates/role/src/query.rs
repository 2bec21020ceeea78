//! querycoord and querynode: what is served where, searches and queries.

use std::time::Duration;

use async_trait::async_trait;
use expr::Plan;
use serde::{Deserialize, Serialize};
use types::Result;
use types::batch::Batch;
use types::column::Values;
use types::id::{CollectionId, FieldId, NodeId, PartitionId, ShardId};
use types::index_params::{IndexDefinition, Metric};
use types::time::Timestamp;
use types::value::Key;

use crate::Call;

/// The coordinator of serving.
#[async_trait]
pub trait QueryCoord: Send + Sync {
    /// Wants a collection (or some of its partitions) served; returns when the wish is recorded, and waits a little for what follows from it.
    /// The same wish again is a success.
    ///
    /// # Errors
    /// `RESOURCE_INSUFFICIENT`: fewer query nodes than replicas; `INVALID_PARAMETER`: it is loaded with another number of them. Any
    /// other: the wish is recorded, and a node failed at it.
    async fn load(&self, call: &Call, request: LoadRequest) -> Result<()>;

    /// No longer wants it (or those partitions); a collection that isn't loaded is a success.
    async fn release(&self, call: &Call, collection: CollectionId, partitions: Option<Vec<PartitionId>>) -> Result<()>;

    /// How far a load is.
    async fn load_state(&self, call: &Call, collection: CollectionId) -> Result<LoadState>;

    /// Who serves the shards of a collection.
    ///
    /// # Errors
    /// `COLLECTION_NOT_LOADED`.
    async fn leaders(&self, call: &Call, collection: CollectionId) -> Result<Vec<Leader>>;
}

/// What is to be served of a collection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LoadRequest {
    /// Of which.
    pub collection: CollectionId,
    /// These partitions beside those that are wanted already; all if `None`.
    pub partitions: Option<Vec<PartitionId>>,
    /// How many nodes are to serve each shard; 0: as many as before, else what the collection's properties say, else one.
    pub replicas: u32,
}

/// What is loaded of a collection.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LoadState {
    /// Partitions wanted; `None` where the whole collection is, so that new partitions are served too. Absent: not loaded.
    pub wanted: Option<Wanted>,
    /// How many nodes are to serve each shard; 0: not loaded.
    pub replicas: u32,
    /// 0 … 100, over the replicas that there are nodes for.
    pub progress: u8,
    /// Why it doesn't go on, by name.
    pub failure: Option<String>,
}

/// The wish.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Wanted {
    /// Every partition, also those made later.
    Collection,
    /// These.
    Partitions(Vec<PartitionId>),
}

/// Who serves a shard.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Leader {
    /// The shard.
    pub shard: ShardId,
    /// The query node.
    pub node: NodeId,
    /// Its address; empty in one process.
    pub address: String,
}

/// What a query node should serve.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ServeShard {
    /// The shard.
    pub shard: ShardId,
    /// Its channel.
    pub channel: types::id::ChannelName,
    /// Partitions to serve; all if `None`.
    pub partitions: Option<Vec<PartitionId>>,
    /// Index definitions, so that a search of an unindexed segment knows the metric.
    pub indexes: Vec<IndexDefinition>,
    /// The manifest to go over to, or a later one.
    pub manifest: u64,
}

/// The worker that answers.
#[async_trait]
pub trait QueryNode: Send + Sync {
    /// Nearest rows of one shard.
    async fn search(&self, call: &Call, request: SearchRequest) -> Result<SearchResponse>;

    /// Rows of one shard that a filter keeps, or their number.
    async fn query(&self, call: &Call, request: QueryRequest) -> Result<QueryResponse>;

    /// Begins to serve a shard or changes what of it is served; returns when it answers reads.
    ///
    /// # Errors
    /// `MEMORY_LIMIT`, `DISK_LIMIT`: it has no room, by name and bytes; what is away or lost. What it served before it serves on.
    async fn serve(&self, call: &Call, request: ServeShard) -> Result<()>;

    /// No longer serves a shard.
    async fn release(&self, call: &Call, shard: ShardId) -> Result<()>;

    /// What it serves or has begun to, and its memory: a coordinator that begins to lead plans from this.
    async fn serving(&self, call: &Call) -> Result<NodeServing>;
}

/// What a query node says of itself.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct NodeServing {
    /// Its shards, ascending.
    pub shards: Vec<HeldShard>,
    /// Its memory.
    pub memory: Memory,
}

/// A shard at a query node.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HeldShard {
    /// As it was last asked for.
    pub request: ServeShard,
    /// Reads are answered; else a part of it is open.
    pub is_serving: bool,
}

/// What a query node may use for what it serves, and uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Bytes that it may use.
    pub limit_bytes: u64,
    /// Bytes of what it serves, estimated, and of rows that no segment holds.
    pub used_bytes: u64,
}

impl Memory {
    /// Bytes that more may take.
    pub fn free_bytes(&self) -> u64 {
        self.limit_bytes.saturating_sub(self.used_bytes)
    }
}

/// Which rows a read sees (`docs/design.md` §5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ReadAt {
    /// Everything acknowledged before the call: asks for the end of the log and waits until that much is applied.
    Barrier,
    /// What is applied, if the reader was level with the log's end within this time; else as `Barrier`.
    Within(Duration),
    /// What is applied.
    Applied,
    /// Rows up to this timestamp, once the shard's clock has reached it.
    Snapshot(Timestamp),
}

/// Which rows of a shard a read is about.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Scope {
    /// The shard.
    pub shard: ShardId,
    /// Only these partitions; all that are served if `None`.
    pub partitions: Option<Vec<PartitionId>>,
    /// Freshness.
    pub at: ReadAt,
    /// The schema that the filter was planned under: the shard waits until it has applied it.
    pub schema_version: u32,
    /// Only rows that are in segments.
    pub ignore_growing: bool,
    /// Rows that count.
    pub filter: Plan,
    /// Columns to return.
    pub output: Vec<FieldId>,
    /// Bytes of an answer beyond which it is refused.
    pub output_bytes_max: usize,
}

/// A search of one shard.
#[derive(Clone, PartialEq, Debug)]
pub struct SearchRequest {
    /// Which rows.
    pub scope: Scope,
    /// The vector field.
    pub field: FieldId,
    /// The vectors to search for, of the field's type, one for each query.
    pub queries: Values,
    /// Hits for each query, at most.
    pub limit: usize,
    /// What the client expects the metric to be, if it says.
    pub metric: Option<Metric>,
    /// Search parameters as the client's JSON has them: `ef`, `nprobe`, …
    pub params: serde_json::Map<String, serde_json::Value>,
}

/// The nearest rows of one shard for each query.
#[derive(Clone, PartialEq, Debug)]
pub struct SearchResponse {
    /// The metric that the scores are of.
    pub metric: Metric,
    /// Hits of each query, nearest first; ties by smaller key.
    pub hits: Vec<Vec<Hit>>,
    /// Output columns, one row for each hit in order of queries and hits.
    pub rows: Batch,
    /// The snapshot that was read.
    pub at: Timestamp,
}

/// One row found.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Hit {
    /// As clients see it: see [`Metric`].
    pub score: f32,
    /// The row's key.
    pub key: Key,
    /// The row's timestamp: of two rows with one key the younger is kept.
    pub timestamp: Timestamp,
}

/// A query of one shard.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct QueryRequest {
    /// Which rows.
    pub scope: Scope,
    /// Rows in ascending order of key, at most this many; all if `None`.
    pub limit: Option<usize>,
    /// Only their number.
    pub count: bool,
}

/// What a query found.
#[derive(Clone, PartialEq, Debug)]
pub struct QueryResponse {
    /// The rows' number, where only that was asked for.
    pub count: Option<u64>,
    /// Output columns in ascending order of key; the key's column is always there.
    pub rows: Batch,
    /// Each row's timestamp.
    pub timestamps: Vec<Timestamp>,
    /// The snapshot that was read.
    pub at: Timestamp,
}
