//! Pauses between attempts.

use std::time::Duration;

use base::random::Random;
use base::retry::Backoff;

const BACKOFF: Backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(1) };

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
