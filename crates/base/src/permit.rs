//! Admission by bytes: memory (or room on disk) is asked for before it is taken, and a refusal says how much was needed and was there.
//!
//! A [`Budget`] is a bound shared by all who draw from it. Who waits is served in the order of arrival, so that a large request isn't
//! starved by small ones. Invariant: the permits that are out add up to what is used, and that exceeds the bound only after
//! [`Budget::set_limit`] lowered it.
//!
//! Not here: measuring what is really in use (see [`crate::metrics::process`]).

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The most requests that wait on one budget; a further one is refused at once.
const WAITING_MOST: usize = 4096;

/// A bound in bytes. Clones share it.
#[derive(Clone)]
pub struct Budget {
    inner: Arc<Inner>,
}

struct Inner {
    name: &'static str,
    state: Mutex<State>,
}

struct State {
    limit: u64,
    used: u64,
    waiting: VecDeque<Waiter>,
    last_waiter: u64,
}

struct Waiter {
    id: u64,
    bytes: u64,
    answer: oneshot::Sender<Permit>,
}

/// Bytes that the holder may use; they go back when it is dropped.
#[must_use = "a dropped permit gives its bytes back at once"]
pub struct Permit {
    inner: Arc<Inner>,
    bytes: u64,
}

/// A request that was not admitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused {
    /// The budget's name.
    pub budget: &'static str,
    /// Bytes asked for.
    pub needed: u64,
    /// Bytes that were free.
    pub there: u64,
    /// The budget's bound.
    pub limit: u64,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} bytes needed, {} of {} bytes there", self.budget, self.needed, self.there, self.limit)
    }
}

impl std::error::Error for Refused {}

impl Budget {
    /// A budget of `limit` bytes. `name` begins every refusal: "memory for loading".
    pub fn new(name: &'static str, limit: u64) -> Self {
        let state = State { limit, used: 0, waiting: VecDeque::new(), last_waiter: 0 };
        Self { inner: Arc::new(Inner { name, state: Mutex::new(state) }) }
    }

    /// Takes `bytes` if they are free now and nobody waits for them.
    ///
    /// # Errors
    /// What was needed and what was there.
    pub fn try_acquire(&self, bytes: u64) -> Result<Permit, Refused> {
        let mut state = self.inner.state.lock();
        if !state.waiting.is_empty() || bytes > state.free() {
            return Err(self.inner.refused(&state, bytes));
        }
        state.used += bytes;
        Ok(Permit { inner: self.inner.clone(), bytes })
    }

    /// Takes `bytes`, waiting for them up to `patience`.
    ///
    /// # Errors
    /// What was needed and what was there when patience ended; at once if the budget is smaller than the request.
    pub async fn acquire(&self, bytes: u64, patience: Duration) -> Result<Permit, Refused> {
        let (mut turn, answer) = {
            let mut state = self.inner.state.lock();
            if state.waiting.is_empty() && bytes <= state.free() {
                state.used += bytes;
                return Ok(Permit { inner: self.inner.clone(), bytes });
            }
            if bytes > state.limit || state.waiting.len() >= WAITING_MOST {
                return Err(self.inner.refused(&state, bytes));
            }
            let (sender, answer) = oneshot::channel();
            state.last_waiter += 1;
            let id = state.last_waiter;
            state.waiting.push_back(Waiter { id, bytes, answer: sender });
            (Turn { inner: &self.inner, id, open: true }, answer)
        };
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(permit)) => {
                turn.open = false;
                Ok(permit)
            }
            // A waiter without an answer was too large for a limit that was lowered meanwhile.
            Ok(Err(_)) | Err(_) => Err(self.inner.refused(&self.inner.state.lock(), bytes)),
        }
    }

    /// Changes the bound. Permits that are out stay; who waits for more than the new bound is refused.
    pub fn set_limit(&self, limit: u64) {
        let mut state = self.inner.state.lock();
        state.limit = limit;
        state.waiting.retain(|waiter| waiter.bytes <= limit);
        self.inner.serve(state);
    }

    /// Bytes that are taken.
    pub fn used(&self) -> u64 {
        self.inner.state.lock().used
    }

    /// The bound in bytes.
    pub fn limit(&self) -> u64 {
        self.inner.state.lock().limit
    }
}

impl State {
    fn free(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

impl Inner {
    fn refused(&self, state: &State, needed: u64) -> Refused {
        Refused { budget: self.name, needed, there: state.free(), limit: state.limit }
    }

    fn release(self: &Arc<Self>, bytes: u64) {
        let mut state = self.state.lock();
        state.used -= bytes;
        self.serve(state);
    }

    /// Hands out what is free, in order of arrival.
    fn serve(self: &Arc<Self>, mut state: parking_lot::MutexGuard<'_, State>) {
        let mut served = Vec::new();
        while let Some(next) = state.waiting.front()
            && next.bytes <= state.free()
            && let Some(waiter) = state.waiting.pop_front()
        {
            state.used += waiter.bytes;
            let permit = Permit { inner: self.clone(), bytes: waiter.bytes };
            served.push((waiter.answer, permit));
        }
        // A permit that nobody takes goes back through its drop, which takes the lock.
        drop(state);
        for (answer, permit) in served {
            drop(answer.send(permit));
        }
    }
}

/// A place in the queue, given up when its future is dropped.
struct Turn<'a> {
    inner: &'a Arc<Inner>,
    id: u64,
    open: bool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        let mut state = self.inner.state.lock();
        state.waiting.retain(|waiter| waiter.id != self.id);
        // Those behind it may fit now.
        self.inner.serve(state);
    }
}

impl Permit {
    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives back all but `bytes`, once an estimate has turned into a fact. Never takes more.
    pub fn shrink_to(&mut self, bytes: u64) {
        let surplus = self.bytes.saturating_sub(bytes);
        if surplus > 0 {
            self.bytes -= surplus;
            self.inner.release(surplus);
        }
    }

    /// Takes `more` bytes if they are free now.
    ///
    /// # Errors
    /// What was needed and what was there; the permit keeps what it has.
    pub fn grow(&mut self, more: u64) -> Result<(), Refused> {
        let mut state = self.inner.state.lock();
        if more > state.free() {
            return Err(self.inner.refused(&state, more));
        }
        state.used += more;
        drop(state);
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.inner.release(self.bytes);
        }
    }
}
