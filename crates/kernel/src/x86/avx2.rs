//! AVX2 with FMA: eight lanes, two accumulators a row, tails by mask.
//!
//! Four rows × two accumulators fill eight of the sixteen registers and both multiply-add ports. A single row uses the
//! same two accumulators, added in the same order, so its result has the same bits.
#![allow(clippy::needless_range_loop, reason = "row and lane index several arrays of registers, and the loops must unroll fully")]

use std::arch::x86_64::*;

const LANES: usize = 8;
const ACCUMULATORS: usize = 2;
const STEP: usize = LANES * ACCUMULATORS;

/// A window of eight elements that starts at `8 - n` has its first `n` lanes on.
static TAIL_MASK: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

#[target_feature(enable = "avx2,fma")]
pub(crate) fn squared_l2_one(query: &[f32], row: &[f32]) -> f32 {
    let [sums] = accumulate::<1, true>(query, [row]);
    let pairs = _mm_hadd_ps(sums, sums);
    _mm_cvtss_f32(_mm_hadd_ps(pairs, pairs))
}

#[target_feature(enable = "avx2,fma")]
pub(crate) fn squared_l2_four(query: &[f32], rows: [&[f32]; 4]) -> [f32; 4] {
    finish_four(accumulate::<4, true>(query, rows))
}

#[target_feature(enable = "avx2,fma")]
pub(crate) fn dot_one(query: &[f32], row: &[f32]) -> f32 {
    let [sums] = accumulate::<1, false>(query, [row]);
    let pairs = _mm_hadd_ps(sums, sums);
    _mm_cvtss_f32(_mm_hadd_ps(pairs, pairs))
}

#[target_feature(enable = "avx2,fma")]
pub(crate) fn dot_four(query: &[f32], rows: [&[f32]; 4]) -> [f32; 4] {
    finish_four(accumulate::<4, false>(query, rows))
}

/// Sums of squared differences (`SQUARED`) or of products, per row, left in four lanes that are still to be added.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn accumulate<const ROWS: usize, const SQUARED: bool>(query: &[f32], rows: [&[f32]; ROWS]) -> [__m128; ROWS] {
    let length = query.len();
    for row in rows {
        assert_eq!(row.len(), length, "vectors differ in length");
    }
    let mut sums = [[_mm256_setzero_ps(); ACCUMULATORS]; ROWS];
    let mut at = 0;
    while at + STEP <= length {
        for lane in 0..ACCUMULATORS {
            let offset = at + lane * LANES;
            // SAFETY: offset + LANES ≤ at + STEP ≤ length, and every row has that length.
            unsafe {
                let a = _mm256_loadu_ps(query.as_ptr().add(offset));
                for row in 0..ROWS {
                    let b = _mm256_loadu_ps(rows[row].as_ptr().add(offset));
                    sums[row][lane] = add_term::<SQUARED>(a, b, sums[row][lane]);
                }
            }
        }
        at += STEP;
    }
    for lane in 0..ACCUMULATORS {
        if at < length {
            let left = (length - at).min(LANES);
            // SAFETY: the window [8 - left, 16 - left) lies inside TAIL_MASK; it admits only the `left` elements from
            // `at` on, which lie below length, and masked-off elements are not accessed.
            unsafe {
                let mask = _mm256_loadu_si256(TAIL_MASK.as_ptr().add(LANES - left).cast());
                let a = _mm256_maskload_ps(query.as_ptr().add(at), mask);
                for row in 0..ROWS {
                    let b = _mm256_maskload_ps(rows[row].as_ptr().add(at), mask);
                    sums[row][lane] = add_term::<SQUARED>(a, b, sums[row][lane]);
                }
            }
            at += left;
        }
    }
    sums.map(|[a, b]| narrow(_mm256_add_ps(a, b)))
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn add_term<const SQUARED: bool>(a: __m256, b: __m256, sum: __m256) -> __m256 {
    if SQUARED {
        let difference = _mm256_sub_ps(a, b);
        _mm256_fmadd_ps(difference, difference, sum)
    } else {
        _mm256_fmadd_ps(a, b, sum)
    }
}

/// Eight lanes to four by adding halves.
#[target_feature(enable = "avx2")]
#[inline]
fn narrow(eight: __m256) -> __m128 {
    _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight))
}

/// The four lanes of each row added as (0+1)+(2+3), the order that the single-row functions use.
#[target_feature(enable = "avx2")]
#[inline]
fn finish_four([a, b, c, d]: [__m128; 4]) -> [f32; 4] {
    let sums = _mm_hadd_ps(_mm_hadd_ps(a, b), _mm_hadd_ps(c, d));
    let mut out = [0.0; 4];
    // SAFETY: `out` has room for four floats, and the store needs no alignment.
    unsafe { _mm_storeu_ps(out.as_mut_ptr(), sums) };
    out
}

#[target_feature(enable = "popcnt")]
pub(crate) fn count(words: &[u64]) -> u64 {
    words.iter().map(|word| u64::from(word.count_ones())).sum()
}

#[target_feature(enable = "popcnt")]
pub(crate) fn count_and(left: &[u64], right: &[u64]) -> u64 {
    assert_eq!(left.len(), right.len(), "bit sets differ in length");
    left.iter().zip(right).map(|(a, b)| u64::from((a & b).count_ones())).sum()
}
