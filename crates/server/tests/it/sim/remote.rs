//! Every role as the simulated network carries it: each call goes through [`Remote::call`], each write stream over two wires.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use base::fault::Fault;
use role::Call;
use role::data::{
    CheckpointPointer, CurrentManifest, DataCoord, DataNode, FlushStarted, LogEnd, ManifestEdit, Placed, Route, STREAM_BOUND, SegmentInfo,
    WriteStream,
};
use role::index::{BuildTask, CompactionTask, CreateIndex, IndexCoord, IndexNode, IndexStatus};
use role::proxy::Proxy;
use role::query::{
    Leader, LoadRequest, LoadState, NodeServing, QueryCoord, QueryNode, QueryRequest, QueryResponse, SearchRequest, SearchResponse,
    ServeShard,
};
use role::root::{Changed, CollectionRef, CreateCollection, RootCoord};
use store::manifest::{IndexFile, Segment};
use tokio::sync::mpsc;
use types::Result;
use types::collection::Collection;
use types::id::{ChannelName, CollectionId, PartitionId, ShardId, WriterId};
use types::record::Control;
use types::schema::Field;
use types::time::Timestamp;

use super::network::{Network, Remote};

/// One call: the role, the method, and its arguments, owned, under the names that the last expression uses.
macro_rules! remote {
    ($self:ident, $call:ident, $role:ident . $method:ident, ($($name:ident $(: $value:expr)?),*), |$r:ident, $c:ident| $run:expr) => {{
        $($(let $name = $value;)?)*
        $self.call(stringify!($method), $call, |served| served.$role.clone(), move |$r, $c| {
            $(let $name = $name.clone();)*
            Box::pin(async move { $run })
        }).await
    }};
}

#[async_trait]
impl DataNode for Remote {
    async fn open_stream(&self, call: &Call, channel: &ChannelName, writer: WriterId) -> Result<WriteStream> {
        let name = channel.clone();
        let opened = remote!(self, call, data_node.open_stream, (name), |role, call| role.open_stream(&call, &name, writer).await)?;
        Ok(self.wires(opened, channel, writer))
    }

    async fn control(&self, call: &Call, channel: &ChannelName, shard: ShardId, control: Control) -> Result<Placed> {
        remote!(self, call, data_node.control, (channel: channel.clone(), control), |role, call| role
            .control(&call, &channel, shard, control)
            .await)
    }

    async fn barrier(&self, call: &Call, channel: &ChannelName) -> Result<LogEnd> {
        remote!(self, call, data_node.barrier, (channel: channel.clone()), |role, call| role.barrier(&call, &channel).await)
    }

    async fn advance_clock(&self, call: &Call, channel: &ChannelName, timestamp: Timestamp) -> Result<()> {
        remote!(self, call, data_node.advance_clock, (channel: channel.clone()), |role, call| role
            .advance_clock(&call, &channel, timestamp)
            .await)
    }

    async fn flush(&self, call: &Call, shard: ShardId) -> Result<Timestamp> {
        remote!(self, call, data_node.flush, (), |role, call| role.flush(&call, shard).await)
    }

    async fn assign(&self, call: &Call, channel: &ChannelName, process: u64) -> Result<()> {
        remote!(self, call, data_node.assign, (channel: channel.clone()), |role, call| role.assign(&call, &channel, process).await)
    }

    async fn growing_rows(&self, call: &Call, shard: ShardId) -> Result<BTreeMap<PartitionId, u64>> {
        remote!(self, call, data_node.growing_rows, (), |role, call| role.growing_rows(&call, shard).await)
    }
}

impl Remote {
    /// Two wires, one each way: in order, late at times, and both cut when one is.
    fn wires(&self, far: WriteStream, channel: &ChannelName, writer: WriterId) -> WriteStream {
        let (requests, mut sent) = mpsc::channel(STREAM_BOUND);
        let (received, answers) = mpsc::channel(STREAM_BOUND);
        let WriteStream { requests: far_requests, answers: mut far_answers } = far;
        let (network, from, to) = (self.network.clone(), self.from.clone(), self.to.clone());
        let key = (channel.clone(), writer);
        let lost = move |network: &Network, fault| network.is_cut(&from, &to) || matches!(fault, Fault::FailBefore | Fault::FailAfter);
        let (lost_out, lost_in, inward, far) = (lost.clone(), lost, network.clone(), self.to.clone());
        let sending = async move {
            while let Some(request) = sent.recv().await {
                let fault = network.faults.begin("stream").await;
                if lost_out(&network, fault) {
                    return;
                }
                network.coverage.request(&key, &request);
                if far_requests.send(request).await.is_err() {
                    return;
                }
            }
        };
        let receiving = async move {
            while let Some(answer) = far_answers.recv().await {
                let fault = inward.faults.begin("stream").await;
                if inward.is_mute(&far) {
                    continue;
                }
                if lost_in(&inward, fault) || received.send(answer).await.is_err() {
                    return;
                }
            }
        };
        let both = async move {
            tokio::select! {
                biased;
                () = receiving => {}
                () = sending => {}
            }
        };
        self.network.world.tasks.spawn(both).detach();
        WriteStream { requests, answers }
    }
}

#[async_trait]
impl Proxy for Remote {
    async fn invalidate(&self, call: &Call, changed: &Changed) -> Result<()> {
        remote!(self, call, proxy.invalidate, (changed: changed.clone()), |role, call| role.invalidate(&call, &changed).await)
    }
}

#[async_trait]
impl QueryNode for Remote {
    async fn search(&self, call: &Call, request: SearchRequest) -> Result<SearchResponse> {
        remote!(self, call, query_node.search, (request), |role, call| role.search(&call, request).await)
    }

    async fn query(&self, call: &Call, request: QueryRequest) -> Result<QueryResponse> {
        remote!(self, call, query_node.query, (request), |role, call| role.query(&call, request).await)
    }

    async fn serve(&self, call: &Call, request: ServeShard) -> Result<()> {
        remote!(self, call, query_node.serve, (request), |role, call| role.serve(&call, request).await)
    }

    async fn release(&self, call: &Call, shard: ShardId) -> Result<()> {
        remote!(self, call, query_node.release, (), |role, call| role.release(&call, shard).await)
    }

    async fn serving(&self, call: &Call) -> Result<NodeServing> {
        remote!(self, call, query_node.serving, (), |role, call| role.serving(&call).await)
    }
}

#[async_trait]
impl IndexNode for Remote {
    async fn build(&self, call: &Call, task: BuildTask) -> Result<IndexFile> {
        remote!(self, call, index_node.build, (task), |role, call| role.build(&call, task).await)
    }

    async fn compact(&self, call: &Call, task: CompactionTask) -> Result<Vec<Segment>> {
        remote!(self, call, index_node.compact, (task), |role, call| role.compact(&call, task).await)
    }
}

#[async_trait]
impl DataCoord for Remote {
    async fn routes(&self, call: &Call) -> Result<Vec<Route>> {
        remote!(self, call, data.routes, (), |role, call| role.routes(&call).await)
    }

    async fn extend_leases(&self, call: &Call, sequencers: &[(ChannelName, u64)]) -> Result<Vec<Duration>> {
        remote!(self, call, data.extend_leases, (sequencers: sequencers.to_vec()), |role, call| role.extend_leases(&call, &sequencers).await)
    }

    async fn manifest(&self, call: &Call, shard: ShardId) -> Result<CurrentManifest> {
        remote!(self, call, data.manifest, (), |role, call| role.manifest(&call, shard).await)
    }

    async fn shards_of_channel(&self, call: &Call, channel: &ChannelName) -> Result<Vec<ShardId>> {
        remote!(self, call, data.shards_of_channel, (channel: channel.clone()), |role, call| role.shards_of_channel(&call, &channel).await)
    }

    async fn unknown_shards(&self, call: &Call, shards: &[ShardId]) -> Result<Vec<ShardId>> {
        remote!(self, call, data.unknown_shards, (shards: shards.to_vec()), |role, call| role.unknown_shards(&call, &shards).await)
    }

    async fn edit_manifest(&self, call: &Call, shard: ShardId, edit: ManifestEdit) -> Result<CurrentManifest> {
        remote!(self, call, data.edit_manifest, (edit), |role, call| role.edit_manifest(&call, shard, edit).await)
    }

    async fn commit_checkpoint(&self, call: &Call, channel: &ChannelName, checkpoint: CheckpointPointer) -> Result<()> {
        remote!(self, call, data.commit_checkpoint, (channel: channel.clone(), checkpoint), |role, call| role
            .commit_checkpoint(&call, &channel, checkpoint)
            .await)
    }

    async fn checkpoint(&self, call: &Call, channel: &ChannelName) -> Result<Option<CheckpointPointer>> {
        remote!(self, call, data.checkpoint, (channel: channel.clone()), |role, call| role.checkpoint(&call, &channel).await)
    }

    async fn flush(&self, call: &Call, collection: CollectionId) -> Result<FlushStarted> {
        remote!(self, call, data.flush, (), |role, call| role.flush(&call, collection).await)
    }

    async fn is_flushed(&self, call: &Call, collection: CollectionId, timestamp: Timestamp) -> Result<bool> {
        remote!(self, call, data.is_flushed, (), |role, call| role.is_flushed(&call, collection, timestamp).await)
    }

    async fn segments(&self, call: &Call, collection: CollectionId) -> Result<Vec<SegmentInfo>> {
        remote!(self, call, data.segments, (), |role, call| role.segments(&call, collection).await)
    }

    async fn statistics(&self, call: &Call, collection: CollectionId) -> Result<BTreeMap<PartitionId, u64>> {
        remote!(self, call, data.statistics, (), |role, call| role.statistics(&call, collection).await)
    }
}

#[async_trait]
impl RootCoord for Remote {
    async fn create_collection(&self, call: &Call, request: CreateCollection) -> Result<()> {
        remote!(self, call, root.create_collection, (request), |role, call| role.create_collection(&call, request).await)
    }

    async fn drop_collection(&self, call: &Call, database: &str, name: &str) -> Result<()> {
        remote!(self, call, root.drop_collection, (database: database.to_owned(), name: name.to_owned()), |role, call| role
            .drop_collection(&call, &database, &name)
            .await)
    }

    async fn collection(&self, call: &Call, which: &CollectionRef) -> Result<Collection> {
        remote!(self, call, root.collection, (which: which.clone()), |role, call| role.collection(&call, &which).await)
    }

    async fn collections(&self, call: &Call, database: &str) -> Result<Vec<Collection>> {
        remote!(self, call, root.collections, (database: database.to_owned()), |role, call| role.collections(&call, &database).await)
    }

    async fn create_partition(&self, call: &Call, collection: CollectionId, name: &str) -> Result<()> {
        remote!(self, call, root.create_partition, (name: name.to_owned()), |role, call| role
            .create_partition(&call, collection, &name)
            .await)
    }

    async fn drop_partition(&self, call: &Call, collection: CollectionId, name: &str) -> Result<()> {
        remote!(self, call, root.drop_partition, (name: name.to_owned()), |role, call| role.drop_partition(&call, collection, &name).await)
    }

    async fn add_field(&self, call: &Call, collection: CollectionId, field: Field) -> Result<()> {
        remote!(self, call, root.add_field, (field), |role, call| role.add_field(&call, collection, field).await)
    }

    async fn databases(&self, call: &Call) -> Result<Vec<String>> {
        remote!(self, call, root.databases, (), |role, call| role.databases(&call).await)
    }

    async fn allocate_ids(&self, call: &Call, count: u32) -> Result<Range<i64>> {
        remote!(self, call, root.allocate_ids, (), |role, call| role.allocate_ids(&call, count).await)
    }

    async fn allocate_timestamp(&self, call: &Call) -> Result<Timestamp> {
        remote!(self, call, root.allocate_timestamp, (), |role, call| role.allocate_timestamp(&call).await)
    }

    async fn register_proxy(&self, call: &Call, address: &str) -> Result<WriterId> {
        remote!(self, call, root.register_proxy, (address: address.to_owned()), |role, call| role.register_proxy(&call, &address).await)
    }
}

#[async_trait]
impl QueryCoord for Remote {
    async fn load(&self, call: &Call, request: LoadRequest) -> Result<()> {
        remote!(self, call, query.load, (request), |role, call| role.load(&call, request).await)
    }

    async fn release(&self, call: &Call, collection: CollectionId, partitions: Option<Vec<PartitionId>>) -> Result<()> {
        remote!(self, call, query.release, (partitions), |role, call| role.release(&call, collection, partitions).await)
    }

    async fn load_state(&self, call: &Call, collection: CollectionId) -> Result<LoadState> {
        remote!(self, call, query.load_state, (), |role, call| role.load_state(&call, collection).await)
    }

    async fn leaders(&self, call: &Call, collection: CollectionId) -> Result<Vec<Leader>> {
        remote!(self, call, query.leaders, (), |role, call| role.leaders(&call, collection).await)
    }
}

#[async_trait]
impl IndexCoord for Remote {
    async fn create_index(&self, call: &Call, request: CreateIndex) -> Result<()> {
        remote!(self, call, index.create_index, (request), |role, call| role.create_index(&call, request).await)
    }

    async fn drop_index(&self, call: &Call, collection: CollectionId, name: &str) -> Result<()> {
        remote!(self, call, index.drop_index, (name: name.to_owned()), |role, call| role.drop_index(&call, collection, &name).await)
    }

    async fn indexes(&self, call: &Call, collection: CollectionId) -> Result<Vec<IndexStatus>> {
        remote!(self, call, index.indexes, (), |role, call| role.indexes(&call, collection).await)
    }
}
