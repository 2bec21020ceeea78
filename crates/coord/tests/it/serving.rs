//! Loads, releases and builds beside each other, and beside what fails.

use role::index::{CreateIndex, IndexCoord};
use role::query::{QueryCoord, Wanted};
use role::root::RootCoord;
use types::id::{FieldId, IndexId, PartitionId};
use types::index_params::{IndexDefinition, Metric};
use types::time::Timestamp;

use crate::fixture::Cluster;

async fn partitions(cluster: &Cluster, term: &crate::fixture::Leading, count: usize) -> (types::id::CollectionId, Vec<PartitionId>) {
    let collection = cluster.create(term, "books", 1).await;
    for n in 0..count {
        term.root.create_partition(&cluster.call(), collection.id, &format!("p{n}")).await.expect("the name is free");
    }
    let collection = cluster.find(term, "books").await.expect("it is there");
    (collection.id, collection.partitions.iter().skip(1).map(|partition| partition.id).collect())
}

#[tokio::test(start_paused = true)]
async fn loads_and_releases_at_the_same_time_are_all_done() {
    let cluster = Cluster::new();
    let term = cluster.started().await;
    let (collection, partitions) = partitions(&cluster, &term, 6).await;
    let call = cluster.call();
    let loads = partitions.iter().map(|partition| term.query.load(&call, collection, Some(vec![*partition])));
    for loaded in futures::future::join_all(loads).await {
        loaded.expect("a load beside another one");
    }
    let wanted = async || term.query.load_state(&call, collection).await.expect("it leads").wanted;
    assert_eq!(wanted().await, Some(Wanted::Partitions(partitions.clone())));
    let releases = partitions[..3].iter().map(|partition| term.query.release(&call, collection, Some(vec![*partition])));
    for released in futures::future::join_all(releases).await {
        released.expect("a release beside another one");
    }
    assert_eq!(wanted().await, Some(Wanted::Partitions(partitions[3..].to_vec())));
}

#[tokio::test(start_paused = true)]
async fn a_load_beside_a_drop_leaves_nothing() {
    for turn in 0..8 {
        let cluster = Cluster::new();
        let term = cluster.started().await;
        let (collection, _) = partitions(&cluster, &term, 0).await;
        let call = cluster.call();
        let load = async {
            for _ in 0..turn {
                tokio::task::yield_now().await;
            }
            term.query.load(&call, collection, None).await
        };
        let (_, dropped) = futures::join!(load, term.root.drop_collection(&call, "default", "books"));
        dropped.expect("it can be dropped");
        assert_eq!(cluster.keys("catalog/load/").await, 0, "turn {turn}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_exist_is_not_loaded() {
    let cluster = Cluster::new();
    let term = cluster.started().await;
    term.query.load(&cluster.call(), types::id::CollectionId(77), None).await.expect_err("there is no such collection");
    assert_eq!(cluster.keys("catalog/load/").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_failed_is_tried_again() {
    let cluster = Cluster::new();
    let term = cluster.started().await;
    let (collection, _) = partitions(&cluster, &term, 0).await;
    let (call, node) = (cluster.call(), &cluster.nodes[0]);
    term.query.load(&call, collection, None).await.expect("the node is there");
    node.fail("release", 1);
    term.query.release(&call, collection, None).await.expect_err("the node fails");
    term.query.reconcile(&call).await.expect("it is tried again");
    assert_eq!(node.count("release"), 2);
    term.query.reconcile(&call).await.expect("nothing is left to do");
    assert_eq!(node.count("release"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_could_not_be_served_is_let_go_of_when_nobody_wants_it() {
    let cluster = Cluster::new();
    let term = cluster.started().await;
    let (collection, _) = partitions(&cluster, &term, 0).await;
    let (call, node) = (cluster.call(), &cluster.nodes[0]);
    node.fail("serve", 1);
    term.query.load(&call, collection, None).await.expect_err("the node fails");
    term.root.drop_collection(&call, "default", "books").await.expect("it can be dropped");
    term.query.reconcile(&call).await.expect("the node lets go");
    assert_eq!(node.count("release"), 1, "a part of it may be open there");
    term.query.reconcile(&call).await.expect("nothing is left to do");
    assert_eq!(node.count("release"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_cannot_be_taken_up_keeps_no_collection_from_being_served() {
    let cluster = Cluster::new();
    let term = cluster.started().await;
    let (collection, _) = partitions(&cluster, &term, 0).await;
    term.query.load(&cluster.call(), collection, None).await.expect("the node is there");
    term.end();
    let term = cluster.lead(&[1]).await;
    cluster.nodes[1].fail("assign t-elanus-dml_1", usize::MAX);
    term.run();
    cluster.until("it is served", || async { cluster.nodes[1].count("serve") > 0 }).await;
}

fn definition(name: &str) -> IndexDefinition {
    IndexDefinition {
        id: IndexId(0),
        name: name.to_owned(),
        field: FieldId(101),
        index_type: "FLAT".to_owned(),
        metric: Some(Metric::L2),
        params: Default::default(),
        user_params: Vec::new(),
        created: Timestamp::ZERO,
    }
}

#[tokio::test(start_paused = true)]
async fn definitions_at_the_same_time_are_one() {
    let cluster = Cluster::new();
    let term = cluster.started().await;
    let (collection, _) = partitions(&cluster, &term, 0).await;
    let call = cluster.call();
    let create = || term.index.create_index(&call, CreateIndex { collection, definition: definition("i") });
    let (first, second) = futures::join!(create(), create());
    first.expect("a plain definition");
    second.expect("the same again");
    assert_eq!(term.index.indexes(&call, collection).await.expect("it leads").len(), 1);
    term.index.drop_index(&call, collection, "i").await.expect("it is there");
    assert!(term.index.indexes(&call, collection).await.expect("it leads").is_empty());
}
