//! Portable twins of every kernel: the definition that the SIMD ones are tested against, and the fallback.
//!
//! Sums run in sixteen lanes so that the compiler may vectorise them and so that rounding errors stay as small as in
//! the SIMD kernels. What is `inline(always)` is compiled again inside a kernel that has more instructions.

use crate::distance::{BitMeasures, Codes, Distance, Measures};
use crate::element::{Bf16, F16};

const LANES: usize = 16;

/// An element that becomes a float.
pub(crate) trait Widen: Copy + 'static {
    fn widen(self) -> f32;
}

impl Widen for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

impl Widen for F16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32()
    }
}

impl Widen for Bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32()
    }
}

impl Widen for u8 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from(self)
    }
}

/// The distances of a type of float.
pub(crate) const fn measures<T: Widen>() -> Measures<T> {
    Measures { squared_l2: Distance::new(squared_l2_one::<T>, squared_l2_four::<T>), dot: Distance::new(dot_one::<T>, dot_four::<T>) }
}

pub(crate) const INTEGERS: Measures<i8> = Measures {
    squared_l2: Distance::new(integers_one::<true>, |query, rows| rows.map(|row| integers_one::<true>(query, row))),
    dot: Distance::new(integers_one::<false>, |query, rows| rows.map(|row| integers_one::<false>(query, row))),
};

pub(crate) const BITS: BitMeasures = BitMeasures {
    hamming: bit_distance::<HAMMING>(),
    jaccard: bit_distance::<JACCARD>(),
    within_query: bit_distance::<WITHIN_QUERY>(),
    around_query: bit_distance::<AROUND_QUERY>(),
};

pub(crate) const CODES: Codes = Codes::new(code_squared_l2, code_dot);

const fn bit_distance<const KIND: u8>() -> Distance<u8> {
    Distance::new(bits_one::<KIND>, |query, rows| rows.map(|row| bits_one::<KIND>(query, row)))
}

fn squared_l2_one<T: Widen>(query: &[T], row: &[T]) -> f32 {
    sum_of(query, row, |a, b| (a - b) * (a - b))
}

fn squared_l2_four<T: Widen>(query: &[T], rows: [&[T]; 4]) -> [f32; 4] {
    rows.map(|row| squared_l2_one(query, row))
}

fn dot_one<T: Widen>(query: &[T], row: &[T]) -> f32 {
    sum_of(query, row, |a, b| a * b)
}

fn dot_four<T: Widen>(query: &[T], rows: [&[T]; 4]) -> [f32; 4] {
    rows.map(|row| dot_one(query, row))
}

/// Of 32,768 dimensions the sum is at most 255² · 32,768 < 2³¹: no overflow.
fn integers_one<const SQUARED: bool>(query: &[i8], row: &[i8]) -> f32 {
    assert_eq!(query.len(), row.len(), "vectors differ in length");
    let pairs = query.iter().zip(row).map(|(a, b)| (i32::from(*a), i32::from(*b)));
    let sum: i32 = pairs.map(|(a, b)| if SQUARED { (a - b) * (a - b) } else { a * b }).sum();
    sum as f32
}

/// Kinds of distance between bit sets, for kernels that differ in an operation only.
pub(crate) const HAMMING: u8 = 0;
pub(crate) const JACCARD: u8 = 1;
pub(crate) const WITHIN_QUERY: u8 = 2;
pub(crate) const AROUND_QUERY: u8 = 3;

#[inline(always)]
pub(crate) fn bits_one<const KIND: u8>(query: &[u8], row: &[u8]) -> f32 {
    assert_eq!(query.len(), row.len(), "vectors differ in length");
    let ((words, tail), (row_words, row_tail)) = (query.as_chunks::<8>(), row.as_chunks::<8>());
    let words = words.iter().zip(row_words).map(|(a, b)| (u64::from_le_bytes(*a), u64::from_le_bytes(*b)));
    let tail = tail.iter().zip(row_tail).map(|(a, b)| (u64::from(*a), u64::from(*b)));
    let (mut counted, mut of) = (0, 0);
    for (a, b) in words.chain(tail) {
        counted += match KIND {
            HAMMING => (a ^ b).count_ones(),
            JACCARD => (a & b).count_ones(),
            WITHIN_QUERY => (b & !a).count_ones(),
            _ => (a & !b).count_ones(),
        };
        if KIND == JACCARD {
            of += (a | b).count_ones();
        }
    }
    finish_bits::<KIND>(counted, of)
}

/// The distance, from the bits that were counted and, for JACCARD, those that are in either.
#[inline(always)]
pub(crate) fn finish_bits<const KIND: u8>(counted: u32, of: u32) -> f32 {
    match KIND {
        HAMMING => counted as f32,
        JACCARD if counted == 0 => 1.0,
        JACCARD => (of - counted) as f32 / of as f32,
        _ if counted == 0 => 0.0,
        _ => f32::NAN,
    }
}

fn code_squared_l2(query: &[f32], steps: &[f32], block: &[u8], out: &mut [f32]) {
    for (row, out) in block.chunks_exact(query.len().max(1)).zip(out) {
        *out = query.iter().zip(steps).zip(row).map(|((query, step), code)| (query - step * code.widen()).powi(2)).sum();
    }
}

fn code_dot(weights: &[f32], block: &[u8], out: &mut [f32]) {
    for (row, out) in block.chunks_exact(weights.len().max(1)).zip(out) {
        *out = weights.iter().zip(row).map(|(weight, code)| weight * code.widen()).sum();
    }
}

pub(crate) fn count(words: &[u64]) -> u64 {
    words.iter().map(|word| u64::from(word.count_ones())).sum()
}

pub(crate) fn count_and(left: &[u64], right: &[u64]) -> u64 {
    assert_eq!(left.len(), right.len(), "bit sets differ in length");
    left.iter().zip(right).map(|(a, b)| u64::from((a & b).count_ones())).sum()
}

#[inline(always)]
fn sum_of<T: Widen>(query: &[T], row: &[T], term: impl Fn(f32, f32) -> f32) -> f32 {
    assert_eq!(query.len(), row.len(), "vectors differ in length");
    let mut lanes = [0.0f32; LANES];
    let (queries, rows) = (query.chunks_exact(LANES), row.chunks_exact(LANES));
    let tail = queries.remainder().iter().zip(rows.remainder());
    for (a, b) in queries.zip(rows) {
        for lane in 0..LANES {
            lanes[lane] += term(a[lane].widen(), b[lane].widen());
        }
    }
    for (lane, (a, b)) in tail.enumerate() {
        lanes[lane] += term(a.widen(), b.widen());
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}
