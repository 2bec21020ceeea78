//! Who sequences which channel: a pure plan over live nodes and assignments, then a new process epoch for each change.

use std::collections::{BTreeMap, BTreeSet};

use meta::catalog::model::Assignment;
use meta::sequence::next_process_epoch;
use parking_lot::Mutex;
use role::Call;
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

/// Assignments of one transaction: each takes a condition and a change.
const ASSIGNMENTS_MAX: usize = 24;

/// Which assignments their nodes have confirmed. Nothing is lost with it: telling a node again changes nothing.
pub(super) type Told = BTreeSet<(ChannelName, NodeId, u64)>;

/// Carries the plan out: one new process epoch for all channels that move now; then tells who doesn't know yet.
pub(super) async fn channels(context: &Context, call: &Call, (told, leases): (&Mutex<Told>, &Leases)) -> Result<()> {
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
    let moves = plan(&all, &current, &live);
    if !moves.is_empty() {
        let old = moves.iter().filter_map(|(channel, _)| assigned.get(channel).map(|found| &found.value));
        leases.outlive(context, old).await;
        let process = next_process_epoch(&**context.view.catalog().meta()).await.map_err(meta_error)?;
        for batch in moves.chunks(ASSIGNMENTS_MAX) {
            let lease = context.settings().sequencer_lease;
            let change = batch.iter().fold(context.change(), |change, (channel, node)| {
                change.assign(assigned.get(channel), &Assignment { channel: channel.clone(), node: *node, process, lease })
            });
            context.commit(change).await?;
        }
    }
    let told = tell(context, call, &members, told).await;
    damage.into_values().next().map_or(told, Err)
}

async fn tell(context: &Context, call: &Call, members: &[Member], told: &Mutex<Told>) -> Result<()> {
    let assigned: Vec<Assignment> =
        context.view.read(|loaded| loaded.assignments.values().map(|assignment| assignment.value.clone()).collect());
    let key = |assignment: &Assignment| (assignment.channel.clone(), assignment.node, assignment.process);
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

/// Channels whose present node has said that it took them up.
pub(super) fn confirmed(told: &Mutex<Told>, assignment: &Assignment) -> bool {
    told.lock().contains(&(assignment.channel.clone(), assignment.node, assignment.process))
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
}
