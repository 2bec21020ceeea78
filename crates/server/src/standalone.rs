//! Every role in one process: storage, coordinators, nodes, proxy, ports, in the order in which each needs the one before.
//!
//! The same role code as in a cluster; here an address is empty, so that a call is a function call ([`crate::internal`] has the other way).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::config::Config;
use base::cpu::CpuPool;
use base::metrics::{Metrics, process};
use coord::context::{Context, Parts, Settings};
use coord::reconcile::Coordinators;
use meta::catalog::Catalog;
use meta::election::{Candidate, Leadership, campaign};
use meta::sequence::{IdAllocator, TimestampAllocator, next_node};
use meta::store::MetaError;
use node::channel::Channels;
use node::data::{DataNodeRole, Limits};
use node::index::IndexNodeRole;
use node::opener::Opener;
use node::proxy::{Proxy, Roles};
use node::query::QueryNodeRole;
use node::refresh::Refresher;
use proto::milvus::milvus_service_server::MilvusServiceServer;
use role::Call;
use role::net::Served;
use role::peers::Peers;
use store::segment_file::PageCache;
use types::id::NodeId;
use types::{Error, Result};

use crate::admin::{self, Health};
use crate::internal::Internal;
use crate::observe::RequestMetrics;
use crate::port::Port;
use crate::storage::{self, Storage};

/// Ids that are drawn from meta at once.
const ID_BATCH: u32 = 100_000;
/// How far timestamps are given without a word to meta.
const TIMESTAMP_WINDOW: Duration = Duration::from_secs(3);
/// How long starting may take: a log of 256 MB is replayed.
const START_MAX: Duration = Duration::from_secs(300);
/// How long an office stays taken when its leader vanishes.
const OFFICE_TTL: Duration = Duration::from_secs(2);
/// Between two looks of a data node at what is due.
const UPKEEP_PAUSE: Duration = Duration::from_millis(200);
/// Decoded pages of texts.
const PAGE_CACHE_BYTES: u64 = 64 << 20;

/// A running server.
pub struct Standalone {
    world: World,
    data_node: Arc<DataNodeRole>,
    leadership: Leadership,
    grace: Duration,
    serving: Vec<base::task::Task<()>>,
}

/// The workers of the process.
struct Nodes {
    data: Arc<DataNodeRole>,
    query: Arc<QueryNodeRole>,
    index: Arc<IndexNodeRole>,
}

impl Standalone {
    /// Starts everything and returns when clients are served.
    ///
    /// # Errors
    /// Names what can't be opened or bound, and what to do. Nothing that others own was touched.
    pub async fn start(world: &World, config: &Config, data: Option<&Path>) -> Result<Self> {
        let health = Health::default();
        health.wait_for("storage");
        let metrics = Arc::new(Metrics::new());
        let mut serving = vec![serve_admin(world, config, &health, &metrics).await?];
        // Ports before storage: who can't listen must not take part.
        let port = Port::bind(&format!("0.0.0.0:{}", config.proxy.port), "proxy.port").await?;
        let storage = storage::open(world, config, data).await?;
        health.reached("storage");
        health.wait_for("coordinators");

        let node = next_node(&*storage.meta).await.map_err(meta_failed)?;
        let candidate = Candidate { office: "coordinators".to_owned(), address: String::new(), ttl: OFFICE_TTL };
        let leadership = campaign(world, &storage.meta, &candidate).await.map_err(meta_failed)?;
        let peers = Arc::new(Peers::new(world));
        let coordinators = Coordinators::new(context(world, config, &storage, &leadership, &peers).await?);
        let mut internal = Internal::bind().await?;
        let roles = internal.roles(&coordinators, &peers)?;
        let nodes = start_nodes(world, config, &storage, &roles, &peers);
        internal.serve_nodes(world, served(&coordinators, &nodes), &peers);
        coordinators.context.set_members(internal.members(node));
        health.reached("coordinators");
        health.wait_for("log");

        let call = Call::within(world, START_MAX, "start");
        let observe = Arc::new(RequestMetrics::new(&metrics, node.0));
        let parts = node::proxy::Parts { world: world.clone(), roles: roles.clone(), peers: peers.clone(), observe };
        let proxy = Proxy::start(parts, proxy_config(config, node, internal.proxy_address()), &call).await?;
        internal.serve_proxy(world, proxy.clone(), &peers);
        recover(&coordinators, &nodes, &call, storage.embedded).await?;
        coordinators.run();
        health.reached("log");

        let limit = config.proxy.grpc.server_max_recv_size.0 as usize;
        let service = MilvusServiceServer::from_arc(proxy)
            .max_decoding_message_size(limit)
            .max_encoding_message_size(config.proxy.grpc.server_max_send_size.0 as usize);
        tracing::info!(address = %port.address(), "ready");
        let grace = Duration::from_secs(5);
        serving.push(world.tasks.spawn(port.serve(world.clone(), client_routes(service).await, grace)));
        Ok(Self { world: world.clone(), data_node: nodes.data, leadership, grace, serving })
    }

    /// Lets requests end, writes what a fast start needs, and ends.
    pub async fn stop(self) {
        self.world.tasks.stop();
        for task in self.serving {
            // A connection that doesn't end within the grace is cut by the process's end.
            if self.world.within(2 * self.grace, task.join()).await.is_none() {
                tracing::warn!("a port didn't close in time");
            }
        }
        self.data_node.settle().await;
        self.leadership.resign().await;
        tracing::info!("stopped");
    }
}

async fn serve_admin(world: &World, config: &Config, health: &Health, metrics: &Arc<Metrics>) -> Result<base::task::Task<()>> {
    let port = Port::bind(&format!("0.0.0.0:{}", config.elanus.metrics_port), "METRICS_PORT").await?;
    let metrics = metrics.clone();
    let render: admin::Metrics = Arc::new(move || {
        process::sample(&metrics);
        metrics.encode()
    });
    let router = admin::router(health.clone(), render);
    Ok(world.tasks.spawn(port.serve(world.clone(), router, Duration::from_secs(1))))
}

async fn client_routes(service: MilvusServiceServer<Proxy>) -> axum::Router {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<MilvusServiceServer<Proxy>>().await;
    axum::Router::new()
        .route_service("/milvus.proto.milvus.MilvusService/{*method}", service)
        .route_service("/grpc.health.v1.Health/{*method}", health)
}

async fn context(world: &World, config: &Config, storage: &Storage, leadership: &Leadership, peers: &Arc<Peers>) -> Result<Context> {
    let fence = leadership.fence();
    let limits = &config.quota.limits;
    let parts = Parts {
        world: world.clone(),
        catalog: Catalog::new(storage.meta.clone(), world.clock.clone()),
        ids: Arc::new(IdAllocator::new(storage.meta.clone(), ID_BATCH)),
        timestamps: Arc::new(TimestampAllocator::new(storage.meta.clone(), world.clock.clone(), fence.clone(), TIMESTAMP_WINDOW)),
        fence,
        store: storage.store.clone(),
        peers: peers.clone(),
        settings: Settings {
            channel_prefix: config.msg_channel.chan_name_prefix.cluster.clone(),
            channels: config.root_coord.dml_channel_num as usize,
            partitions_max: config.root_coord.max_partition_num as usize,
            collections_max: limits.max_collection_num as usize,
            collections_per_database_max: limits.max_collection_num_per_db as usize,
            general_capacity: config.root_coord.max_general_capacity as usize,
            indexed_rows_min: config.root_coord.min_segment_size_to_enable_index,
            alone: storage.embedded,
        },
    };
    Context::start(parts).await
}

fn start_nodes(world: &World, config: &Config, storage: &Storage, roles: &Roles, peers: &Arc<Peers>) -> Nodes {
    let channels = Arc::new(Channels::default());
    let opener = Opener::new(storage.store.clone(), PageCache::new(PAGE_CACHE_BYTES));
    let refresher = Refresher::new(roles.data.clone(), opener.clone());
    let data = DataNodeRole::start(node::data::Parts {
        world: world.clone(),
        log: storage.log.clone(),
        coordinator: roles.data.clone(),
        root: roles.root.clone(),
        channels: channels.clone(),
        opener: opener.clone(),
        refresher: refresher.clone(),
        limits: Limits {
            flush_bytes: config.elanus.flush.shard_bytes.0 as usize,
            log_bytes: config.elanus.flush.log_bytes.0,
            pause: UPKEEP_PAUSE,
            alone: storage.embedded,
        },
    });
    let query = QueryNodeRole::new(node::query::Parts {
        world: world.clone(),
        channels,
        refresher,
        coordinator: roles.data.clone(),
        peers: peers.clone(),
    });
    // Builds have threads of their own, so that searches don't wait behind them.
    let pool = CpuPool::with_threads("build", world.cpu.threads());
    Nodes { data, query: Arc::new(query), index: Arc::new(IndexNodeRole::new(world, opener, pool)) }
}

fn served(coordinators: &Coordinators, nodes: &Nodes) -> Served {
    Served {
        root: Some(coordinators.root.clone()),
        data: Some(coordinators.data.clone()),
        query: Some(coordinators.query.clone()),
        index: Some(coordinators.index.clone()),
        data_node: Some(nodes.data.clone()),
        query_node: Some(nodes.query.clone()),
        index_node: Some(nodes.index.clone()),
        proxy: None,
    }
}

/// Removes what failed attempts left, takes up channels, waits until their logs are read, and serves what was served before.
async fn recover(coordinators: &Coordinators, nodes: &Nodes, call: &Call, embedded: bool) -> Result<()> {
    // Before anything is written: a file that a commit will name soon looks like one that nobody names.
    if embedded {
        coordinators.data.sweep_orphans().await?;
    }
    coordinators.data.assign_channels(call).await?;
    nodes.data.ready(call).await?;
    // What fails here is tried again by the loops; the rest is served meanwhile.
    for result in [coordinators.root.resume(call).await, coordinators.query.reconcile(call).await] {
        if let Err(error) = result {
            tracing::warn!(%error, "not everything is as it was before the start yet");
        }
    }
    Ok(())
}

fn proxy_config(config: &Config, node: NodeId, address: &str) -> node::proxy::Config {
    let (proxy, limits) = (&config.proxy, &config.quota.limits);
    node::proxy::Config {
        limits: node::proxy::limits::Limits {
            name_bytes: proxy.max_name_length as usize,
            fields: proxy.max_field_num as usize,
            vector_fields: proxy.max_vector_field_num as usize,
            shards: proxy.max_shard_num as i32,
            dimension: i64::from(proxy.max_dimension),
            varchar_bytes: i64::from(proxy.max_var_char_length),
            json_bytes: config.common.json_max_length.0 as usize,
            description_bytes: proxy.max_collection_description_length as usize,
            partitions: config.root_coord.max_partition_num as usize,
            top_k: limits.top_k as i64,
            queries: limits.nq as i64,
            query_window: limits.max_query_result_window as i64,
            output_bytes: limits.max_output_size.0 as usize,
            index_params_bytes: proxy.max_index_params_size.0 as usize,
        },
        node,
        address: address.to_owned(),
        version: config.elanus.build_tag.clone(),
        build_time: config.elanus.build_time.clone(),
        default_partition: config.common.default_partition_name.clone(),
        graceful_time: config.common.graceful_time,
        ..node::proxy::Config::default()
    }
}

fn meta_failed(error: MetaError) -> Error {
    match error {
        MetaError::Unavailable(error) | MetaError::Damaged(error) => error,
        other => Error::internal(format!("meta: {other}")),
    }
}

/// Resolves when the process is asked to stop: SIGTERM, or Ctrl-C.
pub async fn until_asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                biased;
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(error) => {
            tracing::warn!(%error, "only Ctrl-C stops this process gracefully");
            // Without a handler nothing more can be waited for than the end by Ctrl-C.
            drop(tokio::signal::ctrl_c().await);
        }
    }
    tracing::info!("stopping");
}
