//! Simulated processes: one that is everything over an embedded log, or three over a shared log; started, killed, paused, cut off.
//!
//! In the shape of three, `c` has the coordinators, the proxy and a query node that sequences nothing; `d1` and `d2` are data, query and index
//! nodes. Who is there is said by [`Cluster::announce`], as sessions under leases would say it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::config::{Bytes, Config};
use base::disk::simulated::{Flaws, SimulatedDisk};
use base::fault::{FaultPlan, Rates};
use coord::members::{Member, Members};
use coord::shared::Shared;
use meta::memory::MemoryStore as MetaStore;
use meta::sequence::next_node;
use node::channels::Channels;
use node::planted::Planted;
use node::proxy::{Proxy, Unobserved};
use parking_lot::Mutex;
use role::Call;
use role::peers::Peers;
use server::admin::Health;
use server::internal::{Internal, LateProxy};
use server::process::{Process, Start};
use server::roles::{Role, RoleSet};
use server::storage::Storage;
use server::wiring::{self, Candidacy, Links, Seats, WorkerParts, Workers};
use store::object::memory::MemoryStore;
use tokio_util::sync::CancellationToken;
use types::Result;
use types::id::NodeId;
use wal::embedded::EmbeddedLog;
use wal::memory::{MemoryLog, Personality};

use super::coverage::{Coverage, Event};
use super::network::Network;
use super::storage::{WatchedLog, WatchedStore};

/// Files of the embedded log: small, so that truncation frees some.
const LOG_FILE_BYTES: u64 = 256 << 10;
/// Growing bytes of a shard that are flushed.
const FLUSH_BYTES: u64 = 48 << 10;
/// Rows of a segment that gets an index.
const INDEXED_ROWS_MIN: u64 = 40;
/// Topics.
const CHANNELS: u32 = 3;
/// How often a process may fail to start: faults of single calls end long before.
const START_FAILURES_MAX: u32 = 60;
/// How long a start may take before it is tried again.
const START_MAX: Duration = Duration::from_secs(30);

/// Which processes there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// One process with a log and a disk of its own.
    One,
    /// Three processes that share a log, which behaves as this broker does.
    Three(Personality),
}

/// What a run breaks on purpose.
#[derive(Clone, Copy, Default)]
pub struct Bugs {
    /// In the roles.
    pub planted: Planted,
    /// On the disk.
    pub flaws: Flaws,
}

/// All of a simulation but its clients. Clones are the same.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    shape: Shape,
    bugs: Bugs,
    config: Config,
    /// Of no process: brokers, wires, the test itself.
    world: World,
    disk: SimulatedDisk,
    meta: MetaStore,
    objects: MemoryStore,
    object_faults: FaultPlan,
    log: MemoryLog,
    network: Network,
    coverage: Arc<Coverage>,
    running: Mutex<BTreeMap<&'static str, Running>>,
    /// Who has a session.
    announced: Mutex<BTreeMap<&'static str, NodeId>>,
    stuck: Mutex<Option<String>>,
}

struct Running {
    world: World,
    node: NodeId,
    meta: meta::memory::MemoryMeta,
    proxy: Option<Arc<Proxy>>,
    coordinators: Option<Arc<Shared>>,
    workers: Option<Workers>,
    process: Option<Process>,
}

impl Cluster {
    /// Nothing runs yet.
    pub fn new(seed: u64, shape: Shape, bugs: Bugs, coverage: Arc<Coverage>) -> Self {
        let disk = SimulatedDisk::new(seed ^ 0xD15C);
        disk.set_flaws(bugs.flaws);
        let world = World::simulated(seed, disk.process());
        let personality = match shape {
            Shape::One => Personality::Plain,
            Shape::Three(personality) => personality,
        };
        let mut config = Config::default();
        config.root_coord.dml_channel_num = CHANNELS;
        config.root_coord.min_segment_size_to_enable_index = INDEXED_ROWS_MIN;
        config.elanus.flush.shard_bytes = Bytes(FLUSH_BYTES);
        let inner = Inner {
            shape,
            bugs,
            config,
            meta: MetaStore::new(world.clock.clone()),
            objects: MemoryStore::new(world.clock.clone()),
            object_faults: FaultPlan::new(&world.random, Rates::NONE),
            log: MemoryLog::new(&world, personality),
            network: Network::new(&world, coverage.clone()),
            world,
            disk,
            coverage,
            running: Mutex::default(),
            announced: Mutex::default(),
            stuck: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    pub fn world(&self) -> &World {
        &self.inner.world
    }

    pub fn coverage(&self) -> &Arc<Coverage> {
        &self.inner.coverage
    }

    pub fn disk(&self) -> &SimulatedDisk {
        &self.inner.disk
    }

    /// A connection of nobody's.
    pub fn meta(&self) -> Arc<dyn meta::store::Meta> {
        Arc::new(self.inner.meta.connect())
    }

    /// The channels of each process.
    pub fn channels(&self) -> Vec<(&'static str, Arc<Channels>)> {
        let running = self.inner.running.lock();
        let of = |process: &Running| {
            let whole = process.process.as_ref().map(|whole| &whole.workers);
            process.workers.as_ref().or(whole).map(|workers| workers.channels.clone())
        };
        running.iter().filter_map(|(name, process)| Some((*name, of(process)?))).collect()
    }

    pub fn log(&self) -> &MemoryLog {
        &self.inner.log
    }

    pub fn network(&self) -> &Network {
        &self.inner.network
    }

    pub fn object_faults(&self) -> &FaultPlan {
        &self.inner.object_faults
    }

    pub fn shape(&self) -> Shape {
        self.inner.shape
    }

    /// The processes of this shape; the first has the proxy.
    pub fn names(&self) -> &'static [&'static str] {
        match self.inner.shape {
            Shape::One => &["a"],
            Shape::Three(_) => &["c", "d1", "d2"],
        }
    }

    /// The proxy and the process that it lives in.
    pub fn proxy(&self) -> Option<(World, Arc<Proxy>)> {
        let running = self.inner.running.lock();
        let process = running.get(self.names()[0])?;
        Some((process.world.clone(), process.proxy.clone()?))
    }

    pub fn is_running(&self, name: &str) -> bool {
        self.inner.running.lock().contains_key(name)
    }

    /// Why a process can't start, where one can't.
    pub fn stuck(&self) -> Option<String> {
        self.inner.stuck.lock().clone()
    }

    /// Starts a process, again and again until it has started; one that can't is what [`Cluster::stuck`] tells of.
    pub async fn start(&self, name: &'static str) {
        let mut failures = 0;
        while !self.is_running(name) && self.stuck().is_none() {
            let world = self.inner.world_of_process();
            let started = match self.inner.shape {
                Shape::One => self.start_whole(&world, name).await,
                Shape::Three(_) if name == "c" => self.start_control(&world).await,
                Shape::Three(_) => self.start_data(&world, name).await,
            };
            match started {
                Ok(running) => {
                    self.inner.running.lock().insert(name, running);
                }
                Err(error) => {
                    tracing::info!(name, %error, "a process can't start");
                    world.tasks.kill();
                    self.inner.disk.kill();
                    failures += 1;
                    if failures == START_FAILURES_MAX {
                        self.inner.stuck.lock().get_or_insert(format!("process {name} can't start: {error}"));
                    }
                    self.inner.world.clock.sleep(Duration::from_millis(200)).await;
                }
            }
        }
        self.announce(name, true);
    }

    async fn start_whole(&self, world: &World, name: &'static str) -> Result<Running> {
        let meta = self.inner.meta.connect();
        let opening = EmbeddedLog::open_with(world, Path::new("/data/log"), LOG_FILE_BYTES);
        let log = opening.await.map_err(|error| error.to_error(&types::id::ChannelName::from("all")))?;
        let storage = self.inner.storage(Arc::new(log), &meta, true);
        let start = Start {
            world,
            config: &self.inner.config,
            storage: &storage,
            run: &RoleSet::all(),
            internal: Internal::near(),
            observe: &|_| Arc::new(Unobserved),
            health: &Health::default(),
            planted: self.inner.bugs.planted,
        };
        let call = Call::within(world, START_MAX, name);
        // A task of the process, so that a kill during the start ends it.
        let process = call.bound("start", Process::start(start)).await?;
        let proxy = process.proxy.clone();
        Ok(Running { world: world.clone(), node: NodeId(0), meta, proxy, coordinators: None, workers: None, process: Some(process) })
    }

    async fn start_control(&self, world: &World) -> Result<Running> {
        let (meta, storage, node) = self.connect(0).await?;
        let config = &self.inner.config;
        let links = Links::with_peers(world, config, &storage, self.peers(world, "c"));
        let candidacy = Candidacy { world: world.clone(), meta: storage.meta.clone(), shared: links.shared.clone() };
        let run = RoleSet::of(Role::COORDINATORS.into_iter().chain([Role::Proxy, Role::DataNode, Role::QueryNode, Role::IndexNode]));
        let planted = self.inner.bugs.planted;
        let workers = wiring::workers(WorkerParts { world, config, storage: &storage, links: &links, run: &run, planted });
        let (seats, late, stop) = (Seats::vacant(), Arc::new(LateProxy::default()), CancellationToken::new());
        let served = role::net::Served { proxy: Some(late.clone()), ..wiring::served(&run, &seats, &workers) };
        links.peers.set_own(served.clone());
        links.peers.set_near("c", served.clone());
        self.inner.network.attach("c", &world.tasks, served);
        candidacy.hold(&seats.root, "c", None, &stop).detach();
        candidacy.hold(&seats.data, "c", None, &stop).detach();
        candidacy.hold(&seats.query, "c", None, &stop).detach();
        candidacy.hold(&seats.index, "c", None, &stop).detach();
        let call = Call::within(world, START_MAX, "start");
        let parts =
            node::proxy::Parts { world: world.clone(), roles: links.roles(), peers: links.peers.clone(), observe: Arc::new(Unobserved) };
        let proxy = Proxy::start(parts, wiring::proxy_config(config, &run, node, ""), &call).await?;
        late.set(proxy.clone());
        let coordinators = Some(links.shared);
        Ok(Running { world: world.clone(), node, meta, proxy: Some(proxy), coordinators, workers: Some(workers), process: None })
    }

    async fn start_data(&self, world: &World, name: &'static str) -> Result<Running> {
        let number = if name == "d1" { 1 } else { 2 };
        let (meta, storage, node) = self.connect(number).await?;
        let config = &self.inner.config;
        let links = Links::with_peers(world, config, &storage, self.peers(world, name));
        let run = RoleSet::of([Role::DataNode, Role::QueryNode, Role::IndexNode]);
        let planted = self.inner.bugs.planted;
        let workers = wiring::workers(WorkerParts { world, config, storage: &storage, links: &links, run: &run, planted });
        self.inner.network.attach(name, &world.tasks, wiring::served(&run, &Seats::vacant(), &workers));
        Ok(Running { world: world.clone(), node, meta, proxy: None, coordinators: None, workers: Some(workers), process: None })
    }

    async fn connect(&self, number: u64) -> Result<(meta::memory::MemoryMeta, Storage, NodeId)> {
        let meta = self.inner.meta.connect();
        let storage = self.inner.storage(Arc::new(self.inner.log.for_node(number)), &meta, false);
        let node = next_node(&meta).await.map_err(wiring::meta_failed)?;
        Ok((meta, storage, node))
    }

    fn peers(&self, world: &World, from: &str) -> Arc<Peers> {
        let peers = Arc::new(Peers::new(world));
        for to in self.names().iter().filter(|to| **to != from) {
            peers.set_near(to, self.inner.network.remote(from, to).served());
        }
        if from != "c" {
            peers.set_near(from, self.inner.network.remote(from, from).served());
        }
        peers
    }

    /// Says that a process is there, or that its session has ended.
    pub fn announce(&self, name: &'static str, there: bool) {
        let running = self.inner.running.lock();
        let mut announced = self.inner.announced.lock();
        match running.get(name).filter(|_| there) {
            Some(process) => announced.insert(name, process.node),
            None => announced.remove(name),
        };
        let Some(shared) = running.get("c").and_then(|control| control.coordinators.as_ref()) else { return };
        let member = |name: &&'static str| {
            let address = if *name == "c" { String::new() } else { (*name).to_owned() };
            Some(Member { node: *announced.get(name)?, address })
        };
        let of = |names: &[&'static str]| names.iter().filter_map(member).collect::<Vec<_>>();
        shared.set_members(Members {
            data_nodes: of(&["d1", "d2"]),
            query_nodes: of(&["c", "d1", "d2"]),
            index_nodes: of(&["d1", "d2"]),
            proxies: of(&["c"]),
        });
    }

    /// Ends a process as SIGKILL does.
    pub fn kill(&self, name: &str) {
        let Some(running) = self.inner.running.lock().remove(name) else { return };
        running.world.tasks.kill();
        if self.inner.shape == Shape::One {
            self.inner.disk.kill();
        }
        self.inner.network.detach(name);
        self.inner.coverage.count(Event::Kill);
    }

    /// Ends the process by the loss of its machine's power.
    pub fn lose_power(&self, name: &str) {
        self.kill(name);
        self.inner.disk.crash();
        self.inner.coverage.count(Event::PowerLoss);
    }

    /// Ends everything.
    pub fn end(&self) {
        let running = std::mem::take(&mut *self.inner.running.lock());
        running.into_values().for_each(|process| process.world.tasks.kill());
        self.inner.world.tasks.kill();
    }

    /// Stops a process as SIGSTOP does, or lets it go on.
    pub fn pause(&self, name: &str, paused: bool) {
        let running = self.inner.running.lock();
        let Some(process) = running.get(name) else { return };
        match paused {
            true => process.world.tasks.pause(),
            false => process.world.tasks.resume(),
        }
    }

    /// Cuts a process off from meta, or mends it.
    pub fn reach_meta(&self, name: &str, reachable: bool) {
        if let Some(process) = self.inner.running.lock().get(name) {
            process.meta.set_reachable(reachable);
        }
    }
}

impl Inner {
    fn world_of_process(&self) -> World {
        let world = World::simulated(self.world.random.u64(), self.disk.process());
        World { clock: self.world.clock.with_skew_ms(0), ..world }
    }

    fn storage(&self, log: Arc<dyn wal::log::Log>, meta: &meta::memory::MemoryMeta, embedded: bool) -> Storage {
        Storage {
            meta: Arc::new(meta.clone()),
            log: WatchedLog::new(log, self.coverage.clone()),
            store: WatchedStore::new(Arc::new(self.objects.clone()), self.object_faults.clone(), self.coverage.clone()),
            cache: None,
            embedded,
        }
    }
}
