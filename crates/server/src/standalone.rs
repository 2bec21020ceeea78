//! Every role in one process: storage, coordinators, nodes, proxy, ports, in the order in which each needs the one before.
//!
//! The same role code as in a cluster; here an address is empty, so that a call is a function call ([`crate::internal`] has the other way).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::config::{Config, Current, LiveConfig};
use coord::reconcile::Coordinators;
use meta::election::Leadership;
use meta::sequence::next_node;
use node::data::DataNodeRole;
use node::proxy::Proxy;
use proto::milvus::milvus_service_server::MilvusServiceServer;
use role::Call;
use role::peers::Peers;
use types::Result;

use crate::admin::{self, Health};
use crate::follow::Followers;
use crate::internal::Internal;
use crate::observe::{RequestMetrics, say_what_runs};
use crate::port::Port;
use crate::sample::{self, Sampler};
use crate::storage::{self, Opened};
use crate::wiring::{self, Workers};

/// How long starting may take: a log of 256 MB is replayed.
const START_MAX: Duration = Duration::from_secs(300);

/// A running server.
pub struct Standalone {
    world: World,
    data_node: Arc<DataNodeRole>,
    leadership: Leadership,
    opened: Opened,
    grace: Duration,
    serving: Vec<base::task::Task<()>>,
}

impl Standalone {
    /// Starts everything and returns when clients are served.
    ///
    /// # Errors
    /// Names what can't be opened or bound, and what to do. Nothing that others own was touched.
    pub async fn start(world: &World, live: &LiveConfig, data: Option<&Path>) -> Result<Self> {
        let changes = live.subscribe();
        let config = &*live.current();
        let health = Health::default();
        health.wait_for("storage");
        let sampler = Arc::new(Sampler::new(world));
        let mut serving = vec![serve_admin(world, config, &health, sampler.clone()).await?];
        // Ports before storage: who can't listen must not take part.
        let port = Port::bind(&format!("0.0.0.0:{}", config.proxy.port), "proxy.port").await?;
        let opened = storage::open(world, config, data, &health).await?;
        let storage = &opened.storage;
        health.reached("storage");
        health.wait_for("coordinators");

        let node = next_node(&*storage.meta).await.map_err(wiring::meta_failed)?;
        world.metrics.set_node(node.0);
        say_what_runs(&world.metrics, storage.log.kind(), storage.meta.kind());
        let peers = Arc::new(Peers::new(world));
        let (leadership, coordinators) = wiring::lead(world, config, storage, "", &peers).await?;
        let mut internal = Internal::bind().await?;
        let roles = internal.roles(&coordinators, &peers)?;
        let nodes = wiring::workers(world, config, storage, &roles, &peers);
        internal.serve_nodes(world, wiring::served(&coordinators, &nodes), &peers);
        coordinators.context.set_members(internal.members(node));
        health.reached("coordinators");
        health.wait_for("log");

        let call = Call::within(world, START_MAX, "start");
        let slow = Current::new(config.proxy.slow_query_span);
        let observe = Arc::new(RequestMetrics::new(&world.metrics, slow.clone()));
        let parts = node::proxy::Parts { world: world.clone(), roles: roles.clone(), peers: peers.clone(), observe };
        let proxy = Proxy::start(parts, wiring::proxy_config(config, node, internal.proxy_address()), &call).await?;
        internal.serve_proxy(world, proxy.clone(), &peers);
        recover(&coordinators, &nodes, &call, storage.embedded).await?;
        coordinators.run();
        health.reached("log");
        sampler.watch(sample::Roles {
            coordinators: coordinators.clone(),
            channels: nodes.channels.clone(),
            data: nodes.data.clone(),
            query: nodes.query.clone(),
        });
        let followers = Followers {
            proxy: proxy.clone(),
            node,
            data: nodes.data.clone(),
            coordinators: coordinators.context.clone(),
            alone: storage.embedded,
            slow,
        };
        world.tasks.spawn(followers.run(world.clone(), changes)).detach();

        let limit = config.proxy.grpc.server_max_recv_size.0 as usize;
        let service = MilvusServiceServer::from_arc(proxy)
            .max_decoding_message_size(limit)
            .max_encoding_message_size(config.proxy.grpc.server_max_send_size.0 as usize);
        tracing::info!(address = %port.address(), "ready");
        let grace = Duration::from_secs(5);
        serving.push(world.tasks.spawn(port.serve(world.clone(), client_routes(service).await, grace)));
        Ok(Self { world: world.clone(), data_node: nodes.data, leadership, opened, grace, serving })
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
        self.opened.close().await;
        tracing::info!("stopped");
    }
}

async fn serve_admin(world: &World, config: &Config, health: &Health, sampler: Arc<Sampler>) -> Result<base::task::Task<()>> {
    let port = Port::bind(&format!("0.0.0.0:{}", config.elanus.metrics_port), "METRICS_PORT").await?;
    tracing::info!(address = %port.address(), "health and metrics");
    let router = admin::router(health.clone(), sampler);
    Ok(world.tasks.spawn(port.serve(world.clone(), router, Duration::from_secs(1))))
}

async fn client_routes(service: MilvusServiceServer<Proxy>) -> axum::Router {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<MilvusServiceServer<Proxy>>().await;
    axum::Router::new()
        .route_service("/milvus.proto.milvus.MilvusService/{*method}", service)
        .route_service("/grpc.health.v1.Health/{*method}", health)
}

/// Removes what failed attempts left, takes up channels, waits until their logs are read, and serves what was served before.
async fn recover(coordinators: &Coordinators, nodes: &Workers, call: &Call, embedded: bool) -> Result<()> {
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
