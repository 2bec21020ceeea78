//! Rows as JSON objects turned into the columns that messages carry: the checks that only a client's library would make, with Milvus's texts.
//!
//! A nullable or defaulted column holds only the values that are there, beside a flag for each row. Keys beyond the schema go into the dynamic
//! field, as they are spelled.
//!
//! Not here: bounds of values, drawn keys, defaults: the proxy's own checks come after this. The way back is [`super::render`].
//!
//! Start at [`columns`].

use std::collections::BTreeMap;

use bytes::Bytes;
use proto::schema::scalar_field::Data;
use proto::schema::{CollectionSchema, DataType, FieldData, FieldSchema, JsonArray, ScalarField, field_data};
use serde_json::value::RawValue;
use types::schema::DYNAMIC_FIELD_NAME;
use types::{Error, Result};

use super::body::Json;
use super::envelope::insert_data;
use super::structs::StructColumn;
use super::values::Values;

/// How rows are to be written.
pub struct Writing<'a> {
    /// What they are rows of.
    pub schema: &'a CollectionSchema,
    /// Fields may be absent, if they are in every row.
    pub partial: bool,
}

/// A batch of rows.
#[derive(Debug)]
pub struct Columns {
    /// By field.
    pub fields: Vec<FieldData>,
    /// How many.
    pub rows: u32,
}

/// A row's members that nobody has taken yet.
pub type Row<'a> = BTreeMap<String, &'a RawValue>;

/// The columns of one row or of a list of rows.
///
/// # Errors
/// 1804, with what is wrong with the first row that is.
pub fn columns(data: &Json, writing: &Writing<'_>) -> Result<Columns> {
    let rows = rows(data)?;
    let mut columns: Vec<Column<'_>> = writing.schema.fields.iter().filter(|field| !field.is_dynamic).map(Column::new).collect();
    let mut structs: Vec<StructColumn<'_>> = writing.schema.struct_array_fields.iter().map(StructColumn::new).collect();
    let mut dynamic = Vec::new();
    let count = u32::try_from(rows.len()).map_err(|_| insert_data("there are too many rows"))?;
    for mut row in rows {
        for column in &mut columns {
            let value = row.remove(&column.field.name).filter(|value| value.get() != "null");
            column.push(value).map_err(insert_data)?;
        }
        for column in &mut structs {
            let value = row.remove(column.name()).filter(|value| value.get() != "null");
            column.push(value).map_err(insert_data)?;
        }
        if writing.schema.enable_dynamic_field {
            let text = serde_json::to_vec(&row).map_err(insert_data)?;
            dynamic.push(Bytes::from(text));
        } else if !row.is_empty() {
            return Err(insert_data(Error::invalid("has pass more field without dynamic schema, please check it")));
        }
    }
    let mut fields = Vec::with_capacity(columns.len() + structs.len() + 1);
    for column in columns {
        fields.extend(column.finish(writing.partial).map_err(insert_data)?);
    }
    for column in structs {
        fields.extend(column.finish().map_err(insert_data)?);
    }
    if writing.schema.enable_dynamic_field {
        fields.push(dynamic_column(dynamic));
    }
    Ok(Columns { fields, rows: count })
}

fn rows(data: &Json) -> Result<Vec<Row<'_>>> {
    let no_row = |error| insert_data(Error::invalid(format!("rows must be objects: {error}")));
    if data.text().starts_with('{') {
        return Ok(vec![serde_json::from_str(data.text()).map_err(no_row)?]);
    }
    serde_json::from_str(data.text()).map_err(no_row)
}

fn dynamic_column(data: Vec<Bytes>) -> FieldData {
    FieldData {
        r#type: DataType::Json as i32,
        field_name: DYNAMIC_FIELD_NAME.to_owned(),
        is_dynamic: true,
        field: Some(field_data::Field::Scalars(ScalarField { data: Some(Data::JsonData(JsonArray { data })) })),
        ..FieldData::default()
    }
}

/// One field's values, as far as rows were read.
struct Column<'a> {
    field: &'a FieldSchema,
    values: Values,
    /// Which rows have one.
    valid: Vec<bool>,
}

impl<'a> Column<'a> {
    fn new(field: &'a FieldSchema) -> Self {
        Self { field, values: Values::of(field), valid: Vec::new() }
    }

    fn push(&mut self, value: Option<&RawValue>) -> Result<()> {
        self.valid.push(value.is_some());
        match value {
            Some(value) => self.values.push(&self.field.name, value.get()),
            None => Ok(()),
        }
    }

    /// Nulls and defaults can be left out; what the server makes, too, if it is left out of all rows.
    fn finish(self, partial: bool) -> Result<Option<FieldData>> {
        let field = self.field;
        let present = self.valid.iter().filter(|&&valid| valid).count();
        let optional = field.nullable || field.default_value.is_some();
        let made = field.auto_id || field.is_function_output;
        if present == 0 && (made || partial) {
            return Ok(None);
        }
        if present < self.valid.len() && !optional {
            let what = if self.values.is_vector() { "missing vector field" } else { "missing field" };
            return Err(Error::invalid(format!("{what}: {}", field.name)));
        }
        Ok(Some(FieldData {
            r#type: field.data_type,
            field_name: field.name.clone(),
            valid_data: if optional { self.valid } else { Vec::new() },
            field: Some(self.values.finish(field)),
            ..FieldData::default()
        }))
    }
}

#[cfg(test)]
mod tests {
    use proto::common::KeyValuePair;
    use proto::schema::{FloatArray, LongArray, StringArray, ValueField, VectorField, value_field, vector_field};

    use super::super::body::Fields;
    use super::*;

    fn field(name: &str, data_type: DataType) -> FieldSchema {
        let type_params = vec![KeyValuePair { key: "dim".to_owned(), value: "2".to_owned() }];
        FieldSchema { name: name.to_owned(), data_type: data_type as i32, type_params, ..FieldSchema::default() }
    }

    fn schema(dynamic: bool) -> CollectionSchema {
        let fields = vec![
            FieldSchema { is_primary_key: true, auto_id: true, ..field("id", DataType::Int64) },
            field("v", DataType::FloatVector),
            FieldSchema { nullable: true, ..field("name", DataType::VarChar) },
            FieldSchema { default_value: Some(ValueField { data: Some(value_field::Data::LongData(7)) }), ..field("n", DataType::Int64) },
        ];
        CollectionSchema { fields, enable_dynamic_field: dynamic, ..CollectionSchema::default() }
    }

    fn read(text: &str, dynamic: bool, partial: bool) -> Result<Columns> {
        let body = Fields::parse(format!("{{\"data\": {text}}}").into_bytes().into()).expect("a body");
        columns(body.get("data").expect("data"), &Writing { schema: &schema(dynamic), partial })
    }

    #[test]
    fn nulls_defaults_and_keys_beyond_the_schema() {
        let rows = r#"[{"v": [1, 2], "name": "a", "n": null, "x": 1.50}, {"v": [3, 4], "name": null, "n": 9223372036854775807}]"#;
        let read = read(rows, true, false).expect("good rows");
        let column = |name: &str, data_type: DataType, valid: &[bool], data| FieldData {
            r#type: data_type as i32,
            field_name: name.to_owned(),
            valid_data: valid.to_vec(),
            field: Some(data),
            ..FieldData::default()
        };
        let scalars = |data| field_data::Field::Scalars(ScalarField { data: Some(data) });
        let floats = vector_field::Data::FloatVector(FloatArray::from(vec![1.0, 2.0, 3.0, 4.0]));
        let expected = [
            column("v", DataType::FloatVector, &[], field_data::Field::Vectors(VectorField { dim: 2, data: Some(floats) })),
            column("name", DataType::VarChar, &[true, false], scalars(Data::StringData(StringArray { data: vec!["a".to_owned()] }))),
            column("n", DataType::Int64, &[false, true], scalars(Data::LongData(LongArray { data: vec![i64::MAX] }))),
            dynamic_column(vec![Bytes::from_static(br#"{"x":1.50}"#), Bytes::from_static(b"{}")]),
        ];
        assert_eq!((read.rows, &*read.fields), (2, &expected[..]));
    }

    #[test]
    fn rows_that_do_not_fit() {
        let cases = [
            ("7", "rows must be objects"),
            ("[{\"v\": [1, 2]}, 7]", "rows must be objects"),
            ("{}", "missing vector field: v"),
            (r#"[{"id": 1, "v": [1, 2]}, {"v": [1, 2]}]"#, "missing field: id"),
            (r#"{"v": [1, 2], "x": 1}"#, "has pass more field without dynamic schema, please check it"),
            (r#"{"v": [1]}"#, "[]float32 size 1 doesn't equal to vector dimension 2 of FloatVector"),
            (r#"{"v": [1, 2], "n": "one"}"#, "n"),
        ];
        for (text, expected) in cases {
            let error = read(text, false, false).expect_err("a row that doesn't fit");
            assert!(error.code().0 == 1804 && error.reason().starts_with("fail to deal the insert data, error: "), "{error}");
            assert!(error.reason().contains(expected), "{error} … {expected}");
        }
        assert!(read(r#"{"id": 1, "n": 2}"#, false, true).is_ok_and(|columns| columns.fields.len() == 2));
        assert!(read("[]", false, false).is_ok_and(|columns| columns.rows == 0));
    }
}
