//! Leases of a store that lives in one process: deadlines, and which keys go with which lease.
//!
//! Shared by `memory` and `redb`. Time is monotonic and given by the caller.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::store::{LeaseId, MetaError};

/// The leases that haven't ended.
#[derive(Default)]
pub(crate) struct Leases {
    last: i64,
    live: BTreeMap<LeaseId, Lease>,
    /// Ended, but not yet taken: their keys are still there.
    ended: Vec<LeaseId>,
}

struct Lease {
    ttl: Duration,
    deadline: Instant,
}

impl Leases {
    /// A new lease from `now`.
    pub(crate) fn grant(&mut self, ttl: Duration, now: Instant) -> LeaseId {
        self.last += 1;
        let lease = LeaseId(self.last);
        self.live.insert(lease, Lease { ttl, deadline: now + ttl });
        lease
    }

    /// Extends a lease to its whole time from `now`.
    pub(crate) fn keep_alive(&mut self, lease: LeaseId, now: Instant) -> Result<(), MetaError> {
        let lease = self.live.get_mut(&lease).filter(|lease| lease.deadline > now).ok_or(MetaError::LeaseLost)?;
        lease.deadline = now + lease.ttl;
        Ok(())
    }

    /// Begins the whole time of each anew, as etcd does when it comes back.
    pub(crate) fn renew(&mut self, now: Instant) {
        self.live.values_mut().for_each(|lease| lease.deadline = now + lease.ttl);
    }

    /// Whether keys may be put with it.
    pub(crate) fn is_live(&self, lease: LeaseId) -> bool {
        self.live.contains_key(&lease)
    }

    /// Ends a lease; `false` if it had ended.
    pub(crate) fn end(&mut self, lease: LeaseId) -> bool {
        let ended = self.live.remove(&lease).is_some();
        if ended {
            self.ended.push(lease);
        }
        ended
    }

    /// Ends the leases whose time is over, and takes all that have ended: the caller removes their keys.
    pub(crate) fn take_ended(&mut self, now: Instant) -> Vec<LeaseId> {
        let expired: Vec<_> = self.live.iter().filter(|(_, lease)| lease.deadline <= now).map(|(id, _)| *id).collect();
        for lease in expired {
            self.end(lease);
        }
        std::mem::take(&mut self.ended)
    }

    /// When the next one ends if nobody keeps it alive.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.live.values().map(|lease| lease.deadline).min()
    }
}

/// Keys by the lease that they go with.
#[derive(Default)]
pub(crate) struct LeasedKeys {
    keys: BTreeMap<LeaseId, BTreeSet<Bytes>>,
}

impl LeasedKeys {
    /// A key's lease was `old` and is `new`.
    pub(crate) fn moved(&mut self, key: &Bytes, old: Option<LeaseId>, new: Option<LeaseId>) {
        if let Some(old) = old
            && let Some(keys) = self.keys.get_mut(&old)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.keys.remove(&old);
            }
        }
        if let Some(new) = new {
            self.keys.entry(new).or_default().insert(key.clone());
        }
    }

    /// The keys of a lease, in order.
    pub(crate) fn of(&self, lease: LeaseId) -> Vec<Bytes> {
        self.keys.get(&lease).map(|keys| keys.iter().cloned().collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_at_its_deadline_and_not_before() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut leases = Leases::default();
        let (short, long) = (leases.grant(Duration::from_secs(2), start), leases.grant(Duration::from_secs(5), start));
        assert_eq!(leases.next_deadline(), Some(after(2)));
        assert_eq!(leases.take_ended(after(1)), []);
        leases.keep_alive(short, after(1)).expect("it has a second left");
        assert_eq!(leases.take_ended(after(2)), []);
        assert_eq!(leases.keep_alive(short, after(3)), Err(MetaError::LeaseLost), "its time is over, swept or not");
        assert_eq!(leases.take_ended(after(3)), [short]);
        assert!(leases.is_live(long) && leases.end(long) && !leases.end(long));
        assert_eq!((leases.take_ended(after(3)), leases.next_deadline()), (vec![long], None));
        let other = leases.grant(Duration::from_secs(2), after(3));
        leases.renew(after(9));
        assert_eq!(
            (leases.take_ended(after(10)), leases.take_ended(after(11))),
            (vec![], vec![other]),
            "a renewed one lives its whole time"
        );
    }

    #[test]
    fn a_key_goes_with_its_last_lease() {
        let (key, one, two) = (Bytes::from_static(b"k"), LeaseId(1), LeaseId(2));
        let mut keys = LeasedKeys::default();
        keys.moved(&key, None, Some(one));
        keys.moved(&key, Some(one), Some(two));
        assert_eq!((keys.of(one), keys.of(two)), (vec![], vec![key.clone()]));
        keys.moved(&key, Some(two), None);
        assert_eq!(keys.of(two), Vec::<Bytes>::new());
    }
}
