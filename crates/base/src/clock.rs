//! Wall clock and timers. Simulated time is tokio's paused time plus a start, so that timers and wall clock move together.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// What a simulation's wall clock shows at its start: a fixed day, so that a seed gives the same timestamps.
const SIMULATED_START_MS: u64 = 1_767_225_600_000;

/// Time for one process. Clones share the skew.
#[derive(Clone)]
pub struct Clock {
    source: Source,
    /// Milliseconds that this process's wall clock is ahead: only simulations set it.
    skew_ms: Arc<AtomicI64>,
}

#[derive(Clone, Copy)]
enum Source {
    System,
    Simulated { origin: Instant },
}

impl Clock {
    /// The system's clock.
    pub fn real() -> Self {
        Self { source: Source::System, skew_ms: Arc::default() }
    }

    /// A clock that starts at a fixed date and follows the paused runtime.
    pub fn simulated() -> Self {
        Self { source: Source::Simulated { origin: Instant::now() }, skew_ms: Arc::default() }
    }

    /// The same time with a skew of its own: another machine of one simulation.
    pub fn with_skew_ms(&self, skew_ms: i64) -> Self {
        Self { source: self.source, skew_ms: Arc::new(AtomicI64::new(skew_ms)) }
    }

    /// Moves this process's wall clock.
    pub fn set_skew_ms(&self, skew_ms: i64) {
        self.skew_ms.store(skew_ms, Ordering::Relaxed);
    }

    /// Milliseconds since the Unix epoch. May jump: durations are measured with [`Self::now`].
    pub fn wall_ms(&self) -> u64 {
        let millis = match self.source {
            Source::System => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64),
            Source::Simulated { origin } => SIMULATED_START_MS + origin.elapsed().as_millis() as u64,
        };
        millis.saturating_add_signed(self.skew_ms.load(Ordering::Relaxed))
    }

    /// Monotonic time: leases and durations.
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// Waits.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Waits until `deadline`.
    pub async fn sleep_until(&self, deadline: Instant) {
        tokio::time::sleep_until(deadline).await;
    }
}
