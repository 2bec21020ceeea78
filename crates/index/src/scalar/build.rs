//! From a column to the container of its scalar index. The sections are described in `docs/formats/index.md`.

use std::collections::BTreeMap;

use types::column::{Column, Strings, Values};
use types::index_params::Metric;
use types::{Code, Error, Result};

use crate::Element;
use crate::file::{Draft, Header, SectionData};

use super::kind::ScalarKind;
use super::{BITMAP_VALUES_MAX, float_key};

/// What keys are, as the section `shape` says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(super) enum Keys {
    Integers = 1,
    Floats = 2,
    Texts = 3,
}

/// Builds the index of a column of scalars, or of arrays of them.
///
/// # Errors
/// The column's type has no scalar index.
pub fn build(column: &Column, kind: ScalarKind) -> Result<Draft> {
    let rows = column.rows();
    let mut draft = Draft::new(Header {
        index_type: kind.name().to_owned(),
        // Of no meaning here, but a header has them.
        metric: Metric::L2,
        element: Element::F32,
        dim: 1,
        vectors: column.validity.as_ref().map_or(rows, types::bitset::Bitset::count_ones),
        segment_rows: rows,
        params: "{}".to_owned(),
    });
    let (keys, starts, entries) = match elements(&column.values) {
        Values::VarChar(texts) => {
            let mut lists: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
            each_slot(column, |row, slot| lists.entry(texts.get(slot)).or_default().push(row));
            let sorted: Strings = lists.keys().collect();
            let mut bytes = sorted.bytes().to_vec();
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            let (fours, _) = bytes.as_chunks::<4>();
            draft.push("text_offsets", SectionData::U32(sorted.offsets().to_vec()));
            draft.push("text_bytes", SectionData::U32(fours.iter().map(|four| u32::from_le_bytes(*four)).collect()));
            let (starts, entries) = joined(lists.into_values());
            (Keys::Texts, starts, entries)
        }
        values => {
            let keys = if matches!(values, Values::Float(_) | Values::Double(_)) { Keys::Floats } else { Keys::Integers };
            let mut lists: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
            let mut fits = true;
            each_slot(column, |row, slot| match number(values, slot) {
                Some(Some(key)) => lists.entry(key).or_default().push(row),
                Some(None) => {}
                None => fits = false,
            });
            if !fits || values.data_type().is_vector() || values.data_type().is_variable() {
                let text = format!("a column of {} has no scalar index: index type not supported", values.data_type());
                return Err(Error::new(Code::INDEX_NOT_SUPPORTED, text));
            }
            let sorted: Vec<i64> = lists.keys().copied().collect();
            draft.push("numbers", SectionData::U32(bytemuck::cast_slice(&sorted).to_vec()));
            let (starts, entries) = joined(lists.into_values());
            (keys, starts, entries)
        }
    };
    let values = starts.len() - 1;
    let bitmaps = kind == ScalarKind::Bitmap && values <= BITMAP_VALUES_MAX;
    draft.push("shape", SectionData::U32(vec![keys as u32, values as u32, entries.len() as u32, u32::from(bitmaps)]));
    if let Some(validity) = &column.validity {
        draft.push("present", SectionData::U32(bytemuck::cast_slice(validity.words()).to_vec()));
    }
    if bitmaps {
        draft.push("bitmaps", SectionData::U32(bytemuck::cast_slice(&bitmaps_of(&starts, &entries, rows)).to_vec()));
    }
    draft.push("starts", SectionData::U32(starts));
    draft.push("rows", SectionData::U32(entries));
    Ok(draft)
}

/// The values that are looked up: an array column's elements.
fn elements(values: &Values) -> &Values {
    match values {
        Values::Array(arrays) => arrays.elements(),
        other => other,
    }
}

/// Calls `visit` with each row that has a value and the slot of each value of it, rows ascending.
fn each_slot(column: &Column, mut visit: impl FnMut(u32, usize)) {
    for row in (0..column.rows()).filter(|&row| column.is_valid(row)) {
        match &column.values {
            Values::Array(arrays) => arrays.range(row).for_each(|slot| visit(row as u32, slot)),
            _ => visit(row as u32, row),
        }
    }
}

/// The key of a number, `Some(None)` for one that no question finds; `None` where there are no numbers.
fn number(values: &Values, slot: usize) -> Option<Option<i64>> {
    Some(match values {
        Values::Bool(values) => Some(values[slot].into()),
        Values::Int8(values) => Some(values[slot].into()),
        Values::Int16(values) => Some(values[slot].into()),
        Values::Int32(values) => Some(values[slot].into()),
        Values::Int64(values) => Some(values[slot]),
        Values::Float(values) => float_key(values[slot].into()),
        Values::Double(values) => float_key(values[slot]),
        _ => return None,
    })
}

/// Where the rows of each key begin, and the rows; a row is there once for each key.
fn joined(lists: impl Iterator<Item = Vec<u32>>) -> (Vec<u32>, Vec<u32>) {
    let (mut starts, mut entries) = (vec![0], Vec::new());
    for mut list in lists {
        list.dedup();
        entries.extend_from_slice(&list);
        starts.push(u32::try_from(entries.len()).expect("a segment's elements are fewer than 2^32"));
    }
    (starts, entries)
}

fn bitmaps_of(starts: &[u32], entries: &[u32], rows: usize) -> Vec<u64> {
    let words = rows.div_ceil(64);
    let mut bitmaps = vec![0u64; (starts.len() - 1) * words];
    for (bitmap, range) in bitmaps.chunks_exact_mut(words.max(1)).zip(starts.windows(2)) {
        for &row in &entries[range[0] as usize..range[1] as usize] {
            bitmap[row as usize / 64] |= 1 << (row % 64);
        }
    }
    bitmaps
}
