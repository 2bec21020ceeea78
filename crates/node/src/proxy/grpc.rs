//! The gRPC service: unwraps a request, calls the function behind it, wraps its answer. No logic.
//!
//! Failures travel inside of answers: gRPC's own status stays OK. RPCs that aren't here answer UNIMPLEMENTED.

use proto::common::Status as Outcome;
use proto::milvus as m;
use proto::milvus::milvus_service_server::MilvusService;
use tokio::time::Instant;
use tonic::{Request, Response, Status, async_trait};
use types::{Code, Error, Result};

use super::context::Context;
use super::status::{self, Reply};
use super::{Finished, Proxy, ddl, delete, flush, index, load, partition, query, search, system, write};

type Answer<A> = Result<Response<A>, Status>;

impl Proxy {
    /// Runs the function behind an RPC until the request's deadline.
    async fn answer<Q, A, F>(&self, function: &'static str, request: Request<Q>, run: impl FnOnce(Context, Q) -> F) -> Answer<A>
    where
        A: Reply,
        F: Future<Output = Result<A>>,
    {
        self.answer_with(function, request, run, status::failure).await
    }

    async fn answer_with<Q, A, F>(
        &self,
        function: &'static str,
        request: Request<Q>,
        run: impl FnOnce(Context, Q) -> F,
        failure: fn(&Error) -> Outcome,
    ) -> Answer<A>
    where
        A: Reply,
        F: Future<Output = Result<A>>,
    {
        let (metadata, _, request) = request.into_parts();
        let context = Context::new(&self.world, &metadata, self.config().request_timeout);
        let mut watch = Watch { proxy: self, function, started: self.world.clock.now(), context: context.clone(), code: Code::CANCELED };
        let call = context.call.clone();
        let reply = match call.bound(function, run(context, request)).await {
            Ok(reply) => reply,
            Err(error) => A::failed(failure(&error)),
        };
        watch.code = Code(reply.status().map_or(0, |status| status.code));
        if watch.code.0 != 0 && !watch.code.input() {
            let reason = reply.status().map_or("", |status| &status.reason);
            tracing::warn!(function, request = &*call.request, code = watch.code.0, reason, "a request failed");
        }
        Ok(Response::new(reply))
    }
}

/// Tells the observer of a request when it ends, also where the client leaves first.
struct Watch<'a> {
    proxy: &'a Proxy,
    function: &'static str,
    started: Instant,
    context: Context,
    code: Code,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let (database, collection) = self.context.named();
        self.proxy.observe.finished(&Finished {
            function: self.function,
            code: self.code.0,
            input_error: self.code.input(),
            database,
            collection,
            elapsed: self.proxy.world.clock.now().saturating_duration_since(self.started),
            request: &self.context.call.request,
            figures: self.context.figures(),
        });
    }
}

#[async_trait]
impl MilvusService for Proxy {
    async fn connect(&self, request: Request<m::ConnectRequest>) -> Answer<m::ConnectResponse> {
        self.answer("Connect", request, |context, request| system::connect(self, context, request)).await
    }

    async fn get_version(&self, request: Request<m::GetVersionRequest>) -> Answer<m::GetVersionResponse> {
        self.answer("GetVersion", request, |context, request| system::version(self, context, request)).await
    }

    async fn check_health(&self, request: Request<m::CheckHealthRequest>) -> Answer<m::CheckHealthResponse> {
        self.answer("CheckHealth", request, |context, request| system::check_health(self, context, request)).await
    }

    async fn get_component_states(&self, request: Request<m::GetComponentStatesRequest>) -> Answer<m::ComponentStates> {
        self.answer("GetComponentStates", request, |context, request| system::component_states(self, context, request)).await
    }

    async fn alloc_timestamp(&self, request: Request<m::AllocTimestampRequest>) -> Answer<m::AllocTimestampResponse> {
        self.answer("AllocTimestamp", request, |context, request| system::alloc_timestamp(self, context, request)).await
    }

    async fn list_databases(&self, request: Request<m::ListDatabasesRequest>) -> Answer<m::ListDatabasesResponse> {
        self.answer("ListDatabases", request, |context, request| ddl::list_databases(self, context, request)).await
    }

    async fn create_collection(&self, request: Request<m::CreateCollectionRequest>) -> Answer<Outcome> {
        self.answer("CreateCollection", request, |context, request| ddl::create_collection(self, context, request)).await
    }

    async fn drop_collection(&self, request: Request<m::DropCollectionRequest>) -> Answer<Outcome> {
        self.answer("DropCollection", request, |context, request| ddl::drop_collection(self, context, request)).await
    }

    async fn has_collection(&self, request: Request<m::HasCollectionRequest>) -> Answer<m::BoolResponse> {
        self.answer("HasCollection", request, |context, request| ddl::has_collection(self, context, request)).await
    }

    async fn describe_collection(&self, request: Request<m::DescribeCollectionRequest>) -> Answer<m::DescribeCollectionResponse> {
        let run = |context, request| ddl::describe_collection(self, context, request);
        self.answer_with("DescribeCollection", request, run, status::describe_failure).await
    }

    async fn add_collection_field(&self, request: Request<m::AddCollectionFieldRequest>) -> Answer<Outcome> {
        self.answer("AddCollectionField", request, |context, request| ddl::add_collection_field(self, context, request)).await
    }

    async fn show_collections(&self, request: Request<m::ShowCollectionsRequest>) -> Answer<m::ShowCollectionsResponse> {
        self.answer("ShowCollections", request, |context, request| ddl::show_collections(self, context, request)).await
    }

    async fn get_collection_statistics(
        &self,
        request: Request<m::GetCollectionStatisticsRequest>,
    ) -> Answer<m::GetCollectionStatisticsResponse> {
        let run = |context, request| ddl::collection_statistics(self, context, request);
        self.answer("GetCollectionStatistics", request, run).await
    }

    async fn create_partition(&self, request: Request<m::CreatePartitionRequest>) -> Answer<Outcome> {
        self.answer("CreatePartition", request, |context, request| partition::create(self, context, request)).await
    }

    async fn drop_partition(&self, request: Request<m::DropPartitionRequest>) -> Answer<Outcome> {
        self.answer("DropPartition", request, |context, request| partition::drop(self, context, request)).await
    }

    async fn has_partition(&self, request: Request<m::HasPartitionRequest>) -> Answer<m::BoolResponse> {
        self.answer("HasPartition", request, |context, request| partition::has(self, context, request)).await
    }

    async fn show_partitions(&self, request: Request<m::ShowPartitionsRequest>) -> Answer<m::ShowPartitionsResponse> {
        self.answer("ShowPartitions", request, |context, request| partition::show(self, context, request)).await
    }

    async fn get_partition_statistics(
        &self,
        request: Request<m::GetPartitionStatisticsRequest>,
    ) -> Answer<m::GetPartitionStatisticsResponse> {
        self.answer("GetPartitionStatistics", request, |context, request| partition::statistics(self, context, request)).await
    }

    async fn load_collection(&self, request: Request<m::LoadCollectionRequest>) -> Answer<Outcome> {
        self.answer("LoadCollection", request, |context, request| load::load_collection(self, context, request)).await
    }

    async fn load_partitions(&self, request: Request<m::LoadPartitionsRequest>) -> Answer<Outcome> {
        self.answer("LoadPartitions", request, |context, request| load::load_partitions(self, context, request)).await
    }

    async fn release_collection(&self, request: Request<m::ReleaseCollectionRequest>) -> Answer<Outcome> {
        self.answer("ReleaseCollection", request, |context, request| load::release_collection(self, context, request)).await
    }

    async fn release_partitions(&self, request: Request<m::ReleasePartitionsRequest>) -> Answer<Outcome> {
        self.answer("ReleasePartitions", request, |context, request| load::release_partitions(self, context, request)).await
    }

    async fn get_load_state(&self, request: Request<m::GetLoadStateRequest>) -> Answer<m::GetLoadStateResponse> {
        self.answer("GetLoadState", request, |context, request| load::load_state(self, context, request)).await
    }

    async fn get_loading_progress(&self, request: Request<m::GetLoadingProgressRequest>) -> Answer<m::GetLoadingProgressResponse> {
        self.answer("GetLoadingProgress", request, |context, request| load::loading_progress(self, context, request)).await
    }

    async fn get_replicas(&self, request: Request<m::GetReplicasRequest>) -> Answer<m::GetReplicasResponse> {
        self.answer("GetReplicas", request, |context, request| load::replicas(self, context, request)).await
    }

    async fn create_index(&self, request: Request<m::CreateIndexRequest>) -> Answer<Outcome> {
        self.answer("CreateIndex", request, |context, request| index::create(self, context, request)).await
    }

    async fn drop_index(&self, request: Request<m::DropIndexRequest>) -> Answer<Outcome> {
        self.answer("DropIndex", request, |context, request| index::drop(self, context, request)).await
    }

    async fn describe_index(&self, request: Request<m::DescribeIndexRequest>) -> Answer<m::DescribeIndexResponse> {
        self.answer("DescribeIndex", request, |context, request| index::describe(self, context, request)).await
    }

    async fn get_index_statistics(&self, request: Request<m::GetIndexStatisticsRequest>) -> Answer<m::GetIndexStatisticsResponse> {
        self.answer("GetIndexStatistics", request, |context, request| index::statistics(self, context, request)).await
    }

    async fn get_index_state(&self, request: Request<m::GetIndexStateRequest>) -> Answer<m::GetIndexStateResponse> {
        self.answer("GetIndexState", request, |context, request| index::state(self, context, request)).await
    }

    async fn get_index_build_progress(
        &self,
        request: Request<m::GetIndexBuildProgressRequest>,
    ) -> Answer<m::GetIndexBuildProgressResponse> {
        self.answer("GetIndexBuildProgress", request, |context, request| index::build_progress(self, context, request)).await
    }

    async fn insert(&self, request: Request<m::InsertRequest>) -> Answer<m::MutationResult> {
        self.answer("Insert", request, |context, request| write::insert(self, context, request)).await
    }

    async fn upsert(&self, request: Request<m::UpsertRequest>) -> Answer<m::MutationResult> {
        self.answer("Upsert", request, |context, request| write::upsert(self, context, request)).await
    }

    async fn delete(&self, request: Request<m::DeleteRequest>) -> Answer<m::MutationResult> {
        self.answer("Delete", request, |context, request| delete::delete(self, context, request)).await
    }

    async fn search(&self, request: Request<m::SearchRequest>) -> Answer<m::SearchResults> {
        self.answer("Search", request, |context, request| search::search(self, context, request)).await
    }

    async fn query(&self, request: Request<m::QueryRequest>) -> Answer<m::QueryResults> {
        self.answer("Query", request, |context, request| query::query(self, context, request)).await
    }

    async fn flush(&self, request: Request<m::FlushRequest>) -> Answer<m::FlushResponse> {
        self.answer("Flush", request, |context, request| flush::flush(self, context, request)).await
    }

    async fn get_flush_state(&self, request: Request<m::GetFlushStateRequest>) -> Answer<m::GetFlushStateResponse> {
        self.answer("GetFlushState", request, |context, request| flush::flush_state(self, context, request)).await
    }

    async fn get_persistent_segment_info(
        &self,
        request: Request<m::GetPersistentSegmentInfoRequest>,
    ) -> Answer<m::GetPersistentSegmentInfoResponse> {
        let run = |context, request| flush::persistent_segments(self, context, request);
        self.answer("GetPersistentSegmentInfo", request, run).await
    }

    async fn get_query_segment_info(&self, request: Request<m::GetQuerySegmentInfoRequest>) -> Answer<m::GetQuerySegmentInfoResponse> {
        self.answer("GetQuerySegmentInfo", request, |context, request| flush::query_segments(self, context, request)).await
    }
}
