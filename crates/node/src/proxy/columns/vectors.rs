//! Vectors as clients send them, in rows and as what to search for: bytes taken over without a copy, and checked.
//!
//! Start at [`column`]; [`dense_values`] and [`sparse_values`] are what a search's vectors go through too.

use bytes::Bytes;
use proto::schema::{FieldData, field_data, vector_field};
use types::column::{Column, SPARSE_INDEX_MAX, SparseRows, Values};
use types::schema::{DataType, Field};
use types::{Error, Result};

use super::{Presence, check_finite};

/// A column of a write.
///
/// # Errors
/// Milvus's text for what is wrong with it.
pub(super) fn column(presence: &Presence<'_>, data: &FieldData) -> Result<Column> {
    let field = presence.field;
    let vectors = match &data.field {
        Some(field_data::Field::Vectors(vectors)) => Some(vectors),
        _ => None,
    };
    let given = vectors.and_then(|vectors| vectors.data.as_ref());
    if given.is_none() && presence.present() == 0 {
        return Ok(Column::nulls(field, presence.rows));
    }
    let values = match given {
        Some(vector_field::Data::SparseFloatVector(array)) if field.data_type == DataType::SparseFloatVector => {
            presence.check_count(array.contents.len())?;
            sparse_values(&array.contents)?
        }
        Some(given) => {
            let bytes = dense_bytes(field.data_type, given).ok_or_else(|| illegal(field))?;
            let dimension = vectors.map_or(0, |vectors| vectors.dim);
            dense(presence, dimension, bytes)?
        }
        None => return Err(illegal(field)),
    };
    Ok(Column { field: field.id, validity: presence.validity(), values })
}

/// The bytes of dense vectors, if they are of this type.
fn dense_bytes(data_type: DataType, given: &vector_field::Data) -> Option<Bytes> {
    use vector_field::Data;
    match (data_type, given) {
        (DataType::FloatVector, Data::FloatVector(floats)) => Some(floats.clone().into_bytes()),
        (DataType::BinaryVector, Data::BinaryVector(bytes))
        | (DataType::Float16Vector, Data::Float16Vector(bytes))
        | (DataType::BFloat16Vector, Data::Bfloat16Vector(bytes))
        | (DataType::Int8Vector, Data::Int8Vector(bytes)) => Some(bytes.clone()),
        _ => None,
    }
}

fn illegal(field: &Field) -> Error {
    let mismatch = "array type mismatch";
    let (noun, what, need) = match field.data_type {
        DataType::BinaryVector => ("binary float vector", mismatch, "bytes array"),
        DataType::Float16Vector => ("float16 float", "nil Vector_Float16 type", "vector_float16 array"),
        DataType::BFloat16Vector => ("bfloat16 float", "nil Vector_BFloat16 type", "vector_bfloat16 array"),
        DataType::SparseFloatVector => ("sparse float", "nil SparseFloatVector", "sparse float array"),
        DataType::Int8Vector => ("int8 vector", mismatch, "int8 vector"),
        _ => ("float vector", mismatch, "float vector"),
    };
    Error::expected(format!("{noun} field '{}' is illegal, {what}", field.name), format!("need {need}"), "got nil")
}

fn dense(presence: &Presence<'_>, given_dimension: i64, bytes: Bytes) -> Result<Values> {
    let field = presence.field;
    let dimension = field.dimension.unwrap_or(0) as usize;
    if given_dimension != dimension as i64 && !bytes.is_empty() {
        let name = &field.name;
        return Err(Error::invalid(format!("the dim ({given_dimension}) of field data({name}) is not equal to schema dim ({dimension})")));
    }
    let width = field.data_type.width(dimension).ok_or_else(|| illegal(field))?;
    if !bytes.len().is_multiple_of(width) {
        let (length, of) = match field.data_type {
            DataType::BinaryVector => (8 * bytes.len(), "all bits"),
            DataType::FloatVector => (bytes.len() / size_of::<f32>(), "float data"),
            DataType::Float16Vector => (bytes.len(), "float16 data"),
            DataType::BFloat16Vector => (bytes.len(), "bfloat data"),
            _ => (bytes.len(), "int8 data"),
        };
        return Err(Error::invalid(format!("the length({length}) of {of} should divide the dim({dimension})")));
    }
    presence.check_count(bytes.len() / width)?;
    dense_values(field, bytes)
}

/// Dense vectors of a field from their bytes, of which there is a whole number.
///
/// # Errors
/// A value that is no number: a distance to such a vector is none either, and an order by it means nothing.
pub fn dense_values(field: &Field, bytes: Bytes) -> Result<Values> {
    let dimension = field.dimension.unwrap_or(0) as usize;
    let values = Values::from_fixed(field.data_type, dimension, bytes).ok_or_else(|| illegal(field))?;
    match &values {
        Values::FloatVector { data, .. } => check_finite(data)?,
        Values::Float16Vector { data, .. } => check_halves(data, HALF_EXPONENT, "float16")?,
        Values::BFloat16Vector { data, .. } => check_halves(data, BFLOAT_EXPONENT, "bfloat16")?,
        _ => {}
    }
    Ok(values)
}

/// The exponent's bits: all are set in what is no number.
const HALF_EXPONENT: u16 = 0x7c00;
const BFLOAT_EXPONENT: u16 = 0x7f80;

fn check_halves(values: &[u16], exponent: u16, name: &str) -> Result<()> {
    if values.iter().any(|value| value & exponent == exponent) {
        return Err(Error::invalid(format!("{name} vector contain nan or infinity value.")));
    }
    Ok(())
}

/// Bytes of an entry of a sparse vector: index (u32), value (f32).
pub const ENTRY_BYTES: usize = 8;

/// Sparse vectors from rows of entries.
///
/// # Errors
/// Milvus's text for the first entry that is wrong.
pub fn sparse_values(rows: &[Bytes]) -> Result<Values> {
    let entries = rows.iter().map(Bytes::len).sum::<usize>() / ENTRY_BYTES;
    let (mut indices, mut values) = (Vec::with_capacity(entries), Vec::with_capacity(entries));
    let mut offsets = Vec::with_capacity(rows.len() + 1);
    offsets.push(0u32);
    for row in rows {
        if !row.len().is_multiple_of(ENTRY_BYTES) {
            return Err(Error::invalid(format!("invalid data length in sparse float vector: {}", row.len())));
        }
        let mut last = None;
        for entry in row.chunks_exact(ENTRY_BYTES) {
            let (index, value) = sparse_entry(entry, last)?;
            last = Some(index);
            indices.push(index);
            values.push(value);
        }
        // A message is smaller than 4 GiB, and an entry has eight bytes of it.
        offsets.push(indices.len() as u32);
    }
    SparseRows::from_parts(offsets.into(), indices.into(), values.into()).map(Values::SparseFloatVector).map_err(Error::internal)
}

fn sparse_entry(entry: &[u8], last: Option<u32>) -> Result<(u32, f32)> {
    let word = |at: usize| [entry[at], entry[at + 1], entry[at + 2], entry[at + 3]];
    let (index, value) = (u32::from_le_bytes(word(0)), f32::from_le_bytes(word(4)));
    if index > SPARSE_INDEX_MAX {
        return Err(Error::invalid("invalid index in sparse float vector: must be less than 2^32-1"));
    }
    if last.is_some_and(|last| index <= last) {
        return Err(Error::invalid("unsorted or same indices in sparse float vector"));
    }
    check_finite(&[value])?;
    if value < 0.0 {
        return Err(Error::invalid("negative value in sparse float vector"));
    }
    Ok((index, value))
}
