//! Leases of sequencers (`docs/protocol.md` §5): who gets one, and that nobody else is appointed while one may be held.

use std::time::Duration;

use role::data::DataCoord;
use types::id::ChannelName;

use crate::fixture::{Cluster, Leading, members};

const LEASE: Duration = Duration::from_millis(1_500);
/// Of coordinators, for clocks that differ.
const WAITED: Duration = Duration::from_millis(1_650);

fn cluster() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.settings.sequencer_lease = LEASE;
    cluster
}

/// Channels with their process epochs.
async fn sequencers(cluster: &Cluster, term: &Leading) -> Vec<(ChannelName, u64)> {
    let routes = term.data.routes(&cluster.call()).await.expect("it leads");
    routes.into_iter().map(|route| (route.channel, route.process)).collect()
}

async fn extend(cluster: &Cluster, term: &Leading, sequencers: &[(ChannelName, u64)]) -> Vec<Duration> {
    term.data.extend_leases(&cluster.call(), sequencers).await.expect("it leads")
}

/// How long the first node's channels take to go to the second.
async fn move_all(cluster: &Cluster, term: &Leading) -> Duration {
    let began = cluster.world.clock.now();
    term.shared.set_members(members(&[1]));
    term.data.assign_channels(&cluster.call()).await.expect("the node is there");
    cluster.world.clock.now() - began
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_the_present_sequencers_and_is_waited_out() {
    let cluster = cluster();
    let term = cluster.started().await;
    let first = sequencers(&cluster, &term).await;
    cluster.world.clock.sleep(Duration::from_secs(10)).await;
    let mut asked = first.clone();
    asked.push((first[0].0.clone(), first[0].1 + 1));
    asked.push((ChannelName::from("nobody's"), first[0].1));
    assert_eq!(extend(&cluster, &term, &asked).await, [LEASE, LEASE, Duration::ZERO, Duration::ZERO]);
    cluster.world.clock.sleep(Duration::from_millis(650)).await;
    let took = move_all(&cluster, &term).await;
    assert!(took >= Duration::from_secs(1) && took < WAITED, "what was left of it was waited for: {took:?}");
    assert_eq!(extend(&cluster, &term, &first).await, [Duration::ZERO; 2], "another one sequences");
    let second = sequencers(&cluster, &term).await;
    assert_eq!(extend(&cluster, &term, &second).await, [LEASE; 2]);
}

#[tokio::test(start_paused = true)]
async fn none_is_given_while_a_channel_moves() {
    let cluster = cluster();
    let term = cluster.started().await;
    let first = sequencers(&cluster, &term).await;
    cluster.world.clock.sleep(Duration::from_secs(10)).await;
    assert_eq!(extend(&cluster, &term, &first).await, [LEASE; 2]);
    let moving = move_all(&cluster, &term);
    let asking = async {
        cluster.world.clock.sleep(Duration::from_secs(1)).await;
        extend(&cluster, &term, &first).await
    };
    let (took, given) = futures::future::join(moving, asking).await;
    assert_eq!(given, [Duration::ZERO; 2], "or it would outlast the wait");
    assert!(took < WAITED + Duration::from_millis(100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_was_given_up_begins_again() {
    let cluster = cluster();
    let term = cluster.started().await;
    let first = sequencers(&cluster, &term).await;
    cluster.world.clock.sleep(Duration::from_secs(10)).await;
    assert_eq!(extend(&cluster, &term, &first).await, [LEASE; 2]);
    let given_up = cluster.world.within(Duration::from_millis(500), move_all(&cluster, &term)).await;
    assert_eq!(given_up, None, "the lease lasts longer");
    let took = move_all(&cluster, &term).await;
    assert!(took >= WAITED - Duration::from_millis(550), "nobody else is appointed while the first may hold it: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_term_waits_out_what_the_last_may_have_given() {
    let mut cluster = cluster();
    let old = cluster.started().await;
    let first = sequencers(&cluster, &old).await;
    cluster.world.clock.sleep(Duration::from_secs(10)).await;
    // The assignment says for how long, not the successor's own settings.
    cluster.settings.sequencer_lease = Duration::from_millis(100);
    let new = cluster.lead(&[0]).await;
    let took = move_all(&cluster, &new).await;
    assert!(took >= WAITED, "its predecessor may have given one at the last moment: {took:?}");
    assert_eq!(extend(&cluster, &new, &first).await, [Duration::ZERO; 2]);
    let second = sequencers(&cluster, &new).await;
    assert_eq!(extend(&cluster, &new, &second).await, [Duration::from_millis(100); 2]);
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_office_may_be_over_gives_none() {
    let cluster = cluster();
    let term = cluster.started().await;
    let first = sequencers(&cluster, &term).await;
    let Leading { data, leadership, .. } = term;
    leadership.resign().await;
    assert_eq!(data.extend_leases(&cluster.call(), &first).await.expect("it answers"), [Duration::ZERO; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_came_gets_its_part_while_the_other_one_serves() {
    let cluster = cluster();
    let term = cluster.started().await;
    let first = sequencers(&cluster, &term).await;
    term.shared.set_members(members(&[0, 1]));
    let round = async || term.data.assign_channels(&cluster.call()).await.expect("nodes are there");
    let of_second = async || cluster.nodes[1].count("assign ");
    round().await;
    assert_eq!(of_second().await, 0, "nodes may come one after the other");
    cluster.world.clock.sleep(Duration::from_secs(11)).await;
    assert_eq!(extend(&cluster, &term, &first).await, [LEASE; 2]);
    // A node goes while the lease is waited out: nothing moved, and the lease is given again.
    let gone = async {
        cluster.world.clock.sleep(Duration::from_millis(100)).await;
        assert!(extend(&cluster, &term, &first).await.contains(&Duration::ZERO));
        term.shared.set_members(members(&[0]));
    };
    tokio::join!(round(), gone);
    assert_eq!((of_second().await, extend(&cluster, &term, &first).await), (0, vec![LEASE; 2]));
    // It comes back.
    term.shared.set_members(members(&[0, 1]));
    round().await;
    cluster.world.clock.sleep(Duration::from_secs(11)).await;
    let began = cluster.world.clock.now();
    round().await;
    assert_eq!(of_second().await, 1);
    assert!(cluster.world.clock.now() - began < WAITED);
    let second = sequencers(&cluster, &term).await;
    assert_eq!(second.iter().filter(|sequencer| !first.contains(sequencer)).count(), 1, "one has moved: {second:?}");
    cluster.world.clock.sleep(Duration::from_secs(11)).await;
    round().await;
    assert_eq!(sequencers(&cluster, &term).await, second, "they are alike");
}
