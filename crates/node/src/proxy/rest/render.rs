//! Columns of an answer as rows of JSON: every type of a field, written straight into the text.
//!
//! Scalars have a slot for each row; vectors of nullable fields have one for each row that isn't null. Floats are written with as few digits as
//! name them, integers with all of theirs. What isn't there is `null`.
//!
//! Not here: rows as requests bring them ([`super::rows`]).
//!
//! Start at [`rows`].

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use proto::schema::scalar_field::Data;
use proto::schema::{FieldData, FloatArray, IDs, ScalarField, VectorField, field_data, i_ds, vector_field};
use serde_json::value::RawValue;
use types::Result;

use super::asked::Int64;
use super::envelope::search_result;
use super::structs::plain_name;

/// What rows are made of.
pub struct Answer {
    /// Columns.
    pub columns: Vec<FieldData>,
    /// Keys under their field's name, beside columns that lack them.
    pub keys: Option<(String, IDs)>,
    /// How near each row is.
    pub distances: Vec<f32>,
    /// How Int64 values stand.
    pub int64: Int64,
}

/// The JSON list of an answer's rows.
///
/// # Errors
/// 1805 for a dynamic field that isn't an object.
pub fn rows(answer: &Answer) -> Result<String> {
    let columns: Vec<Column<'_>> = answer.columns.iter().map(|data| Column::new(data, answer.int64)).collect();
    let keys = answer.keys.as_ref().filter(|(name, _)| !answer.columns.iter().any(|data| data.field_name == *name));
    let counts = columns.iter().map(|column| column.rows);
    let count = counts.chain([answer.distances.len(), answer.keys.as_ref().map_or(0, |(_, ids)| id_count(ids))]).max().unwrap_or(0);
    let mut out = Text::default();
    out.list(0..count, |out, row| {
        out.open('{');
        for column in &columns {
            column.member(row, out)?;
        }
        if let Some((name, ids)) = keys {
            out.key(name);
            id(ids, row, answer.int64, out);
        }
        if let Some(distance) = answer.distances.get(row) {
            out.key("distance");
            out.float(*distance);
        }
        out.close('}');
        Ok(())
    })?;
    Ok(out.0)
}

/// The JSON list of keys.
pub fn ids(ids: &IDs, int64: Int64) -> String {
    let mut out = Text::default();
    let written = out.list(0..id_count(ids), |out, row| {
        id(ids, row, int64, out);
        Ok(())
    });
    debug_assert!(written.is_ok(), "a key is always written");
    out.0
}

fn id_count(ids: &IDs) -> usize {
    match &ids.id_field {
        Some(i_ds::IdField::IntId(array)) => array.data.len(),
        Some(i_ds::IdField::StrId(array)) => array.data.len(),
        None => 0,
    }
}

fn id(ids: &IDs, row: usize, int64: Int64, out: &mut Text) {
    match &ids.id_field {
        Some(i_ds::IdField::IntId(array)) => out.optional(array.data.get(row), |out, value| out.long(*value, int64)),
        Some(i_ds::IdField::StrId(array)) => out.optional(array.data.get(row), |out, value| out.string(value)),
        None => out.null(),
    }
}

/// JSON as it grows.
#[derive(Default)]
struct Text(String);

impl Text {
    fn open(&mut self, sign: char) {
        self.0.push(sign);
    }

    fn close(&mut self, sign: char) {
        self.0.push(sign);
    }

    /// A comma, unless something has just been opened.
    fn separate(&mut self) {
        if !self.0.ends_with(['{', '[']) {
            self.0.push(',');
        }
    }

    fn key(&mut self, name: &str) {
        self.separate();
        self.string(name);
        self.0.push(':');
    }

    fn raw(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn null(&mut self) {
        self.raw("null");
    }

    fn string(&mut self, text: &str) {
        self.raw(&serde_json::Value::from(text).to_string());
    }

    fn long(&mut self, value: i64, int64: Int64) {
        match int64 {
            Int64::Number => self.raw(&value.to_string()),
            Int64::Text => self.raw(&format!("\"{value}\"")),
        }
    }

    fn float(&mut self, value: f32) {
        self.raw(&serde_json::to_string(&value).unwrap_or_else(|_| "null".to_owned()));
    }

    fn double(&mut self, value: f64) {
        self.raw(&serde_json::to_string(&value).unwrap_or_else(|_| "null".to_owned()));
    }

    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            Some(value) => write(self, value),
            None => self.null(),
        }
    }

    fn list<T>(&mut self, values: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Self, T) -> Result<()>) -> Result<()> {
        self.open('[');
        for (i, value) in values.into_iter().enumerate() {
            if i > 0 {
                self.0.push(',');
            }
            write(self, value)?;
        }
        self.close(']');
        Ok(())
    }

    fn flat<T>(&mut self, values: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        self.open('[');
        for (i, value) in values.into_iter().enumerate() {
            if i > 0 {
                self.0.push(',');
            }
            write(self, value);
        }
        self.close(']');
    }
}

/// One column, ready to give its value of any row.
struct Column<'a> {
    data: &'a FieldData,
    int64: Int64,
    rows: usize,
    /// Where the value of each row lies, of columns that leave nulls out.
    places: Option<Vec<Option<usize>>>,
}

impl<'a> Column<'a> {
    fn new(data: &'a FieldData, int64: Int64) -> Self {
        let stored = stored(data);
        let valid = &data.valid_data;
        let places = (valid.len() > stored).then(|| {
            let mut next = 0;
            let place = |&valid: &bool| {
                let place = next;
                next += usize::from(valid);
                valid.then_some(place)
            };
            valid.iter().map(place).collect()
        });
        Self { data, int64, rows: stored.max(valid.len()), places }
    }

    fn place(&self, row: usize) -> Option<usize> {
        match &self.places {
            Some(places) => places.get(row).copied().flatten(),
            None => self.data.valid_data.get(row).copied().unwrap_or(true).then_some(row),
        }
    }

    fn member(&self, row: usize, out: &mut Text) -> Result<()> {
        if self.data.is_dynamic {
            return self.dynamic_members(row, out);
        }
        out.key(&self.data.field_name);
        match (self.place(row), &self.data.field) {
            (Some(place), Some(field_data::Field::Scalars(scalars))) => scalar(scalars, place, self.int64, out),
            (Some(place), Some(field_data::Field::Vectors(vectors))) => vector(vectors, place, out),
            (Some(place), Some(field_data::Field::StructArrays(array))) => structure(&self.data.field_name, &array.fields, place, out),
            _ => out.null(),
        }
        Ok(())
    }

    /// The dynamic field's keys stand beside the fields.
    fn dynamic_members(&self, row: usize, out: &mut Text) -> Result<()> {
        let Some(field_data::Field::Scalars(ScalarField { data: Some(Data::JsonData(array)) })) = &self.data.field else { return Ok(()) };
        let Some(text) = self.place(row).and_then(|place| array.data.get(place)).filter(|text| !text.is_empty()) else { return Ok(()) };
        let members: BTreeMap<String, &RawValue> = serde_json::from_slice(text).map_err(search_result)?;
        for (name, value) in members {
            out.key(&name);
            out.raw(value.get());
        }
        Ok(())
    }
}

/// Values that a column holds.
fn stored(data: &FieldData) -> usize {
    match &data.field {
        Some(field_data::Field::Scalars(scalars)) => scalars.data.as_ref().map_or(0, length),
        Some(field_data::Field::Vectors(vectors)) => vector_count(vectors),
        Some(field_data::Field::StructArrays(array)) => array.fields.iter().map(stored).max().unwrap_or(0),
        None => 0,
    }
}

fn length(data: &Data) -> usize {
    match data {
        Data::BoolData(array) => array.data.len(),
        Data::IntData(array) => array.data.len(),
        Data::LongData(array) => array.data.len(),
        Data::FloatData(array) => array.len(),
        Data::DoubleData(array) => array.data.len(),
        Data::StringData(array) => array.data.len(),
        Data::BytesData(array) => array.data.len(),
        Data::ArrayData(array) => array.data.len(),
        Data::JsonData(array) => array.data.len(),
        Data::GeometryData(array) => array.data.len(),
        Data::TimestamptzData(array) => array.data.len(),
        Data::GeometryWktData(array) => array.data.len(),
        Data::MolData(array) => array.data.len(),
        Data::MolSmilesData(array) => array.data.len(),
        Data::DateData(array) => array.data.len(),
        Data::TimeData(array) => array.data.len(),
    }
}

fn vector_count(vectors: &VectorField) -> usize {
    match &vectors.data {
        Some(vector_field::Data::SparseFloatVector(array)) => array.contents.len(),
        Some(vector_field::Data::VectorArray(array)) => array.data.len(),
        Some(vector_field::Data::FloatVector(floats)) => floats.len().checked_div(vectors.dim as usize).unwrap_or(0),
        Some(data) => width(vectors).and_then(|width| bytes_of(data)?.len().checked_div(width)).unwrap_or(0),
        None => 0,
    }
}

fn bytes_of(data: &vector_field::Data) -> Option<&Bytes> {
    match data {
        vector_field::Data::BinaryVector(bytes)
        | vector_field::Data::Float16Vector(bytes)
        | vector_field::Data::Bfloat16Vector(bytes)
        | vector_field::Data::Int8Vector(bytes) => Some(bytes),
        _ => None,
    }
}

/// Bytes of one vector of those that are bytes.
fn width(vectors: &VectorField) -> Option<usize> {
    let dimension = usize::try_from(vectors.dim).ok()?;
    match vectors.data {
        Some(vector_field::Data::BinaryVector(_)) => Some(dimension / 8),
        Some(vector_field::Data::Float16Vector(_) | vector_field::Data::Bfloat16Vector(_)) => Some(dimension * 2),
        Some(vector_field::Data::Int8Vector(_)) => Some(dimension),
        _ => None,
    }
}

fn float_at(floats: &FloatArray, at: usize) -> Option<f32> {
    let bytes = floats.as_bytes().get(at * 4..at * 4 + 4)?;
    Some(f32::from_le_bytes(bytes.try_into().ok()?))
}

fn scalar(field: &ScalarField, at: usize, int64: Int64, out: &mut Text) {
    let text = |bytes: &Bytes, out: &mut Text| out.string(&String::from_utf8_lossy(bytes));
    match &field.data {
        Some(Data::BoolData(array)) => out.optional(array.data.get(at), |out, value| out.raw(&value.to_string())),
        Some(Data::IntData(array)) => out.optional(array.data.get(at), |out, value| out.raw(&value.to_string())),
        Some(Data::DateData(array)) => out.optional(array.data.get(at), |out, value| out.raw(&value.to_string())),
        Some(Data::LongData(array)) => out.optional(array.data.get(at), |out, value| out.long(*value, int64)),
        Some(Data::TimestamptzData(array)) => out.optional(array.data.get(at), |out, value| out.long(*value, int64)),
        Some(Data::TimeData(array)) => out.optional(array.data.get(at), |out, value| out.long(*value, int64)),
        Some(Data::FloatData(array)) => out.optional(float_at(array, at), Text::float),
        Some(Data::DoubleData(array)) => out.optional(array.data.get(at), |out, value| out.double(*value)),
        Some(Data::StringData(array)) => out.optional(array.data.get(at), |out, value| out.string(value)),
        Some(Data::GeometryWktData(array)) => out.optional(array.data.get(at), |out, value| out.string(value)),
        Some(Data::MolSmilesData(array)) => out.optional(array.data.get(at), |out, value| out.string(value)),
        Some(Data::JsonData(array)) => out.optional(array.data.get(at), |out, value| text(value, out)),
        Some(Data::BytesData(array)) => out.optional(array.data.get(at), |out, value| out.string(&BASE64.encode(value))),
        Some(Data::GeometryData(array)) => out.optional(array.data.get(at), |out, value| out.string(&BASE64.encode(value))),
        Some(Data::MolData(array)) => out.optional(array.data.get(at), |out, value| out.string(&BASE64.encode(value))),
        Some(Data::ArrayData(array)) => out.optional(array.data.get(at), tagged_array),
        None => out.null(),
    }
}

/// An array as Milvus's REST has it: the message's own form, `{"Data":{"LongData":{"data":[1,2]}}}`.
fn tagged_array(out: &mut Text, value: &ScalarField) {
    let name = match &value.data {
        Some(Data::BoolData(_)) => "BoolData",
        Some(Data::IntData(_)) => "IntData",
        Some(Data::LongData(_)) => "LongData",
        Some(Data::FloatData(_)) => "FloatData",
        Some(Data::DoubleData(_)) => "DoubleData",
        Some(Data::StringData(_)) => "StringData",
        _ => return out.raw("{\"Data\":null}"),
    };
    out.raw("{\"Data\":{\"");
    out.raw(name);
    out.raw("\":{\"data\":");
    out.flat(0..value.data.as_ref().map_or(0, length), |out, at| scalar(value, at, Int64::Number, out));
    out.raw("}}}");
}

fn vector(vectors: &VectorField, at: usize, out: &mut Text) {
    let dimension = usize::try_from(vectors.dim).unwrap_or(0);
    match &vectors.data {
        Some(vector_field::Data::FloatVector(floats)) => {
            let values = (at * dimension..(at + 1) * dimension).map_while(|at| float_at(floats, at));
            out.flat(values, Text::float);
        }
        Some(vector_field::Data::SparseFloatVector(array)) => out.optional(array.contents.get(at), sparse),
        Some(vector_field::Data::VectorArray(array)) => out.optional(array.data.get(at), |out, vectors| {
            out.flat(0..vector_count(vectors), |out, at| vector(vectors, at, out));
        }),
        Some(data) => {
            let bytes = width(vectors).and_then(|width| bytes_of(data)?.get(at * width..(at + 1) * width));
            match (bytes, data) {
                (Some(bytes), vector_field::Data::Int8Vector(_)) => {
                    out.flat(bytes, |out, &byte| out.raw(&(byte as i8).to_string()));
                }
                (bytes, _) => out.optional(bytes, |out, bytes| out.string(&BASE64.encode(bytes))),
            }
        }
        None => out.null(),
    }
}

/// `{"3":0.5}`.
fn sparse(out: &mut Text, bytes: &Bytes) {
    out.open('{');
    let (pairs, _) = bytes.as_chunks::<8>();
    for &[a, b, c, d, e, f, g, h] in pairs {
        out.key(&u32::from_le_bytes([a, b, c, d]).to_string());
        out.float(f32::from_le_bytes([e, f, g, h]));
    }
    out.close('}');
}

/// A row of a struct field: an object for each element, of the elements of all members.
fn structure(name: &str, fields: &[FieldData], row: usize, out: &mut Text) {
    let count = fields.iter().map(|field| elements(field, row)).max().unwrap_or(0);
    out.flat(0..count, |out, at| {
        out.open('{');
        for field in fields {
            out.key(plain_name(name, &field.field_name));
            element(field, (row, at), out);
        }
        out.close('}');
    });
}

fn elements(field: &FieldData, row: usize) -> usize {
    match &field.field {
        Some(field_data::Field::Scalars(ScalarField { data: Some(Data::ArrayData(array)) })) => {
            array.data.get(row).and_then(|value| value.data.as_ref()).map_or(0, length)
        }
        Some(field_data::Field::Vectors(VectorField { data: Some(vector_field::Data::VectorArray(array)), .. })) => {
            array.data.get(row).map_or(0, vector_count)
        }
        _ => 0,
    }
}

fn element(field: &FieldData, (row, at): (usize, usize), out: &mut Text) {
    match &field.field {
        Some(field_data::Field::Scalars(ScalarField { data: Some(Data::ArrayData(array)) })) => {
            out.optional(array.data.get(row), |out, value| scalar(value, at, Int64::Number, out));
        }
        Some(field_data::Field::Vectors(VectorField { data: Some(vector_field::Data::VectorArray(array)), .. })) => {
            out.optional(array.data.get(row), |out, vectors| vector(vectors, at, out));
        }
        _ => out.null(),
    }
}

#[cfg(test)]
mod tests {
    use proto::schema::{
        ArrayArray, BoolArray, DataType, DoubleArray, IntArray, JsonArray, LongArray, SparseFloatArray, StringArray, StructArrayField,
        VectorArray,
    };

    use super::*;

    fn column(name: &str, valid: &[bool], field: field_data::Field) -> FieldData {
        FieldData { field_name: name.to_owned(), valid_data: valid.to_vec(), field: Some(field), ..FieldData::default() }
    }

    fn scalars(data: Data) -> field_data::Field {
        field_data::Field::Scalars(ScalarField { data: Some(data) })
    }

    fn vectors(dim: i64, data: vector_field::Data) -> field_data::Field {
        field_data::Field::Vectors(VectorField { dim, data: Some(data) })
    }

    fn check(columns: Vec<FieldData>, expected: &str) {
        let answer = Answer { columns, keys: None, distances: Vec::new(), int64: Int64::Number };
        assert_eq!(rows(&answer), Ok(expected.to_owned()));
    }

    #[test]
    fn every_type() {
        let longs = |data: &[i64]| LongArray { data: data.to_vec() };
        let array = |data: &[i64]| ScalarField { data: Some(Data::LongData(longs(data))) };
        let arrays = |rows: Vec<ScalarField>| Data::ArrayData(ArrayArray { data: rows, element_type: DataType::Int64 as i32 });
        let pair = [3u32.to_le_bytes(), 0.5f32.to_le_bytes()].concat();
        let sparse = SparseFloatArray { contents: vec![pair.into(), Bytes::new()], dim: 4 };
        let json = JsonArray { data: vec![Bytes::from_static(b"{\"a\": 1.50}")] };
        let cases = [
            (scalars(Data::BoolData(BoolArray { data: vec![true] })), r#"[{"f":true}]"#),
            (scalars(Data::IntData(IntArray { data: vec![-1, 2] })), r#"[{"f":-1},{"f":2}]"#),
            (scalars(Data::LongData(longs(&[i64::MIN]))), r#"[{"f":-9223372036854775808}]"#),
            (scalars(Data::FloatData(FloatArray::from(vec![0.1, f32::NAN]))), r#"[{"f":0.1},{"f":null}]"#),
            (scalars(Data::DoubleData(DoubleArray { data: vec![0.1, 1e300] })), r#"[{"f":0.1},{"f":1e+300}]"#),
            (scalars(Data::StringData(StringArray { data: vec!["a\"\n".to_owned()] })), r#"[{"f":"a\"\n"}]"#),
            (scalars(Data::JsonData(json)), r#"[{"f":"{\"a\": 1.50}"}]"#),
            (
                scalars(arrays(vec![array(&[1, 2]), array(&[])])),
                r#"[{"f":{"Data":{"LongData":{"data":[1,2]}}}},{"f":{"Data":{"LongData":{"data":[]}}}}]"#,
            ),
            (
                vectors(2, vector_field::Data::FloatVector(FloatArray::from(vec![0.1, 2.0, 3.0, 4.0]))),
                r#"[{"f":[0.1,2.0]},{"f":[3.0,4.0]}]"#,
            ),
            (vectors(16, vector_field::Data::BinaryVector(Bytes::from_static(&[255, 1]))), r#"[{"f":"/wE="}]"#),
            (vectors(1, vector_field::Data::Float16Vector(Bytes::from_static(&[0, 56]))), r#"[{"f":"ADg="}]"#),
            (vectors(2, vector_field::Data::Int8Vector(Bytes::from_static(&[128, 1]))), r#"[{"f":[-128,1]}]"#),
            (vectors(4, vector_field::Data::SparseFloatVector(sparse)), r#"[{"f":{"3":0.5}},{"f":{}}]"#),
        ];
        for (field, expected) in cases {
            check(vec![column("f", &[], field)], expected);
        }
    }

    #[test]
    fn nulls_keys_distances_and_the_dynamic_field() {
        let scalar = column("n", &[true, false], scalars(Data::LongData(LongArray { data: vec![i64::MAX, 0] })));
        let floats = vector_field::Data::FloatVector(FloatArray::from(vec![3.0, 4.0]));
        let vector = column("v", &[false, true], vectors(2, floats));
        let json =
            JsonArray { data: vec![Bytes::from_static(b"{\"big\": 18446744073709551615, \"a b\": [1]}"), Bytes::from_static(b"{}")] };
        let dynamic = FieldData { is_dynamic: true, ..column("$meta", &[], scalars(Data::JsonData(json))) };
        let answer = Answer {
            columns: vec![scalar, vector, dynamic],
            keys: Some(("id".to_owned(), IDs { id_field: Some(i_ds::IdField::IntId(LongArray { data: vec![7, 8] })) })),
            distances: vec![0.25, 1.0],
            int64: Int64::Text,
        };
        let expected = concat!(
            r#"[{"n":"9223372036854775807","v":null,"a b":[1],"big":18446744073709551615,"id":"7","distance":0.25},"#,
            r#"{"n":null,"v":[3.0,4.0],"id":"8","distance":1.0}]"#
        );
        assert_eq!(rows(&answer), Ok(expected.to_owned()));
        let texts = IDs { id_field: Some(i_ds::IdField::StrId(StringArray { data: vec!["a".to_owned(), "b".to_owned()] })) };
        assert_eq!(ids(&texts, Int64::Number), r#"["a","b"]"#);
        check(Vec::new(), "[]");
    }

    #[test]
    fn structs() {
        let longs = ScalarField { data: Some(Data::LongData(LongArray { data: vec![1, 2] })) };
        let numbers = ArrayArray { data: vec![longs], element_type: DataType::Int64 as i32 };
        let floats = vector_field::Data::FloatVector(FloatArray::from(vec![1.0, 2.0, 3.0, 4.0]));
        let row = VectorField { dim: 2, data: Some(floats) };
        let array = VectorArray { dim: 2, data: vec![row], element_type: DataType::FloatVector as i32 };
        let fields = vec![
            column("s[n]", &[], scalars(Data::ArrayData(numbers))),
            column("v", &[], vectors(2, vector_field::Data::VectorArray(array))),
        ];
        let field = field_data::Field::StructArrays(StructArrayField { fields });
        check(vec![column("s", &[], field)], r#"[{"s":[{"n":1,"v":[1.0,2.0]},{"n":2,"v":[3.0,4.0]}]}]"#);
    }

    #[test]
    fn columns_that_lie_about_their_sizes() {
        let short = column("a", &[true, true, true], scalars(Data::LongData(LongArray { data: vec![1] })));
        let odd = column("b", &[], vectors(0, vector_field::Data::FloatVector(FloatArray::from(vec![1.0]))));
        let negative = column("c", &[], vectors(-8, vector_field::Data::BinaryVector(Bytes::from_static(&[1]))));
        check(vec![short], r#"[{"a":1},{"a":null},{"a":null}]"#);
        check(vec![odd, negative], "[]");
    }
}
