//! Lists of a column: one run of elements for all rows, and where each row's end.

use std::ops::Range;

use crate::buffer::Buffer;
use crate::column::Values;
use crate::schema::DataType;

/// Lists one after the other. Elements are never null.
#[derive(Clone, PartialEq, Debug)]
pub struct Arrays {
    /// rows + 1 offsets into `elements`, ascending, the first 0.
    offsets: Buffer<u32>,
    elements: Box<Values>,
}

impl Arrays {
    /// Lists from their stored parts.
    ///
    /// # Errors
    /// Says what is wrong if offsets don't ascend from 0 to the number of elements, or elements are lists or vectors themselves.
    pub fn from_parts(offsets: Buffer<u32>, elements: Values) -> Result<Self, &'static str> {
        if !elements.data_type().is_element() {
            return Err("elements of an array are neither numbers nor texts");
        }
        check_offsets(&offsets, elements.slots())?;
        Ok(Self { offsets, elements: Box::new(elements) })
    }

    /// `count` lists without elements; `elements` has none.
    pub(super) fn empty_rows(elements: Values, count: usize) -> Self {
        debug_assert_eq!(elements.slots(), 0, "lists without elements have none");
        Self { offsets: vec![0; count + 1].into(), elements: Box::new(elements) }
    }

    /// Number of lists.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which elements the list at `row` has.
    pub fn range(&self, row: usize) -> Range<usize> {
        self.offsets[row] as usize..self.offsets[row + 1] as usize
    }

    /// The offsets: one more than there are lists.
    pub fn offsets(&self) -> &Buffer<u32> {
        &self.offsets
    }

    /// The elements of all lists.
    pub fn elements(&self) -> &Values {
        &self.elements
    }

    /// What elements are.
    pub fn element_type(&self) -> DataType {
        self.elements.data_type()
    }

    /// The lists at `rows`, in that order.
    pub(super) fn take(&self, rows: &[u32]) -> Self {
        let mut offsets = Vec::with_capacity(rows.len() + 1);
        let mut slots: Vec<u32> = Vec::new();
        offsets.push(0);
        for &row in rows {
            slots.extend(self.offsets[row as usize]..self.offsets[row as usize + 1]);
            offsets.push(slots.len() as u32);
        }
        Self { offsets: offsets.into(), elements: Box::new(self.elements.take(&slots)) }
    }

    /// The lists of `parts` one after the other.
    pub(super) fn concat(parts: &[&Self]) -> Self {
        let mut offsets = Vec::with_capacity(parts.iter().map(|part| part.len()).sum::<usize>() + 1);
        offsets.push(0u32);
        for part in parts {
            let before: u32 = offsets[offsets.len() - 1];
            let after = |offset: &u32| before.checked_add(*offset).expect("a column's elements are bounded by WRITE_BYTES_MAX");
            offsets.extend(part.offsets[1..].iter().map(after));
        }
        let elements: Vec<&Values> = parts.iter().map(|part| part.elements()).collect();
        Self { offsets: offsets.into(), elements: Box::new(Values::concat(&elements)) }
    }
}

/// Offsets ascend from 0 to `end`.
pub(super) fn check_offsets(offsets: &[u32], end: usize) -> Result<(), &'static str> {
    if offsets.first() != Some(&0) || offsets.last().map(|&last| last as usize) != Some(end) {
        return Err("offsets don't span what they point into");
    }
    if offsets.windows(2).any(|pair| pair[0] > pair[1]) {
        return Err("offsets don't ascend");
    }
    Ok(())
}
