//! Stored forms, byte for byte: `tests/golden/catalog-v1.txt` is what a catalog of layout 1 looks like and is never rewritten.
//!
//! Each line is a key, a space and a value. A later version gets a file of its own beside it; every file must still be read.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;
use meta::catalog::document::{Document, key, read, value};
use meta::catalog::model::*;
use meta::election::Leader;
use meta::session::Session;
use meta::store::{Entry, Revision};
use types::collection::{Consistency, Partition};
use types::id::*;
use types::index_params::IndexDefinition;
use types::position::{LogId, Position};
use types::record::Epoch;
use types::schema::Schema;
use types::time::Timestamp;

pub const GOLDEN: &str = include_str!("../golden/catalog-v1.txt");

fn golden() -> BTreeMap<&'static str, &'static str> {
    let lines: BTreeMap<_, _> = GOLDEN.lines().map(|line| line.split_once(' ').expect("a key and a value")).collect();
    assert_eq!(lines.len(), GOLDEN.lines().count(), "each key once");
    lines
}

fn entry(key: &str, value: impl Into<Bytes>) -> Entry {
    Entry { key: Bytes::copy_from_slice(key.as_bytes()), value: value.into(), created: Revision(5), modified: Revision(7), lease: None }
}

/// The document is written as the golden file has it, and read back from there.
fn check<D: Document + PartialEq + Debug>(lines: &mut BTreeMap<&'static str, &'static str>, document: D) {
    let (key, value) = (key::<D>(&document.id()), value(&document));
    let key = std::str::from_utf8(&key).expect("text");
    let Some(stored) = lines.get(key) else { panic!("not in the golden file:\n{key} {}", value.escape_ascii()) };
    assert_eq!(std::str::from_utf8(&value), Ok(*stored), "{key} is written in another way");
    check_readable(lines, document);
}

/// The document is read from the golden file, and from what is written now. For what `types` writes, which may gain fields.
fn check_readable<D: Document + PartialEq + Debug>(lines: &mut BTreeMap<&'static str, &'static str>, document: D) {
    let (key, value) = (key::<D>(&document.id()), value(&document));
    let key = std::str::from_utf8(&key).expect("text");
    let Some(stored) = lines.remove(key) else { panic!("not in the golden file:\n{key} {}", value.escape_ascii()) };
    for text in [Bytes::from_static(stored.as_bytes()), value] {
        let read = read::<D>(&entry(key, text)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((&read.value, read.created, read.modified), (&document, Revision(5), Revision(7)));
    }
    check_damage::<D>(key, stored);
}

/// Whatever is wrong is an error that names the key, and never another document.
fn check_damage<D: Document + Debug>(key: &str, stored: &str) {
    let fails = |key: &str, value: Vec<u8>, why: &str| match read::<D>(&entry(key, value)) {
        Err(error) => assert!(error.code() == types::Code::DATA_INTEGRITY && error.reason().contains(key), "{why}: {error}"),
        Ok(read) => panic!("{key}, {why}: {read:?}"),
    };
    fails(key, stored.replacen("\"v\":1", "\"v\":2", 1).into_bytes(), "an unknown version");
    fails(key, stored.as_bytes()[..stored.len() - 1].to_vec(), "cut");
    fails(key, Vec::new(), "empty");
    fails("catalog/elsewhere/1", stored.as_bytes().to_vec(), "another kind's key");
    let start = stored.find("\"d\":").expect("an envelope") + 4;
    for at in (start..stored.len() - 1).step_by(stored.len() / 16 + 1) {
        let mut bad = stored.as_bytes().to_vec();
        bad[at] ^= 1;
        fails(key, bad, "a flipped bit");
    }
}

/// Text, so that fields which schemas gain later don't change what is checked here: that this stays readable.
fn schema() -> Schema {
    let text = r#"{"version": 2, "fields": [
        {"id": 100, "name": "id", "data_type": "Int64", "kind": "Primary", "auto_id": true},
        {"id": 101, "name": "vector", "data_type": "FloatVector", "dimension": 128, "type_params": {"dim": "128"}},
        {"id": 102, "name": "$meta", "data_type": "Json", "kind": "Dynamic", "nullable": true}]}"#;
    serde_json::from_str(text).expect("a schema's stored form")
}

fn index() -> IndexDefinition {
    let text = r#"{"id": 1005, "name": "vector_index", "field": 101, "index_type": "HNSW", "metric": "Cosine", "params": {"M": "16"},
        "user_params": [["index_type", "HNSW"]], "created": 459000000000000000}"#;
    serde_json::from_str(text).expect("an index definition's stored form")
}

fn collection(state: CollectionState) -> Collection {
    Collection {
        id: CollectionId(1_001),
        database: DatabaseId(1),
        name: "books".to_owned(),
        description: "what is \"read\"".to_owned(),
        state,
        schema_version: 2,
        channels: vec![ChannelName::numbered("by-dev", 0), ChannelName::numbered("by-dev", 1)],
        consistency: Consistency::Bounded,
        properties: BTreeMap::from([("collection.ttl.seconds".to_owned(), "60".to_owned())]),
        partitions: vec![Partition { id: PartitionId(1_002), name: "_default".to_owned(), created: Timestamp(459_000_000_000_000_001) }],
        dropping_partitions: vec![DroppingPartition { id: PartitionId(1_003), operation: OperationId(1_004) }],
        num_partitions: 0,
        generation: 3,
        next_field: FieldId(103),
        created: Timestamp(459_000_000_000_000_000),
        updated: Timestamp(459_000_000_000_000_009),
    }
}

fn object(name: &str) -> ObjectPointer {
    ObjectPointer { name: name.to_owned(), length: 12_345, checksum: 0xdead_beef }
}

fn position(offset: u64) -> Position {
    Position::from_u64(LogId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef), offset)
}

#[test]
fn stored_forms_are_what_they_were() {
    let mut lines = golden();
    let all = &mut lines;
    let created = Timestamp(459_000_000_000_000_000);
    let database = DatabaseId(1);
    check(all, Database { id: database, name: "default".to_owned(), properties: BTreeMap::new(), created });
    check(all, DatabaseName { name: "default".to_owned(), database });
    check(all, Name { database, name: "books".to_owned(), target: NameTarget::Collection(CollectionId(1_001)) });
    check(all, Name { database, name: "volumes".to_owned(), target: NameTarget::Alias(CollectionId(1_001)) });
    check(all, collection(CollectionState::Created));
    let at = |id, state| Collection { id: CollectionId(id), ..collection(state) };
    check(all, at(1_010, CollectionState::Creating(OperationId(1_011))));
    check(all, at(1_012, CollectionState::Dropping(OperationId(1_013))));
    check_readable(all, SchemaVersion { collection: CollectionId(1_001), schema: schema() });
    check_readable(all, Indexes { collection: CollectionId(1_001), definitions: vec![index()] });
    let load =
        Load { collection: CollectionId(1_001), partitions: None, fields: None, replicas: 1, resource_groups: Vec::new(), since: created };
    check(all, load.clone());
    check(
        all,
        Load {
            collection: CollectionId(1_010),
            partitions: Some(vec![PartitionId(1_002)]),
            fields: Some(vec![FieldId(100), FieldId(101)]),
            replicas: 2,
            resource_groups: vec!["rg".to_owned()],
            ..load
        },
    );
    let start = ShardStart { position: position(77), epoch: Epoch { process: 4, attempt: 1 }, number: 12, clock: created };
    check(all, Shard { id: ShardId::new(CollectionId(1_001), 0), start, manifest: None });
    let manifest = ManifestPointer { version: 9, object: object("manifest/1001/1/9-0123456789abcdef") };
    check(all, Shard { id: ShardId::new(CollectionId(1_001), 1), start, manifest: Some(manifest) });
    let channel = ChannelName::numbered("by-dev", 0);
    check(all, Assignment { channel: channel.clone(), node: NodeId(3), process: 4, lease: Duration::ZERO });
    check(
        all,
        Checkpoint { channel, position: position(99), process: 4, object: object("checkpoint/by-dev-elanus-dml_0/0123456789abcdef") },
    );
    let objects = vec!["manifest/1001/1/8-fedcba9876543210".to_owned(), "segment/1001/1020/".to_owned()];
    check(all, Tombstone { id: 1_006, shard: Some(ShardId::new(CollectionId(1_001), 1)), below_version: 9, objects, since: created });
    check(all, Tombstone { id: 1_007, shard: None, below_version: 0, objects: vec!["delete/1000/".to_owned()], since: created });
    let collection = CollectionId(1_001);
    let operations = [
        Operation::CreateCollection(collection),
        Operation::DropCollection(collection),
        Operation::Truncate { collection, generation: 3 },
        Operation::DropPartition { collection, partition: PartitionId(1_003) },
        Operation::ChangeSchema { collection, version: 2 },
        Operation::ImportCommit { collection, job: JobId(1_008) },
    ];
    for (i, operation) in operations.into_iter().enumerate() {
        check(all, Intent { id: OperationId(1_100 + i as i64), operation, since: created });
    }
    let session = Session {
        node: NodeId(3),
        roles: vec!["proxy".to_owned(), "querynode".to_owned()],
        address: "10.0.0.3:19530".to_owned(),
        host: "node-3".to_owned(),
        version: "0.1.0".to_owned(),
        started: created,
    };
    check(all, session);
    // What other modules keep to themselves is read here, and written where they are tested.
    let leader = lines.remove("leader/root").expect("it is there");
    assert_eq!(read::<Leader>(&entry("leader/root", leader)).map(|leader| leader.value.address), Ok("10.0.0.2:53100".to_owned()));
    assert_eq!(lines.keys().copied().collect::<Vec<_>>(), ["catalog/layout/keys", "counter/id"], "every line is checked");
}

#[tokio::test(start_paused = true)]
async fn a_catalog_of_layout_1_is_loaded_whole() {
    let world = crate::memory::simulated(1);
    let meta: std::sync::Arc<dyn meta::store::Meta> = std::sync::Arc::new(meta::memory::MemoryStore::new(world.clock.clone()).connect());
    for (key, value) in golden() {
        meta.commit(meta::store::Transaction::new().put(key, value)).await.expect("it works");
    }
    let catalog = meta::catalog::Catalog::new(meta.clone(), world.clock.clone());
    let loaded = catalog.load().await.expect("its layout is known");
    assert!(loaded.damaged.is_empty() && loaded.other.is_empty(), "{:?} {:?}", loaded.damaged, loaded.other);
    assert_eq!((loaded.collections.len(), loaded.intents.len(), loaded.shards.len()), (3, 6, 2));
    let ids = meta::sequence::IdAllocator::new(meta, 10);
    assert_eq!(ids.next().await, Ok(2_000), "the counter goes on where it was");
}
