//! Numbers under faults, restarts and wall clocks that jump.

use std::sync::Arc;
use std::time::Duration;

use meta::fault::{Faults, FaultyMeta};
use meta::memory::MemoryStore;
use meta::sequence::{self, IdAllocator, TIMESTAMP_WINDOW, TimestampAllocator};
use meta::store::{Condition, Meta, MetaError, Transaction};
use types::time::Timestamp;

use crate::memory::simulated;

async fn leader(meta: &Arc<dyn Meta>) -> Condition {
    meta.commit(Transaction::new().delete("office")).await.expect("it works");
    let term = meta.commit(Transaction::new().put("office", "leader")).await.expect("it works");
    Condition::Created("office".into(), term)
}

#[tokio::test(start_paused = true)]
async fn timestamps_rise_through_restarts_and_clocks_that_step_back() {
    let world = simulated(1);
    let meta: Arc<dyn Meta> = Arc::new(MemoryStore::new(world.clock.clone()).connect());
    let mut last = Timestamp::ZERO;
    for (restart, skew_ms) in [0, 5, -3_600_000, -3_600_000, 40, -20, 0, 86_400_000, 0].into_iter().enumerate() {
        // Each restart is another machine, whose clock is off by so much.
        let clock = world.clock.with_skew_ms(skew_ms);
        let allocator = TimestampAllocator::new(meta.clone(), clock.clone(), leader(&meta).await, TIMESTAMP_WINDOW);
        for i in 0..300 {
            let given = allocator.next().await.expect("it leads");
            assert!(given > last, "restart {restart}: {given} after {last}");
            assert!(given.millis() >= clock.wall_ms(), "never behind the wall clock");
            last = given;
            match i % 100 {
                10 => clock.set_skew_ms(skew_ms - 700),
                20 => clock.set_skew_ms(skew_ms),
                _ => world.clock.sleep(Duration::from_millis(7)).await,
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn timestamps_stay_near_the_wall_clock_and_batches_are_whole() {
    let world = simulated(2);
    let meta: Arc<dyn Meta> = Arc::new(MemoryStore::new(world.clock.clone()).connect());
    let allocator = TimestampAllocator::new(meta.clone(), world.clock.clone(), leader(&meta).await, TIMESTAMP_WINDOW);
    let first = allocator.next().await.expect("it leads");
    assert_eq!(first, Timestamp::from_millis(world.clock.wall_ms()));
    assert_eq!(allocator.next().await.expect("it leads"), first.next(), "a millisecond has many");
    // More than a millisecond has: the next ones are borrowed from the future, and given once.
    let batch = allocator.allocate(1_000_000).await.expect("it leads");
    let after = allocator.next().await.expect("it leads");
    assert_eq!((batch.0, after.0), (first.0 + 2, batch.0 + 1_000_000));
    assert!(after.millis() - world.clock.wall_ms() < 10);
    world.clock.sleep(Duration::from_secs(60)).await;
    assert_eq!(allocator.next().await.expect("it leads").millis(), world.clock.wall_ms(), "idle time is caught up");
    // A quick restart is ahead by the window at most.
    let next = TimestampAllocator::new(meta.clone(), world.clock.clone(), leader(&meta).await, TIMESTAMP_WINDOW);
    let ahead = next.next().await.expect("it leads").millis() - world.clock.wall_ms();
    assert!(ahead <= 1_001, "{ahead} ms");
    assert_eq!(allocator.allocate(1 << 30).await, Err(MetaError::Refused), "the one before has nothing more to give");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_given_twice_when_answers_are_lost() {
    for seed in 0..20 {
        let world = simulated(seed);
        let plain: Arc<dyn Meta> = Arc::new(MemoryStore::new(world.clock.clone()).connect());
        let faults = Faults::new(world.random.clone());
        let faulty: Arc<dyn Meta> = Arc::new(FaultyMeta::new(plain.clone(), faults.clone()));
        let fence = leader(&plain).await;
        faults.chances(0.15, 0.15);
        let ids = [IdAllocator::new(faulty.clone(), 7), IdAllocator::new(faulty.clone(), 3)];
        let times = TimestampAllocator::new(faulty.clone(), world.clock.clone(), fence, Duration::from_millis(20));
        let (mut given, mut last, mut epoch) = (std::collections::BTreeSet::new(), Timestamp::ZERO, 0);
        for i in 0..200 {
            if let Ok(range) = ids[i % 2].allocate(1 + (i % 5) as u32).await {
                for id in range {
                    assert!(given.insert(id), "seed {seed}: id {id} twice");
                }
            }
            if let Ok(timestamp) = times.next().await {
                assert!(timestamp > last, "seed {seed}: {timestamp} after {last}");
                last = timestamp;
            }
            if let Ok(next) = sequence::next_process_epoch(faulty.as_ref()).await {
                assert!(next > epoch, "seed {seed}: epoch {next} after {epoch}");
                epoch = next;
            }
            world.clock.sleep(Duration::from_millis(5)).await;
        }
        assert!(given.len() > 100 && epoch > 50, "seed {seed}: most of it works");
    }
}
