//! One vector's JSON as the bytes that messages carry: of a row to write, or of a query.
//!
//! Numbers in a list, base64 of the bytes, or an object of dimensions, each where Milvus takes it. All numbers are little-endian.
//!
//! Not here: what values may be (NaN, negative weights): the proxy judges those for every client alike.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use half::{bf16, f16};
use proto::schema::{DataType, FieldSchema};

/// Dimensions of sparse vectors lie below.
const SPARSE_DIMENSION_MAX: u32 = u32::MAX;

/// The form of a field's vectors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// A vector type.
    pub data_type: DataType,
    /// Of dense vectors.
    pub dimension: usize,
}

/// What is wrong with a vector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wrong {
    /// It isn't one: why.
    Value(String),
    /// It has another size.
    Size {
        /// What was counted: `float32`, `byte`, `int8`.
        unit: &'static str,
        /// How many there are.
        given: usize,
        /// How many there should be.
        expected: usize,
    },
}

impl Shape {
    /// Of a vector field; `None` for others.
    pub fn of(field: &FieldSchema) -> Option<Self> {
        let dimension = || field.type_params.iter().find(|pair| pair.key == "dim").and_then(|pair| pair.value.parse().ok()).unwrap_or(0);
        Self::of_type(field.data_type, dimension())
    }

    /// Of a type's number; `None` if that isn't a vector type.
    pub fn of_type(data_type: i32, dimension: usize) -> Option<Self> {
        let data_type = DataType::try_from(data_type).ok()?;
        let is_vector = matches!(
            data_type,
            DataType::FloatVector
                | DataType::BinaryVector
                | DataType::Float16Vector
                | DataType::BFloat16Vector
                | DataType::Int8Vector
                | DataType::SparseFloatVector
        );
        is_vector.then_some(Self { data_type, dimension })
    }

    /// Bytes of a dense vector.
    pub fn width(&self) -> usize {
        match self.data_type {
            DataType::FloatVector => self.dimension * 4,
            DataType::Float16Vector | DataType::BFloat16Vector => self.dimension * 2,
            DataType::BinaryVector => self.dimension / 8,
            _ => self.dimension,
        }
    }

    /// Appends a vector's bytes; of a sparse one, index and value after each other, by index.
    ///
    /// # Errors
    /// What is wrong; then nothing was appended.
    pub fn append(&self, text: &str, bytes: &mut Vec<u8>) -> Result<(), Wrong> {
        match self.data_type {
            DataType::SparseFloatVector => sparse(text, bytes),
            DataType::FloatVector => self.numbers(text, bytes, |value, bytes| bytes.extend(value.to_le_bytes())),
            DataType::Int8Vector => self.integers(text, bytes),
            DataType::BinaryVector if is_list(text) => self.raw(list::<u8>(text)?, bytes),
            DataType::Float16Vector if is_list(text) => {
                self.numbers(text, bytes, |value, bytes| bytes.extend(f16::from_f32(value).to_le_bytes()))
            }
            DataType::BFloat16Vector if is_list(text) => {
                self.numbers(text, bytes, |value, bytes| bytes.extend(bf16::from_f32(value).to_le_bytes()))
            }
            _ => self.raw(encoded(text)?, bytes),
        }
    }

    fn numbers(&self, text: &str, bytes: &mut Vec<u8>, put: fn(f32, &mut Vec<u8>)) -> Result<(), Wrong> {
        let values: Vec<f32> = list(text)?;
        self.check_size("float32", values.len(), self.dimension)?;
        values.into_iter().for_each(|value| put(value, bytes));
        Ok(())
    }

    fn integers(&self, text: &str, bytes: &mut Vec<u8>) -> Result<(), Wrong> {
        let values: Vec<i8> = list(text)?;
        self.check_size("int8", values.len(), self.dimension)?;
        bytes.extend(values.into_iter().map(|value| value as u8));
        Ok(())
    }

    fn raw(&self, values: Vec<u8>, bytes: &mut Vec<u8>) -> Result<(), Wrong> {
        self.check_size("byte", values.len(), self.width())?;
        bytes.extend(values);
        Ok(())
    }

    fn check_size(&self, unit: &'static str, given: usize, expected: usize) -> Result<(), Wrong> {
        if given == expected { Ok(()) } else { Err(Wrong::Size { unit, given, expected }) }
    }
}

fn is_list(text: &str) -> bool {
    text.starts_with('[')
}

fn wrong(error: impl std::fmt::Display) -> Wrong {
    Wrong::Value(error.to_string())
}

/// Elements of a JSON list, of one type.
trait Element: Sized {
    fn list(text: &str) -> serde_json::Result<Vec<Self>>;
}

macro_rules! elements {
    ($($name:ident)*) => {$(
        impl Element for $name {
            fn list(text: &str) -> serde_json::Result<Vec<Self>> {
                serde_json::from_str(text)
            }
        }
    )*};
}

elements! { f32 i8 u8 }

fn list<T: Element>(text: &str) -> Result<Vec<T>, Wrong> {
    T::list(text).map_err(wrong)
}

fn encoded(text: &str) -> Result<Vec<u8>, Wrong> {
    let encoded: String = serde_json::from_str(text).map_err(wrong)?;
    BASE64.decode(encoded).map_err(wrong)
}

/// `{"3": 0.5}` or `{"indices": [3], "values": [0.5]}`, in any order.
fn sparse(text: &str, bytes: &mut Vec<u8>) -> Result<(), Wrong> {
    let pairs = match serde_json::from_str::<BTreeMap<String, Vec<f64>>>(text) {
        Ok(lists) if !lists.is_empty() => zipped(lists)?,
        _ => keyed(text)?,
    };
    for (index, value) in pairs {
        bytes.extend(index.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    Ok(())
}

fn zipped(mut lists: BTreeMap<String, Vec<f64>>) -> Result<BTreeMap<u32, f32>, Wrong> {
    let (Some(indices), Some(values), true) = (lists.remove("indices"), lists.remove("values"), lists.is_empty()) else {
        return Err(wrong("a sparse vector is an object of dimensions, or of indices and values"));
    };
    if indices.len() != values.len() {
        return Err(wrong(format!("there are {} indices and {} values", indices.len(), values.len())));
    }
    let mut pairs = BTreeMap::new();
    for (index, value) in indices.into_iter().zip(values) {
        let whole = (index.fract() == 0.0 && (0.0..f64::from(SPARSE_DIMENSION_MAX)).contains(&index)).then_some(index as u32);
        add(&mut pairs, whole.ok_or_else(|| wrong_index(index))?, value as f32)?;
    }
    Ok(pairs)
}

fn keyed(text: &str) -> Result<BTreeMap<u32, f32>, Wrong> {
    let members: BTreeMap<String, f32> = serde_json::from_str(text).map_err(wrong)?;
    let mut pairs = BTreeMap::new();
    for (key, value) in members {
        let index = key.trim().parse().ok().filter(|&index| index < SPARSE_DIMENSION_MAX);
        add(&mut pairs, index.ok_or_else(|| wrong_index(&key))?, value)?;
    }
    Ok(pairs)
}

fn wrong_index(index: impl std::fmt::Display) -> Wrong {
    wrong(format!("invalid index in sparse float vector: must be less than 2^32-1, but got {index}"))
}

fn add(pairs: &mut BTreeMap<u32, f32>, index: u32, value: f32) -> Result<(), Wrong> {
    match pairs.insert(index, value) {
        None => Ok(()),
        Some(_) => Err(wrong("unsorted or same indices in sparse float vector")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(data_type: DataType, dimension: usize, text: &str) -> Result<Vec<u8>, Wrong> {
        let mut bytes = Vec::new();
        Shape { data_type, dimension }.append(text, &mut bytes).map(|()| bytes)
    }

    #[test]
    fn every_form_of_every_type() {
        let halves = |values: [f32; 2]| values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect::<Vec<u8>>();
        let floats = |values: [f32; 2]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let sparse = [3u32.to_le_bytes(), 0.5f32.to_le_bytes(), 7u32.to_le_bytes(), 1f32.to_le_bytes()].concat();
        let cases = [
            (DataType::FloatVector, 2, "[0.1, -2]", floats([0.1, -2.0])),
            (DataType::BinaryVector, 16, "[255, 1]", vec![255, 1]),
            (DataType::BinaryVector, 16, "\"/wE=\"", vec![255, 1]),
            (DataType::Float16Vector, 2, "[0.5, 1]", halves([0.5, 1.0])),
            (DataType::Float16Vector, 2, "\"ADgAPA==\"", halves([0.5, 1.0])),
            (DataType::BFloat16Vector, 1, "[1.0]", vec![0x80, 0x3f]),
            (DataType::Int8Vector, 3, "[-128, 0, 127]", vec![128, 0, 127]),
            (DataType::SparseFloatVector, 0, r#"{"7": 1, "3": 0.5}"#, sparse.clone()),
            (DataType::SparseFloatVector, 0, r#"{"indices": [7, 3], "values": [1, 0.5]}"#, sparse),
            (DataType::SparseFloatVector, 0, "{}", Vec::new()),
            (DataType::SparseFloatVector, 0, r#"{"indices": [], "values": []}"#, Vec::new()),
        ];
        for (data_type, dimension, text, expected) in cases {
            assert_eq!(bytes(data_type, dimension, text), Ok(expected), "{data_type:?} {text}");
        }
    }

    #[test]
    fn what_is_no_vector() {
        let size = |unit, given, expected| Wrong::Size { unit, given, expected };
        assert_eq!(bytes(DataType::FloatVector, 2, "[1]"), Err(size("float32", 1, 2)));
        assert_eq!(bytes(DataType::BinaryVector, 16, "[1]"), Err(size("byte", 1, 2)));
        assert_eq!(bytes(DataType::Int8Vector, 2, "[]"), Err(size("int8", 0, 2)));
        let values = [
            (DataType::FloatVector, "1"),
            (DataType::FloatVector, "\"AAAA\""),
            (DataType::FloatVector, "[\"1\", 2]"),
            (DataType::BinaryVector, "\"not base64!\""),
            (DataType::BinaryVector, "[256, 1]"),
            (DataType::Int8Vector, "[128, 0]"),
            (DataType::Float16Vector, "{}"),
            (DataType::SparseFloatVector, "[1, 2]"),
            (DataType::SparseFloatVector, r#"{"-1": 1}"#),
            (DataType::SparseFloatVector, r#"{"4294967295": 1}"#),
            (DataType::SparseFloatVector, r#"{"1": 1, " 1": 2}"#),
            (DataType::SparseFloatVector, r#"{"indices": [1], "values": []}"#),
            (DataType::SparseFloatVector, r#"{"indices": [1.5], "values": [1]}"#),
            (DataType::SparseFloatVector, r#"{"indices": [1], "values": [1], "more": [1]}"#),
        ];
        for (data_type, text) in values {
            assert!(matches!(bytes(data_type, 2, text), Err(Wrong::Value(_))), "{data_type:?} {text}");
        }
    }
}
