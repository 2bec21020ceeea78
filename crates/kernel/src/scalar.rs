//! Portable twins of every kernel: the definition that the SIMD ones are tested against, and the fallback.
//!
//! Sums run in sixteen lanes so that the compiler may vectorise them and so that rounding errors stay as small as in
//! the SIMD kernels.

const LANES: usize = 16;

pub(crate) fn squared_l2_one(query: &[f32], row: &[f32]) -> f32 {
    sum_of(query, row, |a, b| (a - b) * (a - b))
}

pub(crate) fn squared_l2_four(query: &[f32], rows: [&[f32]; 4]) -> [f32; 4] {
    rows.map(|row| squared_l2_one(query, row))
}

pub(crate) fn dot_one(query: &[f32], row: &[f32]) -> f32 {
    sum_of(query, row, |a, b| a * b)
}

pub(crate) fn dot_four(query: &[f32], rows: [&[f32]; 4]) -> [f32; 4] {
    rows.map(|row| dot_one(query, row))
}

pub(crate) fn count(words: &[u64]) -> u64 {
    words.iter().map(|word| u64::from(word.count_ones())).sum()
}

pub(crate) fn count_and(left: &[u64], right: &[u64]) -> u64 {
    assert_eq!(left.len(), right.len(), "bit sets differ in length");
    left.iter().zip(right).map(|(a, b)| u64::from((a & b).count_ones())).sum()
}

#[inline(always)]
fn sum_of(query: &[f32], row: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    assert_eq!(query.len(), row.len(), "vectors differ in length");
    let mut lanes = [0.0f32; LANES];
    let (queries, rows) = (query.chunks_exact(LANES), row.chunks_exact(LANES));
    let tail = queries.remainder().iter().zip(rows.remainder());
    for (a, b) in queries.zip(rows) {
        for lane in 0..LANES {
            lanes[lane] += term(a[lane], b[lane]);
        }
    }
    for (lane, (a, b)) in tail.enumerate() {
        lanes[lane] += term(*a, *b);
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
