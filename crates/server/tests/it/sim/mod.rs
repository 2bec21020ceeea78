//! Deterministic simulation of the whole: the processes of a cluster in one process and one thread, on simulated time, disk, network, log, meta
//! and objects.
//!
//! A seed gives the shape of the cluster, the clients' operations and everything that goes wrong: [`shape`] says which shapes and which misfortunes
//! there are. Clients know what they were told, and check every answer against it ([`model`]); beside them [`meta`] checks that whoever changes the
//! catalog leads. `./dev sim --seed N [--count N]` runs [`seeds`]; a failure prints its seed.
//!
//! [`planted_bugs_are_caught`] proves that it would find what it is there for: each of the bugs that are planted on purpose must show
//! within the seeds of one ordinary run.
//!
//! Not here: bytes on wires (`role::net`), real brokers and disks (the conformance suites), real processes (`tests/sdk/kills.py`).
//!
//! Start at [`run`], then [`shape`], [`workload`] and [`nemesis`].

mod aftermath;
mod client;
mod cluster;
mod coverage;
mod meta;
mod misfortune;
mod model;
mod nemesis;
mod network;
mod remote;
mod shape;
mod storage;
mod verdict;
mod workload;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::disk::simulated::Flaws;
use base::random::Random;
use wal::memory::Personality;

use cluster::{Bugs, Cluster};
use coverage::{Coverage, Event};
use nemesis::Nemesis;
use shape::Shape;
use workload::{CLIENTS, Worker};

/// Seeds of an ordinary run.
const SEEDS: u64 = 200;

/// What the seeds together must have seen.
const MUST_HAPPEN: [Event; 21] = [
    Event::Flush,
    Event::Compaction,
    Event::Takeover,
    Event::Repeat,
    Event::Refusal,
    Event::MultiPart,
    Event::Snapshot,
    Event::Truncation,
    Event::Kill,
    Event::PowerLoss,
    Event::Pause,
    Event::Partition,
    Event::LeaderTakeover,
    Event::FencedOut,
    Event::VoidRecord,
    Event::MetaOutage,
    Event::WrittenWithoutMeta,
    Event::ReadWithoutMeta,
    Event::Skew,
    Event::FarSkew,
    Event::Stop,
];

/// The shape that a seed simulates; `ELANUS_SIM_SHAPE` asks for one.
fn shape_of(seed: u64) -> Shape {
    match std::env::var("ELANUS_SIM_SHAPE") {
        Ok(name) => Shape::named(&name).unwrap_or_else(|| panic!("ELANUS_SIM_SHAPE={name}: it isn't the name of a shape")),
        Err(_) => Shape::of(seed),
    }
}

/// Runs one seed.
///
/// # Errors
/// What was lost, doubled, resurrected or wrong.
fn run(seed: u64, shape: Shape, bugs: Bugs, coverage: &Arc<Coverage>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime without I/O");
    runtime.block_on(simulate(seed, shape, bugs, coverage.clone()))
}

async fn simulate(seed: u64, shape: Shape, bugs: Bugs, coverage: Arc<Coverage>) -> Result<(), String> {
    let cluster = Cluster::new(seed, shape, bugs, coverage);
    let random = Random::seeded(seed.wrapping_mul(0x2545_F491_4F6C_DD1D));
    cluster.names().into_iter().for_each(|name| cluster.start(name));
    workload::prepare(&cluster).await?;
    let (tasks, verdict) = (&cluster.world().tasks, cluster.verdict());
    let nemesis = || Nemesis { cluster: cluster.clone(), random: random.fork() };
    let nemeses: Vec<_> = (0..shape.misfortunes()).map(|_| tasks.spawn(nemesis().run())).collect();
    let workers: Vec<_> = (0..CLIENTS).map(|id| tasks.spawn(Worker::new(id, &cluster, random.fork()).run())).collect();
    let mut done = Vec::new();
    for worker in workers {
        done.extend(worker.join().await);
    }
    verdict.end();
    for nemesis in nemeses {
        nemesis.join().await;
    }
    nemesis::heal(&cluster).await;
    if verdict.violation().is_none() {
        let verifying: Vec<_> = done.into_iter().map(|worker| tasks.spawn(worker.verify())).collect();
        for task in verifying {
            task.join().await;
        }
    }
    if verdict.violation().is_none()
        && let Err(unsettled) = aftermath::settled(&cluster).await
    {
        verdict.violate(unsettled);
    }
    cluster.end();
    verdict.violation().map_or(Ok(()), Err)
}

/// Runs seeds on as many threads as there are processors, until one fails.
fn run_seeds(seeds: &[u64], bugs: Bugs, shape: impl Fn(u64) -> Shape + Sync, coverage: &Coverage) -> Option<(u64, String)> {
    let next = AtomicU64::new(0);
    let failed = parking_lot::Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while failed.lock().is_none() {
                    let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) else { return };
                    let seen = Arc::new(Coverage::default());
                    let result = run(*seed, shape(*seed), bugs, &seen);
                    coverage.add(&seen);
                    if let Err(violation) = result {
                        failed.lock().get_or_insert((*seed, violation));
                    }
                }
            });
        }
    });
    failed.into_inner()
}

fn from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number is expected")),
        Err(_) => default,
    }
}

/// Shows what the simulated processes log, where it is asked for (`ELANUS_SIM_LOG=info`).
fn show_log() {
    let Ok(level) = std::env::var("ELANUS_SIM_LOG") else { return };
    let level: tracing::Level = level.parse().unwrap_or_else(|_| panic!("ELANUS_SIM_LOG={level}: error, warn, info or debug is expected"));
    tracing_subscriber::fmt().with_max_level(level).with_ansi(false).without_time().init();
}

#[test]
fn seeds() {
    show_log();
    let first = from_environment("ELANUS_SIM_SEED", 0);
    let count = from_environment("ELANUS_SIM_COUNT", SEEDS);
    let seeds: Vec<u64> = (first..first + count).collect();
    let coverage = Coverage::default();
    let failed = run_seeds(&seeds, Bugs::default(), shape_of, &coverage);
    println!("{count} seeds from {first}: {coverage}");
    if let Some((seed, violation)) = failed {
        panic!("seed {seed} ({:?}): {violation}\nagain: ./dev sim --seed {seed} --count 1", shape_of(seed));
    }
    let operations = coverage.of(Event::Operation) / count.max(1);
    assert!(operations >= 2_000, "a seed has {operations} operations only");
    let unanswered = coverage.of(Event::Unanswered);
    assert!(unanswered * 4 < coverage.of(Event::Operation), "{unanswered} operations got no answer: the run proves little");
    if count >= SEEDS {
        let missing = coverage.missing(&MUST_HAPPEN);
        assert!(missing.is_empty(), "never hit: {missing:?}");
    }
}

#[test]
fn a_seed_repeats() {
    for seed in [0, 1, 2, 4] {
        let trace = |_| {
            let coverage = Arc::new(Coverage::default());
            let result = run(seed, shape_of(seed), Bugs::default(), &coverage);
            (result, coverage.traced(), coverage.to_string())
        };
        let [first, second] = [0, 1].map(trace);
        assert_eq!(first, second, "seed {seed} isn't the same twice");
    }
}

/// A bug, and how it is planted.
struct Plant {
    name: &'static str,
    shape: fn(u64) -> Shape,
    plant: fn(&mut Bugs),
}

const fn plant(name: &'static str, shape: fn(u64) -> Shape, plant: fn(&mut Bugs)) -> Plant {
    Plant { name, shape, plant }
}

/// What must be caught, each within the seeds of an ordinary run.
const PLANTS: [Plant; 12] = [
    plant("a skipped fsync", one, |bugs| bugs.flaws = Flaws { skip_sync: true, ..Flaws::default() }),
    plant("an ignored epoch", three, |bugs| bugs.planted.node.log.ignored_epoch = true),
    plant("an early truncation", shape_of, |bugs| bugs.planted.node.early_truncation = true),
    plant("a flush that forgets deletes", shape_of, |bugs| bugs.planted.node.flush_forgets_deletes = true),
    plant("an acknowledgement before durability", shape_of, |bugs| bugs.planted.node.log.answer_before_durable = true),
    plant("a writers' table lost at takeover", three, |bugs| bugs.planted.node.log.writers_lost_at_takeover = true),
    plant("a reused object name", three, |bugs| bugs.planted.node.reused_name = true),
    plant("a snapshot that moves", shape_of, |bugs| bugs.planted.node.moving_snapshot = true),
    plant("a commit that isn't fenced", cluster, |bugs| bugs.planted.coord.unfenced_commit = true),
    plant("a compaction that ignores snapshots", shape_of, |bugs| bugs.planted.coord.compaction_ignores_snapshots = true),
    plant("a delete file dropped early", shape_of, |bugs| bugs.planted.coord.early_delete_file = true),
    plant("a barrier without a lease", cluster, |bugs| bugs.planted.node.barrier_without_lease = true),
];

fn one(_: u64) -> Shape {
    Shape::One
}

fn personality(seed: u64) -> Personality {
    if seed.is_multiple_of(2) { Personality::Kafka } else { Personality::Pulsar }
}

fn three(seed: u64) -> Shape {
    Shape::Three(personality(seed))
}

fn cluster(seed: u64) -> Shape {
    Shape::Cluster(personality(seed))
}

#[test]
fn planted_bugs_are_caught() {
    let seeds: Vec<u64> = (0..SEEDS).collect();
    show_log();
    let only = std::env::var("ELANUS_SIM_BUG").unwrap_or_default();
    for Plant { name, shape, plant } in PLANTS.iter().filter(|plant| plant.name.contains(&only)) {
        let mut bugs = Bugs::default();
        plant(&mut bugs);
        let caught = run_seeds(&seeds, bugs, shape, &Coverage::default());
        let (seed, violation) = caught.unwrap_or_else(|| panic!("{name} isn't caught by {SEEDS} seeds"));
        println!("{name}: caught by seed {seed}: {violation}");
    }
}
