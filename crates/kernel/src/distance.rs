//! One distance function in the forms that callers need: a pair, four rows, a block of rows, rows picked by id.
//!
//! The loops over rows live here, once, in safe code; an instruction set supplies only the pair and the four-row
//! function. An indirect call per four rows costs about 2 ns, the rows themselves 40 ns and more.

use crate::prefetch::prefetch;

type One = unsafe fn(&[f32], &[f32]) -> f32;
type Four = unsafe fn(&[f32], [&[f32]; 4]) -> [f32; 4];

/// Rows that one call of a four-row kernel takes.
const GROUP: usize = 4;

/// A distance over `f32` rows, bound to one instruction set. Get it from [`crate::Kernels`].
#[derive(Clone, Copy, Debug)]
pub struct Distance {
    one: One,
    four: Four,
}

impl Distance {
    /// Both functions must be runnable on every CPU on which the enclosing table is handed out, must assert equal
    /// lengths themselves, and must agree bit for bit.
    pub(crate) const fn new(one: One, four: Four) -> Self {
        Self { one, four }
    }

    /// Distance of a pair.
    ///
    /// # Panics
    /// If the lengths differ.
    #[inline]
    pub fn one(&self, query: &[f32], row: &[f32]) -> f32 {
        // SAFETY: this value was reached through a table that `Kernels` hands out only where its CPU features are.
        unsafe { (self.one)(query, row) }
    }

    /// Distances of one query to four rows; the query is read once for all four.
    ///
    /// # Panics
    /// If the lengths differ.
    #[inline]
    pub fn four(&self, query: &[f32], rows: [&[f32]; 4]) -> [f32; 4] {
        // SAFETY: as in `one`.
        unsafe { (self.four)(query, rows) }
    }

    /// Distances of one query to `out.len()` rows that lie one after the other in `block`.
    ///
    /// # Panics
    /// If `block.len() != query.len() * out.len()`.
    pub fn block(&self, query: &[f32], block: &[f32], out: &mut [f32]) {
        let dim = query.len();
        assert_eq!(block.len(), dim * out.len(), "block holds other than one row per result");
        self.each_group(query, out, |position| &block[position * dim..(position + 1) * dim]);
    }

    /// Distances of one query to the rows `ids` of `block`, whose rows lie one after the other; the rows of the next
    /// group are prefetched while a group is computed.
    ///
    /// # Panics
    /// If an id lies outside the block, or `ids` and `out` differ in length.
    pub fn gather(&self, query: &[f32], block: &[f32], ids: &[u32], out: &mut [f32]) {
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

    /// Distances of one query to rows given one by one, for rows that do not lie in one block.
    ///
    /// # Panics
    /// If `rows` and `out`, or a row and the query, differ in length.
    pub fn rows(&self, query: &[f32], rows: &[&[f32]], out: &mut [f32]) {
        assert_eq!(rows.len(), out.len(), "one result per row");
        self.each_group(query, out, |position| {
            if let Some(ahead) = rows.get(position + GROUP) {
                prefetch(ahead);
            }
            rows[position]
        });
    }

    #[inline(always)]
    fn each_group<'a>(&self, query: &[f32], out: &mut [f32], row: impl Fn(usize) -> &'a [f32]) {
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
