//! The embedded log on a disk whose sync fails: nobody is told what isn't durable, and the log goes on in a new file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use base::World;
use base::disk::{Disk, File, Lock, RealDisk};
use bytes::Bytes;
use types::id::ChannelName;
use types::position::Position;
use wal::embedded::EmbeddedLog;
use wal::{Log, LogError};

/// The real disk; a sync fails while the flag is up, after the bytes were written.
struct FailingDisk {
    fails: Arc<AtomicBool>,
}

struct FailingFile {
    inner: Arc<dyn File>,
    fails: Arc<AtomicBool>,
}

#[async_trait]
impl Disk for FailingDisk {
    async fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn File>> {
        let inner = RealDisk.open(path, create).await?;
        Ok(Arc::new(FailingFile { inner, fails: self.fails.clone() }))
    }

    async fn create_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_directory(path).await
    }

    async fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        RealDisk.list(directory).await
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to).await
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path).await
    }

    async fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        RealDisk.sync_directory(directory).await
    }

    async fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        RealDisk.lock(path).await
    }
}

#[async_trait]
impl File for FailingFile {
    async fn write_at(&self, offset: u64, parts: Vec<Bytes>) -> io::Result<()> {
        self.inner.write_at(offset, parts).await
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        self.inner.read_at(offset, length).await
    }

    async fn sync(&self) -> io::Result<()> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("the device is gone"));
        }
        self.inner.sync().await
    }

    async fn len(&self) -> io::Result<u64> {
        self.inner.len().await
    }

    async fn set_len(&self, length: u64) -> io::Result<()> {
        self.inner.set_len(length).await
    }
}

#[test]
fn a_failed_sync_is_an_unknown_outcome_and_is_repaired() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let directory = tempfile::tempdir().expect("a directory");
        let fails = Arc::new(AtomicBool::new(false));
        let world = World { disk: Arc::new(FailingDisk { fails: fails.clone() }), ..World::real() };
        let log = EmbeddedLog::open(&world, directory.path()).await.expect("the log opens");
        let channel = ChannelName::from("c");
        let id = log.open(&channel).await.expect("a channel");
        let append = async |text: &'static str| {
            let mut appender = log.appender(&channel, 1).await.expect("an appender");
            appender.append(vec![Bytes::from_static(text.as_bytes())]).await
        };
        append("before").await.expect("durable");
        fails.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            assert!(matches!(append("during").await, Err(LogError::Unavailable(_))));
        }
        fails.store(false, Ordering::SeqCst);
        let after = append("after").await.expect("repaired");
        assert_eq!(after, [Position::from_u64(id, 1)], "what failed was cut off");
        let read = async |log: &EmbeddedLog| {
            let mut reader = log.reader(&channel, Position::start(id)).await.expect("a reader");
            let mut frames = reader.next_available().await.expect("a read");
            frames.extend(reader.next_available().await.expect("a read"));
            frames.into_iter().map(|(_, frame)| frame).collect::<Vec<_>>()
        };
        let expected = [Bytes::from_static(b"before"), Bytes::from_static(b"after")];
        assert_eq!(read(&log).await, expected);
        drop(log);
        let again = loop {
            match EmbeddedLog::open(&world, directory.path()).await {
                Err(LogError::Misconfigured(_)) => tokio::task::yield_now().await,
                opened => break opened.expect("it opens again"),
            }
        };
        assert_eq!(read(&again).await, expected);
    });
}
