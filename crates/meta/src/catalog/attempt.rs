//! Sending a change until its outcome is known, so that it is made at most once.
//!
//! An attempt without an answer may arrive at any later time: also when what a second attempt made has been removed again, and its conditions hold
//! once more. So each attempt is on condition that it isn't *revoked*, and before the next one is sent its revocation is committed: from then
//! on it has happened or never will.
//!
//! A revocation is a key `revoked/<the fence's key>/<attempt>`. It may go when the next leader of the office begins: attempts of terms before
//! don't pass their own fence.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use types::Error;

use super::document::PREFIX;
use super::{Catalog, Change, FORGET_BATCH, unavailable};
use crate::store::{Condition, MetaError, Revision, TRANSACTION_BYTES_MAX, TRANSACTION_OPERATIONS_MAX, Transaction, Write};

/// Operations of a change: one of its transaction's is the condition that it isn't revoked.
pub(super) const OPERATIONS_MAX: usize = TRANSACTION_OPERATIONS_MAX - 1;
/// Bytes of a revocation's key: offices have short names.
const NAME_BYTES_MAX: usize = 128;
/// How often a transaction is sent, or its revocation where it had no answer.
const TRIES_MAX: u32 = 5;
/// The first wait between two tries; each next one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// Of changes that need no leader.
const NO_FENCE: &str = "none";

/// Whether a change fits one transaction.
pub(super) fn fits(change: &Transaction) -> bool {
    let is_small = change.operations() <= OPERATIONS_MAX && change.bytes() + NAME_BYTES_MAX <= TRANSACTION_BYTES_MAX;
    is_small && change.check().is_ok()
}

pub(super) async fn commit(catalog: &Catalog, change: &Change) -> Result<Revision, MetaError> {
    let mut unknown: Option<Error> = None;
    let mut open: Option<Bytes> = None;
    let mut wait = FIRST_WAIT;
    for _ in 0..TRIES_MAX {
        let revoked = match &open {
            Some(attempt) => catalog.meta.commit(Transaction::new().put(attempt.clone(), "")).await.map(drop),
            None => Ok(()),
        };
        match revoked {
            Ok(()) => {
                let attempt = name(catalog, change.transaction());
                let transaction = change.transaction().clone().when(Condition::Absent(attempt.clone()));
                match (catalog.meta.commit(transaction).await, unknown.take()) {
                    (Ok(revision), _) => return Ok(revision),
                    (Err(MetaError::Refused), Some(error)) => return read_back(catalog, change.transaction(), error).await,
                    (Err(MetaError::Unavailable(error)), _) => (unknown, open) = (Some(error), Some(attempt)),
                    (Err(error), _) => return Err(error),
                }
            }
            Err(MetaError::Unavailable(error)) => unknown = Some(error),
            Err(error) => return Err(error),
        }
        catalog.clock.sleep(wait).await;
        wait *= 2;
    }
    Err(unknown.map_or_else(|| unavailable("meta: no attempt was made"), MetaError::Unavailable))
}

fn name(catalog: &Catalog, transaction: &Transaction) -> Bytes {
    let number = catalog.attempts.fetch_add(1, Ordering::Relaxed);
    let mut name = below(transaction.conditions.iter().find(|condition| matches!(condition, Condition::Created(..))));
    // An office may come to this process again, and its numbers begin anew with the process.
    name.extend_from_slice(format!("{}-{number}", catalog.clock.wall_ms()).as_bytes());
    name.into()
}

fn below(fence: Option<&Condition>) -> Vec<u8> {
    let key = match fence {
        Some(Condition::Created(key, _)) => key,
        _ => NO_FENCE.as_bytes(),
    };
    [b"revoked/", key, b"/"].concat()
}

/// Whether an earlier attempt is what refused the last one: a put of ours is still there, or all that was to go has gone.
async fn read_back(catalog: &Catalog, transaction: &Transaction, error: Error) -> Result<Revision, MetaError> {
    let mut all_gone = true;
    let mut revision = Revision::default();
    for write in &transaction.changes {
        let there = catalog.meta.get(write.key()).await?;
        match (write, there) {
            (Write::Put { value, .. }, Some(entry)) if entry.value == *value => return Ok(entry.modified),
            (Write::Put { .. }, _) => all_gone = false,
            (Write::Delete(_), Some(entry)) => {
                all_gone = false;
                revision = revision.max(entry.modified);
            }
            (Write::Delete(_), None) => {}
        }
    }
    if all_gone {
        return Ok(catalog.meta.list(PREFIX.as_bytes()).await?.revision);
    }
    Err(MetaError::Unavailable(error.context("meta: others have changed what this transaction would have changed")))
}

pub(super) async fn forget_revocations(catalog: &Catalog, fence: &Condition) -> Result<(), MetaError> {
    let listing = catalog.meta.list(&below(Some(fence))).await?;
    for batch in listing.entries.chunks(FORGET_BATCH) {
        let forget = batch.iter().fold(Transaction::new().when(fence.clone()), |forget, entry| forget.delete(entry.key.clone()));
        catalog.meta.commit(forget).await?;
    }
    Ok(())
}
