//! The loop that brings what is to what is wanted: after each change of the catalog, and now and then in case something failed.
//!
//! Each round plans anew from what is there, so a round that fails is repeated by the next one and nothing is remembered.

use std::sync::Arc;
use std::time::Duration;

use role::Call;

use crate::context::Context;
use crate::data::Data;
use crate::index::Index;
use crate::query::Query;
use crate::root::Root;

/// Between two rounds without a change: what failed is tried again, garbage whose grace is over goes.
const IDLE_ROUND: Duration = Duration::from_secs(15);
/// After a round that failed: doubled from the first to the last while rounds fail.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_LAST: Duration = Duration::from_secs(8);
/// How long one round's calls may take.
const ROUND_MAX: Duration = Duration::from_secs(60);

/// The coordinators of a process.
#[derive(Clone)]
pub struct Coordinators {
    /// What they share.
    pub context: Context,
    /// rootcoord.
    pub root: Arc<Root>,
    /// datacoord.
    pub data: Arc<Data>,
    /// querycoord.
    pub query: Arc<Query>,
    /// indexcoord.
    pub index: Arc<Index>,
}

impl Coordinators {
    /// All four over one context.
    pub fn new(context: Context) -> Self {
        let data = Arc::new(Data::new(context.clone()));
        Self {
            root: Arc::new(Root::new(context.clone(), data.clone())),
            query: Arc::new(Query::new(context.clone())),
            index: Arc::new(Index::new(context.clone(), data.clone())),
            data,
            context,
        }
    }

    /// Starts the loops; they end with the term or with the process's tasks.
    pub fn run(&self) {
        self.start(rounds(self.clone(), "serving", Self::serving_round));
        self.start(rounds(self.clone(), "building", Self::building_round));
        self.start(rounds(self.clone(), "operations", Self::operations_round));
    }

    fn start(&self, rounds: impl Future<Output = ()> + Send + 'static) {
        let ended = self.context.ended.clone();
        self.context.world.tasks.spawn(async move { ended.run_until_cancelled(rounds).await }).detach();
    }

    /// Ends the term: whatever goes on stops where it is, as by a kill.
    pub fn end(&self) {
        self.context.ended.cancel();
    }

    async fn serving_round(self) -> types::Result<()> {
        let call = Call::within(&self.context.world, ROUND_MAX, "reconcile");
        // Neither waits for the other: what is served needs only its own channels.
        let assigned = self.data.assign_channels(&call).await;
        let served = self.query.reconcile(&call).await;
        assigned.and(served)
    }

    async fn building_round(self) -> types::Result<()> {
        self.index.build_missing().await.map(drop)
    }

    async fn operations_round(self) -> types::Result<()> {
        let call = Call::within(&self.context.world, ROUND_MAX, "resume");
        let resumed = self.root.resume(&call).await;
        let collected = self.data.collect_garbage().await;
        resumed.and(collected)
    }
}

async fn rounds<F>(coordinators: Coordinators, name: &'static str, round: impl Fn(Coordinators) -> F)
where
    F: Future<Output = types::Result<()>>,
{
    let clock = coordinators.context.world.clock.clone();
    let tasks = coordinators.context.world.tasks.clone();
    let mut changes = coordinators.context.view.changes();
    let mut members = coordinators.context.member_changes();
    let mut retry = RETRY_FIRST;
    while !tasks.is_stopping() {
        // Changes that come during the round make another one.
        changes.mark_unchanged();
        members.mark_unchanged();
        let wait = match round(coordinators.clone()).await {
            Ok(()) => {
                retry = RETRY_FIRST;
                IDLE_ROUND
            }
            Err(error) => {
                tracing::info!(round = name, %error, "something isn't as wanted yet");
                let wait = retry;
                retry = (retry * 2).min(RETRY_LAST);
                wait
            }
        };
        tokio::select! {
            biased;
            () = tasks.stopping() => return,
            changed = changes.changed() => if changed.is_err() { return },
            changed = members.changed() => if changed.is_err() { return },
            () = clock.sleep(wait) => {}
        }
    }
}
