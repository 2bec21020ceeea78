//! One value that many wait on, and wake in the order in which they began to wait.
//!
//! Tokio's channel of this name draws that order from the operating system, and then a simulation doesn't repeat. The surface is the same, as
//! far as it is used here: a value, its version, and receivers that remember which version they saw.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};
use tokio::sync::Notify;

/// The sending half; the channel closes when the last clone is dropped.
pub struct Sender<T>(Arc<Shared<T>>);

/// A receiver, with the version that it saw last.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

struct Shared<T> {
    state: RwLock<State<T>>,
    changed: Notify,
    senders: AtomicUsize,
}

struct State<T> {
    value: T,
    version: u64,
    closed: bool,
}

/// The value, for a moment: senders wait while one is held, so it isn't held over an `.await`.
pub struct Ref<'a, T>(MappedRwLockReadGuard<'a, T>);

/// The sender has gone, and nothing new will come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closed;

/// A sender and its first receiver, which has seen `value`.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

impl<T> Shared<T> {
    fn borrow(&self) -> Ref<'_, T> {
        // Recursive: a thread that holds one may take another although a sender waits.
        Ref(RwLockReadGuard::map(self.state.read_recursive(), |state| &state.value))
    }
}

impl<T> Sender<T> {
    /// A sender without receivers.
    pub fn new(value: T) -> Self {
        Self(Arc::new(Shared {
            state: RwLock::new(State { value, version: 0, closed: false }),
            changed: Notify::new(),
            senders: AtomicUsize::new(1),
        }))
    }

    /// A receiver that has seen the value of now.
    pub fn subscribe(&self) -> Receiver<T> {
        let seen = self.0.state.read_recursive().version;
        Receiver { shared: self.0.clone(), seen }
    }

    /// The value.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.0.borrow()
    }

    /// Another value; the old one comes back.
    pub fn send_replace(&self, value: T) -> T {
        let mut value = value;
        self.send_modify(|old| std::mem::swap(old, &mut value));
        value
    }

    /// Changes the value in place.
    pub fn send_modify(&self, modify: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            modify(value);
            true
        });
    }

    /// Changes the value in place; receivers wake if `modify` says so, and so does this.
    pub fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        let modified = {
            let mut state = self.0.state.write();
            let modified = modify(&mut state.value);
            state.version += u64::from(modified);
            modified
        };
        if modified {
            self.0.changed.notify_waiters();
        }
        modified
    }
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.senders.fetch_add(1, Ordering::Relaxed);
        Self(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.0.senders.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        self.0.state.write().closed = true;
        self.0.changed.notify_waiters();
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), seen: self.seen }
    }
}

impl<T> Receiver<T> {
    /// The value; it doesn't count as seen.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.borrow()
    }

    /// The value, which counts as seen.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let state = self.shared.state.read_recursive();
        self.seen = state.version;
        Ref(RwLockReadGuard::map(state, |state| &state.value))
    }

    /// Whether there is a value that wasn't seen.
    ///
    /// # Errors
    /// The sender has gone.
    pub fn has_changed(&self) -> Result<bool, Closed> {
        let state = self.shared.state.read_recursive();
        if state.closed { Err(Closed) } else { Ok(state.version != self.seen) }
    }

    /// The value of now counts as seen.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.shared.state.read_recursive().version;
    }

    /// Waits for a value that wasn't seen, which counts as seen then. Cancel safe.
    ///
    /// # Errors
    /// The sender has gone, and its last value was seen.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        let seen = self.seen;
        self.seen = until(&self.shared, |state| state.version != seen).await?.0;
        Ok(())
    }

    /// Waits until `test` holds for the value, now or later; the value then. Cancel safe.
    ///
    /// # Errors
    /// The sender has gone, and `test` doesn't hold for its last value.
    pub async fn wait_for(&mut self, mut test: impl FnMut(&T) -> bool) -> Result<Ref<'_, T>, Closed> {
        let (version, value) = until(&self.shared, |state| test(&state.value)).await?;
        self.seen = version;
        Ok(value)
    }
}

/// The version and the value for which `reached` holds.
async fn until<T>(shared: &Shared<T>, mut reached: impl FnMut(&State<T>) -> bool) -> Result<(u64, Ref<'_, T>), Closed> {
    loop {
        let changed = shared.changed.notified();
        tokio::pin!(changed);
        // From here on no change is missed.
        changed.as_mut().enable();
        {
            let state = shared.state.read_recursive();
            if reached(&state) {
                return Ok((state.version, Ref(RwLockReadGuard::map(state, |state| &state.value))));
            }
            if state.closed {
                return Err(Closed);
            }
        }
        changed.await;
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.borrow()).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.borrow()).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sender has gone")
    }
}

impl std::error::Error for Closed {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn receivers_wake_in_order_and_miss_nothing() {
        let (sender, receiver) = channel(0);
        let (order, mut woken) = tokio::sync::mpsc::unbounded_channel();
        for i in 0..9 {
            let (mut receiver, order) = (receiver.clone(), order.clone());
            tokio::spawn(async move {
                receiver.changed().await.expect("the sender lives");
                order.send(i).expect("somebody listens");
            });
        }
        tokio::task::yield_now().await;
        sender.send_replace(1);
        for i in 0..9 {
            assert_eq!(woken.recv().await, Some(i));
        }
    }

    #[tokio::test]
    async fn what_was_seen_and_what_is_closed() {
        let (sender, mut receiver) = channel(1);
        assert_eq!(receiver.has_changed(), Ok(false));
        assert!(!sender.send_if_modified(|_| false) && receiver.has_changed() == Ok(false));
        assert_eq!((sender.send_replace(2), *receiver.borrow(), receiver.has_changed()), (1, 2, Ok(true)));
        assert_eq!((receiver.changed().await, receiver.has_changed()), (Ok(()), Ok(false)));
        sender.send_modify(|value| *value += 1);
        assert_eq!(receiver.wait_for(|value| *value == 3).await.as_deref().ok(), Some(&3));
        sender.send_replace(4);
        receiver.mark_unchanged();
        assert_eq!(*receiver.borrow_and_update(), 4);
        sender.send_replace(5);
        drop(sender);
        assert_eq!((receiver.changed().await, receiver.changed().await), (Ok(()), Err(Closed)));
        assert!(receiver.wait_for(|value| *value == 5).await.is_ok() && receiver.wait_for(|value| *value == 6).await.is_err());
    }
}
