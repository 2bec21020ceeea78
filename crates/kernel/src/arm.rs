//! NEON: four lanes, four accumulators a row, the tail through a zero-padded copy.
//!
//! Mirrors `scalar.rs` function by function. A single row uses the same four accumulators as four rows do, added in the
//! same order, so its result has the same bits.
#![allow(clippy::needless_range_loop, reason = "row and lane index several arrays of registers, and the loops must unroll fully")]

use std::arch::aarch64::*;

const LANES: usize = 4;
const ACCUMULATORS: usize = 4;
const STEP: usize = LANES * ACCUMULATORS;

#[target_feature(enable = "neon")]
pub(crate) fn squared_l2_one(query: &[f32], row: &[f32]) -> f32 {
    let [sum] = accumulate::<1, true>(query, [row]);
    sum
}

#[target_feature(enable = "neon")]
pub(crate) fn squared_l2_four(query: &[f32], rows: [&[f32]; 4]) -> [f32; 4] {
    accumulate::<4, true>(query, rows)
}

#[target_feature(enable = "neon")]
pub(crate) fn dot_one(query: &[f32], row: &[f32]) -> f32 {
    let [sum] = accumulate::<1, false>(query, [row]);
    sum
}

#[target_feature(enable = "neon")]
pub(crate) fn dot_four(query: &[f32], rows: [&[f32]; 4]) -> [f32; 4] {
    accumulate::<4, false>(query, rows)
}

/// The sum of squared differences (`SQUARED`) or of products of each row.
#[target_feature(enable = "neon")]
#[inline]
fn accumulate<const ROWS: usize, const SQUARED: bool>(query: &[f32], rows: [&[f32]; ROWS]) -> [f32; ROWS] {
    let length = query.len();
    for row in rows {
        assert_eq!(row.len(), length, "vectors differ in length");
    }
    let mut sums = [[vdupq_n_f32(0.0); ACCUMULATORS]; ROWS];
    let mut at = 0;
    while at + STEP <= length {
        for lane in 0..ACCUMULATORS {
            let offset = at + lane * LANES;
            // SAFETY: offset + LANES ≤ at + STEP ≤ length, and every row has that length.
            unsafe {
                let a = vld1q_f32(query.as_ptr().add(offset));
                for row in 0..ROWS {
                    let b = vld1q_f32(rows[row].as_ptr().add(offset));
                    sums[row][lane] = add_term::<SQUARED>(a, b, sums[row][lane]);
                }
            }
        }
        at += STEP;
    }
    for lane in 0..ACCUMULATORS {
        if at < length {
            let left = (length - at).min(LANES);
            let a = padded(&query[at..at + left]);
            for row in 0..ROWS {
                let b = padded(&rows[row][at..at + left]);
                sums[row][lane] = add_term::<SQUARED>(a, b, sums[row][lane]);
            }
            at += left;
        }
    }
    sums.map(|[a, b, c, d]| vaddvq_f32(vaddq_f32(vaddq_f32(a, b), vaddq_f32(c, d))))
}

#[target_feature(enable = "neon")]
#[inline]
fn add_term<const SQUARED: bool>(a: float32x4_t, b: float32x4_t, sum: float32x4_t) -> float32x4_t {
    if SQUARED {
        let difference = vsubq_f32(a, b);
        vfmaq_f32(sum, difference, difference)
    } else {
        vfmaq_f32(sum, a, b)
    }
}

/// Up to four elements, with zeros behind them.
#[target_feature(enable = "neon")]
#[inline]
fn padded(tail: &[f32]) -> float32x4_t {
    let mut four = [0.0f32; LANES];
    four[..tail.len()].copy_from_slice(tail);
    // SAFETY: `four` holds exactly the four floats that are loaded.
    unsafe { vld1q_f32(four.as_ptr()) }
}
