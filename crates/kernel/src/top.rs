//! The k nearest of a stream, for scans: most of what is offered is farther than the k-th and costs one comparison.
//!
//! Not a heap: candidates that pass the threshold are appended, and when twice k have gathered the farther half is cut
//! off. That is O(1) per candidate for every k, and the buffer is reused.

use crate::neighbor::Neighbor;

/// The buffer never starts smaller than this, so that a small k does not cut at every step.
const SLACK_MIN: usize = 32;

/// Collects the `k` smallest [`Neighbor`]s that are offered.
#[derive(Debug, Default)]
pub struct TopK {
    k: usize,
    room: usize,
    threshold: Option<Neighbor>,
    kept: Vec<Neighbor>,
}

impl TopK {
    /// An empty collection of at most `k`.
    pub fn new(k: usize) -> Self {
        let mut top = Self::default();
        top.reset(k);
        top
    }

    /// Empties it for another search and keeps the memory.
    pub fn reset(&mut self, k: usize) {
        self.k = k;
        self.room = k.saturating_add(k.max(SLACK_MIN));
        self.threshold = if k == 0 { Some(Neighbor::from_bits(0)) } else { None };
        self.kept.clear();
    }

    /// Offers one candidate. The same id must not be offered twice.
    #[inline(always)]
    pub fn offer(&mut self, neighbor: Neighbor) {
        if self.threshold.is_none_or(|threshold| neighbor < threshold) {
            self.keep(neighbor);
        }
    }

    /// Offers `ids` with their distances.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn offer_all(&mut self, ids: &[u32], distances: &[f32]) {
        assert_eq!(ids.len(), distances.len(), "one distance per id");
        for (&id, &distance) in ids.iter().zip(distances) {
            self.offer(Neighbor::new(distance, id));
        }
    }

    /// The distance beyond which nothing is kept, as far as is known by now; infinite where all is.
    pub fn limit(&self) -> f32 {
        self.threshold.map(Neighbor::distance).filter(|distance| !distance.is_nan()).unwrap_or(f32::INFINITY)
    }

    /// How many of the k nearest are there so far.
    pub fn len(&self) -> usize {
        self.kept.len().min(self.k)
    }

    /// Whether nothing has been kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The k nearest in order; valid until the next offer or reset.
    pub fn sorted(&mut self) -> &[Neighbor] {
        self.cut();
        self.kept.sort_unstable();
        &self.kept
    }

    /// Bytes held.
    pub fn capacity_bytes(&self) -> usize {
        self.kept.capacity() * size_of::<Neighbor>()
    }

    fn keep(&mut self, neighbor: Neighbor) {
        self.kept.push(neighbor);
        if self.kept.len() == self.room {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.kept.len() > self.k {
            let (_, farthest, _) = self.kept.select_nth_unstable(self.k - 1);
            self.threshold = Some(*farthest);
            self.kept.truncate(self.k);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(offered: usize, k: usize) {
        // Distances repeat, so that ties are decided by id.
        let all: Vec<Neighbor> = (0..offered as u32).map(|id| Neighbor::new((id * 7919 % 101) as f32, id)).collect();
        let mut expected = all.clone();
        expected.sort_unstable();
        expected.truncate(k);
        let mut top = TopK::new(3);
        top.offer(Neighbor::new(-1.0, 0));
        top.reset(k);
        for neighbor in &all {
            top.offer(*neighbor);
        }
        assert_eq!(top.len(), expected.len(), "{offered} offered, k {k}");
        assert!(expected.last().is_none_or(|last| top.limit() >= last.distance()), "{offered} offered, k {k}");
        assert_eq!(top.sorted(), expected, "{offered} offered, k {k}");
        assert!(expected.last().is_none_or(|last| offered <= k || top.limit() == last.distance()), "{offered} offered, k {k}");
    }

    #[test]
    fn keeps_the_nearest_in_order() {
        for offered in [0, 1, 2, 31, 64, 1000] {
            for k in [0, 1, 2, 10, 33, 100, 999, 1000, 5000] {
                check(offered, k);
            }
        }
    }
}
