//! What simulated processes keep things in: a log that is watched and takes small frames only, and objects that may fail or be out of reach.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base::clock::Clock;
use base::fault::FaultPlan;
use bytes::Bytes;
use store::manifest::{Manifest, Origin};
use store::object::decorate::FaultStore;
use store::object::{ObjectInfo, Store, StoreError};
use types::id::ChannelName;
use types::position::{LogId, Position};
use types::record::{Frame, Header};
use types::{Code, Error};
use wal::log::{Appender, Bounds, Log, LogError, Reader};

use super::coverage::{Coverage, Event};

/// Small, so that ordinary writes become sets of parts.
const FRAME_BYTES_MAX: usize = 4 << 10;

/// A log whose frames and cuts are counted.
pub struct WatchedLog {
    inner: Arc<dyn Log>,
    coverage: Arc<Coverage>,
}

impl WatchedLog {
    pub fn new(inner: Arc<dyn Log>, coverage: Arc<Coverage>) -> Arc<Self> {
        Arc::new(Self { inner, coverage })
    }
}

#[async_trait]
impl Log for WatchedLog {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn frame_bytes_max(&self) -> usize {
        self.inner.frame_bytes_max().min(FRAME_BYTES_MAX)
    }

    async fn open(&self, channel: &ChannelName) -> Result<LogId, LogError> {
        self.inner.open(channel).await
    }

    async fn appender(&self, channel: &ChannelName, process: u64) -> Result<Box<dyn Appender>, LogError> {
        let inner = self.inner.appender(channel, process).await?;
        Ok(Box::new(WatchedAppender { inner, channel: channel.clone(), coverage: self.coverage.clone() }))
    }

    async fn reader(&self, channel: &ChannelName, from: Position) -> Result<Box<dyn Reader>, LogError> {
        self.inner.reader(channel, from).await
    }

    async fn bounds(&self, channel: &ChannelName) -> Result<Bounds, LogError> {
        self.inner.bounds(channel).await
    }

    async fn truncate(&self, channel: &ChannelName, position: Position) -> Result<(), LogError> {
        self.inner.truncate(channel, position).await?;
        self.coverage.count(Event::Truncation);
        Ok(())
    }
}

struct WatchedAppender {
    inner: Box<dyn Appender>,
    channel: ChannelName,
    coverage: Arc<Coverage>,
}

#[async_trait]
impl Appender for WatchedAppender {
    async fn append(&mut self, frames: Vec<Bytes>) -> Result<Vec<Position>, LogError> {
        let headers: Vec<Header> = frames.iter().filter_map(|frame| Frame::decode(frame).ok()).map(|frame| frame.header).collect();
        let positions = self.inner.append(frames).await?;
        headers.iter().zip(&positions).for_each(|(header, at)| self.coverage.frame(&self.channel, header, *at));
        Ok(positions)
    }
}

/// How long a call to objects that are out of reach takes to fail.
const UNREACHABLE_AFTER: Duration = Duration::from_secs(1);

/// One machine's way to the objects. Clones are the same.
#[derive(Clone)]
pub struct Link {
    clock: Clock,
    cut: Arc<AtomicBool>,
}

impl Link {
    pub fn new(clock: Clock) -> Self {
        Self { clock, cut: Arc::default() }
    }

    /// Cuts or mends it.
    pub fn set_cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }

    async fn reach(&self) -> Result<(), StoreError> {
        if self.cut.load(Ordering::Relaxed) {
            self.clock.sleep(UNREACHABLE_AFTER).await;
            return Err(StoreError::Unavailable(Error::new(Code::IO_FAILED, "objects can't be reached from this machine")));
        }
        Ok(())
    }
}

/// Objects under a plan of faults, over a link; manifests are counted.
pub struct WatchedStore {
    inner: FaultStore,
    link: Link,
    coverage: Arc<Coverage>,
}

impl WatchedStore {
    pub fn new(inner: Arc<dyn Store>, faults: FaultPlan, link: Link, coverage: Arc<Coverage>) -> Arc<Self> {
        Arc::new(Self { inner: FaultStore::new(inner, faults), link, coverage })
    }
}

#[async_trait]
impl Store for WatchedStore {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.link.reach().await?;
        let written = bytes.clone();
        self.inner.put(name, bytes).await?;
        if name.starts_with("manifest/") {
            self.coverage.count(Event::Flush);
            let manifest = Manifest::decode(name, &written).expect("it was just made");
            if manifest.segments.iter().any(|segment| matches!(segment.origin, Origin::Compaction { .. })) {
                self.coverage.count(Event::Compaction);
            }
        }
        Ok(())
    }

    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.link.reach().await?;
        self.inner.put_if_absent(name, bytes).await
    }

    async fn get(&self, name: &str) -> Result<Bytes, StoreError> {
        self.link.reach().await?;
        self.inner.get(name).await
    }

    async fn get_range(&self, name: &str, range: std::ops::Range<u64>) -> Result<Bytes, StoreError> {
        self.link.reach().await?;
        self.inner.get_range(name, range).await
    }

    async fn head(&self, name: &str) -> Result<ObjectInfo, StoreError> {
        self.link.reach().await?;
        self.inner.head(name).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        self.link.reach().await?;
        self.inner.list(prefix).await
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.link.reach().await?;
        self.inner.delete(name).await
    }

    async fn map(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        self.link.reach().await?;
        self.inner.map(name).await
    }
}
