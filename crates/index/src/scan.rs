//! Comparing a query with every matching row: the whole of FLAT, and what other indexes fall back on.

use std::sync::atomic::AtomicBool;

use kernel::{Neighbor, TopK, bits};
use types::Result;
use types::bitset::Bitset;

use crate::scorer::Scorer;
use crate::search::check_cancelled;

/// Slots per step: their distances stay in the first-level cache, and a cancelled scan ends within one step.
pub(crate) const SCAN_STEP: usize = 256;

/// Slots that are looked at for one match of a sample.
const SAMPLE_TESTS_MAX: usize = 1_024;

/// Which segment row a slot belongs to, and whether a filter lets it through.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) map: Option<&'a [u32]>,
    pub(crate) segment_rows: usize,
    pub(crate) filter: Option<&'a Bitset>,
}

impl Rows<'_> {
    /// The row of a slot. A damaged map may lead outside the segment: [`Rows::allows`] rejects such a slot.
    #[inline(always)]
    pub(crate) fn row(&self, slot: u32) -> u32 {
        self.map.map_or(slot, |map| map[slot as usize])
    }

    #[inline(always)]
    pub(crate) fn allows(&self, slot: u32) -> bool {
        let row = self.row(slot) as usize;
        match self.filter {
            Some(filter) => bits::test(filter.words(), row),
            None => row < self.segment_rows,
        }
    }
}

impl Rows<'_> {
    /// Up to `count` matching slots spread over the first `slots`, ascending.
    pub(crate) fn sample(&self, slots: usize, count: usize) -> impl Iterator<Item = u32> {
        let width = slots.div_ceil(count.max(1)).max(1);
        (0..slots).step_by(width).filter_map(move |start| {
            // Where a row map stands between, a look at each slot is dear: a sparse part may then give no match.
            let most = if self.map.is_some() { SAMPLE_TESTS_MAX } else { width };
            let end = start + width.min(most).min(slots - start);
            match (self.filter, self.map) {
                (Some(filter), None) => bits::ones_from(filter.words(), start).next().filter(|&row| row < end).map(|row| row as u32),
                _ => (start as u32..end as u32).find(|&slot| self.allows(slot)),
            }
        })
    }
}

/// The matching slots among the first `slots` of a column.
pub(crate) struct Scan<'a> {
    pub(crate) rows: Rows<'a>,
    pub(crate) slots: usize,
    pub(crate) cancelled: Option<&'a AtomicBool>,
}

impl Scan<'_> {
    /// Hands every matching slot with its distance to `sink`, in steps, by ascending slot; returns how many there were.
    pub(crate) fn run(&self, scorer: &Scorer<'_>, mut sink: impl FnMut(&[u32], &[f32])) -> Result<u64> {
        let mut distances = [0.0; SCAN_STEP];
        let mut total = 0;
        self.steps(|slots| {
            let out = &mut distances[..slots.len()];
            score_step(scorer, slots, out);
            total += slots.len() as u64;
            sink(slots, out);
        })?;
        Ok(total)
    }

    /// The matching slots, ascending, in steps.
    pub(crate) fn steps(&self, mut sink: impl FnMut(&[u32])) -> Result<()> {
        let mut step = [0u32; SCAN_STEP];
        let mut filled = 0;
        let mut take = |slot: u32, step: &mut [u32; SCAN_STEP]| -> Result<()> {
            step[filled] = slot;
            filled += 1;
            if filled == SCAN_STEP {
                filled = 0;
                check_cancelled(self.cancelled)?;
                sink(step);
            }
            Ok(())
        };
        match (self.rows.filter, self.rows.map) {
            (Some(filter), None) => {
                for row in bits::ones(filter.words()).take_while(|&row| row < self.slots) {
                    take(row as u32, &mut step)?;
                }
            }
            (None, None) => {
                for slot in 0..self.slots.min(self.rows.segment_rows) {
                    take(slot as u32, &mut step)?;
                }
            }
            (_, Some(_)) => {
                for slot in (0..self.slots as u32).filter(|&slot| self.rows.allows(slot)) {
                    take(slot, &mut step)?;
                }
            }
        }
        if filled > 0 {
            sink(&step[..filled]);
        }
        Ok(())
    }

    /// Offers every matching slot to `top`.
    pub(crate) fn collect(&self, scorer: &Scorer<'_>, top: &mut TopK) -> Result<u64> {
        let partial = scorer.is_partial();
        self.run(scorer, |slots, distances| offer(top, slots, distances, partial))
    }
}

/// Offers slots with their distances; of a `partial` scorer those that have one.
pub(crate) fn offer(top: &mut TopK, slots: &[u32], distances: &[f32], partial: bool) {
    if !partial {
        return top.offer_all(slots, distances);
    }
    for (&slot, &distance) in slots.iter().zip(distances).filter(|(_, distance)| !distance.is_nan()) {
        top.offer(Neighbor::new(distance, slot));
    }
}

/// Distances of one step. Its slots ascend strictly, so the ends tell whether they are a run without a gap.
pub(crate) fn score_step(scorer: &Scorer<'_>, slots: &[u32], out: &mut [f32]) {
    match slots {
        [first, .., last] if (last - first) as usize == slots.len() - 1 => scorer.score_run(*first, out),
        _ => scorer.score(slots, out),
    }
}
