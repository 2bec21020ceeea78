//! Trying again: pauses that double up to a bound, with jitter.
//!
//! Not here: which errors are worth another attempt, when to give up, and that a repeat is harmless: the caller's to say.

use std::time::Duration;

use crate::random::Random;

/// How long to pause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backoff {
    /// The pause after the first failure (before jitter).
    pub first: Duration,
    /// The longest pause.
    pub most: Duration,
}

impl Backoff {
    /// The pause after the `failures`-th failure (1 is the first): between half and all of the doubled time.
    pub fn pause(&self, failures: u32, random: &Random) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let whole = self.first.saturating_mul(1 << doublings).min(self.most);
        let half = u64::try_from(whole.as_nanos() / 2).unwrap_or(u64::MAX - 1);
        whole.saturating_sub(Duration::from_nanos(random.below(half + 1)))
    }
}
