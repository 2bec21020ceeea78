//! A store in memory, for simulations and tests: one [`MemoryStore`] is the server, each [`MemoryMeta`] a node's way to it.
//!
//! Deterministic: maps are ordered, nothing is drawn, and leases end in the time of the [`Clock`]. Leases are looked at whenever somebody calls or
//! waits, so the store needs no task of its own. A node's link can be cut, or the server be away for all: calls then fail after [`LINK_TIMEOUT`],
//! watches wait, leases run out. For answers that are lost after the change was made there is [`crate::fault`].

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base::clock::Clock;
use base::watch;
use bytes::Bytes;
use parking_lot::Mutex;
use types::{Code, Error};

use crate::change_log::ChangeLog;
use crate::lease::{LeasedKeys, Leases};
use crate::store::{Change, Condition, Entry, LeaseId, Listing, Meta, MetaError, Revision, Transaction, Watch, Write};

/// Changes that a store remembers for its watches unless told otherwise.
pub const CHANGES_KEPT: usize = 10_000;
/// How long a call over a cut link takes to fail.
pub const LINK_TIMEOUT: Duration = Duration::from_secs(1);

/// The server. Clones are the same one.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    state: Mutex<State>,
    away: AtomicBool,
    /// Ticks whenever a waiting watch should look again.
    tick: watch::Sender<u64>,
}

struct State {
    revision: Revision,
    entries: BTreeMap<Bytes, Entry>,
    leases: Leases,
    leased: LeasedKeys,
    log: ChangeLog,
}

/// One node's way to a [`MemoryStore`]. Clones share the link.
#[derive(Clone)]
pub struct MemoryMeta {
    shared: Arc<Shared>,
    cut: Arc<AtomicBool>,
}

impl MemoryStore {
    /// An empty one.
    pub fn new(clock: Clock) -> Self {
        Self::with_changes_kept(clock, CHANGES_KEPT)
    }

    /// An empty one that remembers about `changes` changes for watches.
    pub fn with_changes_kept(clock: Clock, changes: usize) -> Self {
        let revision = Revision(1);
        let state = State {
            revision,
            entries: BTreeMap::new(),
            leases: Leases::default(),
            leased: LeasedKeys::default(),
            log: ChangeLog::after(revision, changes),
        };
        Self { shared: Arc::new(Shared { clock, state: Mutex::new(state), away: AtomicBool::new(false), tick: watch::Sender::new(0) }) }
    }

    /// A way of its own for one more node.
    pub fn connect(&self) -> MemoryMeta {
        MemoryMeta { shared: self.shared.clone(), cut: Arc::default() }
    }

    /// Takes the server away for every node, or brings it back.
    pub fn set_away(&self, away: bool) {
        self.shared.away.store(away, Ordering::Relaxed);
        self.shared.tick.send_modify(|tick| *tick += 1);
    }

    /// Begins every lease that hasn't ended anew: what a server that was down does before it serves again.
    pub fn renew_leases(&self) {
        self.shared.state.lock().leases.renew(self.shared.clock.now());
        self.shared.tick.send_modify(|tick| *tick += 1);
    }

    /// Forgets changes below `revision`: watches that want them are told [`MetaError::Compacted`].
    pub fn compact(&self, revision: Revision) {
        self.shared.state.lock().log.forget_below(revision);
        self.shared.tick.send_modify(|tick| *tick += 1);
    }
}

impl MemoryMeta {
    /// Cuts or mends the link.
    pub fn set_reachable(&self, reachable: bool) {
        self.cut.store(!reachable, Ordering::Relaxed);
        self.shared.tick.send_modify(|tick| *tick += 1);
    }

    fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed) || self.shared.away.load(Ordering::Relaxed)
    }

    /// Runs `call` on the state as of now, unless the link is cut.
    async fn call<T>(&self, call: impl FnOnce(&mut State, &Clock) -> Result<T, MetaError>) -> Result<T, MetaError> {
        if self.is_cut() {
            self.shared.clock.sleep(LINK_TIMEOUT).await;
            return Err(MetaError::Unavailable(Error::new(Code::SERVICE_UNAVAILABLE, "meta can't be reached from this node")));
        }
        let (result, changed) = {
            let mut state = self.shared.state.lock();
            let before = (state.revision, state.leases.next_deadline());
            state.end_leases(&self.shared.clock);
            let result = call(&mut state, &self.shared.clock);
            (result, before != (state.revision, state.leases.next_deadline()))
        };
        if changed {
            self.shared.tick.send_modify(|tick| *tick += 1);
        }
        result
    }
}

impl State {
    fn end_leases(&mut self, clock: &Clock) {
        for lease in self.leases.take_ended(clock.now()) {
            let deletes = self.leased.of(lease).into_iter().map(Write::Delete).collect();
            self.make(deletes);
        }
    }

    fn holds(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Absent(key) => !self.entries.contains_key(key),
            Condition::Modified(key, revision) => self.entries.get(key).is_some_and(|entry| entry.modified == *revision),
            Condition::Created(key, revision) => self.entries.get(key).is_some_and(|entry| entry.created == *revision),
            Condition::Equals(key, value) => self.entries.get(key).is_some_and(|entry| entry.value == *value),
        }
    }

    fn commit(&mut self, transaction: Transaction) -> Result<Revision, MetaError> {
        if !transaction.conditions.iter().all(|condition| self.holds(condition)) {
            return Err(MetaError::Refused);
        }
        let leases = transaction.changes.iter().filter_map(|change| match change {
            Write::Put { lease, .. } => *lease,
            Write::Delete(_) => None,
        });
        for lease in leases {
            if !self.leases.is_live(lease) {
                return Err(MetaError::LeaseLost);
            }
        }
        self.make(transaction.changes);
        Ok(self.revision)
    }

    fn make(&mut self, writes: Vec<Write>) {
        let revision = self.revision.next();
        let mut changes = Vec::new();
        for write in writes {
            match write {
                Write::Put { key, value, lease } => {
                    let old = self.entries.get(&key);
                    let created = old.map_or(revision, |entry| entry.created);
                    self.leased.moved(&key, old.and_then(|entry| entry.lease), lease);
                    let entry = Entry { key: key.clone(), value, created, modified: revision, lease };
                    self.entries.insert(key, entry.clone());
                    changes.push(Change::Put(entry));
                }
                Write::Delete(key) => {
                    if let Some(old) = self.entries.remove(&key) {
                        self.leased.moved(&key, old.lease, None);
                        changes.push(Change::Delete { key, revision });
                    }
                }
            }
        }
        if !changes.is_empty() {
            self.revision = revision;
            self.log.push(revision, changes);
        }
    }
}

#[async_trait]
impl Meta for MemoryMeta {
    fn kind(&self) -> &'static str {
        "memory"
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Entry>, MetaError> {
        self.call(|state, _| Ok(state.entries.get(key).cloned())).await
    }

    async fn list(&self, prefix: &[u8]) -> Result<Listing, MetaError> {
        self.call(|state, _| {
            let from = (Bound::Included(prefix), Bound::Unbounded);
            let below = state.entries.range::<[u8], _>(from).take_while(|(key, _)| key.starts_with(prefix));
            Ok(Listing { entries: below.map(|(_, entry)| entry.clone()).collect(), revision: state.revision })
        })
        .await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, MetaError> {
        transaction.check()?;
        self.call(|state, _| state.commit(transaction)).await
    }

    async fn watch(&self, prefix: &[u8], from: Revision) -> Result<Box<dyn Watch>, MetaError> {
        let tick = self.shared.tick.subscribe();
        self.call(|state, _| state.log.since(from, prefix)).await?;
        Ok(Box::new(MemoryWatch { meta: self.clone(), tick, prefix: Bytes::copy_from_slice(prefix), next: from }))
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, MetaError> {
        self.call(|state, clock| Ok(state.leases.grant(ttl, clock.now()))).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), MetaError> {
        self.call(|state, clock| state.leases.keep_alive(lease, clock.now())).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), MetaError> {
        self.call(|state, clock| {
            if !state.leases.end(lease) {
                return Err(MetaError::LeaseLost);
            }
            state.end_leases(clock);
            Ok(())
        })
        .await
    }
}

struct MemoryWatch {
    meta: MemoryMeta,
    tick: watch::Receiver<u64>,
    prefix: Bytes,
    next: Revision,
}

impl MemoryWatch {
    /// What has come, and when a lease may end if nothing else comes.
    fn look(&mut self) -> Result<(Vec<Change>, Option<tokio::time::Instant>), MetaError> {
        self.tick.mark_unchanged();
        if self.meta.is_cut() {
            return Ok((Vec::new(), None));
        }
        let shared = &self.meta.shared;
        let mut state = shared.state.lock();
        let before = state.revision;
        state.end_leases(&shared.clock);
        let (changes, next) = state.log.since(self.next, &self.prefix)?;
        self.next = next;
        let deadline = state.leases.next_deadline();
        let changed = state.revision != before;
        drop(state);
        if changed {
            shared.tick.send_modify(|tick| *tick += 1);
        }
        Ok((changes, deadline))
    }
}

#[async_trait]
impl Watch for MemoryWatch {
    async fn next(&mut self) -> Result<Vec<Change>, MetaError> {
        loop {
            let (changes, deadline) = self.look()?;
            if !changes.is_empty() {
                return Ok(changes);
            }
            let clock = self.meta.shared.clock.clone();
            let ended = async {
                match deadline {
                    Some(deadline) => clock.sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                // The sender lives in `meta`, so this can't fail.
                changed = self.tick.changed() => debug_assert!(changed.is_ok()),
                () = ended => {}
            }
        }
    }
}
