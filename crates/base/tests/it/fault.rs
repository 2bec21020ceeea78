//! Fault plans.

use std::cell::Cell;
use std::time::Duration;

use base::fault::{Fault, FaultPlan, Rates};
use base::random::Random;

#[tokio::test(start_paused = true)]
async fn each_fault_does_what_it_says() {
    let check = async |fault, calls, result: Result<u32, &str>| {
        let plan = FaultPlan::new(&Random::seeded(1), Rates::NONE);
        plan.schedule("put", 1, fault);
        let made = Cell::new(0);
        let call = || {
            made.set(made.get() + 1);
            let answer = made.get();
            async move { Ok(answer) }
        };
        assert_eq!(plan.run("put", || "injected", call).await, result, "{fault:?}");
        assert_eq!(made.get(), calls, "{fault:?}");
        assert_eq!(plan.injected("put", fault), 1);
    };
    check(Fault::None, 1, Ok(1)).await;
    check(Fault::FailBefore, 0, Err("injected")).await;
    check(Fault::FailAfter, 1, Err("injected")).await;
    check(Fault::Duplicate, 2, Ok(1)).await;
}

#[tokio::test(start_paused = true)]
async fn own_errors_come_through() {
    for fault in [Fault::None, Fault::FailAfter, Fault::Duplicate] {
        let plan = FaultPlan::new(&Random::seeded(1), Rates::NONE);
        plan.schedule("put", 1, fault);
        assert_eq!(plan.run("put", || "injected", async || Err::<(), _>("own")).await, Err("own"), "{fault:?}");
    }
}

#[test]
fn rates_are_kept() {
    let rates = Rates { fail_before: 0.1, fail_after: 0.2, duplicate: 0.3, ..Rates::NONE };
    let plan = FaultPlan::new(&Random::seeded(7), rates);
    for _ in 0..10_000 {
        plan.draw("get");
    }
    let near = |fault, expected: u64| {
        let count = plan.injected("get", fault);
        assert!(count.abs_diff(expected) < 300, "{fault:?}: {count}");
    };
    near(Fault::FailBefore, 1_000);
    near(Fault::FailAfter, 2_000);
    near(Fault::Duplicate, 3_000);
    near(Fault::None, 4_000);
    assert_eq!(plan.calls("get"), 10_000);
    assert_eq!(plan.calls("put"), 0);
}

#[test]
fn plans_repeat_and_operations_have_rates_of_their_own() {
    let draws = |seed| {
        let plan = FaultPlan::new(
            &Random::seeded(seed),
            Rates { fail_before: 0.5, delay: 0.5, delay_most: Duration::from_secs(1), ..Rates::NONE },
        );
        plan.set_operation_rates("calm", Rates::NONE);
        assert!((0..100).all(|_| plan.draw("calm") == (Fault::None, Duration::ZERO)));
        (0..100).map(|_| plan.draw("get")).collect::<Vec<_>>()
    };
    assert_eq!(draws(1), draws(1));
    assert_ne!(draws(1), draws(2));
    assert!(draws(1).iter().any(|(_, delay)| *delay > Duration::from_millis(500)));
    assert!(draws(1).iter().all(|(_, delay)| *delay <= Duration::from_secs(1)));
}

#[test]
fn a_schedule_counts_from_now_and_a_pause_is_quiet() {
    let plan = FaultPlan::new(&Random::seeded(1), Rates::NONE);
    plan.draw("get");
    plan.schedule("get", 2, Fault::FailAfter);
    assert_eq!(plan.draw("get").0, Fault::None);
    assert_eq!(plan.draw("get").0, Fault::FailAfter);
    assert_eq!(plan.draw("get").0, Fault::None);
    plan.set_rates(Rates { fail_before: 1.0, ..Rates::NONE });
    plan.pause();
    assert_eq!(plan.draw("get").0, Fault::None);
    plan.resume();
    assert_eq!(plan.draw("get").0, Fault::FailBefore);
}

#[tokio::test(start_paused = true)]
async fn delays_take_simulated_time() {
    let rates = Rates { delay: 1.0, delay_least: Duration::from_secs(3600), delay_most: Duration::from_secs(7200), ..Rates::NONE };
    let plan = FaultPlan::new(&Random::seeded(1), rates);
    let before = tokio::time::Instant::now();
    assert_eq!(plan.begin("get").await, Fault::None);
    assert!((3600..=7201).contains(&before.elapsed().as_secs()));
}
