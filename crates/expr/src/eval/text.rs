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
    let Values::VarChar(strings) = &view.column().values else { return Err(wrong_type(view, "a text")) };
    let (texts, validity) = (Texts::of(strings), view.column().validity.as_ref());
    match within {
        // One loop each: what to ask is decided once.
        TextValues::In(set) => match set.members() {
            [only] => sieve.slots(validity, piece, |slot| texts.get(slot) == only.as_bytes()),
            _ => sieve.slots(validity, piece, |slot| set.contains(texts.get(slot))),
        },
        TextValues::Like(like) => sieve.slots(validity, piece, |slot| like.matches(texts.get(slot))),
        TextValues::Regex(regex) => sieve.slots(validity, piece, |slot| regex.matches(texts.get(slot))),
        TextValues::Range(low, high) => sieve.slots(validity, piece, |slot| in_range(texts.get(slot), low, high)),
    }
    Ok(())
}

/// The texts of a column as bytes: that they are UTF-8 was checked when the column was made, and no test asks again.
#[derive(Clone, Copy)]
pub(super) struct Texts<'a> {
    offsets: &'a [u32],
    bytes: &'a [u8],
}

impl<'a> Texts<'a> {
    pub fn of(strings: &'a Strings) -> Self {
        Self { offsets: strings.offsets(), bytes: strings.bytes() }
    }

    pub fn get(self, slot: usize) -> &'a [u8] {
        &self.bytes[self.offsets[slot] as usize..self.offsets[slot + 1] as usize]
    }
}

/// Whether `text` is wanted.
pub(super) fn is_within(text: &[u8], within: &TextValues) -> bool {
    match within {
        TextValues::In(set) => set.contains(text),
        TextValues::Like(like) => like.matches(text),
        TextValues::Regex(regex) => regex.matches(text),
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
