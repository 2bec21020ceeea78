//! Metadata as simulated processes reach it: watched, late, failing; and the check that whoever changes the catalog leads.
//!
//! A transaction on the catalog that comes from a process which leads none of the offices that may send it must fail by its fence, and not only
//! because a document has changed meanwhile: conditions on documents are there against races of planning, and don't cover all that a plan was made from.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::World;
use base::fault::{Fault, FaultPlan};
use meta::catalog::document::PREFIX;
use meta::election;
use meta::memory::MemoryMeta;
use meta::store::{Change, Condition, Entry, LeaseId, Listing, Meta, MetaError, Revision, Transaction, Watch};
use parking_lot::Mutex;
use tokio::time::Instant;
use types::{Code, Error};

use super::coverage::{Coverage, Event};
use super::verdict::Verdict;

/// How long a transaction that was given up may take to arrive: longer than an office outlives its leader.
const LATE_MAX: Duration = Duration::from_secs(5);
/// What leaders' keys begin with.
const LEADER: &str = "leader/";

/// What befalls meta's calls, for all processes.
#[derive(Clone)]
pub struct MetaFaults {
    /// Of single calls, and of what watches say.
    pub calls: FaultPlan,
    /// The probability that a transaction arrives after it was given up.
    late: Arc<Mutex<f64>>,
}

impl MetaFaults {
    pub fn new(calls: FaultPlan) -> Self {
        Self { calls, late: Arc::default() }
    }

    /// Has transactions arrive late with this probability.
    pub fn set_late(&self, probability: f64) {
        *self.late.lock() = probability;
    }
}

/// Checks what one process changes.
#[derive(Clone)]
pub struct Audit {
    pub process: &'static str,
    /// A link that is never cut.
    pub eye: MemoryMeta,
    pub coverage: Arc<Coverage>,
    pub verdict: Verdict,
}

/// One process's way to meta.
#[derive(Clone)]
pub struct WatchedMeta {
    pub link: MemoryMeta,
    /// Of nobody's: what is on its way arrives although its sender is gone.
    pub world: World,
    pub faults: MetaFaults,
    pub audit: Audit,
}

fn lost(what: &str) -> MetaError {
    MetaError::Unavailable(Error::new(Code::SERVICE_UNAVAILABLE, format!("meta: the {what} was lost")))
}

impl Audit {
    /// Looks at what became of a transaction, at the very moment of it.
    async fn look(&self, transaction: &Transaction, outcome: &Result<Revision, MetaError>) {
        if outcome.is_ok() {
            let offices = transaction.changes.iter().filter_map(|write| office_of(write.key()));
            offices.for_each(|office| self.coverage.leads(office, self.process));
        }
        if matches!(outcome, Ok(_) | Err(MetaError::Refused)) && transaction.changes.iter().any(|write| is_catalog(write.key())) {
            self.check_fence(transaction, outcome.is_ok()).await;
        }
    }

    async fn check_fence(&self, transaction: &Transaction, made: bool) {
        for condition in &transaction.conditions {
            let Condition::Created(key, created) = condition else { continue };
            if office_of(key).is_some() && self.entry(key).await.is_none_or(|entry| entry.created != *created) {
                return self.coverage.count(Event::FencedOut);
            }
        }
        for write in &transaction.changes {
            let Some(offices) = offices_of(write.key()) else { continue };
            let mut leads = false;
            for office in offices {
                let leader = election::leader(&self.eye, office).await;
                leads |= leader.is_ok_and(|leader| leader.is_some_and(|leader| leader.address == self.process));
            }
            if !leads {
                let (process, key) = (self.process, write.key().escape_ascii());
                let how = if made { "changed" } else { "was kept from changing by luck, not by its fence," };
                return self.verdict.violate(format!("{process} {how} {key} and leads none of {offices:?}"));
            }
        }
    }

    async fn entry(&self, key: &[u8]) -> Option<Entry> {
        self.eye.get(key).await.ok().flatten()
    }
}

fn is_catalog(key: &[u8]) -> bool {
    key.starts_with(PREFIX.as_bytes())
}

fn office_of(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key).ok()?.strip_prefix(LEADER)
}

/// Whose changes of a document of the catalog are right: the end of a collection takes what others keep of it along.
fn offices_of(key: &[u8]) -> Option<&'static [&'static str]> {
    let kind = std::str::from_utf8(key).ok()?.strip_prefix(PREFIX)?.split('/').next()?;
    let offices: &'static [&'static str] = match kind {
        // Whoever comes first makes the catalog.
        "layout" | "database" | "database-name" => &["root", "data", "query", "index"],
        "assignment" | "checkpoint" => &["data"],
        "shard" | "tombstone" => &["data", "root"],
        "load" => &["query", "root"],
        "indexes" => &["index", "root"],
        _ => &["root"],
    };
    Some(offices)
}

impl WatchedMeta {
    async fn call<T: Send>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, MetaError>> + Send,
    ) -> Result<T, MetaError> {
        match self.faults.calls.begin(operation).await {
            Fault::FailBefore => Err(lost("request")),
            Fault::FailAfter => call.await.and(Err(lost("answer"))),
            Fault::None | Fault::Duplicate => call.await,
        }
    }

    async fn commit_watched(&self, transaction: &Transaction) -> Result<Revision, MetaError> {
        let outcome = self.link.commit(transaction.clone()).await;
        let keys = || transaction.changes.iter().map(|write| write.key().escape_ascii().to_string()).collect::<Vec<_>>();
        tracing::debug!(at = self.world.clock.wall_ms(), process = self.audit.process, ?outcome, keys = ?keys(), "a transaction");
        self.audit.look(transaction, &outcome).await;
        outcome
    }

    /// Draws whether a transaction arrives when nobody waits for it any more.
    fn arrives_late(&self, transaction: &Transaction) -> bool {
        let late = *self.faults.late.lock();
        if late == 0.0 || !self.world.random.chance(late) {
            return false;
        }
        let (own, transaction) = (self.clone(), transaction.clone());
        let delay = Duration::from_millis(self.world.random.below(LATE_MAX.as_millis() as u64));
        let arrival = async move {
            own.world.clock.sleep(delay).await;
            drop(own.commit_watched(&transaction).await);
        };
        self.world.tasks.spawn(arrival).detach();
        true
    }
}

#[async_trait]
impl Meta for WatchedMeta {
    fn kind(&self) -> &'static str {
        self.link.kind()
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Entry>, MetaError> {
        self.call("get", self.link.get(key)).await
    }

    async fn list(&self, prefix: &[u8]) -> Result<Listing, MetaError> {
        self.call("list", self.link.list(prefix)).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, MetaError> {
        if self.arrives_late(&transaction) {
            return Err(lost("answer"));
        }
        self.call("commit", self.commit_watched(&transaction)).await
    }

    async fn watch(&self, prefix: &[u8], from: Revision) -> Result<Box<dyn Watch>, MetaError> {
        let inner = self.call("watch", self.link.watch(prefix, from)).await?;
        Ok(Box::new(LateWatch { inner, faults: self.faults.calls.clone(), world: self.world.clone(), coming: None }))
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, MetaError> {
        self.call("grant", self.link.grant(ttl)).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), MetaError> {
        self.call("keep alive", self.link.keep_alive(lease)).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), MetaError> {
        self.call("revoke", self.link.revoke(lease)).await
    }
}

/// A watch that is behind where calls are late.
struct LateWatch {
    inner: Box<dyn Watch>,
    faults: FaultPlan,
    world: World,
    /// What has come and isn't told yet.
    coming: Option<(Vec<Change>, Instant)>,
}

#[async_trait]
impl Watch for LateWatch {
    async fn next(&mut self) -> Result<Vec<Change>, MetaError> {
        if self.coming.is_none() {
            let changes = self.inner.next().await?;
            let (_, delay) = self.faults.draw("changes");
            self.coming = Some((changes, self.world.clock.now() + delay));
        }
        if let Some((_, due)) = &self.coming
            && *due > self.world.clock.now()
        {
            self.world.clock.sleep_until(*due).await;
        }
        Ok(self.coming.take().map(|(changes, _)| changes).unwrap_or_default())
    }
}
