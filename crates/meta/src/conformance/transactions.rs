//! Conditions of all kinds, atomicity, revisions, limits.

use std::sync::Arc;

use super::{Subject, entry, find, key, must, put};
use crate::store::{Condition, LeaseId, Meta, MetaError, Revision, TRANSACTION_BYTES_MAX, TRANSACTION_OPERATIONS_MAX, Transaction};

pub(super) async fn check(subject: &dyn Subject) {
    let meta = subject.connect();
    conditions(meta.as_ref()).await;
    all_or_nothing(meta.as_ref()).await;
    revisions(meta.as_ref()).await;
    limits(meta.as_ref()).await;
    one_of_many_creates(subject).await;
    no_increment_is_lost(subject).await;
}

async fn conditions(meta: &dyn Meta) {
    let (there, absent) = (key("conditions", "there"), key("conditions", "absent"));
    let created = put(meta, &there, "one").await;
    let modified = put(meta, &there, "two").await;
    let (never, other) = (Revision(0), Revision(modified.0 + 1_000_000));
    let cases = [
        (Condition::Absent(absent.clone()), true),
        (Condition::Absent(there.clone()), false),
        (Condition::Modified(there.clone(), modified), true),
        (Condition::Modified(there.clone(), created), false),
        (Condition::Modified(there.clone(), other), false),
        (Condition::Modified(absent.clone(), modified), false),
        (Condition::Modified(absent.clone(), never), false),
        (Condition::Created(there.clone(), created), true),
        (Condition::Created(there.clone(), modified), false),
        (Condition::Created(absent.clone(), created), false),
        (Condition::Created(absent.clone(), never), false),
        (Condition::Equals(there.clone(), "two".into()), true),
        (Condition::Equals(there.clone(), "one".into()), false),
        (Condition::Equals(there.clone(), "".into()), false),
        (Condition::Equals(absent.clone(), "".into()), false),
    ];
    for (condition, holds) in &cases {
        let result = meta.commit(Transaction::new().when(condition.clone()).put(key("conditions", "witness"), "w")).await;
        match (holds, &result) {
            (true, Ok(_)) | (false, Err(MetaError::Refused)) => {}
            _ => panic!("{condition:?} should be {holds}, and gave {result:?}"),
        }
    }
    for (one, holds) in &cases {
        let both = Transaction::new().when(Condition::Absent(absent.clone())).when(one.clone());
        let result = meta.commit(both).await;
        assert_eq!(result.is_ok(), *holds, "all conditions must hold, also of a transaction that changes nothing: {one:?}");
    }
}

async fn all_or_nothing(meta: &dyn Meta) {
    let (a, b, c) = (key("atomic", "a"), key("atomic", "b"), key("atomic", "c"));
    put(meta, &a, "old").await;
    let change = || Transaction::new().put(a.clone(), "new").put(b.clone(), "new").delete(c.clone());
    put(meta, &c, "old").await;
    let refused = meta.commit(change().when(Condition::Absent(c.clone()))).await;
    assert_eq!(refused, Err(MetaError::Refused));
    assert_eq!((&*entry(meta, &a).await.value, find(meta, &b).await, &*entry(meta, &c).await.value), (&b"old"[..], None, &b"old"[..]));
    let dead = LeaseId(i64::MAX / 3);
    assert_eq!(meta.commit(change().put_leased(key("atomic", "d"), "new", dead)).await, Err(MetaError::LeaseLost));
    assert_eq!((&*entry(meta, &a).await.value, find(meta, &b).await), (&b"old"[..], None), "a lost lease changes nothing");
    let revision = must(meta, change()).await;
    assert_eq!((entry(meta, &a).await.modified, entry(meta, &b).await.modified, find(meta, &c).await), (revision, revision, None));
}

async fn revisions(meta: &dyn Meta) {
    let (a, absent) = (key("revisions", "a"), key("revisions", "absent"));
    let first = put(meta, &a, "one").await;
    let second = put(meta, &a, "two").await;
    let found = entry(meta, &a).await;
    assert!(second > first, "{second:?} after {first:?}");
    assert_eq!((found.created, found.modified, found.lease, &*found.value), (first, second, None, &b"two"[..]));
    let same = put(meta, &a, "two").await;
    assert!(same > second, "the same value again is a change");
    let nothing = must(meta, Transaction::new().delete(absent)).await;
    assert!(nothing >= same, "the revision as of which it is so; others may have changed other keys since");
    let deleted = must(meta, Transaction::new().delete(a.clone())).await;
    assert!(deleted > same);
    assert_eq!(find(meta, &a).await, None);
    let again = put(meta, &a, "three").await;
    assert_eq!(entry(meta, &a).await.created, again, "made anew, it is another key to a fence");
    assert_eq!(meta.commit(Transaction::new().when(Condition::Created(a.clone(), first)).delete(a)).await, Err(MetaError::Refused));
}

async fn limits(meta: &dyn Meta) {
    let puts = |count| (0..count).fold(Transaction::new(), |transaction, i| transaction.put(key("limits", i), "v"));
    let condition = || Condition::Absent(key("limits", "absent"));
    must(meta, puts(TRANSACTION_OPERATIONS_MAX)).await;
    must(meta, puts(TRANSACTION_OPERATIONS_MAX - 1).when(condition())).await;
    let many = meta.commit(puts(TRANSACTION_OPERATIONS_MAX).when(condition())).await;
    assert!(matches!(many, Err(MetaError::TooLarge { operations, .. }) if operations == TRANSACTION_OPERATIONS_MAX + 1), "{many:?}");
    let long = |bytes: usize| Transaction::new().put(key("limits", "long"), vec![b'x'; bytes]);
    let too_long = meta.commit(long(TRANSACTION_BYTES_MAX)).await;
    assert!(matches!(too_long, Err(MetaError::TooLarge { bytes, .. }) if bytes > TRANSACTION_BYTES_MAX), "{too_long:?}");
    assert_eq!(find(meta, &key("limits", "long")).await, None);
    must(meta, long(TRANSACTION_BYTES_MAX - 100)).await;
    assert_eq!(entry(meta, &key("limits", "long")).await.value.len(), TRANSACTION_BYTES_MAX - 100);
    must(meta, Transaction::new().delete(key("limits", "long"))).await;
}

async fn one_of_many_creates(subject: &dyn Subject) {
    let name = key("race", "name");
    let tasks: Vec<_> = (0..16)
        .map(|i| {
            let (meta, name) = (subject.connect(), name.clone());
            let create = Transaction::new().when(Condition::Absent(name.clone())).put(name, format!("{i}"));
            subject.world().tasks.spawn(async move { meta.commit(create).await })
        })
        .collect();
    let mut won = Vec::new();
    for (i, task) in tasks.into_iter().enumerate() {
        match task.join().await.expect("nobody kills it") {
            Ok(revision) => won.push((i, revision)),
            Err(MetaError::Refused) => {}
            Err(error) => panic!("create {i}: {error}"),
        }
    }
    let [(winner, revision)] = won[..] else { panic!("{} created it: {won:?}", won.len()) };
    let found = entry(subject.connect().as_ref(), &name).await;
    assert_eq!((found.value, found.created), (format!("{winner}").into(), revision));
}

/// Increments by compare-and-swap, from several connections.
async fn no_increment_is_lost(subject: &dyn Subject) {
    const TASKS: usize = 6;
    const EACH: usize = 20;
    let counter = key("increments", "counter");
    put(subject.connect().as_ref(), &counter, "0").await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (meta, counter): (Arc<dyn Meta>, _) = (subject.connect(), counter.clone());
            subject.world().tasks.spawn(async move {
                let mut revisions = Vec::new();
                while revisions.len() < EACH {
                    let found = entry(meta.as_ref(), &counter).await;
                    let value: u64 = std::str::from_utf8(&found.value).ok().and_then(|text| text.parse().ok()).expect("a number");
                    let increment = Transaction::new()
                        .when(Condition::Modified(counter.clone(), found.modified))
                        .put(counter.clone(), format!("{}", value + 1));
                    match meta.commit(increment).await {
                        Ok(revision) => revisions.push(revision),
                        Err(MetaError::Refused) => {}
                        Err(error) => panic!("increment: {error}"),
                    }
                }
                revisions
            })
        })
        .collect();
    let mut revisions = Vec::new();
    for task in tasks {
        let of_task = task.join().await.expect("nobody kills it");
        assert!(of_task.is_sorted_by(|a, b| a < b), "revisions rise for each caller");
        revisions.extend(of_task);
    }
    revisions.sort();
    revisions.dedup();
    assert_eq!(revisions.len(), TASKS * EACH, "each change has a revision of its own");
    let found = entry(subject.connect().as_ref(), &counter).await;
    assert_eq!((found.value, found.modified), (format!("{}", TASKS * EACH).into(), revisions[revisions.len() - 1]));
}
