//! A disk in memory that loses whatever the contract of [`crate::disk`] lets a disk lose, drawn from a seed.
//!
//! Three things can end a process's use of it: [`SimulatedDisk::crash`] (power is lost: unsynced bytes and names go, in part),
//! [`SimulatedDisk::kill`] (the process ends, the machine and its page cache stay) and [`SimulatedDisk::power_off_after`] (power goes at a
//! chosen operation: every later one fails until `crash` turns it on again). Files opened before are dead then, locks are free.
//!
//! Invariants: bytes that were synced, under a name whose directory was synced, come back as they were; every draw comes from the seed,
//! so the same calls in the same order give the same disk.
//!
//! Not here: real I/O errors' many numbers (a failure is EIO, a full disk ENOSPC), permissions, links. [`image`] is one file's bytes,
//! [`names`] the directory tree.

mod image;
mod model;
mod names;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use self::model::Model;
use super::{Disk, File, Lock};
use crate::fault::{Fault, FaultPlan, Rates};
use crate::random::Random;

/// Linux's number for a device that fails.
const EIO: i32 = 5;

/// A machine's disk. Clones are the same disk, and outlive crashes: what a process holds is [`SimulatedDisk::process`].
#[derive(Clone)]
pub struct SimulatedDisk {
    random: Random,
    faults: FaultPlan,
    model: Arc<Mutex<Model>>,
    /// The life of the process that calls; `None` is the machine itself, which always may.
    life: Option<u64>,
}

/// What is wrong with the disk itself, beside the faults of single calls.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Flaws {
    /// Probability that a read gives one wrong bit, once.
    pub flip_on_read: f64,
    /// Bytes that fit; `None` is no bound.
    pub capacity: Option<u64>,
    /// A bug planted on purpose: [`File::sync`] answers well and syncs nothing.
    pub skip_sync: bool,
    /// A bug planted on purpose: [`Disk::sync_directory`] answers well and syncs nothing.
    pub skip_directory_sync: bool,
}

/// What was done to the disk since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Operations {
    /// Files opened.
    pub opens: u64,
    /// Reads of file bytes.
    pub reads: u64,
    /// Writes of file bytes.
    pub writes: u64,
    /// Changes of a length.
    pub lengths: u64,
    /// Syncs of a file.
    pub syncs: u64,
    /// Syncs of a directory.
    pub directory_syncs: u64,
    /// Renames.
    pub renames: u64,
    /// Removes.
    pub removes: u64,
    /// Bytes handed out.
    pub bytes_read: u64,
    /// Bytes taken.
    pub bytes_written: u64,
    /// Losses of power.
    pub crashes: u64,
}

impl SimulatedDisk {
    /// An empty disk whose every draw comes from `seed`.
    pub fn new(seed: u64) -> Self {
        let random = Random::seeded(seed);
        let faults = FaultPlan::new(&random, Rates::NONE);
        Self { random, faults, model: Arc::default(), life: None }
    }

    /// The disk as a process started now sees it: after the next crash or kill every call fails.
    pub fn process(&self) -> Arc<dyn Disk> {
        let life = self.model.lock().life();
        Arc::new(Self { life: Some(life), ..self.clone() })
    }

    /// Faults of single calls. Operations are `open`, `read`, `write`, `set_len`, `sync`, `list`, `create_directory`, `rename`, `remove`,
    /// `sync_directory` and `lock`. After a failed sync the unsynced bytes may or may not be durable.
    pub fn faults(&self) -> &FaultPlan {
        &self.faults
    }

    /// Sets what is wrong with the disk itself.
    pub fn set_flaws(&self, flaws: Flaws) {
        self.model.lock().flaws = flaws;
    }

    /// Power is lost and comes back: unsynced bytes and names are lost in part, files opened before are dead, locks are free.
    pub fn crash(&self) {
        self.model.lock().crash(&self.random);
    }

    /// The processes end and the machine stays: nothing written is lost, files opened before are dead, locks are free.
    pub fn kill(&self) {
        self.model.lock().end_life();
    }

    /// Lets power go after this many further operations that change something: the next one after them and all later ones fail.
    /// [`Self::crash`] turns it on again.
    pub fn power_off_after(&self, changes: u64) {
        self.model.lock().power_off_after(changes);
    }

    /// Whether [`Self::power_off_after`] has struck.
    pub fn is_off(&self) -> bool {
        self.model.lock().is_off()
    }

    /// Damages a file at rest: one bit of the byte at `offset` is the other one from now on.
    ///
    /// # Errors
    /// `NotFound`, or `UnexpectedEof` past the end.
    pub fn corrupt(&self, path: &Path, offset: u64) -> io::Result<()> {
        let bit = u32::try_from(self.random.below(8)).unwrap_or(0);
        self.model.lock().corrupt(path, offset, bit)
    }

    /// What a file would hold if all that isn't durable were lost; `None` if its name would be.
    pub fn durable(&self, path: &Path) -> Option<Vec<u8>> {
        self.model.lock().durable(path)
    }

    /// Every file's name, sorted.
    pub fn files(&self) -> Vec<PathBuf> {
        self.model.lock().files()
    }

    /// What was done so far.
    pub fn operations(&self) -> Operations {
        self.model.lock().operations
    }

    /// One call: held up, admitted, and then done or not as the plan says.
    async fn call<T>(&self, call: Call, act: impl FnOnce(&mut Model) -> io::Result<T> + Send) -> io::Result<T> {
        let fault = self.faults.begin(call.operation).await;
        // Real I/O lets other tasks run before it takes effect.
        tokio::task::yield_now().await;
        let result = {
            let mut model = self.model.lock();
            model.admit(call.life, call.changes)?;
            match fault {
                Fault::FailBefore => Err(failed()),
                Fault::FailAfter => act(&mut model).and_then(|_| Err(failed())),
                Fault::None | Fault::Duplicate => act(&mut model),
            }
        };
        self.answer(call.life).await?;
        result
    }

    /// Lets others run between the effect and the answer, which a process that ended meanwhile doesn't get.
    async fn answer(&self, life: Option<u64>) -> io::Result<()> {
        if self.random.chance(0.5) {
            tokio::task::yield_now().await;
        }
        self.model.lock().admit(life, false)
    }
}

/// How a call presents itself.
#[derive(Clone, Copy)]
struct Call {
    operation: &'static str,
    /// The life of the process that makes it; `None` is always admitted.
    life: Option<u64>,
    changes: bool,
}

impl Call {
    fn reads(operation: &'static str, life: Option<u64>) -> Self {
        Self { operation, life, changes: false }
    }

    fn changes(operation: &'static str, life: Option<u64>) -> Self {
        Self { operation, life, changes: true }
    }
}

fn failed() -> io::Error {
    io::Error::from_raw_os_error(EIO)
}

struct SimulatedFile {
    disk: SimulatedDisk,
    inode: u64,
    life: u64,
}

struct SimulatedLock {
    disk: SimulatedDisk,
    path: PathBuf,
    holder: u64,
}

impl Lock for SimulatedLock {}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        self.disk.model.lock().unlock(&self.path, self.holder);
    }
}

impl SimulatedDisk {
    async fn write(&self, file: &SimulatedFile, offset: u64, bytes: Vec<u8>) -> io::Result<()> {
        let fault = self.faults.begin("write").await;
        tokio::task::yield_now().await;
        let result = {
            let mut model = self.model.lock();
            model.admit(Some(file.life), true)?;
            // A write that fails may have got some of its bytes out.
            let kept = match fault {
                Fault::FailBefore => usize::try_from(self.random.below(bytes.len() as u64 + 1)).unwrap_or(0),
                _ => bytes.len(),
            };
            let written = model.write(file.inode, offset, &bytes[..kept]);
            if matches!(fault, Fault::FailBefore | Fault::FailAfter) { Err(failed()) } else { written }
        };
        self.answer(Some(file.life)).await?;
        result
    }

    async fn sync(&self, file: &SimulatedFile) -> io::Result<()> {
        let fault = self.faults.begin("sync").await;
        tokio::task::yield_now().await;
        let result = {
            let mut model = self.model.lock();
            model.admit(Some(file.life), true)?;
            match fault {
                Fault::FailBefore => model.fail_sync(file.inode, &self.random),
                Fault::FailAfter | Fault::None | Fault::Duplicate => model.sync(file.inode),
            }
            if matches!(fault, Fault::FailBefore | Fault::FailAfter) { Err(failed()) } else { Ok(()) }
        };
        self.answer(Some(file.life)).await?;
        result
    }
}

#[async_trait]
impl Disk for SimulatedDisk {
    async fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn File>> {
        let call = Call { operation: "open", life: self.life, changes: create };
        let (inode, life) = self.call(call, |model| Ok((model.open(path, create)?, model.life()))).await?;
        Ok(Arc::new(SimulatedFile { disk: self.clone(), inode, life }))
    }

    async fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.call(Call::changes("create_directory", self.life), |model| model.create_directory(path)).await
    }

    async fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        self.call(Call::reads("list", self.life), |model| model.list(directory)).await
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Call::changes("rename", self.life), |model| model.rename(from, to)).await
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(Call::changes("remove", self.life), |model| model.remove(path)).await
    }

    async fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.call(Call::changes("sync_directory", self.life), |model| model.sync_directory(directory)).await
    }

    async fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let holder = self.call(Call::changes("lock", self.life), |model| model.lock(path)).await?;
        Ok(Box::new(SimulatedLock { disk: self.clone(), path: path.to_owned(), holder }))
    }
}

#[async_trait]
impl File for SimulatedFile {
    async fn write_at(&self, offset: u64, parts: Vec<Bytes>) -> io::Result<()> {
        self.disk.write(self, offset, parts.concat()).await
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let random = self.disk.random.clone();
        self.disk.call(Call::reads("read", Some(self.life)), |model| Ok(model.read(self.inode, offset, length, &random))).await
    }

    async fn sync(&self) -> io::Result<()> {
        self.disk.sync(self).await
    }

    async fn len(&self) -> io::Result<u64> {
        self.disk.call(Call::reads("len", Some(self.life)), |model| Ok(model.len(self.inode))).await
    }

    async fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.call(Call::changes("set_len", Some(self.life)), |model| model.set_len(self.inode, length)).await
    }
}
