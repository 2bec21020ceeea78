//! Waiting for what others run: etcd, brokers, object stores. Not here: how each is opened ([`super`]).
//!
//! Invariant: as long as something is waited for, `/healthz` names it, and the log has a line about it at least once a minute.

use std::time::Duration;

use base::World;
use base::retry::Backoff;
use tokio::time::Instant;
use types::{Error, Result};

use crate::admin::Health;

/// Pauses between two tries. There is no last one: who starts before what it needs begins when that is there.
const PAUSES: Backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(5) };
/// Between two lines of the log about one and the same.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// Why something couldn't be opened.
pub(super) enum Unreached {
    /// It can't be reached, or isn't ready: wait.
    Away(Error),
    /// It was reached and can't be used as it is: an operator must change something.
    Unusable(Error),
}

/// Who waits.
pub(super) struct Reach<'a> {
    pub(super) world: &'a World,
    pub(super) health: &'a Health,
}

impl Reach<'_> {
    /// Tries until `open` succeeds.
    ///
    /// # Errors
    /// The first [`Unreached::Unusable`].
    pub(super) async fn wait<T>(&self, name: &str, open: impl AsyncFn() -> Result<T, Unreached>) -> Result<T> {
        self.health.wait_for(name);
        let mut failures = 0;
        let mut said: Option<Instant> = None;
        loop {
            let error = match open().await {
                Ok(value) => break Ok(value),
                Err(Unreached::Unusable(error)) => break Err(error),
                Err(Unreached::Away(error)) => error,
            };
            self.health.explain(name, error.reason());
            let now = self.world.clock.now();
            if said.is_none_or(|said| now - said >= SAID_EVERY) {
                tracing::warn!(%error, "waiting for {name}");
                said = Some(now);
            }
            failures += 1;
            self.world.clock.sleep(PAUSES.pause(failures, &self.world.random)).await;
        }
        .inspect(|_| {
            if said.is_some() {
                tracing::info!("reached {name}");
            }
            self.health.reached(name);
        })
    }
}
