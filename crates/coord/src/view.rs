//! The catalog in memory, kept level with meta by a watch: coordinators read it without waiting and see their own commits.

use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::watch;
use meta::catalog::document::Versioned;
use meta::catalog::model::Collection;
use meta::catalog::{Catalog, Change, Loaded};
use meta::store::{Change as MetaChange, MetaError, Revision};
use parking_lot::RwLock;
use tokio::sync::oneshot;
use types::id::CollectionId;
use types::{Code, Error, Result};

/// How long a watch that failed waits before the next try.
const RETRY: Duration = Duration::from_millis(200);
/// How long a commit waits until the view shows it: far above a watch's delay.
const LEVEL_MAX: Duration = Duration::from_secs(10);

/// A view of the catalog.
#[derive(Clone)]
pub(crate) struct View {
    catalog: Catalog,
    loaded: Arc<RwLock<Loaded>>,
    level: watch::Sender<Revision>,
}

impl View {
    /// Loads the catalog and follows it for as long as the process lives.
    pub async fn follow(world: &World, catalog: Catalog) -> Result<Self> {
        let first = catalog.load().await.map_err(meta_error)?;
        let level = watch::Sender::new(first.revision);
        let view = Self { catalog, loaded: Arc::new(RwLock::new(first)), level };
        world.tasks.spawn(keep_level(world.clone(), view.clone())).detach();
        Ok(view)
    }

    /// Has the view show everything that was committed before `since`, at once: a watch may be behind.
    ///
    /// # Errors
    /// Meta can't be reached or read.
    pub async fn reach(&self, since: Revision) -> Result<()> {
        if *self.level.borrow() < since {
            self.reload().await.map_err(meta_error)?;
        }
        Ok(())
    }

    async fn reload(&self) -> Result<(), MetaError> {
        let anew = self.catalog.load().await?;
        let revision = {
            let mut loaded = self.loaded.write();
            if anew.revision > loaded.revision {
                *loaded = anew;
            }
            loaded.revision
        };
        self.level.send_replace(revision);
        Ok(())
    }

    fn apply(&self, mut changes: Vec<MetaChange>) {
        let revision = {
            let mut loaded = self.loaded.write();
            // What a reload has brought already isn't undone.
            changes.retain(|change| change.revision() > loaded.revision);
            loaded.apply(&changes);
            loaded.revision
        };
        self.level.send_replace(revision);
    }

    /// Looks at the catalog. Keep it short: the watch waits.
    pub fn read<T>(&self, look: impl FnOnce(&Loaded) -> T) -> T {
        look(&self.loaded.read())
    }

    /// Commits, and waits until the view shows it. The commit goes on to its end where the caller leaves: one whose outcome is unknown could come true
    /// after what the caller does next.
    ///
    /// # Errors
    /// As [`Catalog::commit`].
    pub async fn commit(&self, world: &World, change: Change) -> Result<(), MetaError> {
        let (catalog, (done, committed)) = (self.catalog.clone(), oneshot::channel());
        world.tasks.spawn(async move { drop(done.send(catalog.commit(change).await)) }).detach();
        let going = || MetaError::Unavailable(Error::new(Code::SERVICE_NOT_READY, "the process stops: service not ready"));
        let revision = committed.await.unwrap_or_else(|_| Err(going()))?;
        let mut level = self.level.subscribe();
        let shown = level.wait_for(|shown| *shown >= revision);
        match world.within(LEVEL_MAX, shown).await {
            Some(Ok(_)) => Ok(()),
            _ => Err(MetaError::Unavailable(Error::new(Code::SERVICE_UNAVAILABLE, "meta's changes don't arrive: service unavailable"))),
        }
    }

    /// The typed catalog.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Resolves with each change of the catalog after the call.
    pub fn changes(&self) -> watch::Receiver<Revision> {
        self.level.subscribe()
    }
}

async fn keep_level(world: World, view: View) {
    loop {
        if let Err(error) = follow_from(&view).await {
            if error == MetaError::Compacted
                && let Err(error) = view.reload().await
            {
                tracing::warn!(?error, "the catalog can't be read");
            }
            tracing::warn!(?error, "the watch of the catalog ended and begins again");
        }
        world.clock.sleep(RETRY).await;
    }
}

async fn follow_from(view: &View) -> Result<(), MetaError> {
    let from = view.loaded.read().revision.next();
    let mut changes = view.catalog.watch(from).await?;
    loop {
        view.apply(changes.next().await?);
    }
}

/// A collection in any state.
///
/// # Errors
/// `COLLECTION_NOT_FOUND`; damage, by name.
pub(crate) fn collection(loaded: &Loaded, id: CollectionId) -> Result<&Versioned<Collection>> {
    match (loaded.collections.get(&id), loaded.damage::<Collection>(&id)) {
        (Some(found), _) => Ok(found),
        (None, Some(damage)) => Err(damage.clone()),
        (None, None) => Err(Error::about(Code::COLLECTION_NOT_FOUND, &[("collection", &id)])),
    }
}

/// Meta's failures as callers of a coordinator see them.
pub(crate) fn meta_error(error: MetaError) -> Error {
    match error {
        MetaError::Refused => Error::new(Code::UNSUPPORTED, "the catalog was changed at the same time: unsupported operation"),
        MetaError::TooLarge { operations, bytes } => Error::internal(format!("a transaction of {operations} operations and {bytes} bytes")),
        MetaError::Compacted | MetaError::LeaseLost => Error::new(Code::SERVICE_UNAVAILABLE, "meta: service unavailable"),
        MetaError::Unavailable(error) | MetaError::Damaged(error) => error,
    }
}
