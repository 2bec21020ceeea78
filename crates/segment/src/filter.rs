//! Evaluating a filter over one part: only rows that are visible and that indexes don't rule out, only columns that it reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use expr::{ColumnView, Columns, Plan};
use parking_lot::Mutex;
use types::Result;
use types::bitset::Bitset;
use types::column::Column;
use types::id::FieldId;

use crate::indexed;
use crate::part::Part;
use crate::sealed::Sealed;

/// The rows of `visible` that `plan` keeps.
///
/// # Errors
/// Damaged files by name.
pub fn keep(plan: &Plan, part: &Part<'_>, visible: Bitset) -> Result<Bitset> {
    if plan.is_always_true() || !visible.any() {
        return Ok(visible);
    }
    SCRATCH.with_borrow_mut(|scratch| match part {
        Part::Growing(chunk) => plan.evaluate_within(&chunk.batch, &visible, scratch),
        Part::Sealed(sealed) => {
            let mut candidates = visible;
            if let Some(known) = indexed::known(plan, &***sealed) {
                candidates.and(&known.rows);
                if known.exact || !candidates.any() {
                    return Ok(candidates);
                }
            }
            plan.evaluate_within(&SealedColumns { sealed, whole: Mutex::default() }, &candidates, scratch)
        }
    })
}

thread_local! {
    static SCRATCH: std::cell::RefCell<expr::Scratch> = std::cell::RefCell::default();
}

/// A segment's columns for one evaluation: mapped ones where they lie, texts decoded once.
struct SealedColumns<'a> {
    sealed: &'a Sealed,
    whole: Mutex<BTreeMap<FieldId, Arc<Column>>>,
}

impl Columns for SealedColumns<'_> {
    fn column(&self, field: FieldId, _row: usize) -> Result<ColumnView<'_>> {
        if let Ok(mapped) = self.sealed.reader().scalars(field) {
            return Ok(ColumnView::borrowed(mapped, 0));
        }
        let mut whole = self.whole.lock();
        let column = match whole.get(&field) {
            Some(column) => column.clone(),
            None => {
                let column = Arc::new(self.sealed.reader().column(field)?);
                whole.insert(field, column.clone());
                column
            }
        };
        Ok(ColumnView::shared(column, 0))
    }
}
