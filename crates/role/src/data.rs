//! datacoord and datanode: sequencing, flushing, manifests.
//!
//! A write goes proxy → [`DataNode::open_stream`] of the channel's sequencer. A flush goes data node → [`DataCoord::edit_manifest`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use store::manifest::{DeleteFileRef, Flushed, IndexFile, Manifest, Segment, ShardState, Truncated};
use tokio::sync::mpsc;
use types::Result;
use types::id::{ChannelName, CollectionId, IndexId, NodeId, PartitionId, SegmentId, ShardId, WriterId};
use types::position::Position;
use types::record::{Control, Epoch, Kind, Refusal};
use types::schema::Schema;
use types::time::Timestamp;

use crate::Call;

/// Requests that wait in a write stream, in either direction.
pub const STREAM_BOUND: usize = types::limits::WRITER_IN_FLIGHT_MAX;

/// The coordinator of shards, segments and garbage. The only one who moves a shard's manifest.
#[async_trait]
pub trait DataCoord: Send + Sync {
    /// Where channels are sequenced.
    async fn routes(&self, call: &Call) -> Result<Vec<Route>>;

    /// Lengthens the leases of sequencers (`docs/protocol.md` §5), each named by its channel and process epoch: how long each lasts from when the call was
    /// *sent*, in the same order; zero where there is none.
    async fn extend_leases(&self, call: &Call, sequencers: &[(ChannelName, u64)]) -> Result<Vec<Duration>>;

    /// The shard's manifest now.
    async fn manifest(&self, call: &Call, shard: ShardId) -> Result<CurrentManifest>;

    /// The shards whose log is in a channel, dropped ones that aren't swept yet included.
    async fn shards_of_channel(&self, call: &Call, channel: &ChannelName) -> Result<Vec<ShardId>>;

    /// Those of the shards that metadata doesn't have: asked of metadata now, while [`Self::shards_of_channel`] may lack one that another coordinator
    /// has just made.
    async fn unknown_shards(&self, call: &Call, shards: &[ShardId]) -> Result<Vec<ShardId>>;

    /// Changes a manifest by compare-and-swap.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` if the edit doesn't fit the manifest any more (somebody flushed the same range): drop what was written and start over.
    async fn edit_manifest(&self, call: &Call, shard: ShardId, edit: ManifestEdit) -> Result<CurrentManifest>;

    /// Moves a channel's checkpoint; only for the assignment's own process epoch.
    async fn commit_checkpoint(&self, call: &Call, channel: &ChannelName, checkpoint: CheckpointPointer) -> Result<()>;

    /// A channel's checkpoint, if it ever had one.
    async fn checkpoint(&self, call: &Call, channel: &ChannelName) -> Result<Option<CheckpointPointer>>;

    /// Begins to write a collection's growing rows to segments; returns what the client polls with.
    async fn flush(&self, call: &Call, collection: CollectionId) -> Result<FlushStarted>;

    /// Whether everything up to a timestamp is in segments.
    async fn is_flushed(&self, call: &Call, collection: CollectionId, timestamp: Timestamp) -> Result<bool>;

    /// Sealed segments of a collection.
    async fn segments(&self, call: &Call, collection: CollectionId) -> Result<Vec<SegmentInfo>>;

    /// Rows by partition, sealed and growing, deleted ones included as Milvus counts them.
    async fn statistics(&self, call: &Call, collection: CollectionId) -> Result<BTreeMap<PartitionId, u64>>;
}

/// Where a channel is sequenced.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Route {
    /// The channel.
    pub channel: ChannelName,
    /// The data node.
    pub node: NodeId,
    /// Its address; empty in one process.
    pub address: String,
    /// The process epoch that was assigned.
    pub process: u64,
    /// Whether the node has said that it took the channel up.
    #[serde(default)]
    pub confirmed: bool,
}

/// The mutable thing of a shard: which manifest is the current one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ManifestPointer {
    /// Rises by one with each change.
    pub version: u64,
    /// The object.
    pub name: String,
    /// Its bytes.
    pub length: u64,
    /// Its crc32c.
    pub checksum: u32,
}

/// A shard's manifest.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum CurrentManifest {
    /// Version 0: what the shard's create record says. Has no object.
    Start(Box<Manifest>),
    /// An object, which anyone may read.
    Object(ManifestPointer),
}

/// The mutable thing of a channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CheckpointPointer {
    /// The object.
    pub name: String,
    /// Its bytes.
    pub length: u64,
    /// Its crc32c.
    pub checksum: u32,
    /// What it is as of; it only advances.
    pub position: Position,
    /// Who wrote it.
    pub process: u64,
}

/// A change of a shard's manifest, as its author sees it; datacoord applies it to the manifest that is there.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum ManifestEdit {
    /// What a data node wrote of the growing rows and deletes, up to a position.
    Flush(Box<FlushEdit>),
    /// An index of a segment was built.
    AddIndex {
        /// Of which segment.
        segment: SegmentId,
        /// The container and its definition.
        file: IndexFile,
    },
    /// An index file of a segment isn't what was written: without it the index is built anew. Changes nothing where another file is named.
    RemoveDamagedIndex {
        /// Of which segment.
        segment: SegmentId,
        /// Its definition.
        index: IndexId,
        /// The object's name.
        object: String,
    },
    /// Segments were rewritten. Refused where one of them isn't there any more.
    Compact(Box<CompactionEdit>),
    /// An index definition was dropped.
    RemoveIndex {
        /// Which definition.
        index: IndexId,
    },
}

/// See [`ManifestEdit::Flush`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FlushEdit {
    /// What the manifest held when the flush began: another state there refuses the edit.
    pub from: Flushed,
    /// What it holds then.
    pub flushed: Flushed,
    /// New segments.
    pub segments: Vec<Segment>,
    /// New delete file.
    pub deletes: Option<DeleteFileRef>,
    /// The schema at `flushed`.
    pub schema: Schema,
    /// The last truncation there.
    pub truncated: Truncated,
    /// Dropped partitions there.
    pub dropped_partitions: BTreeSet<PartitionId>,
    /// Whether the shard is there.
    pub state: ShardState,
}

/// See [`ManifestEdit::Compact`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CompactionEdit {
    /// What was rewritten.
    pub from: BTreeSet<SegmentId>,
    /// What takes its place.
    pub to: Vec<Segment>,
    /// Rows that ended at or below it are in none of them.
    pub applied_to: Timestamp,
}

/// What Flush answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FlushStarted {
    /// Up to here every manifest of the collection goes; what was acknowledged before the call is in them.
    pub timestamp: Timestamp,
    /// Segments that the collection has in the end or has now.
    pub segments: Vec<SegmentId>,
}

/// A sealed segment, as clients may see it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SegmentInfo {
    /// The segment.
    pub id: SegmentId,
    /// Its shard.
    pub shard: ShardId,
    /// Rows by partition.
    pub rows: BTreeMap<PartitionId, u64>,
    /// Bytes of its files.
    pub bytes: u64,
    /// Indexes that are built.
    pub indexes: Vec<IndexId>,
}

/// The worker that sequences logs and writes segments.
#[async_trait]
pub trait DataNode: Send + Sync {
    /// One ordered stream of a writer to one channel. Either end may drop it at any time; the writer opens a new one and sends again what
    /// has no answer, from the lowest sequence, under the same sequences.
    async fn open_stream(&self, call: &Call, channel: &ChannelName, writer: WriterId) -> Result<WriteStream>;

    /// Appends a control record; one whose state the shard has already is answered from that state.
    async fn control(&self, call: &Call, channel: &ChannelName, shard: ShardId, control: Control) -> Result<Placed>;

    /// The end of the channel's log for a strong read (`docs/protocol.md` §5): every write acknowledged before the call lies at or below.
    async fn barrier(&self, call: &Call, channel: &ChannelName) -> Result<LogEnd>;

    /// Returns when the channel's clock is at or above `timestamp`, appending a Clock record if it must.
    async fn advance_clock(&self, call: &Call, channel: &ChannelName, timestamp: Timestamp) -> Result<()>;

    /// Writes a shard's growing rows as of now to segments and commits them; returns the clock up to which all is flushed.
    async fn flush(&self, call: &Call, shard: ShardId) -> Result<Timestamp>;

    /// Takes up the sequencing of a channel under a process epoch.
    async fn assign(&self, call: &Call, channel: &ChannelName, process: u64) -> Result<()>;

    /// Growing rows by partition of a shard.
    async fn growing_rows(&self, call: &Call, shard: ShardId) -> Result<BTreeMap<PartitionId, u64>>;
}

/// Up to where a sequencer has acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogEnd {
    /// A reader that stands here or above has all of it.
    pub position: Position,
    /// The epoch there.
    pub epoch: Epoch,
    /// The last number there: numbers are dense, so a reader that has it has all of it.
    pub number: u64,
    /// The clock there.
    pub clock: Timestamp,
}

/// Both directions of a writer's stream.
pub struct WriteStream {
    /// Requests in order of sequence.
    pub requests: mpsc::Sender<WriteRequest>,
    /// Answers, in any order.
    pub answers: mpsc::Receiver<WriteAnswer>,
}

/// One shard's part of a client's write.
#[derive(Clone, PartialEq, Debug)]
pub struct WriteRequest {
    /// Where to.
    pub shard: ShardId,
    /// The writer's number of the request, for life.
    pub sequence: u64,
    /// The lowest sequence that the writer still waits for.
    pub lowest_outstanding: u64,
    /// The schema that the body was made under.
    pub schema_version: u32,
    /// Insert, delete or upsert.
    pub kind: Kind,
    /// `types::record::Body::encode`.
    pub body: Bytes,
}

/// What became of a request.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum WriteAnswer {
    /// In the log, durably: written or refused.
    Decided {
        /// Of which request.
        sequence: u64,
        /// When it takes effect, or why it was refused.
        outcome: Outcome,
    },
    /// Nothing was burnt: send again from the lowest outstanding sequence.
    OutOfOrder {
        /// The sequence that is expected next.
        expected: u64,
    },
    /// Nothing was burnt: the sequencer doesn't know the writer and it didn't begin at 1.
    UnknownWriter,
    /// Nothing was burnt: ask datacoord for the route again.
    NotSequencer,
    /// The writer's id has gone: what it still waits for ends as "outcome unknown", new requests take a new id.
    WriterExpired,
    /// Nothing will be decided for this request: it can't be one, or the channel stopped (`docs/design.md` rule 7). Its outcome is unknown if it was sent before.
    Failed {
        /// Which request.
        sequence: u64,
        /// Why.
        refusal: Refusal,
    },
}

/// See [`WriteAnswer::Decided`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// Acknowledged.
    Written {
        /// The record's timestamp.
        timestamp: Timestamp,
    },
    /// Refused, durably: the same request will never be written.
    Refused(Refusal),
}

/// Where a control record lies: what meta's *created* transaction stores.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Placed {
    /// The record's position.
    pub position: Position,
    /// The epoch there.
    pub epoch: Epoch,
    /// Its number.
    pub number: u64,
    /// Its timestamp.
    pub timestamp: Timestamp,
}
