//! Budgets: admission, order, refusal.

use std::time::Duration;

use base::permit::{Budget, Refused};
use base::random::Random;

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn at_once_or_not_at_all() {
    let budget = Budget::new("memory for tests", 100);
    let first = budget.try_acquire(60).unwrap();
    let refused = budget.try_acquire(41).map(drop).unwrap_err();
    assert_eq!(refused, Refused { budget: "memory for tests", needed: 41, there: 40, limit: 100 });
    assert_eq!(refused.to_string(), "memory for tests: 41 bytes needed, 40 of 100 bytes there");
    let second = budget.try_acquire(40).unwrap();
    assert_eq!((budget.used(), budget.limit()), (100, 100));
    drop(first);
    assert_eq!(budget.used(), 40);
    drop(second);
    assert_eq!(budget.used(), 0);
    drop(budget.try_acquire(0).unwrap());
}

#[test]
fn permits_shrink_and_grow() {
    let budget = Budget::new("memory", 100);
    let mut permit = budget.try_acquire(80).unwrap();
    permit.shrink_to(30);
    permit.shrink_to(50);
    assert_eq!((permit.bytes(), budget.used()), (30, 30));
    permit.grow(70).unwrap();
    assert_eq!(permit.grow(1).unwrap_err(), Refused { budget: "memory", needed: 1, there: 0, limit: 100 });
    assert_eq!((permit.bytes(), budget.used()), (100, 100));
    drop(permit);
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn waiting_in_order() {
    let budget = Budget::new("memory", 100);
    let held = budget.try_acquire(100).unwrap();
    let large = tokio::spawn({
        let budget = budget.clone();
        async move { budget.acquire(80, PATIENCE).await }
    });
    tokio::task::yield_now().await;
    let small = tokio::spawn({
        let budget = budget.clone();
        async move { budget.acquire(10, PATIENCE).await }
    });
    tokio::task::yield_now().await;
    let mut held = held;
    held.shrink_to(50);
    tokio::task::yield_now().await;
    assert!(!small.is_finished(), "a small request doesn't pass a large one that came first");
    assert!(budget.try_acquire(1).is_err(), "nor does one that can't wait");
    drop(held);
    let (large, small) = (large.await.unwrap().unwrap(), small.await.unwrap().unwrap());
    assert_eq!((large.bytes(), small.bytes(), budget.used()), (80, 10, 90));
}

#[tokio::test(start_paused = true)]
async fn refusals() {
    let budget = Budget::new("memory", 100);
    let start = tokio::time::Instant::now();
    assert_eq!(budget.acquire(101, PATIENCE).await.map(drop).unwrap_err().needed, 101);
    assert_eq!(start.elapsed(), Duration::ZERO, "what never fits is refused at once");
    let held = budget.try_acquire(70).unwrap();
    let refused = budget.acquire(40, PATIENCE).await.map(drop).unwrap_err();
    assert_eq!((refused.needed, refused.there), (40, 30));
    assert_eq!(start.elapsed(), PATIENCE);
    drop(held);
    assert_eq!(budget.used(), 0);
    drop(budget.acquire(100, PATIENCE).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_queue_lets_the_next_one_go() {
    let budget = Budget::new("memory", 100);
    let _held = budget.try_acquire(50).unwrap();
    let wait = |bytes| {
        let budget = budget.clone();
        tokio::spawn(async move { budget.acquire(bytes, PATIENCE).await.map(|permit| permit.bytes()) })
    };
    let large = wait(80);
    tokio::task::yield_now().await;
    let small = wait(50);
    tokio::task::yield_now().await;
    assert!(!small.is_finished());
    large.abort();
    assert_eq!(small.await.unwrap(), Ok(50));
}

#[tokio::test(start_paused = true)]
async fn the_bound_moves() {
    let budget = Budget::new("memory", 100);
    let held = budget.try_acquire(100).unwrap();
    let wait = |bytes| {
        let budget = budget.clone();
        tokio::spawn(async move { budget.acquire(bytes, PATIENCE).await.map(|permit| permit.bytes()) })
    };
    let (large, small) = (wait(90), wait(20));
    tokio::task::yield_now().await;
    budget.set_limit(50);
    let refused = large.await.unwrap().unwrap_err();
    assert_eq!((refused.needed, refused.there, refused.limit), (90, 0, 50));
    assert_eq!(budget.used(), 100, "permits that are out stay");
    budget.set_limit(120);
    assert_eq!(small.await.unwrap(), Ok(20));
    drop(held);
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_or_taken_twice() {
    for seed in 0..50 {
        let random = Random::seeded(seed);
        let budget = Budget::new("memory", 1000);
        let tasks: Vec<_> = (0..40)
            .map(|_| {
                let (budget, random) = (budget.clone(), random.fork());
                tokio::spawn(async move {
                    for _ in 0..20 {
                        let patience = Duration::from_millis(random.below(50));
                        let Ok(mut permit) = budget.acquire(random.below(1100), patience).await else { continue };
                        assert!(budget.used() <= 1000, "seed {seed}");
                        tokio::time::sleep(Duration::from_millis(random.below(20))).await;
                        permit.shrink_to(random.below(1000));
                        tokio::time::sleep(Duration::from_millis(random.below(20))).await;
                    }
                })
            })
            .collect();
        for (i, task) in tasks.into_iter().enumerate() {
            if i % 7 == 0 {
                task.abort();
            }
            let _ = task.await;
        }
        assert_eq!(budget.used(), 0, "seed {seed}");
    }
}
