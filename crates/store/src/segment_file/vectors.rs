//! The vectors of one field of a segment, mapped: slot after slot, null rows without one.

use types::bitset::Bitset;
use types::buffer::Buffer;
use types::column::{Column, Values};
use types::id::FieldId;
use types::{Error, Result};

/// A vector column. Clones share the memory.
#[derive(Clone)]
pub struct VectorColumn {
    rows: usize,
    values: Values,
    /// The row of each slot, ascending; `None` where every row has a vector.
    row_map: Option<Buffer<u32>>,
}

impl VectorColumn {
    /// A column of a segment with `rows` rows.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`: slots don't fit rows.
    pub(crate) fn new(rows: usize, values: Values, row_map: Option<Buffer<u32>>) -> Result<Self> {
        let slots = row_map.as_ref().map_or(rows, |map| map.len());
        if values.slots() != slots {
            return Err(Error::corrupt(format!("{} vectors in {slots} rows", values.slots())));
        }
        if let Some(map) = &row_map {
            let ascending = map.windows(2).all(|pair| pair[0] < pair[1]);
            if !ascending || map.last().is_some_and(|&row| row as usize >= rows) {
                return Err(Error::corrupt("rows of vectors don't ascend"));
            }
        }
        Ok(Self { rows, values, row_map })
    }

    /// Rows of the segment, null ones included.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Vectors: rows that have one.
    pub fn slots(&self) -> usize {
        self.values.slots()
    }

    /// All vectors, of one vector type, slot after slot.
    pub fn values(&self) -> &Values {
        &self.values
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

    /// Every row as a column of `field`, sharing the memory.
    pub(crate) fn column(&self, field: FieldId) -> Column {
        let validity = self.row_map.as_ref().map(|map| {
            let mut validity = Bitset::zeros(self.rows);
            map.iter().for_each(|&row| validity.set(row as usize, true));
            validity
        });
        Column { field, validity, values: self.values.clone() }
    }

    /// Some rows as a column of `field`, in the order given.
    ///
    /// # Panics
    /// If there is no such row.
    pub(crate) fn take(&self, field: FieldId, rows: &[u32]) -> Column {
        let mut slots = Vec::with_capacity(rows.len());
        let validity = Bitset::from_fn(rows.len(), |i| {
            assert!((rows[i] as usize) < self.rows, "row {} of {} is read", rows[i], self.rows);
            let slot = self.slot_of(rows[i] as usize);
            slots.extend(slot.map(|slot| slot as u32));
            slot.is_some()
        });
        Column { field, validity: (!validity.all()).then_some(validity), values: self.values.take(&slots) }
    }
}
