//! Faults, latency and measuring around a store in memory.

use std::sync::Arc;
use std::time::Duration;

use meta::fault::{Fault, Faults, FaultyMeta};
use meta::latency::SlowMeta;
use meta::memory::MemoryStore;
use meta::metered::{Call, MeteredMeta, Outcome};
use meta::store::{Condition, Meta, MetaError, Transaction};
use parking_lot::Mutex;

use crate::memory::simulated;

#[tokio::test(start_paused = true)]
async fn a_fault_is_before_or_after_the_change() {
    let world = simulated(1);
    let inner: Arc<dyn Meta> = Arc::new(MemoryStore::new(world.clock.clone()).connect());
    let faults = Faults::new(world.random.clone());
    let meta = FaultyMeta::new(inner.clone(), faults.clone());
    let put = |value: &'static str| Transaction::new().put("a", value);
    let there = async || inner.get(b"a").await.expect("no fault here").map(|entry| entry.value);
    meta.commit(put("one")).await.expect("no fault yet");
    faults.next(Some(Fault::Before));
    assert!(matches!(meta.commit(put("two")).await, Err(MetaError::Unavailable(_))));
    assert_eq!(there().await, Some("one".into()));
    faults.next(None);
    faults.next(Some(Fault::After));
    meta.commit(put("three")).await.expect("one passes");
    assert!(matches!(meta.commit(put("four")).await, Err(MetaError::Unavailable(_))));
    assert_eq!(there().await, Some("four".into()));
    faults.chances(1.0, 0.0);
    for _ in 0..3 {
        assert!(matches!(meta.get(b"a").await, Err(MetaError::Unavailable(_))));
    }
    faults.chances(0.0, 0.0);
    meta.get(b"a").await.expect("no fault any more");
}

#[tokio::test(start_paused = true)]
async fn latency_is_there_and_back() {
    let world = simulated(2);
    let inner = Arc::new(MemoryStore::new(world.clock.clone()).connect());
    let way = Duration::from_millis(10)..Duration::from_millis(20);
    let meta = SlowMeta::new(inner.clone(), world.clock.clone(), world.random.clone(), way);
    let began = world.clock.now();
    let revision = meta.commit(Transaction::new().put("a", "v")).await.expect("it works");
    let took = world.clock.now() - began;
    assert!(took >= Duration::from_millis(20) && took <= Duration::from_millis(42), "{took:?}");
    let mut watch = meta.watch(b"", revision).await.expect("it works");
    // A call that is dropped while a change is on its way doesn't lose it.
    assert!(world.within(Duration::from_millis(5), watch.next()).await.is_none());
    assert_eq!(watch.next().await.expect("it works").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_are_told() {
    let world = simulated(3);
    let told: Arc<Mutex<Vec<Call>>> = Arc::default();
    let observer = {
        let told = told.clone();
        Arc::new(move |call| told.lock().push(call))
    };
    let inner = Arc::new(MemoryStore::new(world.clock.clone()).connect());
    inner.set_reachable(true);
    let meta = MeteredMeta::new(inner.clone(), world.clock.clone(), observer);
    let revision = meta.commit(Transaction::new().put("key", "value")).await.expect("it works");
    drop(meta.commit(Transaction::new().when(Condition::Absent("key".into()))).await);
    meta.get(b"key").await.expect("it works");
    let mut watch = meta.watch(b"", revision).await.expect("it works");
    watch.next().await.expect("it works");
    inner.set_reachable(false);
    drop(meta.list(b"").await);
    let told: Vec<_> = told.lock().iter().map(|call| (call.operation, call.outcome, call.bytes, call.took)).collect();
    let now = Duration::ZERO;
    assert_eq!(
        told,
        [
            ("commit", Outcome::Done, 8, now),
            ("commit", Outcome::Declined, 3, now),
            ("get", Outcome::Done, 11, now),
            ("watch", Outcome::Done, 0, now),
            ("next", Outcome::Done, 8, now),
            ("list", Outcome::Failed, 0, meta::memory::LINK_TIMEOUT),
        ]
    );
}
