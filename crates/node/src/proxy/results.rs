//! Columns as clients read them: scalars with a slot for every row, vectors of present rows, `$meta` cut down to the keys asked for.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proto::schema::scalar_field::Data;
use proto::schema::{
    BoolArray, DoubleArray, FieldData, FloatArray, IntArray, JsonArray, LongArray, ScalarField, StringArray, VectorField, field_data,
    vector_field,
};
use serde_json::value::RawValue;
use types::column::{Column, Strings, Values};
use types::schema::{Field, FieldKind};
use types::value::Key;
use types::{Error, Result};

/// A column of an answer. `keys` cuts the dynamic field down.
///
/// # Errors
/// A stored dynamic field that isn't an object.
pub fn field_data(field: &Field, column: Column, keys: Option<&BTreeSet<String>>) -> Result<FieldData> {
    let rows = column.rows();
    let valid_data = match (&column.validity, field.nullable) {
        (Some(validity), _) => (0..rows).map(|row| validity.get(row)).collect(),
        (None, true) => vec![true; rows],
        (None, false) => Vec::new(),
    };
    let dynamic = field.kind == FieldKind::Dynamic;
    let data = match column.values {
        Values::FloatVector { dimension, data } => {
            // Rows that were gathered are a buffer of their own; a shard's only answer is shared as it is.
            let floats = FloatArray::from(data.to_vec());
            let vectors = VectorField { dim: dimension as i64, data: Some(vector_field::Data::FloatVector(floats)) };
            field_data::Field::Vectors(vectors)
        }
        Values::Json(texts) if dynamic && keys.is_some() => {
            let cut = texts.iter().map(|text| cut_down(text, keys));
            scalar(Data::JsonData(JsonArray { data: cut.collect::<Result<_>>()? }))
        }
        values => scalar(scalars(&values)),
    };
    Ok(FieldData {
        r#type: field.data_type.number(),
        field_name: field.name.clone(),
        field_id: field.id.0,
        is_dynamic: dynamic,
        valid_data,
        field: Some(data),
    })
}

fn scalar(data: Data) -> field_data::Field {
    field_data::Field::Scalars(ScalarField { data: Some(data) })
}

fn scalars(values: &Values) -> Data {
    let texts = |texts: &Strings| texts.iter().map(str::to_owned).collect();
    match values {
        Values::Bool(values) => Data::BoolData(BoolArray { data: values.iter().map(|&value| value != 0).collect() }),
        Values::Int8(values) => Data::IntData(IntArray { data: values.iter().map(|&value| value.into()).collect() }),
        Values::Int16(values) => Data::IntData(IntArray { data: values.iter().map(|&value| value.into()).collect() }),
        Values::Int32(values) => Data::IntData(IntArray { data: values.to_vec() }),
        Values::Int64(values) => Data::LongData(LongArray { data: values.to_vec() }),
        Values::Float(values) => Data::FloatData(FloatArray::from(values.to_vec())),
        Values::Double(values) => Data::DoubleData(DoubleArray { data: values.to_vec() }),
        Values::VarChar(values) => Data::StringData(StringArray { data: texts(values) }),
        Values::Json(values) => Data::JsonData(JsonArray { data: jsons(values) }),
        Values::FloatVector { .. } => unreachable!("vectors are rendered as such"),
    }
}

/// Texts that share the column's memory.
fn jsons(values: &Strings) -> Vec<Bytes> {
    let ends = values.offsets().windows(2);
    ends.map(|pair| values.bytes().slice(pair[0] as usize..pair[1] as usize)).collect()
}

fn cut_down(text: &str, keys: Option<&BTreeSet<String>>) -> Result<Bytes> {
    let mut members: BTreeMap<String, &RawValue> =
        serde_json::from_str(text).map_err(|error| Error::corrupt(format!("a stored dynamic field isn't an object: {error}")))?;
    if let Some(keys) = keys {
        members.retain(|key, _| keys.contains(key));
    }
    Ok(serde_json::to_vec(&members).map_err(|error| Error::internal(format!("a dynamic field has no JSON form: {error}")))?.into())
}

/// Keys of hits as values.
pub fn keys(keys: &[Key]) -> Values {
    match keys.first() {
        Some(Key::String(_)) => super::columns::keys(keys.iter(), types::schema::DataType::VarChar),
        _ => super::columns::keys(keys.iter(), types::schema::DataType::Int64),
    }
}

/// The one column of `count(*)`.
pub fn count(rows: u64) -> FieldData {
    FieldData {
        r#type: types::schema::DataType::Int64.number(),
        field_name: COUNT.to_owned(),
        field: Some(scalar(Data::LongData(LongArray { data: vec![rows as i64] }))),
        ..FieldData::default()
    }
}

/// What a count is called, in requests and answers.
pub const COUNT: &str = "count(*)";
