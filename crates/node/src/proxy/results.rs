//! Columns as clients read them: scalars with a slot for every row, vectors of present rows, `$meta` cut down to the keys asked for.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proto::schema::scalar_field::Data;
use proto::schema::{
    ArrayArray, BoolArray, DoubleArray, FieldData, FloatArray, IntArray, JsonArray, LongArray, ScalarField, SparseFloatArray, StringArray,
    VectorField, field_data, vector_field,
};
use serde_json::value::RawValue;
use types::column::{Column, Strings, Values};
use types::schema::{Field, FieldKind};
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
        values if field.data_type.is_vector() => field_data::Field::Vectors(vectors(values)?),
        Values::Json(texts) if dynamic && keys.is_some() => {
            let cut = texts.iter().map(|text| cut_down(text, keys));
            scalar(Data::JsonData(JsonArray { data: cut.collect::<Result<_>>()? }))
        }
        values => scalar(scalars(&values)?),
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

/// Vectors share the column's memory.
fn vectors(values: Values) -> Result<VectorField> {
    use vector_field::Data;
    let (dim, data) = match values {
        Values::FloatVector { dimension, data } => {
            let floats = FloatArray::from_bytes(data.into_bytes()).ok_or_else(|| Error::internal("floats have four bytes each"))?;
            (dimension, Data::FloatVector(floats))
        }
        Values::BinaryVector { dimension, data } => (dimension, Data::BinaryVector(data.into_bytes())),
        Values::Float16Vector { dimension, data } => (dimension, Data::Float16Vector(data.into_bytes())),
        Values::BFloat16Vector { dimension, data } => (dimension, Data::Bfloat16Vector(data.into_bytes())),
        Values::Int8Vector { dimension, data } => (dimension, Data::Int8Vector(data.into_bytes())),
        Values::SparseFloatVector(rows) => {
            let dim = rows.indices().iter().max().map_or(0, |&index| index as usize + 1);
            let contents = rows.iter().map(sparse_row).collect();
            (dim, Data::SparseFloatVector(SparseFloatArray { contents, dim: dim as i64 }))
        }
        other => return Err(Error::internal(format!("a column of {} in place of vectors", other.data_type()))),
    };
    Ok(VectorField { dim: dim as i64, data: Some(data) })
}

/// Index and value of each entry, little-endian.
fn sparse_row((indices, values): (&[u32], &[f32])) -> Bytes {
    let entries = indices.iter().zip(values);
    entries.flat_map(|(index, value)| index.to_le_bytes().into_iter().chain(value.to_le_bytes())).collect()
}

fn scalars(values: &Values) -> Result<Data> {
    let texts = |texts: &Strings| texts.iter().map(str::to_owned).collect();
    Ok(match values {
        Values::Bool(values) => Data::BoolData(BoolArray { data: values.iter().map(|&value| value != 0).collect() }),
        Values::Int8(values) => Data::IntData(IntArray { data: values.iter().map(|&value| value.into()).collect() }),
        Values::Int16(values) => Data::IntData(IntArray { data: values.iter().map(|&value| value.into()).collect() }),
        Values::Int32(values) => Data::IntData(IntArray { data: values.to_vec() }),
        Values::Int64(values) => Data::LongData(LongArray { data: values.to_vec() }),
        Values::Float(values) => Data::FloatData(FloatArray::from(values.to_vec())),
        Values::Double(values) => Data::DoubleData(DoubleArray { data: values.to_vec() }),
        Values::VarChar(values) => Data::StringData(StringArray { data: texts(values) }),
        Values::Json(values) => Data::JsonData(JsonArray { data: jsons(values) }),
        Values::Array(arrays) => {
            let list = |row| {
                let slots: Vec<u32> = arrays.range(row).map(|slot| slot as u32).collect();
                scalars(&arrays.elements().take(&slots)).map(|data| ScalarField { data: Some(data) })
            };
            let data = (0..arrays.len()).map(list).collect::<Result<_>>()?;
            Data::ArrayData(ArrayArray { data, element_type: arrays.element_type().number() })
        }
        other => return Err(Error::internal(format!("a column of {} in place of scalars", other.data_type()))),
    })
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

#[cfg(test)]
mod tests {
    use types::bitset::Bitset;
    use types::id::FieldId;

    use super::*;

    fn field(data_type: &str, more: &str) -> Field {
        serde_json::from_str(&format!(r#"{{"id": 101, "name": "f", "data_type": "{data_type}"{more}}}"#)).expect("a field")
    }

    fn check(field: &Field, column: Column, data: field_data::Field, valid_data: &[bool]) {
        let expected = FieldData {
            r#type: field.data_type.number(),
            field_name: "f".to_owned(),
            field_id: 101,
            is_dynamic: false,
            valid_data: valid_data.to_vec(),
            field: Some(data),
        };
        assert_eq!(field_data(field, column, None), Ok(expected), "{}", field.data_type);
    }

    #[test]
    fn every_type() {
        let texts = || ["a", ""].into_iter().collect::<Strings>();
        let cases: [(&str, Values, Data); 9] = [
            ("Bool", Values::Bool(vec![1, 0].into()), Data::BoolData(BoolArray { data: vec![true, false] })),
            ("Int8", Values::Int8(vec![-1, 2].into()), Data::IntData(IntArray { data: vec![-1, 2] })),
            ("Int16", Values::Int16(vec![-1, 2].into()), Data::IntData(IntArray { data: vec![-1, 2] })),
            ("Int32", Values::Int32(vec![-1, 2].into()), Data::IntData(IntArray { data: vec![-1, 2] })),
            ("Int64", Values::Int64(vec![-1, 2].into()), Data::LongData(LongArray { data: vec![-1, 2] })),
            ("Float", Values::Float(vec![0.5, 2.0].into()), Data::FloatData(FloatArray::from(vec![0.5, 2.0]))),
            ("Double", Values::Double(vec![0.5, 2.0].into()), Data::DoubleData(DoubleArray { data: vec![0.5, 2.0] })),
            ("VarChar", Values::VarChar(texts()), Data::StringData(StringArray { data: vec!["a".into(), String::new()] })),
            ("Json", Values::Json(texts()), Data::JsonData(JsonArray { data: vec!["a".into(), "".into()] })),
        ];
        for (name, values, data) in cases {
            check(&field(name, ""), Column::new(FieldId(101), values.clone()), scalar(data.clone()), &[]);
            let nullable = field(name, r#", "nullable": true"#);
            check(&nullable, Column::new(FieldId(101), values.clone()), scalar(data.clone()), &[true, true]);
            let half = Column { field: FieldId(101), validity: Some(Bitset::from_fn(2, |row| row == 0)), values };
            check(&nullable, half, scalar(data), &[true, false]);
        }
    }

    #[test]
    fn lists_have_a_slot_for_every_row() {
        let arrays = types::column::Arrays::from_parts(vec![0, 2, 2].into(), Values::Int8(vec![-1, 2].into())).expect("lists");
        let list = |data: &[i32]| ScalarField { data: Some(Data::IntData(IntArray { data: data.to_vec() })) };
        let data = Data::ArrayData(ArrayArray { data: vec![list(&[-1, 2]), list(&[])], element_type: 2 });
        let nullable = field("Array", r#", "element_type": "Int8", "nullable": true"#);
        let half = Column { field: FieldId(101), validity: Some(Bitset::from_fn(2, |row| row == 0)), values: Values::Array(arrays) };
        check(&nullable, half, scalar(data), &[true, false]);
    }

    #[test]
    fn vectors_of_every_type() {
        use vector_field::Data;
        let bytes = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
        let entries: [(&[u32], &[f32]); 2] = [(&[], &[]), (&[1, 9], &[1.0, 2.0])];
        let contents = vec![Bytes::new(), bytes(&[1, 0, 0, 0, 0, 0, 128, 63, 9, 0, 0, 0, 0, 0, 0, 64])];
        let cases = [
            ("BinaryVector", 8, Values::BinaryVector { dimension: 8, data: vec![1, 2].into() }, Data::BinaryVector(bytes(&[1, 2]))),
            ("Int8Vector", 1, Values::Int8Vector { dimension: 1, data: vec![1, -1].into() }, Data::Int8Vector(bytes(&[1, 255]))),
            (
                "Float16Vector",
                1,
                Values::Float16Vector { dimension: 1, data: vec![1, 2].into() },
                Data::Float16Vector(bytes(&[1, 0, 2, 0])),
            ),
            (
                "BFloat16Vector",
                1,
                Values::BFloat16Vector { dimension: 1, data: vec![1, 2].into() },
                Data::Bfloat16Vector(bytes(&[1, 0, 2, 0])),
            ),
            (
                "SparseFloatVector",
                10,
                Values::SparseFloatVector(entries.into_iter().collect()),
                Data::SparseFloatVector(SparseFloatArray { contents, dim: 10 }),
            ),
        ];
        for (name, dim, values, data) in cases {
            let data = field_data::Field::Vectors(VectorField { dim, data: Some(data) });
            check(&field(name, ""), Column::new(FieldId(101), values), data, &[]);
        }
    }

    #[test]
    fn vectors_hold_present_rows_only() {
        let values = Values::FloatVector { dimension: 2, data: vec![1.0, 2.0].into() };
        let column = Column { field: FieldId(101), validity: Some(Bitset::from_fn(2, |row| row == 1)), values };
        let floats = vector_field::Data::FloatVector(FloatArray::from(vec![1.0, 2.0]));
        let data = field_data::Field::Vectors(VectorField { dim: 2, data: Some(floats) });
        check(&field("FloatVector", r#", "nullable": true, "dimension": 2"#), column, data, &[false, true]);
        let none = Column::new(FieldId(101), Values::empty(&field("FloatVector", r#", "dimension": 2"#)));
        let empty = vector_field::Data::FloatVector(FloatArray::default());
        let data = field_data::Field::Vectors(VectorField { dim: 2, data: Some(empty) });
        check(&field("FloatVector", r#", "dimension": 2"#), none, data, &[]);
    }

    #[test]
    fn the_dynamic_field_is_cut_down_to_what_was_asked_for() {
        let dynamic = field("Json", r#", "kind": "Dynamic""#);
        let column = || Column::new(FieldId(101), Values::Json([r#"{"a": 1.50, "b": [1], "c": 3}"#, "{}"].into_iter().collect()));
        let texts = |data: FieldData| match data.field {
            Some(field_data::Field::Scalars(ScalarField { data: Some(Data::JsonData(array)) })) => array.data,
            other => panic!("{other:?}"),
        };
        let keys = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let data = field_data(&dynamic, column(), Some(&keys)).expect("objects");
        assert!(data.is_dynamic);
        assert_eq!(texts(data), [r#"{"a":1.50,"b":[1]}"#, "{}"]);
        assert_eq!(texts(field_data(&dynamic, column(), None).expect("as stored"))[0], r#"{"a": 1.50, "b": [1], "c": 3}"#);
        let broken = Column::new(FieldId(101), Values::Json(["[]"].into_iter().collect()));
        assert!(field_data(&dynamic, broken, Some(&keys)).is_err());
    }
}
