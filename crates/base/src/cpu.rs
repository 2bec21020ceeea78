//! Threads for work that computes: bounded, named, and inline in simulations.
//!
//! Not for I/O. Work is never nested: a job doesn't wait for another job of its pool except through [`CpuPool::for_each`],
//! which lets the caller's thread take part.

use std::sync::Arc;

use tokio::sync::oneshot;

/// A pool of threads, or none.
#[derive(Clone)]
pub struct CpuPool {
    pool: Option<Arc<rayon::ThreadPool>>,
}

impl CpuPool {
    /// A pool of `threads` named threads.
    ///
    /// # Panics
    /// If the operating system gives no threads.
    pub fn with_threads(name: &'static str, threads: usize) -> Self {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .thread_name(move |i| format!("{name}-{i}"))
            .build()
            .expect("the operating system gives a few threads at start");
        Self { pool: Some(Arc::new(pool)) }
    }

    /// No threads: work runs where it is asked for.
    pub fn inline() -> Self {
        Self { pool: None }
    }

    /// Another pool with as many threads, for work that must not wait behind this one's; inline where this one is.
    pub fn beside(&self, name: &'static str) -> Self {
        self.pool.as_ref().map_or_else(Self::inline, |pool| Self::with_threads(name, pool.current_num_threads()))
    }

    /// How many jobs can run at once.
    pub fn threads(&self) -> usize {
        self.pool.as_ref().map_or(1, |pool| pool.current_num_threads())
    }

    /// Runs `work` on the pool; dropping the future before it began cancels it.
    ///
    /// # Panics
    /// Passes on the work's panic.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let Some(pool) = &self.pool else {
            // As on threads: other things happen between asking and work.
            tokio::task::yield_now().await;
            return work();
        };
        let (sender, receiver) = oneshot::channel();
        pool.spawn(move || {
            if sender.is_closed() {
                return;
            }
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            // A receiver that left doesn't want the result.
            drop(sender.send(result));
        });
        match receiver.await {
            Ok(Ok(value)) => value,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(_) => unreachable!("a job of the pool always answers while its receiver waits"),
        }
    }

    /// `work(i)` for each `i` of `0..count`, in parallel where there are threads, values in order.
    pub fn for_each<T: Send>(&self, count: usize, work: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
        use rayon::prelude::*;
        match &self.pool {
            Some(pool) if count > 1 => pool.install(|| (0..count).into_par_iter().map(work).collect()),
            _ => (0..count).map(work).collect(),
        }
    }
}
