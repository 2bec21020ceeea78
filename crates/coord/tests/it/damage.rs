//! Documents in meta that can't be read: named, never taken for absent, and nothing of them is deleted or forgotten.

use meta::catalog::document::{Document, key};
use meta::catalog::model;
use role::data::{CheckpointPointer, DataCoord};
use role::query::QueryCoord;
use role::root::RootCoord;
use types::id::ShardId;
use types::position::{LogId, Position};
use types::{Code, Result};

use crate::fixture::{Cluster, by_name, load, request};

fn is_named<T: std::fmt::Debug>(result: Result<T>, kind: &str) {
    let error = result.expect_err("what can't be read isn't answered");
    assert_eq!(error.code(), Code::DATA_INTEGRITY, "{error}");
    assert!(error.reason().contains(&format!("meta key catalog/{kind}/")), "{error}");
    assert!(error.reason().contains("version 99"), "{error}");
}

/// A collection with a flushed shard on each of two channels, then damage to what `which` says, then a new leader.
async fn damaged<D: Document>(which: impl Fn(&types::collection::Collection) -> D::Id) -> Found {
    let cluster = Cluster::new();
    let term = cluster.started().await;
    let collection = cluster.create(&term, "books", 2).await;
    term.query.load(&cluster.call(), load(collection.id)).await.expect("it can be loaded");
    term.data.flush(&cluster.call(), collection.id).await.expect("it can be flushed");
    let position = Position::from_u64(LogId(7), 3);
    let process = term.data.routes(&cluster.call()).await.expect("it leads")[0].process;
    let pointer = CheckpointPointer { name: "checkpoint/t_0/1".to_owned(), length: 1, checksum: 1, position, process };
    cluster.objects.put(&pointer.name, "c".into()).await.expect("memory");
    term.data.commit_checkpoint(&cluster.call(), &collection.channels[0], pointer).await.expect("it is the sequencer's");
    cluster.objects.put("segment/1/2/orphan", "o".into()).await.expect("memory");
    term.end();
    cluster.damage(&key::<D>(&which(&collection))).await;
    let term = cluster.lead(&[0]).await;
    Found { cluster, term, collection }
}

struct Found {
    cluster: Cluster,
    term: crate::fixture::Leading,
    collection: types::collection::Collection,
}

impl Found {
    async fn nothing_is_swept(&self) {
        let count = async || self.cluster.objects.list("").await.expect("memory").len();
        let before = count().await;
        assert!(before >= 4, "{before} objects");
        self.term.data.sweep_orphans().await.expect("the store is there");
        assert_eq!(count().await, before, "objects were deleted");
    }

    async fn shards_on(&self, channel: usize) -> Vec<ShardId> {
        let channel = &self.collection.channels[channel];
        self.term.data.shards_of_channel(&self.cluster.call(), channel).await.expect("it is named")
    }

    fn shard(&self, index: u16) -> ShardId {
        ShardId::new(self.collection.id, index)
    }
}

#[tokio::test(start_paused = true)]
async fn a_sound_catalog_is_swept() {
    let cluster = Cluster::new();
    let term = cluster.started().await;
    cluster.objects.put("segment/1/2/orphan", "o".into()).await.expect("memory");
    term.data.sweep_orphans().await.expect("the store is there");
    assert!(cluster.objects.list("").await.expect("memory").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_damaged_shard_is_named_and_its_files_stay() {
    let found = damaged::<model::Shard>(|collection| ShardId::new(collection.id, 0)).await;
    let call = found.cluster.call();
    found.nothing_is_swept().await;
    // Replay must know it: else its records are passed over.
    assert_eq!(found.shards_on(0).await, [found.shard(0)]);
    assert_eq!(found.shards_on(1).await, [found.shard(1)]);
    is_named(found.term.data.manifest(&call, found.shard(0)).await, "shard");
    found.term.data.manifest(&call, found.shard(1)).await.expect("the other shard is sound");
    is_named(found.term.query.leaders(&call, found.collection.id).await, "shard");
    found.cluster.find(&found.term, "books").await.expect("its definition is sound");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_collection_is_named_and_its_shards_are_known_on_every_channel() {
    let found = damaged::<model::Collection>(|collection| collection.id).await;
    let call = found.cluster.call();
    found.nothing_is_swept().await;
    for channel in [0, 1] {
        assert_eq!(found.shards_on(channel).await, [found.shard(0), found.shard(1)]);
    }
    is_named(found.term.data.manifest(&call, found.shard(0)).await, "collection");
    is_named(found.cluster.find(&found.term, "books").await, "collection");
    is_named(found.term.root.collection(&call, &role::root::CollectionRef::Id(found.collection.id)).await, "collection");
    is_named(found.term.root.create_collection(&call, request("books", 2)).await, "collection");
    is_named(found.term.root.drop_collection(&call, "default", "books").await, "collection");
    is_named(found.term.query.leaders(&call, found.collection.id).await, "collection");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_schema_is_named() {
    let found = damaged::<model::SchemaVersion>(|collection| (collection.id, 1)).await;
    is_named(found.term.root.collection(&found.cluster.call(), &by_name("books")).await, "schema");
    found.nothing_is_swept().await;
}

#[tokio::test(start_paused = true)]
async fn a_damaged_checkpoint_is_no_absent_one() {
    let found = damaged::<model::Checkpoint>(|collection| collection.channels[0].clone()).await;
    let (call, channel) = (found.cluster.call(), &found.collection.channels[0]);
    found.nothing_is_swept().await;
    is_named(found.term.data.checkpoint(&call, channel).await, "checkpoint");
    let process = found.term.data.routes(&call).await.expect("it leads")[0].process;
    let position = Position::from_u64(LogId(7), 9);
    let pointer = CheckpointPointer { name: "checkpoint/t_0/2".to_owned(), length: 1, checksum: 1, position, process };
    is_named(found.term.data.commit_checkpoint(&call, channel, pointer).await, "checkpoint");
    assert_eq!(found.term.data.checkpoint(&call, &found.collection.channels[1]).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_assignment_keeps_no_other_channel_from_being_assigned() {
    let found = damaged::<model::Assignment>(|collection| collection.channels[0].clone()).await;
    let (cluster, term) = (&found.cluster, &found.term);
    term.shared.set_members(crate::fixture::members(&[1]));
    is_named(term.data.assign_channels(&cluster.call()).await, "assignment");
    assert_eq!(cluster.nodes[1].calls(), ["assign t-elanus-dml_1"]);
}
