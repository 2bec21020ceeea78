//! One column's values, read from JSON one after the other: every type of a field.
//!
//! Numbers may stand as strings, as in Milvus. Integers keep all their bits: they are never read as floats.
//!
//! Not here: which rows have a value ([`super::rows`]).

use bytes::Bytes;
use proto::schema::scalar_field::Data;
use proto::schema::{
    ArrayArray, BoolArray, DataType, DoubleArray, FieldSchema, FloatArray, GeometryWktArray, IntArray, JsonArray, LongArray, ScalarField,
    SparseFloatArray, StringArray, VectorField, field_data, vector_field,
};
use serde_json::value::RawValue;
use types::{Error, Result};

use super::body::plain;
use super::vectors::{Shape, Wrong};

/// Values of one column.
pub enum Values {
    /// Bool.
    Bools(Vec<bool>),
    /// Int8, Int16, Int32, between these bounds.
    Ints(Vec<i32>, i32, i32),
    /// Int64.
    Longs(Vec<i64>),
    /// Float.
    Floats(Vec<f32>),
    /// Double.
    Doubles(Vec<f64>),
    /// VarChar, Text, Timestamptz.
    Texts(Vec<String>),
    /// Geometry.
    Shapes(Vec<String>),
    /// JSON documents.
    Documents(Vec<Bytes>),
    /// Arrays of elements of this type.
    Arrays(Vec<ScalarField>, DataType),
    /// Dense vectors, one after the other.
    Vectors(Shape, Vec<u8>),
    /// Sparse vectors, and one more than the greatest index.
    Sparse(Vec<Bytes>, i64),
    /// Of a type that JSON can't bring.
    Unknown,
}

impl Values {
    /// None yet, of a field.
    pub fn of(field: &FieldSchema) -> Self {
        let element = DataType::try_from(field.element_type).unwrap_or(DataType::None);
        match (DataType::try_from(field.data_type), Shape::of(field)) {
            (_, Some(Shape { data_type: DataType::SparseFloatVector, .. })) => Self::Sparse(Vec::new(), 0),
            (_, Some(shape)) => Self::Vectors(shape, Vec::new()),
            (Ok(DataType::Array), _) => Self::Arrays(Vec::new(), element),
            (Ok(data_type), _) => Self::scalars(data_type),
            (Err(_), _) => Self::Unknown,
        }
    }

    fn scalars(data_type: DataType) -> Self {
        match data_type {
            DataType::Bool => Self::Bools(Vec::new()),
            DataType::Int8 => Self::Ints(Vec::new(), i8::MIN.into(), i8::MAX.into()),
            DataType::Int16 => Self::Ints(Vec::new(), i16::MIN.into(), i16::MAX.into()),
            DataType::Int32 => Self::Ints(Vec::new(), i32::MIN, i32::MAX),
            DataType::Int64 => Self::Longs(Vec::new()),
            DataType::Float => Self::Floats(Vec::new()),
            DataType::Double => Self::Doubles(Vec::new()),
            DataType::VarChar | DataType::String | DataType::Text | DataType::Timestamptz => Self::Texts(Vec::new()),
            DataType::Geometry => Self::Shapes(Vec::new()),
            DataType::Json => Self::Documents(Vec::new()),
            _ => Self::Unknown,
        }
    }

    /// Whether they are vectors.
    pub fn is_vector(&self) -> bool {
        matches!(self, Self::Vectors(..) | Self::Sparse(..))
    }

    /// Appends the value that a JSON text stands for; `name` is the field's, for texts.
    ///
    /// # Errors
    /// Names the field.
    pub fn push(&mut self, name: &str, text: &str) -> Result<()> {
        let wrong = |what: &str| Error::expected(format!("{name} must be {what}"), what, shortened(text));
        match self {
            Self::Bools(values) => values.push(truth(text).ok_or_else(|| wrong("true or false"))?),
            Self::Ints(values, low, high) => {
                let value = number(text).and_then(|value| i32::try_from(value).ok()).filter(|value| (*low..=*high).contains(value));
                values.push(value.ok_or_else(|| wrong(&format!("a whole number in [{low}, {high}]")))?);
            }
            Self::Longs(values) => values.push(number(text).ok_or_else(|| wrong("a whole number of 64 bits"))?),
            Self::Floats(values) => values.push(plain(text).parse().map_err(|_| wrong("a number"))?),
            Self::Doubles(values) => values.push(plain(text).parse().map_err(|_| wrong("a number"))?),
            Self::Texts(values) | Self::Shapes(values) => values.push(plain(text)),
            Self::Documents(values) => values.push(document(text).ok_or_else(|| wrong("JSON"))?),
            Self::Arrays(values, element) => values.push(array(name, *element, text)?),
            Self::Vectors(shape, bytes) => shape.append(text, bytes).map_err(|error| of_vector(name, shape, error))?,
            Self::Sparse(values, dimension) => {
                let shape = Shape { data_type: DataType::SparseFloatVector, dimension: 0 };
                let mut bytes = Vec::new();
                shape.append(text, &mut bytes).map_err(|error| of_vector(name, &shape, error))?;
                let last = bytes.len().checked_sub(8).and_then(|at| bytes.get(at..at + 4)).and_then(|index| index.try_into().ok());
                *dimension = (*dimension).max(last.map_or(0, |index| i64::from(u32::from_le_bytes(index)) + 1));
                values.push(bytes.into());
            }
            Self::Unknown => return Err(Error::invalid(format!("the type of field {name} can't be written as JSON"))),
        }
        Ok(())
    }

    /// The column.
    pub fn finish(self, field: &FieldSchema) -> field_data::Field {
        let vectors = |dim: usize, data| field_data::Field::Vectors(VectorField { dim: dim as i64, data: Some(data) });
        match self {
            Self::Vectors(shape, bytes) => {
                let bytes = Bytes::from(bytes);
                let data = match shape.data_type {
                    DataType::FloatVector => vector_field::Data::FloatVector(FloatArray::from_bytes(bytes).unwrap_or_default()),
                    DataType::BinaryVector => vector_field::Data::BinaryVector(bytes),
                    DataType::Float16Vector => vector_field::Data::Float16Vector(bytes),
                    DataType::BFloat16Vector => vector_field::Data::Bfloat16Vector(bytes),
                    _ => vector_field::Data::Int8Vector(bytes),
                };
                vectors(shape.dimension, data)
            }
            Self::Sparse(contents, dim) => vectors(dim as usize, vector_field::Data::SparseFloatVector(SparseFloatArray { contents, dim })),
            Self::Arrays(data, _) => scalars(Data::ArrayData(ArrayArray { data, element_type: field.element_type })),
            Self::Shapes(data) => scalars(Data::GeometryWktData(GeometryWktArray { data })),
            Self::Documents(data) => scalars(Data::JsonData(JsonArray { data })),
            flat => scalars(flat.flat().unwrap_or(Data::JsonData(JsonArray::default()))),
        }
    }

    /// Values that stand one after the other in a message, as columns and arrays have them.
    fn flat(self) -> Option<Data> {
        Some(match self {
            Self::Bools(data) => Data::BoolData(BoolArray { data }),
            Self::Ints(data, ..) => Data::IntData(IntArray { data }),
            Self::Longs(data) => Data::LongData(LongArray { data }),
            Self::Floats(data) => Data::FloatData(FloatArray::from(data)),
            Self::Doubles(data) => Data::DoubleData(DoubleArray { data }),
            Self::Texts(data) => Data::StringData(StringArray { data }),
            _ => return None,
        })
    }
}

fn scalars(data: Data) -> field_data::Field {
    field_data::Field::Scalars(ScalarField { data: Some(data) })
}

/// What is wrong with a vector, as Milvus says it of rows.
pub fn of_vector(name: &str, shape: &Shape, error: Wrong) -> Error {
    let type_name = shape.data_type.as_str_name();
    match error {
        Wrong::Value(why) => Error::expected(format!("{name}: {why}"), type_name, "another value"),
        Wrong::Size { unit, given, .. } => {
            let dimension = shape.dimension;
            Error::invalid(format!("[]{unit} size {given} doesn't equal to vector dimension {dimension} of {type_name}, field {name}"))
        }
    }
}

/// The elements of a JSON list as one value of an array field.
///
/// # Errors
/// Names the field.
pub fn array(name: &str, element: DataType, text: &str) -> Result<ScalarField> {
    let elements: Vec<&RawValue> = serde_json::from_str(text)
        .map_err(|error| Error::expected(format!("{name} must be a list: {error}"), "a list", shortened(text)))?;
    let mut values = Values::scalars(element);
    for element in elements {
        if element.get() == "null" {
            return Err(Error::invalid(format!("{name} has a null among its elements")));
        }
        values.push(name, element.get())?;
    }
    match values.flat() {
        Some(data) => Ok(ScalarField { data: Some(data) }),
        None => Err(Error::invalid(format!("elements of field {name} can't be written as JSON"))),
    }
}

fn number(text: &str) -> Option<i64> {
    let text = plain(text);
    // As numbers come from readers that know floats alone.
    text.parse().ok().or_else(|| text.strip_suffix(".0")?.parse().ok())
}

fn truth(text: &str) -> Option<bool> {
    match plain(text).as_str() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A document as it stands, or the one that stands in a string; a string that holds none is one itself.
fn document(text: &str) -> Option<Bytes> {
    let inner = serde_json::from_str::<String>(text).ok().filter(|inner| serde_json::from_str::<&RawValue>(inner).is_ok());
    Some(Bytes::copy_from_slice(inner.as_deref().unwrap_or(text).as_bytes()))
}

/// The beginning of a text, for messages.
fn shortened(text: &str) -> String {
    const CHARACTERS_MAX: usize = 64;
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data_type: DataType, element: DataType, texts: &[&str]) -> Result<field_data::Field> {
        let field = FieldSchema { data_type: data_type as i32, element_type: element as i32, ..FieldSchema::default() };
        let mut values = Values::of(&field);
        texts.iter().try_for_each(|text| values.push("f", text))?;
        Ok(values.finish(&field))
    }

    #[test]
    fn every_scalar() {
        let strings = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let documents = |texts: &[&str]| texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect::<Vec<_>>();
        let cases = [
            (DataType::Bool, &["true", "\"false\"", "1"][..], Data::BoolData(BoolArray { data: vec![true, false, true] })),
            (DataType::Int8, &["-128", "\"127\""], Data::IntData(IntArray { data: vec![-128, 127] })),
            (DataType::Int32, &["2147483647", "3.0"], Data::IntData(IntArray { data: vec![i32::MAX, 3] })),
            (
                DataType::Int64,
                &["9223372036854775807", "\"-9223372036854775808\"", "9007199254740993"],
                Data::LongData(LongArray { data: vec![i64::MAX, i64::MIN, 9_007_199_254_740_993] }),
            ),
            (DataType::Float, &["0.1", "\"2\""], Data::FloatData(FloatArray::from(vec![0.1, 2.0]))),
            (DataType::Double, &["0.1", "1e300"], Data::DoubleData(DoubleArray { data: vec![0.1, 1e300] })),
            (DataType::VarChar, &["\"a\\n\"", "7"], Data::StringData(StringArray { data: strings(&["a\n", "7"]) })),
            (
                DataType::Timestamptz,
                &["\"2025-01-01T00:00:00Z\""],
                Data::StringData(StringArray { data: strings(&["2025-01-01T00:00:00Z"]) }),
            ),
            (DataType::Geometry, &["\"POINT (1 2)\""], Data::GeometryWktData(GeometryWktArray { data: strings(&["POINT (1 2)"]) })),
            (
                DataType::Json,
                &[r#"{"a": 1.50}"#, r#""{\"b\":1}""#, "[1]", "\"text\"", "7"],
                Data::JsonData(JsonArray { data: documents(&[r#"{"a": 1.50}"#, r#"{"b":1}"#, "[1]", "\"text\"", "7"]) }),
            ),
        ];
        for (data_type, texts, expected) in cases {
            assert_eq!(read(data_type, DataType::None, texts), Ok(scalars(expected)), "{data_type:?}");
        }
    }

    #[test]
    fn arrays() {
        let data = vec![ScalarField { data: Some(Data::LongData(LongArray { data: vec![i64::MAX, 2] })) }];
        let expected = scalars(Data::ArrayData(ArrayArray { data, element_type: DataType::Int64 as i32 }));
        assert_eq!(read(DataType::Array, DataType::Int64, &["[9223372036854775807, \"2\"]"]), Ok(expected));
        for text in ["1", "[1, null]", "[\"x\"]", "{}"] {
            assert!(read(DataType::Array, DataType::Int64, &[text]).is_err(), "{text}");
        }
        assert!(read(DataType::Array, DataType::Json, &["[1]"]).is_err());
    }

    #[test]
    fn sparse_columns_know_their_dimension() {
        let Ok(field_data::Field::Vectors(field)) = read(DataType::SparseFloatVector, DataType::None, &["{\"7\": 1, \"2\": 1}", "{}"])
        else {
            panic!("a vector column");
        };
        assert_eq!(field.dim, 8);
    }

    #[test]
    fn values_of_another_type() {
        let cases = [
            (DataType::Bool, "2"),
            (DataType::Int8, "128"),
            (DataType::Int32, "2147483648"),
            (DataType::Int64, "9223372036854775808"),
            (DataType::Int64, "1.5"),
            (DataType::Int64, "{}"),
            (DataType::Float, "\"x\""),
            (DataType::Double, "[]"),
            (DataType::Mol, "\"C\""),
        ];
        for (data_type, text) in cases {
            let error = read(data_type, DataType::None, &[text]).expect_err("another type");
            assert!(error.reason().contains('f') && error.code().0 == 1100, "{error}");
        }
    }
}
