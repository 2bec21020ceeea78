//! A client's columns as a batch: every check of an insert, with Milvus's texts.
//!
//! On the wire a nullable column holds only the rows that are present, beside one flag for each row; in a batch scalars have a slot for
//! every row. Vectors are taken over without a copy.
//!
//! Not here: keys that the server draws are given from outside; where rows go is `route`.
//!
//! Start at [`batch`].

use std::collections::BTreeSet;

use bytes::Bytes;
use proto::schema::scalar_field::Data;
use proto::schema::{FieldData, field_data};
use serde_json::value::RawValue;
use types::batch::Batch;
use types::bitset::Bitset;
use types::buffer::Buffer;
use types::column::{Column, Strings, Values};
use types::schema::{DYNAMIC_FIELD_NAME, DataType, Field, FieldKind, Schema};
use types::value::{Key, Value};
use types::{Error, Result};

use super::limits::Limits;

pub use vectors::{dense_values, sparse_values};

mod arrays;
#[cfg(test)]
mod tests;
mod vectors;

/// What the client's columns are checked against.
pub struct Expected<'a> {
    /// The collection's schema.
    pub schema: &'a Schema,
    /// Bounds of values.
    pub limits: &'a Limits,
    /// Rows of every column, above 0.
    pub rows: usize,
    /// Keys that the server has drawn; taken in place of the primary key's column.
    pub drawn: Option<&'a [i64]>,
}

/// The columns of a write in order of the schema, complete.
///
/// # Errors
/// Milvus's text for the first thing that is wrong.
pub fn batch(expected: &Expected<'_>, given: &[FieldData]) -> Result<Batch> {
    check_given(expected.schema, given)?;
    let columns = expected.schema.fields.iter().map(|field| column_of(expected, field, find(given, field)));
    Ok(Batch::new(expected.rows, columns.collect::<Result<_>>()?))
}

/// The primary key's column as the client gave it, whatever the server draws.
///
/// # Errors
/// It is missing or wrong.
pub fn given_keys(expected: &Expected<'_>, given: &[FieldData]) -> Result<Column> {
    let field = expected.schema.primary();
    match find(given, field) {
        Some(data) => checked_column(expected, field, data),
        None => Err(Error::invalid(format!("must assign pk when upsert, primary field: {}", field.name))),
    }
}

/// Whether the client gave a column of a field.
pub fn is_given(given: &[FieldData], field: &Field) -> bool {
    find(given, field).is_some()
}

/// The dynamic field may come under its name, or without one.
fn find<'a>(given: &'a [FieldData], field: &Field) -> Option<&'a FieldData> {
    let dynamic = field.kind == FieldKind::Dynamic;
    given.iter().find(|data| if dynamic { is_dynamic(data) } else { !is_dynamic(data) && data.field_name == field.name })
}

fn is_dynamic(data: &FieldData) -> bool {
    data.is_dynamic || data.field_name == DYNAMIC_FIELD_NAME
}

fn check_given(schema: &Schema, given: &[FieldData]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for data in given {
        let name = if is_dynamic(data) { DYNAMIC_FIELD_NAME } else { &data.field_name };
        if name == DYNAMIC_FIELD_NAME && schema.dynamic().is_none() {
            return Err(Error::invalid(format!("without dynamic schema enabled, the field name cannot be set to {DYNAMIC_FIELD_NAME}")));
        }
        if schema.field(name).is_none() || !seen.insert(name) {
            return Err(Error::invalid(format!("more fieldData has pass in, field name: {name}")));
        }
    }
    Ok(())
}

fn column_of(expected: &Expected<'_>, field: &Field, data: Option<&FieldData>) -> Result<Column> {
    if let (FieldKind::Primary, Some(ids)) = (field.kind, expected.drawn) {
        return Ok(Column::new(field.id, drawn_keys(field.data_type, ids)));
    }
    match data {
        Some(data) => checked_column(expected, field, data),
        None => absent(expected, field),
    }
}

fn drawn_keys(data_type: DataType, ids: &[i64]) -> Values {
    match data_type {
        DataType::VarChar => Values::VarChar(ids.iter().map(ToString::to_string).collect()),
        _ => Values::Int64(ids.to_vec().into()),
    }
}

fn absent(expected: &Expected<'_>, field: &Field) -> Result<Column> {
    if let Some(values) = field.default.as_ref().and_then(|value| Values::repeated(field.data_type, value, expected.rows)) {
        return Ok(Column::new(field.id, values));
    }
    if field.nullable {
        return Ok(Column::nulls(field, expected.rows));
    }
    Err(Error::invalid(format!("fieldSchema({}) has no corresponding fieldData pass in", field.name)))
}

fn checked_column(expected: &Expected<'_>, field: &Field, data: &FieldData) -> Result<Column> {
    let presence = Presence::of(expected, field, data)?;
    if field.data_type.is_vector() {
        return vectors::column(&presence, data);
    }
    let scalars = match &data.field {
        Some(field_data::Field::Scalars(scalars)) => scalars.data.as_ref(),
        _ => None,
    };
    let values = scalar_values(&presence, scalars, expected)?;
    // A field with a default is never null: the default stands in the null's place.
    let validity = if field.default.is_some() { None } else { presence.validity() };
    Ok(Column { field: field.id, validity, values })
}

/// Which rows of a column the client sent a value for.
struct Presence<'a> {
    field: &'a Field,
    rows: usize,
    /// One flag for each row, or none where all are present.
    flags: &'a [bool],
}

impl<'a> Presence<'a> {
    fn of(expected: &Expected<'_>, field: &'a Field, data: &'a FieldData) -> Result<Self> {
        let (rows, flags) = (expected.rows, &data.valid_data[..]);
        if !flags.is_empty() && flags.len() != rows {
            let reason = format!("the length of valid_data of field({}) is wrong", field.name);
            return Err(Error::expected(reason, rows, flags.len()));
        }
        if !field.nullable && field.default.is_none() && flags.contains(&false) {
            return Err(Error::invalid(format!("the field({}) is not nullable, but null values are passed in", field.name)));
        }
        Ok(Self { field, rows, flags: if flags.contains(&false) { flags } else { &[] } })
    }

    fn present(&self) -> usize {
        if self.flags.is_empty() { self.rows } else { self.flags.iter().filter(|&&flag| flag).count() }
    }

    fn validity(&self) -> Option<Bitset> {
        (!self.flags.is_empty()).then(|| Bitset::from_fn(self.rows, |row| self.flags[row]))
    }

    fn check_count(&self, count: usize) -> Result<()> {
        let name = &self.field.name;
        match (self.flags.is_empty(), count == self.present()) {
            (_, true) => Ok(()),
            (true, false) => {
                Err(Error::invalid(format!("the num_rows ({count}) of field ({name}) is not equal to passed num_rows ({})", self.rows)))
            }
            (false, false) => Err(Error::expected(format!("the length of field is wrong, field name: {name}"), self.present(), count)),
        }
    }

    /// A slot for every row: what the client sent, and `fill` where it sent nothing.
    fn spread<T: Clone>(&self, values: Vec<T>, fill: T) -> Vec<T> {
        if self.flags.is_empty() {
            return values;
        }
        let mut values = values.into_iter();
        // `check_count` compared the number of values with that of set flags.
        self.flags.iter().map(|&flag| if flag { values.next().unwrap_or(fill.clone()) } else { fill.clone() }).collect()
    }

    fn mismatch(&self, noun: &str, array: &str) -> Error {
        Error::expected(format!("{noun} field '{}' is illegal, array type mismatch", self.field.name), format!("need {array}"), "got nil")
    }
}

fn scalar_values(presence: &Presence<'_>, data: Option<&Data>, expected: &Expected<'_>) -> Result<Values> {
    let field = presence.field;
    let fill = field.default.as_ref();
    Ok(match (field.data_type, data) {
        (DataType::Bool, Some(Data::BoolData(array))) => {
            presence.check_count(array.data.len())?;
            let values = array.data.iter().map(|&value| u8::from(value)).collect();
            Values::Bool(presence.spread(values, u8::from(fill == Some(&Value::Bool(true)))).into())
        }
        (DataType::Int8, Some(Data::IntData(array))) => Values::Int8(integers::<i8>(presence, &array.data)?),
        (DataType::Int16, Some(Data::IntData(array))) => Values::Int16(integers::<i16>(presence, &array.data)?),
        (DataType::Int32, Some(Data::IntData(array))) => Values::Int32(integers::<i32>(presence, &array.data)?),
        (DataType::Int64, Some(Data::LongData(array))) => {
            presence.check_count(array.data.len())?;
            Values::Int64(presence.spread(array.data.clone(), integer_fill(fill)).into())
        }
        (DataType::Float, Some(Data::FloatData(array))) => {
            presence.check_count(array.len())?;
            let values: Vec<f32> = array.iter().collect();
            check_finite(&values)?;
            Values::Float(presence.spread(values, float_fill(fill) as f32).into())
        }
        (DataType::Double, Some(Data::DoubleData(array))) => {
            presence.check_count(array.data.len())?;
            check_finite(&array.data)?;
            Values::Double(presence.spread(array.data.clone(), float_fill(fill)).into())
        }
        (DataType::VarChar, Some(Data::StringData(array))) => Values::VarChar(texts(presence, &array.data)?),
        (DataType::Array, Some(Data::ArrayData(array))) => Values::Array(arrays::arrays(presence, array)?),
        (DataType::Json, Some(Data::JsonData(array))) => Values::Json(jsons(presence, &array.data, expected)?),
        // Some clients send no list at all where every row is null.
        (_, None) if presence.present() == 0 && fill.is_none() => Column::nulls(field, presence.rows).values,
        _ => {
            let (noun, array) = illegal_words(field);
            return Err(presence.mismatch(noun, &array));
        }
    })
}

/// How Milvus's text calls a column of a scalar field, and what it would have needed.
fn illegal_words(field: &Field) -> (&'static str, String) {
    let (noun, array) = match field.data_type {
        DataType::Bool => ("bool", "bool array"),
        DataType::Int8 | DataType::Int16 | DataType::Int32 => ("integer", "int array"),
        DataType::Int64 => ("integer", "long int array"),
        DataType::Float => ("float", "float32 array"),
        DataType::Double => ("double", "double(float64) array"),
        DataType::VarChar => ("varchar", "string array"),
        DataType::Array => return ("array", format!("{} array", field.element_type.map_or("None", DataType::name))),
        _ => ("json", "json array"),
    };
    (noun, array.to_owned())
}

fn integer_fill(fill: Option<&Value>) -> i64 {
    match fill {
        Some(Value::Int(value)) => *value,
        _ => 0,
    }
}

fn float_fill(fill: Option<&Value>) -> f64 {
    match fill {
        Some(Value::Float(value)) => *value,
        _ => 0.0,
    }
}

fn integers<T: TryFrom<i64> + Copy + bytemuck::Pod>(presence: &Presence<'_>, given: &[i32]) -> Result<Buffer<T>> {
    presence.check_count(given.len())?;
    let values = narrowed::<T>(given)?;
    // The schema's check saw that a default fits its type.
    let fill = T::try_from(integer_fill(presence.field.default.as_ref())).unwrap_or(T::zeroed());
    Ok(presence.spread(values, fill).into())
}

fn narrowed<T: TryFrom<i64> + Copy>(given: &[i32]) -> Result<Vec<T>> {
    let narrow = |(i, &value): (usize, &i32)| {
        T::try_from(i64::from(value)).map_err(|_| {
            let bits = 8 * size_of::<T>() as u32;
            let (low, high) = (-(1i64 << (bits - 1)), (1i64 << (bits - 1)) - 1);
            Error::invalid(format!("the {i}th element ({value}) out of range: [{low}, {high}]"))
        })
    };
    given.iter().enumerate().map(narrow).collect()
}

/// Values looked at in one go without a branch.
const FINITE_CHUNK: usize = 1_024;

fn check_finite<T: Copy + Into<f64>>(values: &[T]) -> Result<()> {
    let is_finite = |chunk: &[T]| chunk.iter().fold(true, |all, &value| all & value.into().is_finite());
    for chunk in values.chunks(FINITE_CHUNK) {
        if !is_finite(chunk) {
            let value: f64 = chunk.iter().map(|&value| value.into()).find(|value| !value.is_finite()).unwrap_or(f64::NAN);
            let text = if value.is_nan() { "NaN" } else { ["-Inf", "+Inf"][usize::from(value > 0.0)] };
            return Err(Error::invalid(format!("value '{text}' is not a number or infinity")));
        }
    }
    Ok(())
}

fn texts(presence: &Presence<'_>, given: &[String]) -> Result<Strings> {
    let field = presence.field;
    presence.check_count(given.len())?;
    let longest = field.max_length.unwrap_or(u32::MAX) as usize;
    if let Some((row, text)) = given.iter().enumerate().find(|(_, text)| text.len() > longest) {
        let (name, length) = (&field.name, text.len());
        return Err(Error::invalid(format!(
            "length of varchar field {name} exceeds max length, row number: {row}, length: {length}, max length: {longest}"
        )));
    }
    let fill = match &field.default {
        Some(Value::String(text)) => text,
        _ => "",
    };
    Ok(presence.spread(given.iter().map(String::as_str).collect(), fill).into_iter().collect())
}

fn jsons(presence: &Presence<'_>, given: &[Bytes], expected: &Expected<'_>) -> Result<Strings> {
    let field = presence.field;
    presence.check_count(given.len())?;
    let mut texts = Vec::with_capacity(given.len());
    for (row, bytes) in given.iter().enumerate() {
        texts.push(json_text((row, bytes), field, expected)?);
    }
    // What a null stands for in storage is nobody's to look at, except in `$meta`, which has a default.
    let fill = if field.kind == FieldKind::Dynamic { "{}" } else { "" };
    Ok(presence.spread(texts, fill).into_iter().collect())
}

fn json_text<'a>((row, bytes): (usize, &'a Bytes), field: &Field, expected: &Expected<'_>) -> Result<&'a str> {
    let (name, length, longest) = (&field.name, bytes.len(), expected.limits.json_bytes);
    let dynamic = field.kind == FieldKind::Dynamic;
    if length > longest {
        let (which, valid) = match dynamic {
            true => ("dynamic field".to_owned(), "valid length dynamic field"),
            false => (format!("json field ({name})"), "valid length json string"),
        };
        let reason = format!("the length ({length}) of {which} exceeds max length ({longest})");
        return Err(Error::expected(reason, valid, "length exceeds max length"));
    }
    let wrong = |what: &dyn std::fmt::Display| Error::invalid(format!("json field '{name}' is illegal, row number: {row}: {what}"));
    let text = std::str::from_utf8(bytes).map_err(|error| wrong(&error))?;
    if dynamic {
        check_dynamic(text, expected.schema).map_err(|error| match error {
            Dynamic::NotAnObject(error) => wrong(&error),
            Dynamic::Key(error) => error,
        })?;
    } else {
        serde_json::from_str::<&RawValue>(text).map_err(|error| wrong(&error))?;
    }
    Ok(text)
}

enum Dynamic {
    NotAnObject(serde_json::Error),
    Key(Error),
}

/// A row's dynamic part is an object whose keys aren't those of the schema.
fn check_dynamic(text: &str, schema: &Schema) -> Result<(), Dynamic> {
    let keys: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(Dynamic::NotAnObject)?;
    for key in keys.keys() {
        if key == DYNAMIC_FIELD_NAME {
            return Err(Dynamic::Key(Error::invalid(format!("cannot set json key to: {DYNAMIC_FIELD_NAME}"))));
        }
        if schema.field(key).is_some() {
            return Err(Dynamic::Key(Error::invalid(format!("dynamic field name cannot include the static field name: {key}"))));
        }
    }
    Ok(())
}

/// Keys as a column's values.
///
/// # Errors
/// A key of another type than the primary key's: whoever gave it is broken.
pub fn keys<'a>(keys: impl Iterator<Item = &'a Key>, data_type: DataType) -> Result<Values> {
    let wrong = |key: &Key| Error::internal(format!("{key} isn't a key of type {data_type}"));
    if data_type == DataType::VarChar {
        let text = |key: &'a Key| if let Key::String(text) = key { Ok(text.as_ref()) } else { Err(wrong(key)) };
        return Ok(Values::VarChar(keys.map(text).collect::<Result<Vec<&str>>>()?.into_iter().collect()));
    }
    let number = |key: &Key| if let Key::Int(number) = key { Ok(*number) } else { Err(wrong(key)) };
    Ok(Values::Int64(keys.map(number).collect::<Result<Vec<i64>>>()?.into()))
}
