//! The server: ports, storage, then the roles of this process ([`crate::process`]), then service.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::config::{Config, Current, Deployment, LiveConfig};
use node::proxy::{Observe, Proxy};
use proto::milvus::milvus_service_server::MilvusServiceServer;
use types::Result;
use types::id::NodeId;

use crate::admin::{self, Health};
use crate::internal::Internal;
use crate::observe::{RequestMetrics, say_what_runs};
use crate::oversize;
use crate::planted::Planted;
use crate::port::{EVERY_ADDRESS, Port};
use crate::process::{Process, Start};
use crate::reload::Reloading;
use crate::rest;
use crate::roles::{Role, RoleSet};
use crate::sample::{self, Sampler};
use crate::storage::{self, Opened};

/// A running server.
pub struct Server {
    world: World,
    process: Process,
    opened: Opened,
    patience: Patience,
    serving: Vec<base::task::Task<()>>,
}

/// How long a stop waits.
struct Patience {
    /// For requests that are under way.
    requests: Duration,
    /// For flushes.
    flushes: Duration,
    /// For everything.
    together: Duration,
}

impl Patience {
    fn of(config: &Config) -> Self {
        Self {
            requests: config.proxy.graceful_stop_timeout,
            flushes: config.data_node.graceful_stop_timeout,
            together: config.common.graceful_stop_timeout,
        }
    }
}

impl Server {
    /// Starts the roles and returns when they serve: clients, where there is a proxy.
    ///
    /// # Errors
    /// Names what can't be opened or bound, and what to do. Nothing that others own was touched.
    pub async fn start(world: &World, live: &LiveConfig, run: &RoleSet, data: Option<&Path>) -> Result<Self> {
        let changes = live.subscribe();
        let config = &*live.current();
        let health = Health::default();
        health.wait_for("storage");
        let sampler = Arc::new(Sampler::new(world));
        let mut serving = vec![serve_admin(world, config, &health, sampler.clone()).await?];
        // Ports before storage: who can't listen must not take part.
        let ports = if run.has(Role::Proxy) { Some(ClientPorts::bind(config).await?) } else { None };
        let internal = Internal::bind(config, run).await?;
        let opened = storage::open(world, config, Deployment { standalone: run.is_all(), data }, &health).await?;
        let storage = &opened.storage;
        health.reached("storage");
        health.wait_for("coordinators");

        let slow = Current::new(config.proxy.slow_query_span);
        let (counted, slow_of) = (world.metrics.clone(), slow.clone());
        let observe = move |_: NodeId| -> Arc<dyn Observe> { Arc::new(RequestMetrics::new(&counted, slow_of.clone())) };
        let address = internal.session_address().to_owned();
        let process = Process::start(Start {
            world,
            config,
            storage,
            run,
            internal,
            observe: &observe,
            health: &health,
            planted: Planted::default(),
        })
        .await?;
        say_what_runs(&world.metrics, run, storage.log.kind(), storage.meta.kind());
        let Process { seats, workers, proxy, links, .. } = &process;
        sampler.watch(sample::Roles { run: run.clone(), seats: seats.clone(), workers: workers.clone() });
        let reloading = Reloading {
            proxy: proxy.clone(),
            run: run.clone(),
            node: process.node,
            data: workers.data.clone(),
            coordinators: links.shared.clone(),
            alone: storage.embedded,
            slow,
        };
        world.tasks.spawn(reloading.run(world.clone(), changes)).detach();

        let patience = Patience::of(config);
        match (ports, proxy) {
            (Some(ports), Some(proxy)) => serving.extend(ports.serve(world, config, proxy).await),
            _ => tracing::info!(address, "ready"),
        }
        Ok(Self { world: world.clone(), process, opened, patience, serving })
    }

    /// Lets requests end, writes what a fast start needs, and ends: all of it before one deadline. What isn't done by then is read from the
    /// log at the next start, as after a kill.
    pub async fn stop(self) {
        let deadline = self.world.clock.now() + self.patience.together;
        let left = |world: &World| deadline.saturating_duration_since(world.clock.now());
        self.world.tasks.stop();
        for task in self.serving {
            // A connection that doesn't end in time is cut by the process's end.
            if self.world.within(left(&self.world), task.join()).await.is_none() {
                tracing::warn!("a port didn't close in time");
            }
        }
        self.process.settle(&self.world, self.patience.flushes.min(left(&self.world))).await;
        self.opened.close().await;
        tracing::info!("stopped");
    }
}

async fn serve_admin(world: &World, config: &Config, health: &Health, sampler: Arc<Sampler>) -> Result<base::task::Task<()>> {
    let port = Port::bind((EVERY_ADDRESS, config.elanus.metrics_port), "METRICS_PORT").await?;
    tracing::info!(address = %port.address(), "health and metrics");
    let router = admin::router(health.clone(), sampler);
    Ok(world.tasks.spawn(port.serve(world.clone(), router, Duration::from_secs(1))))
}

/// Where clients connect.
struct ClientPorts {
    port: Port,
    /// REST's own port, if it has one.
    rest: Option<Port>,
}

impl ClientPorts {
    async fn bind(config: &Config) -> Result<Self> {
        let host = config.proxy.ip.as_deref().unwrap_or(EVERY_ADDRESS);
        let port = Port::bind((host, config.proxy.port), "proxy.ip, proxy.port").await?;
        let rest = match config.proxy.http.port {
            Some(own) if config.proxy.http.enabled => Some(Port::bind((host, own), "proxy.ip, proxy.http.port").await?),
            _ => None,
        };
        Ok(Self { port, rest })
    }

    async fn serve(self, world: &World, config: &Config, proxy: &Arc<Proxy>) -> Vec<base::task::Task<()>> {
        let service = MilvusServiceServer::from_arc(proxy.clone())
            .max_decoding_message_size(config.proxy.grpc.server_max_recv_size.0 as usize)
            .max_encoding_message_size(config.proxy.grpc.server_max_send_size.0 as usize);
        let grace = Patience::of(config).requests;
        let mut routes = client_routes(service).await;
        let mut serving = Vec::new();
        let rest = rest::routes(world, config, proxy);
        match self.rest {
            Some(own) => {
                tracing::info!(address = %own.address(), "REST");
                serving.push(world.tasks.spawn(own.serve(world.clone(), rest, grace)));
            }
            None => routes = routes.merge(rest),
        }
        tracing::info!(address = %self.port.address(), "ready");
        serving.push(world.tasks.spawn(self.port.serve(world.clone(), routes, grace)));
        serving
    }
}

async fn client_routes(service: MilvusServiceServer<Proxy>) -> axum::Router {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<MilvusServiceServer<Proxy>>().await;
    axum::Router::new()
        .route_service("/milvus.proto.milvus.MilvusService/{*method}", service)
        .route_service("/grpc.health.v1.Health/{*method}", health)
        .layer(axum::middleware::map_response(oversize::translate))
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
