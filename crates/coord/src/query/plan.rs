//! From what is wanted and what is served to what is to be done: pure.

use std::collections::BTreeMap;

use role::query::ServeShard;
use types::id::ShardId;

use crate::context::Member;

/// One thing to do.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// Have a node serve a shard, or another part of it.
    Serve {
        /// Who.
        member: Member,
        /// What.
        request: ServeShard,
    },
    /// Have a node let go of a shard.
    Release {
        /// Who.
        member: Member,
        /// Which.
        shard: ShardId,
    },
}

/// Shards stay with a live node; others go to whoever serves the fewest.
pub fn actions(wanted: &[ServeShard], actual: &BTreeMap<ShardId, (Member, ServeShard)>, members: &[Member]) -> Vec<Action> {
    let mut load: Vec<usize> = members.iter().map(|member| actual.values().filter(|(serving, _)| serving == member).count()).collect();
    let mut actions = Vec::new();
    for (shard, (member, _)) in actual {
        if members.contains(member) && wanted.iter().all(|request| request.shard != *shard) {
            actions.push(Action::Release { member: member.clone(), shard: *shard });
        }
    }
    for request in wanted {
        let serving = actual.get(&request.shard).filter(|(member, _)| members.contains(member));
        match serving {
            Some((_, served)) if served == request => {}
            Some((member, _)) => actions.push(Action::Serve { member: member.clone(), request: request.clone() }),
            None => {
                let Some(least) = (0..members.len()).min_by_key(|&i| (load[i], members[i].node)) else { break };
                load[least] += 1;
                actions.push(Action::Serve { member: members[least].clone(), request: request.clone() });
            }
        }
    }
    actions
}

#[cfg(test)]
mod tests {
    use types::id::{ChannelName, CollectionId, NodeId, PartitionId};

    use super::*;

    fn request(index: u16) -> ServeShard {
        ServeShard {
            shard: ShardId::new(CollectionId(1), index),
            channel: ChannelName::from("c"),
            partitions: None,
            indexes: Vec::new(),
            manifest: 1,
        }
    }

    fn member(node: i64) -> Member {
        Member { node: NodeId(node), address: String::new() }
    }

    #[test]
    fn what_is_served_stays_what_is_missing_is_spread_what_is_unwanted_goes() {
        let actual: BTreeMap<_, _> = [0, 3].map(|i| (request(i).shard, (member(1), request(i)))).into();
        let wanted = [request(0), request(1), request(2)];
        let check = |members: &[Member], expected: Vec<Action>| assert_eq!(actions(&wanted, &actual, members), expected);
        let serve = |node: i64, i: u16| Action::Serve { member: member(node), request: request(i) };
        check(&[member(1), member(2)], vec![Action::Release { member: member(1), shard: request(3).shard }, serve(2, 1), serve(2, 2)]);
        check(&[member(2)], vec![serve(2, 0), serve(2, 1), serve(2, 2)]);
        check(&[], vec![]);
    }

    #[test]
    fn another_wish_goes_to_the_same_node() {
        let actual: BTreeMap<_, _> = [(request(0).shard, (member(1), request(0)))].into();
        let wish = ServeShard { partitions: Some(vec![PartitionId(4)]), ..request(0) };
        let expected = vec![Action::Serve { member: member(1), request: wish.clone() }];
        assert_eq!(actions(&[wish], &actual, &[member(1), member(2)]), expected);
    }
}
