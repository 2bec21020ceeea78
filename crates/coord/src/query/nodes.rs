//! The query nodes of a term: what each said that it holds, the calls to it that are under way, and what it failed at.
//!
//! A node that is new to the term is asked before anything is placed on it, so that what it served under another leader, or before it
//! lost its session, stays. Every node is asked again now and then, and after each call that failed, since such a call may have been carried
//! out. A node whose session ends is forgotten with its calls: none waits for it.
//!
//! Calls are tasks: a slow node keeps nobody from being served elsewhere. Start at [`Nodes::start`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use base::task::Task;
use base::watch;
use parking_lot::Mutex;
use role::Call;
use role::query::{Leader, Memory, NodeServing, ServeShard};
use tokio::time::Instant;
use types::id::{NodeId, ShardId};
use types::{Error, Result};

use super::plan::{Action, Held, Node};
use crate::context::Context;
use crate::members::Member;

/// How long a node may take to say what it holds.
const LOOK_MAX: Duration = Duration::from_secs(2);
/// Before a node that didn't say is asked again.
const LOOK_RETRY: Duration = Duration::from_secs(1);
/// Between two looks at a node that does as it is told.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How long a node may take to serve a shard: files of gigabytes may have to come.
const SERVE_MAX: Duration = Duration::from_secs(600);
/// How long it may take to let go of one.
const RELEASE_MAX: Duration = Duration::from_secs(30);
/// How long a node isn't asked again for what it failed at: doubled from the first to the last.
const REST_FIRST: Duration = Duration::from_millis(500);
const REST_LAST: Duration = Duration::from_secs(8);
/// How long a node's failure at a shard is remembered: for so long nothing moves there that is served elsewhere.
const FAILURE_KEPT: Duration = Duration::from_secs(300);

/// The nodes.
pub(super) struct Nodes {
    context: Context,
    state: Mutex<State>,
    /// Moves with everything that a node answers.
    answers: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    nodes: BTreeMap<NodeId, Known>,
    /// Until when nothing is placed before every node has answered.
    hold: Option<Instant>,
    /// What the last plan said.
    lacking: BTreeSet<ShardId>,
}

/// One node.
struct Known {
    member: Member,
    /// Rises with each call that begins or ends: what the node said across it is stale.
    generation: u64,
    /// What it holds; `None` until it has said so.
    shards: Option<BTreeMap<ShardId, (Arc<ServeShard>, bool)>>,
    memory: Memory,
    /// It was asked and said nothing, and why.
    silent: Option<Error>,
    look_at: Instant,
    look: Option<Task<()>>,
    under_way: BTreeMap<ShardId, (Kind, Task<()>)>,
    failures: BTreeMap<ShardId, Failure>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Serve,
    Release,
}

struct Failure {
    kind: Kind,
    error: Error,
    count: u32,
    until: Instant,
}

impl Nodes {
    pub fn new(context: Context) -> Arc<Self> {
        Arc::new(Self { context, state: Mutex::default(), answers: watch::Sender::default() })
    }

    /// Resolves with each answer of a node after the call.
    pub fn answers(&self) -> watch::Receiver<u64> {
        self.answers.subscribe()
    }

    /// Goes by these members from now on, and asks those that haven't said what they hold, or not for long.
    pub fn follow(self: &Arc<Self>, members: &[Member]) {
        let now = self.context.world.clock.now();
        let mut state = self.state.lock();
        let is_member = |node: &Known| members.contains(&node.member);
        let gone: Vec<NodeId> = state.nodes.values().filter(|node| !is_member(node)).map(|node| node.member.node).collect();
        for node in gone {
            // Its calls end with it.
            state.nodes.remove(&node);
        }
        for member in members {
            state.nodes.entry(member.node).or_insert_with(|| Known::new(member.clone(), now));
        }
        if state.hold.is_none() && !members.is_empty() {
            state.hold = Some(now + LOOK_MAX);
        }
        for node in state.nodes.values_mut().filter(|node| node.look.is_none() && node.look_at <= now) {
            let (own, member, generation) = (Arc::downgrade(self), node.member.clone(), node.generation);
            let asked = self.ask(member.clone());
            node.look = Some(self.context.world.tasks.spawn(async move {
                let said = asked.await;
                if let Some(nodes) = Weak::upgrade(&own) {
                    nodes.told(&member, generation, said);
                }
            }));
        }
    }

    fn ask(&self, member: Member) -> impl Future<Output = Result<NodeServing>> + Send + 'static {
        let context = self.context.clone();
        async move {
            let call = Call::within(&context.world, LOOK_MAX, "what is served");
            let asked = async { context.peers.query_node(&member.address)?.serving(&call).await };
            let said = context.ended.run_until_cancelled(call.bound("a query node", asked)).await;
            said.unwrap_or_else(|| Err(Error::timeout("a term that is over")))
        }
    }

    fn told(&self, member: &Member, generation: u64, said: Result<NodeServing>) {
        let now = self.context.world.clock.now();
        let mut state = self.state.lock();
        let Some(node) = state.nodes.get_mut(&member.node).filter(|node| node.member == *member) else { return };
        // The task that says so is over.
        if let Some(look) = node.look.take() {
            look.detach();
        }
        match said {
            Ok(said) if node.generation == generation => {
                let held = |shard: role::query::HeldShard| (shard.request.shard, (Arc::new(shard.request), shard.is_serving));
                node.shards = Some(said.shards.into_iter().map(held).collect());
                (node.memory, node.silent, node.look_at) = (said.memory, None, now + LOOK_EVERY);
            }
            // Calls have begun or ended since it said so.
            Ok(_) => (node.silent, node.look_at) = (None, now + LOOK_RETRY),
            Err(error) => {
                tracing::warn!(node = %member.node, %error, "a query node doesn't say what it serves");
                (node.silent, node.look_at) = (Some(error), now + LOOK_RETRY);
            }
        }
        drop(state);
        self.answers.send_modify(|count| *count += 1);
    }

    /// Whether enough is known to place shards: every node has been asked, or the term has waited for it long enough.
    pub fn are_known(&self) -> bool {
        let now = self.context.world.clock.now();
        let state = self.state.lock();
        let is_known = |node: &Known| node.shards.is_some() || node.silent.is_some();
        state.hold.is_none_or(|until| until <= now) || state.nodes.values().all(is_known)
    }

    /// The nodes that have said what they hold, as plans see them.
    pub fn views(&self) -> Vec<Node> {
        let now = self.context.world.clock.now();
        self.state.lock().nodes.values().filter_map(|node| node.view(now)).collect()
    }

    /// Begins a call; where one is under way about the same shard, nothing.
    pub fn start(self: &Arc<Self>, action: Action) {
        let (id, shard, kind) = match &action {
            Action::Serve { node, request } => (*node, request.shard, Kind::Serve),
            Action::Release { node, shard } => (*node, *shard, Kind::Release),
        };
        let mut state = self.state.lock();
        let Some(node) = state.nodes.get_mut(&id).filter(|node| !node.under_way.contains_key(&shard)) else { return };
        node.generation += 1;
        let (own, member) = (Arc::downgrade(self), node.member.clone());
        let carried_out = self.carry_out(member.clone(), action.clone());
        let task = self.context.world.tasks.spawn(async move {
            let result = carried_out.await;
            if let Some(nodes) = Weak::upgrade(&own) {
                nodes.done(&member, action, result);
            }
        });
        node.under_way.insert(shard, (kind, task));
    }

    fn carry_out(&self, member: Member, action: Action) -> impl Future<Output = Result<()>> + Send + 'static {
        let context = self.context.clone();
        async move {
            let limit = if matches!(action, Action::Serve { .. }) { SERVE_MAX } else { RELEASE_MAX };
            let call = Call::within(&context.world, limit, "serving");
            let act = async {
                let node = context.peers.query_node(&member.address)?;
                match action {
                    Action::Serve { request, .. } => node.serve(&call, (*request).clone()).await,
                    Action::Release { shard, .. } => node.release(&call, shard).await,
                }
            };
            let result = context.ended.run_until_cancelled(call.bound("a query node", act)).await;
            result.unwrap_or_else(|| Err(Error::timeout("a term that is over")))
        }
    }

    fn done(&self, member: &Member, action: Action, result: Result<()>) {
        let now = self.context.world.clock.now();
        let mut state = self.state.lock();
        let Some(node) = state.nodes.get_mut(&member.node).filter(|node| node.member == *member) else { return };
        let shard = match &action {
            Action::Serve { request, .. } => request.shard,
            Action::Release { shard, .. } => *shard,
        };
        node.generation += 1;
        if let Some((_, task)) = node.under_way.remove(&shard) {
            task.detach();
        }
        match (result, action) {
            (Ok(()), action) => {
                let kind = if matches!(action, Action::Serve { .. }) { Kind::Serve } else { Kind::Release };
                // That it let go of a part says nothing of another try to serve it.
                node.failures.retain(|failed, failure| *failed != shard || failure.kind != kind);
                let shards = node.shards.get_or_insert_default();
                match action {
                    Action::Serve { request, .. } => drop(shards.insert(shard, (request, true))),
                    Action::Release { .. } => drop(shards.remove(&shard)),
                }
            }
            (Err(error), action) => {
                let kind = if matches!(action, Action::Serve { .. }) { Kind::Serve } else { Kind::Release };
                tracing::warn!(node = %member.node, %shard, ?kind, %error, "a query node couldn't do as it was told");
                node.fail(shard, (kind, error), now);
            }
        }
        drop(state);
        self.answers.send_modify(|count| *count += 1);
    }

    /// Says which shards aren't as wanted: a failure at another one stands no longer.
    pub fn set_lacking(&self, lacking: BTreeSet<ShardId>) {
        let now = self.context.world.clock.now();
        let mut state = self.state.lock();
        for node in state.nodes.values_mut() {
            node.failures.retain(|_, failure| failure.until + FAILURE_KEPT > now);
        }
        state.lacking = lacking;
    }

    /// Calls under way that concern some shards, looks at nodes included.
    pub fn under_way(&self, of: impl Fn(ShardId) -> bool) -> usize {
        let state = self.state.lock();
        let calls = |node: &Known| node.under_way.keys().filter(|shard| of(**shard)).count();
        state.nodes.values().map(|node| calls(node) + usize::from(node.look.is_some())).sum()
    }

    /// The first failure at some shards that stands.
    pub fn failure(&self, of: impl Fn(ShardId) -> bool) -> Option<Error> {
        let state = self.state.lock();
        let stands = |shard: &ShardId| of(*shard) && state.lacking.contains(shard);
        let at = |node: &Known| node.failures.iter().find(|(shard, _)| stands(shard)).map(|(_, failure)| failure.error.clone());
        state.nodes.values().find_map(at)
    }

    /// Why a node that was never heard says nothing.
    pub fn silence(&self) -> Option<Error> {
        self.state.lock().nodes.values().filter(|node| node.shards.is_none()).find_map(|node| node.silent.clone())
    }

    /// Who serves some shards, by shard and node.
    pub fn serving(&self, of: impl Fn(ShardId) -> bool) -> Vec<(Leader, Arc<ServeShard>)> {
        let state = self.state.lock();
        let mut leaders = Vec::new();
        for node in state.nodes.values() {
            for (shard, (request, is_serving)) in node.shards.iter().flatten().filter(|(shard, _)| of(**shard)) {
                let goes = matches!(node.under_way.get(shard), Some((Kind::Release, _)));
                if *is_serving && !goes {
                    let Member { node, address } = node.member.clone();
                    leaders.push((Leader { shard: *shard, node, address }, request.clone()));
                }
            }
        }
        leaders.sort_by_key(|(leader, _)| (leader.shard, leader.node));
        leaders
    }
}

impl Known {
    fn new(member: Member, now: Instant) -> Self {
        Self {
            member,
            generation: 0,
            shards: None,
            memory: Memory::default(),
            silent: None,
            look_at: now,
            look: None,
            under_way: BTreeMap::new(),
            failures: BTreeMap::new(),
        }
    }

    fn fail(&mut self, shard: ShardId, (kind, error): (Kind, Error), now: Instant) {
        // It may have been done although no answer came.
        self.look_at = now;
        let count = self.failures.get(&shard).map_or(0, |failure| failure.count) + 1;
        let rest = (REST_FIRST * 2u32.saturating_pow(count - 1).min(64)).min(REST_LAST);
        self.failures.insert(shard, Failure { kind, error, count, until: now + rest });
    }

    fn view(&self, now: Instant) -> Option<Node> {
        let mut shards: BTreeMap<ShardId, Held> = BTreeMap::new();
        for (shard, (request, is_serving)) in self.shards.as_ref()? {
            shards.insert(*shard, if *is_serving { Held::Serving(request.clone()) } else { Held::Part });
        }
        for (shard, (kind, _)) in &self.under_way {
            let held = match (kind, shards.get(shard)) {
                (Kind::Release, _) => Held::Going,
                (Kind::Serve, Some(Held::Serving(_))) => Held::Changing,
                (Kind::Serve, _) => Held::Coming,
            };
            shards.insert(*shard, held);
        }
        let resting = |kind: Kind| {
            let rests = move |failure: &Failure| failure.kind == kind && failure.until > now;
            self.failures.iter().filter(move |(_, failure)| rests(failure)).map(|(shard, _)| *shard).collect()
        };
        Some(Node {
            id: self.member.node,
            shards,
            failures: self.failures.iter().map(|(shard, failure)| (*shard, failure.count)).collect(),
            resting: resting(Kind::Serve),
            stuck: resting(Kind::Release),
            free_bytes: self.memory.free_bytes(),
        })
    }
}
