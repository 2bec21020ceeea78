//! Objects as files of a directory.
//!
//! A put writes a file under `.partial/`, syncs it, gives it its name by a hard link (which fails where the name is taken: that is
//! put-if-absent) or a rename, and syncs the directories. So a name leads to a whole, durable file or to nothing, at any instruction.
//!
//! The directory belongs to one store; several processes may share it where the file system is shared.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use base::World;
use bytes::Bytes;
use types::{Code, Error};

use super::{ObjectInfo, Store, StoreError, beyond_the_end, check_name, check_prefix};
use crate::mmap;
use crate::name::AttemptId;

/// Where files are until they are whole. Names can't begin with a dot.
const PARTIAL: &str = ".partial";
/// Unfinished files older than this belong to no living process.
const PARTIAL_AGE_MAX: Duration = Duration::from_secs(24 * 3_600);
/// A delete may take an empty directory away under a put: so often the put makes it again.
const DIRECTORY_ATTEMPTS: usize = 16;

/// A directory of objects. Clones are one store.
#[derive(Clone)]
pub struct LocalStore {
    world: World,
    root: Arc<Path>,
}

/// What a put does where the name is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Refuse,
    Replace,
}

impl LocalStore {
    /// Opens the store in `directory`, which is made if it isn't there, and sweeps what dead processes left unfinished.
    ///
    /// # Errors
    /// [`StoreError::Misconfigured`] where the directory can't be written or its file system has no hard links.
    pub async fn open(world: &World, directory: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let store = Self { world: world.clone(), root: directory.into().into() };
        let root = store.root.clone();
        let probe = root.join(PARTIAL).join(AttemptId::draw(&world.random).to_string());
        let prepared = world.tasks.blocking(move || {
            fs::create_dir_all(root.join(PARTIAL))?;
            if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                File::open(parent)?.sync_all()?;
            }
            sweep_partial(&root)?;
            probe_links(&probe)
        });
        prepared.await.map_err(|error| store.unusable(&error))?;
        Ok(store)
    }

    fn unusable(&self, error: &io::Error) -> StoreError {
        let root = self.root.display();
        StoreError::Misconfigured(Error::new(Code::IO_FAILED, format!("objects can't be kept in {root}: {error}: IO failed")))
    }

    /// `work` on an object's path, off the runtime's threads.
    async fn with_path<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        check_name(name)?;
        let path = self.root.join(name);
        self.world.tasks.blocking(move || work(&path)).await.map_err(|error| failed(name, error))
    }

    async fn write(&self, name: &str, bytes: Bytes, taken: Taken) -> Result<(), StoreError> {
        let partial = self.root.join(PARTIAL).join(AttemptId::draw(&self.world.random).to_string());
        let root = self.root.clone();
        let write = move |path: &Path| {
            let written = write_partial(&partial, &bytes).and_then(|()| publish(&root, &partial, path, taken));
            if written.is_err() || taken == Taken::Refuse {
                // Where this fails too, the sweep at the next start takes it.
                drop(fs::remove_file(&partial));
            }
            written
        };
        self.with_path(name, write).await
    }

    fn info(&self, name: String, metadata: &fs::Metadata) -> ObjectInfo {
        let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let written = metadata.modified().map_or(Duration::ZERO, since);
        let age = Duration::from_millis(self.world.clock.wall_ms()).saturating_sub(written);
        ObjectInfo { name, length: metadata.len(), age }
    }
}

fn failed(name: &str, error: io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => StoreError::Missing(name.to_owned()),
        ErrorKind::AlreadyExists => StoreError::Exists(name.to_owned()),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            StoreError::Unavailable(Error::new(Code::DISK_LIMIT, format!("{name}: {error}: disk limit exceeded")).with_source(error))
        }
        _ => StoreError::Unavailable(Error::io(name, error)),
    }
}

fn sweep_partial(root: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root.join(PARTIAL))? {
        let entry = entry?;
        let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
        if age > PARTIAL_AGE_MAX {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Whether the file system has hard links that refuse a taken name.
fn probe_links(path: &Path) -> io::Result<()> {
    let link = path.with_extension("link");
    fs::write(path, b"")?;
    let linked = fs::hard_link(path, &link);
    let again = fs::hard_link(path, &link);
    fs::remove_file(path)?;
    linked?;
    fs::remove_file(&link)?;
    match again {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        _ => Err(io::Error::other("its file system lets a link replace a file")),
    }
}

fn write_partial(partial: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let mut file = File::create_new(partial)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Gives a synced file its name, durably.
fn publish(root: &Path, partial: &Path, path: &Path, taken: Taken) -> io::Result<()> {
    let directory = path.parent().unwrap_or(root);
    let mut attempt = 1;
    loop {
        fs::create_dir_all(directory)?;
        let named = match taken {
            Taken::Refuse => fs::hard_link(partial, path),
            Taken::Replace => fs::rename(partial, path),
        };
        match named {
            Err(error) if error.kind() == ErrorKind::NotFound && attempt < DIRECTORY_ATTEMPTS => attempt += 1,
            Err(error) => return Err(error),
            Ok(()) => break,
        }
    }
    // Each directory up to the root: another put may have made one and not synced it yet. A clean one costs next to nothing.
    for ancestor in directory.ancestors() {
        File::open(ancestor)?.sync_all()?;
        if ancestor == root {
            break;
        }
    }
    Ok(())
}

fn open_file(path: &Path) -> io::Result<(File, fs::Metadata)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok((file, metadata)) } else { Err(ErrorKind::IsADirectory.into()) }
}

/// A range of the file, or its length if that ends before the range.
fn read_range(path: &Path, range: &Range<u64>) -> io::Result<Result<Bytes, u64>> {
    use std::os::unix::fs::FileExt;
    let (file, metadata) = open_file(path)?;
    if range.start > range.end || range.end > metadata.len() {
        return Ok(Err(metadata.len()));
    }
    let mut bytes = vec![0; (range.end - range.start) as usize];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(Ok(bytes.into()))
}

/// Removes a file, and directories that it leaves empty.
fn remove(root: &Path, path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
        other => other?,
    }
    for ancestor in path.ancestors().skip(1).take_while(|ancestor| *ancestor != root) {
        // Not empty, or gone already: either way nothing is left to do.
        if fs::remove_dir(ancestor).is_err() {
            break;
        }
    }
    Ok(())
}

/// Every file below `directory`, as (path, metadata). What vanishes meanwhile is left out.
fn walk(directory: &Path) -> io::Result<Vec<(PathBuf, fs::Metadata)>> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        let entries = match fs::read_dir(&directory) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            if metadata.is_dir() {
                directories.push(entry.path());
            } else if metadata.is_file() {
                files.push((entry.path(), metadata));
            }
        }
    }
    Ok(files)
}

#[async_trait]
impl Store for LocalStore {
    fn kind(&self) -> &'static str {
        "local"
    }

    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.write(name, bytes, Taken::Replace).await
    }

    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.write(name, bytes, Taken::Refuse).await
    }

    async fn get(&self, name: &str) -> Result<Bytes, StoreError> {
        let read = |path: &Path| {
            open_file(path)?;
            fs::read(path).map(Bytes::from)
        };
        self.with_path(name, read).await
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let asked = range.clone();
        let read = self.with_path(name, move |path| read_range(path, &asked)).await?;
        read.map_err(|length| beyond_the_end(name, &range, length))
    }

    async fn head(&self, name: &str) -> Result<ObjectInfo, StoreError> {
        let (_, metadata) = self.with_path(name, open_file).await?;
        Ok(self.info(name.to_owned(), &metadata))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        check_prefix(prefix)?;
        let root = self.root.clone();
        let directory = if prefix.is_empty() { root.to_path_buf() } else { root.join(prefix) };
        let files = self.world.tasks.blocking(move || walk(&directory)).await.map_err(|error| failed(prefix, error))?;
        let named = files.into_iter().filter_map(|(path, metadata)| {
            let name = path.strip_prefix(&root).ok()?.to_str()?.to_owned();
            (!name.starts_with('.')).then_some((name, metadata))
        });
        let mut found: Vec<_> = named.map(|(name, metadata)| self.info(name, &metadata)).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let root = self.root.clone();
        self.with_path(name, move |path| remove(&root, path)).await
    }

    async fn map(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        self.with_path(name, |path| mmap::map(&open_file(path)?.0, ())).await.map(Some)
    }
}
