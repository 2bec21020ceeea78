//! A live copy of all documents of a kind: a listing, kept up by a watch, and listed again where the watch knows no more.
//!
//! Whoever follows gets each difference once, also those that a new listing shows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::clock::Clock;
use bytes::Bytes;
use types::Error;

use crate::catalog::document::{Document, Versioned, prefix, read};
use crate::store::{Change, Meta, MetaError, Revision, Watch};

/// Before a listing that failed is tried again.
const RETRY_WAIT: Duration = Duration::from_millis(200);

/// The copy. It is as of some moment in the past; what it shows was true together.
pub struct Mirror<D: Document> {
    meta: Arc<dyn Meta>,
    clock: Clock,
    /// When each key was last put, readable or not.
    keys: BTreeMap<Bytes, Revision>,
    documents: BTreeMap<D::Id, Versioned<D>>,
    /// The last revision that is in the copy.
    revision: Revision,
    watch: Option<Box<dyn Watch>>,
}

/// A difference.
#[derive(Clone, PartialEq, Debug)]
pub enum Difference<D: Document> {
    /// New, or changed. A document that was removed and made again has another `created`.
    Put(Versioned<D>),
    /// Gone.
    Gone(D::Id),
    /// There, but it can't be read: the copy is without it. A document that was there before is [`Difference::Gone`] first.
    Damaged {
        /// Under which key.
        key: Bytes,
        /// Why, with the key.
        error: Error,
    },
}

impl<D: Document> Mirror<D> {
    /// A copy as of now, and what it has as differences from nothing.
    pub async fn open(meta: &Arc<dyn Meta>, clock: &Clock) -> Result<(Self, Vec<Difference<D>>), MetaError> {
        let mut mirror = Self {
            meta: meta.clone(),
            clock: clock.clone(),
            keys: BTreeMap::new(),
            documents: BTreeMap::new(),
            revision: Revision::default(),
            watch: None,
        };
        let differences = mirror.list().await?;
        Ok((mirror, differences))
    }

    /// The documents.
    pub fn documents(&self) -> &BTreeMap<D::Id, Versioned<D>> {
        &self.documents
    }

    /// Waits for differences, takes them up and gives them. Waits while meta is away. Cancel safe.
    ///
    /// # Errors
    /// [`MetaError::Damaged`] if the store itself is.
    pub async fn next(&mut self) -> Result<Vec<Difference<D>>, MetaError> {
        loop {
            match self.step().await {
                Ok(differences) if differences.is_empty() => {}
                Ok(differences) => return Ok(differences),
                Err(MetaError::Damaged(error)) => return Err(MetaError::Damaged(error)),
                Err(error) => {
                    tracing::debug!(kind = D::KIND, %error, "a copy is behind");
                    self.clock.sleep(RETRY_WAIT).await;
                }
            }
        }
    }

    async fn step(&mut self) -> Result<Vec<Difference<D>>, MetaError> {
        let opened = match &mut self.watch {
            Some(watch) => watch.next().await,
            None => {
                let watch = self.meta.watch(prefix::<D>().as_bytes(), self.revision.next()).await;
                watch.map(|watch| {
                    self.watch = Some(watch);
                    Vec::new()
                })
            }
        };
        match opened {
            Ok(changes) => Ok(self.take_changes(changes)),
            Err(error) => {
                self.watch = None;
                if error != MetaError::Compacted {
                    return Err(error);
                }
                self.list().await
            }
        }
    }

    async fn list(&mut self) -> Result<Vec<Difference<D>>, MetaError> {
        let listing = self.meta.list(prefix::<D>().as_bytes()).await?;
        let there: BTreeMap<_, _> = listing.entries.iter().map(|entry| (&entry.key, entry)).collect();
        let gone = self.keys.keys().filter(|key| !there.contains_key(key)).cloned();
        let mut changes: Vec<_> = gone.map(|key| Change::Delete { key, revision: listing.revision }).collect();
        let changed = there.into_values().filter(|entry| self.keys.get(&entry.key) != Some(&entry.modified));
        changes.extend(changed.cloned().map(Change::Put));
        let differences = self.take_changes(changes);
        self.revision = listing.revision;
        Ok(differences)
    }

    fn take_changes(&mut self, changes: Vec<Change>) -> Vec<Difference<D>> {
        let mut differences = Vec::with_capacity(changes.len());
        for change in changes {
            self.revision = self.revision.max(change.revision());
            match change {
                Change::Put(entry) => {
                    self.keys.insert(entry.key.clone(), entry.modified);
                    match read::<D>(&entry) {
                        Ok(document) => {
                            self.documents.insert(document.value.id(), document.clone());
                            differences.push(Difference::Put(document));
                        }
                        Err(error) => {
                            differences.extend(self.remove(&entry.key));
                            differences.push(Difference::Damaged { key: entry.key, error });
                        }
                    }
                }
                Change::Delete { key, .. } => {
                    self.keys.remove(&key);
                    differences.extend(self.remove(&key));
                }
            }
        }
        differences
    }

    fn remove(&mut self, key: &[u8]) -> Option<Difference<D>> {
        let path = std::str::from_utf8(key).ok()?.strip_prefix(&prefix::<D>())?;
        let id = D::parse(path)?;
        self.documents.remove(&id).map(|_| Difference::Gone(id))
    }
}
