//! How much of a log lies above a position, about: positions are opaque, so bytes are counted as records go by.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use types::position::Position;

/// Bytes between two marks.
const SPACING: u64 = 1 << 20;
/// Marks that are kept; every other one goes when there are more.
const MARKS_MAX: usize = 4_096;

/// Bytes that went by on one channel, or on all channels of a log that keeps them in common files.
#[derive(Default)]
pub struct Mileage {
    total: OnceLock<Arc<AtomicU64>>,
    /// The total when a position was reached, rising.
    marks: Mutex<VecDeque<(Position, u64)>>,
}

impl Mileage {
    /// Counts into `total`, with others: what lies above `start` counts from now on, also where nothing of this channel's goes by. Call before
    /// anything did.
    pub fn share(&self, total: Arc<AtomicU64>, start: Position) {
        let now = self.total.get_or_init(|| total).load(Ordering::Relaxed);
        self.marks.lock().push_back((start, now));
    }

    /// `bytes` went by at `position`.
    pub fn passed(&self, position: Position, bytes: u64) {
        let before = self.total().fetch_add(bytes, Ordering::Relaxed);
        let mut marks = self.marks.lock();
        if marks.back().is_none_or(|(_, at)| before >= at + SPACING) {
            marks.push_back((position, before));
        }
        if marks.len() > MARKS_MAX {
            let mut number = 0;
            marks.retain(|_| {
                number += 1;
                number % 2 == 1
            });
        }
    }

    /// Bytes at or above `position`, at most one spacing too many.
    pub fn above(&self, position: Position) -> u64 {
        let marks = self.marks.lock();
        let at = marks.partition_point(|(mark, _)| *mark <= position);
        let Some((_, then)) = marks.get(at.saturating_sub(1)) else { return 0 };
        self.total().load(Ordering::Relaxed).saturating_sub(*then)
    }

    fn total(&self) -> &AtomicU64 {
        self.total.get_or_init(Arc::default)
    }
}

#[cfg(test)]
mod tests {
    use types::position::LogId;

    use super::*;

    #[test]
    fn bytes_above_a_position_are_never_fewer_than_they_are() {
        let (one, other) = (Mileage::default(), Mileage::default());
        let total = Arc::new(AtomicU64::new(0));
        let at = |n| Position::from_u64(LogId(1), n);
        let idle = Mileage::default();
        [&one, &other, &idle].iter().for_each(|mileage| mileage.share(total.clone(), at(0)));
        assert_eq!(one.above(at(0)), 0);
        let step = SPACING / 3;
        for n in 0..20_000 {
            one.passed(at(n), step);
            other.passed(at(n), step);
        }
        for n in [0, 1, 5_000, 19_990] {
            let (least, found) = ((20_000 - n) * 2 * step, one.above(at(n)));
            assert!(found >= least && found <= least + 8 * SPACING, "{n}: {found} instead of {least}");
        }
        assert_eq!(idle.above(at(0)), 40_000 * step, "others' bytes lie above what it holds");
    }
}
