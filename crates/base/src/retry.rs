//! Trying again: pauses that double up to a bound, with jitter, never past the caller's deadline.
//!
//! Which errors are worth another attempt is the caller's to say. Not here: repeating a request that must not be done twice; who calls
//! must know that a repeat is harmless.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::random::Random;
use crate::world::World;

/// How long to pause, and how often to try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backoff {
    /// The pause after the first failure (before jitter).
    pub first: Duration,
    /// The longest pause.
    pub most: Duration,
    /// The most attempts, the first included; at least 1.
    pub attempts: u32,
}

impl Backoff {
    /// For a service nearby that is restarting or overloaded: 10 ms, doubling to 1 s, until the deadline.
    pub const NEARBY: Self = Self { first: Duration::from_millis(10), most: Duration::from_secs(1), attempts: u32::MAX };

    /// The pause after the `failures`-th failure (1 is the first): between half and all of the doubled time.
    pub fn pause(&self, failures: u32, random: &Random) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let whole = self.first.saturating_mul(1 << doublings).min(self.most);
        let half = u64::try_from(whole.as_nanos() / 2).unwrap_or(u64::MAX - 1);
        whole.saturating_sub(Duration::from_nanos(random.below(half + 1)))
    }
}

/// Attempts under one deadline.
pub struct Retry {
    random: Random,
    backoff: Backoff,
    deadline: Instant,
}

/// Why no further attempt was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The error isn't one that another attempt cures.
    Permanent,
    /// The deadline has passed, or would during the pause.
    Deadline,
    /// All attempts were used.
    Attempts,
}

/// The end of all attempts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GaveUp<E> {
    /// The last error; `None` if not even the first attempt came to an end before the deadline.
    pub last: Option<E>,
    /// Attempts that were begun.
    pub attempts: u32,
    /// Why there was no further one.
    pub cause: Cause,
}

impl<E: fmt::Display> fmt::Display for GaveUp<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = match self.cause {
            Cause::Permanent => "permanent",
            Cause::Deadline => "deadline reached",
            Cause::Attempts => "no attempts left",
        };
        match &self.last {
            Some(last) => write!(f, "{last} ({cause}, attempts: {})", self.attempts),
            None => write!(f, "no answer ({cause}, attempts: {})", self.attempts),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for GaveUp<E> {}

impl Retry {
    /// Attempts until `deadline`.
    pub fn until(world: &World, backoff: Backoff, deadline: Instant) -> Self {
        Self { random: world.random.clone(), backoff, deadline }
    }

    /// The first good answer of `attempt`, which is told how many attempts failed before it. An attempt that is under way when the deadline
    /// comes is dropped.
    ///
    /// # Errors
    /// The last error and why it was the last.
    pub async fn run<T, E, F>(&self, retriable: impl Fn(&E) -> bool, mut attempt: impl FnMut(u32) -> F) -> Result<T, GaveUp<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut last = None;
        let mut failures = 0;
        loop {
            let Ok(result) = tokio::time::timeout_at(self.deadline, attempt(failures)).await else {
                return Err(GaveUp { last, attempts: failures + 1, cause: Cause::Deadline });
            };
            let error = match result {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            failures += 1;
            let pause = self.backoff.pause(failures, &self.random);
            let cause = if !retriable(&error) {
                Some(Cause::Permanent)
            } else if failures >= self.backoff.attempts {
                Some(Cause::Attempts)
            } else if Instant::now() + pause >= self.deadline {
                Some(Cause::Deadline)
            } else {
                None
            };
            if let Some(cause) = cause {
                return Err(GaveUp { last: Some(error), attempts: failures, cause });
            }
            last = Some(error);
            tokio::time::sleep(pause).await;
        }
    }
}
