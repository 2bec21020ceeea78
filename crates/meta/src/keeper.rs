//! Keeps a lease alive beside its holder, and says when the holder must take it for lost.
//!
//! Lost is what the store says is lost, and what couldn't be extended for the lease's time as the holder's own clock measures it from
//! before the last request that succeeded was sent: never later than the store ends it.

use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::clock::Clock;
use base::task::Task;
use base::watch;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::store::{LeaseId, Meta, MetaError};

/// A lease is extended this many times in its time.
const EXTENSIONS: u32 = 3;
/// Between two tries after a failure, as a part of the lease's time.
const RETRIES: u32 = 12;

/// A lease that is kept alive until it is dropped, released or lost.
pub(crate) struct KeptLease {
    pub(crate) id: LeaseId,
    meta: Arc<dyn Meta>,
    lost: watch::Sender<bool>,
    tenure: Tenure,
    _task: Task<()>,
}

/// Until when a lease lasts for certain, by its holder's clock: for holders that promise something to others, who may themselves be late to hear
/// that it was lost.
#[derive(Clone)]
pub struct Tenure {
    clock: Clock,
    until: Arc<Mutex<Instant>>,
    lost: watch::Receiver<bool>,
}

impl Tenure {
    /// Whether it lasts now: also right in a process that stood still and hasn't looked at anything since.
    pub fn lasts(&self) -> bool {
        !*self.lost.borrow() && self.clock.now() < *self.until.lock()
    }
}

impl KeptLease {
    /// Takes a lease of `ttl`.
    pub(crate) async fn grant(world: &World, meta: &Arc<dyn Meta>, ttl: Duration) -> Result<Self, MetaError> {
        let until = Arc::new(Mutex::new(world.clock.now() + ttl));
        let id = meta.grant(ttl).await?;
        let lost = watch::Sender::new(false);
        let task = world.tasks.spawn(keep(world.clone(), meta.clone(), id, Times { ttl, until: until.clone() }, lost.clone()));
        let tenure = Tenure { clock: world.clock.clone(), until, lost: lost.subscribe() };
        Ok(Self { id, meta: meta.clone(), lost, tenure, _task: task })
    }

    /// Resolves when the lease is lost.
    pub(crate) fn lost(&self) -> watch::Receiver<bool> {
        self.lost.subscribe()
    }

    pub(crate) fn tenure(&self) -> Tenure {
        self.tenure.clone()
    }

    pub(crate) fn is_lost(&self) -> bool {
        *self.lost.borrow()
    }

    /// The holder found out by other means.
    pub(crate) fn mark_lost(&self) {
        self.lost.send_replace(true);
    }

    /// Ends the lease and its keys now. A store that can't be reached ends it later by itself.
    pub(crate) async fn release(self) {
        self.mark_lost();
        if let Err(error) = self.meta.revoke(self.id).await {
            tracing::debug!(%error, "a lease is left to run out");
        }
    }
}

struct Times {
    ttl: Duration,
    until: Arc<Mutex<Instant>>,
}

async fn keep(world: World, meta: Arc<dyn Meta>, lease: LeaseId, times: Times, lost: watch::Sender<bool>) {
    let Times { ttl, until } = times;
    let mut next = world.clock.now() + ttl / EXTENSIONS;
    loop {
        let valid_until = *until.lock();
        world.clock.sleep_until(next.min(valid_until)).await;
        let sent = world.clock.now();
        if sent >= valid_until || *lost.borrow() {
            break;
        }
        match world.within(valid_until - sent, meta.keep_alive(lease)).await {
            Some(Ok(())) => {
                *until.lock() = sent + ttl;
                next = sent + ttl / EXTENSIONS;
            }
            Some(Err(MetaError::LeaseLost)) => break,
            Some(Err(error)) => {
                tracing::debug!(%error, "a lease couldn't be extended yet");
                next = world.clock.now() + ttl / RETRIES;
            }
            None => {}
        }
    }
    lost.send_replace(true);
}

/// Waits until a flag is set.
pub(crate) async fn until_set(mut flag: watch::Receiver<bool>) {
    // The sender is gone only when the holder is: then nobody waits, or the lease isn't kept any more.
    drop(flag.wait_for(|set| *set).await);
}
