//! querynode: answers searches and queries of the shards that it serves.

mod ends;
mod figures;
mod routes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use base::World;
use base::cpu::CpuPool;
use expr::Plan;
use index::Vectors;
use index::params::{IndexKind, Purpose, SearchParams, check_search};
use parking_lot::{Mutex, RwLock};
use role::Call;
use role::data::{DataCoord, DataNode};
use role::peers::Peers;
use role::query::{
    HeldShard, Hit, NodeServing, QueryNode, QueryRequest, QueryResponse, ReadAt, Scope, SearchRequest, SearchResponse, ServeShard,
};
use segment::{Place, Version, query, search};
use types::batch::Batch;
use types::id::{ChannelName, CollectionId, PartitionId, ShardId};
use types::index_params::{IndexDefinition, Metric};
use types::time::Timestamp;
use types::{Code, Error, Result};

use crate::channel::{Channel, Source};
use crate::channels::Channels;
use crate::follow::Followers;
use crate::planted::Planted;
use crate::refresh::Refresher;
use ends::Ends;
use figures::{Figures, Latencies};
use routes::Routes;

/// What a query node is made of.
pub struct Parts {
    /// The world.
    pub world: World,
    /// The process's channels.
    pub channels: Arc<Channels>,
    /// Takes shards over to manifests.
    pub refresher: Arc<Refresher>,
    /// Reads channels that are sequenced elsewhere.
    pub followers: Arc<Followers>,
    /// Says where channels are sequenced.
    pub coordinator: Arc<dyn DataCoord>,
    /// Reaches sequencers.
    pub peers: Arc<Peers>,
    /// The data node of this process, if it has one: it knows the ends of the logs that it sequences.
    pub own: Option<Arc<dyn DataNode>>,
    /// Bugs of simulations.
    #[doc(hidden)]
    pub planted: Planted,
}

/// The query node of a process.
pub struct QueryNodeRole {
    parts: Parts,
    routes: Routes,
    ends: Ends,
    served: RwLock<BTreeMap<ShardId, Arc<ServeShard>>>,
    /// Asked for and not served yet: a call that was given up may have left a part.
    begun: Mutex<BTreeMap<ShardId, ServeShard>>,
    figures: Figures,
}

/// A pinned version of a shard.
struct Pinned {
    version: Arc<Version>,
    at: Timestamp,
    partitions: Option<Vec<PartitionId>>,
    indexes: Arc<ServeShard>,
}

impl QueryNodeRole {
    /// A node that serves nothing yet.
    pub fn new(parts: Parts) -> Self {
        let figures = Figures::new(&parts.world.metrics);
        let routes = Routes::new(&parts.world, parts.coordinator.clone(), parts.peers.clone());
        Self { parts, routes, ends: Ends::default(), served: RwLock::default(), begun: Mutex::default(), figures }
    }

    /// The collections of which shards are served here.
    pub fn served(&self) -> BTreeSet<CollectionId> {
        self.served.read().keys().map(|shard| shard.collection).collect()
    }

    async fn pin(&self, call: &Call, scope: &Scope) -> Result<Pinned> {
        let shard = scope.shard;
        let served = self.served.read().get(&shard).cloned();
        let not_served = || Error::about(Code::COLLECTION_NOT_LOADED, &[("collection", &shard.collection)]);
        let served = served.ok_or_else(not_served)?;
        let channel = self.channel(&served.channel)?;
        let clock = self.reach(call, &channel, scope.at).await?;
        let reader = channel.reader(shard).map_err(|error| match error.code() {
            // Released since the read came: whoever asks looks for another node.
            Code::COLLECTION_NOT_FOUND => not_served(),
            _ => error,
        })?;
        let version = self.with_schema(call, &channel, &reader.versions, scope.schema_version).await?;
        if !version.is_open {
            return Err(Error::new(Code::SERVICE_NOT_READY, format!("the segments of shard {shard} are being opened: service not ready")));
        }
        let at = match scope.at {
            ReadAt::Snapshot(at) if !self.parts.planted.moving_snapshot => at,
            _ => clock.max(version.clock),
        };
        let partitions = match (&scope.partitions, &served.partitions) {
            (Some(asked), Some(loaded)) => Some(asked.iter().filter(|partition| loaded.contains(partition)).copied().collect()),
            (asked, loaded) => asked.clone().or_else(|| loaded.clone()),
        };
        Ok(Pinned { version, at, partitions, indexes: served })
    }

    /// Waits until as much is applied as the read asks for; the channel's clock then.
    async fn reach(&self, call: &Call, channel: &Channel, at: ReadAt) -> Result<Timestamp> {
        let clock = &self.parts.world.clock;
        match at {
            ReadAt::Applied => {}
            ReadAt::Within(limit) if channel.is_level(clock.now(), limit) => {}
            ReadAt::Barrier | ReadAt::Within(_) => {
                let asked = clock.now();
                let name = channel.name();
                let ask = |node: Arc<dyn DataNode>, call: Call| async move { node.barrier(&call, name).await };
                let end = self.ends.of(call, name, || self.at_sequencer(call, channel, ask)).await?;
                // The only sequencer applies before it acknowledges, so all that it names is here already.
                if channel.source() != Source::OnlySequencer {
                    channel.wait(call, "the end of the log", |progress| progress.number >= end.number).await?;
                    channel.was_level(asked);
                }
            }
            ReadAt::Snapshot(timestamp) => {
                if channel.progress().borrow().clock < timestamp {
                    let name = channel.name();
                    let ask = |node: Arc<dyn DataNode>, call: Call| async move { node.advance_clock(&call, name, timestamp).await };
                    self.at_sequencer(call, channel, ask).await?;
                }
                channel.wait(call, "the snapshot's timestamp", |progress| progress.clock >= timestamp).await?;
            }
        }
        let clock = channel.progress().borrow().clock;
        Ok(clock)
    }

    async fn with_schema(&self, call: &Call, channel: &Channel, versions: &ArcSwap<Version>, schema_version: u32) -> Result<Arc<Version>> {
        channel.wait(call, "the collection's schema", |_| versions.load().state.schema.version >= schema_version).await?;
        Ok(versions.load_full())
    }

    /// Asks who knows the end of a channel's log. A sequencer of this process proves itself by an append, so no other one has to be asked.
    async fn at_sequencer<T, F>(&self, call: &Call, channel: &Channel, ask: impl Fn(Arc<dyn DataNode>, Call) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        if let (Some(own), Source::OnlySequencer | Source::Sequencer) = (&self.parts.own, channel.source()) {
            return ask(own.clone(), call.clone()).await;
        }
        self.routes.ask(call, channel.name(), ask).await
    }

    fn channel(&self, name: &ChannelName) -> Result<Arc<Channel>> {
        let unread = || Error::new(Code::SERVICE_NOT_READY, format!("channel {name} isn't read by this node yet: service not ready"));
        let found = self.parts.channels.get(name);
        found.ok_or_else(|| self.parts.channels.failure(name).unwrap_or_else(unread))
    }
}

/// The definition that a search goes by: the client's metric, if it says one, must be its.
fn definition<'a>(served: &'a ServeShard, request: &SearchRequest) -> Result<&'a IndexDefinition> {
    let found = served.indexes.iter().find(|definition| definition.field == request.field);
    let found = found.ok_or_else(|| Error::new(Code::INDEX_NOT_FOUND, format!("index not found[field={}]", request.field)))?;
    match (request.metric, found.metric) {
        (Some(asked), Some(built)) if asked != built => Err(Error::expected("metric type not match", built, asked)),
        _ => Ok(found),
    }
}

fn search_params(definition: &IndexDefinition, request: &SearchRequest) -> Result<SearchParams> {
    let kind = IndexKind::from_name(&definition.index_type).map(IndexKind::name)?;
    check_search(kind, &request.params, Purpose::Nearest { k: request.limit })
}

/// Set when the caller no longer waits: work on the pool looks at it.
struct Cancelled(Arc<AtomicBool>);

impl Drop for Cancelled {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl QueryNodeRole {
    async fn pin_timed(&self, call: &Call, scope: &Scope, latencies: &Latencies) -> Result<Pinned> {
        let began = self.parts.world.clock.now();
        let pinned = self.pin(call, scope).await?;
        latencies.waited(self.parts.world.clock.now() - began);
        Ok(pinned)
    }

    async fn search_shard(&self, call: &Call, request: SearchRequest) -> Result<SearchResponse> {
        let pinned = self.pin_timed(call, &request.scope, self.figures.search()).await?;
        let definition = definition(&pinned.indexes, &request)?;
        let metric = definition.metric.ok_or_else(|| Error::internal("an index of vectors has a metric"))?;
        let params = search_params(definition, &request)?;
        self.figures.asked(request.queries.slots(), request.limit);
        let began = self.parts.world.clock.now();
        let cancelled = Cancelled(Arc::default());
        let flag = cancelled.0.clone();
        let pool = self.parts.world.cpu.clone();
        let work = self.parts.world.cpu.run(move || answer_search(&pinned, &request, (metric, &params), (&pool, &flag)));
        let answer = call.bound("a search", work).await;
        drop(cancelled);
        self.figures.search().computed(self.parts.world.clock.now() - began);
        answer
    }

    async fn query_shard(&self, call: &Call, request: QueryRequest) -> Result<QueryResponse> {
        let pinned = self.pin_timed(call, &request.scope, self.figures.query()).await?;
        let began = self.parts.world.clock.now();
        let pool = self.parts.world.cpu.clone();
        let work = self.parts.world.cpu.run(move || answer_query(&pinned, &request, &pool));
        let answer = call.bound("a query", work).await;
        self.figures.query().computed(self.parts.world.clock.now() - began);
        answer
    }
}

#[async_trait]
impl QueryNode for QueryNodeRole {
    async fn search(&self, call: &Call, request: SearchRequest) -> Result<SearchResponse> {
        let (began, collection) = (self.parts.world.clock.now(), request.scope.shard.collection);
        let answer = self.search_shard(call, request).await;
        self.figures.ended(self.figures.search(), collection, &answer, self.parts.world.clock.now() - began);
        answer
    }

    async fn query(&self, call: &Call, request: QueryRequest) -> Result<QueryResponse> {
        let (began, collection) = (self.parts.world.clock.now(), request.scope.shard.collection);
        let answer = self.query_shard(call, request).await;
        self.figures.ended(self.figures.query(), collection, &answer, self.parts.world.clock.now() - began);
        answer
    }

    async fn serve(&self, call: &Call, request: ServeShard) -> Result<()> {
        let shard = request.shard;
        if !self.served.read().contains_key(&shard) {
            self.begun.lock().insert(shard, request.clone());
        }
        match self.open(call, &request).await {
            Ok(()) => drop(self.served.write().insert(shard, Arc::new(request))),
            // What was served before is served on.
            Err(error) if self.served.read().contains_key(&shard) => return Err(error),
            Err(error) => {
                self.let_go(shard, &request.channel);
                self.begun.lock().remove(&shard);
                return Err(error);
            }
        }
        self.begun.lock().remove(&shard);
        Ok(())
    }

    async fn release(&self, call: &Call, shard: ShardId) -> Result<()> {
        let served = self.served.write().remove(&shard).map(|served| served.channel.clone());
        let begun = self.begun.lock().remove(&shard).map(|begun| begun.channel);
        let Some(channel) = served.or(begun) else { return Ok(()) };
        let Some(channel) = self.let_go(shard, &channel) else { return Ok(()) };
        match self.parts.refresher.refresh(call, &channel, shard).await {
            // A collection that was dropped has nothing to let go of.
            Err(error) if error.code() == Code::COLLECTION_NOT_FOUND => Ok(()),
            result => result,
        }
    }

    async fn serving(&self, _: &Call) -> Result<NodeServing> {
        let begun = self.begun.lock().clone();
        let mut shards: BTreeMap<ShardId, HeldShard> =
            begun.into_iter().map(|(shard, request)| (shard, HeldShard { request, is_serving: false })).collect();
        for (shard, request) in &*self.served.read() {
            shards.insert(*shard, HeldShard { request: (**request).clone(), is_serving: true });
        }
        Ok(NodeServing { shards: shards.into_values().collect(), memory: self.parts.refresher.memory() })
    }
}

impl QueryNodeRole {
    /// Opens what a shard has now; it answers reads from then on.
    async fn open(&self, call: &Call, request: &ServeShard) -> Result<()> {
        let channel = self.parts.followers.channel_with(call, &request.channel, request.shard).await?;
        self.parts.refresher.set_served(request.shard, true);
        self.parts.refresher.refresh(call, &channel, request.shard).await
    }

    /// Its segments are to be open here no longer. The channel, where this process writes it, and so has the shard on.
    fn let_go(&self, shard: ShardId, channel: &ChannelName) -> Option<Arc<Channel>> {
        self.parts.refresher.set_served(shard, false);
        let channel = self.channel(channel).ok()?;
        if channel.source() == Source::Tailer {
            self.parts.followers.leave(&channel, shard);
            return None;
        }
        Some(channel)
    }
}

/// Hits that are gathered between two looks at how large the answer is by now.
const HITS_AT_ONCE: usize = 1 << 18;
/// What a hit takes in an answer at least: a key and a score.
const HIT_BYTES: usize = size_of::<i64>() + size_of::<f32>();

fn answer_search(
    pinned: &Pinned,
    request: &SearchRequest,
    (metric, params): (Metric, &SearchParams),
    (pool, cancelled): (&CpuPool, &AtomicBool),
) -> Result<SearchResponse> {
    let scope = &request.scope;
    let queries = Vectors::of(&request.queries).ok_or_else(|| Error::internal("a search without vectors to search for"))?;
    let mut found = Vec::new();
    let mut hits = 0;
    let queries_at_once = (HITS_AT_ONCE / request.limit.max(1)).max(1);
    for queries in queries.chunks(queries_at_once) {
        let wanted = search::Search {
            field: request.field,
            queries,
            limit: request.limit,
            metric,
            params,
            filter: &scope.filter,
            partitions: pinned.partitions.as_deref(),
            at: pinned.at,
            ignore_growing: scope.ignore_growing,
            cancelled: Some(cancelled),
        };
        let nearest = search::search(&pinned.version, &wanted, pool)?;
        hits += nearest.iter().map(Vec::len).sum::<usize>();
        query::check_output(hits * HIT_BYTES, scope.output_bytes_max, "search")?;
        found.extend(nearest);
    }
    let places: Vec<Place> = found.iter().flatten().map(|row| row.place).collect();
    let (fields, ignore_growing, bytes_max) = (scope.output.as_slice(), scope.ignore_growing, scope.output_bytes_max);
    let fetch = query::Fetch { places: &places, fields, ignore_growing, bytes_max, what: "search" };
    let rows = query::fetch(&pinned.version, &fetch)?;
    let hit = |row: search::Found| Hit { score: index::space::score_of(metric, row.distance), key: row.key, timestamp: row.timestamp };
    let hits = found.into_iter().map(|rows| rows.into_iter().map(hit).collect()).collect();
    Ok(SearchResponse { metric, hits, rows, at: pinned.at })
}

fn answer_query(pinned: &Pinned, request: &QueryRequest, pool: &CpuPool) -> Result<QueryResponse> {
    let filter: &Plan = &request.scope.filter;
    let wanted =
        query::Query { filter, partitions: pinned.partitions.as_deref(), at: pinned.at, ignore_growing: request.scope.ignore_growing };
    if request.count {
        let count = query::count(&pinned.version, &wanted, pool)?;
        return Ok(QueryResponse { count: Some(count), rows: Batch::default(), timestamps: Vec::new(), at: pinned.at });
    }
    let found = query::rows(&pinned.version, &wanted, request.limit, pool)?;
    let places: Vec<Place> = found.iter().map(|row| row.place).collect();
    let mut fields = request.scope.output.clone();
    let key = pinned.version.state.schema.primary().id;
    if !fields.contains(&key) {
        fields.push(key);
    }
    let (ignore_growing, bytes_max) = (request.scope.ignore_growing, request.scope.output_bytes_max);
    let fetch = query::Fetch { places: &places, fields: &fields, ignore_growing, bytes_max, what: "query" };
    let rows = query::fetch(&pinned.version, &fetch)?;
    Ok(QueryResponse { count: None, rows, timestamps: found.iter().map(|row| row.timestamp).collect(), at: pinned.at })
}
