//! Which of the nodes that serve a shard is asked: the one with the fewest requests of this proxy under way, chance among equals. One
//! that couldn't be reached is passed over for a while where another one is there.
//!
//! Not here: who serves what ([`super::serving`]), and what is asked again ([`super::read`]).

use std::collections::BTreeMap;
use std::time::Duration;

use base::World;
use parking_lot::Mutex;
use role::query::Leader;
use tokio::time::Instant;
use types::id::NodeId;

/// How long a node that couldn't be reached is passed over.
const AVOIDED: Duration = Duration::from_secs(2);

/// What this proxy has under way at each node. Nodes without anything aren't kept.
pub struct Replicas {
    world: World,
    nodes: Mutex<BTreeMap<NodeId, Load>>,
}

#[derive(Default)]
struct Load {
    in_flight: usize,
    avoided_until: Option<Instant>,
}

/// A request to a node; dropped when it has ended.
pub struct Asking<'a> {
    replicas: &'a Replicas,
    node: NodeId,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut nodes = self.replicas.nodes.lock();
        let Some(load) = nodes.get_mut(&self.node) else { return };
        load.in_flight -= 1;
        if load.in_flight == 0 && load.avoided_until.is_none() {
            nodes.remove(&self.node);
        }
    }
}

impl Replicas {
    /// Nothing is under way.
    pub fn new(world: &World) -> Self {
        Self { world: world.clone(), nodes: Mutex::default() }
    }

    /// One of `leaders`, and the note that it is being asked; `None` if there are none.
    pub fn choose<'s>(&self, leaders: &[&'s Leader]) -> Option<(&'s Leader, Asking<'_>)> {
        let now = self.world.clock.now();
        let mut nodes = self.nodes.lock();
        nodes.retain(|_, load| {
            load.avoided_until = load.avoided_until.filter(|until| *until > now);
            load.in_flight > 0 || load.avoided_until.is_some()
        });
        let rank = |leader: &Leader| nodes.get(&leader.node).map_or((None, 0), |load| (load.avoided_until, load.in_flight));
        let least = leaders.iter().map(|leader| rank(leader)).min()?;
        let equal: Vec<&Leader> = leaders.iter().copied().filter(|leader| rank(leader) == least).collect();
        let chosen = match equal.len() {
            1 => equal[0],
            several => equal[self.world.random.below(several as u64) as usize],
        };
        nodes.entry(chosen.node).or_default().in_flight += 1;
        Some((chosen, Asking { replicas: self, node: chosen.node }))
    }

    /// A node couldn't be reached.
    pub fn avoid(&self, node: NodeId) {
        let until = self.world.clock.now() + AVOIDED;
        self.nodes.lock().entry(node).or_default().avoided_until = Some(until);
    }
}

#[cfg(test)]
mod tests {
    use base::disk::simulated::SimulatedDisk;
    use types::id::{CollectionId, ShardId};

    use super::*;

    fn leader(node: i64) -> Leader {
        Leader { shard: ShardId::new(CollectionId(1), 0), node: NodeId(node), address: String::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn the_idlest_is_asked_and_who_is_away_is_passed_over() {
        let world = World::simulated(3, SimulatedDisk::new(3).process());
        let replicas = Replicas::new(&world);
        let (one, two) = (leader(1), leader(2));
        let both = [&one, &two];
        let choose = || replicas.choose(&both).expect("there are two");
        let (first, asking_first) = choose();
        let (second, asking_second) = choose();
        assert_ne!(first.node, second.node);
        drop(asking_second);
        assert_eq!(choose().0.node, second.node, "the other one is at work");
        drop(asking_first);
        assert!(replicas.nodes.lock().is_empty());
        replicas.avoid(NodeId(1));
        for _ in 0..20 {
            assert_eq!(choose().0.node, NodeId(2));
        }
        assert_eq!(replicas.choose(&[&one]).expect("there is one").0.node, NodeId(1), "rather than nobody");
        world.clock.sleep(AVOIDED).await;
        let seen: Vec<i64> = (0..50).map(|_| choose().0.node.0).collect();
        assert!(seen.contains(&1) && seen.contains(&2), "{seen:?}");
        assert!(replicas.choose(&[]).is_none());
    }
}
