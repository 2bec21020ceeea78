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

#[cfg(test)]
mod tests {
    use proto::schema::{
        ArrayArray, BoolArray, DoubleArray, FloatArray, IntArray, JsonArray, LongArray, ScalarField, SparseFloatArray, StringArray,
        VectorField, vector_field,
    };
    use types::column::Arrays;
    use types::id::FieldId;

    use super::*;

    fn schema(fields: &[&str]) -> Schema {
        serde_json::from_str(&format!(r#"{{"version": 1, "fields": [{}]}}"#, fields.join(","))).expect("a schema")
    }

    fn key_and(field: &str) -> Schema {
        schema(&[r#"{"id": 100, "name": "id", "data_type": "Int64", "kind": "Primary", "auto_id": true}"#, field])
    }

    fn scalars(name: &str, data: Data, valid_data: &[bool]) -> FieldData {
        let field = Some(field_data::Field::Scalars(ScalarField { data: Some(data) }));
        FieldData { field_name: name.to_owned(), valid_data: valid_data.to_vec(), field, ..FieldData::default() }
    }

    fn vectors(dim: i64, floats: &[f32], valid_data: &[bool]) -> FieldData {
        vectors_of(dim, vector_field::Data::FloatVector(FloatArray::from(floats.to_vec())), valid_data)
    }

    fn vectors_of(dim: i64, data: vector_field::Data, valid_data: &[bool]) -> FieldData {
        let field = Some(field_data::Field::Vectors(VectorField { dim, data: Some(data) }));
        FieldData { field_name: "f".to_owned(), valid_data: valid_data.to_vec(), field, ..FieldData::default() }
    }

    /// The column `f` of a write of two rows whose keys are drawn.
    fn column(field: &str, given: &[FieldData]) -> Result<Column> {
        let schema = key_and(field);
        let limits = Limits::default();
        let expected = Expected { schema: &schema, limits: &limits, rows: 2, drawn: Some(&[7, 8]) };
        let batch = batch(&expected, given)?;
        assert_eq!(batch.column(FieldId(100)).expect("keys").values, Values::Int64(vec![7, 8].into()));
        Ok(batch.column(FieldId(101)).expect("the column").clone())
    }

    fn field(data_type: &str, more: &str) -> String {
        format!(r#"{{"id": 101, "name": "f", "data_type": "{data_type}"{more}}}"#)
    }

    fn list_of(rows: Vec<Data>) -> ArrayArray {
        ArrayArray { data: rows.into_iter().map(|data| ScalarField { data: Some(data) }).collect(), element_type: 0 }
    }

    fn bools(data: &[bool]) -> Data {
        Data::BoolData(BoolArray { data: data.to_vec() })
    }

    fn floats(data: &[f32]) -> Data {
        Data::FloatData(FloatArray::from(data.to_vec()))
    }

    fn doubles(data: &[f64]) -> Data {
        Data::DoubleData(DoubleArray { data: data.to_vec() })
    }

    fn ints(data: &[i32]) -> Data {
        Data::IntData(IntArray { data: data.to_vec() })
    }

    fn longs(data: &[i64]) -> Data {
        Data::LongData(LongArray { data: data.to_vec() })
    }

    fn texts(data: &[&str]) -> Data {
        Data::StringData(StringArray { data: data.iter().map(|text| (*text).to_owned()).collect() })
    }

    fn jsons(data: &[&str]) -> Data {
        Data::JsonData(JsonArray { data: data.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect() })
    }

    #[test]
    fn every_type() {
        let cases = [
            ("Bool", "", Data::BoolData(BoolArray { data: vec![true, false] }), Values::Bool(vec![1, 0].into())),
            ("Int8", "", ints(&[-128, 127]), Values::Int8(vec![-128, 127].into())),
            ("Int16", "", ints(&[-32_768, 3]), Values::Int16(vec![-32_768, 3].into())),
            ("Int32", "", ints(&[i32::MIN, 3]), Values::Int32(vec![i32::MIN, 3].into())),
            ("Int64", "", longs(&[i64::MIN, 3]), Values::Int64(vec![i64::MIN, 3].into())),
            ("Float", "", Data::FloatData(FloatArray::from(vec![0.5, 1.0])), Values::Float(vec![0.5, 1.0].into())),
            ("Double", "", Data::DoubleData(DoubleArray { data: vec![0.5, 1.0] }), Values::Double(vec![0.5, 1.0].into())),
            ("VarChar", r#", "max_length": 3"#, texts(&["", "äb"]), Values::VarChar(["", "äb"].into_iter().collect())),
            ("Json", "", jsons(&["1", r#"{"a": [null]}"#]), Values::Json(["1", r#"{"a": [null]}"#].into_iter().collect())),
        ];
        for (name, more, data, values) in cases {
            let given = column(&field(name, more), &[scalars("f", data, &[])]);
            assert_eq!(given, Ok(Column::new(FieldId(101), values)), "{name}");
        }
        let lists = |rows: Vec<Data>| Data::ArrayData(list_of(rows));
        let arrays = [
            ("Bool", lists(vec![bools(&[true]), bools(&[false, true])]), Values::Bool(vec![1, 0, 1].into()), [0, 1, 3]),
            ("Int8", lists(vec![ints(&[]), ints(&[-128, 127])]), Values::Int8(vec![-128, 127].into()), [0, 0, 2]),
            ("Int16", lists(vec![ints(&[5]), ints(&[])]), Values::Int16(vec![5].into()), [0, 1, 1]),
            ("Int32", lists(vec![ints(&[5]), ints(&[i32::MIN])]), Values::Int32(vec![5, i32::MIN].into()), [0, 1, 2]),
            ("Int64", lists(vec![longs(&[5]), longs(&[i64::MIN])]), Values::Int64(vec![5, i64::MIN].into()), [0, 1, 2]),
            ("Float", lists(vec![floats(&[0.5, 1.0]), floats(&[])]), Values::Float(vec![0.5, 1.0].into()), [0, 2, 2]),
            ("Double", lists(vec![doubles(&[0.5]), doubles(&[1.0])]), Values::Double(vec![0.5, 1.0].into()), [0, 1, 2]),
            ("VarChar", lists(vec![texts(&["a", ""]), texts(&["äb"])]), Values::VarChar(["a", "", "äb"].into_iter().collect()), [0, 2, 3]),
        ];
        for (element, data, elements, offsets) in arrays {
            let field = field("Array", &format!(r#", "element_type": "{element}", "max_capacity": 2, "max_length": 3"#));
            let expected = Arrays::from_parts(offsets.to_vec().into(), elements).expect("lists");
            assert_eq!(column(&field, &[scalars("f", data, &[])]), Ok(Column::new(FieldId(101), Values::Array(expected))), "{element}");
        }
        let bytes = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
        let (one, two) = ([1, 0, 0, 0, 0, 0, 128, 63], [1, 0, 0, 0, 0, 0, 128, 63, 9, 0, 0, 0, 0, 0, 0, 64]);
        let sparse = SparseFloatArray { contents: vec![bytes(&one), bytes(&two)], dim: 10 };
        let entries: [(&[u32], &[f32]); 2] = [(&[1], &[1.0]), (&[1, 9], &[1.0, 2.0])];
        let dense = [
            (
                "BinaryVector",
                16,
                vector_field::Data::BinaryVector(bytes(&[1, 2, 3, 4])),
                Values::BinaryVector { dimension: 16, data: vec![1, 2, 3, 4].into() },
            ),
            (
                "Int8Vector",
                1,
                vector_field::Data::Int8Vector(bytes(&[1, 255])),
                Values::Int8Vector { dimension: 1, data: vec![1, -1].into() },
            ),
            (
                "Float16Vector",
                1,
                vector_field::Data::Float16Vector(bytes(&[0, 0x3c, 1, 0])),
                Values::Float16Vector { dimension: 1, data: vec![0x3c00, 1].into() },
            ),
            (
                "BFloat16Vector",
                1,
                vector_field::Data::Bfloat16Vector(bytes(&[0x80, 0x3f, 1, 0])),
                Values::BFloat16Vector { dimension: 1, data: vec![0x3f80, 1].into() },
            ),
            (
                "SparseFloatVector",
                10,
                vector_field::Data::SparseFloatVector(sparse),
                Values::SparseFloatVector(entries.into_iter().collect()),
            ),
        ];
        for (name, dim, data, values) in dense {
            let dimension = if name == "SparseFloatVector" { String::new() } else { format!(r#", "dimension": {dim}"#) };
            assert_eq!(column(&field(name, &dimension), &[vectors_of(dim, data, &[])]), Ok(Column::new(FieldId(101), values)), "{name}");
        }
        let vector = column(&field("FloatVector", r#", "dimension": 2"#), &[vectors(2, &[1.0, 2.0, 3.0, 4.0], &[])]).expect("vectors");
        assert_eq!(vector.values, Values::FloatVector { dimension: 2, data: vec![1.0, 2.0, 3.0, 4.0].into() });
    }

    #[test]
    fn nulls_come_compact_and_defaults_stand_in_for_them() {
        let null = r#", "nullable": true"#;
        let some = column(&field("Int64", null), &[scalars("f", longs(&[9]), &[false, true])]).expect("one value");
        assert_eq!((some.is_valid(0), some.is_valid(1), &some.values), (false, true, &Values::Int64(vec![0, 9].into())));
        let all = column(&field("Int64", null), &[scalars("f", longs(&[8, 9]), &[true, true])]).expect("two values");
        assert_eq!(all, Column::new(FieldId(101), Values::Int64(vec![8, 9].into())));
        let none = column(&field("VarChar", r#", "nullable": true, "max_length": 9"#), &[]).expect("absent");
        assert!(!none.is_valid(0) && !none.is_valid(1));
        let default = r#", "default": {"Int": 5}"#;
        let filled = column(&field("Int16", default), &[scalars("f", ints(&[9]), &[false, true])]).expect("one value");
        assert_eq!(filled, Column::new(FieldId(101), Values::Int16(vec![5, 9].into())));
        assert_eq!(column(&field("Int16", default), &[]), Ok(Column::new(FieldId(101), Values::Int16(vec![5, 5].into()))));
        let vector = r#", "nullable": true, "dimension": 2"#;
        let half = column(&field("FloatVector", vector), &[vectors(2, &[1.0, 2.0], &[true, false])]).expect("one vector");
        assert_eq!((half.rows(), half.values.slots(), half.is_valid(1)), (2, 1, false));
        let array = r#", "nullable": true, "element_type": "Int64", "max_capacity": 2"#;
        let one = Data::ArrayData(list_of(vec![longs(&[5, 6])]));
        let expected = Arrays::from_parts(vec![0, 0, 2].into(), Values::Int64(vec![5, 6].into())).expect("lists");
        let found = column(&field("Array", array), &[scalars("f", one, &[false, true])]).expect("one list");
        assert_eq!((found.is_valid(0), found.is_valid(1), found.values), (false, true, Values::Array(expected)));
        for (name, more) in [("SparseFloatVector", ""), ("Int8Vector", r#", "dimension": 3"#), ("Array", r#", "element_type": "VarChar""#)]
        {
            let nullable = field(name, &format!(r#", "nullable": true{more}"#));
            let nothing = FieldData { field_name: "f".to_owned(), valid_data: vec![false, false], ..FieldData::default() };
            for given in [&[][..], &[nothing]] {
                let column = column(&nullable, given).expect("nulls");
                assert_eq!((column.rows(), column.is_valid(0), column.is_valid(1)), (2, false, false), "{name}");
            }
        }
    }

    /// What is wrong with lists and with vectors that aren't of floats.
    #[test]
    fn milvus_texts_of_lists_and_vectors() {
        let bytes = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
        let array = |element: &str| field("Array", &format!(r#", "element_type": "{element}", "max_capacity": 2, "max_length": 3"#));
        let lists = |rows: Vec<Data>| vec![scalars("f", Data::ArrayData(list_of(rows)), &[])];
        let sparse = |row: &[u8]| {
            let contents = vec![bytes(row), Bytes::new()];
            vec![vectors_of(0, vector_field::Data::SparseFloatVector(SparseFloatArray { contents, dim: 0 }), &[])]
        };
        let entries = |entries: &[(u32, f32)]| {
            let bytes: Vec<u8> = entries.iter().flat_map(|(i, v)| [i.to_le_bytes(), v.to_le_bytes()].concat()).collect();
            sparse(&bytes)
        };
        let mismatch = "insert data does not match: invalid parameter[expected=";
        let illegal = "invalid parameter[expected=need";
        let int8 = |data: &[u8], dim| vec![vectors_of(dim, vector_field::Data::Int8Vector(bytes(data)), &[])];
        let bits = |data: &[u8], dim| vec![vectors_of(dim, vector_field::Data::BinaryVector(bytes(data)), &[])];
        let nothing = || vec![FieldData { field_name: "f".to_owned(), ..FieldData::default() }];
        let cases: Vec<(String, Vec<FieldData>, String)> = vec![
            (
                array("Int64"),
                lists(vec![longs(&[1]), longs(&[1, 2, 3])]),
                "the length (3) of 1th array exceeds max capacity (2): invalid parameter[expected=valid length array]".into(),
            ),
            (
                array("Int64"),
                lists(vec![longs(&[1]), ints(&[1])]),
                format!("{mismatch}int64 array][actual=*schemapb.ScalarField_IntData array]"),
            ),
            (
                array("Bool"),
                vec![scalars("f", Data::ArrayData(ArrayArray { data: vec![ScalarField::default(); 2], element_type: 0 }), &[])],
                format!("{mismatch}bool array][actual=nil array]"),
            ),
            (array("Int8"), lists(vec![ints(&[1]), ints(&[1, 200])]), "the 1th element (200) out of range: [-128, 127]".into()),
            (
                array("VarChar"),
                lists(vec![texts(&["a"]), texts(&["a", "äbc"])]),
                "length of Array array field \"f\" exceeds max length, row number: 1, array index: 1, length: 4, max length: 3".into(),
            ),
            (array("Int64"), nothing(), format!("array field 'f' is illegal, array type mismatch: {illegal} Int64 array][actual=got nil]")),
            (array("Int64"), lists(vec![longs(&[1])]), "the num_rows (1) of field (f) is not equal to passed num_rows (2)".into()),
            (field("SparseFloatVector", ""), entries(&[(2, 1.0), (2, 1.0)]), "unsorted or same indices in sparse float vector".into()),
            (field("SparseFloatVector", ""), entries(&[(2, -1.0)]), "negative value in sparse float vector".into()),
            (field("SparseFloatVector", ""), entries(&[(2, f32::NAN)]), "value 'NaN' is not a number or infinity".into()),
            (
                field("SparseFloatVector", ""),
                entries(&[(u32::MAX, 1.0)]),
                "invalid index in sparse float vector: must be less than 2^32-1".into(),
            ),
            (field("SparseFloatVector", ""), sparse(&[0; 9]), "invalid data length in sparse float vector: 9".into()),
            (
                field("SparseFloatVector", ""),
                nothing(),
                format!("sparse float field 'f' is illegal, nil SparseFloatVector: {illegal} sparse float array][actual=got nil]"),
            ),
            (
                field("Int8Vector", r#", "dimension": 2"#),
                bits(&[0; 4], 2),
                format!("int8 vector field 'f' is illegal, array type mismatch: {illegal} int8 vector][actual=got nil]"),
            ),
            (
                field("Int8Vector", r#", "dimension": 2"#),
                int8(&[0; 4], 4),
                "the dim (4) of field data(f) is not equal to schema dim (2)".into(),
            ),
            (field("Int8Vector", r#", "dimension": 2"#), int8(&[0; 3], 2), "the length(3) of int8 data should divide the dim(2)".into()),
            (
                field("BinaryVector", r#", "dimension": 16"#),
                bits(&[0; 3], 16),
                "the length(24) of all bits should divide the dim(16)".into(),
            ),
            (
                field("Float16Vector", r#", "dimension": 1"#),
                vec![vectors_of(1, vector_field::Data::Float16Vector(bytes(&[0, 0, 0, 0x7c])), &[])],
                "float16 vector contain nan or infinity value.".into(),
            ),
            (
                field("BFloat16Vector", r#", "dimension": 1"#),
                vec![vectors_of(1, vector_field::Data::Bfloat16Vector(bytes(&[0, 0, 0xc0, 0xff])), &[])],
                "bfloat16 vector contain nan or infinity value.".into(),
            ),
        ];
        for (field, given, text) in cases {
            let error = column(&field, &given).expect_err("a wrong column");
            assert_eq!(error.code().0, 1100, "{text}");
            assert!(error.reason().starts_with(&text), "{} … {text}", error.reason());
        }
    }

    #[test]
    fn milvus_texts() {
        let number = field("Int64", "");
        let vector = field("FloatVector", r#", "dimension": 2"#);
        let text = field("VarChar", r#", "max_length": 3"#);
        let json = field("Json", "");
        let long_json = format!("\"{}\"", "x".repeat(65_536));
        let nan = Data::DoubleData(DoubleArray { data: vec![0.0, f64::NAN] });
        let infinite = Data::FloatData(FloatArray::from(vec![f32::NEG_INFINITY, 1.0]));
        let mismatch = "illegal, array type mismatch: invalid parameter[expected=need";
        let cases: Vec<(String, Vec<FieldData>, String)> = vec![
            (number.clone(), vec![], "fieldSchema(f) has no corresponding fieldData pass in".into()),
            (
                number.clone(),
                vec![scalars("f", longs(&[1]), &[])],
                "the num_rows (1) of field (f) is not equal to passed num_rows (2)".into(),
            ),
            (number.clone(), vec![scalars("g", longs(&[1, 2]), &[])], "more fieldData has pass in, field name: g".into()),
            (
                number.clone(),
                vec![scalars("f", texts(&["", ""]), &[])],
                format!("integer field 'f' is {mismatch} long int array][actual=got nil]"),
            ),
            (
                number.clone(),
                vec![scalars("f", longs(&[1]), &[true, false])],
                "the field(f) is not nullable, but null values are passed in".into(),
            ),
            (
                number.clone(),
                vec![scalars("$meta", jsons(&["{}", "{}"]), &[])],
                "without dynamic schema enabled, the field name cannot be set to $meta".into(),
            ),
            (field("Int8", ""), vec![scalars("f", ints(&[-129, 1]), &[])], "the 0th element (-129) out of range: [-128, 127]".into()),
            (
                field("Int16", ""),
                vec![scalars("f", ints(&[1, 32_768]), &[])],
                "the 1th element (32768) out of range: [-32768, 32767]".into(),
            ),
            (field("Double", ""), vec![scalars("f", nan, &[])], "value 'NaN' is not a number or infinity".into()),
            (field("Float", ""), vec![scalars("f", infinite, &[])], "value '-Inf' is not a number or infinity".into()),
            (
                text.clone(),
                vec![scalars("f", texts(&["abc", "äbc"]), &[])],
                "length of varchar field f exceeds max length, row number: 1, length: 4, max length: 3".into(),
            ),
            (json.clone(), vec![scalars("f", jsons(&["1", "{"]), &[])], "json field 'f' is illegal, row number: 1: EOF".into()),
            (
                json.clone(),
                vec![scalars("f", jsons(&[&long_json, "1"]), &[])],
                "the length (65538) of json field (f) exceeds max length (65536)".into(),
            ),
            (
                vector.clone(),
                vec![scalars("f", longs(&[1, 2]), &[])],
                format!("float vector field 'f' is {mismatch} float vector][actual=got nil]"),
            ),
            (vector.clone(), vec![vectors(3, &[0.0; 6], &[])], "the dim (3) of field data(f) is not equal to schema dim (2)".into()),
            (vector.clone(), vec![vectors(2, &[0.0; 3], &[])], "the length(3) of float data should divide the dim(2)".into()),
            (vector.clone(), vec![vectors(2, &[0.0; 6], &[])], "the num_rows (3) of field (f) is not equal to passed num_rows (2)".into()),
            (vector.clone(), vec![vectors(2, &[0.0, f32::NAN, 0.0, 0.0], &[])], "value 'NaN' is not a number or infinity".into()),
            (
                field("Int64", r#", "nullable": true"#),
                vec![scalars("f", longs(&[1, 2]), &[true])],
                "the length of valid_data of field(f) is wrong: invalid parameter[expected=2][actual=1]".into(),
            ),
            (
                field("Int64", r#", "nullable": true"#),
                vec![scalars("f", longs(&[1, 2]), &[true, false])],
                "the length of field is wrong, field name: f: invalid parameter[expected=1][actual=2]".into(),
            ),
        ];
        for (field, given, text) in cases {
            let error = column(&field, &given).expect_err("a wrong column");
            assert_eq!(error.code().0, 1100, "{text}");
            assert!(error.reason().starts_with(&text), "{} … {text}", error.reason());
        }
    }

    #[test]
    fn dynamic_rows_are_objects_without_the_schemas_names() {
        let dynamic = r#"{"id": 101, "name": "$meta", "data_type": "Json", "kind": "Dynamic", "default": {"String": "{}"}}"#;
        let given = |rows: &[&str]| FieldData { is_dynamic: true, ..scalars("", jsons(rows), &[]) };
        assert_eq!(column(dynamic, &[]).expect("filled").values, Values::Json(["{}", "{}"].into_iter().collect()));
        let rows = [r#"{"a": 1}"#, "{}"];
        assert_eq!(column(dynamic, &[given(&rows)]).expect("as given").values, Values::Json(rows.into_iter().collect()));
        for (row, text) in [
            (r#"{"$meta": 1}"#, "cannot set json key to: $meta: invalid parameter"),
            (r#"{"id": 1}"#, "dynamic field name cannot include the static field name: id: invalid parameter"),
        ] {
            assert_eq!(column(dynamic, &[given(&[row, "{}"])]).expect_err("a wrong key").reason(), text);
        }
        assert!(column(dynamic, &[given(&["[]", "{}"])]).expect_err("no object").reason().starts_with("json field '$meta' is illegal"));
    }

    #[test]
    fn drawn_keys_are_decimal_texts_where_keys_are_texts() {
        let schema =
            schema(&[r#"{"id": 100, "name": "id", "data_type": "VarChar", "kind": "Primary", "auto_id": true, "max_length": 64}"#]);
        let limits = Limits::default();
        let expected = Expected { schema: &schema, limits: &limits, rows: 2, drawn: Some(&[7, 80]) };
        let batch = batch(&expected, &[]).expect("keys alone");
        assert_eq!(batch.columns()[0].values, Values::VarChar(["7", "80"].into_iter().collect()));
        let error = given_keys(&expected, &[]).expect_err("no keys given");
        assert_eq!(error.reason(), "must assign pk when upsert, primary field: id: invalid parameter");
    }
}
