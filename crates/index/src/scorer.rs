//! Distances from one query to the vectors of a column, whatever the metric and whatever the vectors are made of.
//!
//! The kind of vector is matched once for each group of distances; below it the loops are those of the kernels.

use kernel::Distance;
use types::index_params::Metric;

use crate::space::{Measured, Space};
use crate::sparse::{SparseVector, SparseVectors};
use crate::vectors::{Dense, Vectors};

/// A query bound to a column. Slots that are asked for must lie below the column's length.
#[derive(Clone, Copy)]
pub(crate) struct Scorer<'a> {
    space: Space,
    /// `1 / ‖query‖`, for cosine.
    scale: f32,
    pair: Pair<'a>,
    /// Of the stored vectors, for cosine; computed as needed where absent.
    inverse_norms: Option<&'a [f32]>,
}

/// Query and column.
#[derive(Clone, Copy)]
enum Pair<'a> {
    F32(DensePair<'a, f32>),
    F16(DensePair<'a, kernel::F16>),
    Bf16(DensePair<'a, kernel::Bf16>),
    I8(DensePair<'a, i8>),
    Bits(DensePair<'a, u8>),
    Sparse { query: SparseVector<'a>, column: SparseVectors<'a> },
}

#[derive(Clone, Copy)]
struct DensePair<'a, T: 'static> {
    raw: &'static Distance<T>,
    query: &'a [T],
    column: Dense<'a, T>,
}

impl<'a, T: Measured> DensePair<'a, T> {
    fn new(space: Space, query: Dense<'a, T>, column: Dense<'a, T>) -> Self {
        let raw = T::distance(space).expect("that the metric measures such vectors was checked before a search began");
        Self { raw, query: query.values, column }
    }

    fn seen_from(&self, slot: u32) -> Self {
        Self { query: self.column.vector(slot), ..*self }
    }

    fn own(&self) -> f32 {
        self.raw.one(self.query, self.query)
    }

    fn gather(&self, slots: &[u32], out: &mut [f32]) {
        self.raw.gather(self.query, self.column.values, slots, out);
    }

    fn run(&self, start: u32, out: &mut [f32]) {
        let (begin, width) = (start as usize * self.column.width, self.column.width);
        self.raw.block(self.query, &self.column.values[begin..begin + out.len() * width], out);
    }
}

/// Does the same with any dense pair. A macro, as a function over all kinds would be a trait object in the innermost loop.
macro_rules! with_dense {
    ($pair:expr, $dense:ident => $work:expr, sparse($query:ident, $column:ident) => $other:expr) => {
        match $pair {
            Pair::F32($dense) => $work,
            Pair::F16($dense) => $work,
            Pair::Bf16($dense) => $work,
            Pair::I8($dense) => $work,
            Pair::Bits($dense) => $work,
            Pair::Sparse { query: $query, column: $column } => $other,
        }
    };
}

impl<'a> Scorer<'a> {
    /// # Panics
    /// If query and column are not of one kind that the metric measures: whoever begins a search checks.
    pub(crate) fn new(space: Space, query: Vectors<'a>, column: Vectors<'a>, inverse_norms: Option<&'a [f32]>) -> Self {
        debug_assert_eq!(query.dim(), column.dim());
        let pair = match (query, column) {
            (Vectors::F32(query), Vectors::F32(column)) => Pair::F32(DensePair::new(space, query, column)),
            (Vectors::F16(query), Vectors::F16(column)) => Pair::F16(DensePair::new(space, query, column)),
            (Vectors::Bf16(query), Vectors::Bf16(column)) => Pair::Bf16(DensePair::new(space, query, column)),
            (Vectors::I8(query), Vectors::I8(column)) => Pair::I8(DensePair::new(space, query, column)),
            (Vectors::Bits(query), Vectors::Bits(column)) => Pair::Bits(DensePair::new(space, query, column)),
            (Vectors::Sparse(query), Vectors::Sparse(column)) => Pair::Sparse { query: query.vector(0), column },
            (query, column) => unreachable!("a query of {:?} in a column of {:?}: checked", query.element(), column.element()),
        };
        let scale = if space.needs_norms() { space.inverse_norm(query, 0) } else { 1.0 };
        Self { space, scale, pair, inverse_norms }
    }

    /// A scorer of which only [`seen_from`](Self::seen_from) is used: it stands for a column that isn't empty.
    pub(crate) fn of_column(space: Space, column: Vectors<'a>, inverse_norms: Option<&'a [f32]>) -> Self {
        Self::new(space, column.one(0), column, inverse_norms)
    }

    /// The same column seen from one of its own vectors.
    pub(crate) fn seen_from(&self, slot: u32) -> Scorer<'a> {
        let pair = match &self.pair {
            Pair::F32(dense) => Pair::F32(dense.seen_from(slot)),
            Pair::F16(dense) => Pair::F16(dense.seen_from(slot)),
            Pair::Bf16(dense) => Pair::Bf16(dense.seen_from(slot)),
            Pair::I8(dense) => Pair::I8(dense.seen_from(slot)),
            Pair::Bits(dense) => Pair::Bits(dense.seen_from(slot)),
            Pair::Sparse { column, .. } => Pair::Sparse { query: column.vector(slot), column: *column },
        };
        let scale = if self.space.needs_norms() { self.inverse_norm(slot) } else { 1.0 };
        Scorer { pair, scale, ..*self }
    }

    /// Whether some rows have no distance at all, NaN, and so don't match: those that share no index with a sparse query, and
    /// those that fail SUBSTRUCTURE and SUPERSTRUCTURE.
    pub(crate) fn is_partial(&self) -> bool {
        matches!(self.pair, Pair::Sparse { .. }) || matches!(self.space.metric(), Metric::Substructure | Metric::Superstructure)
    }

    /// The distance of the query to itself: that of a copy.
    pub(crate) fn own_distance(&self) -> f32 {
        let raw = with_dense!(&self.pair, dense => dense.own(), sparse(query, _column) => query.dot(*query));
        match self.space.metric() {
            Metric::Ip => -raw,
            Metric::Cosine => -(raw * self.scale * self.scale),
            _ => raw,
        }
    }

    /// Distances to `slots`.
    pub(crate) fn score(&self, slots: &[u32], out: &mut [f32]) {
        with_dense!(&self.pair, dense => dense.gather(slots, out), sparse(query, column) => {
            for (out, &slot) in out.iter_mut().zip(slots) {
                *out = query.dot(column.vector(slot));
            }
        });
        self.finish(|position| slots[position], out);
    }

    /// Distances to the `out.len()` slots from `start` on.
    pub(crate) fn score_run(&self, start: u32, out: &mut [f32]) {
        with_dense!(&self.pair, dense => dense.run(start, out), sparse(query, column) => {
            for (out, slot) in out.iter_mut().zip(start..) {
                *out = query.dot(column.vector(slot));
            }
        });
        self.finish(|position| start + position as u32, out);
    }

    #[inline(always)]
    fn finish(&self, slot_at: impl Fn(usize) -> u32, out: &mut [f32]) {
        match self.space.metric() {
            Metric::Ip => out.iter_mut().for_each(|value| *value = -*value),
            Metric::Cosine => {
                for (position, value) in out.iter_mut().enumerate() {
                    *value = -(*value * self.inverse_norm(slot_at(position)) * self.scale);
                }
            }
            _ => {}
        }
    }

    fn column(&self) -> Vectors<'a> {
        match &self.pair {
            Pair::F32(dense) => Vectors::F32(dense.column),
            Pair::F16(dense) => Vectors::F16(dense.column),
            Pair::Bf16(dense) => Vectors::Bf16(dense.column),
            Pair::I8(dense) => Vectors::I8(dense.column),
            Pair::Bits(dense) => Vectors::Bits(dense.column),
            Pair::Sparse { column, .. } => Vectors::Sparse(*column),
        }
    }

    #[inline(always)]
    fn inverse_norm(&self, slot: u32) -> f32 {
        match self.inverse_norms {
            Some(norms) => norms[slot as usize],
            None => self.space.inverse_norm(self.column(), slot),
        }
    }
}
