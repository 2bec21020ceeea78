//! The disk cache: bounded, fetched once, verified, kept over a restart.

use std::sync::Arc;

use base::World;
use base::fault::{FaultPlan, Rates};
use base::metrics::milvus::STORAGE_OP_COUNT;
use bytes::Bytes;
use futures::future::join_all;
use store::cache::DiskCache;
use store::object::decorate::{FaultStore, Latency, LatencyStore, MeteredStore};
use store::object::memory::MemoryStore;
use store::object::{Store, StoreError};
use store::reference::ObjectRef;
use store::segment_file::PageCache;
use store::source::ObjectSource;
use types::Code;

use crate::sample::{self, KeyType};

struct Setting {
    world: World,
    /// Counted, and too far to be mapped.
    store: Arc<MeteredStore>,
    directory: tempfile::TempDir,
}

fn setting() -> Setting {
    let world = World::real();
    let memory = Arc::new(MemoryStore::new(world.clock.clone()));
    let near = Latency { call: Default::default(), jitter: Default::default(), bytes_per_second: 0 };
    let far = Arc::new(LatencyStore::new(memory, world.clone(), near));
    let store = Arc::new(MeteredStore::new(far, &world));
    Setting { world, store, directory: tempfile::tempdir().expect("a directory for the test") }
}

impl Setting {
    async fn cache(&self, bytes_max: u64) -> DiskCache {
        DiskCache::open(&self.world, self.directory.path(), bytes_max).await.expect("the directory can be used")
    }

    async fn put(&self, name: &str, length: usize) -> ObjectRef {
        let bytes: Bytes = (0..length).map(|i| (i % 251) as u8).collect();
        self.store.put(name, bytes.clone()).await.expect("memory takes it");
        ObjectRef::of(name, &bytes)
    }

    /// Ranges that came from the store, and questions whether it maps.
    fn fetched(&self) -> u64 {
        self.world.metrics.family(&STORAGE_OP_COUNT).with(["get", "total"]).get()
    }
}

#[tokio::test]
async fn a_file_is_fetched_once_and_found_after_a_restart() {
    let setting = setting();
    let large = setting.put("a/large", (20 << 20) + 1).await;
    let small = setting.put("a/small", 10).await;
    let empty = setting.put("empty", 0).await;
    let cache = setting.cache(64 << 20).await;
    let fetches = (0..8).map(|_| cache.fetch(&*setting.store, &large));
    for bytes in join_all(fetches).await {
        large.verify(bytes.expect("the store has it")).expect("it is what was put");
    }
    assert_eq!(setting.fetched(), 3, "three ranges, however many ask");
    small.verify(cache.fetch(&*setting.store, &small).await.expect("the store has it")).expect("it is what was put");
    assert!(cache.fetch(&*setting.store, &empty).await.expect("the store has it").is_empty());
    let before = setting.fetched();
    let again = setting.cache(64 << 20).await;
    assert_eq!((again.usage().files, again.usage().bytes), (3, (20 << 20) + 11));
    large.verify(again.fetch(&*setting.store, &large).await.expect("it lies on the disk")).expect("it is what was put");
    assert_eq!(setting.fetched(), before);
}

#[tokio::test]
async fn the_least_recently_used_go_and_what_is_in_use_stays() {
    let setting = setting();
    let cache = setting.cache(1_000).await;
    let mut objects = Vec::new();
    for i in 0..5 {
        objects.push(setting.put(&format!("o/{i}"), 300).await);
    }
    let held = cache.fetch(&*setting.store, &objects[0]).await.expect("there is room");
    for object in &objects[1..4] {
        cache.fetch(&*setting.store, object).await.expect("an idle one goes");
    }
    let usage = cache.usage();
    assert_eq!((usage.files, usage.bytes, usage.pinned_bytes), (3, 900, 300));
    assert_eq!(held[..], (0..300).map(|i| (i % 251) as u8).collect::<Vec<_>>());
    let before = setting.fetched();
    cache.fetch(&*setting.store, &objects[0]).await.expect("it stayed");
    cache.fetch(&*setting.store, &objects[3]).await.expect("it stayed");
    assert_eq!(setting.fetched(), before);
    cache.fetch(&*setting.store, &objects[1]).await.expect("it went and comes again");
    assert_eq!(setting.fetched(), before + 1);

    let (b, c) = (cache.fetch(&*setting.store, &objects[3]).await, cache.fetch(&*setting.store, &objects[1]).await);
    let full = cache.fetch(&*setting.store, &objects[4]).await.expect_err("everything is in use");
    assert_eq!(full.code(), Code::DISK_LIMIT);
    assert_eq!(full.reason(), "o/4: 300 bytes are needed, 900 of 1000 are in use: disk limit exceeded");
    drop((held, b, c));
    cache.fetch(&*setting.store, &objects[4]).await.expect("there is room again");
    assert_eq!(cache.usage().bytes, 900);
    let reopened = setting.cache(300).await;
    assert_eq!(reopened.usage().bytes, 300, "a smaller cache lets the oldest go");
}

#[tokio::test]
async fn failed_fetches_leave_nothing() {
    let setting = setting();
    let cache = setting.cache(1_000).await;
    let object = setting.put("o", 500).await;
    let plan = FaultPlan::new(&setting.world.random, Rates { fail_before: 1.0, ..Rates::NONE });
    let faulty = FaultStore::new(setting.store.clone(), plan.clone());
    assert!(cache.fetch(&faulty, &object).await.is_err());
    let other = ObjectRef { checksum: object.checksum ^ 1, ..object.clone() };
    let error = cache.fetch(&*setting.store, &other).await.expect_err("the store gives other bytes");
    assert_eq!(error.code(), Code::DATA_INTEGRITY);
    let missing = ObjectRef::of("missing", b"x");
    assert_eq!(cache.fetch(&*setting.store, &missing).await.expect_err("there is none").code(), Code::DATA_INTEGRITY);
    assert_eq!((cache.usage().files, cache.usage().bytes), (0, 0));
    plan.pause();
    assert!(cache.fetch(&faulty, &object).await.is_ok());

    // A fetch that nobody waits for any more.
    let slow = Latency { call: std::time::Duration::from_secs(3_600), jitter: Default::default(), bytes_per_second: 0 };
    let slow = LatencyStore::new(setting.store.clone(), setting.world.clone(), slow);
    let late = setting.put("late", 100).await;
    assert!(setting.world.within(std::time::Duration::from_millis(1), cache.fetch(&slow, &late)).await.is_none());
    assert_eq!(cache.usage().files, 1);
    assert!(cache.fetch(&*setting.store, &late).await.is_ok());
}

#[tokio::test]
async fn a_damaged_file_comes_again_after_a_discard() {
    let setting = setting();
    let cache = setting.cache(1_000).await;
    let object = setting.put("o", 500).await;
    drop(cache.fetch(&*setting.store, &object).await.expect("the store has it"));
    let path = setting.directory.path().join("o");
    let mut bytes = std::fs::read(&path).expect("it lies on the disk");
    bytes[77] ^= 1;
    std::fs::write(&path, &bytes).expect("the directory can be used");
    let damaged = cache.fetch(&*setting.store, &object).await.expect("the length is right");
    assert!(object.verify(damaged.clone()).is_err());
    cache.discard("o");
    let fresh = cache.fetch(&*setting.store, &object).await.expect("the store has it");
    object.verify(fresh.clone()).expect("it is whole again");
    assert_eq!(damaged[..], bytes[..], "who has the old one keeps it");
    drop((damaged, fresh));
    std::fs::write(&path, b"short").expect("the directory can be used");
    assert!(cache.fetch(&*setting.store, &object).await.is_err(), "another length is an error");
    object.verify(cache.fetch(&*setting.store, &object).await.expect("and the file comes again")).expect("it is whole again");
    assert_eq!(cache.usage().bytes, 500);
}

#[tokio::test]
async fn a_segment_opens_from_every_source() {
    let setting = setting();
    let schema = sample::schema(KeyType::Int);
    let encoded = sample::encoded(&schema, &sample::rows(&schema, 200, 1));
    let memory = MemoryStore::new(setting.world.clock.clone());
    for (name, bytes) in &encoded.objects {
        memory.put_if_absent(name, bytes.clone()).await.expect("names are new");
        setting.store.put_if_absent(name, bytes.clone()).await.expect("names are new");
    }
    let (pages, cache) = (PageCache::new(1 << 20), setting.cache(10 << 20).await);
    let mapped = ObjectSource::new(Arc::new(memory), None);
    let cached = ObjectSource::new(setting.store.clone(), Some(cache.clone()));
    let held = ObjectSource::new(setting.store.clone(), None);
    for source in [mapped, cached, held] {
        let reader = source.segment(&encoded.segment, &schema, &pages, |_| true).await.expect("every object is there");
        assert_eq!(reader.rows(), 200);
        assert_eq!(reader.bytes(), encoded.segment.bytes() - encoded.segment.files.last().expect("it has files").object.length);
    }
    assert_eq!(cache.usage().bytes, encoded.segment.bytes());
    setting.store.delete(&encoded.objects[0].0).await.expect("it is there");
    let held = ObjectSource::new(setting.store.clone(), None);
    let missing = held.segment(&encoded.segment, &schema, &pages, |_| true).await.err().expect("a file is missing");
    assert_eq!(missing, StoreError::Missing(encoded.objects[0].0.clone()).into());
}
