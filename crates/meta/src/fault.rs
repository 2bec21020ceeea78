//! A store that fails as real ones do: before a request arrives, or after it was carried out and only the answer is lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::random::Random;
use parking_lot::Mutex;
use types::{Code, Error};

use crate::store::{Entry, LeaseId, Listing, Meta, MetaError, Revision, Transaction, Watch};

/// Where a call fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The request is lost: nothing happens.
    Before,
    /// The answer is lost: it has happened.
    After,
    /// A transaction is late: it hasn't happened yet ([`Faults::late`]). Other calls are lost.
    Late,
}

/// What goes wrong from now on. Shared with the [`FaultyMeta`] that it steers.
pub struct Faults {
    random: Random,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    /// What the next calls meet, in order; `None`: nothing.
    next: VecDeque<Option<Fault>>,
    before: f64,
    after: f64,
    late: Vec<Transaction>,
}

/// A store with faults in its calls. Watches, once open, work.
pub struct FaultyMeta {
    inner: Arc<dyn Meta>,
    faults: Arc<Faults>,
}

impl Faults {
    /// None yet.
    pub fn new(random: Random) -> Arc<Self> {
        Arc::new(Self { random, plan: Mutex::default() })
    }

    /// The next call fails so; calls queue up in the order of these. `None` lets one call pass.
    pub fn next(&self, fault: Option<Fault>) {
        self.plan.lock().next.push_back(fault);
    }

    /// Transactions that are still on their way.
    pub fn late(&self) -> Vec<Transaction> {
        std::mem::take(&mut self.plan.lock().late)
    }

    /// Every call for which nothing is planned fails with these probabilities.
    pub fn chances(&self, before: f64, after: f64) {
        let mut plan = self.plan.lock();
        (plan.before, plan.after) = (before, after);
    }

    fn is_late(&self) -> bool {
        self.plan.lock().next.front() == Some(&Some(Fault::Late))
    }

    fn draw(&self) -> Option<Fault> {
        let mut plan = self.plan.lock();
        if let Some(planned) = plan.next.pop_front() {
            return planned;
        }
        // Nothing is drawn where nothing can fail: planning a fault doesn't change a seed's other draws.
        if plan.before > 0.0 && self.random.chance(plan.before) {
            return Some(Fault::Before);
        }
        (plan.after > 0.0 && self.random.chance(plan.after)).then_some(Fault::After)
    }
}

impl FaultyMeta {
    /// `inner`, with these faults.
    pub fn new(inner: Arc<dyn Meta>, faults: Arc<Faults>) -> Self {
        Self { inner, faults }
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T, MetaError>> + Send) -> Result<T, MetaError> {
        let lost = |what| Err(MetaError::Unavailable(Error::new(Code::SERVICE_UNAVAILABLE, what)));
        match self.faults.draw() {
            None => call.await,
            Some(Fault::Before | Fault::Late) => lost("meta: the request was lost (planned)"),
            Some(Fault::After) => {
                drop(call.await);
                lost("meta: the answer was lost (planned)")
            }
        }
    }
}

#[async_trait]
impl Meta for FaultyMeta {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Entry>, MetaError> {
        self.call(self.inner.get(key)).await
    }

    async fn list(&self, prefix: &[u8]) -> Result<Listing, MetaError> {
        self.call(self.inner.list(prefix)).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, MetaError> {
        if self.faults.is_late() {
            self.faults.plan.lock().late.push(transaction.clone());
        }
        self.call(self.inner.commit(transaction)).await
    }

    async fn watch(&self, prefix: &[u8], from: Revision) -> Result<Box<dyn Watch>, MetaError> {
        self.call(self.inner.watch(prefix, from)).await
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, MetaError> {
        self.call(self.inner.grant(ttl)).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), MetaError> {
        self.call(self.inner.keep_alive(lease)).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), MetaError> {
        self.call(self.inner.revoke(lease)).await
    }
}
