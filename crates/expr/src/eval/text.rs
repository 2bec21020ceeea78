//! Tests of texts: columns of them, and JSON values that are texts.

use std::ops::Bound;
use std::sync::Arc;

use types::Result;
use types::column::{Strings, Values};

use crate::columns::ColumnView;
use crate::predicate::TextValues;

use super::scan::{Piece, Sieve};
use super::wrong_type;

/// A VarChar column.
pub(super) fn texts(sieve: &mut Sieve<'_>, view: &ColumnView<'_>, piece: Piece, within: &TextValues) -> Result<()> {
    let Values::VarChar(texts) = &view.column().values else { return Err(wrong_type(view, "a text")) };
    let validity = view.column().validity.as_ref();
    match within {
        // One loop each: what to ask is decided once.
        TextValues::In(set) => sieve.slots(validity, piece, |slot| set.contains(at(texts, slot))),
        TextValues::Like(like) => sieve.slots(validity, piece, |slot| like.matches(texts.get(slot))),
        TextValues::Range(low, high) => sieve.slots(validity, piece, |slot| in_range(at(texts, slot), low, high)),
    }
    Ok(())
}

/// The bytes of a text, without looking whether they are one: the column has.
pub(super) fn at(texts: &Strings, slot: usize) -> &[u8] {
    let offsets = texts.offsets();
    &texts.bytes()[offsets[slot] as usize..offsets[slot + 1] as usize]
}

/// Whether `text` is wanted. Bytes that are no text match no pattern.
pub(super) fn is_within(text: &[u8], within: &TextValues) -> bool {
    match within {
        TextValues::In(set) => set.contains(text),
        TextValues::Like(like) => std::str::from_utf8(text).is_ok_and(|text| like.matches(text)),
        TextValues::Range(low, high) => in_range(text, low, high),
    }
}

fn in_range(text: &[u8], low: &Bound<Arc<str>>, high: &Bound<Arc<str>>) -> bool {
    let above = match low {
        Bound::Included(low) => text >= low.as_bytes(),
        Bound::Excluded(low) => text > low.as_bytes(),
        Bound::Unbounded => true,
    };
    above
        && match high {
            Bound::Included(high) => text <= high.as_bytes(),
            Bound::Excluded(high) => text < high.as_bytes(),
            Bound::Unbounded => true,
        }
}
