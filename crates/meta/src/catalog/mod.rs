//! The typed catalog: databases, collections, names, schemas, indexes, loads, shards, channels, garbage and open operations.
//!
//! Not here: who may change what, in which order and with which texts (coordinators), elections ([`crate::election`]).
//!
//! Invariants: one document under one key, one key changed only by compare-and-swap; control-plane changes carry the leader's fence;
//! a document that can't be read is named and left out, never guessed. Keys and values are described in `docs/formats/meta.md`.
//!
//! Start at [`model`] for what there is, [`Change`] and [`definition`] for how it changes, [`Loaded`] for the whole in memory.

mod attempt;
pub mod change;
pub mod definition;
pub mod document;
mod layout;
pub mod loaded;
pub mod model;
mod staged;
mod stored;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use base::clock::Clock;
use types::time::Timestamp;
use types::{Code, Error};

use crate::store::{Condition, Meta, MetaError, Revision, Watch};
pub use change::Change;
pub use definition::Begin;
use document::{Document, PREFIX, Versioned, key, prefix, read};
use layout::{LAYOUT, Layout};
pub use loaded::Loaded;
use model::{Collection, DEFAULT_DATABASE, DEFAULT_DATABASE_NAME, Database, Indexes, Intent, SchemaVersion, Shard};

/// How often a load looks again while a staged change is put in place, [`STAGE_WAIT`] apart.
const STAGE_ATTEMPTS_MAX: u32 = 100;
/// See [`STAGE_ATTEMPTS_MAX`].
const STAGE_WAIT: Duration = Duration::from_millis(50);
/// Documents removed by one transaction when a collection goes.
const FORGET_BATCH: usize = 24;

/// The catalog in a store. Clones share the store.
#[derive(Clone)]
pub struct Catalog {
    meta: Arc<dyn Meta>,
    clock: Clock,
    /// Of attempts at changes, so that each has a name of its own.
    attempts: Arc<AtomicU64>,
}

impl Catalog {
    /// The catalog in `meta`.
    pub fn new(meta: Arc<dyn Meta>, clock: Clock) -> Self {
        Self { meta, clock, attempts: Arc::default() }
    }

    /// The store below.
    pub fn meta(&self) -> &Arc<dyn Meta> {
        &self.meta
    }

    /// Makes a new catalog, with the `default` database; one that is there is left as it is.
    ///
    /// # Errors
    /// [`MetaError::Refused`] if the fence is lost; [`MetaError::Damaged`] if the catalog there has a layout that this build doesn't know.
    pub async fn initialize(&self, fence: Condition, now: Timestamp) -> Result<(), MetaError> {
        if let Some(layout) = self.read::<Layout>(&()).await? {
            return check_layout(Some(&layout));
        }
        let default = Database {
            id: DEFAULT_DATABASE,
            name: DEFAULT_DATABASE_NAME.to_owned(),
            properties: std::collections::BTreeMap::new(),
            created: now,
        };
        let change = Change::fenced(fence).create(&Layout { number: LAYOUT }).create_database(&default);
        self.commit(change).await.map(drop)
    }

    /// Everything, as of one revision. Waits while a staged change is put in place.
    ///
    /// # Errors
    /// [`MetaError::Damaged`] if the catalog has a layout that this build doesn't know.
    pub async fn load(&self) -> Result<Loaded, MetaError> {
        let mut last = None;
        for _ in 0..STAGE_ATTEMPTS_MAX {
            let loaded = self.load_staged().await?;
            match loaded.stages.values().next() {
                None => return Ok(loaded),
                Some(stage) => last = Some(stage.describe()),
            }
            self.clock.sleep(STAGE_WAIT).await;
        }
        let what = last.unwrap_or_default();
        Err(unavailable(format!("meta: {what} is being put in place by a leader that doesn't go on")))
    }

    async fn load_staged(&self) -> Result<Loaded, MetaError> {
        let listing = self.meta.list(PREFIX.as_bytes()).await?;
        let loaded = Loaded::from_listing(&listing);
        check_layout(loaded.layout.get(&()))?;
        if let Some(error) = loaded.damaged.get(&key::<Layout>(&())) {
            return Err(MetaError::Damaged(error.clone()));
        }
        Ok(loaded)
    }

    /// One document.
    ///
    /// # Errors
    /// [`MetaError::Damaged`], naming the key, if it can't be read.
    pub async fn read<D: Document>(&self, id: &D::Id) -> Result<Option<Versioned<D>>, MetaError> {
        let entry = self.meta.get(&key::<D>(id)).await?;
        entry.map(|entry| read(&entry).map_err(MetaError::Damaged)).transpose()
    }

    /// Every document of a kind whose path begins with `path` (empty: all), in order of keys, and as of when.
    ///
    /// # Errors
    /// [`MetaError::Damaged`], naming the key, if one can't be read.
    pub async fn list<D: Document>(&self, path: &str) -> Result<(Vec<Versioned<D>>, Revision), MetaError> {
        let listing = self.meta.list(format!("{}{path}", prefix::<D>()).as_bytes()).await?;
        let documents = listing.entries.iter().map(read).collect::<types::Result<_>>().map_err(MetaError::Damaged)?;
        Ok((documents, listing.revision))
    }

    /// Changes of the whole catalog at `from` and later, for [`Loaded::apply`]. After [`MetaError::Compacted`]: load again.
    pub async fn watch(&self, from: Revision) -> Result<Box<dyn Watch>, MetaError> {
        self.meta.watch(PREFIX.as_bytes(), from).await
    }

    /// Makes a change, at most once, as [`attempt`] says. With a store that doesn't answer it takes five of the store's time-outs: a leader stops waiting
    /// when it is lost.
    ///
    /// # Errors
    /// [`MetaError::Refused`]: nothing changed, and the change can't come true later. [`MetaError::Unavailable`]: the outcome is unknown;
    /// it may still come true while the leader leads.
    ///
    /// # Panics
    /// If the change wouldn't end one of its own conditions ([`Change::settles`]).
    pub async fn commit(&self, change: Change) -> Result<Revision, MetaError> {
        assert!(change.settles(), "a change of the catalog creates, replaces or removes a document");
        attempt::commit(self, &change).await
    }

    /// Forgets what earlier terms of this leader's office revoked.
    ///
    /// # Errors
    /// [`MetaError::Refused`] if the fence is lost; meta's.
    pub async fn forget_revocations(&self, fence: &Condition) -> Result<(), MetaError> {
        attempt::forget_revocations(self, fence).await
    }

    /// Removes all that a dropped collection still has, in several transactions, the collection and its intent last. May be called again.
    ///
    /// # Errors
    /// As [`Catalog::commit`].
    pub async fn forget_collection(
        &self,
        fence: Condition,
        collection: &Versioned<Collection>,
        intent: &Versioned<Intent>,
    ) -> Result<(), MetaError> {
        let id = collection.value.id;
        let below = definition::path_below(id);
        let (schemas, _) = self.list::<SchemaVersion>(&below).await?;
        let (shards, _) = self.list::<Shard>(&below).await?;
        for batch in schemas.chunks(FORGET_BATCH) {
            let change = batch.iter().fold(Change::fenced(fence.clone()), Change::remove);
            self.commit(change).await?;
        }
        for batch in shards.chunks(FORGET_BATCH) {
            let change = batch.iter().fold(Change::fenced(fence.clone()), Change::remove);
            self.commit(change).await?;
        }
        let last = Change::fenced(fence).remove(collection).remove(intent).forget::<Indexes>(&id);
        self.commit(last).await.map(drop)
    }
}

fn check_layout(layout: Option<&Versioned<Layout>>) -> Result<(), MetaError> {
    match layout {
        Some(layout) if layout.value.number != LAYOUT => Err(MetaError::Damaged(Error::corrupt(format!(
            "the catalog in meta has layout {}, and this build knows {LAYOUT}: nothing was touched",
            layout.value.number
        )))),
        _ => Ok(()),
    }
}

fn unavailable(what: impl Into<String>) -> MetaError {
    MetaError::Unavailable(Error::new(Code::SERVICE_UNAVAILABLE, what))
}
