//! Sparse vectors of a column: the places that aren't zero, and their values.

use crate::buffer::Buffer;

use super::arrays::check_offsets;

/// The greatest index of a sparse vector.
pub const SPARSE_INDEX_MAX: u32 = u32::MAX - 1;

/// Sparse vectors one after the other. A vector may have no entry.
#[derive(Clone, PartialEq, Debug)]
pub struct SparseRows {
    /// rows + 1 offsets into the other two, ascending, the first 0.
    offsets: Buffer<u32>,
    /// Ascending within a row, none twice.
    indices: Buffer<u32>,
    values: Buffer<f32>,
}

impl SparseRows {
    /// Vectors from parts that nobody vouches for.
    ///
    /// # Errors
    /// Says what is wrong if offsets don't ascend from 0 to the number of entries, indices don't ascend within a row or are too great,
    /// or there aren't as many values.
    pub fn from_parts(offsets: Buffer<u32>, indices: Buffer<u32>, values: Buffer<f32>) -> Result<Self, &'static str> {
        let rows = Self::from_stored(offsets, indices, values)?;
        for (indices, _) in rows.iter() {
            if indices.windows(2).any(|pair| pair[0] >= pair[1]) {
                return Err("indices of a sparse vector don't ascend");
            }
            if indices.last().is_some_and(|&last| last > SPARSE_INDEX_MAX) {
                return Err("an index of a sparse vector is too great");
            }
        }
        Ok(rows)
    }

    /// Vectors from a file whose checksums vouch for its entries: those aren't touched, so that they may be mapped.
    ///
    /// # Errors
    /// Says what is wrong if offsets don't ascend from 0 to the number of entries, or there aren't as many values as indices.
    pub fn from_stored(offsets: Buffer<u32>, indices: Buffer<u32>, values: Buffer<f32>) -> Result<Self, &'static str> {
        if indices.len() != values.len() {
            return Err("sparse vectors have another number of values than of indices");
        }
        check_offsets(&offsets, indices.len())?;
        Ok(Self { offsets, indices, values })
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Indices and values of a vector.
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let range = self.offsets[row] as usize..self.offsets[row + 1] as usize;
        (&self.indices[range.clone()], &self.values[range])
    }

    /// All vectors.
    pub fn iter(&self) -> impl Iterator<Item = (&[u32], &[f32])> {
        (0..self.len()).map(|row| self.row(row))
    }

    /// The offsets, counting entries: one more than there are vectors.
    pub fn offsets(&self) -> &Buffer<u32> {
        &self.offsets
    }

    /// The indices of all vectors.
    pub fn indices(&self) -> &Buffer<u32> {
        &self.indices
    }

    /// The values of all vectors.
    pub fn values(&self) -> &Buffer<f32> {
        &self.values
    }
}

impl<'a> FromIterator<(&'a [u32], &'a [f32])> for SparseRows {
    /// Joins vectors that are right in themselves.
    ///
    /// # Panics
    /// If a vector has not as many values as indices.
    fn from_iter<I: IntoIterator<Item = (&'a [u32], &'a [f32])>>(vectors: I) -> Self {
        let (mut offsets, mut indices, mut values) = (vec![0u32], Vec::new(), Vec::new());
        for (places, numbers) in vectors {
            assert_eq!(places.len(), numbers.len(), "each index of a sparse vector has a value");
            indices.extend_from_slice(places);
            values.extend_from_slice(numbers);
            offsets.push(u32::try_from(indices.len()).expect("a column's entries are bounded by WRITE_BYTES_MAX"));
        }
        Self { offsets: offsets.into(), indices: indices.into(), values: values.into() }
    }
}
