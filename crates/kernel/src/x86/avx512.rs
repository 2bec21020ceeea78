//! AVX-512: sixteen lanes, four accumulators a row, tails by mask.
//!
//! Sixteen chains of fused multiply-adds (four rows × four accumulators) keep both ports busy through the four cycles
//! that each takes. A single row uses the same four accumulators, added in the same order, so its result has the same bits.
#![allow(clippy::needless_range_loop, reason = "row and lane index several arrays of registers, and the loops must unroll fully")]

use std::arch::x86_64::*;

use crate::distance::{BitMeasures, Codes, Distance, Measures};
use crate::element::{Bf16, F16};
use crate::scalar::{AROUND_QUERY, HAMMING, JACCARD, WITHIN_QUERY, finish_bits};

const LANES: usize = 16;
const ACCUMULATORS: usize = 4;
const STEP: usize = LANES * ACCUMULATORS;

/// An element of which sixteen become sixteen floats.
pub(crate) trait Lanes: Copy + 'static {
    /// # Safety
    /// Sixteen elements lie at `at`, and the CPU has the instructions.
    unsafe fn load(at: *const Self) -> __m512;

    /// Those that the mask admits, zeros for the others.
    ///
    /// # Safety
    /// The admitted elements lie at `at`, and the CPU has the instructions.
    unsafe fn load_masked(at: *const Self, mask: __mmask16) -> __m512;
}

impl Lanes for f32 {
    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn load(at: *const Self) -> __m512 {
        // SAFETY: the caller's.
        unsafe { _mm512_loadu_ps(at) }
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn load_masked(at: *const Self, mask: __mmask16) -> __m512 {
        // SAFETY: the caller's; elements that are masked off are not accessed.
        unsafe { _mm512_maskz_loadu_ps(mask, at) }
    }
}

impl Lanes for F16 {
    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn load(at: *const Self) -> __m512 {
        // SAFETY: the caller's.
        _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(at.cast()) })
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    #[inline]
    unsafe fn load_masked(at: *const Self, mask: __mmask16) -> __m512 {
        // SAFETY: the caller's; elements that are masked off are not accessed.
        _mm512_cvtph_ps(unsafe { _mm256_maskz_loadu_epi16(mask, at.cast()) })
    }
}

impl Lanes for Bf16 {
    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn load(at: *const Self) -> __m512 {
        // SAFETY: the caller's.
        upper_halves(unsafe { _mm256_loadu_si256(at.cast()) })
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    #[inline]
    unsafe fn load_masked(at: *const Self, mask: __mmask16) -> __m512 {
        // SAFETY: the caller's; elements that are masked off are not accessed.
        upper_halves(unsafe { _mm256_maskz_loadu_epi16(mask, at.cast()) })
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn upper_halves(bits: __m256i) -> __m512 {
    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits)))
}

/// The distances of a type of float.
pub(crate) const fn measures<T: Lanes>() -> Measures<T> {
    Measures { squared_l2: Distance::new(one::<T, true>, four::<T, true>), dot: Distance::new(one::<T, false>, four::<T, false>) }
}

pub(crate) const INTEGERS: Measures<i8> = Measures {
    squared_l2: Distance::new(integers_one::<true>, integers_four::<true>),
    dot: Distance::new(integers_one::<false>, integers_four::<false>),
};

pub(crate) const BITS: BitMeasures = BitMeasures {
    hamming: Distance::new(bits_one::<HAMMING>, bits_four::<HAMMING>),
    jaccard: Distance::new(bits_one::<JACCARD>, bits_four::<JACCARD>),
    within_query: Distance::new(bits_one::<WITHIN_QUERY>, bits_four::<WITHIN_QUERY>),
    around_query: Distance::new(bits_one::<AROUND_QUERY>, bits_four::<AROUND_QUERY>),
};

pub(crate) const CODES: Codes = Codes::new(code_squared_l2, code_dot);

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn one<T: Lanes, const SQUARED: bool>(query: &[T], row: &[T]) -> f32 {
    let [sums] = accumulate::<T, 1, SQUARED>(query, [row]);
    let pairs = _mm_hadd_ps(sums, sums);
    _mm_cvtss_f32(_mm_hadd_ps(pairs, pairs))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn four<T: Lanes, const SQUARED: bool>(query: &[T], rows: [&[T]; 4]) -> [f32; 4] {
    finish_four(accumulate::<T, 4, SQUARED>(query, rows))
}

/// Sums of squared differences (`SQUARED`) or of products, per row, left in four lanes that are still to be added.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
#[inline]
fn accumulate<T: Lanes, const ROWS: usize, const SQUARED: bool>(query: &[T], rows: [&[T]; ROWS]) -> [__m128; ROWS] {
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
                let a = T::load(query.as_ptr().add(offset));
                for row in 0..ROWS {
                    let b = T::load(rows[row].as_ptr().add(offset));
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
                let a = T::load_masked(query.as_ptr().add(at), mask);
                for row in 0..ROWS {
                    let b = T::load_masked(rows[row].as_ptr().add(at), mask);
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

/// Bytes that become sixteen-bit numbers in one register.
const INTEGER_LANES: usize = 32;

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn integers_one<const SQUARED: bool>(query: &[i8], row: &[i8]) -> f32 {
    let [sum] = accumulate_integers::<1, SQUARED>(query, [row]);
    sum
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn integers_four<const SQUARED: bool>(query: &[i8], rows: [&[i8]; 4]) -> [f32; 4] {
    accumulate_integers::<4, SQUARED>(query, rows)
}

/// Differences and products of two bytes and their sum in pairs fit into the 32 bits in which they are added up: exact.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
#[inline]
fn accumulate_integers<const ROWS: usize, const SQUARED: bool>(query: &[i8], rows: [&[i8]; ROWS]) -> [f32; ROWS] {
    let length = query.len();
    for row in rows {
        assert_eq!(row.len(), length, "vectors differ in length");
    }
    let mut sums = [_mm512_setzero_si512(); ROWS];
    let mut at = 0;
    while at < length {
        let left = (length - at).min(INTEGER_LANES);
        let mask = u32::MAX >> (INTEGER_LANES - left);
        // SAFETY: the mask admits only the `left` elements from `at` on, which lie below length; masked-off elements are
        // not accessed.
        unsafe {
            let a = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(mask, query.as_ptr().add(at)));
            for row in 0..ROWS {
                let b = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(mask, rows[row].as_ptr().add(at)));
                let difference = _mm512_sub_epi16(a, b);
                let pairs = if SQUARED { _mm512_madd_epi16(difference, difference) } else { _mm512_madd_epi16(a, b) };
                sums[row] = _mm512_add_epi32(sums[row], pairs);
            }
        }
        at += left;
    }
    sums.map(|sum| _mm512_reduce_add_epi32(sum) as f32)
}

/// Bytes of bits in one register.
const BIT_BYTES: usize = 64;

#[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq")]
fn bits_one<const KIND: u8>(query: &[u8], row: &[u8]) -> f32 {
    assert_eq!(query.len(), row.len(), "vectors differ in length");
    let (mut counted, mut of) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    let mut at = 0;
    while at < query.len() {
        let left = (query.len() - at).min(BIT_BYTES);
        let mask = u64::MAX >> (BIT_BYTES - left);
        // SAFETY: the mask admits only the `left` bytes from `at` on, which both slices have; masked-off bytes are not accessed.
        let (a, b) = unsafe {
            (_mm512_maskz_loadu_epi8(mask, query.as_ptr().add(at).cast()), _mm512_maskz_loadu_epi8(mask, row.as_ptr().add(at).cast()))
        };
        let bits = match KIND {
            HAMMING => _mm512_xor_si512(a, b),
            JACCARD => _mm512_and_si512(a, b),
            WITHIN_QUERY => _mm512_andnot_si512(a, b),
            _ => _mm512_andnot_si512(b, a),
        };
        counted = _mm512_add_epi64(counted, _mm512_popcnt_epi64(bits));
        if KIND == JACCARD {
            of = _mm512_add_epi64(of, _mm512_popcnt_epi64(_mm512_or_si512(a, b)));
        }
        at += left;
    }
    let of = if KIND == JACCARD { _mm512_reduce_add_epi64(of) } else { 0 };
    finish_bits::<KIND>(_mm512_reduce_add_epi64(counted) as u32, of as u32)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq")]
fn bits_four<const KIND: u8>(query: &[u8], rows: [&[u8]; 4]) -> [f32; 4] {
    let [a, b, c, d] = rows;
    [bits_one::<KIND>(query, a), bits_one::<KIND>(query, b), bits_one::<KIND>(query, c), bits_one::<KIND>(query, d)]
}

/// Sixteen codes as floats, zeros where the mask admits none.
///
/// # Safety
/// The admitted codes lie at `at`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
#[inline]
unsafe fn load_codes(at: *const u8, mask: __mmask16) -> __m512 {
    // SAFETY: the caller's; codes that are masked off are not accessed.
    _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(unsafe { _mm_maskz_loadu_epi8(mask, at.cast()) }))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn code_squared_l2(query: &[f32], steps: &[f32], block: &[u8], out: &mut [f32]) {
    let length = query.len();
    assert_eq!(steps.len(), length, "one step per dimension");
    for (row, out) in block.chunks_exact(length.max(1)).zip(out) {
        let mut sums = [_mm512_setzero_ps(); 2];
        let mut at = 0;
        while at < length {
            for sum in &mut sums {
                let left = (length - at).min(LANES);
                let mask = ((1u32 << left) - 1) as __mmask16;
                // SAFETY: the mask admits only the `left` elements from `at` on, which all three slices have.
                let difference = unsafe {
                    let query = f32::load_masked(query.as_ptr().add(at), mask);
                    let steps = f32::load_masked(steps.as_ptr().add(at), mask);
                    _mm512_fnmadd_ps(steps, load_codes(row.as_ptr().add(at), mask), query)
                };
                *sum = _mm512_fmadd_ps(difference, difference, *sum);
                at += left;
            }
        }
        *out = _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]));
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn code_dot(weights: &[f32], block: &[u8], out: &mut [f32]) {
    let length = weights.len();
    for (row, out) in block.chunks_exact(length.max(1)).zip(out) {
        let mut sums = [_mm512_setzero_ps(); 2];
        let mut at = 0;
        while at < length {
            for sum in &mut sums {
                let left = (length - at).min(LANES);
                let mask = ((1u32 << left) - 1) as __mmask16;
                // SAFETY: the mask admits only the `left` elements from `at` on, which both slices have.
                unsafe {
                    let weights = f32::load_masked(weights.as_ptr().add(at), mask);
                    *sum = _mm512_fmadd_ps(weights, load_codes(row.as_ptr().add(at), mask), *sum);
                }
                at += left;
            }
        }
        *out = _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]));
    }
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
