//! Sparse vectors as a column holds them, and their inner product.

/// A run of sparse vectors: vector `i` has the pairs `offsets[i] .. offsets[i + 1]`, its indices ascending strictly.
#[derive(Clone, Copy, Debug)]
pub struct SparseVectors<'a> {
    offsets: &'a [u32],
    indices: &'a [u32],
    values: &'a [f32],
}

/// One sparse vector.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SparseVector<'a> {
    pub(crate) indices: &'a [u32],
    pub(crate) values: &'a [f32],
}

impl<'a> SparseVectors<'a> {
    /// From a column's parts.
    ///
    /// # Panics
    /// If there is no offset, or the last one leads outside, or the other two differ in length.
    pub fn new(offsets: &'a [u32], indices: &'a [u32], values: &'a [f32]) -> Self {
        let end = offsets.last().map(|&end| end as usize);
        assert!(end.is_some_and(|end| end <= indices.len()) && indices.len() == values.len(), "offsets lie in the column");
        debug_assert!(offsets.is_sorted(), "vectors lie one after the other");
        Self { offsets, indices, values }
    }

    /// Indices and values of a vector.
    pub fn row(&self, slot: usize) -> (&'a [u32], &'a [f32]) {
        let SparseVector { indices, values } = self.vector(slot as u32);
        (indices, values)
    }

    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Pairs of all vectors.
    pub(crate) fn pairs(&self) -> usize {
        (self.offsets[self.len()] - self.offsets[0]) as usize
    }

    pub(crate) fn vector(&self, slot: u32) -> SparseVector<'a> {
        let (start, end) = (self.offsets[slot as usize] as usize, self.offsets[slot as usize + 1] as usize);
        SparseVector { indices: &self.indices[start..end], values: &self.values[start..end] }
    }

    pub(crate) fn range(&self, start: usize, end: usize) -> Self {
        Self { offsets: &self.offsets[start..=end], ..*self }
    }

    /// Owned copies of offsets, indices and values.
    pub(crate) fn to_parts(self) -> (Vec<u32>, Vec<u32>, Vec<f32>) {
        let (first, last) = (self.offsets[0], self.offsets[self.len()]);
        let pairs = first as usize..last as usize;
        (self.offsets.iter().map(|offset| offset - first).collect(), self.indices[pairs.clone()].to_vec(), self.values[pairs].to_vec())
    }
}

impl SparseVector<'_> {
    /// The inner product, summed by ascending index; NaN where the two share no index: then there is none.
    pub(crate) fn dot(self, other: SparseVector<'_>) -> f32 {
        let (mut sum, mut shared) = (0.0f32, false);
        let (mut left, mut right) = (0, 0);
        while let (Some(&a), Some(&b)) = (self.indices.get(left), other.indices.get(right)) {
            if a == b {
                sum += self.values[left] * other.values[right];
                shared = true;
            }
            left += usize::from(a <= b);
            right += usize::from(b <= a);
        }
        if shared { sum } else { f32::NAN }
    }
}
