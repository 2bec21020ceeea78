//! Loads, releases and builds beside each other, and beside what fails.

use std::collections::BTreeMap;
use std::time::Duration;

use role::index::{CreateIndex, IndexCoord};
use role::query::{LoadRequest, LoadState, QueryCoord, QueryNode, ServeShard, Wanted};
use role::root::RootCoord;
use types::Code;
use types::collection::Collection;
use types::id::{CollectionId, FieldId, IndexId, PartitionId, ShardId};
use types::index_params::{IndexDefinition, Metric};
use types::time::Timestamp;

use crate::fixture::{Cluster, Leading, load, members, request};

async fn partitions(cluster: &Cluster, term: &Leading, count: usize) -> (CollectionId, Vec<PartitionId>) {
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
    let loads =
        partitions.iter().map(|partition| term.query.load(&call, LoadRequest { partitions: Some(vec![*partition]), ..load(collection) }));
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
            term.query.load(&call, load(collection)).await
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
    term.query.load(&cluster.call(), load(CollectionId(77))).await.expect_err("there is no such collection");
    assert_eq!(cluster.keys("catalog/load/").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_failed_is_tried_again() {
    let cluster = Cluster::new();
    let term = cluster.started().await;
    let (collection, _) = partitions(&cluster, &term, 0).await;
    let (call, node) = (cluster.call(), &cluster.nodes[0]);
    term.query.load(&call, load(collection)).await.expect("the node is there");
    node.fail("release", 1);
    term.query.release(&call, collection, None).await.expect_err("the node fails");
    cluster.until("it is tried again", || async { term.query.reconcile(&call).await.is_ok() }).await;
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
    term.query.load(&call, load(collection)).await.expect_err("the node fails");
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
    term.query.load(&cluster.call(), load(collection)).await.expect("the node is there");
    term.end();
    let term = cluster.lead(&[1]).await;
    cluster.nodes[1].fail("assign t-elanus-dml_1", usize::MAX);
    term.run();
    cluster.until("it is served", || async { cluster.nodes[1].count("serve") > 0 }).await;
}

/// Who serves each shard, by node.
async fn leaders(cluster: &Cluster, term: &Leading, collection: CollectionId) -> BTreeMap<ShardId, Vec<i64>> {
    let mut found: BTreeMap<ShardId, Vec<i64>> = BTreeMap::new();
    for leader in term.query.leaders(&cluster.call(), collection).await.expect("it is loaded") {
        found.entry(leader.shard).or_default().push(leader.node.0);
    }
    found
}

async fn state(cluster: &Cluster, term: &Leading, collection: CollectionId) -> LoadState {
    term.query.load_state(&cluster.call(), collection).await.expect("it leads")
}

async fn loaded(cluster: &Cluster, term: &Leading, (name, shards, replicas): (&str, u16, u32)) -> Collection {
    let collection = cluster.create(term, name, shards).await;
    let wish = LoadRequest { replicas, ..load(collection.id) };
    term.query.load(&cluster.call(), wish).await.expect("there are nodes enough");
    collection
}

#[tokio::test(start_paused = true)]
async fn each_shard_is_served_by_as_many_nodes_as_replicas_are_wanted() {
    let cluster = Cluster::new();
    let term = cluster.lead(&[0, 1]).await;
    term.data.assign_channels(&cluster.call()).await.expect("the nodes are there");
    let books = loaded(&cluster, &term, ("books", 2, 2)).await.id;
    let both = BTreeMap::from([(ShardId::new(books, 0), vec![1, 2]), (ShardId::new(books, 1), vec![1, 2])]);
    assert_eq!(leaders(&cluster, &term, books).await, both);
    let there = LoadState { wanted: Some(Wanted::Collection), replicas: 2, progress: 100, failure: None };
    assert_eq!(state(&cluster, &term, books).await, there);
    // One node goes: what is left is all that there can be. Another one comes, and takes its part.
    term.shared.set_members(members(&[0]));
    term.query.reconcile(&cluster.call()).await.expect("nothing can be done");
    assert_eq!((state(&cluster, &term, books).await, cluster.nodes[0].count("serve ")), (there.clone(), 2));
    term.shared.set_members(members(&[0, 2]));
    term.query.reconcile(&cluster.call()).await.expect("the node is there");
    assert_eq!(state(&cluster, &term, books).await, there);
    assert_eq!(leaders(&cluster, &term, books).await.into_values().collect::<Vec<_>>(), [[1, 3], [1, 3]]);
    assert_eq!(cluster.nodes[0].count("serve "), 2, "what was served stayed");
}

#[tokio::test(start_paused = true)]
async fn the_number_of_replicas_is_milvuses_business() {
    let cluster = Cluster::new();
    let term = cluster.lead(&[0, 1]).await;
    let call = cluster.call();
    term.data.assign_channels(&call).await.expect("the nodes are there");
    let books = cluster.create(&term, "books", 1).await.id;
    let wish = |replicas: u32, partitions: Option<Vec<PartitionId>>| LoadRequest { replicas, partitions, ..load(books) };
    let refused = async |wish: LoadRequest| {
        let error = term.query.load(&call, wish).await.expect_err("it is refused");
        (error.code(), error.reason().to_owned())
    };
    let three = (Code::RESOURCE_INSUFFICIENT, "when load 3 replica count: service resource insufficient".to_owned());
    assert_eq!(refused(wish(3, None)).await, three);
    assert_eq!(state(&cluster, &term, books).await, LoadState::default(), "nothing was recorded");
    term.query.load(&call, wish(2, None)).await.expect("there are two");
    term.query.load(&call, wish(2, None)).await.expect("the same again");
    term.query.load(&call, wish(0, None)).await.expect("whatever it was");
    let text = |what: &str| format!("can't change the replica number for loaded {what}: invalid parameter[expected=2][actual=1]");
    assert_eq!(refused(wish(1, None)).await, (Code::INVALID_PARAMETER, text("collection")));
    assert_eq!(refused(wish(1, Some(vec![PartitionId(1)]))).await, (Code::INVALID_PARAMETER, text("partitions")));
    // A load that names no number goes by the collection's property.
    let properties = BTreeMap::from([("collection.replica.number".to_owned(), "2".to_owned())]);
    let definition = role::root::CreateCollection { properties, ..request("maps", 1) };
    term.root.create_collection(&call, definition).await.expect("a plain definition");
    let maps = cluster.find(&term, "maps").await.expect("it was just made").id;
    term.query.load(&call, load(maps)).await.expect("there are two");
    assert_eq!(state(&cluster, &term, maps).await.replicas, 2);
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_goes_on_with_what_nodes_serve() {
    let cluster = Cluster::new();
    let term = cluster.lead(&[0, 1]).await;
    term.data.assign_channels(&cluster.call()).await.expect("the nodes are there");
    let books = loaded(&cluster, &term, ("books", 2, 1)).await.id;
    let maps = loaded(&cluster, &term, ("maps", 2, 1)).await.id;
    let before = [leaders(&cluster, &term, books).await, leaders(&cluster, &term, maps).await];
    term.end();
    // What nobody wants, which a leader that died left behind.
    let shard = ShardId::new(CollectionId(77), 0);
    let unwanted = ServeShard { shard, channel: "t-elanus-dml_0".into(), partitions: None, indexes: Vec::new(), manifest: 0 };
    cluster.nodes[0].serve(&cluster.call(), unwanted).await.expect("it does");
    let served = || cluster.nodes.iter().map(|node| node.count("serve ")).sum::<usize>();
    let asked = served();
    let term = cluster.lead(&[0, 1]).await;
    // Readers that come before the first plan.
    assert_eq!([leaders(&cluster, &term, books).await, leaders(&cluster, &term, maps).await], before);
    term.query.reconcile(&cluster.call()).await.expect("the nodes are there");
    assert_eq!([leaders(&cluster, &term, books).await, leaders(&cluster, &term, maps).await], before);
    assert_eq!(served(), asked, "nothing is served anew");
    assert!(!cluster.nodes[0].served().contains(&shard));
    // A node whose session was lost for a while, and that nobody could take the shards of.
    term.shared.set_members(members(&[]));
    term.query.reconcile(&cluster.call()).await.expect("there is nobody to fail");
    assert_eq!(leaders(&cluster, &term, books).await, BTreeMap::new());
    term.shared.set_members(members(&[0, 1]));
    term.query.reconcile(&cluster.call()).await.expect("the nodes are there");
    assert_eq!((leaders(&cluster, &term, books).await, served()), (before[0].clone(), asked));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_says_nothing_keeps_the_others_from_nothing() {
    let cluster = Cluster::new();
    let term = cluster.lead(&[0, 1]).await;
    term.data.assign_channels(&cluster.call()).await.expect("the nodes are there");
    cluster.nodes[0].fail("serving", usize::MAX);
    let books = cluster.create(&term, "books", 2).await.id;
    term.query.load(&cluster.call(), load(books)).await.expect("the other one does it");
    let silent = term.query.reconcile(&cluster.call()).await.expect_err("one says nothing");
    assert_eq!(silent.code(), Code::IO_FAILED);
    assert_eq!(leaders(&cluster, &term, books).await.into_values().collect::<Vec<_>>(), [[2], [2]]);
}

#[tokio::test(start_paused = true)]
async fn a_call_to_a_node_that_went_is_waited_for_by_nobody() {
    let cluster = Cluster::new();
    let term = cluster.lead(&[0, 1]).await;
    term.data.assign_channels(&cluster.call()).await.expect("the nodes are there");
    term.run();
    cluster.nodes[0].set_serve_takes(Duration::from_secs(500));
    let books = cluster.create(&term, "books", 2).await.id;
    term.query.load(&cluster.call(), load(books)).await.expect("it is recorded, and under way");
    assert_eq!(state(&cluster, &term, books).await.progress, 50, "the other node does its part");
    let began = cluster.world.clock.now();
    term.shared.set_members(members(&[1]));
    cluster.until("the other node serves all", || async { state(&cluster, &term, books).await.progress == 100 }).await;
    assert!(cluster.world.clock.now() - began < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_shard_goes_where_there_is_room_and_a_load_says_where_there_is_none() {
    let cluster = Cluster::new();
    let term = cluster.lead(&[0, 1]).await;
    term.data.assign_channels(&cluster.call()).await.expect("the nodes are there");
    cluster.nodes[0].set_room(0);
    cluster.nodes[1].set_room(2);
    let books = loaded(&cluster, &term, ("books", 2, 1)).await.id;
    assert_eq!(leaders(&cluster, &term, books).await.into_values().collect::<Vec<_>>(), [[2], [2]]);
    assert_eq!(state(&cluster, &term, books).await.failure, None);
    let maps = cluster.create(&term, "maps", 1).await.id;
    let refused = term.query.load(&cluster.call(), load(maps)).await.expect_err("there is no room");
    assert_eq!(refused.code(), Code::MEMORY_LIMIT);
    let lacking = state(&cluster, &term, maps).await;
    assert_eq!((lacking.progress, lacking.failure.as_deref()), (0, Some("no room: memory limit exceeded")));
    assert_eq!(state(&cluster, &term, books).await.failure, None, "that is the other's");
    cluster.nodes[0].set_room(1);
    term.run();
    cluster.until("there is room", || async { state(&cluster, &term, maps).await.progress == 100 }).await;
    assert_eq!(state(&cluster, &term, maps).await.failure, None);
}

#[tokio::test(start_paused = true)]
async fn shards_move_to_a_node_that_joins_and_always_have_a_leader() {
    let cluster = Cluster::new();
    let term = cluster.lead(&[0]).await;
    term.data.assign_channels(&cluster.call()).await.expect("the node is there");
    term.run();
    for node in &cluster.nodes {
        node.set_serve_takes(Duration::from_millis(300));
    }
    let mut collections = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        collections.push(loaded(&cluster, &term, (name, 2, 1)).await.id);
    }
    term.shared.set_members(members(&[0, 1, 2]));
    let counts = || cluster.nodes.iter().map(|node| node.served().len()).collect::<Vec<_>>();
    for _ in 0..600 {
        for collection in &collections {
            let found = leaders(&cluster, &term, *collection).await;
            assert_eq!(found.len(), 2, "{found:?}");
        }
        cluster.world.clock.sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(counts(), [4, 4, 4]);
    let calls = || cluster.nodes.iter().map(|node| node.count("serve ") + node.count("release ")).sum::<usize>();
    let moved = calls();
    assert_eq!(moved, 12 + 8 + 8, "each that moves is served once and released once");
    cluster.world.clock.sleep(Duration::from_secs(120)).await;
    assert_eq!((calls(), counts()), (moved, vec![4, 4, 4]), "and then nothing moves");
}

pub fn definition(name: &str) -> IndexDefinition {
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
