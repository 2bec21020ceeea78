//! Rows as a schema has them, whatever version they were written under.

use types::batch::Batch;
use types::column::{Column, Values};
use types::schema::{Field, Schema};
use types::{Error, Result};

/// Columns in the schema's order, those that the writer didn't know filled with default or null.
///
/// # Errors
/// `DATA_INTEGRITY`: a column of another type, or one that is missing and must have values.
pub(crate) fn conform(schema: &Schema, batch: &Batch) -> Result<Batch> {
    let column = |field: &Field| match batch.column(field.id) {
        Some(column) if column.values.are_of(field) => Ok(column.clone()),
        Some(column) => {
            let actual = column.values.data_type();
            Err(Error::corrupt(format!("field {} holds {actual} in the log", field.name)))
        }
        None => absent(field, batch.rows()).ok_or_else(|| Error::corrupt(format!("a record lacks field {}", field.name))),
    };
    Ok(Batch::new(batch.rows(), schema.fields.iter().map(column).collect::<Result<_>>()?))
}

/// The column of a field that rows were written without: its default, else null; `None` where neither is allowed.
fn absent(field: &Field, rows: usize) -> Option<Column> {
    if let Some(values) = field.default.as_ref().and_then(|value| Values::repeated(field.data_type, value, rows)) {
        return Some(Column::new(field.id, values));
    }
    field.nullable.then(|| Column::nulls(field, rows))
}
