//! One distance function in the forms that callers need: a pair, four rows, a block of rows, rows picked by id; and the
//! distances that one type of element has.
//!
//! The loops over rows live here, once, in safe code; an instruction set supplies only the pair and the four-row
//! function. An indirect call per four rows costs about 2 ns, the rows themselves 40 ns and more.

use crate::prefetch::prefetch;

type One<T> = unsafe fn(&[T], &[T]) -> f32;
type Four<T> = unsafe fn(&[T], [&[T]; 4]) -> [f32; 4];

/// Rows that one call of a four-row kernel takes.
const GROUP: usize = 4;

/// A distance over rows of `T`, bound to one instruction set. Get it from [`crate::Kernels`].
#[derive(Clone, Copy, Debug)]
pub struct Distance<T: 'static> {
    one: One<T>,
    four: Four<T>,
}

impl<T> Distance<T> {
    /// Both functions must be runnable on every CPU on which the enclosing table is handed out, must assert equal
    /// lengths themselves, and must agree bit for bit.
    pub(crate) const fn new(one: One<T>, four: Four<T>) -> Self {
        Self { one, four }
    }

    /// Distance of a pair.
    ///
    /// # Panics
    /// If the lengths differ.
    #[inline]
    pub fn one(&self, query: &[T], row: &[T]) -> f32 {
        // SAFETY: this value was reached through a table that `Kernels` hands out only where its CPU features are.
        unsafe { (self.one)(query, row) }
    }

    /// Distances of one query to four rows; the query is read once for all four.
    ///
    /// # Panics
    /// If the lengths differ.
    #[inline]
    pub fn four(&self, query: &[T], rows: [&[T]; 4]) -> [f32; 4] {
        // SAFETY: as in `one`.
        unsafe { (self.four)(query, rows) }
    }

    /// Distances of one query to `out.len()` rows that lie one after the other in `block`.
    ///
    /// # Panics
    /// If `block.len() != query.len() * out.len()`.
    pub fn block(&self, query: &[T], block: &[T], out: &mut [f32]) {
        let dim = query.len();
        assert_eq!(block.len(), dim * out.len(), "block holds other than one row per result");
        self.each_group(query, out, |position| &block[position * dim..(position + 1) * dim]);
    }

    /// Distances of one query to the rows `ids` of `block`, whose rows lie one after the other; the rows of the next
    /// group are prefetched while a group is computed.
    ///
    /// # Panics
    /// If an id lies outside the block, or `ids` and `out` differ in length.
    pub fn gather(&self, query: &[T], block: &[T], ids: &[u32], out: &mut [f32]) {
        let dim = query.len();
        assert_eq!(ids.len(), out.len(), "one result per id");
        let row = |id: u32| &block[id as usize * dim..(id as usize + 1) * dim];
        for &id in ids.iter().take(GROUP) {
            prefetch(row(id));
        }
        self.each_group(query, out, |position| {
            if let Some(&ahead) = ids.get(position + GROUP) {
                prefetch(row(ahead));
            }
            row(ids[position])
        });
    }

    #[inline(always)]
    fn each_group<'a>(&self, query: &[T], out: &mut [f32], row: impl Fn(usize) -> &'a [T])
    where
        T: 'a,
    {
        let mut groups = out.chunks_exact_mut(GROUP);
        let mut position = 0;
        for group in &mut groups {
            let rows = [row(position), row(position + 1), row(position + 2), row(position + 3)];
            group.copy_from_slice(&self.four(query, rows));
            position += GROUP;
        }
        for result in groups.into_remainder() {
            *result = self.one(query, row(position));
            position += 1;
        }
    }
}

/// `1 / ‖v‖` from the squared norm, or 0 for a vector without direction (zero, or too small or large for `f32`), so
/// that its cosine with anything is 0.
pub fn inverse_norm(squared_norm: f32) -> f32 {
    let inverse = 1.0 / squared_norm.sqrt();
    if squared_norm > 0.0 && inverse.is_finite() { inverse } else { 0.0 }
}

/// The distances of one type of number.
#[derive(Clone, Copy, Debug)]
pub struct Measures<T: 'static> {
    /// Sum of squared differences, ≥ 0.
    pub squared_l2: Distance<T>,
    /// Inner product: larger is nearer, the caller turns the sign.
    pub dot: Distance<T>,
}

/// The distances of bit sets, eight bits in a byte.
#[derive(Clone, Copy, Debug)]
pub struct BitMeasures {
    /// Bits that differ.
    pub hamming: Distance<u8>,
    /// Part of all bits that are in one only, 0 … 1; two empty sets share nothing, so theirs is 1.
    pub jaccard: Distance<u8>,
    /// 0 where every bit of the row is in the query, else NaN: there is no distance.
    pub within_query: Distance<u8>,
    /// 0 where every bit of the query is in the row, else NaN.
    pub around_query: Distance<u8>,
}

type CodeSquaredL2 = unsafe fn(&[f32], &[f32], &[u8], &mut [f32]);
type CodeDot = unsafe fn(&[f32], &[u8], &mut [f32]);

/// Distances of a query to vectors of which each element is a code of eight bits: `code · step + least`, with step and least
/// of each dimension.
#[derive(Clone, Copy, Debug)]
pub struct Codes {
    squared_l2: CodeSquaredL2,
    dot: CodeDot,
}

impl Codes {
    /// As [`Distance::new`].
    pub(crate) const fn new(squared_l2: CodeSquaredL2, dot: CodeDot) -> Self {
        Self { squared_l2, dot }
    }

    /// Σ (query − step · code)² for each of `out.len()` rows of `block`; `query` is what is left of it without `least`.
    ///
    /// # Panics
    /// If the lengths don't fit.
    pub fn squared_l2(&self, query: &[f32], steps: &[f32], block: &[u8], out: &mut [f32]) {
        assert!(query.len() == steps.len() && block.len() == query.len() * out.len(), "block holds other than one row per result");
        // SAFETY: as in `Distance::one`.
        unsafe { (self.squared_l2)(query, steps, block, out) }
    }

    /// Σ weight · code for each of `out.len()` rows of `block`.
    ///
    /// # Panics
    /// If the lengths don't fit.
    pub fn dot(&self, weights: &[f32], block: &[u8], out: &mut [f32]) {
        assert!(block.len() == weights.len() * out.len(), "block holds other than one row per result");
        // SAFETY: as in `Distance::one`.
        unsafe { (self.dot)(weights, block, out) }
    }
}
