//! The vectors of one field of a segment, mapped: slot after slot, null rows without one.

use types::buffer::Buffer;
use types::{Error, Result};

/// A vector column. Clones share the memory.
#[derive(Clone)]
pub struct VectorColumn {
    rows: usize,
    dimension: usize,
    data: Buffer<f32>,
    /// The row of each slot, ascending; `None` where every row has a vector.
    row_map: Option<Buffer<u32>>,
}

impl VectorColumn {
    /// A column of a segment with `rows` rows.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`: slots don't fit rows.
    pub(crate) fn new(rows: usize, dimension: usize, data: Buffer<f32>, row_map: Option<Buffer<u32>>) -> Result<Self> {
        let slots = row_map.as_ref().map_or(rows, |map| map.len());
        if data.len() != slots * dimension {
            return Err(Error::corrupt(format!("{} floats in {slots} vectors of {dimension}", data.len())));
        }
        if let Some(map) = &row_map {
            let ascending = map.windows(2).all(|pair| pair[0] < pair[1]);
            if !ascending || map.last().is_some_and(|&row| row as usize >= rows) {
                return Err(Error::corrupt("rows of vectors don't ascend"));
            }
        }
        Ok(Self { rows, dimension, data, row_map })
    }

    /// Rows of the segment, null ones included.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Vectors: rows that have one.
    pub fn slots(&self) -> usize {
        self.data.len() / self.dimension.max(1)
    }

    /// Floats of one vector.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// All vectors one after the other: slots × dimension.
    pub fn data(&self) -> &Buffer<f32> {
        &self.data
    }

    /// The vector of a slot.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn vector(&self, slot: usize) -> &[f32] {
        &self.data[slot * self.dimension..(slot + 1) * self.dimension]
    }

    /// The slot of a row; `None` where the row is null.
    pub fn slot_of(&self, row: usize) -> Option<usize> {
        match &self.row_map {
            None => (row < self.rows).then_some(row),
            Some(map) => map.binary_search(&u32::try_from(row).ok()?).ok(),
        }
    }

    /// The row of a slot.
    ///
    /// # Panics
    /// If there is no such slot.
    pub fn row_of(&self, slot: usize) -> usize {
        match &self.row_map {
            None => slot,
            Some(map) => map[slot] as usize,
        }
    }

    /// The row of each slot, ascending; `None` where slots are rows.
    pub fn row_map(&self) -> Option<&Buffer<u32>> {
        self.row_map.as_ref()
    }
}
