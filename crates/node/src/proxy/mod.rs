//! The proxy: what clients speak to. It checks, fills in, routes and merges, and keeps nothing that it can't read again.
//!
//! A request comes in by [`grpc`], which only unwraps it; a module each for names ([`ddl`]), loading ([`load`]), indexes ([`index`]), writes
//! ([`write`], [`delete`]) and reads ([`search`], [`query`]) does the work in domain types and speaks to the other roles through their
//! traits. Texts and codes are Milvus's.
//!
//! REST ([`rest`]) stands before the same service.
//!
//! Not here: listening (`server`), authentication, quotas, and every RPC that isn't named in [`grpc`], which answers UNIMPLEMENTED.
//!
//! Invariants: a definition is used only as [`cache::Cache`] gives it; a write goes into the log through [`stream::Streams`] alone; every
//! wait ends at the request's deadline.
//!
//! Start at [`Proxy::start`].

pub mod cache;
pub mod columns;
pub mod context;
pub mod ddl;
pub mod delete;
pub mod describe;
pub mod filter;
pub mod flush;
pub mod grpc;
pub mod hash;
pub mod ids;
pub mod index;
pub mod limits;
pub mod load;
pub mod merge;
pub mod names;
pub mod output;
pub mod params;
pub mod partition;
pub mod queries;
pub mod query;
pub mod read;
pub mod replicas;
pub mod rest;
pub mod results;
pub mod route;
pub mod schema;
pub mod search;
pub mod serving;
pub mod status;
pub mod stream;
pub mod system;
pub mod window;
pub mod write;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::World;
use base::config::Current;
use role::Call;
use role::data::{DataCoord, DataNode, Route};
use role::index::IndexCoord;
use role::query::{Leader, QueryCoord, QueryNode};
use role::root::{Changed, CollectionRef, RootCoord};
use types::Result;
use types::collection::Collection;
use types::id::NodeId;

use cache::Cache;
use context::Context;
pub use context::Figures;
use filter::Plans;
use ids::Ids;
use limits::Limits;
use replicas::Replicas;
use serving::Serving;
use stream::{Partners, Streams};

/// The coordinators that the proxy speaks to.
#[derive(Clone)]
pub struct Roles {
    /// Names, ids, timestamps.
    pub root: Arc<dyn RootCoord>,
    /// Routes, flushes, statistics.
    pub data: Arc<dyn DataCoord>,
    /// Loads, leaders.
    pub query: Arc<dyn QueryCoord>,
    /// Index definitions.
    pub index: Arc<dyn IndexCoord>,
}

/// How the proxy reaches nodes that coordinators name.
pub trait Peers: Send + Sync {
    /// The data node of a route.
    ///
    /// # Errors
    /// An address that nobody can be at.
    fn data_node(&self, route: &Route) -> Result<Arc<dyn DataNode>>;

    /// The query node of a leader; errors as [`Self::data_node`].
    fn query_node(&self, leader: &Leader) -> Result<Arc<dyn QueryNode>>;
}

impl Peers for role::peers::Peers {
    fn data_node(&self, route: &Route) -> Result<Arc<dyn DataNode>> {
        self.data_node(&route.address)
    }

    fn query_node(&self, leader: &Leader) -> Result<Arc<dyn QueryNode>> {
        self.query_node(&leader.address)
    }
}

/// Is told of every finished request: metrics and access logs.
pub trait Observe: Send + Sync {
    /// A request ended.
    fn finished(&self, request: &Finished<'_>);

    /// A collection is gone, by a request to this proxy.
    fn dropped(&self, _database: &str, _collection: &str) {}
}

/// A request that ended.
#[derive(Clone, Copy, Debug)]
pub struct Finished<'a> {
    /// The RPC's name.
    pub function: &'static str,
    /// 0 where it succeeded, else the code; `CANCELED` where the client left before.
    pub code: i32,
    /// Whether the failure is the caller's.
    pub input_error: bool,
    /// The database of the collection that it named first; empty if it named none.
    pub database: &'a str,
    /// That collection's name, if it exists.
    pub collection: &'a str,
    /// How long it took.
    pub elapsed: Duration,
    /// What named it in log lines.
    pub request: &'a str,
    /// What it amounts to.
    pub figures: Figures,
}

/// Observes nothing.
pub struct Unobserved;

impl Observe for Unobserved {
    fn finished(&self, _: &Finished<'_>) {}
}

/// What an operator or the build decides.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bounds.
    pub limits: Limits,
    /// This process.
    pub node: NodeId,
    /// Where coordinators reach this proxy; empty in one process.
    pub address: String,
    /// What clients take for the server's version (`v3.0.1`): SDKs decide by it what they may use.
    pub version: String,
    /// When it was built, as text.
    pub build_time: String,
    /// From which commit.
    pub commit: String,
    /// `STANDALONE` or `DISTRIBUTED`.
    pub deploy_mode: String,
    /// The partition that every collection without a partition key has (`common.defaultPartitionName`).
    pub default_partition: String,
    /// How far behind a Bounded read may be (`common.gracefulTime`).
    pub graceful_time: Duration,
    /// How long a request may take whose client names no timeout.
    pub request_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            node: NodeId(1),
            address: String::new(),
            version: "v3.0.1".to_owned(),
            build_time: String::new(),
            commit: String::new(),
            deploy_mode: "STANDALONE".to_owned(),
            default_partition: "_default".to_owned(),
            graceful_time: Duration::from_millis(5_000),
            request_timeout: Duration::from_secs(120),
        }
    }
}

/// A proxy. Shared by all requests.
pub struct Proxy {
    pub(crate) world: World,
    pub(crate) roles: Roles,
    pub(crate) peers: Arc<dyn Peers>,
    config: Current<Config>,
    pub(crate) observe: Arc<dyn Observe>,
    pub(crate) cache: Cache,
    pub(crate) serving: Arc<Serving>,
    pub(crate) replicas: Replicas,
    pub(crate) plans: Plans,
    pub(crate) ids: Ids,
    pub(crate) streams: Streams,
}

/// What a proxy is made of.
pub struct Parts {
    /// Clock, chance, tasks, processors.
    pub world: World,
    /// The coordinators.
    pub roles: Roles,
    /// The way to nodes.
    pub peers: Arc<dyn Peers>,
    /// Who is told of requests.
    pub observe: Arc<dyn Observe>,
}

impl Proxy {
    /// Registers a proxy with rootcoord and returns it, ready to serve. From then on it must be told of changes under
    /// [`Config::address`] ([`role::proxy::Proxy`]).
    ///
    /// # Errors
    /// Those of the registration: the caller tries again.
    pub async fn start(parts: Parts, config: Config, call: &Call) -> Result<Arc<Self>> {
        let Parts { world, roles, peers, observe } = parts;
        let writer = call.bound("registering the proxy", roles.root.register_proxy(call, &config.address)).await?;
        let partners = Partners {
            world: world.clone(),
            root: roles.root.clone(),
            data: roles.data.clone(),
            peers: peers.clone(),
            address: config.address.clone(),
        };
        Ok(Arc::new(Self {
            cache: Cache::new(world.clone(), roles.root.clone()),
            serving: Serving::new(&world, roles.query.clone()),
            replicas: Replicas::new(&world),
            plans: Plans::new(world.random.clone()),
            ids: Ids::new(roles.root.clone()),
            streams: Streams::new(partners, writer),
            world,
            roles,
            peers,
            config: Current::new(config),
            observe,
        }))
    }

    /// Drops everything that was read from coordinators: for a while nobody would have said that it changed.
    pub fn forget_definitions(&self) {
        self.cache.clear();
        self.serving.clear();
    }

    /// What an operator has decided by now.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.config.get()
    }

    /// Has requests from now on go by other settings. What names the proxy (node, address) stays what it began with.
    pub fn reconfigure(&self, config: Config) {
        let first = self.config();
        self.config.set(Config { node: first.node, address: first.address.clone(), ..config });
    }

    /// The collection that a request names, as rootcoord knows it this moment: for requests about definitions.
    pub(crate) async fn described(&self, context: &Context, database: &str, name: &str) -> Result<Collection> {
        names::collection(name, self.config().limits.name_bytes)?;
        let found = self.roles.root.collection(&context.call, &context.collection(database, name)).await?;
        context.name(database, name);
        Ok(found)
    }

    /// The collection that a request names, from the cache: for reads and writes, which are refused where it is too old.
    pub(crate) async fn collection(&self, context: &Context, database: &str, name: &str) -> Result<Arc<Collection>> {
        names::collection(name, self.config().limits.name_bytes)?;
        let found = self.cache.collection(&context.call, &context.collection(database, name)).await?;
        context.name(database, name);
        Ok(found)
    }
}

impl Context {
    /// The key of a collection that a request names.
    pub(crate) fn collection(&self, database: &str, name: &str) -> CollectionRef {
        CollectionRef::Name { database: self.database(database).to_owned(), name: name.to_owned() }
    }
}

#[async_trait]
impl role::proxy::Proxy for Proxy {
    /// Requests that have read the old definition already may still send what they made under it: the sequencer refuses it, as it would
    /// had they been a moment earlier.
    async fn invalidate(&self, _: &Call, changed: &Changed) -> Result<()> {
        self.cache.invalidate(changed.collection);
        self.serving.forget(changed.collection);
        Ok(())
    }
}
