//! Struct arrays: a list of objects in a row's JSON, a column for each of their members in messages.
//!
//! Sub-fields are arrays of scalars or of vectors. They are named `struct[sub]` by servers and `sub` by clients; both are understood.

use bytes::Bytes;
use proto::schema::{
    ArrayArray, DataType, FieldData, FieldSchema, FloatArray, ScalarField, StructArrayField, StructArrayFieldSchema, VectorArray,
    VectorField, field_data, scalar_field, vector_field,
};
use serde_json::value::RawValue;
use types::{Error, Result};

use super::rows::Row;
use super::values::{array, of_vector};
use super::vectors::Shape;

/// A struct field's rows, as far as they were read.
pub struct StructColumn<'a> {
    schema: &'a StructArrayFieldSchema,
    members: Vec<Member<'a>>,
    /// Which rows have a list.
    valid: Vec<bool>,
}

struct Member<'a> {
    field: &'a FieldSchema,
    name: &'a str,
    rows: Rows,
}

/// A member's values, by row.
enum Rows {
    Scalars(Vec<ScalarField>),
    Vectors(Shape, Vec<VectorField>),
}

/// The client's name of a sub-field.
pub fn plain_name<'a>(structure: &str, field: &'a str) -> &'a str {
    field.strip_prefix(structure).and_then(|rest| rest.strip_prefix('[')?.strip_suffix(']')).unwrap_or(field)
}

impl<'a> StructColumn<'a> {
    /// None yet.
    pub fn new(schema: &'a StructArrayFieldSchema) -> Self {
        let member = |field: &'a FieldSchema| {
            let dimension = field.type_params.iter().find(|pair| pair.key == "dim").and_then(|pair| pair.value.parse().ok()).unwrap_or(0);
            let rows = match Shape::of_type(field.element_type, dimension) {
                Some(shape) => Rows::Vectors(shape, Vec::new()),
                None => Rows::Scalars(Vec::new()),
            };
            Member { field, name: plain_name(&schema.name, &field.name), rows }
        };
        Self { schema, members: schema.fields.iter().map(member).collect(), valid: Vec::new() }
    }

    /// The field's name.
    pub fn name(&self) -> &str {
        &self.schema.name
    }

    /// Appends a row's list.
    ///
    /// # Errors
    /// Names the member that is wrong.
    pub fn push(&mut self, value: Option<&RawValue>) -> Result<()> {
        self.valid.push(value.is_some());
        let Some(value) = value else { return Ok(()) };
        let name = &self.schema.name;
        let objects: Vec<Row<'_>> =
            serde_json::from_str(value.get()).map_err(|error| Error::invalid(format!("{name} must be a list of objects: {error}")))?;
        for object in &objects {
            if let Some(key) = object.keys().find(|key| !self.members.iter().any(|member| member.name == key.as_str())) {
                return Err(Error::invalid(format!("{name} has no member {key}")));
            }
        }
        for member in &mut self.members {
            let texts: Option<Vec<&str>> = objects.iter().map(|object| object.get(member.name).map(|value| value.get())).collect();
            let texts = texts.ok_or_else(|| Error::invalid(format!("missing field: {name}[{}]", member.name)))?;
            member.push(&texts)?;
        }
        Ok(())
    }

    /// The column; none where no row has a list and none need have.
    ///
    /// # Errors
    /// Some rows lack theirs.
    pub fn finish(self) -> Result<Option<FieldData>> {
        let name = &self.schema.name;
        if self.valid.contains(&false) && !self.schema.nullable {
            return Err(Error::invalid(format!("missing field: {name}")));
        }
        let fields = self.members.into_iter().map(|member| member.finish(&self.valid, self.schema.nullable)).collect();
        Ok(Some(FieldData {
            r#type: DataType::ArrayOfStruct as i32,
            field_name: name.clone(),
            field: Some(field_data::Field::StructArrays(StructArrayField { fields })),
            ..FieldData::default()
        }))
    }
}

impl Member<'_> {
    /// Appends the member's values of one row's objects.
    fn push(&mut self, texts: &[&str]) -> Result<()> {
        match &mut self.rows {
            Rows::Scalars(rows) => {
                let element = DataType::try_from(self.field.element_type).unwrap_or(DataType::None);
                rows.push(array(self.name, element, &format!("[{}]", texts.join(",")))?);
            }
            Rows::Vectors(shape, rows) => {
                let mut bytes = Vec::new();
                for text in texts {
                    shape.append(text, &mut bytes).map_err(|error| of_vector(self.name, shape, error))?;
                }
                let bytes = Bytes::from(bytes);
                let data = match shape.data_type {
                    DataType::FloatVector => vector_field::Data::FloatVector(FloatArray::from_bytes(bytes).unwrap_or_default()),
                    DataType::BinaryVector => vector_field::Data::BinaryVector(bytes),
                    DataType::Float16Vector => vector_field::Data::Float16Vector(bytes),
                    DataType::BFloat16Vector => vector_field::Data::Bfloat16Vector(bytes),
                    DataType::Int8Vector => vector_field::Data::Int8Vector(bytes),
                    _ => return Err(Error::invalid(format!("{}: sparse vectors can't be members", self.name))),
                };
                rows.push(VectorField { dim: shape.dimension as i64, data: Some(data) });
            }
        }
        Ok(())
    }

    fn finish(self, valid: &[bool], nullable: bool) -> FieldData {
        let element_type = self.field.element_type;
        let field = match self.rows {
            Rows::Scalars(data) => {
                field_data::Field::Scalars(ScalarField { data: Some(scalar_field::Data::ArrayData(ArrayArray { data, element_type })) })
            }
            Rows::Vectors(shape, data) => {
                let dim = shape.dimension as i64;
                let array = VectorArray { dim, data, element_type };
                field_data::Field::Vectors(VectorField { dim, data: Some(vector_field::Data::VectorArray(array)) })
            }
        };
        FieldData {
            r#type: self.field.data_type,
            field_name: self.name.to_owned(),
            valid_data: if nullable { valid.to_vec() } else { Vec::new() },
            field: Some(field),
            ..FieldData::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::common::KeyValuePair;
    use proto::schema::LongArray;

    use super::*;

    fn schema() -> StructArrayFieldSchema {
        let member = |name: &str, data_type: DataType, element: DataType| FieldSchema {
            name: name.to_owned(),
            data_type: data_type as i32,
            element_type: element as i32,
            type_params: vec![KeyValuePair { key: "dim".to_owned(), value: "2".to_owned() }],
            ..FieldSchema::default()
        };
        StructArrayFieldSchema {
            name: "s".to_owned(),
            fields: vec![member("s[n]", DataType::Array, DataType::Int64), member("s[v]", DataType::ArrayOfVector, DataType::FloatVector)],
            ..StructArrayFieldSchema::default()
        }
    }

    fn read(rows: &[&str]) -> Result<Option<FieldData>> {
        let schema = schema();
        let mut column = StructColumn::new(&schema);
        for row in rows {
            column.push(Some(serde_json::from_str(row).expect("JSON")))?;
        }
        column.finish()
    }

    #[test]
    fn objects_become_columns() {
        let column = read(&[r#"[{"n": 1, "v": [1, 2]}, {"n": 2, "v": [3, 4]}]"#, "[]"]).expect("good rows").expect("a column");
        let Some(field_data::Field::StructArrays(StructArrayField { fields })) = column.field else { panic!("a struct column") };
        assert_eq!(fields.iter().map(|field| field.field_name.as_str()).collect::<Vec<_>>(), ["n", "v"]);
        let longs = |data: &[i64]| ScalarField { data: Some(scalar_field::Data::LongData(LongArray { data: data.to_vec() })) };
        let array = ArrayArray { data: vec![longs(&[1, 2]), longs(&[])], element_type: DataType::Int64 as i32 };
        let expected = field_data::Field::Scalars(ScalarField { data: Some(scalar_field::Data::ArrayData(array)) });
        assert_eq!(fields[0].field, Some(expected));
        let Some(field_data::Field::Vectors(VectorField { data: Some(vector_field::Data::VectorArray(array)), .. })) = &fields[1].field
        else {
            panic!("vectors of rows");
        };
        let floats = vector_field::Data::FloatVector(FloatArray::from(vec![1.0, 2.0, 3.0, 4.0]));
        assert_eq!((array.data.len(), array.data[0].data.clone()), (2, Some(floats)));
    }

    #[test]
    fn wrong_lists() {
        for row in ["{}", "[1]", r#"[{"n": 1}]"#, r#"[{"n": 1, "v": [1]}]"#, r#"[{"n": 1, "v": [1, 2], "x": 1}]"#] {
            assert!(read(&[row]).is_err(), "{row}");
        }
    }
}
