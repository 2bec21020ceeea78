//! One field's values for a run of rows.
//!
//! Scalars have a slot for every row; where a row is null the slot holds a zero value that nobody may look at. Vectors keep
//! present rows only: slot `validity.rank(row)`. Layout and limits of the encoded form are in `batch`.
//!
//! Most types have values of one width: [`Values::fixed`] sees them as bytes, so that what doesn't look at values needs no arm for each.

use bytes::Bytes;

use crate::bitset::Bitset;
use crate::buffer::Buffer;
use crate::id::FieldId;
use crate::schema::{DataType, Field};
use crate::value::{KeyRef, Value};

pub use arrays::Arrays;
pub use sparse::{SPARSE_INDEX_MAX, SparseRows};
pub use strings::Strings;

mod arrays;
mod sparse;
mod strings;

/// The values of one field.
#[derive(Clone, PartialEq, Debug)]
pub struct Column {
    /// Which field.
    pub field: FieldId,
    /// Set bits are present rows; `None` means that all are.
    pub validity: Option<Bitset>,
    /// The values.
    pub values: Values,
}

/// Values by type.
#[derive(Clone, PartialEq, Debug)]
pub enum Values {
    /// 0 or 1 each.
    Bool(Buffer<u8>),
    /// 8-bit integers.
    Int8(Buffer<i8>),
    /// 16-bit integers.
    Int16(Buffer<i16>),
    /// 32-bit integers.
    Int32(Buffer<i32>),
    /// 64-bit integers.
    Int64(Buffer<i64>),
    /// 32-bit floats.
    Float(Buffer<f32>),
    /// 64-bit floats.
    Double(Buffer<f64>),
    /// UTF-8 texts.
    VarChar(Strings),
    /// Lists of values of one type.
    Array(Arrays),
    /// JSON texts, valid UTF-8.
    Json(Strings),
    /// Vectors, row after row, `dimension` bits each.
    BinaryVector {
        /// Bits of one vector: a multiple of 8.
        dimension: usize,
        /// present rows × dimension / 8
        data: Buffer<u8>,
    },
    /// Vectors, row after row, `dimension` floats each.
    FloatVector {
        /// Floats of one vector.
        dimension: usize,
        /// present rows × dimension
        data: Buffer<f32>,
    },
    /// Vectors, row after row, `dimension` IEEE 754 half floats each.
    Float16Vector {
        /// Floats of one vector.
        dimension: usize,
        /// present rows × dimension, as bits
        data: Buffer<u16>,
    },
    /// Vectors, row after row, `dimension` upper halves of floats each.
    BFloat16Vector {
        /// Floats of one vector.
        dimension: usize,
        /// present rows × dimension, as bits
        data: Buffer<u16>,
    },
    /// Vectors that name their non-zero places.
    SparseFloatVector(SparseRows),
    /// Vectors, row after row, `dimension` bytes each.
    Int8Vector {
        /// Integers of one vector.
        dimension: usize,
        /// present rows × dimension
        data: Buffer<i8>,
    },
}

/// Values of one width as the bytes they lie in: numbers and dense vectors, whatever their type.
#[derive(Clone, Copy, Debug)]
pub struct Fixed<'a> {
    /// The type.
    pub data_type: DataType,
    /// Of vectors; 0 for numbers.
    pub dimension: usize,
    /// Bytes of one value.
    pub width: usize,
    /// slots × width, little-endian
    pub bytes: &'a [u8],
}

impl Values {
    /// No values of a field.
    pub fn empty(field: &Field) -> Self {
        Self::zeros(field, 0)
    }

    /// `count` values of a field that nobody looks at: zero, or without content.
    fn zeros(field: &Field, count: usize) -> Self {
        let data_type = field.data_type;
        match (data_type, field.element_type) {
            (DataType::VarChar, _) => Self::VarChar(std::iter::repeat_n("", count).collect()),
            (DataType::Json, _) => Self::Json(std::iter::repeat_n("", count).collect()),
            (DataType::SparseFloatVector, _) => Self::SparseFloatVector(std::iter::repeat_n((&[][..], &[][..]), count).collect()),
            (DataType::Array, Some(element)) => {
                let none = Self::from_fixed(element, 0, Bytes::new()).unwrap_or_else(|| Self::VarChar(Strings::default()));
                Self::Array(Arrays::empty_rows(none, count))
            }
            _ => {
                let dimension = field.dimension.unwrap_or(0) as usize;
                let width = data_type.width(dimension).expect("the types without one are above, and an array names its elements");
                Self::from_fixed(data_type, dimension, vec![0; count * width].into()).expect("the types of variable width are above")
            }
        }
    }

    /// The same value `count` times; arrays and vectors have no such form and give `None`, as does a value of another type.
    pub fn repeated(data_type: DataType, value: &Value, count: usize) -> Option<Self> {
        Some(match (data_type, value) {
            (DataType::Bool, Value::Bool(v)) => Self::Bool(vec![u8::from(*v); count].into()),
            (DataType::Int8, Value::Int(v)) => Self::Int8(vec![i8::try_from(*v).ok()?; count].into()),
            (DataType::Int16, Value::Int(v)) => Self::Int16(vec![i16::try_from(*v).ok()?; count].into()),
            (DataType::Int32, Value::Int(v)) => Self::Int32(vec![i32::try_from(*v).ok()?; count].into()),
            (DataType::Int64, Value::Int(v)) => Self::Int64(vec![*v; count].into()),
            (DataType::Float, Value::Float(v)) => Self::Float(vec![*v as f32; count].into()),
            (DataType::Double, Value::Float(v)) => Self::Double(vec![*v; count].into()),
            (DataType::VarChar, Value::String(v)) => Self::VarChar(std::iter::repeat_n(v.as_ref(), count).collect()),
            (DataType::Json, Value::String(v)) => Self::Json(std::iter::repeat_n(v.as_ref(), count).collect()),
            _ => return None,
        })
    }

    /// Values of one width from their little-endian bytes, shared where they are aligned; `None` for types without one.
    ///
    /// # Panics
    /// If the length isn't a whole number of values: the caller has checked the format.
    pub fn from_fixed(data_type: DataType, dimension: usize, bytes: Bytes) -> Option<Self> {
        Some(match data_type {
            DataType::Bool => Self::Bool(Buffer::from_bytes(bytes)),
            DataType::Int8 => Self::Int8(Buffer::from_bytes(bytes)),
            DataType::Int16 => Self::Int16(Buffer::from_bytes(bytes)),
            DataType::Int32 => Self::Int32(Buffer::from_bytes(bytes)),
            DataType::Int64 => Self::Int64(Buffer::from_bytes(bytes)),
            DataType::Float => Self::Float(Buffer::from_bytes(bytes)),
            DataType::Double => Self::Double(Buffer::from_bytes(bytes)),
            DataType::BinaryVector => Self::BinaryVector { dimension, data: Buffer::from_bytes(bytes) },
            DataType::FloatVector => Self::FloatVector { dimension, data: Buffer::from_bytes(bytes) },
            DataType::Float16Vector => Self::Float16Vector { dimension, data: Buffer::from_bytes(bytes) },
            DataType::BFloat16Vector => Self::BFloat16Vector { dimension, data: Buffer::from_bytes(bytes) },
            DataType::Int8Vector => Self::Int8Vector { dimension, data: Buffer::from_bytes(bytes) },
            DataType::VarChar | DataType::Array | DataType::Json | DataType::SparseFloatVector => return None,
        })
    }

    /// The bytes of values of one width; `None` for types without one.
    pub fn fixed(&self) -> Option<Fixed<'_>> {
        let (dimension, bytes) = match self {
            Self::Bool(values) => (0, values.as_bytes()),
            Self::Int8(values) => (0, values.as_bytes()),
            Self::Int16(values) => (0, values.as_bytes()),
            Self::Int32(values) => (0, values.as_bytes()),
            Self::Int64(values) => (0, values.as_bytes()),
            Self::Float(values) => (0, values.as_bytes()),
            Self::Double(values) => (0, values.as_bytes()),
            Self::BinaryVector { dimension, data } => (*dimension, data.as_bytes()),
            Self::FloatVector { dimension, data } => (*dimension, data.as_bytes()),
            Self::Float16Vector { dimension, data } | Self::BFloat16Vector { dimension, data } => (*dimension, data.as_bytes()),
            Self::Int8Vector { dimension, data } => (*dimension, data.as_bytes()),
            Self::VarChar(_) | Self::Array(_) | Self::Json(_) | Self::SparseFloatVector(_) => return None,
        };
        let data_type = self.data_type();
        data_type.width(dimension).map(|width| Fixed { data_type, dimension, width, bytes })
    }

    /// Slots: rows for scalars, present rows for vectors.
    pub fn slots(&self) -> usize {
        match self {
            Self::VarChar(texts) | Self::Json(texts) => texts.len(),
            Self::Array(arrays) => arrays.len(),
            Self::SparseFloatVector(rows) => rows.len(),
            fixed => fixed.as_fixed().slots(),
        }
    }

    /// The type.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Bool(_) => DataType::Bool,
            Self::Int8(_) => DataType::Int8,
            Self::Int16(_) => DataType::Int16,
            Self::Int32(_) => DataType::Int32,
            Self::Int64(_) => DataType::Int64,
            Self::Float(_) => DataType::Float,
            Self::Double(_) => DataType::Double,
            Self::VarChar(_) => DataType::VarChar,
            Self::Array(_) => DataType::Array,
            Self::Json(_) => DataType::Json,
            Self::BinaryVector { .. } => DataType::BinaryVector,
            Self::FloatVector { .. } => DataType::FloatVector,
            Self::Float16Vector { .. } => DataType::Float16Vector,
            Self::BFloat16Vector { .. } => DataType::BFloat16Vector,
            Self::SparseFloatVector(_) => DataType::SparseFloatVector,
            Self::Int8Vector { .. } => DataType::Int8Vector,
        }
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::VarChar(texts) | Self::Json(texts) => texts.bytes().len() + 4 * texts.len(),
            Self::Array(arrays) => arrays.elements().bytes() + 4 * arrays.len(),
            Self::SparseFloatVector(rows) => 8 * rows.indices().len() + 4 * rows.len(),
            fixed => fixed.as_fixed().bytes.len(),
        }
    }

    /// Whether values may stand in a column of `field`: of its type, its dimension, and for arrays of its element type.
    pub fn are_of(&self, field: &Field) -> bool {
        self.data_type() == field.data_type
            && match self {
                Self::Array(arrays) => field.element_type == Some(arrays.elements().data_type()),
                Self::VarChar(_) | Self::Json(_) | Self::SparseFloatVector(_) => true,
                fixed => {
                    !field.data_type.is_vector() || field.dimension.map(|dimension| dimension as usize) == Some(fixed.as_fixed().dimension)
                }
            }
    }

    /// The values at `slots`, in that order.
    pub fn take(&self, slots: &[u32]) -> Self {
        match self {
            Self::VarChar(texts) => Self::VarChar(slots.iter().map(|&slot| texts.get(slot as usize)).collect()),
            Self::Json(texts) => Self::Json(slots.iter().map(|&slot| texts.get(slot as usize)).collect()),
            Self::Array(arrays) => Self::Array(arrays.take(slots)),
            Self::SparseFloatVector(rows) => Self::SparseFloatVector(slots.iter().map(|&slot| rows.row(slot as usize)).collect()),
            fixed => {
                let fixed = fixed.as_fixed();
                fixed.with_bytes(fixed.take(slots))
            }
        }
    }

    /// The values of `parts` one after the other.
    ///
    /// # Panics
    /// If types or dimensions differ: one field has one type.
    pub fn concat(parts: &[&Self]) -> Self {
        macro_rules! all {
            ($variant:ident) => {
                parts.iter().map(|part| match part {
                    Self::$variant(values) => values,
                    _ => panic!("columns of one field have one type"),
                })
            };
        }
        match parts.first().expect("at least one part is joined") {
            Self::VarChar(_) => Self::VarChar(all!(VarChar).flat_map(Strings::iter).collect()),
            Self::Json(_) => Self::Json(all!(Json).flat_map(Strings::iter).collect()),
            Self::Array(_) => Self::Array(Arrays::concat(&all!(Array).collect::<Vec<_>>())),
            Self::SparseFloatVector(_) => Self::SparseFloatVector(all!(SparseFloatVector).flat_map(SparseRows::iter).collect()),
            fixed => {
                let first = fixed.as_fixed();
                let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.bytes()).sum());
                for part in parts {
                    let part = part.fixed().filter(|part| part.data_type == first.data_type && part.dimension == first.dimension);
                    bytes.extend_from_slice(part.expect("columns of one field have one type and dimension").bytes);
                }
                first.with_bytes(bytes.into())
            }
        }
    }

    fn as_fixed(&self) -> Fixed<'_> {
        self.fixed().expect("only called where the types of variable width are dealt with")
    }
}

impl Fixed<'_> {
    /// How many values there are.
    pub fn slots(&self) -> usize {
        self.bytes.len() / self.width.max(1)
    }

    /// The bytes of the values at `slots`, in that order.
    fn take(&self, slots: &[u32]) -> Bytes {
        fn pick<T: bytemuck::Pod + Send + Sync>(bytes: &[u8], slots: &[u32]) -> Bytes {
            let values: &[T] = bytemuck::cast_slice(bytes);
            Buffer::from(slots.iter().map(|&slot| values[slot as usize]).collect::<Vec<T>>()).into_bytes()
        }
        match self.width {
            1 => pick::<u8>(self.bytes, slots),
            _ if self.data_type.is_vector() => {
                let mut picked = Vec::with_capacity(slots.len() * self.width);
                for &slot in slots {
                    picked.extend_from_slice(&self.bytes[slot as usize * self.width..(slot as usize + 1) * self.width]);
                }
                picked.into()
            }
            2 => pick::<u16>(self.bytes, slots),
            4 => pick::<u32>(self.bytes, slots),
            _ => pick::<u64>(self.bytes, slots),
        }
    }

    /// Other values of this type.
    fn with_bytes(&self, bytes: Bytes) -> Values {
        Values::from_fixed(self.data_type, self.dimension, bytes).expect("this type has a width")
    }
}

impl Column {
    /// A column without nulls.
    pub fn new(field: FieldId, values: Values) -> Self {
        Self { field, validity: None, values }
    }

    /// A column of a field in which every row is null.
    pub fn nulls(field: &Field, rows: usize) -> Self {
        let slots = if field.data_type.is_vector() { 0 } else { rows };
        Self { field: field.id, validity: Some(Bitset::zeros(rows)), values: Values::zeros(field, slots) }
    }

    /// Rows, null ones included.
    pub fn rows(&self) -> usize {
        self.validity.as_ref().map_or_else(|| self.values.slots(), Bitset::len)
    }

    /// Whether row `row` has a value.
    pub fn is_valid(&self, row: usize) -> bool {
        self.validity.as_ref().is_none_or(|validity| validity.get(row))
    }

    /// The key at `row` of a primary-key column.
    ///
    /// # Panics
    /// If the type isn't that of a key.
    pub fn key(&self, row: usize) -> KeyRef<'_> {
        match &self.values {
            Values::Int64(values) => KeyRef::Int(values[row]),
            Values::VarChar(values) => KeyRef::String(values.get(row)),
            other => panic!("a column of {} has no keys", other.data_type()),
        }
    }

    /// The rows `rows`, in that order.
    pub fn take(&self, rows: &[u32]) -> Self {
        let Some(validity) = &self.validity else {
            return Self { field: self.field, validity: None, values: self.values.take(rows) };
        };
        let taken = Bitset::from_fn(rows.len(), |i| validity.get(rows[i] as usize));
        let values = if self.values.data_type().is_vector() {
            let present = rows.iter().filter(|&&row| validity.get(row as usize));
            let slots: Vec<u32> = present.map(|&row| validity.rank(row as usize) as u32).collect();
            self.values.take(&slots)
        } else {
            self.values.take(rows)
        };
        Self { field: self.field, validity: Some(taken), values }
    }

    /// Columns of one field one after the other.
    pub fn concat(parts: &[&Self]) -> Self {
        let field = parts.first().expect("at least one part is joined").field;
        let validity = parts.iter().any(|part| part.validity.is_some()).then(|| {
            let mut all = Bitset::default();
            for part in parts {
                (0..part.rows()).for_each(|row| all.push(part.is_valid(row)));
            }
            all
        });
        let values: Vec<&Values> = parts.iter().map(|part| &part.values).collect();
        Self { field, validity, values: Values::concat(&values) }
    }
}
