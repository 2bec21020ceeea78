//! What goes along with every call.

use std::future::Future;
use std::time::Duration;

use base::World;
use tokio::time::Instant;
use types::{Error, Result};

/// The circumstances of one request, from the client's call down to the last shard.
#[derive(Clone, Debug)]
pub struct Call {
    /// When the caller stops waiting: work that isn't done by then is dropped.
    pub deadline: Instant,
    /// Names the client's request in every log line about it.
    pub request: std::sync::Arc<str>,
}

impl Call {
    /// A call that may take `limit` from now on.
    pub fn within(world: &World, limit: Duration, request: &str) -> Self {
        Self { deadline: world.clock.now() + limit, request: request.into() }
    }

    /// Time that is left; zero when the deadline has passed.
    pub fn left(&self, world: &World) -> Duration {
        self.deadline.saturating_duration_since(world.clock.now())
    }

    /// `future`'s result if it comes before the deadline.
    ///
    /// # Errors
    /// `TIMEOUT`, naming what was waited for.
    pub async fn bound<T>(&self, what: &str, future: impl Future<Output = Result<T>>) -> Result<T> {
        match tokio::time::timeout_at(self.deadline, future).await {
            Ok(result) => result,
            Err(_) => Err(Error::timeout(what)),
        }
    }
}
