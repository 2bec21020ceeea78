//! Who sequences which channel: a pure plan over live nodes and assignments, then a new process epoch for each change.
//!
//! Channels without a live sequencer go at once to whoever has the fewest. Where all have one, and the same nodes have been there for a while, a
//! channel at a time goes from who has most to who has fewest, until they are alike: a node that came back gets its part. Its present sequencer
//! serves until the other one takes over; meanwhile it has no lease, so that nobody waits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use meta::catalog::document::Versioned;
use meta::catalog::model::Assignment;
use meta::sequence::next_process_epoch;
use parking_lot::Mutex;
use role::Call;
use tokio::time::Instant;
use types::id::{ChannelName, NodeId};
use types::{Error, Result};

use super::lease::Leases;
use crate::context::Context;
use crate::members::Member;
use crate::view::meta_error;

/// The node for each channel that needs another one: channels of live nodes stay, the others go to whoever has the fewest.
pub(super) fn plan(channels: &[ChannelName], assigned: &BTreeMap<ChannelName, NodeId>, live: &[NodeId]) -> Vec<(ChannelName, NodeId)> {
    let mut load: BTreeMap<NodeId, usize> = live.iter().map(|node| (*node, 0)).collect();
    let mut orphans = Vec::new();
    for channel in channels {
        match assigned.get(channel).and_then(|node| load.get_mut(node)) {
            Some(count) => *count += 1,
            None => orphans.push(channel.clone()),
        }
    }
    let mut moves = Vec::new();
    for channel in orphans {
        let Some((node, count)) = load.iter_mut().min_by_key(|(node, count)| (**count, **node)) else { break };
        *count += 1;
        moves.push((channel, *node));
    }
    moves
}

/// The channel that goes to another live node so that each has as many as the others, give or take one; who has it must be live.
fn surplus(channels: &[ChannelName], assigned: &BTreeMap<ChannelName, NodeId>, live: &[NodeId]) -> Option<(ChannelName, NodeId)> {
    let of = |node: &NodeId| channels.iter().filter(|channel| assigned.get(*channel) == Some(node)).count();
    let most = live.iter().max_by_key(|node| of(node))?;
    let fewest = live.iter().min_by_key(|node| of(node))?;
    let channel = channels.iter().rev().find(|channel| assigned.get(*channel) == Some(most))?;
    (of(most) > of(fewest) + 1).then(|| (channel.clone(), *fewest))
}

/// For how long no node has come or gone before channels move that have a sequencer: nodes that start or stop one after the other are awaited.
const SETTLED: Duration = Duration::from_secs(10);

/// Assignments of one transaction: each takes a condition and a change.
const ASSIGNMENTS_MAX: usize = 24;

/// Which assignments their nodes have confirmed. Nothing is lost with it: telling a node again changes nothing.
type Told = BTreeSet<(ChannelName, NodeId, u64)>;

/// What a term knows of sequencers beyond their assignments.
pub(super) struct Sequencers {
    pub leases: Leases,
    told: Mutex<Told>,
    /// The live nodes, and since when there are just these.
    live: Mutex<(Vec<NodeId>, Instant)>,
}

impl Sequencers {
    /// Nothing is known in a term that began then.
    pub fn new(began: Instant) -> Self {
        Self { leases: Leases::new(began), told: Mutex::default(), live: Mutex::new((Vec::new(), began)) }
    }

    /// Whether a channel's present node has said that it took it up.
    pub fn confirmed(&self, assignment: &Assignment) -> bool {
        self.told.lock().contains(&key(assignment))
    }

    fn are_settled(&self, live: &[NodeId], now: Instant) -> bool {
        let mut known = self.live.lock();
        if known.0 != live {
            *known = (live.to_vec(), now);
        }
        now >= known.1 + SETTLED
    }
}

fn key(assignment: &Assignment) -> (ChannelName, NodeId, u64) {
    (assignment.channel.clone(), assignment.node, assignment.process)
}

type Assigned = BTreeMap<ChannelName, Versioned<Assignment>>;

/// Carries the plan out, and tells who doesn't know of its channels yet.
pub(super) async fn channels(context: &Context, call: &Call, sequencers: &Sequencers) -> Result<()> {
    let mut changes = context.member_changes();
    changes.mark_unchanged();
    let (wanted, assigned, damage) = context.view.read(|loaded| {
        let damaged: BTreeMap<ChannelName, Error> =
            loaded.damaged_of::<Assignment>().map(|(channel, error)| (channel, error.clone())).collect();
        // Those of collections stay whatever the settings say now.
        let placed = loaded.collections.values().flat_map(|found| found.value.channels.iter().cloned());
        let wanted: BTreeSet<ChannelName> = context.channels().into_iter().chain(placed).collect();
        (wanted, loaded.assignments.clone(), damaged)
    });
    let all: Vec<ChannelName> = wanted.into_iter().filter(|channel| !damage.contains_key(channel)).collect();
    let current = assigned.iter().map(|(channel, found)| (channel.clone(), found.value.node)).collect();
    let members = context.members().data_nodes.clone();
    let live: Vec<NodeId> = members.iter().map(|member| member.node).collect();
    let settled = sequencers.are_settled(&live, context.world.clock.now());
    let moves = plan(&all, &current, &live);
    if !moves.is_empty() {
        sequencers.leases.outlive(context, present(&assigned, &moves)).await;
        appoint(context, &assigned, &moves).await?;
    } else if settled
        && assigned.values().all(|found| sequencers.confirmed(&found.value))
        && let Some(surplus) = surplus(&all, &current, &live)
    {
        let moves = [surplus];
        tokio::select! {
            biased;
            // Another plan may be needed, and at once; this round comes again.
            _ = changes.changed() => sequencers.leases.go_on(present(&assigned, &moves)),
            () = sequencers.leases.outlive(context, present(&assigned, &moves)) => {
                tracing::info!(channel = %moves[0].0, to = %moves[0].1, "a channel goes to a data node with fewer");
                appoint(context, &assigned, &moves).await?;
            }
        }
    }
    let told = tell(context, call, &members, &sequencers.told).await;
    damage.into_values().next().map_or(told, Err)
}

fn present<'a>(assigned: &'a Assigned, moves: &'a [(ChannelName, NodeId)]) -> impl Iterator<Item = &'a Assignment> {
    moves.iter().filter_map(|(channel, _)| assigned.get(channel).map(|found| &found.value))
}

/// Makes these nodes the sequencers, with one new process epoch for all.
async fn appoint(context: &Context, assigned: &Assigned, moves: &[(ChannelName, NodeId)]) -> Result<()> {
    let process = next_process_epoch(&**context.view.catalog().meta()).await.map_err(meta_error)?;
    for batch in moves.chunks(ASSIGNMENTS_MAX) {
        let lease = context.settings().sequencer_lease;
        let change = batch.iter().fold(context.change(), |change, (channel, node)| {
            change.assign(assigned.get(channel), &Assignment { channel: channel.clone(), node: *node, process, lease })
        });
        context.commit(change).await?;
    }
    Ok(())
}

async fn tell(context: &Context, call: &Call, members: &[Member], told: &Mutex<Told>) -> Result<()> {
    let assigned: Vec<Assignment> =
        context.view.read(|loaded| loaded.assignments.values().map(|assignment| assignment.value.clone()).collect());
    let current: Told = assigned.iter().map(key).collect();
    told.lock().retain(|known| current.contains(known));
    let open: Vec<&Assignment> = assigned.iter().filter(|assignment| !told.lock().contains(&key(assignment))).collect();
    let telling = open.into_iter().map(|assignment| async move {
        let Assignment { channel, node, process, lease: _ } = assignment;
        // A node that went meanwhile: the next round moves its channels.
        let Some(member) = members.iter().find(|member| member.node == *node) else { return Ok(()) };
        let confirmed = async { context.peers.data_node(&member.address)?.assign(call, channel, *process).await };
        match confirmed.await {
            Ok(()) => {
                told.lock().insert(key(assignment));
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%channel, %node, %error, "a sequencer couldn't be told of its channel");
                Err(error)
            }
        }
    });
    futures::future::join_all(telling).await.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_assignments_stay_and_orphans_are_spread() {
        let channels: Vec<ChannelName> = (0..5).map(|n| ChannelName::numbered("p", n)).collect();
        let assigned =
            BTreeMap::from([(channels[0].clone(), NodeId(1)), (channels[1].clone(), NodeId(1)), (channels[2].clone(), NodeId(9))]);
        let moves = plan(&channels, &assigned, &[NodeId(1), NodeId(2)]);
        let nodes: Vec<i64> = moves.iter().map(|(_, node)| node.0).collect();
        assert_eq!((moves.len(), nodes), (3, vec![2, 2, 1]));
        assert!(plan(&channels, &assigned, &[]).is_empty());
    }

    #[test]
    fn channels_move_one_by_one_until_nodes_are_alike() {
        let channels: Vec<ChannelName> = (0..7).map(|n| ChannelName::numbered("p", n)).collect();
        let live = [NodeId(1), NodeId(2), NodeId(3)];
        let mut assigned: BTreeMap<ChannelName, NodeId> = channels.iter().map(|channel| (channel.clone(), NodeId(1))).collect();
        let mut moved = Vec::new();
        while let Some((channel, node)) = surplus(&channels, &assigned, &live) {
            assigned.insert(channel, node);
            moved.push(node.0);
        }
        assert_eq!(moved, [2, 3, 2, 3]);
        assert_eq!(surplus(&channels, &assigned, &live[..1]), None);
        assert_eq!(surplus(&channels, &assigned, &[]), None);
        assert_eq!(surplus(&[], &BTreeMap::new(), &live), None);
    }
}
