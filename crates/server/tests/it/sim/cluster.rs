//! Simulated processes over what they share: started as the binary starts them, killed, stopped, paused, cut off, with clocks that are off.
//!
//! A machine is what stays when its process goes: its clock, its links, its place in the network. Who has a session and who leads is
//! decided by the processes themselves, in meta.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::clock::Clock;
use base::config::{Bytes, Config};
use base::disk::simulated::{Flaws, SimulatedDisk};
use base::fault::{FaultPlan, Rates};
use meta::memory::{MemoryMeta, MemoryStore as MetaStore};
use node::channels::Channels;
use node::proxy::{Proxy, Unobserved};
use parking_lot::Mutex;
use role::Call;
use server::admin::Health;
use server::internal::Internal;
use server::planted::Planted;
use server::process::{Process, Start};
use server::roles::{Role, RoleSet};
use server::storage::Storage;
use store::object::memory::MemoryStore;
use types::Result;
use wal::embedded::EmbeddedLog;
use wal::log::Log;
use wal::memory::MemoryLog;

use super::coverage::{Coverage, Event};
use super::meta::{Audit, MetaFaults, WatchedMeta};
use super::network::Network;
use super::shape::{Place, Shape};
use super::storage::{Link, WatchedLog, WatchedStore};
use super::verdict::Verdict;

/// Files of the embedded log: small, so that truncation frees some.
const LOG_FILE_BYTES: u64 = 256 << 10;
/// Growing bytes of a shard that are flushed.
const FLUSH_BYTES: u64 = 48 << 10;
/// How long rows that ended stay: less than a run, so that compactions drop some.
const SNAPSHOT_HORIZON: Duration = Duration::from_secs(5);
/// Rows of a segment that gets an index.
const INDEXED_ROWS_MIN: u64 = 40;
/// Topics.
const CHANNELS: u32 = 3;
/// How often a process may fail to start: faults of single calls end long before.
const START_FAILURES_MAX: u32 = 60;
/// Before one that failed is started again.
const START_RETRY: Duration = Duration::from_millis(200);
/// How long the start of a process that is everything may take before it is tried again.
const START_MAX: Duration = Duration::from_secs(30);
/// How long a process that is asked to stop has for it.
const STOP_MAX: Duration = Duration::from_secs(3);

/// What a run breaks on purpose.
#[derive(Clone, Copy, Default)]
pub struct Bugs {
    /// In the roles.
    pub planted: Planted,
    /// On the disk.
    pub flaws: Flaws,
}

/// What a process may be cut off from, besides other processes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    Meta,
    Log,
    Objects,
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
    meta_faults: MetaFaults,
    objects: MemoryStore,
    object_faults: FaultPlan,
    log: MemoryLog,
    network: Network,
    coverage: Arc<Coverage>,
    verdict: Verdict,
    machines: BTreeMap<&'static str, Machine>,
    running: Mutex<BTreeMap<&'static str, Running>>,
    state: Mutex<State>,
}

struct Machine {
    name: &'static str,
    run: RoleSet,
    /// Of its link to the log.
    number: u64,
    clock: Clock,
    meta: MemoryMeta,
    objects: Link,
}

#[derive(Default)]
struct State {
    lives: u64,
    meta_away: bool,
}

struct Running {
    /// Tells it from the next process on the same machine.
    life: u64,
    world: World,
    /// `None` while it starts.
    process: Option<Process>,
}

impl Cluster {
    /// Nothing runs yet.
    pub fn new(seed: u64, shape: Shape, bugs: Bugs, coverage: Arc<Coverage>) -> Self {
        let disk = SimulatedDisk::new(seed ^ 0xD15C);
        disk.set_flaws(bugs.flaws);
        let world = World::simulated(seed, disk.process());
        let mut config = Config::default();
        config.root_coord.dml_channel_num = CHANNELS;
        config.root_coord.min_segment_size_to_enable_index = INDEXED_ROWS_MIN;
        config.elanus.flush.shard_bytes = Bytes(FLUSH_BYTES);
        config.elanus.snapshot_horizon = SNAPSHOT_HORIZON;
        let meta = MetaStore::new(world.clock.clone());
        let machine = |(number, place): (usize, &Place)| Machine {
            name: place.0,
            run: RoleSet::of(place.1.iter().copied()),
            number: number as u64,
            clock: world.clock.with_skew_ms(0),
            meta: meta.connect(),
            objects: Link::new(world.clock.clone()),
        };
        let machines = shape.places().iter().enumerate().map(machine).map(|machine| (machine.name, machine)).collect();
        let plan = || FaultPlan::new(&world.random, Rates::NONE);
        let inner = Inner {
            shape,
            bugs,
            config,
            meta,
            meta_faults: MetaFaults::new(plan()),
            objects: MemoryStore::new(world.clock.clone()),
            object_faults: plan(),
            log: MemoryLog::new(&world, shape.personality()),
            network: Network::new(&world, coverage.clone()),
            world: world.clone(),
            disk,
            coverage,
            verdict: Verdict::default(),
            machines,
            running: Mutex::default(),
            state: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    pub fn world(&self) -> &World {
        &self.inner.world
    }

    pub fn coverage(&self) -> &Arc<Coverage> {
        &self.inner.coverage
    }

    pub fn verdict(&self) -> &Verdict {
        &self.inner.verdict
    }

    pub fn disk(&self) -> &SimulatedDisk {
        &self.inner.disk
    }

    /// A connection of nobody's.
    pub fn meta(&self) -> Arc<dyn meta::store::Meta> {
        Arc::new(self.inner.meta.connect())
    }

    pub fn meta_faults(&self) -> &MetaFaults {
        &self.inner.meta_faults
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

    /// The processes of this shape.
    pub fn names(&self) -> Vec<&'static str> {
        self.inner.machines.keys().copied().collect()
    }

    /// The channels of each process that has started.
    pub fn channels(&self) -> Vec<(&'static str, Arc<Channels>)> {
        let running = self.inner.running.lock();
        let started = running.iter().filter_map(|(name, running)| Some((*name, running.process.as_ref()?)));
        started.map(|(name, process)| (name, process.workers.channels.clone())).collect()
    }

    /// A proxy that listens, and the process that it runs in: from the `preferred` one on, whoever does.
    pub fn proxy(&self, preferred: usize) -> Option<(World, Arc<Proxy>)> {
        let proxies = self.inner.shape.with(Role::Proxy);
        let running = self.inner.running.lock();
        (0..proxies.len()).find_map(|next| {
            let Running { world, process, .. } = running.get(proxies[(preferred + next) % proxies.len()])?;
            Some((world.clone(), process.as_ref()?.proxy.clone()?))
        })
    }

    /// Has a process run, which starts by itself from now on; one that can't is a violation.
    pub fn start(&self, name: &'static str) {
        if self.inner.running.lock().contains_key(name) {
            return;
        }
        let own = self.clone();
        let (life, world) = self.begin(name);
        self.inner.world.tasks.spawn(async move { own.keep_starting(name, life, world).await }).detach();
    }

    fn begin(&self, name: &'static str) -> (u64, World) {
        let Inner { world, disk, machines, running, state, .. } = &*self.inner;
        let of_process = World::simulated(world.random.u64(), disk.process());
        let world = World { clock: machines[name].clock.clone(), ..of_process };
        let life = {
            let mut state = state.lock();
            state.lives += 1;
            state.lives
        };
        running.lock().insert(name, Running { life, world: world.clone(), process: None });
        (life, world)
    }

    /// What a service manager does: a process that ends with an error is started again.
    async fn keep_starting(self, name: &'static str, mut life: u64, mut world: World) {
        let mut last = None;
        for _ in 0..START_FAILURES_MAX {
            let (own, of_process) = (self.clone(), world.clone());
            let started = world.tasks.spawn(async move { own.start_once(name, &of_process).await }).join().await;
            let error = match started {
                // Killed meanwhile.
                None => return,
                Some(Ok(process)) => {
                    if let Some(running) = self.inner.running.lock().get_mut(name).filter(|running| running.life == life) {
                        running.process = Some(process);
                    }
                    return;
                }
                Some(Err(error)) => error,
            };
            tracing::info!(name, %error, "a process can't start");
            world.tasks.kill();
            if self.inner.shape == Shape::One {
                self.inner.disk.kill();
            }
            self.inner.world.clock.sleep(START_RETRY).await;
            if self.inner.running.lock().get(name).is_none_or(|running| running.life != life) {
                return;
            }
            last = Some(error);
            (life, world) = self.begin(name);
        }
        self.inner.verdict.violate(format!("process {name} can't start: {last:?}"));
    }

    async fn start_once(&self, name: &'static str, world: &World) -> Result<Process> {
        let Inner { config, bugs, machines, shape, .. } = &*self.inner;
        let machine = &machines[name];
        let storage = self.inner.storage(machine, world).await?;
        let internal = match shape {
            Shape::One => Internal::near(),
            Shape::Three(_) | Shape::Cluster(_) => self.wired(machine, world),
        };
        let start = Start {
            world,
            config,
            storage: &storage,
            run: &machine.run,
            internal,
            observe: &|_| Arc::new(Unobserved),
            health: &Health::default(),
            planted: bugs.planted,
        };
        match shape {
            Shape::One => Call::within(world, START_MAX, name).bound("start", Process::start(start)).await,
            Shape::Three(_) | Shape::Cluster(_) => Process::start(start).await,
        }
    }

    /// Over the simulated network.
    fn wired(&self, machine: &Machine, world: &World) -> Internal {
        let (network, names, tasks, name) = (self.inner.network.clone(), self.names(), world.tasks.clone(), machine.name);
        let lay = move |served: &role::net::Served, peers: &role::peers::Peers| {
            network.attach(name, &tasks, served.clone());
            for other in names.into_iter().filter(|other| *other != name) {
                peers.set_near(other, network.remote(name, other).served());
            }
        };
        Internal::simulated(name, &machine.run, Box::new(lay))
    }

    /// Waits until a process has started.
    pub async fn started(&self, name: &'static str) {
        let is_there = || self.inner.running.lock().get(name).is_some_and(|running| running.process.is_some());
        while !is_there() && self.inner.verdict.violation().is_none() {
            self.inner.world.clock.sleep(START_RETRY).await;
        }
    }

    /// The processes that haven't started.
    pub fn starting(&self) -> Vec<&'static str> {
        let running = self.inner.running.lock();
        let has_started = |name: &&str| running.get(*name).is_some_and(|running| running.process.is_some());
        self.names().into_iter().filter(|name| !has_started(name)).collect()
    }

    fn take_down(&self, name: &str, event: Event) -> Option<Running> {
        let running = self.inner.running.lock().remove(name)?;
        self.inner.network.detach(name);
        self.inner.coverage.count(event);
        Some(running)
    }

    /// Ends a process as SIGKILL does.
    pub fn kill(&self, name: &str) {
        let Some(running) = self.take_down(name, Event::Kill) else { return };
        running.world.tasks.kill();
        if self.inner.shape == Shape::One {
            self.inner.disk.kill();
        }
    }

    /// Ends a process as SIGTERM does.
    pub async fn stop(&self, name: &str) {
        let Some(Running { world, process, .. }) = self.take_down(name, Event::Stop) else { return };
        if let Some(process) = process {
            let of_process = world.clone();
            let settled = world.tasks.spawn(async move { process.settle(&of_process, STOP_MAX).await });
            // One that stands still, or isn't done by then, is killed.
            let _ = self.inner.world.within(2 * STOP_MAX, settled.join()).await;
        }
        world.tasks.kill();
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

    /// Cuts a machine off from a backend, or mends it.
    pub fn cut(&self, name: &str, backend: Backend, cut: bool) {
        let machine = &self.inner.machines[name];
        match backend {
            Backend::Meta => machine.meta.set_reachable(!cut),
            Backend::Log => self.inner.log.partition(machine.number, cut),
            Backend::Objects => machine.objects.set_cut(cut),
        }
    }

    /// Has a machine's wall clock be ahead.
    pub fn skew(&self, name: &str, ms: i64) {
        self.inner.machines[name].clock.set_skew_ms(ms);
    }

    /// Takes meta away for all, or brings it back; `anew`: every lease begins anew, as those of a server that was down.
    pub fn take_meta_away(&self, away: bool, anew: bool) {
        if anew {
            self.inner.meta.renew_leases();
        }
        self.inner.meta.set_away(away);
        self.inner.state.lock().meta_away = away;
    }

    pub fn is_meta_away(&self) -> bool {
        self.inner.state.lock().meta_away
    }
}

impl Inner {
    async fn storage(&self, machine: &Machine, world: &World) -> Result<Storage> {
        let embedded = self.shape == Shape::One;
        let log: Arc<dyn Log> = match embedded {
            true => {
                let opening = EmbeddedLog::open_with(world, Path::new("/data/log"), LOG_FILE_BYTES).await;
                Arc::new(opening.map_err(|error| error.to_error(&types::id::ChannelName::from("all")))?)
            }
            false => Arc::new(self.log.for_node(machine.number)),
        };
        let audit = Audit {
            // Leaders' addresses: where roles meet by function calls they have none.
            process: if embedded { "" } else { machine.name },
            eye: self.meta.connect(),
            coverage: self.coverage.clone(),
            verdict: self.verdict.clone(),
        };
        let link = machine.meta.clone();
        let meta = WatchedMeta { link, world: self.world.clone(), faults: self.meta_faults.clone(), audit };
        let (objects, faults) = (Arc::new(self.objects.clone()), self.object_faults.clone());
        Ok(Storage {
            meta: Arc::new(meta),
            log: WatchedLog::new(log, self.coverage.clone()),
            store: WatchedStore::new(objects, faults, machine.objects.clone(), self.coverage.clone()),
            cache: None,
            embedded,
        })
    }
}
