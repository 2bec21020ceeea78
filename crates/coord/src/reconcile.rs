//! The loops that bring what is to what is wanted: after each change of the catalog or the members, and now and then in case something failed.
//!
//! Each round plans anew from what is there, so a round that fails is repeated by the next one and nothing is remembered.

use std::sync::Arc;
use std::time::Duration;

use types::Result;

use crate::seat::Coordinator;

/// Between two rounds without a change: what failed is tried again, garbage whose grace is over goes.
const IDLE_ROUND: Duration = Duration::from_secs(15);
/// After a round that failed: doubled from the first to the last while rounds fail.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_LAST: Duration = Duration::from_secs(8);
/// How long one round's calls may take.
pub(crate) const ROUND_MAX: Duration = Duration::from_secs(60);

/// Starts a loop of a coordinator, until its term or the process ends.
pub(crate) fn rounds<C, F>(coordinator: &Arc<C>, name: &'static str, round: impl Fn(Arc<C>) -> F + Send + Sync + 'static)
where
    C: Coordinator,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (own, ended) = (coordinator.clone(), coordinator.context().ended.clone());
    let rounds = async move { ended.run_until_cancelled(repeat(own, name, round)).await };
    coordinator.context().world.tasks.spawn(rounds).detach();
}

async fn repeat<C, F>(coordinator: Arc<C>, name: &'static str, round: impl Fn(Arc<C>) -> F)
where
    C: Coordinator,
    F: Future<Output = Result<()>>,
{
    let context = coordinator.context();
    let (clock, tasks) = (&context.world.clock, &context.world.tasks);
    let mut changes = context.view.changes();
    let mut members = context.member_changes();
    let mut retry = RETRY_FIRST;
    while !tasks.is_stopping() {
        // Changes that come during the round make another one.
        changes.mark_unchanged();
        members.mark_unchanged();
        let wait = match round(coordinator.clone()).await {
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
