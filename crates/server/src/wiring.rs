//! How roles are made from storage and settings: the same for one process that runs all of them, for a cluster's processes, and for simulations.
//!
//! Not here: ports, the order of a start ([`crate::standalone`]), and what storage is ([`crate::storage`]).

use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::config::{Config, DeployMode};
use base::task::Task;
use coord::context::{Context, Parts, Settings};
use coord::reconcile::Coordinators;
use coord::seat::Seat;
use meta::catalog::Catalog;
use meta::election::{Candidate, Leadership, campaign};
use meta::sequence::{IdAllocator, TimestampAllocator};
use meta::store::MetaError;
use node::channels::Channels;
use node::data::{DataNodeRole, Limits};
use node::follow::{self, Followers};
use node::index::IndexNodeRole;
use node::opener::Opener;
use node::planted::Planted;
use node::proxy::Roles;
use node::query::QueryNodeRole;
use node::refresh::Refresher;
use role::net::Served;
use role::peers::Peers;
use store::segment_file::PageCache;
use tokio_util::sync::CancellationToken;
use types::id::NodeId;
use types::{Error, Result};

use crate::storage::Storage;

/// Ids that are drawn from meta at once.
const ID_BATCH: u32 = 100_000;
/// How far timestamps are given without a word to meta.
const TIMESTAMP_WINDOW: Duration = Duration::from_secs(3);
/// How long an office stays taken when its leader vanishes.
const OFFICE_TTL: Duration = Duration::from_secs(2);
/// Between two looks of a data node at what is due.
const UPKEEP_PAUSE: Duration = Duration::from_millis(200);
/// Decoded pages of texts.
const PAGE_CACHE_BYTES: u64 = 64 << 20;

/// The workers of a process: they share channels, and so growing rows.
pub struct Workers {
    /// Sequences and flushes.
    pub data: Arc<DataNodeRole>,
    /// Answers reads.
    pub query: Arc<QueryNodeRole>,
    /// Builds.
    pub index: Arc<IndexNodeRole>,
    /// What they share.
    pub channels: Arc<Channels>,
}

/// What a process stands for election with.
#[derive(Clone)]
pub struct Candidacy {
    /// The world.
    pub world: World,
    /// The settings.
    pub config: Config,
    /// What is kept.
    pub storage: Storage,
    /// Where the coordinators are reached; empty for this process alone.
    pub address: String,
    /// How they reach nodes.
    pub peers: Arc<Peers>,
}

impl Candidacy {
    /// Waits until this process leads, then has all coordinators over its storage. Their loops aren't started, and nobody is a member yet.
    ///
    /// # Errors
    /// Meta can't be reached or read.
    pub async fn lead(&self) -> Result<(Leadership, Coordinators)> {
        let Self { world, config, storage, address, peers } = self;
        let candidate = Candidate { office: "coordinators".to_owned(), address: address.clone(), ttl: OFFICE_TTL };
        let leadership = campaign(world, &storage.meta, &candidate).await.map_err(meta_failed)?;
        let coordinators = Coordinators::new(context(world, config, storage, &leadership, peers).await?);
        Ok((leadership, coordinators))
    }

    /// Keeps `seat` filled from the `first` term on: after each term that is lost this process stands again, until `stop`.
    pub fn hold(self, seat: &Arc<Seat>, first: Leadership, stop: CancellationToken) -> Task<()> {
        let tasks = self.world.tasks.clone();
        let world = self.world.clone();
        let begin = move || {
            let candidacy = self.clone();
            async move { candidacy.lead().await }
        };
        tasks.spawn(seat.clone().hold(world, first, stop, begin))
    }
}

async fn context(world: &World, config: &Config, storage: &Storage, leadership: &Leadership, peers: &Arc<Peers>) -> Result<Context> {
    let fence = leadership.fence();
    let parts = Parts {
        world: world.clone(),
        catalog: Catalog::new(storage.meta.clone(), world.clock.clone()),
        ids: Arc::new(IdAllocator::new(storage.meta.clone(), ID_BATCH)),
        timestamps: Arc::new(TimestampAllocator::new(storage.meta.clone(), world.clock.clone(), fence.clone(), TIMESTAMP_WINDOW)),
        fence,
        store: storage.store.clone(),
        peers: peers.clone(),
        settings: coordinator_settings(config, storage.embedded),
    };
    Context::start(parts).await
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

/// Starts the workers of a process over its storage; `roles` are the coordinators, wherever they are.
pub fn workers(world: &World, config: &Config, storage: &Storage, roles: &Roles, peers: &Arc<Peers>) -> Workers {
    workers_with(world, config, (storage, Planted::default()), roles, peers)
}

/// [`workers`] with bugs of simulations.
#[doc(hidden)]
pub fn workers_with(world: &World, config: &Config, (storage, planted): (&Storage, Planted), roles: &Roles, peers: &Arc<Peers>) -> Workers {
    let channels = Arc::new(Channels::default());
    let opener = Opener::new(storage.source(), PageCache::new(PAGE_CACHE_BYTES));
    let refresher = Refresher::start(world, roles.data.clone(), opener.clone(), channels.clone());
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
    let data = DataNodeRole::start(node::data::Parts {
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
    });
    let query = QueryNodeRole::new(node::query::Parts {
        world: world.clone(),
        channels: channels.clone(),
        refresher,
        followers,
        coordinator: roles.data.clone(),
        peers: peers.clone(),
        own: Some(data.clone()),
        planted,
    });
    // Builds have threads of their own, so that searches don't wait behind them.
    let pool = world.cpu.beside("build");
    Workers { data, query: Arc::new(query), index: Arc::new(IndexNodeRole::new(world, opener, pool)), channels }
}

/// All roles but the proxy, for calls from others.
pub fn served(seat: &Arc<Seat>, nodes: &Workers) -> Served {
    Served {
        root: Some(seat.clone()),
        data: Some(seat.clone()),
        query: Some(seat.clone()),
        index: Some(seat.clone()),
        data_node: Some(nodes.data.clone()),
        query_node: Some(nodes.query.clone()),
        index_node: Some(nodes.index.clone()),
        proxy: None,
    }
}

/// What the settings say of a proxy that coordinators reach at `address`.
pub fn proxy_config(config: &Config, node: NodeId, address: &str) -> node::proxy::Config {
    let (proxy, limits) = (&config.proxy, &config.quota.limits);
    let mode = config.elanus.deploy_mode.unwrap_or(DeployMode::Standalone);
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
        deploy_mode: mode.name().to_owned(),
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
