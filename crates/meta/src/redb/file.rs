//! The file: opening, reading, and closing it after a failure so that it can be opened again.
//!
//! All of this blocks: callers are on blocking threads.

use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::disk::Lock;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition, WriteTransaction};
use types::{Code, Error};

use super::row;
use crate::lease::LeasedKeys;
use crate::store::{Entry, Listing, MetaError, Revision};

/// Rows by key.
pub(super) const ENTRIES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("entries");
/// [`REVISION`] and [`FORMAT`].
pub(super) const STATE: TableDefinition<&str, i64> = TableDefinition::new("state");
/// The last revision.
pub(super) const REVISION: &str = "revision";
/// Which arrangement of tables and rows this is.
const FORMAT: &str = "format";
/// The one that this build reads and writes.
const FORMAT_NUMBER: i64 = 1;

/// A file that may be open. Clones are the same one; with the last of them it is closed, and after that the lock let go.
#[derive(Clone)]
pub(super) struct StoreFile {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    cache_bytes: usize,
    /// `None` while it is closed after a failure, and at the end.
    database: RwLock<Option<Arc<Database>>>,
    /// Dropped after the database: fields are dropped in their order.
    lock: Mutex<Option<Box<dyn Lock>>>,
    /// Stands for the file in tests of what a disk may do.
    #[cfg(test)]
    disk: Option<super::crashes::CrashDisk>,
}

/// What opening found.
pub(super) struct Opened {
    /// The last durable revision.
    pub(super) revision: Revision,
    /// Keys with leases that this process may know: none when it has just begun.
    pub(super) leased: LeasedKeys,
}

impl StoreFile {
    /// A file that nobody else touches while `lock` is held.
    pub(super) fn new(path: PathBuf, cache_bytes: usize, lock: Box<dyn Lock>) -> Self {
        let shared = Shared {
            path,
            cache_bytes,
            database: RwLock::default(),
            lock: Mutex::new(Some(lock)),
            #[cfg(test)]
            disk: None,
        };
        Self { shared: Arc::new(shared) }
    }

    /// A file on a disk that may fail; made anew if it is empty.
    #[cfg(test)]
    pub(super) fn on(disk: &super::crashes::CrashDisk) -> Self {
        if disk.is_empty() {
            initialize(&Builder::new().create_with_backend(disk.open()).expect("it works")).expect("it works");
        }
        let (database, lock) = (RwLock::default(), Mutex::new(None));
        let shared = Shared { path: PathBuf::from("simulated"), cache_bytes: 1 << 20, database, lock, disk: Some(disk.clone()) };
        Self { shared: Arc::new(shared) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Closes it for good and lets go of the lock.
    pub(super) fn close(&self) {
        let closed = self.shared.database.write().take();
        let lock = self.shared.lock.lock().take();
        drop(closed);
        drop(lock);
    }

    /// Opens or makes the file as a process begins: checks all of it, and removes what went with leases of a process before.
    pub(super) fn open(&self) -> Result<Opened, MetaError> {
        #[cfg(test)]
        let on_disk = self.shared.disk.is_none();
        #[cfg(not(test))]
        let on_disk = true;
        if on_disk {
            self.check_length()?;
        }
        let database = self.open_database()?;
        let revision = self.prepare(&database)?;
        *self.shared.database.write() = Some(Arc::new(database));
        Ok(Opened { revision, leased: LeasedKeys::default() })
    }

    /// Closes and opens the file after a failure, within the same process: leases go on.
    pub(super) fn reopen(&self) -> Result<Opened, MetaError> {
        let closed = self.shared.database.write().take();
        // Reads that are on their way hold the old handle for a moment, and with it redb's own lock.
        if let Some(database) = closed
            && let Err(still_read) = Arc::try_unwrap(database)
        {
            *self.shared.database.write() = Some(still_read);
            return Err(self.unavailable("it is still being read"));
        }
        let database = Arc::new(self.open_database()?);
        let read = || -> Result<Opened, redb::Error> {
            let transaction = database.begin_read()?;
            let revision = transaction.open_table(STATE)?.get(REVISION)?.map_or(0, |value| value.value());
            let mut leased = LeasedKeys::default();
            for item in transaction.open_table(ENTRIES)?.iter()? {
                let (key, value) = item?;
                let entry = row::decode(key.value(), value.value()).ok_or_else(|| redb::Error::Corrupted(key_text(key.value())))?;
                leased.moved(&entry.key, None, entry.lease);
            }
            Ok(Opened { revision: Revision(revision), leased })
        };
        let opened = read().map_err(|error| self.failed(error))?;
        *self.shared.database.write() = Some(database);
        Ok(opened)
    }

    /// An empty file is what a lost one looks like, except that a crash while it was being made leaves one too: redb writes its header first of all.
    fn check_length(&self) -> Result<(), MetaError> {
        match std::fs::metadata(self.path()) {
            Ok(found) if found.len() == 0 => Err(self.damaged("it is empty; if nothing was ever stored, remove it")),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.make(),
            Err(error) => Err(self.unavailable(error)),
        }
    }

    /// Makes the file whole under another name first. The caller has the lock.
    fn make(&self) -> Result<(), MetaError> {
        let new = self.path().with_extension("new");
        let made = || -> Result<(), redb::Error> {
            match std::fs::remove_file(&new) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
            initialize(&Builder::new().create(&new)?)?;
            std::fs::rename(&new, self.path())?;
            Ok(())
        };
        made().map_err(|error| self.failed(error))
    }

    fn open_database(&self) -> Result<Database, MetaError> {
        let open = || {
            let mut builder = Builder::new();
            builder.set_cache_size(self.shared.cache_bytes).set_check_integrity_on_open(true);
            #[cfg(test)]
            if let Some(disk) = &self.shared.disk {
                return builder.create_with_backend(disk.open());
            }
            builder.open(self.path())
        };
        // A file that isn't redb's can trip its assertions before its checks.
        match catch_unwind(AssertUnwindSafe(open)) {
            Ok(Ok(database)) => Ok(database),
            Ok(Err(DatabaseError::DatabaseAlreadyOpen)) => Err(self.unavailable("another process has it open")),
            Ok(Err(DatabaseError::UpgradeRequired(version))) => Err(self.damaged(format_args!("its format is redb's version {version}"))),
            Ok(Err(error)) => Err(self.failed(error.into())),
            Err(_) => Err(self.damaged("its pages contradict each other")),
        }
    }

    /// Checks the format and every row, and removes rows with a lease. Returns the revision.
    fn prepare(&self, database: &Database) -> Result<Revision, MetaError> {
        let prepared = || -> Result<Result<i64, String>, redb::Error> {
            let transaction = database.begin_write()?;
            let (revision, format) = {
                let state = transaction.open_table(STATE)?;
                let number = |name: &str| Ok::<_, redb::Error>(state.get(name)?.map(|value| value.value()));
                (number(REVISION)?, number(FORMAT)?)
            };
            let (Some(revision), Some(FORMAT_NUMBER)) = (revision, format) else {
                return Ok(Err(format!("its format is {format:?}, and this build reads {FORMAT_NUMBER}")));
            };
            let leased = match leased_keys(&transaction)? {
                Ok(keys) if keys.is_empty() => return Ok(Ok(revision)),
                Ok(keys) => keys,
                Err(key) => return Ok(Err(format!("the value of {key} has another checksum"))),
            };
            for key in &leased {
                transaction.open_table(ENTRIES)?.remove(&**key)?;
            }
            transaction.open_table(STATE)?.insert(REVISION, revision + 1)?;
            transaction.commit()?;
            Ok(Ok(revision + 1))
        };
        match prepared() {
            Ok(Ok(revision)) => Ok(Revision(revision)),
            Ok(Err(why)) => Err(self.damaged(why)),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// The open file.
    pub(super) fn database(&self) -> Result<Arc<Database>, MetaError> {
        self.shared.database.read().clone().ok_or_else(|| self.unavailable("it is closed after a failure and will be opened again"))
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Entry>, MetaError> {
        let database = self.database()?;
        let read = || -> Result<Option<Option<Entry>>, redb::Error> {
            let table = database.begin_read()?.open_table(ENTRIES)?;
            Ok(table.get(key)?.map(|value| row::decode(key, value.value())))
        };
        match read().map_err(|error| self.failed(error))? {
            Some(None) => Err(self.damaged_row(key)),
            Some(entry) => Ok(entry),
            None => Ok(None),
        }
    }

    pub(super) fn list(&self, prefix: &[u8]) -> Result<Listing, MetaError> {
        let database = self.database()?;
        let read = || -> Result<Result<Listing, Vec<u8>>, redb::Error> {
            let transaction = database.begin_read()?;
            let revision = Revision(transaction.open_table(STATE)?.get(REVISION)?.map_or(0, |value| value.value()));
            let table = transaction.open_table(ENTRIES)?;
            let mut entries = Vec::new();
            for item in table.range::<&[u8]>((Bound::Included(prefix), Bound::Unbounded))? {
                let (key, value) = item?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                match row::decode(key.value(), value.value()) {
                    Some(entry) => entries.push(entry),
                    None => return Ok(Err(key.value().to_vec())),
                }
            }
            Ok(Ok(Listing { entries, revision }))
        };
        read().map_err(|error| self.failed(error))?.map_err(|key| self.damaged_row(&key))
    }

    pub(super) fn damaged_row(&self, key: &[u8]) -> MetaError {
        self.damaged(format_args!("the value of {} has another checksum", key_text(key)))
    }

    fn damaged(&self, why: impl std::fmt::Display) -> MetaError {
        MetaError::Damaged(Error::corrupt(format_args!("meta file {}: {why}", self.path().display())))
    }

    pub(super) fn unavailable(&self, why: impl std::fmt::Display) -> MetaError {
        MetaError::Unavailable(Error::new(Code::SERVICE_UNAVAILABLE, format!("meta file {}: {why}", self.path().display())))
    }

    /// What redb says, sorted into damage and trouble.
    pub(super) fn failed(&self, error: redb::Error) -> MetaError {
        use std::io::ErrorKind::{InvalidData, UnexpectedEof};
        match &error {
            redb::Error::Corrupted(_) | redb::Error::TableDoesNotExist(_) | redb::Error::TableTypeMismatch { .. } => self.damaged(error),
            redb::Error::Io(io) if matches!(io.kind(), InvalidData | UnexpectedEof) => self.damaged(error),
            _ => MetaError::Unavailable(Error::io(format!("meta file {}", self.path().display()), error)),
        }
    }
}

/// Makes the tables of an empty database.
fn initialize(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(ENTRIES)?;
    let mut state = transaction.open_table(STATE)?;
    state.insert(REVISION, 1)?;
    state.insert(FORMAT, FORMAT_NUMBER)?;
    drop(state);
    transaction.commit()?;
    Ok(())
}

/// Keys with a lease, or the first key whose row is damaged.
fn leased_keys(transaction: &WriteTransaction) -> Result<Result<Vec<Bytes>, String>, redb::Error> {
    let mut leased = Vec::new();
    for item in transaction.open_table(ENTRIES)?.iter()? {
        let (key, value) = item?;
        match row::decode(key.value(), value.value()) {
            Some(entry) if entry.lease.is_some() => leased.push(entry.key),
            Some(_) => {}
            None => return Ok(Err(key_text(key.value()))),
        }
    }
    Ok(Ok(leased))
}

fn key_text(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}

/// For `?` on redb's narrower errors.
pub(super) fn storage(error: StorageError) -> redb::Error {
    error.into()
}
