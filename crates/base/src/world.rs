//! One handle on everything outside: cloned into each component when it is made.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::cpu::CpuPool;
use crate::disk::{Disk, RealDisk};
use crate::metrics::Metrics;
use crate::random::Random;
use crate::task::Tasks;

/// Clock, chance, tasks, disk, processors and metrics of one process, real or simulated.
#[derive(Clone)]
pub struct World {
    /// Wall clock and timers.
    pub clock: Clock,
    /// Where every random number comes from.
    pub random: Random,
    /// What runs beside the caller. A process's tasks end together.
    pub tasks: Tasks,
    /// Files that the process owns.
    pub disk: Arc<dyn Disk>,
    /// Threads for work that computes.
    pub cpu: CpuPool,
    /// What the process counts.
    pub metrics: Metrics,
}

impl World {
    /// The real one, with a thread a core. Call inside of a tokio runtime.
    pub fn real() -> Self {
        Self::with_threads(std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// The real one with this many threads for work that computes. Call inside of a tokio runtime.
    pub fn with_threads(threads: usize) -> Self {
        Self {
            clock: Clock::real(),
            random: Random::from_system(),
            tasks: Tasks::real(),
            disk: Arc::new(RealDisk),
            cpu: CpuPool::with_threads("search", threads),
            metrics: Metrics::new(),
        }
    }

    /// A simulated one: time moves when every task waits (the runtime is paused), chance comes from `seed`, work is done inline.
    pub fn simulated(seed: u64, disk: Arc<dyn Disk>) -> Self {
        Self {
            clock: Clock::simulated(),
            random: Random::seeded(seed),
            tasks: Tasks::simulated(),
            disk,
            cpu: CpuPool::inline(),
            metrics: Metrics::new(),
        }
    }

    /// `future`'s value, or `None` when `limit` passes first.
    pub async fn within<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        tokio::time::timeout(limit, future).await.ok()
    }
}
