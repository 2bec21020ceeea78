//! What runs beside the caller: every task has an owner, and a process's tasks can end at one instant.
//!
//! A [`Tasks`] is a process (or a part of one). [`Tasks::kill`] drops every task where it stands, as SIGKILL would; simulations use it,
//! tests too. A graceful stop is the components' own business: they watch [`Tasks::stopping`].

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;

/// The tasks of one process.
#[derive(Clone)]
pub struct Tasks {
    inner: Arc<Inner>,
}

struct Inner {
    simulated: bool,
    stopping: CancellationToken,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    killed: bool,
    tasks: Vec<AbortHandle>,
    /// Finished handles are swept when the list has doubled since the last sweep.
    sweep_at: usize,
    paused: bool,
    /// Tasks that were to run during a pause.
    held: Vec<Waker>,
}

/// A running task. Dropping the handle ends the task unless it was [detached](Task::detach).
#[must_use = "dropping a task ends it: keep it, await it or detach it"]
pub struct Task<T> {
    handle: Option<JoinHandle<T>>,
}

impl Tasks {
    /// Tasks on the current runtime.
    pub fn real() -> Self {
        Self::new(false)
    }

    /// Tasks of a simulated process: blocking work runs inline.
    pub fn simulated() -> Self {
        Self::new(true)
    }

    fn new(simulated: bool) -> Self {
        Self { inner: Arc::new(Inner { simulated, stopping: CancellationToken::new(), running: Mutex::default() }) }
    }

    /// Starts a task.
    pub fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let handle = if self.inner.running.lock().killed {
            // Nothing of a task may run that is started after the kill; its handle ends as a killed one's does.
            drop(future);
            tokio::spawn(std::future::pending())
        } else if self.inner.simulated {
            tokio::spawn(pausable(self.inner.clone(), future))
        } else {
            tokio::spawn(future)
        };
        let mut running = self.inner.running.lock();
        if running.killed {
            drop(running);
            handle.abort();
        } else {
            if running.tasks.len() >= running.sweep_at.max(64) {
                running.tasks.retain(|task| !task.is_finished());
                running.sweep_at = running.tasks.len() * 2;
            }
            running.tasks.push(handle.abort_handle());
        }
        Task { handle: Some(handle) }
    }

    /// Runs work that blocks on the operating system (files, a library's own I/O) off the runtime's threads; inline in simulations.
    ///
    /// # Panics
    /// Passes on the work's panic.
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        if self.inner.simulated {
            return work();
        }
        match tokio::task::spawn_blocking(work).await {
            Ok(value) => value,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going down: nobody is left to see a value.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Asks every component for a graceful stop.
    pub fn stop(&self) {
        self.inner.stopping.cancel();
    }

    /// Resolves when a stop was asked for.
    pub async fn stopping(&self) {
        self.inner.stopping.cancelled().await;
    }

    /// Whether a stop was asked for.
    pub fn is_stopping(&self) -> bool {
        self.inner.stopping.is_cancelled()
    }

    /// Ends every task where it stands, and every one that is started later. None of them runs again: the runtime drops each before it
    /// takes up other work that becomes ready later (on a runtime of several threads, one that is running goes on to its next `.await`).
    pub fn kill(&self) {
        self.inner.stopping.cancel();
        let tasks = {
            let mut running = self.inner.running.lock();
            running.killed = true;
            std::mem::take(&mut running.tasks)
        };
        // Outside the lock: what a task owns may spawn or kill when it is dropped.
        for task in tasks {
            task.abort();
        }
    }

    /// Stops a simulated process where it stands, as SIGSTOP does: none of its tasks runs until [`Tasks::resume`], while time goes on.
    ///
    /// # Panics
    /// Where tasks are real: the operating system does this.
    pub fn pause(&self) {
        assert!(self.inner.simulated, "a real process is paused by its operating system");
        self.inner.running.lock().paused = true;
    }

    /// Ends a pause, as SIGCONT does.
    pub fn resume(&self) {
        let held = {
            let mut running = self.inner.running.lock();
            running.paused = false;
            std::mem::take(&mut running.held)
        };
        held.into_iter().for_each(Waker::wake);
    }
}

impl Inner {
    /// Whether the task that is polled has to wait for the end of a pause.
    fn holds(&self, context: &Context<'_>) -> bool {
        let mut running = self.running.lock();
        if running.paused {
            running.held.push(context.waker().clone());
        }
        running.paused
    }
}

/// `future`, which isn't polled while its process is paused.
async fn pausable<F: Future>(process: Arc<Inner>, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| if process.holds(context) { Poll::Pending } else { future.as_mut().poll(context) }).await
}

impl<T> Task<T> {
    /// Lets the task run to its end without its handle.
    pub fn detach(mut self) {
        self.handle = None;
    }

    /// Waits for the task's value; `None` if it was killed.
    ///
    /// # Panics
    /// Passes on the task's panic.
    pub async fn join(mut self) -> Option<T> {
        let handle = self.handle.as_mut()?;
        let result = handle.await;
        self.handle = None;
        match result {
            Ok(value) => Some(value),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => None,
            },
        }
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.handle.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            handle.abort();
        }
    }
}
