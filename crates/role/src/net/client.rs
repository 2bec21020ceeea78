//! Clients that are roles: wrap, send, unwrap. No logic, no retries.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base::World;
use proto::elanus::role as wire_proto;
use proto::elanus::role::{CallReply, CallRequest};
use store::manifest::{IndexFile, Segment};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use types::collection::Collection;
use types::id::{ChannelName, CollectionId, PartitionId, ShardId, WriterId};
use types::record::Control;
use types::schema::Field;
use types::time::Timestamp;
use types::{Code, Error, Result};

use super::MESSAGE_BYTES_MAX;
use super::stream::open_stream;
use super::wire::{Json, Wire, result};
use crate::Call;
use crate::data::{
    CheckpointPointer, CurrentManifest, DataCoord, DataNode, FlushStarted, LogEnd, ManifestEdit, Placed, Route, SegmentInfo, WriteStream,
};
use crate::index::{BuildTask, CompactionTask, CreateIndex, IndexCoord, IndexNode, IndexStatus};
use crate::proxy::Proxy;
use crate::query::{
    Leader, LoadRequest, LoadState, NodeServing, QueryCoord, QueryNode, QueryRequest, QueryResponse, SearchRequest, SearchResponse,
    ServeShard,
};
use crate::root::{Changed, CollectionRef, CreateCollection, RootCoord};

/// Connections to one peer: one carries some 30,000 calls a second, so a few are used in turn.
const CONNECTIONS: usize = 4;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A dead peer is noticed within this, also while a call waits for it.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
const STREAM_WINDOW_BYTES: u32 = 8 << 20;

/// Another process: every role that it serves.
pub struct Peer {
    pub(super) world: World,
    pub(super) address: String,
    channels: Vec<Channel>,
    next: AtomicUsize,
}

type Sent = Result<Response<CallReply>, Status>;

impl Peer {
    /// A peer at `host:port`; connects when it is first called, and again after a connection broke.
    ///
    /// # Errors
    /// An address that isn't one.
    pub fn connect(world: &World, address: &str) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| Error::invalid(format!("{address} is no address of a role: {error}")))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(false)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(4 * STREAM_WINDOW_BYTES);
        let channels = (0..CONNECTIONS).map(|_| endpoint.connect_lazy()).collect();
        Ok(Self { world: world.clone(), address: address.to_owned(), channels, next: AtomicUsize::new(0) })
    }

    pub(super) fn channel(&self) -> Channel {
        self.channels[self.next.fetch_add(1, Ordering::Relaxed) % CONNECTIONS].clone()
    }

    pub(super) fn failed(&self, status: &Status) -> Error {
        let code = match status.code() {
            tonic::Code::DeadlineExceeded => Code::TIMEOUT,
            tonic::Code::Cancelled => Code::CANCELED,
            _ => Code::SERVICE_UNAVAILABLE,
        };
        Error::new(code, format!("{}: {}: {}", self.address, status.message(), code.text()))
    }

    /// One call: `send` picks service and method.
    async fn call<A: Wire, T: Wire>(
        &self,
        call: &Call,
        arguments: A,
        send: impl AsyncFnOnce(Channel, Request<CallRequest>) -> Sent,
    ) -> Result<T> {
        let left_ms = call.left(&self.world).as_millis() as u64;
        let request = CallRequest { request_id: call.request.to_string(), left_ms, arguments: Some(arguments.pack()) };
        let sent = async {
            match send(self.channel(), Request::new(request)).await {
                Ok(response) => result(response.into_inner()),
                Err(status) => Err(self.failed(&status)),
            }
        };
        call.bound(&self.address, sent).await
    }
}

/// A client of a service over a channel, with our limits.
macro_rules! client {
    ($channel:expr, $module:ident, $client:ident) => {
        wire_proto::$module::$client::new($channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    };
}
pub(super) use client;

/// `self.call(…)` of one method.
macro_rules! remote {
    ($self:ident, $call:ident, $module:ident :: $client:ident . $method:ident ( $arguments:expr )) => {
        $self.call($call, $arguments, async |channel, request| client!(channel, $module, $client).$method(request).await).await
    };
}

/// A reply that is all JSON.
fn plain<T>(reply: Result<Json<T>>) -> Result<T> {
    reply.map(|Json(value)| value)
}

#[async_trait]
impl RootCoord for Peer {
    async fn create_collection(&self, call: &Call, request: CreateCollection) -> Result<()> {
        plain(remote!(self, call, root_coord_client::RootCoordClient.create_collection(Json(request))))
    }

    async fn drop_collection(&self, call: &Call, database: &str, name: &str) -> Result<()> {
        let arguments = Json((database.to_owned(), name.to_owned()));
        plain(remote!(self, call, root_coord_client::RootCoordClient.drop_collection(arguments)))
    }

    async fn collection(&self, call: &Call, which: &CollectionRef) -> Result<Collection> {
        plain(remote!(self, call, root_coord_client::RootCoordClient.collection(Json(which.clone()))))
    }

    async fn collections(&self, call: &Call, database: &str) -> Result<Vec<Collection>> {
        plain(remote!(self, call, root_coord_client::RootCoordClient.collections(Json(database.to_owned()))))
    }

    async fn create_partition(&self, call: &Call, collection: CollectionId, name: &str) -> Result<()> {
        plain(remote!(self, call, root_coord_client::RootCoordClient.create_partition(Json((collection, name.to_owned())))))
    }

    async fn drop_partition(&self, call: &Call, collection: CollectionId, name: &str) -> Result<()> {
        plain(remote!(self, call, root_coord_client::RootCoordClient.drop_partition(Json((collection, name.to_owned())))))
    }

    async fn add_field(&self, call: &Call, collection: CollectionId, field: Field) -> Result<()> {
        plain(remote!(self, call, root_coord_client::RootCoordClient.add_field(Json((collection, field)))))
    }

    async fn databases(&self, call: &Call) -> Result<Vec<String>> {
        plain(remote!(self, call, root_coord_client::RootCoordClient.databases(Json(()))))
    }

    async fn allocate_ids(&self, call: &Call, count: u32) -> Result<Range<i64>> {
        plain(remote!(self, call, root_coord_client::RootCoordClient.allocate_ids(Json(count))))
    }

    async fn allocate_timestamp(&self, call: &Call) -> Result<Timestamp> {
        plain(remote!(self, call, root_coord_client::RootCoordClient.allocate_timestamp(Json(()))))
    }

    async fn register_proxy(&self, call: &Call, address: &str) -> Result<WriterId> {
        plain(remote!(self, call, root_coord_client::RootCoordClient.register_proxy(Json(address.to_owned()))))
    }
}

#[async_trait]
impl Proxy for Peer {
    async fn invalidate(&self, call: &Call, changed: &Changed) -> Result<()> {
        plain(remote!(self, call, proxy_client::ProxyClient.invalidate(Json(changed.clone()))))
    }
}

#[async_trait]
impl DataCoord for Peer {
    async fn routes(&self, call: &Call) -> Result<Vec<Route>> {
        plain(remote!(self, call, data_coord_client::DataCoordClient.routes(Json(()))))
    }

    async fn extend_leases(&self, call: &Call, sequencers: &[(ChannelName, u64)]) -> Result<Vec<Duration>> {
        plain(remote!(self, call, data_coord_client::DataCoordClient.extend_leases(Json(sequencers.to_vec()))))
    }

    async fn manifest(&self, call: &Call, shard: ShardId) -> Result<CurrentManifest> {
        plain(remote!(self, call, data_coord_client::DataCoordClient.manifest(Json(shard))))
    }

    async fn shards_of_channel(&self, call: &Call, channel: &ChannelName) -> Result<Vec<ShardId>> {
        plain(remote!(self, call, data_coord_client::DataCoordClient.shards_of_channel(Json(channel.clone()))))
    }

    async fn unknown_shards(&self, call: &Call, shards: &[ShardId]) -> Result<Vec<ShardId>> {
        plain(remote!(self, call, data_coord_client::DataCoordClient.unknown_shards(Json(shards.to_vec()))))
    }

    async fn edit_manifest(&self, call: &Call, shard: ShardId, edit: ManifestEdit) -> Result<CurrentManifest> {
        plain(remote!(self, call, data_coord_client::DataCoordClient.edit_manifest(Json((shard, edit)))))
    }

    async fn commit_checkpoint(&self, call: &Call, channel: &ChannelName, checkpoint: CheckpointPointer) -> Result<()> {
        plain(remote!(self, call, data_coord_client::DataCoordClient.commit_checkpoint(Json((channel.clone(), checkpoint)))))
    }

    async fn checkpoint(&self, call: &Call, channel: &ChannelName) -> Result<Option<CheckpointPointer>> {
        plain(remote!(self, call, data_coord_client::DataCoordClient.checkpoint(Json(channel.clone()))))
    }

    async fn flush(&self, call: &Call, collection: CollectionId) -> Result<FlushStarted> {
        plain(remote!(self, call, data_coord_client::DataCoordClient.flush(Json(collection))))
    }

    async fn is_flushed(&self, call: &Call, collection: CollectionId, timestamp: Timestamp) -> Result<bool> {
        plain(remote!(self, call, data_coord_client::DataCoordClient.is_flushed(Json((collection, timestamp)))))
    }

    async fn segments(&self, call: &Call, collection: CollectionId) -> Result<Vec<SegmentInfo>> {
        plain(remote!(self, call, data_coord_client::DataCoordClient.segments(Json(collection))))
    }

    async fn statistics(&self, call: &Call, collection: CollectionId) -> Result<BTreeMap<PartitionId, u64>> {
        plain(remote!(self, call, data_coord_client::DataCoordClient.statistics(Json(collection))))
    }
}

#[async_trait]
impl DataNode for Peer {
    async fn open_stream(&self, call: &Call, channel: &ChannelName, writer: WriterId) -> Result<WriteStream> {
        open_stream(self, call, channel, writer).await
    }

    async fn control(&self, call: &Call, channel: &ChannelName, shard: ShardId, control: Control) -> Result<Placed> {
        plain(remote!(self, call, data_node_client::DataNodeClient.control(Json((channel.clone(), shard, control)))))
    }

    async fn barrier(&self, call: &Call, channel: &ChannelName) -> Result<LogEnd> {
        plain(remote!(self, call, data_node_client::DataNodeClient.barrier(Json(channel.clone()))))
    }

    async fn advance_clock(&self, call: &Call, channel: &ChannelName, timestamp: Timestamp) -> Result<()> {
        plain(remote!(self, call, data_node_client::DataNodeClient.advance_clock(Json((channel.clone(), timestamp)))))
    }

    async fn flush(&self, call: &Call, shard: ShardId) -> Result<Timestamp> {
        plain(remote!(self, call, data_node_client::DataNodeClient.flush(Json(shard))))
    }

    async fn assign(&self, call: &Call, channel: &ChannelName, process: u64) -> Result<()> {
        plain(remote!(self, call, data_node_client::DataNodeClient.assign(Json((channel.clone(), process)))))
    }

    async fn growing_rows(&self, call: &Call, shard: ShardId) -> Result<BTreeMap<PartitionId, u64>> {
        plain(remote!(self, call, data_node_client::DataNodeClient.growing_rows(Json(shard))))
    }
}

#[async_trait]
impl QueryCoord for Peer {
    async fn load(&self, call: &Call, request: LoadRequest) -> Result<()> {
        plain(remote!(self, call, query_coord_client::QueryCoordClient.load(Json(request))))
    }

    async fn release(&self, call: &Call, collection: CollectionId, partitions: Option<Vec<PartitionId>>) -> Result<()> {
        plain(remote!(self, call, query_coord_client::QueryCoordClient.release(Json((collection, partitions)))))
    }

    async fn load_state(&self, call: &Call, collection: CollectionId) -> Result<LoadState> {
        plain(remote!(self, call, query_coord_client::QueryCoordClient.load_state(Json(collection))))
    }

    async fn leaders(&self, call: &Call, collection: CollectionId) -> Result<Vec<Leader>> {
        plain(remote!(self, call, query_coord_client::QueryCoordClient.leaders(Json(collection))))
    }
}

#[async_trait]
impl QueryNode for Peer {
    async fn search(&self, call: &Call, request: SearchRequest) -> Result<SearchResponse> {
        remote!(self, call, query_node_client::QueryNodeClient.search(request))
    }

    async fn query(&self, call: &Call, request: QueryRequest) -> Result<QueryResponse> {
        remote!(self, call, query_node_client::QueryNodeClient.query(Json(request)))
    }

    async fn serve(&self, call: &Call, request: ServeShard) -> Result<()> {
        plain(remote!(self, call, query_node_client::QueryNodeClient.serve(Json(request))))
    }

    async fn release(&self, call: &Call, shard: ShardId) -> Result<()> {
        plain(remote!(self, call, query_node_client::QueryNodeClient.release(Json(shard))))
    }

    async fn serving(&self, call: &Call) -> Result<NodeServing> {
        plain(remote!(self, call, query_node_client::QueryNodeClient.serving(Json(()))))
    }
}

#[async_trait]
impl IndexCoord for Peer {
    async fn create_index(&self, call: &Call, request: CreateIndex) -> Result<()> {
        plain(remote!(self, call, index_coord_client::IndexCoordClient.create_index(Json(request))))
    }

    async fn drop_index(&self, call: &Call, collection: CollectionId, name: &str) -> Result<()> {
        plain(remote!(self, call, index_coord_client::IndexCoordClient.drop_index(Json((collection, name.to_owned())))))
    }

    async fn indexes(&self, call: &Call, collection: CollectionId) -> Result<Vec<IndexStatus>> {
        plain(remote!(self, call, index_coord_client::IndexCoordClient.indexes(Json(collection))))
    }
}

#[async_trait]
impl IndexNode for Peer {
    async fn build(&self, call: &Call, task: BuildTask) -> Result<IndexFile> {
        plain(remote!(self, call, index_node_client::IndexNodeClient.build(Json(task))))
    }

    async fn compact(&self, call: &Call, task: CompactionTask) -> Result<Vec<Segment>> {
        plain(remote!(self, call, index_node_client::IndexNodeClient.compact(Json(task))))
    }
}
