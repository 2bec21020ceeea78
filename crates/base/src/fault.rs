//! What can go wrong with a call to something outside, drawn from a seed: one vocabulary for the fault decorators of every trait.
//!
//! A decorator (of a log, a metadata store, an object store, a role) asks its [`FaultPlan`] before each call, or lets
//! [`FaultPlan::run`] do all of it. The plan knows operations by name only; what an injected error looks like is the decorator's
//! business. Time passes on tokio's clock, so a simulation's delays cost nothing.
//!
//! Not here: what a disk forgets at a crash (see [`crate::disk::simulated`]) and the killing of whole processes ([`crate::task`]).

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::random::Random;

/// What happens to one call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fault {
    /// Nothing.
    None,
    /// It fails and has no effect.
    FailBefore,
    /// It takes effect, and the caller is told that it failed.
    FailAfter,
    /// It takes effect twice, and the caller sees the first answer.
    Duplicate,
}

/// How often each fault befalls a call. Probabilities are 0 … 1; the three faults exclude each other, a delay goes with any.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rates {
    /// Probability of [`Fault::FailBefore`].
    pub fail_before: f64,
    /// Probability of [`Fault::FailAfter`].
    pub fail_after: f64,
    /// Probability of [`Fault::Duplicate`].
    pub duplicate: f64,
    /// Probability that the call is held up.
    pub delay: f64,
    /// The shortest delay.
    pub delay_least: Duration,
    /// The longest delay.
    pub delay_most: Duration,
}

impl Rates {
    /// Nothing ever goes wrong.
    pub const NONE: Self =
        Self { fail_before: 0.0, fail_after: 0.0, duplicate: 0.0, delay: 0.0, delay_least: Duration::ZERO, delay_most: Duration::ZERO };
}

/// The faults of one component. Clones share the plan; the stream of draws is the plan's own.
#[derive(Clone)]
pub struct FaultPlan {
    random: Random,
    state: Arc<Mutex<State>>,
}

struct State {
    paused: bool,
    rates: Rates,
    by_operation: BTreeMap<&'static str, Rates>,
    /// (operation, its how-manieth call): decided in advance.
    scheduled: BTreeMap<(&'static str, u64), Fault>,
    calls: BTreeMap<&'static str, u64>,
    injected: BTreeMap<(&'static str, Fault), u64>,
}

impl FaultPlan {
    /// A plan with these rates for every operation. Takes one number from `random`.
    pub fn new(random: &Random, rates: Rates) -> Self {
        let state = State {
            paused: false,
            rates,
            by_operation: BTreeMap::new(),
            scheduled: BTreeMap::new(),
            calls: BTreeMap::new(),
            injected: BTreeMap::new(),
        };
        Self { random: random.fork(), state: Arc::new(Mutex::new(state)) }
    }

    /// Changes the rates of every operation that has none of its own.
    pub fn set_rates(&self, rates: Rates) {
        self.state.lock().rates = rates;
    }

    /// Gives one operation rates of its own.
    pub fn set_operation_rates(&self, operation: &'static str, rates: Rates) {
        self.state.lock().by_operation.insert(operation, rates);
    }

    /// Lets the `nth` call of `operation` from now on (1 is the next) meet this fault, whatever the rates say.
    pub fn schedule(&self, operation: &'static str, nth: u64, fault: Fault) {
        let mut state = self.state.lock();
        let call = state.calls.get(operation).copied().unwrap_or(0) + nth;
        state.scheduled.insert((operation, call), fault);
    }

    /// Stops all faults and delays, scheduled ones too, until [`Self::resume`]: the quiet in which a simulation checks its state.
    pub fn pause(&self) {
        self.state.lock().paused = true;
    }

    /// Ends a [`Self::pause`].
    pub fn resume(&self) {
        self.state.lock().paused = false;
    }

    /// How often `operation` was called.
    pub fn calls(&self, operation: &str) -> u64 {
        self.state.lock().calls.get(operation).copied().unwrap_or(0)
    }

    /// How often `operation` met `fault`.
    pub fn injected(&self, operation: &'static str, fault: Fault) -> u64 {
        self.state.lock().injected.get(&(operation, fault)).copied().unwrap_or(0)
    }

    /// Decides about one call: what happens to it, and how long it is held up first.
    pub fn draw(&self, operation: &'static str) -> (Fault, Duration) {
        let mut state = self.state.lock();
        let calls = state.calls.entry(operation).or_default();
        *calls += 1;
        let call = *calls;
        if state.paused {
            return (Fault::None, Duration::ZERO);
        }
        let rates = state.by_operation.get(operation).copied().unwrap_or(state.rates);
        let fault = match state.scheduled.remove(&(operation, call)) {
            Some(fault) => fault,
            None => self.draw_fault(&rates),
        };
        *state.injected.entry((operation, fault)).or_default() += 1;
        (fault, self.draw_delay(&rates))
    }

    fn draw_fault(&self, rates: &Rates) -> Fault {
        // 53 bits: as fine as an f64 of 0 … 1 can be.
        let point = (self.random.u64() >> 11) as f64 / (1_u64 << 53) as f64;
        if point < rates.fail_before {
            return Fault::FailBefore;
        }
        if point < rates.fail_before + rates.fail_after {
            return Fault::FailAfter;
        }
        if point < rates.fail_before + rates.fail_after + rates.duplicate {
            return Fault::Duplicate;
        }
        Fault::None
    }

    fn draw_delay(&self, rates: &Rates) -> Duration {
        if !self.random.chance(rates.delay) {
            return Duration::ZERO;
        }
        let width = rates.delay_most.saturating_sub(rates.delay_least);
        let nanos = u64::try_from(width.as_nanos()).unwrap_or(u64::MAX - 1);
        rates.delay_least + Duration::from_nanos(self.random.below(nanos + 1))
    }

    /// Decides about one call and holds it up; the caller then acts on the fault.
    pub async fn begin(&self, operation: &'static str) -> Fault {
        let (fault, delay) = self.draw(operation);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        fault
    }

    /// Makes one call under the plan. `error` is what the caller is told where the plan says so.
    ///
    /// # Errors
    /// Those of `call`, and `error`'s.
    pub async fn run<T, E, F>(&self, operation: &'static str, error: impl FnOnce() -> E, mut call: impl FnMut() -> F) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        match self.begin(operation).await {
            Fault::None => call().await,
            Fault::FailBefore => Err(error()),
            Fault::FailAfter => {
                call().await?;
                Err(error())
            }
            Fault::Duplicate => {
                let first = call().await?;
                // The second answer goes to nobody, as that of a request which the network delivered twice.
                drop(call().await);
                Ok(first)
            }
        }
    }
}
