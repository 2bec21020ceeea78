//! How roles are made from storage and settings: the same for one process that runs all of them, for a cluster's processes, and for simulations.
//!
//! Not here: ports, the order of a start ([`crate::process`]), and what storage is ([`crate::storage`]).

use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::config::{Config, DeployMode};
use base::task::Task;
use coord::data::Data;
use coord::index::Index;
use coord::leaders::Leaders;
use coord::planted::Planted;
use coord::query::Query;
use coord::root::Root;
use coord::seat::{Coordinator, Seat, Term};
use coord::shared::{self, Settings, Shared};
use meta::election::{Candidate, Leadership, campaign};
use meta::store::{Meta, MetaError};
use node::admission::MemoryLimits;
use node::channels::Channels;
use node::data::{DataNodeRole, Limits};
use node::follow::{self, Followers};
use node::index::IndexNodeRole;
use node::opener::Opener;
use node::proxy::Roles;
use node::query::QueryNodeRole;
use node::refresh::Refresher;
use role::data::DataNode;
use role::net::Served;
use role::peers::Peers;
use store::segment_file::PageCache;
use tokio_util::sync::CancellationToken;
use types::id::NodeId;
use types::{Error, Result};

use crate::roles::{Role, RoleSet};
use crate::storage::Storage;

/// How long an office stays taken when its leader vanishes.
const OFFICE_TTL: Duration = Duration::from_secs(2);
/// Between two looks of a data node at what is due.
const UPKEEP_PAUSE: Duration = Duration::from_millis(200);
/// Decoded pages of texts.
const PAGE_CACHE_BYTES: u64 = 64 << 20;

/// The workers of a process, those that it runs: they share channels, and so growing rows.
#[derive(Clone)]
pub struct Workers {
    /// Sequences and flushes.
    pub data: Option<Arc<DataNodeRole>>,
    /// Answers reads.
    pub query: Option<Arc<QueryNodeRole>>,
    /// Builds.
    pub index: Option<Arc<IndexNodeRole>>,
    /// What they share.
    pub channels: Arc<Channels>,
}

/// How a process knows the others, and what its coordinators share.
#[derive(Clone)]
pub struct Links {
    /// Nodes by address.
    pub peers: Arc<Peers>,
    /// Coordinators, wherever they are.
    pub leaders: Arc<Leaders>,
    /// Of this process's coordinators.
    pub shared: Arc<Shared>,
}

impl Links {
    /// Knows nobody yet but follows the leaders' keys in meta.
    pub fn new(world: &World, config: &Config, storage: &Storage) -> Self {
        Self::with_planted(world, config, storage, Planted::default())
    }

    /// [`Self::new`] with the bugs of a simulation.
    #[doc(hidden)]
    pub fn with_planted(world: &World, config: &Config, storage: &Storage, planted: Planted) -> Self {
        let peers = Arc::new(Peers::new(world));
        let leaders = Leaders::new(world, peers.clone());
        leaders.follow(&storage.meta);
        let shared = Shared::new(shared::Parts {
            world: world.clone(),
            meta: storage.meta.clone(),
            store: storage.store.clone(),
            peers: peers.clone(),
            data: leaders.clone(),
            settings: coordinator_settings(config, storage.embedded),
            planted,
        });
        Self { peers, leaders, shared }
    }

    /// The coordinators as nodes and proxies call them.
    pub fn roles(&self) -> Roles {
        let leaders = &self.leaders;
        Roles { root: leaders.clone(), data: leaders.clone(), query: leaders.clone(), index: leaders.clone() }
    }
}

/// Where the coordinators of a process sit: vacant where it doesn't run or lead one.
#[derive(Clone)]
pub struct Seats {
    /// rootcoord.
    pub root: Arc<Seat<Root>>,
    /// datacoord.
    pub data: Arc<Seat<Data>>,
    /// querycoord.
    pub query: Arc<Seat<Query>>,
    /// indexcoord.
    pub index: Arc<Seat<Index>>,
}

impl Seats {
    /// Nobody leads yet.
    pub fn vacant() -> Self {
        Self { root: Seat::vacant(), data: Seat::vacant(), query: Seat::vacant(), index: Seat::vacant() }
    }
}

/// What a process stands for election with.
#[derive(Clone)]
pub struct Candidacy {
    /// The world.
    pub world: World,
    /// Where offices are.
    pub meta: Arc<dyn Meta>,
    /// What its coordinators share.
    pub shared: Arc<Shared>,
}

impl Candidacy {
    /// Waits until this process leads an office, then has its coordinator, reached by others at `address`. What that does by itself isn't started.
    ///
    /// # Errors
    /// Meta can't be reached or read.
    pub async fn lead<C: Coordinator>(&self, address: &str) -> Result<Term<C>> {
        let candidate = Candidate { office: C::OFFICE.name().to_owned(), address: address.to_owned(), ttl: OFFICE_TTL };
        let leadership = campaign(&self.world, &self.meta, &candidate).await.map_err(meta_failed)?;
        let context = self.shared.begin(&leadership).await?;
        Ok(Term { leadership, coordinator: C::begin(context) })
    }

    /// Keeps a seat filled, from a `first` term on if there is one: after each term that is lost this process stands again, until `stop`.
    pub fn hold<C: Coordinator>(
        &self,
        seat: &Arc<Seat<C>>,
        address: &str,
        first: Option<Leadership>,
        stop: &CancellationToken,
    ) -> Task<()> {
        let (own, address) = (self.clone(), address.to_owned());
        let begin = move || {
            let (own, address) = (own.clone(), address.clone());
            async move { own.lead(&address).await }
        };
        self.world.tasks.spawn(seat.clone().hold(self.world.clone(), first, stop.clone(), begin))
    }
}

/// What the settings say of coordinators.
pub fn coordinator_settings(config: &Config, alone: bool) -> Settings {
    let limits = &config.quota.limits;
    Settings {
        channel_prefix: config.msg_channel.chan_name_prefix.cluster.clone(),
        channels: config.root_coord.dml_channel_num as usize,
        partitions_max: config.root_coord.max_partition_num as usize,
        collections_max: limits.max_collection_num as usize,
        collections_per_database_max: limits.max_collection_num_per_db as usize,
        general_capacity: config.root_coord.max_general_capacity as usize,
        indexed_rows_min: config.root_coord.min_segment_size_to_enable_index,
        sequencer_lease: if alone { Duration::ZERO } else { config.elanus.lease.sequencer },
        snapshot_horizon: config.elanus.snapshot_horizon,
        segment_bytes_max: config.data_coord.segment.max_size.0,
        compacts: config.data_coord.enable_compaction && config.data_coord.compaction.enable_auto_compaction,
        alone,
    }
}

/// What the settings say of a data node.
pub fn flush_limits(config: &Config, alone: bool) -> Limits {
    Limits {
        flush_bytes: config.elanus.flush.shard_bytes.0 as usize,
        log_bytes: config.elanus.flush.log_bytes.0,
        unflushed_bytes: config.elanus.flush.unflushed_bytes.0 as usize,
        pause: UPKEEP_PAUSE,
        alone,
    }
}

/// What the settings and the system say of memory for what is served. Where neither says anything there is no bound.
pub fn memory_limits(config: &Config) -> MemoryLimits {
    let granted = config.elanus.memory.bytes.map(|bytes| bytes.0).or_else(base::memory::granted_bytes);
    let part = config.query_node.overloaded_memory_threshold_percentage / 100.0;
    let bytes = granted.map_or(u64::MAX, |granted| (granted as f64 * part) as u64);
    MemoryLimits { bytes, factor: config.query_node.load_memory_usage_factor }
}

/// What workers are started with.
pub struct WorkerParts<'a> {
    /// The world.
    pub world: &'a World,
    /// The settings.
    pub config: &'a Config,
    /// What is kept.
    pub storage: &'a Storage,
    /// How the others are reached.
    pub links: &'a Links,
    /// Which of them are started.
    pub run: &'a RoleSet,
    /// Bugs of simulations.
    #[doc(hidden)]
    pub planted: node::planted::Planted,
}

/// Starts the workers of a process over its storage.
pub fn workers(parts: WorkerParts<'_>) -> Workers {
    let WorkerParts { world, config, storage, links, run, planted } = parts;
    let (roles, peers) = (links.roles(), &links.peers);
    let channels = Arc::new(Channels::default());
    let opener = Opener::new(storage.source(), PageCache::new(PAGE_CACHE_BYTES));
    let refresher = Refresher::start(world, roles.data.clone(), opener.clone(), channels.clone(), memory_limits(config));
    let followers = Followers::new(follow::Parts {
        world: world.clone(),
        log: storage.log.clone(),
        coordinator: roles.data.clone(),
        peers: peers.clone(),
        channels: channels.clone(),
        refresher: refresher.clone(),
        store: storage.store.clone(),
        planted,
    });
    let data = run.has(Role::DataNode).then(|| {
        DataNodeRole::start(node::data::Parts {
            world: world.clone(),
            log: storage.log.clone(),
            coordinator: roles.data.clone(),
            root: roles.root.clone(),
            channels: channels.clone(),
            opener: opener.clone(),
            refresher: refresher.clone(),
            followers: followers.clone(),
            planted,
            limits: flush_limits(config, storage.embedded),
        })
    });
    let own = data.clone().map(|data| -> Arc<dyn DataNode> { data });
    let query = run.has(Role::QueryNode).then(|| {
        Arc::new(QueryNodeRole::new(node::query::Parts {
            world: world.clone(),
            channels: channels.clone(),
            refresher,
            followers,
            coordinator: roles.data.clone(),
            peers: peers.clone(),
            own,
            planted,
        }))
    });
    // Builds have threads of their own, so that searches don't wait behind them.
    let index = run.has(Role::IndexNode).then(|| Arc::new(IndexNodeRole::new(world, opener, world.cpu.beside("build"))));
    Workers { data, query, index, channels }
}

/// A process's roles for calls from others; its proxy comes later.
pub fn served(run: &RoleSet, seats: &Seats, workers: &Workers) -> Served {
    fn with<T: ?Sized>(run: &RoleSet, role: Role, seat: Arc<T>) -> Option<Arc<T>> {
        run.has(role).then_some(seat)
    }
    Served {
        root: with(run, Role::RootCoord, seats.root.clone()),
        data: with(run, Role::DataCoord, seats.data.clone()),
        query: with(run, Role::QueryCoord, seats.query.clone()),
        index: with(run, Role::IndexCoord, seats.index.clone()),
        data_node: workers.data.clone().map(|data| data as _),
        query_node: workers.query.clone().map(|query| query as _),
        index_node: workers.index.clone().map(|index| index as _),
        proxy: None,
    }
}

/// What the settings say of a proxy that coordinators reach at `address`, in a process with these roles.
pub fn proxy_config(config: &Config, run: &RoleSet, node: NodeId, address: &str) -> node::proxy::Config {
    let is = if run.is_all() { DeployMode::Standalone } else { DeployMode::Distributed };
    let deploy_mode = config.elanus.deploy_mode.unwrap_or(is);
    let (proxy, limits) = (&config.proxy, &config.quota.limits);
    node::proxy::Config {
        limits: node::proxy::limits::Limits {
            name_bytes: proxy.max_name_length as usize,
            fields: proxy.max_field_num as usize,
            vector_fields: proxy.max_vector_field_num as usize,
            shards: proxy.max_shard_num as i32,
            dimension: i64::from(proxy.max_dimension),
            array_capacity: i64::from(proxy.max_array_capacity),
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
        deploy_mode: deploy_mode.name().to_owned(),
        default_partition: config.common.default_partition_name.clone(),
        graceful_time: config.common.graceful_time,
        ..node::proxy::Config::default()
    }
}

/// Meta's failures at start, as an operator reads them.
pub fn meta_failed(error: MetaError) -> Error {
    match error {
        MetaError::Unavailable(error) | MetaError::Damaged(error) => error,
        other => Error::internal(format!("meta: {other}")),
    }
}
