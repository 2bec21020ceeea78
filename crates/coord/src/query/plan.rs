//! From what is wanted and what is served to what is to be done: pure.

use std::collections::BTreeMap;

use role::query::ServeShard;
use types::id::ShardId;

use crate::members::Member;

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

/// What a node was asked to serve.
#[derive(Clone, PartialEq, Debug)]
pub struct Served {
    /// Who.
    pub member: Member,
    /// What.
    pub request: ServeShard,
    /// Why it doesn't, or doesn't yet do so in this way.
    pub failure: Option<String>,
}

/// Shards stay with a live node; others, and those that their node can't serve, go to whoever serves the fewest. A node that could not serve a
/// shard may hold a part of it: it lets go when the shard goes elsewhere or is wanted no more.
pub fn actions(wanted: &[ServeShard], actual: &BTreeMap<ShardId, Served>, members: &[Member]) -> Vec<Action> {
    let serving = |member: &Member| actual.values().filter(|served| served.failure.is_none() && served.member == *member).count();
    let mut load: Vec<usize> = members.iter().map(serving).collect();
    let mut actions = Vec::new();
    for (shard, Served { member, .. }) in actual {
        if members.contains(member) && wanted.iter().all(|request| request.shard != *shard) {
            actions.push(Action::Release { member: member.clone(), shard: *shard });
        }
    }
    for request in wanted {
        let there = actual.get(&request.shard).filter(|served| members.contains(&served.member));
        match there {
            Some(served) if served.failure.is_none() && served.request == *request => {}
            Some(served) if served.failure.is_none() => {
                actions.push(Action::Serve { member: served.member.clone(), request: request.clone() });
            }
            _ => {
                let Some(least) = (0..members.len()).min_by_key(|&i| (load[i], members[i].node)) else { break };
                load[least] += 1;
                if let Some(Served { member, .. }) = there.filter(|served| served.member != members[least]) {
                    actions.push(Action::Release { member: member.clone(), shard: request.shard });
                }
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

    fn served(node: i64, i: u16, failure: Option<&str>) -> (ShardId, Served) {
        (request(i).shard, Served { member: member(node), request: request(i), failure: failure.map(str::to_owned) })
    }

    #[test]
    fn what_is_served_stays_what_is_missing_is_spread_what_is_unwanted_goes() {
        let actual: BTreeMap<_, _> = [0, 3].map(|i| served(1, i, None)).into();
        let wanted = [request(0), request(1), request(2)];
        let check = |members: &[Member], expected: Vec<Action>| assert_eq!(actions(&wanted, &actual, members), expected);
        let serve = |node: i64, i: u16| Action::Serve { member: member(node), request: request(i) };
        check(&[member(1), member(2)], vec![Action::Release { member: member(1), shard: request(3).shard }, serve(2, 1), serve(2, 2)]);
        check(&[member(2)], vec![serve(2, 0), serve(2, 1), serve(2, 2)]);
        check(&[], vec![]);
    }

    #[test]
    fn another_wish_goes_to_the_same_node() {
        let actual: BTreeMap<_, _> = [served(1, 0, None)].into();
        let wish = ServeShard { partitions: Some(vec![PartitionId(4)]), ..request(0) };
        let expected = vec![Action::Serve { member: member(1), request: wish.clone() }];
        assert_eq!(actions(&[wish], &actual, &[member(1), member(2)]), expected);
    }

    #[test]
    fn what_failed_goes_elsewhere_and_is_let_go_of() {
        let actual: BTreeMap<_, _> = [served(1, 0, None), served(1, 1, Some("full")), served(1, 2, Some("full"))].into();
        let release = |i: u16| Action::Release { member: member(1), shard: request(i).shard };
        let moved = Action::Serve { member: member(2), request: request(1) };
        let members = [member(1), member(2)];
        assert_eq!(actions(&[request(0), request(1)], &actual, &members), [release(2), release(1), moved]);
        let again = Action::Serve { member: member(1), request: request(1) };
        assert_eq!(actions(&[request(0), request(1), request(2)], &actual, &members[..1])[0], again);
    }
}
