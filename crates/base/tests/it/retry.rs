//! Attempts, pauses, deadlines.

use std::cell::Cell;
use std::time::Duration;

use base::World;
use base::disk::simulated::SimulatedDisk;
use base::random::Random;
use base::retry::{Backoff, Cause, GaveUp, Retry};

const BACKOFF: Backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(1), attempts: 5 };

fn world() -> World {
    World::simulated(1, SimulatedDisk::new(1).process())
}

#[test]
fn pauses_double_up_to_the_bound() {
    let random = Random::seeded(1);
    for (failures, whole) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (6, 1000), (1000, 1000)] {
        for _ in 0..100 {
            let pause = BACKOFF.pause(failures, &random).as_millis();
            assert!((whole / 2..=whole).contains(&pause), "after {failures}: {pause} ms");
        }
    }
    let zero = Backoff { first: Duration::ZERO, ..BACKOFF };
    assert_eq!(zero.pause(3, &random), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn ends() {
    let check = async |good_at: u32, limit_s, permanent_at: u32, expected: Result<u32, (Option<u32>, u32, Cause)>| {
        let world = world();
        let start = world.clock.now();
        let retry = Retry::until(&world, BACKOFF, start + Duration::from_secs(limit_s));
        let attempts = Cell::new(0);
        let attempt = |failures| {
            assert_eq!(failures, attempts.get());
            attempts.set(failures + 1);
            async move { if failures + 1 == good_at { Ok(failures + 1) } else { Err(failures + 1) } }
        };
        let result = retry.run(|error| *error != permanent_at, attempt).await;
        let expected = expected.map_err(|(last, attempts, cause)| GaveUp { last, attempts, cause });
        assert_eq!(result, expected);
        assert!(start.elapsed() <= Duration::from_secs(limit_s));
    };
    check(1, 10, 0, Ok(1)).await;
    check(4, 10, 0, Ok(4)).await;
    check(9, 10, 0, Err((Some(5), 5, Cause::Attempts))).await;
    check(9, 10, 2, Err((Some(2), 2, Cause::Permanent))).await;
    check(9, 0, 0, Err((Some(1), 1, Cause::Deadline))).await;
}

#[tokio::test(start_paused = true)]
async fn no_pause_goes_past_the_deadline() {
    let world = world();
    let start = world.clock.now();
    let backoff = Backoff { first: Duration::from_secs(60), most: Duration::from_secs(60), attempts: 100 };
    let retry = Retry::until(&world, backoff, start + Duration::from_secs(10));
    let gave_up = retry.run(|_| true, async |_| Err::<(), _>("away")).await.unwrap_err();
    assert_eq!(gave_up, GaveUp { last: Some("away"), attempts: 1, cause: Cause::Deadline });
    assert_eq!(start.elapsed(), Duration::ZERO, "there is no use in waiting");
    assert_eq!(gave_up.to_string(), "away (deadline reached, attempts: 1)");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_dropped_at_the_deadline() {
    let world = world();
    let start = world.clock.now();
    let retry = Retry::until(&world, BACKOFF, start + Duration::from_secs(10));
    let attempt = async |failures| {
        if failures == 0 {
            return Err("away");
        }
        std::future::pending::<Result<(), _>>().await
    };
    let gave_up = retry.run(|_| true, attempt).await.unwrap_err();
    assert_eq!(gave_up, GaveUp { last: Some("away"), attempts: 2, cause: Cause::Deadline });
    assert_eq!(start.elapsed(), Duration::from_secs(10));
    let hung = retry.run(|_: &&str| true, async |_| std::future::pending::<Result<(), _>>().await).await.unwrap_err();
    assert_eq!(hung.to_string(), "no answer (deadline reached, attempts: 1)");
}
