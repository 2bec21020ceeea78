//! Sequences drawn by many at once.

use std::collections::BTreeSet;

use super::{Subject, key, must};
use crate::sequence::{self, IdAllocator, TIMESTAMP_WINDOW, TimestampAllocator};
use crate::store::{Condition, MetaError, Transaction};

pub(super) async fn check(subject: &dyn Subject) {
    ids_are_given_once(subject).await;
    numbers_rise(subject).await;
    timestamps_end_with_their_leader(subject).await;
}

async fn ids_are_given_once(subject: &dyn Subject) {
    const TASKS: usize = 4;
    const EACH: usize = 50;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let ids = IdAllocator::new(subject.connect(), 10);
            subject.world().tasks.spawn(async move {
                let mut given = Vec::new();
                for i in 0..EACH {
                    let count = u32::try_from((task + i) % 4 * 5).expect("small") + 1;
                    let range = ids.allocate(count).await.expect("allocate");
                    assert_eq!(range.end - range.start, i64::from(count));
                    given.extend(range);
                }
                given
            })
        })
        .collect();
    let mut all = BTreeSet::new();
    let mut count = 0;
    for task in tasks {
        let given = task.join().await.expect("nobody kills it");
        assert!(given.is_sorted_by(|a, b| a < b) && given[0] >= sequence::FIRST_ID, "rising for each allocator");
        count += given.len();
        all.extend(given);
    }
    assert_eq!(all.len(), count, "each id once");
}

async fn numbers_rise(subject: &dyn Subject) {
    let meta = subject.connect();
    let node = sequence::next_node(meta.as_ref()).await.expect("draw");
    let writer = sequence::next_writer(meta.as_ref()).await.expect("draw");
    let process = sequence::next_process_epoch(meta.as_ref()).await.expect("draw");
    assert!(node.0 > 0 && writer.0 > 0 && process > 0);
    let other = subject.connect();
    assert_eq!(sequence::next_node(other.as_ref()).await.expect("draw").0, node.0 + 1);
    assert_eq!(sequence::next_writer(other.as_ref()).await.expect("draw").0, writer.0 + 1);
    assert_eq!(sequence::next_process_epoch(other.as_ref()).await.expect("draw"), process + 1);
}

async fn timestamps_end_with_their_leader(subject: &dyn Subject) {
    let meta = subject.connect();
    let office = key("timestamps", "office");
    let clock = &subject.world().clock;
    let mut last = None;
    let mut allocators = Vec::new();
    for _ in 0..3 {
        must(meta.as_ref(), Transaction::new().delete(office.clone())).await;
        let term = must(meta.as_ref(), Transaction::new().put(office.clone(), "leader")).await;
        let fence = Condition::Created(office.clone(), term);
        let allocator = TimestampAllocator::new(subject.connect(), clock.clone(), fence, TIMESTAMP_WINDOW);
        for _ in 0..100 {
            let given = allocator.next().await.expect("timestamp");
            assert!(last < Some(given), "{given} after {last:?}");
            last = Some(given);
        }
        allocators.push(allocator);
    }
    // The first leader is deposed: what it may still give lies below what its successors gave, and soon it gives nothing.
    let mut refused = false;
    for _ in 0..10_000 {
        match allocators[0].allocate(1 << 16).await {
            Ok(given) => assert!(Some(given) < last, "a deposed leader gave {given}, its successor {last:?}"),
            Err(MetaError::Refused) => {
                refused = true;
                break;
            }
            Err(error) => panic!("timestamp: {error}"),
        }
    }
    assert!(refused, "a deposed leader's window ends");
}
