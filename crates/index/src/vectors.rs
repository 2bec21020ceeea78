//! The vectors under an index: where they lie is the segment's business, an index only borrows them.
//!
//! Vectors are numbered by *slot*, 0 to `len`, in the order of the vector column. A null row has no vector and no slot, so
//! where a column has nulls the slot of a row differs from its offset in the segment, and a row map says which is which.

/// One column of `f32` vectors, all of one dimension.
///
/// Implementations answer for slots below [`len`](Self::len) only and may panic on others; indexes check before they ask.
pub trait VectorRows: Send + Sync {
    /// Floats per vector.
    fn dim(&self) -> usize;

    /// Number of vectors. May grow while it is read (a growing segment), never shrink.
    fn len(&self) -> usize;

    /// True where there is no vector.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The vector in a slot: `dim` floats.
    fn vector(&self, slot: u32) -> &[f32];

    /// All vectors one after the other, where they lie so (a mapped column): spares a virtual call per vector.
    fn contiguous(&self) -> Option<&[f32]> {
        None
    }

    /// The segment row of each slot, strictly ascending; `None` where slot and row are the same.
    fn row_map(&self) -> Option<&[u32]> {
        None
    }

    /// Rows of the segment, those without a vector included.
    fn segment_rows(&self) -> usize {
        self.len()
    }
}

/// Vectors that lie in one slice: a mapped column, or a test's data.
#[derive(Clone, Copy, Debug)]
pub struct SliceRows<'a> {
    dim: usize,
    values: &'a [f32],
    row_map: Option<&'a [u32]>,
    segment_rows: usize,
}

impl<'a> SliceRows<'a> {
    /// Every row of the segment has a vector.
    ///
    /// # Panics
    /// If the slice is not a whole number of vectors.
    pub fn new(dim: usize, values: &'a [f32]) -> Self {
        assert!(dim > 0 && values.len().is_multiple_of(dim), "a vector column is a whole number of vectors");
        Self { dim, values, row_map: None, segment_rows: values.len() / dim }
    }

    /// Vector `i` belongs to row `row_map[i]` of `segment_rows`. The map ascends strictly: too long to be looked at every time.
    ///
    /// # Panics
    /// If the map has another length than the column or leads outside the segment.
    pub fn with_row_map(dim: usize, values: &'a [f32], row_map: &'a [u32], segment_rows: usize) -> Self {
        let all = Self::new(dim, values);
        assert_eq!(all.len(), row_map.len(), "one row per vector");
        debug_assert!(row_map.is_sorted_by(|a, b| a < b), "a row map ascends");
        assert!(row_map.last().is_none_or(|&last| (last as usize) < segment_rows), "a row map stays in its segment");
        Self { row_map: Some(row_map), segment_rows, ..all }
    }
}

impl VectorRows for SliceRows<'_> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    fn vector(&self, slot: u32) -> &[f32] {
        let start = slot as usize * self.dim;
        &self.values[start..start + self.dim]
    }

    fn contiguous(&self) -> Option<&[f32]> {
        Some(self.values)
    }

    fn row_map(&self) -> Option<&[u32]> {
        self.row_map
    }

    fn segment_rows(&self) -> usize {
        self.segment_rows
    }
}
