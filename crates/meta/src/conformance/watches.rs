//! Watches: every later change once, in order, whole revisions, without gaps; or told so.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{PATIENCE, Subject, hear, hear_changes, key, must, put};
use crate::store::{Change, Meta, MetaError, Revision, Transaction, Watch};

pub(super) async fn check(subject: &dyn Subject) {
    each_change_once_in_order(subject).await;
    only_its_prefix(subject).await;
    goes_on_where_it_was(subject).await;
    a_dropped_call_loses_nothing(subject).await;
    waits_for_what_is_to_come(subject).await;
    told_of_compaction(subject).await;
}

async fn open(meta: &Arc<dyn Meta>, prefix: &str, from: Revision) -> Box<dyn Watch> {
    meta.watch(prefix.as_bytes(), from).await.expect("watch")
}

async fn now(meta: &Arc<dyn Meta>) -> Revision {
    meta.list(b"none/").await.expect("list").revision
}

/// What a change says, for comparison.
fn describe(change: &Change) -> (Bytes, Option<Bytes>, Revision) {
    match change {
        Change::Put(entry) => (entry.key.clone(), Some(entry.value.clone()), entry.modified),
        Change::Delete { key, revision } => (key.clone(), None, *revision),
    }
}

async fn each_change_once_in_order(subject: &dyn Subject) {
    let (world, meta) = (subject.world(), subject.connect());
    let mut watch = open(&meta, "order/", now(&meta).await.next()).await;
    let mut expected = Vec::new();
    let (a, b, c) = (key("order", "a"), key("order", "b"), key("order", "c"));
    for (i, value) in ["one", "two", "three"].into_iter().enumerate() {
        let revision = must(meta.as_ref(), Transaction::new().put(a.clone(), value).put(b.clone(), value).delete(c.clone())).await;
        expected.push((a.clone(), Some(value.into()), revision));
        expected.push((b.clone(), Some(value.into()), revision));
        if i > 0 {
            expected.push((c.clone(), None, revision));
        }
        let revision = put(meta.as_ref(), &c, value).await;
        expected.push((c.clone(), Some(value.into()), revision));
    }
    let revision = must(meta.as_ref(), Transaction::new().delete(a.clone()).delete(key("order", "never"))).await;
    expected.push((a, None, revision));
    let mut heard: Vec<_> = hear_changes(world, &mut watch, expected.len()).await.iter().map(describe).collect();
    assert!(heard.is_sorted_by_key(|(_, _, revision)| *revision), "in order of revision: {heard:?}");
    heard.sort_by(|a, b| (a.2, &a.0).cmp(&(b.2, &b.0)));
    expected.sort_by(|a, b| (a.2, &a.0).cmp(&(b.2, &b.0)));
    assert_eq!(heard, expected);
    // One that comes later hears the same, and an answer holds whole revisions.
    let mut late = open(&meta, "order/", expected[0].2).await;
    let mut heard = Vec::new();
    while heard.len() < expected.len() {
        let answer = hear(world, &mut late).await;
        let (first, last) = (answer[0].revision(), answer[answer.len() - 1].revision());
        let whole = expected.iter().filter(|(_, _, revision)| (first..=last).contains(revision)).count();
        assert_eq!(answer.len(), whole, "an answer holds whole revisions");
        heard.extend(answer);
    }
    let put = heard.iter().find_map(|change| match change {
        Change::Put(entry) if entry.key == c => Some(entry),
        _ => None,
    });
    assert_eq!(put.map(|entry| entry.created), Some(expected[2].2), "an entry as it was then");
}

async fn only_its_prefix(subject: &dyn Subject) {
    let (world, meta) = (subject.world(), subject.connect());
    let from = now(&meta).await.next();
    let mut watch = open(&meta, "scope/in", from).await;
    for name in ["scope/out", "scope/in/1", "scope/im", "scope/io", "scope/in"] {
        put(meta.as_ref(), &name.into(), "v").await;
    }
    let heard: Vec<_> = hear_changes(world, &mut watch, 2).await.iter().map(|change| change.key().clone()).collect();
    assert_eq!(heard, ["scope/in/1", "scope/in"]);
}

async fn goes_on_where_it_was(subject: &dyn Subject) {
    let (world, meta) = (subject.world(), subject.connect());
    let mut next = now(&meta).await.next();
    for i in 0..5 {
        let revision = put(meta.as_ref(), &key("resume", i), "v").await;
        let mut watch = open(&meta, "resume/", next).await;
        let heard = hear_changes(world, &mut watch, 1).await;
        assert_eq!((heard[0].revision(), heard[0].key()), (revision, &key("resume", i)), "neither a gap nor a repetition");
        next = revision.next();
    }
}

async fn a_dropped_call_loses_nothing(subject: &dyn Subject) {
    const CHANGES: usize = 200;
    let (world, meta) = (subject.world(), subject.connect());
    let mut watch = open(&meta, "dropped/", now(&meta).await.next()).await;
    let writer = {
        let meta = subject.connect();
        world.tasks.spawn(async move {
            for i in 0..CHANGES {
                put(meta.as_ref(), &key("dropped", i), "v").await;
            }
        })
    };
    let mut heard = Vec::new();
    let deadline = world.clock.now() + PATIENCE;
    while heard.len() < CHANGES {
        assert!(world.clock.now() < deadline, "only {} of {CHANGES} changes were heard", heard.len());
        match world.within(Duration::from_micros(200), watch.next()).await {
            Some(answer) => heard.extend(answer.expect("a watch ended")),
            None => tokio::task::yield_now().await,
        }
    }
    let keys: Vec<_> = heard.iter().map(|change| change.key().clone()).collect();
    assert_eq!(keys, (0..CHANGES).map(|i| key("dropped", i)).collect::<Vec<_>>());
    writer.join().await.expect("nobody kills it");
}

async fn waits_for_what_is_to_come(subject: &dyn Subject) {
    let (world, meta) = (subject.world(), subject.connect());
    let first = put(meta.as_ref(), &key("future", "a"), "v").await;
    let from = Revision(first.0 + 3);
    let mut watch = open(&meta, "future/", from).await;
    let mut expected = Vec::new();
    for name in ["b", "c", "d", "e"] {
        let revision = put(meta.as_ref(), &key("future", name), "v").await;
        if revision >= from {
            expected.push((key("future", name), Some("v".into()), revision));
        }
    }
    let heard: Vec<_> = hear_changes(world, &mut watch, expected.len()).await.iter().map(describe).collect();
    assert!(!heard.is_empty() && heard == expected, "what is below isn't heard: {heard:?}");
}

async fn told_of_compaction(subject: &dyn Subject) {
    let (world, meta) = (subject.world(), subject.connect());
    let old = put(meta.as_ref(), &key("compaction", "a"), "v").await;
    put(meta.as_ref(), &key("compaction", "b"), "v").await;
    let last = put(meta.as_ref(), &key("compaction", "c"), "v").await;
    subject.compact(last).await;
    let error = match meta.watch(b"compaction/", old).await {
        Ok(mut watch) => world.within(PATIENCE, watch.next()).await.expect("it is told in time").expect_err("changes are gone"),
        Err(error) => error,
    };
    assert_eq!(error, MetaError::Compacted);
    let listing = meta.list(b"compaction/").await.expect("list");
    assert_eq!(listing.entries.len(), 3, "a listing knows what a watch doesn't");
    let mut watch = open(&meta, "compaction/", listing.revision.next()).await;
    let revision = put(meta.as_ref(), &key("compaction", "d"), "v").await;
    assert_eq!(hear(world, &mut watch).await[0].revision(), revision, "from there it goes on");
}
