//! Leases: keys go when nobody keeps them, and not before.

use std::time::Duration;

use super::{PATIENCE, Subject, find, hear_changes, key, lease, must, put};
use crate::store::{Change, MetaError, Transaction};

/// How much later than its time a lease may end: a store looks at leases now and then.
const SLACK: Duration = Duration::from_secs(5);

pub(super) async fn check(subject: &dyn Subject) {
    ends_at_its_time_with_all_its_keys(subject).await;
    lives_while_it_is_kept(subject).await;
    revoked_at_once(subject).await;
    a_key_may_leave_its_lease(subject).await;
}

async fn ends_at_its_time_with_all_its_keys(subject: &dyn Subject) {
    let (world, meta, ttl) = (subject.world(), subject.connect(), subject.lease());
    let asked = world.clock.now();
    let id = lease(meta.as_ref(), ttl).await;
    let (a, b, free) = (key("lease", "a"), key("lease", "b"), key("lease", "free"));
    let all = Transaction::new().put_leased(a.clone(), "v", id).put_leased(b.clone(), "v", id).put(free.clone(), "v");
    let revision = must(meta.as_ref(), all).await;
    assert_eq!(find(meta.as_ref(), &a).await.and_then(|entry| entry.lease), Some(id));
    let mut watch = meta.watch(b"lease/", revision.next()).await.expect("watch");
    let gone = hear_changes(world, &mut watch, 2).await;
    let after = world.clock.now() - asked;
    assert!(after >= ttl, "it ended after {after:?}, before its time of {ttl:?}");
    assert!(after < ttl + SLACK, "it ended only after {after:?}");
    assert!(gone.iter().all(|change| matches!(change, Change::Delete { .. })), "{gone:?}");
    assert_eq!((find(meta.as_ref(), &a).await, find(meta.as_ref(), &b).await), (None, None));
    assert!(find(meta.as_ref(), &free).await.is_some(), "what had no lease stays");
    assert_eq!(meta.keep_alive(id).await, Err(MetaError::LeaseLost));
    assert_eq!(meta.commit(Transaction::new().put_leased(a, "v", id)).await, Err(MetaError::LeaseLost));
    assert_eq!(meta.revoke(id).await, Err(MetaError::LeaseLost));
}

async fn lives_while_it_is_kept(subject: &dyn Subject) {
    let (world, meta, ttl) = (subject.world(), subject.connect(), subject.lease());
    let id = lease(meta.as_ref(), ttl).await;
    let kept = key("kept", "key");
    let revision = must(meta.as_ref(), Transaction::new().put_leased(kept.clone(), "v", id)).await;
    let other = subject.connect();
    let until = world.clock.now() + ttl * 2;
    let mut last = world.clock.now();
    while world.clock.now() < until {
        world.clock.sleep(ttl / 3).await;
        last = world.clock.now();
        // Whoever has the id may keep it: a process that reconnects is another connection.
        other.keep_alive(id).await.expect("keep_alive");
    }
    assert!(find(meta.as_ref(), &kept).await.is_some(), "it lived for twice its time");
    let mut watch = meta.watch(b"kept/", revision.next()).await.expect("watch");
    hear_changes(world, &mut watch, 1).await;
    assert!(world.clock.now() - last >= ttl, "its time runs from when it was last kept");
}

async fn revoked_at_once(subject: &dyn Subject) {
    let (world, meta) = (subject.world(), subject.connect());
    let id = lease(meta.as_ref(), PATIENCE).await;
    let revision = must(meta.as_ref(), Transaction::new().put_leased(key("revoked", "a"), "v", id)).await;
    let mut watch = meta.watch(b"revoked/", revision.next()).await.expect("watch");
    meta.revoke(id).await.expect("revoke");
    assert_eq!(find(meta.as_ref(), &key("revoked", "a")).await, None, "gone when revoke returns");
    hear_changes(world, &mut watch, 1).await;
    assert_eq!(meta.keep_alive(id).await, Err(MetaError::LeaseLost));
}

async fn a_key_may_leave_its_lease(subject: &dyn Subject) {
    let meta = subject.connect();
    let (one, two) = (lease(meta.as_ref(), PATIENCE).await, lease(meta.as_ref(), PATIENCE).await);
    let (freed, moved) = (key("left", "freed"), key("left", "moved"));
    must(meta.as_ref(), Transaction::new().put_leased(freed.clone(), "v", one).put_leased(moved.clone(), "v", one)).await;
    put(meta.as_ref(), &freed, "w").await;
    must(meta.as_ref(), Transaction::new().put_leased(moved.clone(), "w", two)).await;
    meta.revoke(one).await.expect("revoke");
    assert_eq!(find(meta.as_ref(), &freed).await.map(|entry| entry.lease), Some(None));
    assert_eq!(find(meta.as_ref(), &moved).await.map(|entry| entry.lease), Some(Some(two)));
    meta.revoke(two).await.expect("revoke");
    assert_eq!(find(meta.as_ref(), &moved).await, None);
}
