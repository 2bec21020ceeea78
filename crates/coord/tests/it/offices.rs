//! Two processes that stand for the same offices: who leads, how the others find out, and who counts as there.

use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::task::Tasks;
use coord::data::Data;
use coord::leaders::Leaders;
use coord::root::Root;
use coord::seat::{Coordinator, Seat, Term};
use meta::election::{Candidate, campaign};
use meta::session::{self, Session};
use role::net::Served;
use role::root::RootCoord;
use tokio_util::sync::CancellationToken;
use types::id::NodeId;
use types::time::Timestamp;

use crate::fixture::{Cluster, members, request};

/// A process that stands for the offices of rootcoord and datacoord, reached at `address`.
fn stand(cluster: &Cluster, address: &'static str) -> (World, Arc<Seat<Root>>) {
    let world = World { tasks: Tasks::simulated(), ..cluster.world.clone() };
    let (shared, data) = cluster.shared(&[0]);
    let root = Seat::vacant();
    fn hold<C: Coordinator>(
        world: &World,
        seat: &Arc<Seat<C>>,
        shared: &Arc<coord::shared::Shared>,
        meta: &Arc<dyn meta::store::Meta>,
        address: &str,
    ) {
        let (own, shared, meta) = (world.clone(), shared.clone(), meta.clone());
        let candidate = Candidate { office: C::OFFICE.name().to_owned(), address: address.to_owned(), ttl: Duration::from_secs(2) };
        let begin = move || {
            let (own, shared, meta, candidate) = (own.clone(), shared.clone(), meta.clone(), candidate.clone());
            async move {
                let leadership = campaign(&own, &meta, &candidate).await.expect("meta is sound");
                let context = shared.begin(&leadership).await?;
                Ok(Term { leadership, coordinator: C::begin(context) })
            }
        };
        world.tasks.spawn(seat.clone().hold(world.clone(), None, CancellationToken::new(), begin)).detach();
    }
    hold::<Root>(&world, &root, &shared, &cluster.meta, address);
    hold::<Data>(&world, &data, &shared, &cluster.meta, address);
    cluster.peers.set_near(address, Served { root: Some(root.clone()), data: Some(data), ..Served::default() });
    (world, root)
}

#[tokio::test(start_paused = true)]
async fn a_standby_takes_over_and_calls_find_it() {
    let cluster = Cluster::new();
    let leaders = Leaders::new(&cluster.world, cluster.peers.clone());
    leaders.follow(&cluster.meta);
    let (first, first_seat) = stand(&cluster, "p1");
    cluster.until("the first leads", || async { first_seat.present().is_some() }).await;
    let (_second, second_seat) = stand(&cluster, "p2");
    leaders.create_collection(&cluster.call(), request("a", 1)).await.expect("a plain definition");
    assert!(second_seat.present().is_none(), "one leads");
    first.tasks.kill();
    cluster.peers.set_near("p1", Served::default());
    let began = cluster.world.clock.now();
    leaders.create_collection(&cluster.call(), request("b", 1)).await.expect("the standby takes over within the call");
    assert!(cluster.world.clock.now() - began <= Duration::from_secs(3), "{:?}", cluster.world.clock.now() - began);
    assert!(second_seat.present().is_some());
    assert_eq!(leaders.collections(&cluster.call(), "").await.expect("it leads").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_stood_still_is_deposed_and_stands_by() {
    let cluster = Cluster::new();
    let leaders = Leaders::new(&cluster.world, cluster.peers.clone());
    leaders.follow(&cluster.meta);
    let (first, first_seat) = stand(&cluster, "p1");
    cluster.until("the first leads", || async { first_seat.present().is_some() }).await;
    let (_second, second_seat) = stand(&cluster, "p2");
    let zombie = first_seat.present().expect("it leads");
    first.tasks.pause();
    cluster.until("the second leads", || async { second_seat.present().is_some() }).await;
    leaders.create_collection(&cluster.call(), request("a", 1)).await.expect("a plain definition");
    // What the deposed one still tries is refused by its fence, whatever it believes.
    zombie.create_collection(&cluster.call(), request("b", 1)).await.expect_err("its term is over");
    first.tasks.resume();
    cluster.until("the first knows", || async { first_seat.present().is_none() }).await;
    assert_eq!(leaders.collections(&cluster.call(), "").await.expect("it leads").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn members_are_those_with_a_session() {
    let cluster = Cluster::new();
    let term = cluster.started().await;
    term.shared.follow_sessions().await.expect("meta is sound");
    term.data.run();
    let (ttl, world) = (Duration::from_secs(2), &cluster.world);
    let session = |node: i64| Session {
        node: NodeId(node),
        roles: vec!["datanode".to_owned(), "querynode".to_owned()],
        address: format!("n{node}"),
        host: String::new(),
        version: String::new(),
        started: Timestamp(1),
    };
    let mut registered = Vec::new();
    for node in [1, 2] {
        registered.push(session::register(world, &cluster.meta, session(node), ttl).await.expect("meta is sound"));
    }
    let there = async |node: i64| cluster.nodes[node as usize - 1].count("assign") > 0;
    cluster.until("the first has channels", || there(1)).await;
    assert_eq!(members(&[0, 1]).data_nodes.len(), 2);
    // One goes: its channels go to the other.
    let before = cluster.nodes[1].count("assign");
    registered.remove(0).end().await;
    cluster.until("the second has them", || async { cluster.nodes[1].count("assign") > before }).await;
}
