//! Wall clock and timers. Simulated time is tokio's paused time plus a start, so that timers and wall clock move together.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// What a simulation's wall clock shows at its start: a fixed day, so that a seed gives the same timestamps.
const SIMULATED_START_MS: u64 = 1_767_225_600_000;

/// A moment of UTC as people read it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Civil {
    /// Such as 2026.
    pub year: u64,
    /// 1 … 12.
    pub month: u64,
    /// 1 … 31.
    pub day: u64,
    /// 0 … 23.
    pub hour: u64,
    /// 0 … 59.
    pub minute: u64,
    /// 0 … 59.
    pub second: u64,
    /// 0 … 999.
    pub millisecond: u64,
}

impl Civil {
    /// The moment `ms` milliseconds after the Unix epoch.
    pub fn from_ms(ms: u64) -> Self {
        let (days, of_day) = (ms / 86_400_000, ms % 86_400_000);
        // Years that begin on 1 March put the leap day last; 400 of them have 146,097 days, and day 719,468 of that count is the epoch.
        let shifted = days + 719_468;
        let (era, of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Self {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month,
            day: of_year - (153 * month_from_march + 2) / 5 + 1,
            hour: of_day / 3_600_000,
            minute: of_day / 60_000 % 60,
            second: of_day / 1_000 % 60,
            millisecond: of_day % 1_000,
        }
    }
}

/// RFC 3339: `2026-01-01T00:00:00.000Z`.
impl fmt::Display for Civil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second, millisecond } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
    }
}

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
