//! The catalog in memory, kept level with meta by a watch: coordinators read it without waiting and see their own commits.

use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::watch;
use meta::catalog::document::Versioned;
use meta::catalog::model::Collection;
use meta::catalog::{Catalog, Change, Loaded};
use meta::store::{MetaError, Revision};
use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;
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
    level: watch::Receiver<Revision>,
}

impl View {
    /// Loads the catalog and follows it until `ended`.
    pub async fn follow(world: &World, catalog: Catalog, ended: &CancellationToken) -> Result<Self> {
        let first = catalog.load().await.map_err(meta_error)?;
        let (raise, level) = watch::channel(first.revision);
        let loaded = Arc::new(RwLock::new(first));
        let ended = ended.clone();
        let following = keep_level(world.clone(), catalog.clone(), loaded.clone(), raise);
        world.tasks.spawn(async move { ended.run_until_cancelled(following).await }).detach();
        Ok(Self { catalog, loaded, level })
    }

    /// Looks at the catalog. Keep it short: the watch waits.
    pub fn read<T>(&self, look: impl FnOnce(&Loaded) -> T) -> T {
        look(&self.loaded.read())
    }

    /// Commits, and waits until the view shows it.
    ///
    /// # Errors
    /// As [`Catalog::commit`].
    pub async fn commit(&self, world: &World, change: Change) -> Result<(), MetaError> {
        let revision = self.catalog.commit(change).await?;
        let mut level = self.level.clone();
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
        let mut changes = self.level.clone();
        changes.mark_unchanged();
        changes
    }
}

async fn keep_level(world: World, catalog: Catalog, loaded: Arc<RwLock<Loaded>>, raise: watch::Sender<Revision>) {
    loop {
        let from = loaded.read().revision.next();
        if let Err(error) = follow_from(&catalog, &loaded, &raise, from).await {
            if error == MetaError::Compacted {
                reload(&catalog, &loaded, &raise).await;
            }
            tracing::warn!(?error, "the watch of the catalog ended and begins again");
        }
        world.clock.sleep(RETRY).await;
    }
}

async fn follow_from(catalog: &Catalog, loaded: &RwLock<Loaded>, raise: &watch::Sender<Revision>, from: Revision) -> Result<(), MetaError> {
    let mut changes = catalog.watch(from).await?;
    loop {
        let next = changes.next().await?;
        let revision = {
            let mut loaded = loaded.write();
            loaded.apply(&next);
            loaded.revision
        };
        raise.send_replace(revision);
    }
}

async fn reload(catalog: &Catalog, loaded: &RwLock<Loaded>, raise: &watch::Sender<Revision>) {
    match catalog.load().await {
        Ok(anew) => {
            let revision = anew.revision;
            *loaded.write() = anew;
            raise.send_replace(revision);
        }
        Err(error) => tracing::warn!(?error, "the catalog can't be read"),
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
