//! The embedded store: one file, `meta.redb`, in the directory of a process that has it for itself.
//!
//! Every transaction is durable before it is answered; those that wait at the same time share one commit (one writer task, [`writer`]).
//! Reads are of the last durable state. Watches and leases live in the process: watches know the changes since it began, and what went
//! with leases of a process before is removed when the file is opened.
//!
//! Not here: a simulated disk. redb does its own I/O, on [`base::task::Tasks::blocking`]; simulations use [`crate::memory`].
//!
//! Invariants: a lock on `meta.lock` is held as long as the file may be touched; each row has a checksum of its own, compared at every
//! read (`docs/design.md` rule 7); after a failed commit nothing more is done until the file was closed, opened and read again ([`file`]).

#[cfg(test)]
mod crashes;
mod file;
mod row;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::World;
use base::disk::Lock;
use base::task::Task;
use base::watch;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use types::{Code, Error};

use crate::change_log::ChangeLog;
use crate::lease::Leases;
use crate::store::{Entry, LeaseId, Listing, Meta, MetaError, Revision, Transaction, Watch};
use file::StoreFile;
use writer::{Request, Work, Writer};

/// The file's name in its directory.
pub const FILE_NAME: &str = "meta.redb";
/// The lock's name beside it.
pub const LOCK_NAME: &str = "meta.lock";
/// Transactions that may wait for the writer; more callers wait outside.
const WAITING_MAX: usize = 1_024;

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct RedbOptions {
    /// Bytes of pages that are kept in memory.
    pub cache_bytes: usize,
    /// Changes that are remembered for watches.
    pub changes_kept: usize,
}

impl Default for RedbOptions {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, changes_kept: 10_000 }
    }
}

/// The store. Closed by [`RedbMeta::close`]; else some time after its last clone is gone, with whatever is on its way done or not.
#[derive(Clone)]
pub struct RedbMeta {
    shared: Arc<Shared>,
}

/// What callers, the writer and watches share.
struct Shared {
    world: World,
    file: StoreFile,
    requests: mpsc::Sender<Request>,
    live: Arc<Live>,
    _writer: Task<()>,
}

/// What lives in the process only.
struct Live {
    log: Mutex<ChangeLog>,
    /// Ticks after each commit that changed something.
    tick: watch::Sender<u64>,
    leases: Mutex<Leases>,
    /// Wakes the writer when a lease was granted or ended.
    leases_changed: Notify,
}

impl RedbMeta {
    /// Opens or makes the store in `directory`.
    ///
    /// # Errors
    /// [`MetaError::Unavailable`] if another process has it (nothing was touched then) or the file can't be reached; [`MetaError::Damaged`],
    /// naming the file, if it isn't what was written.
    pub async fn open(world: &World, directory: &Path, options: RedbOptions) -> Result<Self, MetaError> {
        let path = directory.join(FILE_NAME);
        let failed = |error: std::io::Error| MetaError::Unavailable(Error::io(format!("meta file {}", path.display()), error));
        world.disk.create_directory(directory).await.map_err(failed)?;
        let lock = lock(world, directory).await?;
        let file = StoreFile::new(path.clone(), options.cache_bytes, lock);
        let meta = Self::start(world, file, options.changes_kept).await?;
        world.disk.sync_directory(directory).await.map_err(failed)?;
        Ok(meta)
    }

    async fn start(world: &World, file: StoreFile, changes_kept: usize) -> Result<Self, MetaError> {
        let opening = file.clone();
        let opened = world.tasks.blocking(move || opening.open()).await?;
        let live = Arc::new(Live {
            log: Mutex::new(ChangeLog::after(opened.revision, changes_kept)),
            tick: watch::Sender::new(0),
            leases: Mutex::default(),
            leases_changed: Notify::new(),
        });
        let (requests, waiting) = mpsc::channel(WAITING_MAX);
        let writer = Writer::new(file.clone(), live.clone(), opened);
        let writer = world.tasks.spawn(writer::run(world.clone(), writer, waiting));
        Ok(Self { shared: Arc::new(Shared { world: world.clone(), file, requests, live, _writer: writer }) })
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.shared.file.path().to_owned()
    }

    /// Makes what waits, closes the file and lets go of the lock: another process may open it when this returns. Every later call fails.
    pub async fn close(&self) {
        // An error says that the writer has gone already.
        drop(self.request(Work::Close).await);
    }

    async fn request(&self, work: Work) -> Result<Revision, MetaError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.shared.requests.send(Request { work, answer }).await;
        let answer = match sent {
            Ok(()) => answered.await.ok(),
            Err(_) => None,
        };
        answer.unwrap_or_else(|| Err(self.stopped()))
    }

    fn stopped(&self) -> MetaError {
        let what = format!("meta file {}: the process is stopping", self.shared.file.path().display());
        MetaError::Unavailable(Error::new(Code::SERVICE_UNAVAILABLE, what))
    }
}

async fn lock(world: &World, directory: &Path) -> Result<Box<dyn Lock>, MetaError> {
    let path = directory.join(LOCK_NAME);
    world.disk.lock(&path).await.map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::WouldBlock => {
                let text = format!("the data in {} is in use by another process: {} is locked", directory.display(), path.display());
                Error::new(Code::SERVICE_UNAVAILABLE, text)
            }
            _ => Error::io(format!("lock {}", path.display()), error),
        };
        MetaError::Unavailable(why)
    })
}

#[async_trait]
impl Meta for RedbMeta {
    fn kind(&self) -> &'static str {
        "redb"
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Entry>, MetaError> {
        let (file, key) = (self.shared.file.clone(), Bytes::copy_from_slice(key));
        self.shared.world.tasks.blocking(move || file.get(&key)).await
    }

    async fn list(&self, prefix: &[u8]) -> Result<Listing, MetaError> {
        let (file, prefix) = (self.shared.file.clone(), Bytes::copy_from_slice(prefix));
        self.shared.world.tasks.blocking(move || file.list(&prefix)).await
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, MetaError> {
        transaction.check()?;
        self.request(Work::Commit(transaction)).await
    }

    async fn watch(&self, prefix: &[u8], from: Revision) -> Result<Box<dyn Watch>, MetaError> {
        let tick = self.shared.live.tick.subscribe();
        self.shared.live.log.lock().since(from, prefix)?;
        Ok(Box::new(RedbWatch { meta: self.clone(), tick, prefix: Bytes::copy_from_slice(prefix), next: from }))
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, MetaError> {
        let lease = self.shared.live.leases.lock().grant(ttl, self.shared.world.clock.now());
        self.shared.live.leases_changed.notify_one();
        Ok(lease)
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), MetaError> {
        self.shared.live.leases.lock().keep_alive(lease, self.shared.world.clock.now())
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), MetaError> {
        if !self.shared.live.leases.lock().end(lease) {
            return Err(MetaError::LeaseLost);
        }
        self.shared.live.leases_changed.notify_one();
        self.request(Work::Barrier).await.map(drop)
    }
}

struct RedbWatch {
    meta: RedbMeta,
    tick: watch::Receiver<u64>,
    prefix: Bytes,
    next: Revision,
}

#[async_trait]
impl Watch for RedbWatch {
    async fn next(&mut self) -> Result<Vec<crate::store::Change>, MetaError> {
        loop {
            self.tick.mark_unchanged();
            let (changes, next) = self.meta.shared.live.log.lock().since(self.next, &self.prefix)?;
            self.next = next;
            if !changes.is_empty() {
                return Ok(changes);
            }
            if self.tick.changed().await.is_err() {
                return Err(self.meta.stopped());
            }
        }
    }
}
