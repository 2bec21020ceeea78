//! A process's roles over storage that is open, in the order in which each needs the one before: links, offices, workers, ports, proxy.
//!
//! One process that is the whole cluster leads before it serves, and says when its logs are read. In a cluster every process starts by itself, in
//! any order: offices are stood for and coordinators looked for in the background, and what is there serves.
//!
//! Not here: the ports of clients, settings' sources, storage's opening ([`crate::serving`]). Simulations start this over storage of their own.

use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::config::Config;
use base::task::Task;
use coord::seat::{Coordinator, Seat, Term};
use meta::sequence::next_node;
use meta::session::{self, Registration, Session, SessionState};
use meta::store::MetaError;
use node::proxy::{Observe, Proxy};
use role::Call;
use tokio_util::sync::CancellationToken;
use types::Result;
use types::id::NodeId;
use types::time::Timestamp;

use crate::admin::Health;
use crate::internal::{Internal, LateProxy};
use crate::planted::Planted;
use crate::port::host_name;
use crate::roles::{Role, RoleSet};
use crate::storage::Storage;
use crate::wiring::{self, Candidacy, Links, Seats, WorkerParts, Workers};

/// How long starting may take: a log of 256 MB is replayed.
const START_MAX: Duration = Duration::from_secs(300);
/// How long one try of a proxy to register may take, and the wait before the next.
const PROXY_START_MAX: Duration = Duration::from_secs(10);
const PROXY_START_RETRY: Duration = Duration::from_millis(200);
/// Before metadata that is away is asked for an id again.
const NODE_RETRY: Duration = Duration::from_millis(200);
/// What a process in a cluster waits for without its session.
const REGISTRATION: &str = "registration in metadata";

/// The roles of a process.
pub struct Process {
    /// Under which the process is known to others.
    pub node: NodeId,
    /// How it knows them.
    pub links: Links,
    /// Its coordinators, while it leads.
    pub seats: Seats,
    /// Its data, query and index node.
    pub workers: Workers,
    /// What clients speak to, if it is run here.
    pub proxy: Option<Arc<Proxy>>,
    embedded: bool,
    leading: Vec<Task<()>>,
    resign: CancellationToken,
    registration: Option<Registration>,
}

/// What a [`Process`] is started with.
pub struct Start<'a> {
    /// The world.
    pub world: &'a World,
    /// The settings.
    pub config: &'a Config,
    /// What is kept.
    pub storage: &'a Storage,
    /// What is run.
    pub run: &'a RoleSet,
    /// How the roles meet.
    pub internal: Internal,
    /// Who is told of requests.
    pub observe: &'a (dyn Fn(NodeId) -> Arc<dyn Observe> + Send + Sync),
    /// Is told what is waited for.
    pub health: &'a Health,
    /// Bugs of simulations.
    #[doc(hidden)]
    pub planted: Planted,
}

/// What the steps of a start share.
struct Starting<'a> {
    world: &'a World,
    run: &'a RoleSet,
    internal: Internal,
    candidacy: Candidacy,
    seats: Seats,
    resign: CancellationToken,
}

impl Process {
    /// Starts the roles, and returns when clients can be served.
    ///
    /// # Errors
    /// Storage that can't be read, by name. What can't be reached is waited for.
    pub async fn start(start: Start<'_>) -> Result<Self> {
        let Start { world, config, storage, run, internal, observe, health, planted } = start;
        let node = draw_node(world, storage).await?;
        world.metrics.set_node(node.0);
        let links = Links::with_planted(world, config, storage, planted.coord);
        let candidacy = Candidacy { world: world.clone(), meta: storage.meta.clone(), shared: links.shared.clone() };
        let mut starting = Starting { world, run, internal, candidacy, seats: Seats::vacant(), resign: CancellationToken::new() };
        // What an earlier process was doing goes on under the lead of this one, before anything new begins.
        let terms = if run.is_all() { Some(starting.lead_all(node).await?) } else { None };
        let workers = wiring::workers(WorkerParts { world, config, storage, links: &links, run, planted: planted.node });
        let late = Arc::new(LateProxy::default());
        let mut served = wiring::served(run, &starting.seats, &workers);
        if run.has(Role::Proxy) {
            served.proxy = Some(late.clone());
        }
        starting.internal.serve(world, &served, &links.peers);
        health.reached("coordinators");
        let registration = if run.is_all() { None } else { Some(starting.join(config, storage, node, health).await?) };
        // Before the proxy, which may wait for a leader of this very process.
        let standing = if run.is_all() { Vec::new() } else { starting.stand() };
        let proxy = match run.has(Role::Proxy) {
            false => None,
            true => {
                let parts = || node::proxy::Parts {
                    world: world.clone(),
                    roles: links.roles(),
                    peers: links.peers.clone(),
                    observe: observe(node),
                };
                let config = wiring::proxy_config(config, run, node, starting.internal.address(Role::Proxy));
                let proxy = start_proxy(world, health, parts, config).await;
                late.set(proxy.clone());
                Some(proxy)
            }
        };
        let leading = match terms {
            Some(terms) => {
                health.wait_for("log");
                let call = Call::within(world, START_MAX, "start");
                recover(&terms, &workers, &call, storage.embedded).await?;
                health.reached("log");
                starting.go_on(terms)
            }
            None => standing,
        };
        if let (Some(registration), Some(proxy)) = (&registration, &proxy) {
            forget_without_session(world, registration, proxy);
        }
        let Starting { seats, resign, .. } = starting;
        Ok(Self { node, links, seats, workers, proxy, embedded: storage.embedded, leading, resign, registration })
    }

    /// Gives up what others may take over, and writes what a fast start needs, as far as that goes within `limit`.
    pub async fn settle(self, world: &World, limit: Duration) {
        if let Some(registration) = self.registration {
            registration.end().await;
        }
        // In a cluster another node goes on from the log at once.
        if self.embedded
            && let Some(data) = &self.workers.data
            && world.within(limit, data.settle()).await.is_none()
        {
            tracing::warn!(seconds = limit.as_secs(), "not everything was flushed before the end: its log is read again at the next start");
        }
        self.resign.cancel();
        for task in self.leading {
            // A task that was killed has nothing to give up.
            task.join().await;
        }
    }
}

/// A new id for this process. Metadata that is away is waited for.
async fn draw_node(world: &World, storage: &Storage) -> Result<NodeId> {
    loop {
        match next_node(&*storage.meta).await {
            Err(MetaError::Unavailable(error)) => tracing::info!(%error, "waiting for meta to draw a node's id"),
            drawn => return drawn.map_err(wiring::meta_failed),
        }
        world.clock.sleep(NODE_RETRY).await;
    }
}

/// The first terms of one process that is the whole cluster.
struct Terms {
    root: Term<coord::root::Root>,
    data: Term<coord::data::Data>,
    query: Term<coord::query::Query>,
    index: Term<coord::index::Index>,
}

impl Starting<'_> {
    /// Leads every office.
    async fn lead_all(&self, node: NodeId) -> Result<Terms> {
        let Self { candidacy, internal, seats, .. } = self;
        candidacy.shared.set_members(internal.members(node));
        let (root, data, query, index) = tokio::try_join!(
            candidacy.lead(internal.address(Role::RootCoord)),
            candidacy.lead(internal.address(Role::DataCoord)),
            candidacy.lead(internal.address(Role::QueryCoord)),
            candidacy.lead(internal.address(Role::IndexCoord)),
        )?;
        let terms = Terms { root, data, query, index };
        seats.root.take(terms.root.coordinator.clone());
        seats.data.take(terms.data.coordinator.clone());
        seats.query.take(terms.query.coordinator.clone());
        seats.index.take(terms.index.coordinator.clone());
        Ok(terms)
    }

    /// Starts what coordinators do by themselves, and keeps their seats.
    fn go_on(&self, terms: Terms) -> Vec<Task<()>> {
        let Terms { root, data, query, index } = terms;
        let Self { seats, .. } = self;
        vec![
            self.keep(&seats.root, Role::RootCoord, Some(root)),
            self.keep(&seats.data, Role::DataCoord, Some(data)),
            self.keep(&seats.query, Role::QueryCoord, Some(query)),
            self.keep(&seats.index, Role::IndexCoord, Some(index)),
        ]
    }

    /// Stands for the offices of the coordinators that are run.
    fn stand(&self) -> Vec<Task<()>> {
        let Self { seats, run, .. } = self;
        let mut tasks = Vec::new();
        for role in run.iter() {
            match role {
                Role::RootCoord => tasks.push(self.keep(&seats.root, role, None)),
                Role::DataCoord => tasks.push(self.keep(&seats.data, role, None)),
                Role::QueryCoord => tasks.push(self.keep(&seats.query, role, None)),
                Role::IndexCoord => tasks.push(self.keep(&seats.index, role, None)),
                _ => {}
            }
        }
        tasks
    }

    fn keep<C: Coordinator>(&self, seat: &Arc<Seat<C>>, role: Role, first: Option<Term<C>>) -> Task<()> {
        let first = first.map(|Term { leadership, coordinator }| {
            coordinator.run();
            leadership
        });
        self.candidacy.hold(seat, self.internal.address(role), first, &self.resign)
    }

    /// Registers the process, and has its coordinators know who else is.
    async fn join(&self, config: &Config, storage: &Storage, node: NodeId, health: &Health) -> Result<Registration> {
        health.wait_for(REGISTRATION);
        let session = Session {
            node,
            roles: self.run.names(),
            address: self.internal.session_address().to_owned(),
            host: host_name(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: Timestamp::from_millis(self.world.clock.wall_ms()),
        };
        let ttl = config.elanus.lease.session.min(config.common.session.ttl);
        let registration = session::register(self.world, &storage.meta, session, ttl).await.map_err(wiring::meta_failed)?;
        health.reached(REGISTRATION);
        if self.run.coordinates() {
            self.candidacy.shared.follow_sessions().await.map_err(wiring::meta_failed)?;
        }
        let (mut state, health) = (registration.state(), health.clone());
        let watch = async move {
            while state.changed().await.is_ok() {
                match *state.borrow() {
                    SessionState::Registered(_) => health.reached(REGISTRATION),
                    SessionState::Lost => health.wait_for(REGISTRATION),
                }
            }
        };
        self.world.tasks.spawn(watch).detach();
        Ok(registration)
    }
}

/// Tries until rootcoord has registered the proxy.
async fn start_proxy(world: &World, health: &Health, parts: impl Fn() -> node::proxy::Parts, config: node::proxy::Config) -> Arc<Proxy> {
    health.wait_for("rootcoord");
    loop {
        let call = Call::within(world, PROXY_START_MAX, "start of a proxy");
        match Proxy::start(parts(), config.clone(), &call).await {
            Ok(proxy) => {
                health.reached("rootcoord");
                return proxy;
            }
            Err(error) => {
                tracing::info!(%error, "the proxy isn't registered yet");
                health.explain("rootcoord", error.reason());
            }
        }
        world.clock.sleep(PROXY_START_RETRY).await;
    }
}

/// Without a session nobody tells the proxy of changes: when it has one again, what it held may be wrong.
fn forget_without_session(world: &World, registration: &Registration, proxy: &Arc<Proxy>) {
    let (mut state, proxy) = (registration.state(), proxy.clone());
    let watch = async move {
        while state.changed().await.is_ok() {
            let registered = matches!(*state.borrow(), SessionState::Registered(_));
            if registered {
                proxy.forget_definitions();
            }
        }
    };
    world.tasks.spawn(watch).detach();
}

/// Removes what failed attempts left, takes up channels, waits until their logs are read, and serves what was served before.
async fn recover(terms: &Terms, workers: &Workers, call: &Call, embedded: bool) -> Result<()> {
    let (root, data, query) = (&terms.root.coordinator, &terms.data.coordinator, &terms.query.coordinator);
    // Before anything is written: a file that a commit will name soon looks like one that nobody names.
    if embedded {
        data.sweep_orphans().await?;
    }
    // A channel that can't be taken up is tried again by its node; the others are served meanwhile.
    if let Err(error) = data.assign_channels(call).await {
        tracing::error!(%error, "not every channel could be taken up");
    }
    if let Some(node) = &workers.data {
        node.ready(call).await?;
    }
    // What fails here is tried again by the loops; the rest is served meanwhile.
    for result in [root.resume(call).await, query.reconcile(call).await] {
        if let Err(error) = result {
            tracing::warn!(%error, "not everything is as it was before the start yet");
        }
    }
    Ok(())
}
