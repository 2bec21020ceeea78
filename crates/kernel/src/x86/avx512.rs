//! AVX-512: sixteen lanes, four accumulators a row, tails by mask.
//!
//! Sixteen chains of fused multiply-adds (four rows × four accumulators) keep both ports busy through the four cycles
//! that each takes. A single row uses the same four accumulators, added in the same order, so its result has the same bits.
#![allow(clippy::needless_range_loop, reason = "row and lane index several arrays of registers, and the loops must unroll fully")]

use std::arch::x86_64::*;

const LANES: usize = 16;
const ACCUMULATORS: usize = 4;
const STEP: usize = LANES * ACCUMULATORS;

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(crate) fn squared_l2_one(query: &[f32], row: &[f32]) -> f32 {
    let [sums] = accumulate::<1, true>(query, [row]);
    let pairs = _mm_hadd_ps(sums, sums);
    _mm_cvtss_f32(_mm_hadd_ps(pairs, pairs))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(crate) fn squared_l2_four(query: &[f32], rows: [&[f32]; 4]) -> [f32; 4] {
    finish_four(accumulate::<4, true>(query, rows))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(crate) fn dot_one(query: &[f32], row: &[f32]) -> f32 {
    let [sums] = accumulate::<1, false>(query, [row]);
    let pairs = _mm_hadd_ps(sums, sums);
    _mm_cvtss_f32(_mm_hadd_ps(pairs, pairs))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(crate) fn dot_four(query: &[f32], rows: [&[f32]; 4]) -> [f32; 4] {
    finish_four(accumulate::<4, false>(query, rows))
}

/// Sums of squared differences (`SQUARED`) or of products, per row, left in four lanes that are still to be added.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
#[inline]
fn accumulate<const ROWS: usize, const SQUARED: bool>(query: &[f32], rows: [&[f32]; ROWS]) -> [__m128; ROWS] {
    let length = query.len();
    for row in rows {
        assert_eq!(row.len(), length, "vectors differ in length");
    }
    let mut sums = [[_mm512_setzero_ps(); ACCUMULATORS]; ROWS];
    let mut at = 0;
    while at + STEP <= length {
        for lane in 0..ACCUMULATORS {
            let offset = at + lane * LANES;
            // SAFETY: offset + LANES ≤ at + STEP ≤ length, and every row has that length.
            unsafe {
                let a = _mm512_loadu_ps(query.as_ptr().add(offset));
                for row in 0..ROWS {
                    let b = _mm512_loadu_ps(rows[row].as_ptr().add(offset));
                    sums[row][lane] = add_term::<SQUARED>(a, b, sums[row][lane]);
                }
            }
        }
        at += STEP;
    }
    for lane in 0..ACCUMULATORS {
        if at < length {
            let left = (length - at).min(LANES);
            let mask = (u32::MAX >> (32 - left)) as __mmask16;
            // SAFETY: the mask admits only the `left` elements from `at` on, which lie below length; masked-off
            // elements are not accessed.
            unsafe {
                let a = _mm512_maskz_loadu_ps(mask, query.as_ptr().add(at));
                for row in 0..ROWS {
                    let b = _mm512_maskz_loadu_ps(mask, rows[row].as_ptr().add(at));
                    sums[row][lane] = add_term::<SQUARED>(a, b, sums[row][lane]);
                }
            }
            at += left;
        }
    }
    sums.map(|[a, b, c, d]| narrow(_mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d))))
}

#[target_feature(enable = "avx512f")]
#[inline]
fn add_term<const SQUARED: bool>(a: __m512, b: __m512, sum: __m512) -> __m512 {
    if SQUARED {
        let difference = _mm512_sub_ps(a, b);
        _mm512_fmadd_ps(difference, difference, sum)
    } else {
        _mm512_fmadd_ps(a, b, sum)
    }
}

/// Sixteen lanes to four by adding halves.
#[target_feature(enable = "avx512f,avx512vl")]
#[inline]
fn narrow(wide: __m512) -> __m128 {
    let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(wide)));
    let eight = _mm256_add_ps(_mm512_castps512_ps256(wide), high);
    _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight))
}

/// The four lanes of each row added as (0+1)+(2+3), the order that the single-row functions use.
#[target_feature(enable = "avx512f,avx512vl")]
#[inline]
fn finish_four([a, b, c, d]: [__m128; 4]) -> [f32; 4] {
    let sums = _mm_hadd_ps(_mm_hadd_ps(a, b), _mm_hadd_ps(c, d));
    let mut out = [0.0; 4];
    // SAFETY: `out` has room for four floats, and the store needs no alignment.
    unsafe { _mm_storeu_ps(out.as_mut_ptr(), sums) };
    out
}

#[target_feature(enable = "avx512f,avx512vpopcntdq,popcnt")]
pub(crate) fn count(words: &[u64]) -> u64 {
    let (wide, tail) = words.as_chunks::<8>();
    let mut sum = _mm512_setzero_si512();
    for eight in wide {
        // SAFETY: `eight` is 64 bytes, and the load needs no alignment.
        let bits = unsafe { _mm512_loadu_si512(eight.as_ptr().cast()) };
        sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(bits));
    }
    _mm512_reduce_add_epi64(sum) as u64 + tail.iter().map(|word| u64::from(word.count_ones())).sum::<u64>()
}

#[target_feature(enable = "avx512f,avx512vpopcntdq,popcnt")]
pub(crate) fn count_and(left: &[u64], right: &[u64]) -> u64 {
    assert_eq!(left.len(), right.len(), "bit sets differ in length");
    let ((wide_left, tail_left), (wide_right, tail_right)) = (left.as_chunks::<8>(), right.as_chunks::<8>());
    let mut sum = _mm512_setzero_si512();
    for (a, b) in wide_left.iter().zip(wide_right) {
        // SAFETY: `a` and `b` are 64 bytes each, and the loads need no alignment.
        let bits = unsafe { _mm512_and_si512(_mm512_loadu_si512(a.as_ptr().cast()), _mm512_loadu_si512(b.as_ptr().cast())) };
        sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(bits));
    }
    let tail = tail_left.iter().zip(tail_right).map(|(a, b)| u64::from((a & b).count_ones()));
    _mm512_reduce_add_epi64(sum) as u64 + tail.sum::<u64>()
}
