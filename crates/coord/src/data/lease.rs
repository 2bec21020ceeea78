//! Leases of sequencers: for how long one may answer strong reads without an append (`docs/protocol.md` §5).
//!
//! A lease is a promise that nobody else is appointed meanwhile. So it is given only while this term lasts for certain, never for an assignment that
//! is to end, and who moves a channel waits until what was given is over: by this term, or by one before it, of which only the longest possible
//! end is known.
//!
//! Times are of this process's monotonic clock. A sequencer counts from before it asked, this side from after it was asked, and a [`MARGIN`] is left
//! for clocks that don't run at the same speed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use meta::catalog::model::Assignment;
use parking_lot::Mutex;
use tokio::time::Instant;
use types::id::ChannelName;

use crate::context::Context;

/// A lease is waited for longer than it lasts, by this part of it.
const MARGIN: u32 = 10;

/// The leases of a term.
pub(super) struct Leases {
    /// Predecessors gave none after this.
    began: Instant,
    given: Mutex<Given>,
}

#[derive(Default)]
struct Given {
    /// When what was given last is over.
    until: BTreeMap<ChannelName, Instant>,
    /// Assignments that were to end once: they get no lease any more, also where the move's outcome isn't known.
    ending: BTreeSet<(ChannelName, u64)>,
}

impl Leases {
    /// None is given yet in a term that began then.
    pub fn new(began: Instant) -> Self {
        Self { began, given: Mutex::default() }
    }

    /// How long each of these may go on from when it asked; zero for one that isn't, or won't be, its channel's sequencer.
    pub fn extend(&self, context: &Context, sequencers: &[(ChannelName, u64)]) -> Vec<Duration> {
        let now = context.world.clock.now();
        let mut given = self.given.lock();
        // After the question came, and so after its sender began to count: what is given ends no later than the office and a lease.
        let lasts = context.tenure.lasts();
        let assigned = context.view.read(|loaded| {
            let lease = |(channel, process): &(ChannelName, u64)| {
                let found = loaded.assignments.get(channel).filter(|found| found.value.process == *process);
                found.map_or(Duration::ZERO, |found| found.value.lease)
            };
            sequencers.iter().map(lease).collect::<Vec<_>>()
        });
        let mut extend = |(sequencer, lease): (&(ChannelName, u64), Duration)| {
            if !lasts || given.ending.contains(sequencer) {
                return Duration::ZERO;
            }
            given.until.insert(sequencer.0.clone(), now + with_margin(lease));
            lease
        };
        sequencers.iter().zip(assigned).map(&mut extend).collect()
    }

    /// Gives these assignments no lease any more, and returns when the last that any of them may have is over.
    pub async fn outlive(&self, context: &Context, assignments: impl Iterator<Item = &Assignment>) {
        let end = {
            let mut given = self.given.lock();
            let mut end = self.began;
            for Assignment { channel, process, lease, .. } in assignments {
                given.ending.insert((channel.clone(), *process));
                let of_predecessors = self.began + with_margin(*lease);
                // It stays written down: this wait may be given up, and begin again.
                end = end.max(given.until.get(channel).copied().unwrap_or(self.began)).max(of_predecessors);
            }
            context.view.read(|loaded| {
                let is_current =
                    |(channel, process): &(ChannelName, u64)| loaded.assignments.get(channel).is_some_and(|a| a.value.process == *process);
                given.ending.retain(is_current);
            });
            end
        };
        context.world.clock.sleep_until(end).await;
    }

    /// Gives these assignments leases again: they don't end after all, and nobody tried to end them.
    pub fn go_on<'a>(&self, assignments: impl Iterator<Item = &'a Assignment>) {
        let mut given = self.given.lock();
        for Assignment { channel, process, .. } in assignments {
            given.ending.remove(&(channel.clone(), *process));
        }
    }
}

fn with_margin(lease: Duration) -> Duration {
    lease + lease / MARGIN
}
