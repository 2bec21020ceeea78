//! Operations that fail halfway: they go on when what failed is there again, and leave nothing behind.

use base::fault::Fault;
use meta::catalog::document::key;
use meta::catalog::model::{self, Tombstone};
use meta::store::Transaction;
use role::data::DataCoord;
use role::root::RootCoord;
use types::Code;
use types::id::{ChannelName, FieldId, ShardId};
use types::schema::Field;

use crate::fixture::{Cluster, request};

#[tokio::test(start_paused = true)]
async fn a_sweep_goes_on_where_a_part_of_it_succeeded() {
    let cluster = Cluster::new();
    let term = cluster.started().await;
    let collection = cluster.create(&term, "books", 2).await;
    let node = &cluster.nodes[0];
    node.fail(&format!("flush {}v1", collection.id), 2);
    term.root.drop_collection(&cluster.call(), "default", "books").await.expect("its name is free");
    assert_eq!((cluster.keys("catalog/shard/").await, cluster.keys("catalog/intent/").await), (2, 1));
    // Its first shard has ended, and its node knows it no more.
    term.root.resume(&cluster.call()).await.expect_err("the second shard still fails");
    term.root.resume(&cluster.call()).await.expect("it can go on");
    let left = (cluster.keys("catalog/shard/").await, cluster.keys("catalog/collection/").await, cluster.keys("catalog/intent/").await);
    assert_eq!(left, (0, 0, 0));
    let prefixes = tombstones(&cluster).await.into_iter().filter(|tombstone| tombstone.shard.is_none()).count();
    assert_eq!(prefixes, 1, "a repeated sweep names its garbage once");
}

async fn tombstones(cluster: &Cluster) -> Vec<Tombstone> {
    let catalog = meta::catalog::Catalog::new(cluster.meta.clone(), cluster.world.clock.clone());
    let (found, _) = catalog.list::<Tombstone>("").await.expect("meta is there");
    found.into_iter().map(|found| found.value).collect()
}

#[tokio::test(start_paused = true)]
async fn a_drop_that_another_leader_goes_on_with_is_told_to_proxies() {
    let cluster = Cluster::new();
    let term = cluster.started().await;
    let collection = cluster.create(&term, "books", 1).await;
    let node = &cluster.nodes[0];
    let invalidation = format!("invalidate {}", collection.id);
    node.fail(&invalidation, usize::MAX);
    term.root.drop_collection(&cluster.call(), "default", "books").await.expect_err("a proxy isn't told yet");
    term.end();
    let term = cluster.lead(&[0]).await;
    term.root.resume(&cluster.call()).await.expect_err("a proxy isn't told yet");
    assert_eq!(node.count("control t-elanus-dml_0"), 1, "the log comes after the caches");
    node.fail(&invalidation, 0);
    term.root.resume(&cluster.call()).await.expect("it can go on");
    assert!(node.count("control t-elanus-dml_0") > 1);
    assert_eq!(cluster.keys("catalog/collection/").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_partition_that_another_leader_goes_on_with_is_told_to_proxies() {
    let cluster = Cluster::new();
    let term = cluster.started().await;
    let collection = cluster.create(&term, "books", 1).await;
    term.root.create_partition(&cluster.call(), collection.id, "p").await.expect("the name is free");
    let node = &cluster.nodes[0];
    node.fail("control", 1);
    term.root.drop_partition(&cluster.call(), collection.id, "p").await.expect_err("its record isn't written");
    let before = node.count("invalidate");
    term.root.resume(&cluster.call()).await.expect("it can go on");
    assert_eq!(node.count("invalidate"), before + 1);
    assert_eq!(cluster.keys("catalog/intent/").await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_added_field_goes_on_where_a_log_or_a_proxy_was_away() {
    let cluster = Cluster::new();
    let term = cluster.started().await;
    let collection = cluster.create(&term, "books", 2).await;
    let number = collection.schema.fields[1].clone();
    let added = |name: &str| Field { name: name.to_owned(), nullable: true, ..number.clone() };
    let node = &cluster.nodes[0];
    for (at, (name, fails)) in [("a", "control"), ("b", "invalidate")].into_iter().enumerate() {
        node.fail(fails, if fails == "control" { 1 } else { usize::MAX });
        term.root.add_field(&cluster.call(), collection.id, added(name)).await.expect_err("one doesn't know yet");
        node.fail(fails, 0);
        let schema = cluster.find(&term, "books").await.expect("it is there").schema;
        let last = schema.fields.last().expect("it has fields");
        assert_eq!((schema.version, last.id, &last.name[..]), (2 + at as u32, FieldId(102 + at as i64), name));
        assert_eq!(cluster.keys("catalog/intent/").await, 1, "the operation is still open");
        match at {
            0 => term.root.add_field(&cluster.call(), collection.id, added(name)).await.expect("the same again goes on"),
            _ => term.root.resume(&cluster.call()).await.expect("it can go on"),
        }
        assert_eq!(cluster.keys("catalog/intent/").await, 0);
    }
    term.root.add_field(&cluster.call(), collection.id, added("a")).await.expect("it is there");
    let other = Field { description: "another".to_owned(), ..added("a") };
    let error = term.root.add_field(&cluster.call(), collection.id, other).await.expect_err("the name is taken");
    assert_eq!(error.reason(), "duplicated field name a: invalid parameter");
    assert_eq!(cluster.find(&term, "books").await.expect("it is there").schema.version, 3);
}

#[tokio::test(start_paused = true)]
async fn a_collection_that_could_not_be_created_can_be_dropped() {
    let cluster = Cluster::new();
    let term = cluster.started().await;
    cluster.nodes[0].fail("control", 1);
    term.root.create_collection(&cluster.call(), request("books", 2)).await.expect_err("its record can't be written");
    let error = cluster.find(&term, "books").await.expect_err("it isn't there yet");
    assert_eq!(error.code(), Code::COLLECTION_NOT_FOUND);
    term.root.drop_collection(&cluster.call(), "default", "books").await.expect("what was begun can be dropped");
    assert_eq!((cluster.keys("catalog/name/").await, cluster.keys("catalog/collection/").await), (0, 0));
    cluster.create(&term, "books", 1).await;
    assert_eq!(cluster.keys("catalog/intent/").await, 0);
}

#[tokio::test(start_paused = true)]
async fn new_collections_go_to_channels_that_have_been_taken_up() {
    let cluster = Cluster::new();
    let term = cluster.lead(&[0]).await;
    cluster.nodes[0].fail("assign t-elanus-dml_0", 1);
    term.data.assign_channels(&cluster.call()).await.expect_err("one channel can't be taken up");
    assert_eq!(cluster.create(&term, "a", 1).await.channels, [ChannelName::numbered("t", 1)]);
    assert_eq!(cluster.create(&term, "b", 1).await.channels, [ChannelName::numbered("t", 1)]);
    term.data.assign_channels(&cluster.call()).await.expect("now it can");
    assert_eq!(cluster.create(&term, "c", 1).await.channels, [ChannelName::numbered("t", 0)]);
}

#[tokio::test(start_paused = true)]
async fn garbage_that_cannot_be_deleted_holds_back_none() {
    let cluster = Cluster::new();
    cluster.started().await.end();
    let names: Vec<String> = (0..3).map(|n| format!("segment/1/2/{n}")).collect();
    for (id, name) in names.iter().enumerate() {
        cluster.objects.put(name, "x".into()).await.expect("memory");
        let tombstone = model::Tombstone {
            id: id as i64,
            shard: None,
            below_version: 1,
            objects: vec![name.clone()],
            since: types::time::Timestamp(1),
        };
        let catalog = meta::catalog::Catalog::new(cluster.meta.clone(), cluster.world.clock.clone());
        catalog.commit(meta::catalog::Change::new().create(&tombstone)).await.expect("meta is there");
    }
    let term = cluster.lead(&[0]).await;
    cluster.faults.schedule("delete", 1, Fault::FailBefore);
    term.data.collect_garbage().await.expect_err("one can't be deleted");
    assert_eq!(cluster.objects.list("").await.expect("memory").len(), 1);
    term.data.collect_garbage().await.expect("now it can");
    assert!(cluster.objects.list("").await.expect("memory").is_empty());
    assert_eq!(cluster.keys("catalog/tombstone/").await, 0);
}

#[tokio::test(start_paused = true)]
async fn one_shard_that_cannot_be_flushed_interrupts_no_other() {
    let cluster = Cluster::new();
    let term = cluster.started().await;
    let collection = cluster.create(&term, "books", 2).await;
    cluster.nodes[0].fail(&format!("flush {}v0", collection.id), 1);
    term.data.flush(&cluster.call(), collection.id).await.expect_err("one shard fails");
    assert_eq!(cluster.nodes[0].count("flushed"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_manifest_is_counted_and_hides_no_other_collection() {
    let cluster = Cluster::new();
    let term = cluster.started().await;
    for name in ["a", "b"] {
        let collection = cluster.create(&term, name, 1).await;
        term.data.flush(&cluster.call(), collection.id).await.expect("it can be flushed");
    }
    term.end();
    for object in cluster.objects.list("manifest").await.expect("memory").iter().take(1) {
        cluster.objects.delete(&object.name).await.expect("memory");
    }
    let term = cluster.lead(&[0]).await;
    let figures = term.root.figures().await;
    assert_eq!((figures.collections.len(), figures.unreadable_shards), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn unknown_shards_are_asked_of_metadata_and_not_of_a_view() {
    let cluster = Cluster::new();
    let term = cluster.started().await;
    let collection = cluster.create(&term, "books", 2).await;
    let (first, second) = (ShardId::new(collection.id, 0), ShardId::new(collection.id, 1));
    cluster.meta.commit(Transaction::new().delete(key::<model::Shard>(&first))).await.expect("meta is there");
    assert_eq!(term.data.unknown_shards(&cluster.call(), &[first, second]).await, Ok(vec![first]), "although the view has it still");
}
