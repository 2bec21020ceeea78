//! Arrays as clients send them: one list of scalars for each present row.
//!
//! Start at [`arrays`].

use std::borrow::Cow;

use proto::schema::scalar_field::Data;
use proto::schema::{ArrayArray, ScalarField};
use types::buffer::Buffer;
use types::column::{Arrays, Values};
use types::limits;
use types::schema::{DataType, Field};
use types::{Error, Result};

use super::{Presence, narrowed};

/// The lists of a column, a slot for every row.
///
/// # Errors
/// Milvus's text for the first list that is wrong.
pub(super) fn arrays(presence: &Presence<'_>, given: &ArrayArray) -> Result<Arrays> {
    let field = presence.field;
    let rows = &given.data;
    presence.check_count(rows.len())?;
    let most = field.max_capacity.unwrap_or(u32::MAX) as usize;
    let lengths: Vec<usize> = rows.iter().map(length).collect();
    if let Some((i, length)) = lengths.iter().enumerate().find(|(_, length)| **length > most) {
        let reason = format!("the length ({length}) of {i}th array exceeds max capacity ({most})");
        return Err(Error::expected(reason, "valid length array", "array length exceeds max capacity"));
    }
    let elements = elements(field, rows)?;
    let mut offsets = Vec::with_capacity(presence.rows + 1);
    offsets.push(0u32);
    for length in presence.spread(lengths, 0) {
        // A message is smaller than 4 GiB, and an element has at least a byte of it.
        offsets.push(offsets[offsets.len() - 1] + length as u32);
    }
    Arrays::from_parts(offsets.into(), elements).map_err(Error::internal)
}

fn length(row: &ScalarField) -> usize {
    match &row.data {
        Some(Data::BoolData(array)) => array.data.len(),
        Some(Data::IntData(array)) => array.data.len(),
        Some(Data::LongData(array)) => array.data.len(),
        Some(Data::FloatData(array)) => array.len(),
        Some(Data::DoubleData(array)) => array.data.len(),
        Some(Data::StringData(array)) => array.data.len(),
        _ => 0,
    }
}

fn elements(field: &Field, rows: &[ScalarField]) -> Result<Values> {
    let element = field.element_type.ok_or_else(|| Error::internal(format!("array field {} has no element type", field.name)))?;
    let ints = || lists(rows, "int", |data| if let Data::IntData(array) = data { Some(array.data.as_slice().into()) } else { None });
    Ok(match element {
        DataType::Bool => {
            let bools =
                lists(rows, "bool", |data| if let Data::BoolData(array) = data { Some(array.data.as_slice().into()) } else { None })?;
            Values::Bool(bools.concat().into_iter().map(u8::from).collect::<Vec<_>>().into())
        }
        DataType::Int8 => Values::Int8(narrowed_all::<i8>(&ints()?)?),
        DataType::Int16 => Values::Int16(narrowed_all::<i16>(&ints()?)?),
        DataType::Int32 => Values::Int32(ints()?.concat().into()),
        DataType::Int64 => {
            let longs =
                lists(rows, "int64", |data| if let Data::LongData(array) = data { Some(array.data.as_slice().into()) } else { None })?;
            Values::Int64(longs.concat().into())
        }
        DataType::Float => {
            let floats = lists(rows, "float", |data| if let Data::FloatData(array) = data { Some(array.floats()) } else { None })?;
            Values::Float(floats.concat().into())
        }
        DataType::Double => {
            let doubles =
                lists(rows, "double", |data| if let Data::DoubleData(array) = data { Some(array.data.as_slice().into()) } else { None })?;
            Values::Double(doubles.concat().into())
        }
        _ => {
            let texts =
                lists(rows, "string", |data| if let Data::StringData(array) = data { Some(array.data.as_slice().into()) } else { None })?;
            check_texts(field, &texts)?;
            Values::VarChar(texts.iter().flat_map(|list| list.iter()).collect())
        }
    })
}

/// The lists of the rows, as `pick` takes them from the message that they should be.
fn lists<'a, T: Clone>(rows: &'a [ScalarField], noun: &str, pick: impl Fn(&'a Data) -> Option<Cow<'a, [T]>>) -> Result<Vec<Cow<'a, [T]>>> {
    let list = |row: &'a ScalarField| {
        row.data.as_ref().and_then(&pick).ok_or_else(|| {
            let given = row.data.as_ref().map_or("nil", message_name);
            Error::expected("insert data does not match", format!("{noun} array"), format!("{given} array"))
        })
    };
    rows.iter().map(list).collect()
}

fn narrowed_all<T: TryFrom<i64> + Copy>(lists: &[Cow<'_, [i32]>]) -> Result<Buffer<T>> {
    Ok(lists.iter().map(|list| narrowed::<T>(list)).collect::<Result<Vec<_>>>()?.concat().into())
}

/// What Milvus's text calls a list of another type.
fn message_name(data: &Data) -> &'static str {
    match data {
        Data::BoolData(_) => "*schemapb.ScalarField_BoolData",
        Data::IntData(_) => "*schemapb.ScalarField_IntData",
        Data::LongData(_) => "*schemapb.ScalarField_LongData",
        Data::FloatData(_) => "*schemapb.ScalarField_FloatData",
        Data::DoubleData(_) => "*schemapb.ScalarField_DoubleData",
        Data::StringData(_) => "*schemapb.ScalarField_StringData",
        Data::ArrayData(_) => "*schemapb.ScalarField_ArrayData",
        Data::JsonData(_) => "*schemapb.ScalarField_JsonData",
        _ => "another",
    }
}

fn check_texts(field: &Field, lists: &[Cow<'_, [String]>]) -> Result<()> {
    let (name, longest) = (&field.name, field.max_length.unwrap_or(u32::MAX) as usize);
    for (row, list) in lists.iter().enumerate() {
        if let Some((i, text)) = list.iter().enumerate().find(|(_, text)| text.len() > longest) {
            let place = format!("row number: {row}, array index: {i}, length: {}, max length: {longest}", text.len());
            return Err(Error::invalid(format!("length of Array array field \"{name}\" exceeds max length, {place}")));
        }
        // As storage has them: a length before each.
        let bytes: usize = list.iter().map(|text| text.len() + size_of::<u32>()).sum();
        if bytes > limits::VALUE_BYTES_MAX {
            let most = limits::VALUE_BYTES_MAX;
            return Err(Error::invalid(format!("the {bytes} bytes of array field \"{name}\" exceed {most}, row number: {row}")));
        }
    }
    Ok(())
}
