//! Servers in front of roles: unwrap, call, wrap. No logic.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use base::World;
use futures::stream::BoxStream;
use proto::elanus::role as wire_proto;
use proto::elanus::role::{CallReply, CallRequest, Envelope, StreamMessage};
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use types::id::{ChannelName, CollectionId, PartitionId, ShardId};
use types::record::Control;
use types::schema::Field;
use types::time::Timestamp;
use types::{Error, Result};

use super::MESSAGE_BYTES_MAX;
use super::stream::serve_stream;
use super::wire::{Json, Wire, reply};
use crate::Call;
use crate::data::{CheckpointPointer, DataCoord, DataNode, ManifestEdit};
use crate::index::{BuildTask, CompactionTask, CreateIndex, IndexCoord, IndexNode};
use crate::proxy::Proxy;
use crate::query::{LoadRequest, QueryCoord, QueryNode, QueryRequest, SearchRequest, ServeShard};
use crate::root::{Changed, CollectionRef, CreateCollection, RootCoord};

/// The roles that a process serves to others.
#[derive(Clone, Default)]
pub struct Served {
    /// rootcoord.
    pub root: Option<Arc<dyn RootCoord>>,
    /// datacoord.
    pub data: Option<Arc<dyn DataCoord>>,
    /// querycoord.
    pub query: Option<Arc<dyn QueryCoord>>,
    /// indexcoord.
    pub index: Option<Arc<dyn IndexCoord>>,
    /// datanode.
    pub data_node: Option<Arc<dyn DataNode>>,
    /// querynode.
    pub query_node: Option<Arc<dyn QueryNode>>,
    /// indexnode.
    pub index_node: Option<Arc<dyn IndexNode>>,
    /// proxy.
    pub proxy: Option<Arc<dyn Proxy>>,
}

/// The gRPC routes of a process's roles.
pub fn routes(world: &World, served: Served) -> Routes {
    let mut routes = Routes::builder();
    macro_rules! add {
        ($role:expr, $module:ident, $server:ident) => {
            if let Some(role) = $role {
                let service = wire_proto::$module::$server::new(Adapter { world: world.clone(), role })
                    .max_decoding_message_size(MESSAGE_BYTES_MAX)
                    .max_encoding_message_size(MESSAGE_BYTES_MAX);
                routes.add_service(service);
            }
        };
    }
    add!(served.root, root_coord_server, RootCoordServer);
    add!(served.data, data_coord_server, DataCoordServer);
    add!(served.query, query_coord_server, QueryCoordServer);
    add!(served.index, index_coord_server, IndexCoordServer);
    add!(served.data_node, data_node_server, DataNodeServer);
    add!(served.query_node, query_node_server, QueryNodeServer);
    add!(served.index_node, index_node_server, IndexNodeServer);
    add!(served.proxy, proxy_server, ProxyServer);
    routes.routes()
}

struct Adapter<R: ?Sized> {
    world: World,
    role: Arc<R>,
}

type Answer = Result<Response<CallReply>, Status>;

impl<R: ?Sized> Adapter<R> {
    /// Decodes the arguments, runs `work` until the caller's deadline, encodes what came of it.
    async fn answer<A: Wire, T: Wire, F>(&self, request: Request<CallRequest>, work: impl FnOnce(Arc<R>, Call, A) -> F) -> Answer
    where
        F: Future<Output = Result<T>>,
    {
        let CallRequest { request_id, left_ms, arguments } = request.into_inner();
        let call = Call::within(&self.world, Duration::from_millis(left_ms), &request_id);
        let arguments = arguments.ok_or_else(|| Error::internal("a call without arguments")).and_then(A::unpack);
        let result = match arguments {
            Ok(arguments) => {
                let bound = call.clone();
                bound.bound("a call between roles", work(self.role.clone(), call, arguments)).await
            }
            Err(error) => Err(error),
        };
        Ok(Response::new(reply(result)))
    }
}

#[tonic::async_trait]
impl wire_proto::root_coord_server::RootCoord for Adapter<dyn RootCoord> {
    async fn create_collection(&self, request: Request<CallRequest>) -> Answer {
        self.answer(
            request,
            |role, call, Json(wish): Json<CreateCollection>| async move { role.create_collection(&call, wish).await.map(Json) },
        )
        .await
    }

    async fn drop_collection(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json((database, name)): Json<(String, String)>| async move {
            role.drop_collection(&call, &database, &name).await.map(Json)
        })
        .await
    }

    async fn collection(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(which): Json<CollectionRef>| async move { role.collection(&call, &which).await.map(Json) })
            .await
    }

    async fn collections(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(database): Json<String>| async move { role.collections(&call, &database).await.map(Json) })
            .await
    }

    async fn create_partition(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json((collection, name)): Json<(CollectionId, String)>| async move {
            role.create_partition(&call, collection, &name).await.map(Json)
        })
        .await
    }

    async fn drop_partition(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json((collection, name)): Json<(CollectionId, String)>| async move {
            role.drop_partition(&call, collection, &name).await.map(Json)
        })
        .await
    }

    async fn add_field(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json((collection, field)): Json<(CollectionId, Field)>| async move {
            role.add_field(&call, collection, field).await.map(Json)
        })
        .await
    }

    async fn databases(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(()): Json<()>| async move { role.databases(&call).await.map(Json) }).await
    }

    async fn allocate_ids(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(count): Json<u32>| async move { role.allocate_ids(&call, count).await.map(Json) }).await
    }

    async fn allocate_timestamp(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(()): Json<()>| async move { role.allocate_timestamp(&call).await.map(Json) }).await
    }

    async fn register_proxy(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(address): Json<String>| async move { role.register_proxy(&call, &address).await.map(Json) })
            .await
    }
}

#[tonic::async_trait]
impl wire_proto::proxy_server::Proxy for Adapter<dyn Proxy> {
    async fn invalidate(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(changed): Json<Changed>| async move { role.invalidate(&call, &changed).await.map(Json) })
            .await
    }
}

#[tonic::async_trait]
impl wire_proto::data_coord_server::DataCoord for Adapter<dyn DataCoord> {
    async fn routes(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(()): Json<()>| async move { role.routes(&call).await.map(Json) }).await
    }

    async fn extend_leases(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(sequencers): Json<Vec<(ChannelName, u64)>>| async move {
            role.extend_leases(&call, &sequencers).await.map(Json)
        })
        .await
    }

    async fn manifest(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(shard): Json<ShardId>| async move { role.manifest(&call, shard).await.map(Json) }).await
    }

    async fn shards_of_channel(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(channel): Json<ChannelName>| async move {
            role.shards_of_channel(&call, &channel).await.map(Json)
        })
        .await
    }

    async fn unknown_shards(&self, request: Request<CallRequest>) -> Answer {
        self.answer(
            request,
            |role, call, Json(shards): Json<Vec<ShardId>>| async move { role.unknown_shards(&call, &shards).await.map(Json) },
        )
        .await
    }

    async fn edit_manifest(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json((shard, edit)): Json<(ShardId, ManifestEdit)>| async move {
            role.edit_manifest(&call, shard, edit).await.map(Json)
        })
        .await
    }

    async fn commit_checkpoint(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json((channel, pointer)): Json<(ChannelName, CheckpointPointer)>| async move {
            role.commit_checkpoint(&call, &channel, pointer).await.map(Json)
        })
        .await
    }

    async fn checkpoint(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(channel): Json<ChannelName>| async move { role.checkpoint(&call, &channel).await.map(Json) })
            .await
    }

    async fn flush(&self, request: Request<CallRequest>) -> Answer {
        self.answer(
            request,
            |role, call, Json(collection): Json<CollectionId>| async move { role.flush(&call, collection).await.map(Json) },
        )
        .await
    }

    async fn is_flushed(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json((collection, timestamp)): Json<(CollectionId, Timestamp)>| async move {
            role.is_flushed(&call, collection, timestamp).await.map(Json)
        })
        .await
    }

    async fn segments(&self, request: Request<CallRequest>) -> Answer {
        self.answer(
            request,
            |role, call, Json(collection): Json<CollectionId>| async move { role.segments(&call, collection).await.map(Json) },
        )
        .await
    }

    async fn statistics(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(collection): Json<CollectionId>| async move {
            role.statistics(&call, collection).await.map(Json)
        })
        .await
    }
}

#[tonic::async_trait]
impl wire_proto::data_node_server::DataNode for Adapter<dyn DataNode> {
    async fn open_stream(
        &self,
        request: Request<Streaming<StreamMessage>>,
    ) -> Result<Response<BoxStream<'static, Result<Envelope, Status>>>, Status> {
        serve_stream(&self.world, self.role.clone(), request.into_inner()).await.map(Response::new)
    }

    async fn control(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json((channel, shard, control)): Json<(ChannelName, ShardId, Control)>| async move {
            role.control(&call, &channel, shard, control).await.map(Json)
        })
        .await
    }

    async fn barrier(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(channel): Json<ChannelName>| async move { role.barrier(&call, &channel).await.map(Json) })
            .await
    }

    async fn advance_clock(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json((channel, timestamp)): Json<(ChannelName, Timestamp)>| async move {
            role.advance_clock(&call, &channel, timestamp).await.map(Json)
        })
        .await
    }

    async fn flush(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(shard): Json<ShardId>| async move { role.flush(&call, shard).await.map(Json) }).await
    }

    async fn assign(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json((channel, process)): Json<(ChannelName, u64)>| async move {
            role.assign(&call, &channel, process).await.map(Json)
        })
        .await
    }

    async fn growing_rows(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(shard): Json<ShardId>| async move { role.growing_rows(&call, shard).await.map(Json) }).await
    }
}

#[tonic::async_trait]
impl wire_proto::query_coord_server::QueryCoord for Adapter<dyn QueryCoord> {
    async fn load(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(wish): Json<LoadRequest>| async move { role.load(&call, wish).await.map(Json) }).await
    }

    async fn release(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json((collection, partitions)): Json<(CollectionId, Option<Vec<PartitionId>>)>| async move {
            role.release(&call, collection, partitions).await.map(Json)
        })
        .await
    }

    async fn load_state(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(collection): Json<CollectionId>| async move {
            role.load_state(&call, collection).await.map(Json)
        })
        .await
    }

    async fn leaders(&self, request: Request<CallRequest>) -> Answer {
        self.answer(
            request,
            |role, call, Json(collection): Json<CollectionId>| async move { role.leaders(&call, collection).await.map(Json) },
        )
        .await
    }
}

#[tonic::async_trait]
impl wire_proto::query_node_server::QueryNode for Adapter<dyn QueryNode> {
    async fn search(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, request: SearchRequest| async move { role.search(&call, request).await }).await
    }

    async fn query(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(request): Json<QueryRequest>| async move { role.query(&call, request).await }).await
    }

    async fn serve(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(request): Json<ServeShard>| async move { role.serve(&call, request).await.map(Json) }).await
    }

    async fn release(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(shard): Json<ShardId>| async move { role.release(&call, shard).await.map(Json) }).await
    }

    async fn serving(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(()): Json<()>| async move { role.serving(&call).await.map(Json) }).await
    }
}

#[tonic::async_trait]
impl wire_proto::index_coord_server::IndexCoord for Adapter<dyn IndexCoord> {
    async fn create_index(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(wish): Json<CreateIndex>| async move { role.create_index(&call, wish).await.map(Json) })
            .await
    }

    async fn drop_index(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json((collection, name)): Json<(CollectionId, String)>| async move {
            role.drop_index(&call, collection, &name).await.map(Json)
        })
        .await
    }

    async fn indexes(&self, request: Request<CallRequest>) -> Answer {
        self.answer(
            request,
            |role, call, Json(collection): Json<CollectionId>| async move { role.indexes(&call, collection).await.map(Json) },
        )
        .await
    }
}

#[tonic::async_trait]
impl wire_proto::index_node_server::IndexNode for Adapter<dyn IndexNode> {
    async fn build(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(task): Json<BuildTask>| async move { role.build(&call, task).await.map(Json) }).await
    }

    async fn compact(&self, request: Request<CallRequest>) -> Answer {
        self.answer(request, |role, call, Json(task): Json<CompactionTask>| async move { role.compact(&call, task).await.map(Json) }).await
    }
}
