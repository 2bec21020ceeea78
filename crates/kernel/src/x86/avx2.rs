//! AVX2 with FMA: eight lanes, two accumulators a row, tails by mask.
//!
//! Four rows × two accumulators fill eight of the sixteen registers and both multiply-add ports. A single row uses the
//! same two accumulators, added in the same order, so its result has the same bits.
#![allow(clippy::needless_range_loop, reason = "row and lane index several arrays of registers, and the loops must unroll fully")]

use std::arch::x86_64::*;

use crate::distance::{BitMeasures, Codes, Distance, Measures};
use crate::element::{Bf16, F16};
use crate::scalar::{self, AROUND_QUERY, HAMMING, JACCARD, WITHIN_QUERY};

const LANES: usize = 8;
const ACCUMULATORS: usize = 2;
const STEP: usize = LANES * ACCUMULATORS;

/// A window of eight elements that starts at `8 - n` has its first `n` lanes on.
static TAIL_MASK: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// An element of which eight become eight floats.
pub(crate) trait Lanes: Copy + 'static {
    /// # Safety
    /// Eight elements lie at `at`, and the CPU has the instructions.
    unsafe fn load(at: *const Self) -> __m256;

    /// The first `count` ≤ 8, zeros for the others.
    ///
    /// # Safety
    /// `count` elements lie at `at`, and the CPU has the instructions.
    unsafe fn load_first(at: *const Self, count: usize) -> __m256;
}

impl Lanes for f32 {
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn load(at: *const Self) -> __m256 {
        // SAFETY: the caller's.
        unsafe { _mm256_loadu_ps(at) }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn load_first(at: *const Self, count: usize) -> __m256 {
        // SAFETY: the window [8 - count, 16 - count) lies inside TAIL_MASK; it admits only the first `count` elements, and
        // masked-off elements are not accessed.
        unsafe {
            let mask = _mm256_loadu_si256(TAIL_MASK.as_ptr().add(LANES - count).cast());
            _mm256_maskload_ps(at, mask)
        }
    }
}

impl Lanes for F16 {
    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    unsafe fn load(at: *const Self) -> __m256 {
        // SAFETY: the caller's.
        _mm256_cvtph_ps(unsafe { _mm_loadu_si128(at.cast()) })
    }

    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    unsafe fn load_first(at: *const Self, count: usize) -> __m256 {
        // SAFETY: the caller's.
        _mm256_cvtph_ps(unsafe { first_halves(at.cast(), count) })
    }
}

impl Lanes for Bf16 {
    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn load(at: *const Self) -> __m256 {
        // SAFETY: the caller's.
        upper_halves(unsafe { _mm_loadu_si128(at.cast()) })
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    unsafe fn load_first(at: *const Self, count: usize) -> __m256 {
        // SAFETY: the caller's.
        upper_halves(unsafe { first_halves(at.cast(), count) })
    }
}

/// The first `count` numbers of sixteen bits, with zeros behind them.
///
/// # Safety
/// `count` ≤ 8 numbers lie at `at`.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn first_halves(at: *const u16, count: usize) -> __m128i {
    let mut eight = [0u16; LANES];
    // SAFETY: the caller's; `eight` holds exactly the eight numbers that are loaded.
    unsafe {
        eight[..count].copy_from_slice(std::slice::from_raw_parts(at, count));
        _mm_loadu_si128(eight.as_ptr().cast())
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn upper_halves(bits: __m128i) -> __m256 {
    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(bits)))
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

#[target_feature(enable = "avx2,fma,f16c")]
fn one<T: Lanes, const SQUARED: bool>(query: &[T], row: &[T]) -> f32 {
    let [sums] = accumulate::<T, 1, SQUARED>(query, [row]);
    sum_of_four(sums)
}

#[target_feature(enable = "avx2,fma,f16c")]
fn four<T: Lanes, const SQUARED: bool>(query: &[T], rows: [&[T]; 4]) -> [f32; 4] {
    finish_four(accumulate::<T, 4, SQUARED>(query, rows))
}

/// Sums of squared differences (`SQUARED`) or of products, per row, left in four lanes that are still to be added.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn accumulate<T: Lanes, const ROWS: usize, const SQUARED: bool>(query: &[T], rows: [&[T]; ROWS]) -> [__m128; ROWS] {
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
            // SAFETY: the `left` ≤ 8 elements from `at` on lie below length, and every row has that length.
            unsafe {
                let a = T::load_first(query.as_ptr().add(at), left);
                for row in 0..ROWS {
                    let b = T::load_first(rows[row].as_ptr().add(at), left);
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

#[target_feature(enable = "avx2")]
#[inline]
fn sum_of_four(four: __m128) -> f32 {
    let pairs = _mm_hadd_ps(four, four);
    _mm_cvtss_f32(_mm_hadd_ps(pairs, pairs))
}

/// Bytes that become sixteen-bit numbers in one register.
const INTEGER_LANES: usize = 16;

#[target_feature(enable = "avx2")]
fn integers_one<const SQUARED: bool>(query: &[i8], row: &[i8]) -> f32 {
    let [sum] = accumulate_integers::<1, SQUARED>(query, [row]);
    sum
}

#[target_feature(enable = "avx2")]
fn integers_four<const SQUARED: bool>(query: &[i8], rows: [&[i8]; 4]) -> [f32; 4] {
    accumulate_integers::<4, SQUARED>(query, rows)
}

/// Differences and products of two bytes and their sum in pairs fit into the 32 bits in which they are added up: exact.
#[target_feature(enable = "avx2")]
#[inline]
fn accumulate_integers<const ROWS: usize, const SQUARED: bool>(query: &[i8], rows: [&[i8]; ROWS]) -> [f32; ROWS] {
    let length = query.len();
    for row in rows {
        assert_eq!(row.len(), length, "vectors differ in length");
    }
    let mut sums = [_mm256_setzero_si256(); ROWS];
    let mut at = 0;
    while at < length {
        let left = (length - at).min(INTEGER_LANES);
        let a = widened(&query[at..at + left]);
        for row in 0..ROWS {
            let b = widened(&rows[row][at..at + left]);
            let difference = _mm256_sub_epi16(a, b);
            let pairs = if SQUARED { _mm256_madd_epi16(difference, difference) } else { _mm256_madd_epi16(a, b) };
            sums[row] = _mm256_add_epi32(sums[row], pairs);
        }
        at += left;
    }
    sums.map(|sum| {
        let four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
        let pairs = _mm_hadd_epi32(four, four);
        _mm_cvtsi128_si32(_mm_hadd_epi32(pairs, pairs)) as f32
    })
}

/// Up to sixteen bytes as numbers of sixteen bits, with zeros behind them.
#[target_feature(enable = "avx2")]
#[inline]
fn widened(bytes: &[i8]) -> __m256i {
    let mut sixteen = [0i8; INTEGER_LANES];
    let from = if bytes.len() == INTEGER_LANES {
        bytes
    } else {
        sixteen[..bytes.len()].copy_from_slice(bytes);
        &sixteen
    };
    // SAFETY: `from` has sixteen bytes either way, and the load needs no alignment.
    _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(from.as_ptr().cast()) })
}

#[target_feature(enable = "popcnt")]
fn bits_one<const KIND: u8>(query: &[u8], row: &[u8]) -> f32 {
    scalar::bits_one::<KIND>(query, row)
}

#[target_feature(enable = "popcnt")]
fn bits_four<const KIND: u8>(query: &[u8], rows: [&[u8]; 4]) -> [f32; 4] {
    let [a, b, c, d] = rows;
    [
        scalar::bits_one::<KIND>(query, a),
        scalar::bits_one::<KIND>(query, b),
        scalar::bits_one::<KIND>(query, c),
        scalar::bits_one::<KIND>(query, d),
    ]
}

/// Up to eight codes as floats, with zeros behind them.
#[target_feature(enable = "avx2")]
#[inline]
fn codes(bytes: &[u8]) -> __m256 {
    let mut eight = [0u8; LANES];
    eight[..bytes.len()].copy_from_slice(bytes);
    // SAFETY: `eight` holds exactly the eight bytes that are loaded.
    _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(unsafe { _mm_loadl_epi64(eight.as_ptr().cast()) }))
}

#[target_feature(enable = "avx2,fma")]
fn code_squared_l2(query: &[f32], steps: &[f32], block: &[u8], out: &mut [f32]) {
    let length = query.len();
    assert_eq!(steps.len(), length, "one step per dimension");
    for (row, out) in block.chunks_exact(length.max(1)).zip(out) {
        let mut sum = _mm256_setzero_ps();
        for at in (0..length).step_by(LANES) {
            let left = (length - at).min(LANES);
            // SAFETY: the `left` ≤ 8 elements from `at` on lie below length, which both slices have.
            let (query, steps) = unsafe { (f32::load_first(query.as_ptr().add(at), left), f32::load_first(steps.as_ptr().add(at), left)) };
            let difference = _mm256_fnmadd_ps(steps, codes(&row[at..at + left]), query);
            sum = _mm256_fmadd_ps(difference, difference, sum);
        }
        *out = sum_of_four(narrow(sum));
    }
}

#[target_feature(enable = "avx2,fma")]
fn code_dot(weights: &[f32], block: &[u8], out: &mut [f32]) {
    let length = weights.len();
    for (row, out) in block.chunks_exact(length.max(1)).zip(out) {
        let mut sum = _mm256_setzero_ps();
        for at in (0..length).step_by(LANES) {
            let left = (length - at).min(LANES);
            // SAFETY: the `left` ≤ 8 elements from `at` on lie below length.
            let weights = unsafe { f32::load_first(weights.as_ptr().add(at), left) };
            sum = _mm256_fmadd_ps(weights, codes(&row[at..at + left]), sum);
        }
        *out = sum_of_four(narrow(sum));
    }
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
