//! What lets a sequencer say where its log ends without an append: a promise of datacoord's that nobody else sequences meanwhile
//! (`docs/protocol.md` §5).
//!
//! It is counted from before it was asked for, on the monotonic clock, which goes on while the process stands still. Without one, a barrier
//! costs an append and nothing else changes.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Duration;

use parking_lot::Mutex;
use role::Call;
use tokio::time::Instant;
use types::id::ChannelName;
use wal::reader::Acknowledged;
use wal::writer::Phase;

use super::DataNodeRole;

/// Before leases are asked for where there are none.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// Leases aren't lengthened more often than this, however short they are.
const ASK_SOONEST: Duration = Duration::from_millis(50);
/// A lease is lengthened this many times while it lasts.
const EXTENSIONS: u32 = 3;

/// The leases of a node.
#[derive(Default)]
pub(super) struct Leases {
    held: Mutex<BTreeMap<ChannelName, Held>>,
}

struct Held {
    /// Of which assignment.
    process: u64,
    until: Instant,
}

/// The end of a channel's log as its sequencer knows it, if nobody else can have gone on since.
pub(super) fn end(node: &DataNodeRole, channel: &ChannelName) -> Option<Acknowledged> {
    let assigned = node.sequencers.lock().get(channel).cloned()?;
    // First the end, then the lease: what was true while the lease lasted stays an answer to a question that came before.
    let acknowledged = assigned.sequencer.acknowledged().ok()?;
    let now = node.parts.world.clock.now();
    let lasts = node.leases.held.lock().get(channel).is_some_and(|held| held.process == assigned.process && now < held.until);
    (lasts || node.parts.planted.barrier_without_lease).then_some(acknowledged)
}

/// Keeps the leases of all channels that this node serves, for as long as the node is there.
pub(super) async fn keep(node: Weak<DataNodeRole>) {
    loop {
        let Some(alive) = node.upgrade() else { return };
        let every = extend(&alive).await;
        let (clock, tasks) = (alive.parts.world.clock.clone(), alive.parts.world.tasks.clone());
        drop(alive);
        tokio::select! {
            biased;
            () = tasks.stopping() => return,
            () = clock.sleep(every) => {}
        }
    }
}

/// When to ask again.
async fn extend(node: &DataNodeRole) -> Duration {
    let serving: Vec<(ChannelName, u64)> = {
        let sequencers = node.sequencers.lock();
        let serving = sequencers.iter().filter(|(_, assigned)| assigned.sequencer.status().borrow().phase == Phase::Serving);
        serving.map(|(channel, assigned)| (channel.clone(), assigned.process)).collect()
    };
    if serving.is_empty() {
        return ASK_EVERY;
    }
    let asked = node.parts.world.clock.now();
    let call = Call::within(&node.parts.world, ASK_EVERY * 2, "extend leases");
    let leases = match node.parts.coordinator.extend_leases(&call, &serving).await {
        Ok(leases) => leases,
        Err(error) => {
            tracing::debug!(%error, "leases weren't extended: strong reads cost an append when they are over");
            return ASK_EVERY;
        }
    };
    let shortest = leases.iter().filter(|lease| !lease.is_zero()).min().copied();
    let mut held = node.leases.held.lock();
    for ((channel, process), lease) in serving.into_iter().zip(leases) {
        held.insert(channel, Held { process, until: asked + lease });
    }
    shortest.map_or(ASK_EVERY, |lease| (lease / EXTENSIONS).max(ASK_SOONEST))
}
