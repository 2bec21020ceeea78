//! From what is wanted and what nodes hold to what is to be done: pure.
//!
//! A shard is wanted on so many different nodes. What is served stays where it is; what is missing goes to nodes with the fewest shards
//! that haven't failed at it; what is too many, or wanted no more, is let go of. When nodes differ by two shards or more, some move: the
//! fuller node's shard is served on the emptier one as well, and the next plan finds one too many and releases it from whoever has the
//! most. Nothing moves to a node that failed at it of late.
//!
//! Invariants: no plan releases a shard that is wanted unless as many nodes as are wanted serve it, as it is wanted, without that one. A
//! plan whose actions were all carried out is followed by an empty one after finitely many, since each move makes the nodes more equal.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use role::query::ServeShard;
use types::id::{CollectionId, NodeId, ShardId};

/// Shards that move at the same time.
pub const MOVES_MAX: usize = 4;

/// A shard that is wanted.
#[derive(Clone, PartialEq, Debug)]
pub struct Wish {
    /// What.
    pub request: Arc<ServeShard>,
    /// On how many nodes; at least 1.
    pub replicas: usize,
}

/// A shard at a node.
#[derive(Clone, PartialEq, Debug)]
pub enum Held {
    /// Reads are answered, of this.
    Serving(Arc<ServeShard>),
    /// Reads are answered, and it is being changed to what is wanted.
    Changing,
    /// It was asked to serve it, and doesn't yet.
    Coming,
    /// It was asked to let go of it.
    Going,
    /// A part may be open, and no call is under way.
    Part,
}

impl Held {
    /// Whether it will serve if nothing fails.
    fn counts(&self) -> bool {
        matches!(self, Self::Serving(_) | Self::Changing | Self::Coming)
    }
}

/// A query node that has said what it holds.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// Who.
    pub id: NodeId,
    /// What it holds.
    pub shards: BTreeMap<ShardId, Held>,
    /// How often it failed at shards of late, since it last succeeded.
    pub failures: BTreeMap<ShardId, u32>,
    /// Shards that it isn't asked to serve now: it failed a moment ago.
    pub resting: BTreeSet<ShardId>,
    /// Shards that it isn't asked to release now, likewise.
    pub stuck: BTreeSet<ShardId>,
    /// Memory that it has left.
    pub free_bytes: u64,
}

/// One thing to do.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// Have a node serve a shard, or another part of it.
    Serve {
        /// Who.
        node: NodeId,
        /// What.
        request: Arc<ServeShard>,
    },
    /// Have a node let go of a shard.
    Release {
        /// Who.
        node: NodeId,
        /// Which.
        shard: ShardId,
    },
}

/// What is to be done, and what isn't as wanted now.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Plan {
    /// In any order; at most one for each node and shard.
    pub actions: Vec<Action>,
    /// Shards that too few nodes serve as wanted, or that some hold and nobody wants.
    pub lacking: BTreeSet<ShardId>,
}

/// Shards of `spared` collections, about which nothing can be known now, stay as they are.
pub fn plan(wanted: &[Wish], nodes: &[Node], spared: &BTreeSet<CollectionId>) -> Plan {
    let mut planning = Planning::new(nodes);
    let by_shard: BTreeMap<ShardId, &Wish> = wanted.iter().map(|wish| (wish.request.shard, wish)).collect();
    for (index, node) in nodes.iter().enumerate() {
        for (shard, held) in &node.shards {
            if !by_shard.contains_key(shard) && !spared.contains(&shard.collection) {
                planning.plan.lacking.insert(*shard);
                if matches!(held, Held::Serving(_) | Held::Part) {
                    planning.release(index, *shard);
                }
            }
        }
    }
    for wish in by_shard.values() {
        planning.fulfil(wish);
    }
    if !planning.moving {
        planning.balance(&by_shard);
    }
    planning.plan
}

struct Planning<'a> {
    nodes: &'a [Node],
    /// Shards that each node serves or will.
    load: Vec<usize>,
    /// The same by collection.
    of_collection: BTreeMap<(usize, CollectionId), usize>,
    /// Who holds each shard, by index.
    holders: BTreeMap<ShardId, Vec<(usize, &'a Held)>>,
    /// Some shard has more nodes than it needs.
    moving: bool,
    plan: Plan,
}

impl<'a> Planning<'a> {
    fn new(nodes: &'a [Node]) -> Self {
        let mut of_collection = BTreeMap::new();
        let mut holders: BTreeMap<ShardId, Vec<_>> = BTreeMap::new();
        for (index, node) in nodes.iter().enumerate() {
            for (shard, held) in &node.shards {
                holders.entry(*shard).or_default().push((index, held));
                if held.counts() {
                    *of_collection.entry((index, shard.collection)).or_default() += 1;
                }
            }
        }
        let load = nodes.iter().map(|node| node.shards.values().filter(|held| held.counts()).count()).collect();
        Self { nodes, load, of_collection, holders, moving: false, plan: Plan::default() }
    }

    fn serve(&mut self, index: usize, request: &Arc<ServeShard>) {
        self.plan.actions.push(Action::Serve { node: self.nodes[index].id, request: request.clone() });
    }

    fn release(&mut self, index: usize, shard: ShardId) {
        if !self.nodes[index].stuck.contains(&shard) {
            self.plan.actions.push(Action::Release { node: self.nodes[index].id, shard });
        }
    }

    /// Nodes that hold nothing of a shard, or a part that isn't served, and may be asked to serve it; whoever is best comes first.
    fn candidates(&self, shard: ShardId) -> Vec<usize> {
        let is_free = |index: &usize| {
            let node = &self.nodes[*index];
            !node.resting.contains(&shard) && matches!(node.shards.get(&shard), None | Some(Held::Part))
        };
        let mut free: Vec<usize> = (0..self.nodes.len()).filter(is_free).collect();
        free.sort_by_key(|&index| {
            let node = &self.nodes[index];
            let failures = node.failures.get(&shard).copied().unwrap_or(0);
            let of_collection = self.of_collection.get(&(index, shard.collection)).copied().unwrap_or(0);
            (failures, self.load[index], of_collection, Reverse(node.free_bytes), node.id)
        });
        free
    }

    /// What one shard needs.
    fn fulfil(&mut self, wish: &Wish) {
        let shard = wish.request.shard;
        let replicas = wish.replicas.min(self.nodes.len());
        let held = self.holders.get(&shard).cloned().unwrap_or_default();
        let is_sure = |held: &Held| matches!(held, Held::Serving(request) if **request == *wish.request);
        let sure = held.iter().filter(|(_, held)| is_sure(held)).count();
        if sure < replicas || held.iter().any(|(_, held)| !is_sure(held)) {
            self.plan.lacking.insert(shard);
        }
        let count = held.iter().filter(|(_, held)| held.counts()).count();
        let chosen: Vec<usize> = self.candidates(shard).into_iter().take(replicas.saturating_sub(count)).collect();
        for &index in &chosen {
            self.load[index] += 1;
            *self.of_collection.entry((index, shard.collection)).or_default() += 1;
            self.serve(index, &wish.request);
        }
        // Where nobody else takes it, the node goes on with its part in a moment.
        let enough = count + chosen.len() >= replicas;
        for (index, _) in held.iter().filter(|(index, held)| enough && **held == Held::Part && !chosen.contains(index)) {
            self.release(*index, shard);
        }
        self.moving |= count > replicas;
        let gone = self.release_surplus(wish, replicas, &held);
        for (index, held) in &held {
            let is_outdated = matches!(held, Held::Serving(_)) && !is_sure(held);
            if is_outdated && !gone.contains(index) && !self.nodes[*index].resting.contains(&shard) {
                self.serve(*index, &wish.request);
            }
        }
    }

    /// Releases what more nodes than needed serve, from the fullest, while enough of those that stay serve what is wanted; who that is.
    fn release_surplus(&mut self, wish: &Wish, replicas: usize, held: &[(usize, &Held)]) -> Vec<usize> {
        let shard = wish.request.shard;
        let mut serving: Vec<(bool, usize)> = Vec::new();
        for (index, held) in held {
            if let Held::Serving(request) = held {
                serving.push((**request == *wish.request, *index));
            }
        }
        let mut sure = serving.iter().filter(|(is_sure, _)| *is_sure).count();
        serving.sort_by_key(|&(is_sure, index)| (is_sure, Reverse(self.load[index]), self.nodes[index].id));
        let mut gone = Vec::new();
        for (is_sure, index) in serving {
            let left = sure - usize::from(is_sure);
            if left < replicas {
                break;
            }
            // Let go of elsewhere instead, it would be moved there again at once.
            if self.nodes[index].stuck.contains(&shard) {
                break;
            }
            sure = left;
            self.load[index] -= 1;
            self.release(index, shard);
            gone.push(index);
        }
        gone
    }

    /// Begins moves from full nodes to empty ones.
    fn balance(&mut self, wanted: &BTreeMap<ShardId, &Wish>) {
        let mut moved = BTreeSet::new();
        while moved.len() < MOVES_MAX {
            let Some((from, to, shard)) = self.best_move(wanted, &moved) else { return };
            self.load[from] -= 1;
            self.load[to] += 1;
            moved.insert(shard);
            self.serve(to, &wanted[&shard].request);
        }
    }

    fn best_move(&self, wanted: &BTreeMap<ShardId, &Wish>, moved: &BTreeSet<ShardId>) -> Option<(usize, usize, ShardId)> {
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.sort_by_key(|&index| (self.load[index], self.nodes[index].id));
        for &to in &order {
            for &from in order.iter().rev().take_while(|&&from| self.load[from] >= self.load[to] + 2) {
                let can_move = |shard: &&ShardId| {
                    let is_stuck = self.nodes[from].stuck.contains(shard);
                    let taken = self.nodes[to].shards.contains_key(shard) || self.nodes[to].failures.contains_key(shard);
                    // What isn't as wanted yet has enough to do.
                    !taken && !is_stuck && !moved.contains(*shard) && wanted.contains_key(shard) && !self.plan.lacking.contains(shard)
                };
                if let Some(shard) = self.nodes[from].shards.keys().find(can_move) {
                    return Some((from, to, *shard));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use base::random::Random;
    use types::id::{ChannelName, PartitionId};

    use super::*;

    fn shard(index: u16) -> ShardId {
        ShardId::new(CollectionId(1), index)
    }

    fn request(index: u16) -> Arc<ServeShard> {
        Arc::new(ServeShard { shard: shard(index), channel: ChannelName::from("c"), partitions: None, indexes: Vec::new(), manifest: 1 })
    }

    fn other(index: u16) -> Arc<ServeShard> {
        Arc::new(ServeShard { partitions: Some(vec![PartitionId(4)]), ..(*request(index)).clone() })
    }

    fn wishes(indexes: &[u16], replicas: usize) -> Vec<Wish> {
        indexes.iter().map(|index| Wish { request: request(*index), replicas }).collect()
    }

    fn node(id: i64, shards: impl IntoIterator<Item = (u16, Held)>) -> Node {
        let shards = shards.into_iter().map(|(index, held)| (shard(index), held)).collect();
        Node { id: NodeId(id), shards, failures: BTreeMap::new(), resting: BTreeSet::new(), stuck: BTreeSet::new(), free_bytes: 0 }
    }

    fn serving(id: i64, indexes: &[u16]) -> Node {
        node(id, indexes.iter().map(|index| (*index, Held::Serving(request(*index)))))
    }

    fn serve(node: i64, index: u16) -> Action {
        Action::Serve { node: NodeId(node), request: request(index) }
    }

    fn release(node: i64, index: u16) -> Action {
        Action::Release { node: NodeId(node), shard: shard(index) }
    }

    #[test]
    fn what_is_served_stays_what_is_missing_is_spread_what_is_too_much_goes() {
        let check = |what: &str, wanted: &[Wish], nodes: &[Node], expected: &[Action]| {
            assert_eq!(plan(wanted, nodes, &BTreeSet::new()).actions, expected, "{what}");
        };
        let three = wishes(&[0, 1, 2], 1);
        check("spread", &three, &[serving(1, &[0]), serving(2, &[])], &[serve(2, 1), serve(1, 2)]);
        check("unwanted", &three, &[serving(1, &[0, 3]), serving(2, &[1, 2])], &[release(1, 3)]);
        check("nobody", &three, &[], &[]);
        check("one of two", &wishes(&[0], 2), &[serving(1, &[0]), serving(2, &[])], &[serve(2, 0)]);
        check("more replicas than nodes", &wishes(&[0], 3), &[serving(1, &[0])], &[]);
        check("one too many", &wishes(&[0], 1), &[serving(1, &[0]), serving(2, &[0])], &[release(1, 0)]);
        check("from the fullest", &wishes(&[0, 1], 1), &[serving(1, &[0]), serving(2, &[0, 1])], &[release(2, 0)]);
        let changed = [Wish { request: other(0), replicas: 1 }];
        check("another wish", &changed, &[serving(1, &[0]), serving(2, &[])], &[Action::Serve { node: NodeId(1), request: other(0) }]);
        check("changing", &changed, &[node(1, [(0, Held::Changing)]), serving(2, &[])], &[]);
        check("coming", &wishes(&[0], 1), &[node(1, [(0, Held::Coming)]), serving(2, &[])], &[]);
        check("going", &wishes(&[0], 1), &[node(1, [(0, Held::Going)]), serving(2, &[])], &[serve(2, 0)]);
        check("a part is gone on with", &wishes(&[0], 1), &[node(1, [(0, Held::Part)])], &[serve(1, 0)]);
        check("a part is let go of", &wishes(&[0], 1), &[node(1, [(0, Held::Part)]), serving(2, &[0])], &[release(1, 0)]);
        let two_ways = [node(1, [(0, Held::Serving(other(0)))]), serving(2, &[0]), serving(3, &[])];
        check("who serves what was wanted before goes first", &wishes(&[0], 1), &two_ways, &[release(1, 0)]);
        let all_before = [node(1, [(0, Held::Serving(other(0)))]), node(2, [(0, Held::Serving(other(0)))])];
        check("nobody goes before one is changed", &wishes(&[0], 1), &all_before, &[serve(1, 0), serve(2, 0)]);
    }

    #[test]
    fn what_a_node_cannot_let_go_of_stays_until_it_can() {
        let check = |nodes: &[Node]| assert_eq!(plan(&wishes(&[0, 1, 2], 1), nodes, &BTreeSet::new()).actions, []);
        let mut full = serving(1, &[0, 1, 2]);
        full.stuck = [shard(0), shard(1), shard(2)].into();
        check(&[full.clone(), serving(2, &[])]);
        check(&[full, serving(2, &[0])]);
    }

    #[test]
    fn what_a_node_failed_at_goes_elsewhere_if_there_is_an_elsewhere() {
        let mut failed = serving(1, &[0]);
        failed.failures.insert(shard(1), 1);
        let check = |nodes: &[Node], expected: &[Action]| {
            assert_eq!(plan(&wishes(&[0, 1], 1), nodes, &BTreeSet::new()).actions, expected);
        };
        check(&[failed.clone(), serving(2, &[5, 6, 7, 8])], &[release(2, 5), release(2, 6), release(2, 7), release(2, 8), serve(2, 1)]);
        check(std::slice::from_ref(&failed), &[serve(1, 1)]);
        failed.resting.insert(shard(1));
        failed.shards.insert(shard(1), Held::Part);
        check(&[failed], &[]);
    }

    #[test]
    fn nodes_are_made_equal_a_few_shards_at_a_time() {
        let wanted = wishes(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 1);
        let full = serving(1, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let moves = plan(&wanted, &[full.clone(), serving(2, &[])], &BTreeSet::new()).actions;
        assert_eq!(moves, [serve(2, 0), serve(2, 1), serve(2, 2), serve(2, 3)]);
        let moving = node(2, (0..4).map(|index| (index, Held::Coming)));
        assert_eq!(plan(&wanted, &[full.clone(), moving], &BTreeSet::new()).actions, [], "one after the other");
        let there = plan(&wanted, &[full, serving(2, &[0, 1, 2, 3])], &BTreeSet::new()).actions;
        assert_eq!(there, [release(1, 0), release(1, 1), release(1, 2), release(1, 3)]);
        assert_eq!(
            plan(&wishes(&[0], 1), &[serving(1, &[0]), serving(2, &[])], &BTreeSet::new()),
            Plan::default(),
            "one more is no reason"
        );
    }

    #[test]
    fn what_nobody_can_tell_about_stays() {
        let spared = BTreeSet::from([CollectionId(1)]);
        assert_eq!(plan(&[], &[serving(1, &[0])], &spared), Plan::default());
    }

    /// Nodes that do as plans say, each call for itself, some in vain.
    struct Driver {
        random: Random,
        wanted: Vec<Wish>,
        nodes: Vec<Node>,
    }

    impl Driver {
        fn count(&self, shard: ShardId) -> usize {
            self.nodes
                .iter()
                .filter(|node| node.shards.get(&shard).is_some_and(|held| matches!(held, Held::Serving(_) | Held::Changing)))
                .count()
        }

        fn begin(&mut self, action: &Action) {
            let (id, shard) = match action {
                Action::Serve { node, request } => (*node, request.shard),
                Action::Release { node, shard } => (*node, *shard),
            };
            let node = self.nodes.iter_mut().find(|node| node.id == id).expect("plans name nodes that are there");
            assert!(
                !matches!(node.shards.get(&shard), Some(Held::Coming | Held::Going | Held::Changing)),
                "{action:?} beside another call"
            );
            let held = match (action, node.shards.get(&shard)) {
                (Action::Release { .. }, _) => Held::Going,
                (_, Some(Held::Serving(_))) => Held::Changing,
                _ => Held::Coming,
            };
            node.shards.insert(shard, held);
        }

        /// Some call ends.
        fn end_one(&mut self) -> bool {
            let is_open = |held: &Held| matches!(held, Held::Coming | Held::Going | Held::Changing);
            let open: Vec<(usize, ShardId)> = self
                .nodes
                .iter()
                .enumerate()
                .flat_map(|(index, node)| node.shards.iter().filter(|(_, held)| is_open(held)).map(move |(shard, _)| (index, *shard)))
                .collect();
            if open.is_empty() {
                return false;
            }
            let (index, shard) = open[self.random.below(open.len() as u64) as usize];
            let fails = self.random.chance(0.2);
            let wish = self.wanted.iter().find(|wish| wish.request.shard == shard).map(|wish| wish.request.clone());
            let node = &mut self.nodes[index];
            let held = node.shards.remove(&shard).expect("it is open");
            match (held, wish) {
                (Held::Coming, _) if fails => *node.failures.entry(shard).or_default() += 1,
                (Held::Coming | Held::Changing, Some(request)) => {
                    node.failures.remove(&shard);
                    node.shards.insert(shard, Held::Serving(request));
                }
                _ => {}
            }
            true
        }

        /// Follows plans until one is empty, however calls end.
        fn settle(&mut self, seed: u64) {
            for _ in 0..2_000 {
                let found = plan(&self.wanted, &self.nodes, &BTreeSet::new());
                let before: Vec<usize> = self.wanted.iter().map(|wish| self.count(wish.request.shard)).collect();
                found.actions.iter().for_each(|action| self.begin(action));
                let ended = self.end_one();
                for (wish, before) in self.wanted.iter().zip(before) {
                    let least = before.min(wish.replicas.min(self.nodes.len()));
                    assert!(self.count(wish.request.shard) >= least, "seed {seed}: shard {} has fewer nodes", wish.request.shard);
                }
                if found == Plan::default() && !ended {
                    // What a node failed at is forgotten in the end, and then it may move there.
                    if self.nodes.iter().all(|node| node.failures.is_empty()) {
                        return;
                    }
                    self.nodes.iter_mut().for_each(|node| node.failures.clear());
                }
            }
            panic!("seed {seed}: plans go on and on");
        }
    }

    #[test]
    fn plans_come_to_an_end_and_take_nobody_away_before() {
        for seed in 0..300 {
            let random = Random::seeded(seed);
            let shards: Vec<u16> = (0..1 + random.below(12) as u16).collect();
            let replicas = 1 + random.below(3) as usize;
            let nodes = (1..=1 + random.below(4) as i64).map(|id| serving(id, &[])).collect();
            let mut driver = Driver { wanted: wishes(&shards, replicas), nodes, random };
            let mut next = 10;
            for _ in 0..6 {
                driver.settle(seed);
                for wish in &driver.wanted {
                    assert_eq!(driver.count(wish.request.shard), replicas.min(driver.nodes.len()), "seed {seed}");
                }
                let loads: Vec<usize> = driver.nodes.iter().map(|node| node.shards.len()).collect();
                let spread = loads.iter().max().expect("there is a node") - loads.iter().min().expect("there is a node");
                assert!(spread <= 1, "seed {seed}: {loads:?}");
                match driver.random.below(3) {
                    0 if driver.nodes.len() > 1 => {
                        let gone = driver.random.below(driver.nodes.len() as u64) as usize;
                        driver.nodes.remove(gone);
                    }
                    1 => {
                        let index = driver.random.below(driver.wanted.len() as u64) as usize;
                        driver.wanted[index].request = other(index as u16);
                    }
                    _ => {
                        next += 1;
                        driver.nodes.push(serving(next, &shards[..driver.random.below(1 + shards.len() as u64) as usize]));
                    }
                }
            }
        }
    }
}
