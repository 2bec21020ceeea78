//! The catalog's life of databases, collections, names, partitions, shards and channels; lost answers; damage; size.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::World;
use bytes::Bytes;
use meta::catalog::document::{Versioned, key, value};
use meta::catalog::model::*;
use meta::catalog::{Begin, Catalog, Change, Loaded};
use meta::fault::{Fault, Faults, FaultyMeta};
use meta::memory::MemoryStore;
use meta::redb::{RedbMeta, RedbOptions};
use meta::store::{Condition, Meta, MetaError, Revision, Transaction};
use types::collection::{Consistency, Partition};
use types::id::*;
use types::position::{LogId, Position};
use types::record::Epoch;
use types::schema::Schema;
use types::time::Timestamp;

use crate::memory::simulated;

struct Fixture {
    world: World,
    meta: Arc<dyn Meta>,
    catalog: Catalog,
    fence: Condition,
}

impl Fixture {
    async fn new() -> Self {
        let world = simulated(1);
        let meta: Arc<dyn Meta> = Arc::new(MemoryStore::new(world.clock.clone()).connect());
        Self::on(world, meta).await
    }

    async fn on(world: World, meta: Arc<dyn Meta>) -> Self {
        let catalog = Catalog::new(meta.clone(), world.clock.clone());
        let term = meta.commit(Transaction::new().put("office", "leader")).await.expect("it works");
        let fence = Condition::Created("office".into(), term);
        catalog.initialize(fence.clone(), Timestamp(1)).await.expect("it works");
        Self { world, meta, catalog, fence }
    }

    fn change(&self) -> Change {
        Change::fenced(self.fence.clone())
    }

    async fn commit(&self, change: Change) -> Result<Revision, MetaError> {
        self.catalog.commit(change).await
    }

    async fn load(&self) -> Loaded {
        let loaded = self.catalog.load().await.expect("it works");
        assert!(loaded.damaged.is_empty(), "{:?}", loaded.damaged);
        loaded
    }

    async fn collection(&self, id: i64) -> Versioned<Collection> {
        self.catalog.read::<Collection>(&CollectionId(id)).await.expect("it works").expect("it is there")
    }

    async fn intent(&self, id: i64) -> Versioned<Intent> {
        self.catalog.read::<Intent>(&OperationId(id)).await.expect("it works").expect("it is there")
    }

    async fn default_database(&self) -> Versioned<Database> {
        self.catalog.read::<Database>(&DEFAULT_DATABASE).await.expect("it works").expect("it is there")
    }

    /// A collection that is created, with two shards.
    async fn create(&self, id: i64, name: &str) -> Versioned<Collection> {
        let change = self.change().create_collection(&self.default_database().await, &collection(id, name), &schema(1), begin(id + 1));
        self.commit(change).await.expect("the name is free");
        let creating = self.collection(id).await;
        self.commit(self.change().finish_creation(&creating, &[start(id as u64), start(id as u64 + 1)])).await.expect("it is creating");
        self.collection(id).await
    }
}

fn begin(operation: i64) -> Begin {
    Begin { operation: OperationId(operation), now: Timestamp(operation as u64) }
}

fn start(offset: u64) -> ShardStart {
    ShardStart {
        position: Position::from_u64(LogId(7), offset),
        epoch: Epoch { process: 1, attempt: 0 },
        number: offset,
        clock: Timestamp(9),
    }
}

fn schema(version: u32) -> Schema {
    let field = |i: u32| match i {
        0 => r#"{"id": 100, "name": "id", "data_type": "Int64", "kind": "Primary", "description": "the key"}"#.to_owned(),
        1 => r#"{"id": 101, "name": "vector", "data_type": "FloatVector", "dimension": 768, "type_params": {"dim": "768"}}"#.to_owned(),
        _ => format!(
            r#"{{"id": {}, "name": "field_{i}", "data_type": "VarChar", "max_length": 64, "type_params": {{"max_length": "64"}}}}"#,
            100 + i
        ),
    };
    let fields: Vec<_> = (0..5 + version).map(field).collect();
    let text = format!(r#"{{"version": {version}, "fields": [{}]}}"#, fields.join(","));
    serde_json::from_str(&text).expect("a schema's stored form")
}

fn collection(id: i64, name: &str) -> Collection {
    Collection {
        id: CollectionId(id),
        database: DEFAULT_DATABASE,
        name: name.to_owned(),
        description: String::new(),
        state: CollectionState::Created,
        schema_version: 1,
        channels: (0..2).map(|n| ChannelName::numbered("by-dev", n)).collect(),
        consistency: Consistency::Bounded,
        properties: BTreeMap::new(),
        partitions: vec![Partition { id: PartitionId(id * 10), name: "_default".to_owned(), created: Timestamp(1) }],
        dropping_partitions: Vec::new(),
        num_partitions: 0,
        generation: 0,
        next_field: FieldId(106),
        created: Timestamp(1),
        updated: Timestamp(1),
    }
}

#[tokio::test(start_paused = true)]
async fn a_collection_lives_and_goes() {
    let f = Fixture::new().await;
    let books = f.create(2_000, "books").await;
    assert!(books.value.is_created());
    let loaded = f.load().await;
    assert_eq!(loaded.database("default").map(|d| d.value.id), Some(DEFAULT_DATABASE));
    assert_eq!(loaded.collection(DEFAULT_DATABASE, "books").map(|c| c.value.id), Some(books.value.id));
    assert_eq!(loaded.shards_of(books.value.id).map(|s| s.value.start.number).collect::<Vec<_>>(), [2_000, 2_001]);
    assert!(loaded.intents.is_empty());

    // Its name is taken, for collections and aliases alike.
    let database = f.default_database().await;
    let taken = f.change().create_collection(&database, &collection(2_010, "books"), &schema(1), begin(2_011));
    assert_eq!(f.commit(taken).await, Err(MetaError::Refused));
    assert_eq!(f.commit(f.change().create_alias(&books, "books")).await, Err(MetaError::Refused));
    f.commit(f.change().create_alias(&books, "volumes")).await.expect("the name is free");
    let loaded = f.load().await;
    assert_eq!(loaded.collection(DEFAULT_DATABASE, "volumes").map(|c| c.value.id), Some(books.value.id));
    let view =
        books.value.view("default", loaded.aliases(books.value.id), loaded.schema(&books.value).expect("it has one").value.schema.clone());
    assert_eq!((view.shards().count(), view.aliases, view.schema), (2, vec!["volumes".to_owned()], schema(1)));

    // Renamed: the old name is free at once.
    f.commit(f.change().rename_collection(&books, &database, "tomes", Timestamp(50))).await.expect("the name is free");
    assert_eq!(f.commit(f.change().truncate(&books, begin(2_020))).await, Err(MetaError::Refused), "books was read before");
    let tomes = f.collection(2_000).await;
    let again = f.create(2_030, "books").await;
    assert_eq!(f.commit(f.change().rename_collection(&again, &database, "tomes", Timestamp(60))).await, Err(MetaError::Refused));

    // Dropped: all its names are free at once, what it had goes later.
    let load =
        Load { collection: tomes.value.id, partitions: None, fields: None, replicas: 1, resource_groups: Vec::new(), since: Timestamp(70) };
    f.commit(f.change().create(&load)).await.expect("it isn't loaded");
    f.commit(f.change().create(&Indexes { collection: tomes.value.id, definitions: Vec::new() })).await.expect("it has none");
    f.commit(f.change().drop_collection(&tomes, &["volumes".to_owned()], begin(2_040))).await.expect("it is there");
    let loaded = f.load().await;
    assert!(loaded.collection(DEFAULT_DATABASE, "tomes").is_none() && loaded.collection(DEFAULT_DATABASE, "volumes").is_none());
    assert!(loaded.loads.is_empty());
    let dropping = f.collection(2_000).await;
    assert_eq!(dropping.value.state, CollectionState::Dropping(OperationId(2_040)));
    f.create(2_050, "tomes").await;
    let intent = f.intent(2_040).await;
    assert_eq!(intent.value.operation, Operation::DropCollection(CollectionId(2_000)));
    f.catalog.forget_collection(f.fence.clone(), &dropping, &intent).await.expect("it is dropping");
    let left = f.load().await;
    assert!(left.intents.is_empty() && !left.collections.contains_key(&CollectionId(2_000)) && left.indexes.is_empty());
    assert_eq!((left.shards.len(), left.schemas.len(), left.collections.len()), (4, 2, 2), "others keep theirs");
}

#[tokio::test(start_paused = true)]
async fn databases_go_only_with_nobody_moving_in() {
    let f = Fixture::new().await;
    let library = Database { id: DatabaseId(1_500), name: "library".to_owned(), properties: BTreeMap::new(), created: Timestamp(3) };
    let revision = f.commit(f.change().create_database(&library)).await.expect("the name is free");
    let same_name = Database { id: DatabaseId(1_501), ..library.clone() };
    assert_eq!(f.commit(f.change().create_database(&same_name)).await, Err(MetaError::Refused));
    let seen = Versioned::created(library, revision);
    f.commit(f.change().drop_database(&seen)).await.expect("it is empty");
    let inside = Collection { database: seen.value.id, ..collection(2_000, "books") };
    let late = f.change().create_collection(&seen, &inside, &schema(1), begin(2_001));
    assert_eq!(f.commit(late).await, Err(MetaError::Refused), "its database has gone");
    assert!(f.load().await.database("library").is_none());
}

#[tokio::test(start_paused = true)]
async fn partitions_schemas_and_truncates_leave_intents() {
    let f = Fixture::new().await;
    let mut books = f.create(2_000, "books").await;
    let partition = |id, name: &str| Partition { id: PartitionId(id), name: name.to_owned(), created: Timestamp(4) };
    f.commit(f.change().create_partitions(&books, &[partition(2_100, "a"), partition(2_101, "b")], Timestamp(4))).await.expect("free");
    books = f.collection(2_000).await;
    f.commit(f.change().drop_partition(&books, PartitionId(2_100), begin(2_102))).await.expect("it is there");
    books = f.collection(2_000).await;
    assert!(books.value.partition("a").is_none());
    assert_eq!(books.value.dropping_partitions, [DroppingPartition { id: PartitionId(2_100), operation: OperationId(2_102) }]);
    f.commit(f.change().create_partitions(&books, &[partition(2_103, "a")], Timestamp(5))).await.expect("its name is free at once");
    books = f.collection(2_000).await;
    f.commit(f.change().finish_drop_partition(&books, &f.intent(2_102).await)).await.expect("it is dropping");

    books = f.collection(2_000).await;
    assert!(books.value.dropping_partitions.is_empty());
    f.commit(f.change().change_schema(&books, &schema(2), begin(2_200))).await.expect("it is the next one");
    books = f.collection(2_000).await;
    assert_eq!((books.value.schema_version, books.value.next_field), (2, FieldId(107)));
    f.commit(f.change().truncate(&books, begin(2_300))).await.expect("it is there");
    books = f.collection(2_000).await;
    assert_eq!(books.value.generation, 1);

    let loaded = f.load().await;
    assert_eq!(
        loaded.schemas.keys().copied().collect::<Vec<_>>(),
        [(CollectionId(2_000), 1), (CollectionId(2_000), 2)],
        "old schemas stay"
    );
    let operations: Vec<_> = loaded.intents.values().map(|intent| intent.value.operation).collect();
    let collection = CollectionId(2_000);
    assert_eq!(operations, [Operation::ChangeSchema { collection, version: 2 }, Operation::Truncate { collection, generation: 1 }]);
    for intent in loaded.intents.values() {
        f.commit(f.change().finish(intent)).await.expect("it is open");
        assert_eq!(f.commit(f.change().finish(intent)).await, Err(MetaError::Refused), "once");
    }
}

#[tokio::test(start_paused = true)]
async fn manifests_and_checkpoints_move_by_compare_and_swap() {
    let f = Fixture::new().await;
    f.create(2_000, "books").await;
    let id = ShardId::new(CollectionId(2_000), 0);
    let read = async || f.catalog.read::<Shard>(&id).await.expect("it works").expect("it is there");
    let (one, two) = (read().await, read().await);
    let manifest = |version: u64, name: &str| {
        let object = ObjectPointer { name: format!("manifest/2000/0/{version}-{name}"), length: 10, checksum: 1 };
        ManifestPointer { version, object }
    };
    let tombstone = |id| Tombstone {
        id,
        shard: Some(ShardId::new(CollectionId(2_000), 0)),
        below_version: 2,
        objects: vec!["x".to_owned()],
        since: Timestamp(5),
    };
    f.commit(f.change().move_manifest(&one, manifest(1, "a"), &[])).await.expect("nobody was faster");
    assert_eq!(f.commit(f.change().move_manifest(&two, manifest(1, "b"), &[tombstone(2_900)])).await, Err(MetaError::Refused), "it lost");
    let current = read().await;
    f.commit(f.change().move_manifest(&current, manifest(2, "c"), &[tombstone(2_901)])).await.expect("nobody was faster");
    let loaded = f.load().await;
    assert_eq!(loaded.tombstones.keys().copied().collect::<Vec<_>>(), [2_901], "garbage comes with the move that made it");
    assert_eq!(loaded.shards[&id].value.version(), 2);

    let channel = ChannelName::numbered("by-dev", 0);
    let assignment =
        |node, process| Assignment { channel: channel.clone(), node: NodeId(node), process, lease: Duration::from_millis(1_500) };
    let assigned = async || f.catalog.read::<Assignment>(&channel).await.expect("it works").expect("it is there");
    f.commit(f.change().assign(None, &assignment(1, 5))).await.expect("it was free");
    let first = assigned().await;
    let checkpoint = |offset, process| {
        let object = ObjectPointer { name: format!("checkpoint/{offset}"), length: 1, checksum: 1 };
        Checkpoint { channel: channel.clone(), position: Position::from_u64(LogId(7), offset), process, object }
    };
    let revision = f.commit(Change::new().advance_checkpoint(&first, None, &checkpoint(10, 5))).await.expect("it is assigned");
    let old = Versioned::created(checkpoint(10, 5), revision);
    f.commit(f.change().assign(Some(&first), &assignment(2, 6))).await.expect("nobody was faster");
    let deposed = Change::new().advance_checkpoint(&first, Some(&old), &checkpoint(11, 5));
    assert_eq!(f.commit(deposed).await, Err(MetaError::Refused), "a deposed sequencer's checkpoint");
    let second = assigned().await;
    f.commit(Change::new().advance_checkpoint(&second, Some(&old), &checkpoint(12, 6))).await.expect("it is assigned");
    // A deposed leader moves nothing.
    f.meta.commit(Transaction::new().delete("office")).await.expect("it works");
    assert_eq!(f.commit(f.change().move_manifest(&read().await, manifest(3, "d"), &[])).await, Err(MetaError::Refused));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_found_out() {
    let f = Fixture::new().await;
    let faults = Faults::new(f.world.random.clone());
    let lossy = Catalog::new(Arc::new(FaultyMeta::new(f.meta.clone(), faults.clone())), f.world.clock.clone());
    let name = |n: i64| DatabaseName { name: format!("n{n}"), database: DatabaseId(n) };
    let plans: [&[Option<Fault>]; 5] = [
        &[Some(Fault::After)],
        &[Some(Fault::Before)],
        &[Some(Fault::Before), Some(Fault::After), Some(Fault::Before)],
        &[Some(Fault::After), Some(Fault::After)],
        &[Some(Fault::Before), None],
    ];
    for (i, plan) in plans.iter().enumerate() {
        let name = name(i as i64);
        plan.iter().for_each(|fault| faults.next(*fault));
        let revision = lossy.commit(Change::new().create(&name)).await.unwrap_or_else(|error| panic!("plan {i}: {error}"));
        let there = f.catalog.read::<DatabaseName>(&name.name).await.expect("it works").expect("it was made");
        assert_eq!((there.modified, &there.value), (revision, &name), "plan {i}: once");
        plan.iter().for_each(|fault| faults.next(*fault));
        lossy.commit(Change::new().remove(&there)).await.unwrap_or_else(|error| panic!("plan {i}: {error}"));
        assert!(f.catalog.read::<DatabaseName>(&name.name).await.expect("it works").is_none());
    }
    // What is refused at first is refused; where it can't be told from a change of ours that was overwritten, it isn't claimed.
    f.commit(Change::new().create(&name(100))).await.expect("the name is free");
    let other = DatabaseName { database: DatabaseId(101), ..name(100) };
    assert_eq!(lossy.commit(Change::new().create(&other)).await, Err(MetaError::Refused));
    faults.next(Some(Fault::After));
    assert!(matches!(lossy.commit(Change::new().create(&other)).await, Err(MetaError::Unavailable(_))));
    // Meta stays away: the caller is told after a few tries.
    let began = f.world.clock.now();
    (0..20).for_each(|_| faults.next(Some(Fault::Before)));
    assert!(matches!(lossy.commit(Change::new().create(&name(102))).await, Err(MetaError::Unavailable(_))));
    assert!(f.world.clock.now() - began < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn what_arrives_late_changes_nothing() {
    let f = Fixture::new().await;
    let faults = Faults::new(f.world.random.clone());
    let lossy = Catalog::new(Arc::new(FaultyMeta::new(f.meta.clone(), faults.clone())), f.world.clock.clone());
    let key = Bytes::from_static(b"leader/root");
    let created = f.meta.commit(Transaction::new().put(key.clone(), "first")).await.expect("it works");
    let fence = Condition::Created(key.clone(), created);
    let name = DatabaseName { name: "n".to_owned(), database: DatabaseId(1) };
    let revocations = async || f.meta.list(b"revoked/").await.expect("it works").entries.len();
    // The first attempt is late, the second is made, and what it made goes: then the first one's conditions hold again.
    faults.next(Some(Fault::Late));
    lossy.commit(Change::fenced(fence.clone()).create(&name)).await.expect("the second attempt is made");
    let there = f.catalog.read::<DatabaseName>(&name.name).await.expect("it works").expect("it was made");
    f.catalog.commit(Change::fenced(fence.clone()).remove(&there)).await.expect("it is there");
    let late = faults.late();
    assert_eq!((late.len(), revocations().await), (1, 1));
    assert_eq!(f.meta.commit(late[0].clone()).await, Err(MetaError::Refused), "what was dropped stays dropped");
    // The next term needs the revocation no more: its own fence refuses what is late.
    f.meta.commit(Transaction::new().delete(key.clone())).await.expect("it works");
    let created = f.meta.commit(Transaction::new().put(key.clone(), "second")).await.expect("it works");
    f.catalog.forget_revocations(&Condition::Created(key, created)).await.expect("it leads");
    assert_eq!(revocations().await, 0);
    assert_eq!(f.meta.commit(late[0].clone()).await, Err(MetaError::Refused));
}

#[tokio::test(start_paused = true)]
async fn damage_is_named_and_the_rest_serves() {
    let f = Fixture::new().await;
    f.create(2_000, "books").await;
    f.create(2_100, "tomes").await;
    let bad = key::<Collection>(&CollectionId(2_000));
    let whole = f.meta.get(&bad).await.expect("it works").expect("it is there").value;
    let text = String::from_utf8(whole.to_vec()).expect("it is JSON").replace("books", "bOOks");
    let revision = f.load().await.revision;
    f.meta.commit(Transaction::new().put(bad.clone(), text)).await.expect("it works");
    let mut watched = f.catalog.load().await.expect("the rest serves");
    assert!(watched.revision > revision);
    assert_eq!(watched.damaged.keys().collect::<Vec<_>>(), [&bad]);
    assert!(watched.damaged[&bad].reason().contains("another checksum"));
    assert_eq!(watched.collections.keys().map(|id| id.0).collect::<Vec<_>>(), [2_100]);
    assert!(
        matches!(f.catalog.read::<Collection>(&CollectionId(2_000)).await, Err(MetaError::Damaged(error)) if error.reason().contains("2000"))
    );
    // Mended, it is back; a watch brings it.
    let mut watch = f.catalog.watch(watched.revision.next()).await.expect("it works");
    f.meta.commit(Transaction::new().put(bad, whole)).await.expect("it works");
    watched.apply(&watch.next().await.expect("it works"));
    assert!(watched.damaged.is_empty() && watched.collections.len() == 2);
    // Other crates' documents are left alone, an unknown layout stops all.
    f.meta.commit(Transaction::new().put("catalog/user/root", "theirs")).await.expect("it works");
    assert_eq!(f.load().await.other.len(), 1);
    let layout = f.meta.get(b"catalog/layout/keys").await.expect("it works").expect("it is there").value;
    let newer = String::from_utf8(layout.to_vec()).expect("it is JSON").replace("\"number\":1", "\"number\":2");
    let body = &newer[newer.find("\"d\":").expect("an envelope") + 4..newer.len() - 1];
    let newer = format!("{{\"v\":1,\"crc\":{},\"d\":{body}}}", crc32c::crc32c(body.as_bytes()));
    f.meta.commit(Transaction::new().put("catalog/layout/keys", newer)).await.expect("it works");
    assert!(matches!(f.catalog.load().await, Err(MetaError::Damaged(error)) if error.reason().contains("layout 2")));
    assert!(matches!(f.catalog.initialize(f.fence.clone(), Timestamp(1)).await, Err(MetaError::Damaged(_))));
}

/// A watch keeps a copy equal to what a load gives.
#[tokio::test(start_paused = true)]
async fn a_watched_copy_is_what_a_load_gives() {
    let f = Fixture::new().await;
    let mut copy = f.load().await;
    let mut watch = f.catalog.watch(copy.revision.next()).await.expect("it works");
    for i in 0..10 {
        let made = f.create(3_000 + i * 10, &format!("c{i}")).await;
        if i % 2 == 0 {
            f.commit(f.change().drop_collection(&made, &[], begin(3_005 + i * 10))).await.expect("it is there");
            let (dropping, intent) = (f.collection(3_000 + i * 10).await, f.intent(3_005 + i * 10).await);
            f.catalog.forget_collection(f.fence.clone(), &dropping, &intent).await.expect("it is dropping");
        }
        while let Some(changes) = f.world.within(Duration::from_millis(1), watch.next()).await {
            copy.apply(&changes.expect("it works"));
        }
        assert_eq!(format!("{copy:?}"), format!("{:?}", f.load().await));
    }
    assert_eq!((copy.collections.len(), copy.names.len(), copy.shards.len()), (5, 5, 10));
}

/// 10,000 collections as an embedded store has them: what a start costs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_collections_are_loaded_quickly() {
    const COLLECTIONS: i64 = 10_000;
    let directory = tempfile::tempdir().expect("a directory");
    let world = World::real();
    let redb = RedbMeta::open(&world, directory.path(), RedbOptions::default()).await.expect("it opens");
    let f = Fixture::on(world.clone(), Arc::new(redb.clone())).await;
    for batch in (0..COLLECTIONS).collect::<Vec<_>>().chunks(8) {
        let mut transaction = Transaction::new();
        for id in batch.iter().map(|i| 5_000 + i * 10) {
            let collection = collection(id, &format!("collection_{id}"));
            let (name, of) = (collection.name.clone(), collection.id);
            let name = Name { database: DEFAULT_DATABASE, name, target: NameTarget::Collection(of) };
            let schema = SchemaVersion { collection: of, schema: schema(1) };
            let load =
                Load { collection: of, partitions: None, fields: None, replicas: 1, resource_groups: Vec::new(), since: Timestamp(1) };
            transaction = transaction
                .put(key::<Collection>(&of), value(&collection))
                .put(key::<Name>(&(DEFAULT_DATABASE, name.name.clone())), value(&name));
            transaction = transaction.put(key::<SchemaVersion>(&(of, 1)), value(&schema)).put(key::<Load>(&of), value(&load));
            for index in 0..2 {
                let shard = Shard { id: ShardId::new(of, index), start: start(1), manifest: None };
                transaction = transaction.put(key::<Shard>(&shard.id), value(&shard));
            }
        }
        f.meta.commit(transaction).await.expect("it works");
    }
    redb.close().await;
    let bytes = std::fs::metadata(redb.path()).expect("it is there").len();
    let began = world.clock.now();
    let redb = RedbMeta::open(&world, directory.path(), RedbOptions::default()).await.expect("it opens");
    let opened = world.clock.now() - began;
    let catalog = Catalog::new(Arc::new(redb), world.clock.clone());
    let loaded = catalog.load().await.expect("it works");
    let took = world.clock.now() - began;
    println!("{} documents, {bytes} bytes: opened in {opened:?}, loaded in {took:?} in all", 6 * COLLECTIONS);
    assert_eq!(loaded.collections.len() as i64, COLLECTIONS);
    assert!(took < Duration::from_secs(10), "a start takes {took:?}");
}
