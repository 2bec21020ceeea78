//! Files of a store that lies elsewhere, kept on the local disk while there is room: whole, immutable, mapped.
//!
//! A file comes in ranges under `.partial/`, is compared with its reference, synced and named as in the store. Least recently used
//! files go when room is needed; one that is mapped stays until its last bytes are dropped, and counts. A start finds what the last
//! process left. Nothing here is ever the only copy.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use base::World;
use bytes::Bytes;
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use types::{Code, Error, Result};

use crate::mmap;
use crate::name::AttemptId;
use crate::object::{Store, check_name};
use crate::reference::ObjectRef;

/// Where files are until they are whole; no name begins with a dot.
const PARTIAL: &str = ".partial";
/// Bytes of one range.
const RANGE_BYTES: u64 = 8 << 20;
/// Ranges of one file under way.
const RANGES_IN_FLIGHT: usize = 4;

/// A bounded directory of files. Clones are one cache.
#[derive(Clone)]
pub struct DiskCache {
    inner: Arc<Inner>,
}

struct Inner {
    world: World,
    directory: PathBuf,
    bytes_max: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Entry>,
    /// Of all entries, coming ones included.
    bytes: u64,
    /// Counts uses: the order in which files go.
    uses: u64,
}

struct Entry {
    length: u64,
    last_use: u64,
    /// Mappings and fetches that need the file.
    pins: usize,
    /// Set once the file lies under its name. One fetch at a time works on it.
    there: Arc<OnceCell<()>>,
}

/// What a cache holds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct CacheUsage {
    /// Files.
    pub files: usize,
    /// Bytes of all files, coming ones included.
    pub bytes: u64,
    /// Of those: bytes of files that are in use and can't go.
    pub pinned_bytes: u64,
}

/// Keeps a file from going. An entry whose file never came goes with its last pin.
struct Pin {
    inner: Arc<Inner>,
    name: String,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut state = self.inner.state.lock();
        let Some(entry) = state.files.get_mut(&self.name) else { return };
        entry.pins -= 1;
        if entry.pins == 0 && !entry.there.initialized() {
            state.bytes -= entry.length;
            state.files.remove(&self.name);
        }
    }
}

impl DiskCache {
    /// Opens the cache in `directory`, which belongs to it alone, and takes over the files that lie there, up to `bytes_max` bytes.
    ///
    /// # Errors
    /// `IO_FAILED`: the directory can't be used.
    pub async fn open(world: &World, directory: impl Into<PathBuf>, bytes_max: u64) -> Result<Self> {
        let directory = directory.into();
        let scanned = directory.clone();
        let found = world.tasks.blocking(move || scan(&scanned)).await;
        let found = found.map_err(|error| Error::io(format!("the cache in {}", directory.display()), error))?;
        let inner = Inner { world: world.clone(), directory, bytes_max, state: Mutex::default() };
        {
            let mut state = inner.state.lock();
            for (name, length) in found {
                let entry = Entry { length, last_use: state.uses, pins: 0, there: Arc::new(OnceCell::new_with(Some(()))) };
                state.uses += 1;
                state.bytes += length;
                state.files.insert(name, entry);
            }
            inner.make_room(&mut state, 0).map_err(|error| error.context("the cache"))?;
        }
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The object, mapped: from the disk, or from `store` by way of the disk. The file stays while the bytes (or a slice) live.
    ///
    /// # Errors
    /// What the store says; `DATA_INTEGRITY` if it gives other bytes than those referred to; `DISK_LIMIT` where there is no room.
    pub async fn fetch(&self, store: &dyn Store, object: &ObjectRef) -> Result<Bytes> {
        check_name(&object.name)?;
        let (pin, there) = self.pin(object)?;
        there.get_or_try_init(|| self.download(store, object)).await?;
        let path = self.inner.directory.join(&object.name);
        let mapped = self.inner.world.tasks.blocking(move || File::open(path).and_then(|file| mmap::map(&file, pin))).await;
        let bytes = mapped.map_err(|error| Error::io(format!("{} in the cache", object.name), error))?;
        if let Err(error) = object.check_length(bytes.len() as u64) {
            drop(bytes);
            self.discard(&object.name);
            return Err(error);
        }
        Ok(bytes)
    }

    /// Lets go of a file that turned out to be damaged, so that the next fetch gets it from the store again. Bytes that are mapped stay.
    pub fn discard(&self, name: &str) {
        let mut state = self.inner.state.lock();
        let Some(entry) = state.files.get_mut(name).filter(|entry| entry.there.initialized()) else { return };
        // Whoever maps the old file keeps it; who asks next waits on a new cell.
        entry.there = Arc::new(OnceCell::new());
        if entry.pins == 0 {
            state.bytes -= entry.length;
            state.files.remove(name);
        }
        self.inner.unlink(name);
    }

    /// What is held now.
    pub fn usage(&self) -> CacheUsage {
        let state = self.inner.state.lock();
        let pinned = state.files.values().filter(|entry| entry.pins > 0).map(|entry| entry.length);
        CacheUsage { files: state.files.len(), bytes: state.bytes, pinned_bytes: pinned.sum() }
    }

    /// The entry of an object, made where there is none, with room for it and kept from going.
    fn pin(&self, object: &ObjectRef) -> Result<(Pin, Arc<OnceCell<()>>)> {
        let mut state = self.inner.state.lock();
        state.uses += 1;
        let last_use = state.uses;
        if !state.files.contains_key(&object.name) {
            self.inner.make_room(&mut state, object.length).map_err(|error| error.context(&object.name))?;
            state.bytes += object.length;
            let entry = Entry { length: object.length, last_use, pins: 0, there: Arc::default() };
            state.files.insert(object.name.clone(), entry);
        }
        let entry = state.files.get_mut(&object.name).ok_or_else(|| Error::internal("an entry of the cache is gone"))?;
        entry.pins += 1;
        entry.last_use = last_use;
        let pin = Pin { inner: self.inner.clone(), name: object.name.clone() };
        Ok((pin, entry.there.clone()))
    }

    async fn download(&self, store: &dyn Store, object: &ObjectRef) -> Result<()> {
        let inner = &self.inner;
        let partial = Partial { path: inner.directory.join(PARTIAL).join(AttemptId::draw(&inner.world.random).to_string()) };
        let failed = |error| Error::io(format!("{} into the cache", object.name), error);
        let path = partial.path.clone();
        let create = move || {
            fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
            File::create_new(path).map(Arc::new)
        };
        let file = inner.world.tasks.blocking(create).await.map_err(failed)?;
        let starts: Vec<u64> = (0..object.length).step_by(RANGE_BYTES as usize).collect();
        let ranges = starts.into_iter().map(|start| store.get_range(&object.name, start..object.length.min(start + RANGE_BYTES)));
        let mut ranges = futures::stream::iter(ranges.collect::<Vec<_>>()).buffered(RANGES_IN_FLIGHT);
        let mut checksum = 0;
        while let Some(range) = ranges.next().await {
            let (range, file) = (range?, file.clone());
            checksum = crc32c::crc32c_append(checksum, &range);
            let write = move || io::Write::write_all(&mut &*file, &range);
            inner.world.tasks.blocking(write).await.map_err(failed)?;
        }
        if checksum != object.checksum {
            let (name, expected) = (&object.name, object.checksum);
            return Err(Error::corrupt(format!("{name}: its checksum is {checksum:08x} instead of {expected:08x}")));
        }
        let target = inner.directory.join(&object.name);
        let publish = move || {
            // A torn file would look whole to the next start.
            file.sync_data()?;
            fs::create_dir_all(target.parent().unwrap_or(Path::new(".")))?;
            fs::rename(&partial.path, target)
        };
        inner.world.tasks.blocking(publish).await.map_err(failed)
    }
}

/// An unfinished file, gone with its download; renamed away when that is done.
struct Partial {
    path: PathBuf,
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Absent when renamed; else what stays is swept at the next start.
        drop(fs::remove_file(&self.path));
    }
}

impl Inner {
    /// Lets files go, least recently used first, until `bytes` more fit.
    fn make_room(&self, state: &mut State, bytes: u64) -> Result<()> {
        while state.bytes.saturating_add(bytes) > self.bytes_max {
            let idle = state.files.iter().filter(|(_, entry)| entry.pins == 0);
            let Some((name, length)) = idle.min_by_key(|(_, entry)| entry.last_use).map(|(name, entry)| (name.clone(), entry.length))
            else {
                let text = format!("{bytes} bytes are needed, {} of {} are in use: disk limit exceeded", state.bytes, self.bytes_max);
                return Err(Error::new(Code::DISK_LIMIT, text));
            };
            state.files.remove(&name);
            state.bytes -= length;
            self.unlink(&name);
        }
        Ok(())
    }

    /// Removes a file under the lock, so that a fetch that follows can't have put a new one there.
    fn unlink(&self, name: &str) {
        match fs::remove_file(self.directory.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => tracing::warn!(%name, %error, "a file stays in the cache's directory"),
            _ => {}
        }
    }
}

/// Files that lie in the directory, the oldest first, after a sweep of unfinished ones.
fn scan(directory: &Path) -> io::Result<Vec<(String, u64)>> {
    let partial = directory.join(PARTIAL);
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(directory)?;
    let mut found: Vec<(SystemTime, String, u64)> = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in fs::read_dir(next)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                directories.push(entry.path());
            } else if let Some(name) = entry.path().strip_prefix(directory).ok().and_then(Path::to_str) {
                found.push((metadata.modified()?, name.to_owned(), metadata.len()));
            }
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, name, length)| (name, length)).collect())
}
