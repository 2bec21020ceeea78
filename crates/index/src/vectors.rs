//! The vectors under an index: where they lie is the segment's business, an index only borrows them.
//!
//! Vectors are numbered by *slot*, 0 to `len`, in the order of the vector column. A null row has no vector and no slot, so
//! where a column has nulls the slot of a row differs from its offset in the segment, and a row map says which is which.
//!
//! [`Vectors`] is a run of vectors of one kind: a column, a batch of queries, one query. It is an enum of slices, matched once
//! for each group of distances: the loops below it know what they compute with.

use kernel::{Bf16, F16, Number};
use types::column::Values;

use crate::sparse::SparseVectors;

/// What vectors are made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Element {
    /// 32-bit floats.
    F32,
    /// IEEE 754 half floats.
    F16,
    /// Upper halves of 32-bit floats.
    Bf16,
    /// Signed bytes.
    I8,
    /// Bits, eight in a byte.
    Bits,
    /// Pairs of an ascending index and a float.
    Sparse,
}

impl Element {
    /// Bytes of a vector of `dim` elements; of a sparse one, which has as many as it likes, 0.
    pub fn vector_bytes(self, dim: usize) -> usize {
        match self {
            Self::F32 => 4 * dim,
            Self::F16 | Self::Bf16 => 2 * dim,
            Self::I8 => dim,
            Self::Bits => dim.div_ceil(8),
            Self::Sparse => 0,
        }
    }
}

/// Vectors of one length, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Dense<'a, T> {
    /// Values of one vector; bits come eight in a value.
    pub(crate) width: usize,
    pub(crate) values: &'a [T],
}

impl<'a, T> Dense<'a, T> {
    fn new(width: usize, values: &'a [T]) -> Self {
        assert!(width > 0 && values.len().is_multiple_of(width), "a vector column is a whole number of vectors");
        Self { width, values }
    }

    /// All values, vector after vector.
    pub fn values(&self) -> &'a [T] {
        self.values
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len() / self.width
    }

    pub(crate) fn vector(&self, slot: u32) -> &'a [T] {
        &self.values[slot as usize * self.width..][..self.width]
    }

    fn range(&self, start: usize, end: usize) -> Self {
        Self { width: self.width, values: &self.values[start * self.width..end * self.width] }
    }
}

/// A run of vectors of one kind.
#[derive(Clone, Copy, Debug)]
pub enum Vectors<'a> {
    /// 32-bit floats.
    F32(Dense<'a, f32>),
    /// Half floats.
    F16(Dense<'a, F16>),
    /// Upper halves of floats.
    Bf16(Dense<'a, Bf16>),
    /// Signed bytes.
    I8(Dense<'a, i8>),
    /// Bits.
    Bits(Dense<'a, u8>),
    /// Sparse vectors.
    Sparse(SparseVectors<'a>),
}

/// Does the same with a run of vectors of any numbers; `$dense` is it. A macro, as `$work` is of another type in each arm.
macro_rules! with_numbers {
    ($vectors:expr, $dense:ident => $work:expr, _ => $other:expr) => {
        match $vectors {
            $crate::vectors::Vectors::F32($dense) => $work,
            $crate::vectors::Vectors::F16($dense) => $work,
            $crate::vectors::Vectors::Bf16($dense) => $work,
            $crate::vectors::Vectors::I8($dense) => $work,
            _ => $other,
        }
    };
}
pub(crate) use with_numbers;

impl<'a> Vectors<'a> {
    /// Vectors of `dim` floats. This and the next ones panic if the slice is not a whole number of vectors.
    pub fn f32(dim: usize, values: &'a [f32]) -> Self {
        Self::F32(Dense::new(dim, values))
    }

    /// Vectors of `dim` half floats, given as their bits.
    pub fn f16(dim: usize, bits: &'a [u16]) -> Self {
        Self::F16(Dense::new(dim, F16::of_bits(bits)))
    }

    /// Vectors of `dim` upper halves of floats, given as their bits.
    pub fn bf16(dim: usize, bits: &'a [u16]) -> Self {
        Self::Bf16(Dense::new(dim, Bf16::of_bits(bits)))
    }

    /// Vectors of `dim` signed bytes.
    pub fn i8(dim: usize, values: &'a [i8]) -> Self {
        Self::I8(Dense::new(dim, values))
    }

    /// Vectors of `dim` bits, a multiple of eight.
    pub fn bits(dim: usize, bytes: &'a [u8]) -> Self {
        assert!(dim.is_multiple_of(8), "bit vectors are whole bytes");
        Self::Bits(Dense::new(dim / 8, bytes))
    }

    /// The vectors of a column, or of a search; `None` where the values aren't vectors.
    pub fn of(values: &'a Values) -> Option<Self> {
        Some(match values {
            Values::BinaryVector { dimension, data } => Self::bits(*dimension, data),
            Values::FloatVector { dimension, data } => Self::f32(*dimension, data),
            Values::Float16Vector { dimension, data } => Self::f16(*dimension, data),
            Values::BFloat16Vector { dimension, data } => Self::bf16(*dimension, data),
            Values::Int8Vector { dimension, data } => Self::i8(*dimension, data),
            Values::SparseFloatVector(rows) => Self::Sparse(SparseVectors::new(rows.offsets(), rows.indices(), rows.values())),
            _ => return None,
        })
    }

    /// What they are made of.
    pub fn element(&self) -> Element {
        match self {
            Self::F32(_) => Element::F32,
            Self::F16(_) => Element::F16,
            Self::Bf16(_) => Element::Bf16,
            Self::I8(_) => Element::I8,
            Self::Bits(_) => Element::Bits,
            Self::Sparse(_) => Element::Sparse,
        }
    }

    /// Elements per vector; 0 of sparse ones, whose indices may be any.
    pub fn dim(&self) -> usize {
        match self {
            Self::F32(dense) => dense.width,
            Self::F16(dense) => dense.width,
            Self::Bf16(dense) => dense.width,
            Self::I8(dense) => dense.width,
            Self::Bits(dense) => dense.width * 8,
            Self::Sparse(_) => 0,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(dense) => dense.len(),
            Self::F16(dense) => dense.len(),
            Self::Bf16(dense) => dense.len(),
            Self::I8(dense) => dense.len(),
            Self::Bits(dense) => dense.len(),
            Self::Sparse(sparse) => sparse.len(),
        }
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those from `start` to before `end`.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn range(&self, start: usize, end: usize) -> Self {
        match self {
            Self::F32(dense) => Self::F32(dense.range(start, end)),
            Self::F16(dense) => Self::F16(dense.range(start, end)),
            Self::Bf16(dense) => Self::Bf16(dense.range(start, end)),
            Self::I8(dense) => Self::I8(dense.range(start, end)),
            Self::Bits(dense) => Self::Bits(dense.range(start, end)),
            Self::Sparse(sparse) => Self::Sparse(sparse.range(start, end)),
        }
    }

    /// One of them.
    pub fn one(&self, slot: usize) -> Self {
        self.range(slot, slot + 1)
    }

    /// Each by itself.
    pub fn each(&self) -> impl ExactSizeIterator<Item = Vectors<'a>> + use<'a> {
        let all = *self;
        (0..all.len()).map(move |slot| all.one(slot))
    }

    /// Runs of at most `count` ≥ 1.
    pub fn chunks(&self, count: usize) -> impl Iterator<Item = Vectors<'a>> + use<'a> {
        let all = *self;
        (0..all.len()).step_by(count).map(move |start| all.range(start, (start + count).min(all.len())))
    }

    /// A vector of numbers as floats, in `out`; of other kinds nothing is copied.
    pub(crate) fn widen(&self, slot: u32, out: &mut Vec<f32>) {
        out.clear();
        with_numbers!(self, dense => out.extend(dense.vector(slot).iter().map(|value| Number::to_f32(*value))), _ => {});
    }

    /// A copy that borrows nothing.
    pub fn to_owned(&self) -> OwnedVectors {
        match self {
            Self::F32(dense) => OwnedVectors::F32(dense.width, dense.values.to_vec()),
            Self::F16(dense) => OwnedVectors::F16(dense.width, dense.values.to_vec()),
            Self::Bf16(dense) => OwnedVectors::Bf16(dense.width, dense.values.to_vec()),
            Self::I8(dense) => OwnedVectors::I8(dense.width, dense.values.to_vec()),
            Self::Bits(dense) => OwnedVectors::Bits(dense.width, dense.values.to_vec()),
            Self::Sparse(sparse) => {
                let (offsets, indices, values) = sparse.to_parts();
                OwnedVectors::Sparse(offsets, indices, values)
            }
        }
    }
}

/// One query of 32-bit floats.
impl<'a> From<&'a [f32]> for Vectors<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self::f32(values.len(), values)
    }
}

/// Vectors that own their memory: the query of a cursor.
#[derive(Clone, Debug)]
pub enum OwnedVectors {
    /// Values per vector, and all values.
    F32(usize, Vec<f32>),
    /// As `F32`.
    F16(usize, Vec<F16>),
    /// As `F32`.
    Bf16(usize, Vec<Bf16>),
    /// As `F32`.
    I8(usize, Vec<i8>),
    /// Bytes per vector, and all bytes.
    Bits(usize, Vec<u8>),
    /// Offsets, indices, values.
    Sparse(Vec<u32>, Vec<u32>, Vec<f32>),
}

impl OwnedVectors {
    /// As they are searched with.
    pub fn borrowed(&self) -> Vectors<'_> {
        match self {
            Self::F32(width, values) => Vectors::F32(Dense { width: *width, values }),
            Self::F16(width, values) => Vectors::F16(Dense { width: *width, values }),
            Self::Bf16(width, values) => Vectors::Bf16(Dense { width: *width, values }),
            Self::I8(width, values) => Vectors::I8(Dense { width: *width, values }),
            Self::Bits(width, values) => Vectors::Bits(Dense { width: *width, values }),
            Self::Sparse(offsets, indices, values) => Vectors::Sparse(SparseVectors::new(offsets, indices, values)),
        }
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Self::F32(_, values) => values.capacity() * 4,
            Self::F16(_, values) => values.capacity() * 2,
            Self::Bf16(_, values) => values.capacity() * 2,
            Self::I8(_, values) => values.capacity(),
            Self::Bits(_, values) => values.capacity(),
            Self::Sparse(offsets, indices, values) => (offsets.capacity() + indices.capacity() + values.capacity()) * 4,
        }
    }
}

/// One column of vectors and the rows that they belong to.
#[derive(Clone, Copy, Debug)]
pub struct VectorRows<'a> {
    pub(crate) vectors: Vectors<'a>,
    pub(crate) row_map: Option<&'a [u32]>,
    pub(crate) segment_rows: usize,
}

impl<'a> VectorRows<'a> {
    /// Every row of the segment has a vector.
    pub fn new(vectors: Vectors<'a>) -> Self {
        Self { vectors, row_map: None, segment_rows: vectors.len() }
    }

    /// Vector `i` belongs to row `row_map[i]` of `segment_rows`. The map ascends strictly: too long to be looked at every time.
    ///
    /// # Panics
    /// If the map has another length than the column or leads outside the segment.
    pub fn with_row_map(vectors: Vectors<'a>, row_map: &'a [u32], segment_rows: usize) -> Self {
        assert_eq!(vectors.len(), row_map.len(), "one row per vector");
        debug_assert!(row_map.is_sorted_by(|a, b| a < b), "a row map ascends");
        assert!(row_map.last().is_none_or(|&last| (last as usize) < segment_rows), "a row map stays in its segment");
        Self { vectors, row_map: Some(row_map), segment_rows }
    }

    /// The vectors by slot.
    pub fn vectors(&self) -> Vectors<'a> {
        self.vectors
    }

    /// Elements per vector, as [`Vectors::dim`].
    pub fn dim(&self) -> usize {
        self.vectors.dim()
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.vectors.len()
    }

    /// True where there is no vector.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The segment row of each slot, strictly ascending; `None` where slot and row are the same.
    pub fn row_map(&self) -> Option<&'a [u32]> {
        self.row_map
    }

    /// Rows of the segment, those without a vector included.
    pub fn segment_rows(&self) -> usize {
        self.segment_rows
    }
}
