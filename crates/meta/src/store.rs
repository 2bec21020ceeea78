//! The boundary: a small, ordered, transactional key-value store with watches and leases, as etcd has them.
//!
//! Keys and values are bytes; keys are below the store's own prefix, which adapters add and strip. One revision counts all changes.
//! What every implementation promises, and `conformance` checks:
//! - a transaction's conditions and changes are one atomic, durable, linearisable step; with an unmet condition nothing changes;
//! - an error other than [`MetaError::Refused`] means that the outcome of a transaction is unknown: read back what it would have changed;
//! - a watch gives each later change once, in order of revision, without gaps; where it can't, [`MetaError::Compacted`]: list again;
//! - a lease's keys vanish when it isn't kept alive for its time, and not before.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use types::{Code, Error};

/// Operations (conditions, puts and deletes together) of one transaction: `metastore.maxEtcdTxnNum`. More is refused; larger changes are
/// staged under an operation id and made visible by one final transaction.
pub const TRANSACTION_OPERATIONS_MAX: usize = 64;

/// Bytes of one transaction, keys and values together: below etcd's limit of a request (1.5 MiB by default).
pub const TRANSACTION_BYTES_MAX: usize = 1 << 20;

/// The store.
#[async_trait]
pub trait Meta: Send + Sync {
    /// What operators call it: `redb`, `etcd`, `memory`.
    fn kind(&self) -> &'static str;

    /// One key's value.
    async fn get(&self, key: &[u8]) -> Result<Option<Entry>, MetaError>;

    /// Every key with the prefix in ascending order, as of one revision, read in pages inside.
    async fn list(&self, prefix: &[u8]) -> Result<Listing, MetaError>;

    /// All or nothing.
    ///
    /// # Errors
    /// [`MetaError::Refused`] if a condition isn't met; [`MetaError::TooLarge`] above [`TRANSACTION_OPERATIONS_MAX`] or
    /// [`TRANSACTION_BYTES_MAX`]; [`MetaError::LeaseLost`] if a put's lease is gone. In these three nothing changed.
    ///
    /// # Panics
    /// If two changes are of one key: a bug of the caller's.
    async fn commit(&self, transaction: Transaction) -> Result<Revision, MetaError>;

    /// Changes of keys with the prefix, at `from` and later.
    async fn watch(&self, prefix: &[u8], from: Revision) -> Result<Box<dyn Watch>, MetaError>;

    /// A lease that must be kept alive at least every `ttl`. What it expires takes its keys along.
    async fn grant(&self, ttl: Duration) -> Result<LeaseId, MetaError>;

    /// Extends a lease by its time. [`MetaError::LeaseLost`] if it is gone: its keys are or will be.
    async fn keep_alive(&self, lease: LeaseId) -> Result<(), MetaError>;

    /// Ends a lease and its keys.
    async fn revoke(&self, lease: LeaseId) -> Result<(), MetaError>;
}

/// Changes, in order.
#[async_trait]
pub trait Watch: Send {
    /// The next changes, all those of one or more whole revisions; waits. Reconnects inside. Cancel safe.
    async fn next(&mut self) -> Result<Vec<Change>, MetaError>;
}

/// Counts changes of the whole store; rises by one with each transaction that changed something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Revision(pub i64);

impl Revision {
    /// The one after.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A lease.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LeaseId(pub i64);

/// A key that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The key, without the store's prefix.
    pub key: Bytes,
    /// Its value.
    pub value: Bytes,
    /// When it was made (not changed): the fence of a leader's key.
    pub created: Revision,
    /// When it was last put.
    pub modified: Revision,
    /// The lease that it goes with.
    pub lease: Option<LeaseId>,
}

/// The keys of a prefix at one revision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listing {
    /// Ascending by key.
    pub entries: Vec<Entry>,
    /// As of when: watch from the next one.
    pub revision: Revision,
}

/// What a watch saw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// The key has this value now.
    Put(Entry),
    /// The key is gone.
    Delete {
        /// Which.
        key: Bytes,
        /// Since when.
        revision: Revision,
    },
}

/// Conditions and the changes that are made if all hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Transaction {
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// Made in one revision; no two of one key.
    pub changes: Vec<Write>,
}

/// What must be so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Condition {
    /// The key isn't there.
    Absent(Bytes),
    /// The key is there and was last put at this revision.
    Modified(Bytes, Revision),
    /// The key is there and was made at this revision: a leader's fence.
    Created(Bytes, Revision),
    /// The key is there and has this value.
    Equals(Bytes, Bytes),
}

/// One change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write {
    /// The key gets a value, and a lease or none.
    Put {
        /// The key.
        key: Bytes,
        /// The value.
        value: Bytes,
        /// What it goes with.
        lease: Option<LeaseId>,
    },
    /// The key goes, if it is there.
    Delete(Bytes),
}

impl Transaction {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition.
    pub fn when(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Adds a put without a lease.
    pub fn put(mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.changes.push(Write::Put { key: key.into(), value: value.into(), lease: None });
        self
    }

    /// Adds a put that goes with a lease.
    pub fn put_leased(mut self, key: impl Into<Bytes>, value: impl Into<Bytes>, lease: LeaseId) -> Self {
        self.changes.push(Write::Put { key: key.into(), value: value.into(), lease: Some(lease) });
        self
    }

    /// Adds a delete.
    pub fn delete(mut self, key: impl Into<Bytes>) -> Self {
        self.changes.push(Write::Delete(key.into()));
        self
    }

    /// Conditions and changes together.
    pub fn operations(&self) -> usize {
        self.conditions.len() + self.changes.len()
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        let conditions = self.conditions.iter().map(|condition| match condition {
            Condition::Absent(key) | Condition::Modified(key, _) | Condition::Created(key, _) => key.len(),
            Condition::Equals(key, value) => key.len() + value.len(),
        });
        let changes = self.changes.iter().map(|change| match change {
            Write::Put { key, value, .. } => key.len() + value.len(),
            Write::Delete(key) => key.len(),
        });
        conditions.chain(changes).sum()
    }

    /// What every implementation asks first.
    ///
    /// # Errors
    /// [`MetaError::TooLarge`].
    ///
    /// # Panics
    /// If two changes are of one key.
    pub fn check(&self) -> Result<(), MetaError> {
        let (operations, bytes) = (self.operations(), self.bytes());
        if operations > TRANSACTION_OPERATIONS_MAX || bytes > TRANSACTION_BYTES_MAX {
            return Err(MetaError::TooLarge { operations, bytes });
        }
        let mut keys: Vec<&[u8]> = self.changes.iter().map(Write::key).collect();
        keys.sort_unstable();
        if let Some(pair) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
            panic!("a transaction changes {} twice", pair[0].escape_ascii());
        }
        Ok(())
    }
}

impl Write {
    /// The key that changes.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Put { key, .. } | Self::Delete(key) => key,
        }
    }
}

impl Change {
    /// The key that changed.
    pub fn key(&self) -> &Bytes {
        match self {
            Self::Put(entry) => &entry.key,
            Self::Delete { key, .. } => key,
        }
    }

    /// When.
    pub fn revision(&self) -> Revision {
        match self {
            Self::Put(entry) => entry.modified,
            Self::Delete { revision, .. } => *revision,
        }
    }
}

/// How meta fails.
#[derive(Clone, PartialEq, Debug)]
pub enum MetaError {
    /// A condition isn't met: nothing changed.
    Refused,
    /// More than [`TRANSACTION_OPERATIONS_MAX`] operations or [`TRANSACTION_BYTES_MAX`] bytes: nothing changed.
    TooLarge {
        /// How many operations.
        operations: usize,
        /// Bytes of keys and values.
        bytes: usize,
    },
    /// Changes since the asked revision are no longer known: list, and watch from there.
    Compacted,
    /// The lease has ended: nothing changed.
    LeaseLost,
    /// Can't be reached: the outcome of a transaction is unknown.
    Unavailable(Error),
    /// What was read isn't what was written (`docs/design.md` rule 7), or the store can't be opened as it is.
    Damaged(Error),
}

impl fmt::Display for MetaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("a condition of the meta transaction isn't met"),
            Self::TooLarge { operations, bytes } => write!(
                f,
                "a meta transaction of {operations} operations and {bytes} bytes exceeds {TRANSACTION_OPERATIONS_MAX} operations or {TRANSACTION_BYTES_MAX} bytes"
            ),
            Self::Compacted => f.write_str("meta no longer knows the changes since the asked revision"),
            Self::LeaseLost => f.write_str("the meta lease has ended"),
            Self::Unavailable(error) | Self::Damaged(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for MetaError {}

/// For callers who pass a failure on. What a condition's refusal means only they know: they look at it first.
impl From<MetaError> for Error {
    fn from(error: MetaError) -> Self {
        match error {
            MetaError::Unavailable(error) | MetaError::Damaged(error) => error,
            MetaError::Refused | MetaError::LeaseLost | MetaError::Compacted => Self::new(Code::SERVICE_UNAVAILABLE, error.to_string()),
            MetaError::TooLarge { .. } => Self::internal(error),
        }
    }
}
