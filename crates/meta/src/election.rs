//! Leaders: one key for each office, made under a lease by whoever finds it absent.
//!
//! A leader proves itself with each change it makes: [`Leadership::fence`] is a condition on the very key that it made, so that what a deposed
//! leader still sends changes nothing, however late it arrives. That, and no clock, is what keeps two leaders apart; the notice of loss
//! ([`Leadership::lost`]) only ends useless work soon.

use std::sync::Arc;
use std::time::Duration;

use base::World;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use types::Error;

use crate::catalog::document::{self, Document, unknown_version};
pub use crate::keeper::Tenure;
use crate::keeper::{KeptLease, until_set};
use crate::store::{Change, Condition, Entry, Meta, MetaError, Revision, Transaction};

/// Between two tries while meta is away or an outcome has to be read back.
const RETRY_WAIT: Duration = Duration::from_millis(200);

/// Who wants an office.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The office: `root`, `data`, `query`, `index`.
    pub office: String,
    /// Where the leader can be reached: what others read.
    pub address: String,
    /// How long an office stays taken when its leader vanishes.
    pub ttl: Duration,
}

/// An office that is held.
pub struct Leadership {
    meta: Arc<dyn Meta>,
    key: Bytes,
    created: Revision,
    lease: KeptLease,
}

/// Who holds an office, as others see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leader {
    /// The office.
    pub office: String,
    /// Where the leader can be reached.
    pub address: String,
    /// Tells one campaign from another, also of one process.
    campaign: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredLeader {
    address: String,
    campaign: u64,
}

impl Document for Leader {
    type Id = String;
    const ROOT: &'static str = "";
    const KIND: &'static str = "leader";
    const VERSION: u32 = 1;

    fn id(&self) -> String {
        self.office.clone()
    }

    fn path(office: &String) -> String {
        office.clone()
    }

    fn parse(path: &str) -> Option<String> {
        Some(path.to_owned())
    }

    fn encode(&self) -> Result<Box<RawValue>, serde_json::Error> {
        serde_json::value::to_raw_value(&StoredLeader { address: self.address.clone(), campaign: self.campaign })
    }

    fn decode(office: String, version: u32, json: &str) -> Result<Self, serde_json::Error> {
        if version != Self::VERSION {
            return Err(unknown_version::<Self>(version));
        }
        let StoredLeader { address, campaign } = serde_json::from_str(json)?;
        Ok(Self { office, address, campaign })
    }
}

/// Who holds an office now.
pub async fn leader(meta: &dyn Meta, office: &str) -> Result<Option<Leader>, MetaError> {
    let entry = meta.get(&document::key::<Leader>(&office.to_owned())).await?;
    entry.map(|entry| document::read::<Leader>(&entry).map(|leader| leader.value).map_err(MetaError::Damaged)).transpose()
}

/// Waits until the candidate holds the office. While meta is away it goes on trying; dropping the future withdraws.
///
/// # Errors
/// [`MetaError::Damaged`].
pub async fn campaign(world: &World, meta: &Arc<dyn Meta>, candidate: &Candidate) -> Result<Leadership, MetaError> {
    loop {
        match attempt(world, meta, candidate).await {
            Ok(leadership) => return Ok(leadership),
            Err(MetaError::Damaged(error)) => return Err(MetaError::Damaged(error)),
            // Somebody was faster: the next attempt waits for the key to go.
            Err(MetaError::Refused) => {}
            Err(error) => {
                tracing::info!(office = candidate.office, %error, "waiting for meta to campaign");
                world.clock.sleep(RETRY_WAIT).await;
            }
        }
    }
}

async fn attempt(world: &World, meta: &Arc<dyn Meta>, candidate: &Candidate) -> Result<Leadership, MetaError> {
    let key = document::key::<Leader>(&candidate.office);
    until_absent(meta.as_ref(), &key).await?;
    let lease = KeptLease::grant(world, meta, candidate.ttl).await?;
    let leader = Leader { office: candidate.office.clone(), address: candidate.address.clone(), campaign: world.random.u64() };
    let value = document::value(&leader);
    let take = Transaction::new().when(Condition::Absent(key.clone())).put_leased(key.clone(), value.clone(), lease.id);
    let created = match meta.commit(take).await {
        Ok(revision) => revision,
        Err(MetaError::Unavailable(error)) => match taken(world, meta.as_ref(), &key, &lease).await? {
            Some(entry) if entry.value == value => entry.created,
            // It may still be on its way: the lease's end settles it.
            _ => {
                lease.release().await;
                return Err(MetaError::Unavailable(error));
            }
        },
        Err(error) => {
            lease.release().await;
            return Err(error);
        }
    };
    Ok(Leadership { meta: meta.clone(), key, created, lease })
}

/// Who holds the key after an attempt without an answer; waits for meta as long as the lease lives.
async fn taken(world: &World, meta: &dyn Meta, key: &[u8], lease: &KeptLease) -> Result<Option<Entry>, MetaError> {
    while !lease.is_lost() {
        match meta.get(key).await {
            Err(MetaError::Unavailable(_)) => world.clock.sleep(RETRY_WAIT).await,
            known => return known,
        }
    }
    Err(MetaError::LeaseLost)
}

/// Returns when the key isn't there, at once if it isn't now.
pub(crate) async fn until_absent(meta: &dyn Meta, key: &Bytes) -> Result<(), MetaError> {
    let listing = meta.list(key).await?;
    if listing.entries.iter().all(|entry| entry.key != *key) {
        return Ok(());
    }
    let mut watch = meta.watch(key, listing.revision.next()).await?;
    loop {
        let changes = watch.next().await?;
        let last = changes.iter().rev().find(|change| change.key() == key);
        if matches!(last, Some(Change::Delete { .. })) {
            return Ok(());
        }
    }
}

impl Leadership {
    /// The condition that makes a transaction the leader's: true while this leadership holds, never again afterwards.
    pub fn fence(&self) -> Condition {
        Condition::Created(self.key.clone(), self.created)
    }

    /// When it began: later leaders of the office have higher terms.
    pub fn term(&self) -> Revision {
        self.created
    }

    /// For how long it is held for certain.
    pub fn tenure(&self) -> Tenure {
        self.lease.tenure()
    }

    /// Resolves when the office must be taken for lost.
    pub async fn lost(&self) {
        until_set(self.lease.lost()).await;
    }

    /// Whether it must be taken for lost.
    pub fn is_lost(&self) -> bool {
        self.lease.is_lost()
    }

    /// Asks meta, for a leader whose change was refused: whether the office is still held. If not, it is lost from now on.
    pub async fn confirm(&self) -> Result<bool, MetaError> {
        let held = self.meta.get(&self.key).await?.is_some_and(|entry| entry.created == self.created);
        if !held {
            self.lease.mark_lost();
        }
        Ok(held && !self.is_lost())
    }

    /// Gives the office up, so that the next leader needn't wait.
    pub async fn resign(self) {
        self.lease.release().await;
    }

    /// Takes the office's key away that was lost, as soon as meta answers: after an outage of meta the key of a leader that counts itself out
    /// would keep everybody waiting for another lease's time. Somebody else's key stays.
    pub async fn withdraw(self, world: &World) {
        self.lease.mark_lost();
        loop {
            let own = Transaction::new().when(self.fence()).delete(self.key.clone());
            match self.meta.commit(own).await {
                Ok(_) | Err(MetaError::Refused) => return,
                Err(error) => tracing::debug!(%error, "an office that was lost isn't given up yet"),
            }
            world.clock.sleep(RETRY_WAIT).await;
        }
    }

    /// What a step of a leader's says when the office is gone.
    pub fn lost_error(&self) -> Error {
        Error::new(types::Code::SERVICE_UNAVAILABLE, format!("no longer the leader of {}", self.key.escape_ascii()))
    }
}
