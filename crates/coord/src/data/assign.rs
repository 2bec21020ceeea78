//! Who sequences which channel: a pure plan over live nodes and assignments, then a new process epoch for each change.

use std::collections::BTreeMap;

use meta::catalog::model::Assignment;
use meta::sequence::next_process_epoch;
use role::Call;
use types::Result;
use types::id::{ChannelName, NodeId};

use crate::context::Context;
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

/// Carries the plan out.
pub(super) async fn channels(context: &Context, call: &Call) -> Result<()> {
    let all: Vec<ChannelName> = (0..context.settings.channels).map(|n| ChannelName::numbered(&context.settings.channel_prefix, n)).collect();
    let assigned = context.view.read(|loaded| loaded.assignments.clone());
    let current = assigned.iter().map(|(channel, found)| (channel.clone(), found.value.node)).collect();
    let members = context.members.read().data_nodes.clone();
    let live: Vec<NodeId> = members.iter().map(|member| member.node).collect();
    let mut failed = None;
    for (channel, node) in plan(&all, &current, &live) {
        let old = assigned.get(&channel);
        let process = next_process_epoch(&**context.view.catalog().meta()).await.map_err(meta_error)?;
        let new = Assignment { channel: channel.clone(), node, process };
        context.commit(context.change().assign(old, &new)).await?;
        let member = members.iter().find(|member| member.node == node).expect("planned from the members");
        let told = match context.peers.data_node(&member.address) {
            Ok(data_node) => data_node.assign(call, &channel, process).await,
            Err(error) => Err(error),
        };
        if let Err(error) = told {
            tracing::warn!(%channel, %node, %error, "a sequencer couldn't be told of its channel");
            failed.get_or_insert(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_assignments_stay_and_orphans_are_spread() {
        let channels: Vec<ChannelName> = (0..5).map(|n| ChannelName::numbered("p", n)).collect();
        let assigned = BTreeMap::from([(channels[0].clone(), NodeId(1)), (channels[1].clone(), NodeId(1)), (channels[2].clone(), NodeId(9))]);
        let moves = plan(&channels, &assigned, &[NodeId(1), NodeId(2)]);
        let nodes: Vec<i64> = moves.iter().map(|(_, node)| node.0).collect();
        assert_eq!((moves.len(), nodes), (3, vec![2, 2, 1]));
        assert!(plan(&channels, &assigned, &[]).is_empty());
    }
}
