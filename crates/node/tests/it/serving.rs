//! A query node over a store that lies elsewhere: what it serves is admitted by memory, and its files come by way of a bounded disk cache.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::World;
use node::admission::MemoryLimits;
use node::channels::Channels;
use node::follow::{self, Followers};
use node::opener::Opener;
use node::query::{Parts, QueryNodeRole};
use node::refresh::Refresher;
use parking_lot::Mutex;
use role::Call;
use role::data::*;
use role::peers::Peers;
use role::query::{QueryNode, QueryRequest, ReadAt, Scope, ServeShard};
use store::cache::DiskCache;
use store::manifest::{Flushed, Manifest, Origin};
use store::object::Store;
use store::object::decorate::{Latency, LatencyStore};
use store::object::memory::MemoryStore;
use store::segment_file::{NewSegment, PageCache, SegmentRows, encode};
use store::source::ObjectSource;
use types::batch::Batch;
use types::column::{Column, Values};
use types::id::*;
use types::position::Position;
use types::record::Epoch;
use types::schema::{DataType, Field, FieldKind, Schema};
use types::time::Timestamp;
use types::{Code, Error, Result};
use wal::log::Log;
use wal::memory::{MemoryLog, Personality};

const CHANNEL: &str = "c";
const ROWS: usize = 20_000;

/// Knows manifests, and nothing else.
#[derive(Default)]
struct Coordinator {
    manifests: Mutex<BTreeMap<ShardId, Manifest>>,
}

fn unused<T>() -> Result<T> {
    Err(Error::internal("no test asks for this"))
}

#[async_trait]
impl DataCoord for Coordinator {
    async fn routes(&self, _: &Call) -> Result<Vec<Route>> {
        unused()
    }

    async fn extend_leases(&self, _: &Call, _: &[(ChannelName, u64)]) -> Result<Vec<Duration>> {
        unused()
    }

    async fn unknown_shards(&self, _: &Call, _: &[ShardId]) -> Result<Vec<ShardId>> {
        unused()
    }

    async fn manifest(&self, _: &Call, shard: ShardId) -> Result<CurrentManifest> {
        let found = self.manifests.lock().get(&shard).cloned();
        found.map(|manifest| CurrentManifest::Start(Box::new(manifest))).ok_or_else(|| Error::about(Code::COLLECTION_NOT_FOUND, &[]))
    }

    async fn shards_of_channel(&self, _: &Call, _: &ChannelName) -> Result<Vec<ShardId>> {
        unused()
    }

    async fn edit_manifest(&self, _: &Call, _: ShardId, _: ManifestEdit) -> Result<CurrentManifest> {
        unused()
    }

    async fn commit_checkpoint(&self, _: &Call, _: &ChannelName, _: CheckpointPointer) -> Result<()> {
        unused()
    }

    async fn checkpoint(&self, _: &Call, _: &ChannelName) -> Result<Option<CheckpointPointer>> {
        Ok(None)
    }

    async fn flush(&self, _: &Call, _: CollectionId) -> Result<FlushStarted> {
        unused()
    }

    async fn is_flushed(&self, _: &Call, _: CollectionId, _: Timestamp) -> Result<bool> {
        unused()
    }

    async fn segments(&self, _: &Call, _: CollectionId) -> Result<Vec<SegmentInfo>> {
        unused()
    }

    async fn statistics(&self, _: &Call, _: CollectionId) -> Result<BTreeMap<PartitionId, u64>> {
        unused()
    }
}

struct Setting {
    world: World,
    store: Arc<dyn Store>,
    coordinator: Arc<Coordinator>,
    log: Arc<MemoryLog>,
    directory: tempfile::TempDir,
}

/// A query node and what a test looks at beside it.
struct Serving {
    node: QueryNodeRole,
    cache: DiskCache,
    channels: Arc<Channels>,
    world: World,
}

fn schema() -> Schema {
    let field = Field {
        id: FieldId(100),
        name: "id".to_owned(),
        description: String::new(),
        data_type: DataType::Int64,
        kind: FieldKind::Primary,
        auto_id: false,
        nullable: false,
        default: None,
        dimension: None,
        max_length: None,
        element_type: None,
        max_capacity: None,
        type_params: BTreeMap::new(),
    };
    Schema { version: 1, fields: vec![field] }
}

fn shard(number: i64) -> ShardId {
    ShardId::new(CollectionId(number), 0)
}

fn request(number: i64) -> ServeShard {
    ServeShard { shard: shard(number), channel: CHANNEL.into(), partitions: None, indexes: Vec::new(), manifest: 0 }
}

impl Setting {
    fn new() -> Self {
        let world = World::real();
        let memory = Arc::new(MemoryStore::new(world.clock.clone()));
        // Too far to be mapped.
        let near = Latency { call: Duration::ZERO, jitter: Duration::ZERO, bytes_per_second: 0 };
        let store = Arc::new(LatencyStore::new(memory, world.clone(), near));
        let log = Arc::new(MemoryLog::new(&world, Personality::Plain));
        let directory = tempfile::tempdir().expect("a directory for the test");
        Self { world, store, coordinator: Arc::default(), log, directory }
    }

    /// A shard with one segment; the bytes of its files.
    async fn seal(&self, number: i64) -> u64 {
        let keys: Vec<i64> = (0..ROWS as i64).map(|key| key * 7 + number).collect();
        let batch = Batch::new(ROWS, vec![Column::new(FieldId(100), Values::Int64(keys.into()))]);
        let rows = SegmentRows { batch, timestamps: vec![Timestamp(5); ROWS], partitions: vec![PartitionId(1); ROWS] };
        let schema = schema();
        let new = NewSegment {
            collection: CollectionId(number),
            id: SegmentId(1_000 + number),
            schema: &schema,
            deletes_applied_to: Timestamp::ZERO,
            origin: Origin::Flush,
            clustered_by: None,
        };
        let encoded = encode(&new, &rows).expect("the rows are of the schema");
        for (name, bytes) in encoded.objects {
            self.store.put(&name, bytes).await.expect("memory takes it");
        }
        let log = self.log.open(&CHANNEL.into()).await.expect("memory");
        let flushed = Flushed { position: Position::start(log), epoch: Epoch::default(), number: 0, clock: Timestamp(10) };
        let mut manifest = Manifest { version: 0, ..Manifest::created(shard(number), schema.clone(), flushed) };
        let bytes = encoded.segment.files.iter().map(|file| file.object.length).sum();
        manifest.segments.push(encoded.segment);
        self.coordinator.manifests.lock().insert(shard(number), manifest);
        bytes
    }

    async fn start(&self, cache_bytes: u64, limits: MemoryLimits) -> Serving {
        let (world, coordinator) = (self.world.clone(), self.coordinator.clone());
        let cache = DiskCache::open(&world, self.directory.path(), cache_bytes).await.expect("the directory can be used");
        let channels = Arc::new(Channels::default());
        let opener = Opener::new(ObjectSource::new(self.store.clone(), Some(cache.clone())), PageCache::new(1 << 20));
        let refresher = Refresher::start(&world, coordinator.clone(), opener, channels.clone(), limits);
        let peers = Arc::new(Peers::new(&world));
        let followers = Followers::new(follow::Parts {
            world: world.clone(),
            log: self.log.clone(),
            coordinator: coordinator.clone(),
            peers: peers.clone(),
            channels: channels.clone(),
            refresher: refresher.clone(),
            store: self.store.clone(),
            planted: Default::default(),
        });
        let node = QueryNodeRole::new(Parts {
            world: world.clone(),
            channels: channels.clone(),
            refresher,
            followers,
            coordinator,
            peers,
            own: None,
            planted: Default::default(),
        });
        Serving { node, cache, channels, world }
    }
}

impl Serving {
    fn call(&self) -> Call {
        Call::within(&self.world, Duration::from_secs(60), "test")
    }

    async fn serve(&self, number: i64) -> Result<()> {
        self.node.serve(&self.call(), request(number)).await
    }

    async fn count(&self, number: i64) -> Result<u64> {
        let scope = Scope {
            shard: shard(number),
            partitions: None,
            at: ReadAt::Applied,
            schema_version: 1,
            ignore_growing: false,
            filter: expr::Plan::always(),
            output: Vec::new(),
            output_bytes_max: 1 << 20,
        };
        let answer = self.node.query(&self.call(), QueryRequest { scope, limit: None, count: true }).await?;
        Ok(answer.count.expect("a count was asked for"))
    }

    async fn held(&self) -> Vec<(i64, bool)> {
        let said = self.node.serving(&self.call()).await.expect("it always says");
        said.shards.into_iter().map(|held| (held.request.shard.collection.0, held.is_serving)).collect()
    }
}

#[tokio::test]
async fn files_of_what_is_served_fill_the_cache_up_to_its_bound() {
    let setting = Setting::new();
    let mut bytes = 0;
    for number in [1, 2, 3] {
        bytes = setting.seal(number).await;
    }
    // Two fit, and not a third one.
    let room = bytes * 5 / 2;
    let serving = setting.start(room, MemoryLimits::NONE).await;
    for number in [1, 2] {
        serving.serve(number).await.expect("there is room");
        assert_eq!(serving.count(number).await, Ok(ROWS as u64));
    }
    let usage = serving.cache.usage();
    // Small files are read once and may go.
    let is_mapped = |usage: &store::cache::CacheUsage| usage.pinned_bytes * 10 > 2 * bytes * 9;
    assert!(usage.bytes == 2 * bytes && is_mapped(&usage), "everything is served from the disk: {usage:?}");
    let full = serving.serve(3).await.expect_err("there is no room");
    assert_eq!(full.code(), Code::DISK_LIMIT);
    assert!(full.reason().contains("segment 1003") && full.reason().contains(&format!("of {room} are in use")), "{full}");
    assert_eq!(serving.held().await, [(1, true), (2, true)]);
    assert_eq!(serving.count(3).await.expect_err("it isn't served").code(), Code::COLLECTION_NOT_LOADED);
    assert_eq!(serving.count(1).await, Ok(ROWS as u64), "the others are");
    assert!(!serving.channels.get(&CHANNEL.into()).expect("it is read").has(shard(3)), "nothing of it stays");

    // A read that goes on keeps its files.
    let reading = serving.channels.get(&CHANNEL.into()).expect("it is read").reader(shard(1)).expect("it is served").versions.load_full();
    serving.node.release(&serving.call(), shard(1)).await.expect("it is let go of");
    assert_eq!(serving.serve(3).await.expect_err("a read needs the files").code(), Code::DISK_LIMIT);
    let all = segment::query::Query { filter: &expr::Plan::always(), partitions: None, at: Timestamp(10), ignore_growing: false };
    assert_eq!(segment::query::count(&reading, &all, &serving.world.cpu), Ok(ROWS as u64));
    drop(reading);
    serving.serve(3).await.expect("the files of the first one go");
    assert_eq!(serving.count(3).await, Ok(ROWS as u64));
    let usage = serving.cache.usage();
    assert!(usage.bytes <= room && is_mapped(&usage), "{usage:?}");

    // Names that go while files are mapped take nothing away.
    std::fs::remove_dir_all(setting.directory.path()).expect("it is the test's own");
    assert_eq!((serving.count(2).await, serving.count(3).await), (Ok(ROWS as u64), Ok(ROWS as u64)));
}

#[tokio::test]
async fn what_does_not_fit_in_memory_is_refused_by_name() {
    let setting = Setting::new();
    let mut bytes = 0;
    for number in [1, 2, 3] {
        bytes = setting.seal(number).await;
    }
    let limits = MemoryLimits { bytes: bytes * 5, factor: 2.0 };
    let serving = setting.start(bytes * 10, limits).await;
    for number in [1, 2] {
        serving.serve(number).await.expect("there is room");
    }
    let full = serving.serve(3).await.expect_err("there is no room");
    assert_eq!(full.code(), Code::MEMORY_LIMIT);
    let text = format!("{} bytes are needed, {} of {} are in use: memory limit exceeded", bytes * 2, bytes * 4, bytes * 5);
    assert!(full.reason().starts_with("insufficient memory to load shard 3") && full.reason().ends_with(&text), "{full}");
    assert_eq!(serving.held().await, [(1, true), (2, true)]);
    assert_eq!(serving.cache.usage().bytes, 2 * bytes, "nothing was fetched for it");
    serving.serve(1).await.expect("what is served can be asked for again");
    let memory = serving.node.serving(&serving.call()).await.expect("it always says").memory;
    assert_eq!((memory.limit_bytes, memory.used_bytes), (bytes * 5, bytes * 4));
    serving.node.release(&serving.call(), shard(2)).await.expect("it is let go of");
    serving.serve(3).await.expect("there is room again");
    assert_eq!(serving.held().await, [(1, true), (3, true)]);
}

#[tokio::test]
async fn a_read_whose_shard_goes_while_it_waits_is_for_another_node() {
    let setting = Setting::new();
    setting.seal(1).await;
    let serving = setting.start(1 << 30, MemoryLimits::NONE).await;
    serving.serve(1).await.expect("there is room");
    // As a release does, between the read's look at what is served and at the shard.
    serving.channels.get(&CHANNEL.into()).expect("it is read").remove(shard(1));
    assert_eq!(serving.count(1).await.expect_err("it has gone").code(), Code::COLLECTION_NOT_LOADED);
}

#[tokio::test]
async fn what_was_begun_and_given_up_is_said_and_let_go_of() {
    let setting = Setting::new();
    setting.seal(1).await;
    let serving = setting.start(1 << 30, MemoryLimits::NONE).await;
    let call = serving.call();
    {
        // The caller goes away before the first answer of the log.
        let mut begun = std::pin::pin!(serving.node.serve(&call, request(1)));
        assert!(futures::poll!(&mut begun).is_pending());
    }
    assert_eq!(serving.held().await, [(1, false)]);
    serving.node.release(&call, shard(1)).await.expect("it is let go of");
    assert_eq!(serving.held().await, []);
    serving.serve(1).await.expect("it can be served all the same");
    assert_eq!(serving.count(1).await, Ok(ROWS as u64));
}
