//! The embedded store on a disk that crashes and fails: whatever was answered is there, whatever wasn't is whole or absent.
//!
//! Tests only. [`CrashDisk`] keeps what was written since the last sync apart: a crash keeps any of it, in any order.

use std::sync::Arc;

use base::World;
use base::disk::RealDisk;
use base::random::Random;
use parking_lot::Mutex;
use redb::{BackendError, StorageBackend};

use super::RedbMeta;
use super::file::StoreFile;
use crate::store::{Change, Meta, MetaError, Transaction};

/// One file. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct CrashDisk {
    file: Arc<Mutex<File>>,
}

#[derive(Debug, Default)]
struct File {
    /// What a read sees.
    bytes: Vec<u8>,
    /// What a crash leaves at least.
    synced: Vec<u8>,
    /// Since the last sync.
    unsynced: Vec<Step>,
    /// Syncs that are still to succeed; `None`: all.
    syncs_left: Option<usize>,
    /// Syncs that succeeded.
    syncs: usize,
}

#[derive(Debug, Clone)]
enum Step {
    Write(u64, Vec<u8>),
    Length(u64),
}

/// An open handle; those from before a crash are dead.
#[derive(Debug)]
pub(super) struct Handle {
    disk: CrashDisk,
}

impl CrashDisk {
    fn new() -> Self {
        Self { file: Arc::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.file.lock().bytes.is_empty()
    }

    pub(super) fn open(&self) -> Handle {
        Handle { disk: self.clone() }
    }

    /// The disk as a crash leaves it: each unsynced step is there with a probability of a half.
    fn crashed(&self, random: &Random) -> Self {
        let file = self.file.lock();
        let mut bytes = file.synced.clone();
        for step in file.unsynced.iter().filter(|_| random.chance(0.5)) {
            step.take(&mut bytes);
        }
        Self { file: Arc::new(Mutex::new(File { synced: bytes.clone(), bytes, ..File::default() })) }
    }

    /// After `syncs` more, every sync fails.
    fn fail_after(&self, syncs: usize) {
        self.file.lock().syncs_left = Some(syncs);
    }

    /// Works again. What a failed sync should have made durable is `kept` or has gone, as page caches do it.
    fn mend(&self, kept: bool) {
        let mut file = self.file.lock();
        file.syncs_left = None;
        if !kept {
            file.bytes = file.synced.clone();
        }
        file.synced = file.bytes.clone();
        file.unsynced.clear();
    }
}

impl Step {
    fn take(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, data) => {
                let at = usize::try_from(*at).expect("it fits");
                bytes.resize(bytes.len().max(at + data.len()), 0);
                bytes[at..at + data.len()].copy_from_slice(data);
            }
            Self::Length(length) => bytes.resize(usize::try_from(*length).expect("it fits"), 0),
        }
    }
}

impl Handle {
    fn step(&self, step: Step) {
        let mut file = self.disk.file.lock();
        step.take(&mut file.bytes);
        file.unsynced.push(step);
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.disk.file.lock().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        let file = self.disk.file.lock();
        let at = usize::try_from(offset).expect("it fits");
        let range = file.bytes.get(at..at + out.len()).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(range);
        Ok(())
    }

    fn set_len(&self, length: u64) -> std::io::Result<()> {
        self.step(Step::Length(length));
        Ok(())
    }

    fn sync_data(&self) -> std::io::Result<()> {
        let mut file = self.disk.file.lock();
        if let Some(left) = &mut file.syncs_left {
            *left = left.checked_sub(1).ok_or_else(|| std::io::Error::other("the disk fails (planned)"))?;
        }
        file.synced = file.bytes.clone();
        file.unsynced.clear();
        file.syncs += 1;
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.step(Step::Write(offset, data.to_vec()));
        Ok(())
    }

    fn try_lock_range(&self, _: std::ops::Bound<u64>, _: std::ops::Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: std::ops::Bound<u64>, _: std::ops::Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }
}

fn world(seed: u64) -> World {
    World::simulated(seed, Arc::new(RealDisk))
}

async fn start(world: &World, disk: &CrashDisk) -> RedbMeta {
    RedbMeta::start(world, StoreFile::on(disk), 1_000).await.expect("what a crash left opens")
}

/// The number that a key holds; 0 where it isn't there.
async fn number(meta: &RedbMeta, key: &str) -> u64 {
    let entry = meta.get(key.as_bytes()).await.expect("it works");
    entry.map_or(0, |entry| std::str::from_utf8(&entry.value).ok().and_then(|text| text.parse().ok()).expect("a number"))
}

fn both(i: u64) -> Transaction {
    let filler = "x".repeat(usize::try_from(i * 97 % 3_000).expect("small"));
    Transaction::new().put("a", format!("{i}")).put(format!("filler/{}", i % 40), filler).put("b", format!("{i}"))
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_survives_a_crash_and_the_rest_is_whole() {
    for seed in 0..60 {
        let world = world(seed);
        let mut disk = CrashDisk::new();
        let mut answered = 0;
        for life in 0..4 {
            let meta = start(&world, &disk).await;
            let (a, b) = (number(&meta, "a").await, number(&meta, "b").await);
            assert_eq!(a, b, "seed {seed}, life {life}: half a transaction");
            assert!(a >= answered, "seed {seed}, life {life}: {answered} was answered, {a} is there");
            let next = a + 1 + world.random.below(12);
            for i in a + 1..next {
                meta.commit(both(i)).await.expect("it works");
                answered = i;
            }
            // The last one is on its way when the crash comes: some of its writes are there, none is synced.
            disk.fail_after(usize::from(world.random.chance(0.5)));
            drop(meta.commit(both(next)).await);
            disk = disk.crashed(&world.random);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_sync_the_file_is_read_again() {
    for (seed, kept) in [(1, false), (2, true), (3, false), (4, true)] {
        let world = world(seed);
        let disk = CrashDisk::new();
        let meta = start(&world, &disk).await;
        let lease = meta.grant(std::time::Duration::from_secs(600)).await.expect("it works");
        let before = meta.commit(Transaction::new().put("a", "1").put_leased("leased", "v", lease)).await.expect("it works");
        let mut watch = meta.watch(b"", before.next()).await.expect("it works");
        disk.fail_after(0);
        let unknown = meta.commit(Transaction::new().put("a", "2")).await;
        assert!(matches!(&unknown, Err(MetaError::Unavailable(error)) if error.reason().contains("planned")), "{unknown:?}");
        let still = meta.commit(Transaction::new().put("a", "3")).await;
        assert!(matches!(still, Err(MetaError::Unavailable(_))), "while the disk fails nothing is promised: {still:?}");
        disk.mend(kept);
        let after = meta.commit(Transaction::new().put("b", "4")).await.expect("the file was opened again");
        let a = number(&meta, "a").await;
        assert!(if kept { a == 1 || a == 2 } else { a == 1 }, "kept {kept}: {a}");
        assert_eq!(number(&meta, "b").await, 4);
        assert!(after > before && meta.list(b"").await.expect("it works").revision == after);
        let heard = watch.next().await;
        match a {
            1 => assert!(matches!(&heard.expect("nothing was missed")[..], [Change::Put(entry)] if entry.key == "b")),
            _ => assert_eq!(heard, Err(MetaError::Compacted), "a change came true that no watch was told of"),
        }
        meta.revoke(lease).await.expect("leases outlive the file's trouble");
        assert_eq!(meta.get(b"leased").await, Ok(None));
    }
}

#[tokio::test(start_paused = true)]
async fn transactions_that_wait_share_a_commit() {
    let world = world(1);
    let disk = CrashDisk::new();
    let meta = start(&world, &disk).await;
    let before = disk.file.lock().syncs;
    let commits: Vec<_> = (0..200)
        .map(|i| {
            let meta = meta.clone();
            world.tasks.spawn(async move { meta.commit(Transaction::new().put(format!("{i}"), "v")).await })
        })
        .collect();
    let mut revisions = std::collections::BTreeSet::new();
    for commit in commits {
        revisions.insert(commit.join().await.expect("nobody kills it").expect("it works"));
    }
    let syncs = disk.file.lock().syncs - before;
    assert_eq!(revisions.len(), 200, "each has a revision of its own");
    assert!(syncs < 10, "{syncs} syncs for 200 transactions");
}
