//! Where evaluation gets values from: a batch, a list of chunks, a segment that reads pages as they are needed.

use std::sync::Arc;

use types::batch::Batch;
use types::column::Column;
use types::id::FieldId;
use types::{Error, Result};

/// Columns of a run of rows, numbered from 0. A field's column may come in chunks, cut at any row and differently for each field.
pub trait Columns {
    /// The chunk of the column of `field` that holds row `row`. Called for rows that are asked for only, ascending within one test.
    ///
    /// # Errors
    /// Those of reading it, or that there is no such column: evaluation ends with it.
    fn column(&self, field: FieldId, row: usize) -> Result<ColumnView<'_>>;
}

/// A chunk of a column.
pub struct ColumnView<'a> {
    column: Held<'a>,
    first: usize,
}

enum Held<'a> {
    Borrowed(&'a Column),
    Shared(Arc<Column>),
}

impl<'a> ColumnView<'a> {
    /// A chunk whose slot 0 is row `first`.
    pub fn borrowed(column: &'a Column, first: usize) -> Self {
        Self { column: Held::Borrowed(column), first }
    }

    /// A chunk that lives as long as it is looked at, whose slot 0 is row `first`.
    pub fn shared(column: Arc<Column>, first: usize) -> Self {
        Self { column: Held::Shared(column), first }
    }

    /// The values.
    pub fn column(&self) -> &Column {
        match &self.column {
            Held::Borrowed(column) => column,
            Held::Shared(column) => column,
        }
    }

    /// The row of slot 0.
    pub fn first(&self) -> usize {
        self.first
    }
}

impl Columns for Batch {
    fn column(&self, field: FieldId, _row: usize) -> Result<ColumnView<'_>> {
        let column =
            Self::column(self, field).ok_or_else(|| Error::internal(format!("a filter needs field {field}, which rows don't have")))?;
        Ok(ColumnView::borrowed(column, 0))
    }
}
