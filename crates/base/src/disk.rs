//! Files of a process's own: the few operations that durable structures are built of, and what a crash may do between them.
//!
//! The contract, which [`RealDisk`] gets from the file system and the simulated disk enforces:
//! - bytes that were written but not synced may be lost, in part and in any order, at a crash; a torn write leaves any mix of
//!   its own bytes and what was there (zeros beyond the old end);
//! - `sync` makes the file's bytes and length durable; a name (create, rename, remove) is durable after [`Disk::sync_directory`];
//! - after a failed sync nobody knows what is durable: the file must be reopened and read;
//! - dropping a call's future doesn't undo the call: a write may still happen.
//!
//! Not here: mapped files and direct I/O. [`simulated`] is the disk that loses whatever it may.

pub mod simulated;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

/// A file system as a log or a store needs it.
#[async_trait]
pub trait Disk: Send + Sync {
    /// Opens a file for reading and writing; `create` makes it (empty) if it isn't there.
    async fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn File>>;

    /// Makes a directory and its parents, durably.
    async fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Paths of what is right under a directory, sorted; an absent directory is `NotFound`.
    async fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;

    /// Puts the file at `from` in the place of `to`, atomically.
    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file; an absent one is `NotFound`.
    async fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    async fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// Takes a lock that ends with the process or the returned guard; `WouldBlock` if another process has it.
    async fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;
}

/// An open file.
#[allow(clippy::len_without_is_empty, reason = "a length is asked of the operating system, and may have changed when it is looked at")]
#[async_trait]
pub trait File: Send + Sync {
    /// Writes `parts` one after the other at `offset`.
    async fn write_at(&self, offset: u64, parts: Vec<Bytes>) -> io::Result<()>;

    /// Up to `length` bytes from `offset`; fewer only at the end of the file.
    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes>;

    /// Makes everything written so far durable.
    async fn sync(&self) -> io::Result<()>;

    /// The length in bytes.
    async fn len(&self) -> io::Result<u64>;

    /// Cuts or extends (with zeros).
    async fn set_len(&self, length: u64) -> io::Result<()>;
}

/// Holds a lock until it is dropped.
pub trait Lock: Send + Sync {}

/// The machine's file system.
pub struct RealDisk;

struct RealFile {
    file: Arc<std::fs::File>,
}

struct RealLock {
    _file: std::fs::File,
}

impl Lock for RealLock {}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(if path.is_absolute() { path } else { Path::new(".") })
}

fn sync_names(directory: &Path) -> io::Result<()> {
    std::fs::File::open(directory)?.sync_all()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[async_trait]
impl Disk for RealDisk {
    async fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn File>> {
        let path = path.to_owned();
        let file = blocking(move || std::fs::OpenOptions::new().read(true).write(true).create(create).truncate(false).open(path)).await?;
        Ok(Arc::new(RealFile { file: Arc::new(file) }))
    }

    async fn create_directory(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        blocking(move || {
            let absent: Vec<_> = path.ancestors().take_while(|ancestor| !ancestor.exists()).map(Path::to_owned).collect();
            std::fs::create_dir_all(&path)?;
            for made in absent.iter().rev() {
                sync_names(parent(made))?;
            }
            if absent.is_empty() {
                // It may stem from an attempt that ended before its sync. Who may not read the parent can't have made it.
                match sync_names(parent(&path)) {
                    Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
                    _ => {}
                }
            }
            Ok(())
        })
        .await
    }

    async fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let directory = directory.to_owned();
        blocking(move || {
            let mut names = std::fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
            names.sort();
            Ok(names)
        })
        .await
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (from.to_owned(), to.to_owned());
        blocking(move || std::fs::rename(from, to)).await
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        blocking(move || std::fs::remove_file(path)).await
    }

    async fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let directory = directory.to_owned();
        blocking(move || sync_names(&directory)).await
    }

    async fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let path = path.to_owned();
        blocking(move || {
            let file = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
            match file.try_lock() {
                Ok(()) => Ok(Box::new(RealLock { _file: file }) as Box<dyn Lock>),
                Err(std::fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
                Err(std::fs::TryLockError::Error(error)) => Err(error),
            }
        })
        .await
    }
}

#[async_trait]
impl File for RealFile {
    async fn write_at(&self, offset: u64, parts: Vec<Bytes>) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        let file = self.file.clone();
        blocking(move || {
            let mut at = offset;
            for part in parts {
                file.write_all_at(&part, at)?;
                at += part.len() as u64;
            }
            Ok(())
        })
        .await
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        use std::os::unix::fs::FileExt;
        let file = self.file.clone();
        blocking(move || {
            let there = file.metadata()?.len().saturating_sub(offset);
            let mut bytes = vec![0; length.min(usize::try_from(there).unwrap_or(usize::MAX))];
            let mut filled = 0;
            while filled < bytes.len() {
                match file.read_at(&mut bytes[filled..], offset + filled as u64) {
                    // Cut by another since its length was read.
                    Ok(0) => bytes.truncate(filled),
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(bytes.into())
        })
        .await
    }

    async fn sync(&self) -> io::Result<()> {
        let file = self.file.clone();
        blocking(move || {
            file.sync_data().inspect_err(|_| {
                // Linux keeps the pages that it couldn't write, as if they were on the disk. Without them, who reads again reads the disk.
                #[cfg(target_os = "linux")]
                let _ = rustix::fs::fadvise(&*file, 0, None, rustix::fs::Advice::DontNeed);
            })
        })
        .await
    }

    async fn len(&self) -> io::Result<u64> {
        let file = self.file.clone();
        blocking(move || Ok(file.metadata()?.len())).await
    }

    async fn set_len(&self, length: u64) -> io::Result<()> {
        let file = self.file.clone();
        blocking(move || file.set_len(length)).await
    }
}
