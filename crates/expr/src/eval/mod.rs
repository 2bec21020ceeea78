//! Rows that a plan keeps.
//!
//! Rows go through the whole tree in blocks of [`BLOCK_ROWS`], so that what tests read and write stays in the cache. Every node gets the rows
//! that still matter as a mask and gives those of them for which it is true: `and` passes on what its members leave, `or` what they don't
//! take, and a test looks at no other row. Unknown needs no bits of its own, see `predicate`.
//!
//! Not here: threads (a caller splits [`Plan::evaluate_range`]), visibility of rows (candidates bring it).
//!
//! Start at [`Evaluation::node`], then `scan` for how a loop over values looks.

mod array;
mod fixed;
mod json;
mod scan;
mod text;

use std::ops::Range;

use types::bitset::Bitset;
use types::id::FieldId;
use types::{Error, Result};

use crate::columns::{ColumnView, Columns};
use crate::number::CompareOp;
use crate::plan::Plan;
use crate::predicate::{Condition, Predicate, Test};

use self::json::PathCache;
use self::scan::{Block, EMPTY, Mask, Piece, Sieve};

/// Rows that are tested in one go, at most.
pub const BLOCK_ROWS: usize = 2_048;

/// Memory that evaluations reuse. Any plan may use any scratch.
#[derive(Default)]
pub struct Scratch {
    json: Vec<PathCache>,
}

impl Plan {
    /// The rows of `0 .. rows` that the plan keeps.
    ///
    /// # Errors
    /// Those of `columns`; and `INTERNAL` where a column isn't of the type that the plan was made for.
    pub fn evaluate(&self, columns: &dyn Columns, rows: usize, scratch: &mut Scratch) -> Result<Bitset> {
        self.evaluate_range(columns, 0..rows, None, scratch)
    }

    /// The rows of `candidates` that the plan keeps. Others aren't looked at.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub fn evaluate_within(&self, columns: &dyn Columns, candidates: &Bitset, scratch: &mut Scratch) -> Result<Bitset> {
        self.evaluate_range(columns, 0..candidates.len(), Some(candidates), scratch)
    }

    /// The rows of `rows` that the plan keeps, and that `candidates`, numbered like them from 0, has. Bit 0 of the result is `rows.start`.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    ///
    /// # Panics
    /// If `rows` doesn't start at a multiple of 64, or reaches beyond the candidates.
    pub fn evaluate_range(
        &self,
        columns: &dyn Columns,
        rows: Range<usize>,
        candidates: Option<&Bitset>,
        scratch: &mut Scratch,
    ) -> Result<Bitset> {
        assert_eq!(rows.start % 64, 0, "rows are evaluated from a whole word of bits on");
        assert!(candidates.is_none_or(|candidates| rows.end <= candidates.len()), "candidates cover the rows");
        let length = rows.len();
        let mut words = Vec::with_capacity(length.div_ceil(64));
        let mut evaluation = Evaluation::new(self, columns, scratch);
        for first in (rows.start..rows.end).step_by(BLOCK_ROWS) {
            let block = Block { first, rows: BLOCK_ROWS.min(rows.end - first) };
            let mut mask = block.all();
            if let Some(candidates) = candidates {
                let own = &candidates.words()[first / 64..];
                mask.iter_mut().zip(own).for_each(|(mask, own)| *mask &= own);
            }
            let kept = evaluation.block(block, &mask)?;
            words.extend_from_slice(&kept[..block.rows.div_ceil(64)]);
        }
        Ok(Bitset::from_words(words, length))
    }

    /// Bit `i` says whether the plan keeps row `rows[i]`: for few rows in any order.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub fn evaluate_rows(&self, columns: &dyn Columns, rows: &[u32], scratch: &mut Scratch) -> Result<Bitset> {
        let mut evaluation = Evaluation::new(self, columns, scratch);
        let mut kept = Bitset::zeros(rows.len());
        for (i, &row) in rows.iter().enumerate() {
            kept.set(i, evaluation.row(row as usize)?);
        }
        Ok(kept)
    }

    /// Whether the plan keeps row `row`.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub fn matches(&self, columns: &dyn Columns, row: usize, scratch: &mut Scratch) -> Result<bool> {
        Evaluation::new(self, columns, scratch).row(row)
    }
}

/// One plan over one set of columns.
struct Evaluation<'a> {
    plan: &'a Plan,
    columns: &'a dyn Columns,
    /// One for each path that several tests look at.
    json: &'a mut [PathCache],
    block: Block,
}

impl<'a> Evaluation<'a> {
    fn new(plan: &'a Plan, columns: &'a dyn Columns, scratch: &'a mut Scratch) -> Self {
        let caches = plan.caches();
        if scratch.json.len() < caches {
            scratch.json.resize_with(caches, PathCache::default);
        }
        Self { plan, columns, json: &mut scratch.json[..caches], block: Block { first: 0, rows: 0 } }
    }

    /// The rows of `mask` in `block` that are kept.
    fn block(&mut self, block: Block, mask: &Mask) -> Result<Mask> {
        self.block = block;
        self.json.iter_mut().for_each(PathCache::forget);
        self.node(self.plan.predicate(), mask)
    }

    fn row(&mut self, row: usize) -> Result<bool> {
        let first = row / 64 * 64;
        let mut mask = EMPTY;
        mask[0] = 1 << (row - first);
        let kept = self.block(Block { first, rows: row - first + 1 }, &mask)?;
        Ok(kept[0] != 0)
    }

    /// The rows of `mask` for which `predicate` is true.
    fn node(&mut self, predicate: &Predicate, mask: &Mask) -> Result<Mask> {
        if mask == &EMPTY {
            return Ok(EMPTY);
        }
        match predicate {
            Predicate::Constant(value) => Ok(if *value { *mask } else { EMPTY }),
            Predicate::Test(test) => self.test(test, mask),
            Predicate::All(members) => {
                let mut left = *mask;
                for member in members {
                    left = self.node(member, &left)?;
                }
                Ok(left)
            }
            Predicate::Any(members) => {
                let (mut kept, mut open) = (EMPTY, *mask);
                for member in members {
                    let taken = self.node(member, &open)?;
                    for word in 0..taken.len() {
                        kept[word] |= taken[word];
                        open[word] &= !taken[word];
                    }
                }
                Ok(kept)
            }
        }
    }

    /// Apart from [`Self::node`] to keep the recursion's frames small.
    #[inline(never)]
    fn test(&mut self, test: &Test, mask: &Mask) -> Result<Mask> {
        let mut sieve = Sieve::new(mask, test.negated);
        match &test.condition {
            Condition::Integer { field, within } => {
                self.pieces(*field, mask, |view, piece| fixed::integers(&mut sieve, view, piece, within))?
            }
            Condition::Float { field, within } => {
                self.pieces(*field, mask, |view, piece| fixed::floats(&mut sieve, view, piece, within))?
            }
            Condition::Text { field, within } => self.pieces(*field, mask, |view, piece| text::texts(&mut sieve, view, piece, within))?,
            Condition::Arithmetic { field, op, operand, within } => {
                self.pieces(*field, mask, |view, piece| {
                    fixed::arithmetic(&mut sieve, view, piece, &fixed::Operation { op: *op, operand: *operand, within })
                })?;
            }
            Condition::Null { field } => self.pieces(*field, mask, |view, piece| {
                sieve.nulls(view.column().validity.as_ref(), piece);
                Ok(())
            })?,
            Condition::Array { field, check } => {
                self.pieces(*field, mask, |view, piece| array::arrays(&mut sieve, view, piece, check))?;
            }
            Condition::Sample { field, seed, below } => {
                self.pieces(*field, mask, |view, piece| fixed::sample(&mut sieve, view, piece, (*seed, *below)))?;
            }
            Condition::Pair { left, op, right } => self.pair(*left, *op, *right, &mut sieve)?,
            Condition::Json { path, check } => {
                let mut cache = self.plan.cache_of(*path).map(|cache| &mut self.json[cache]);
                let place = json::Place { path: &self.plan.paths()[*path as usize], check, missing: self.plan.missing() };
                pieces(self.columns, place.path.field, (self.block, mask), |view, piece| {
                    json::values(&mut sieve, view, piece, (&place, cache.as_deref_mut()))
                })?;
            }
        }
        Ok(sieve.into_kept())
    }

    fn pieces(&self, field: FieldId, mask: &Mask, visit: impl FnMut(&ColumnView<'_>, Piece) -> Result<()>) -> Result<()> {
        pieces(self.columns, field, (self.block, mask), visit)
    }

    /// Two columns, whose chunks may be cut at different rows.
    fn pair(&self, left: FieldId, op: CompareOp, right: FieldId, sieve: &mut Sieve<'_>) -> Result<()> {
        let mask = *sieve.wanted();
        self.pieces(left, &mask, |left, outer| {
            let part = scan::restrict(&mask, outer);
            self.pieces(right, &part, |right, inner| {
                // The rows that both chunks have.
                let begin = outer.bit.max(inner.bit);
                let end = (outer.bit + outer.length).min(inner.bit + inner.length);
                if begin < end {
                    fixed::pair(sieve, [left, right], [outer.part(begin, end), inner.part(begin, end)], op)?;
                }
                Ok(())
            })
        })
    }
}

/// Calls `visit` with every chunk of a column that holds rows of the mask, and the part of the block that it has.
fn pieces(
    columns: &dyn Columns,
    field: FieldId,
    (block, mask): (Block, &Mask),
    mut visit: impl FnMut(&ColumnView<'_>, Piece) -> Result<()>,
) -> Result<()> {
    let mut at = 0;
    while let Some(bit) = scan::next_one(mask, at, block.rows) {
        let row = block.first + bit;
        let view = columns.column(field, row)?;
        let end = view.first() + view.column().rows();
        if row < view.first() || row >= end {
            return Err(Error::internal(format!("the column of field {field} for row {row} has rows {}..{end}", view.first())));
        }
        let piece = Piece { bit, slot: row - view.first(), length: (end - row).min(block.rows - bit) };
        visit(&view, piece)?;
        at = bit + piece.length;
    }
    Ok(())
}

/// That a column isn't of the type that the plan was made for.
fn wrong_type(view: &ColumnView<'_>, expected: &str) -> Error {
    let column = view.column();
    Error::internal(format!("a filter takes field {} for {expected}, but its column is of {}", column.field, column.values.data_type()))
}
