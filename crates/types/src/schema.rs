//! What a collection is: fields, their types and parameters, and the versions that a schema goes through.
//!
//! A [`Schema`] in memory is always valid: [`crate::schema`] values come from the proxy's checks or from meta. Its stored form is
//! JSON (in meta and in control records), so that operators can read it and fields can be added.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::FieldId;
use crate::limits;
use crate::value::Value;

/// The hidden row id.
pub const ROW_ID_FIELD: FieldId = FieldId(0);
/// The hidden timestamp.
pub const TIMESTAMP_FIELD: FieldId = FieldId(1);
/// The first id of a user's field.
pub const FIRST_USER_FIELD: FieldId = FieldId(100);
/// The name of the dynamic field.
pub const DYNAMIC_FIELD_NAME: &str = "$meta";

/// A field's data type, with Milvus's numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[repr(i32)]
pub enum DataType {
    /// True or false.
    Bool = 1,
    /// 8-bit signed integer.
    Int8 = 2,
    /// 16-bit signed integer.
    Int16 = 3,
    /// 32-bit signed integer.
    Int32 = 4,
    /// 64-bit signed integer.
    Int64 = 5,
    /// 32-bit float.
    Float = 10,
    /// 64-bit float.
    Double = 11,
    /// UTF-8 text with a greatest length in bytes.
    VarChar = 21,
    /// A list of values of one scalar type, with a greatest length.
    Array = 22,
    /// A JSON text.
    Json = 23,
    /// A vector of bits.
    BinaryVector = 100,
    /// A vector of 32-bit floats.
    FloatVector = 101,
    /// A vector of IEEE 754's 16-bit floats.
    Float16Vector = 102,
    /// A vector of the upper halves of 32-bit floats.
    BFloat16Vector = 103,
    /// A vector that names its non-zero places.
    SparseFloatVector = 104,
    /// A vector of 8-bit signed integers.
    Int8Vector = 105,
}

impl DataType {
    /// Every type that a schema may hold.
    pub const ALL: [Self; 16] = [
        Self::Bool,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Float,
        Self::Double,
        Self::VarChar,
        Self::Array,
        Self::Json,
        Self::BinaryVector,
        Self::FloatVector,
        Self::Float16Vector,
        Self::BFloat16Vector,
        Self::SparseFloatVector,
        Self::Int8Vector,
    ];

    /// The type with Milvus's number, if Elanus has it.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|data_type| *data_type as i32 == number)
    }

    /// Milvus's number.
    pub fn number(self) -> i32 {
        self as i32
    }

    /// Milvus's name, as error texts have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "Bool",
            Self::Int8 => "Int8",
            Self::Int16 => "Int16",
            Self::Int32 => "Int32",
            Self::Int64 => "Int64",
            Self::Float => "Float",
            Self::Double => "Double",
            Self::VarChar => "VarChar",
            Self::Array => "Array",
            Self::Json => "JSON",
            Self::BinaryVector => "BinaryVector",
            Self::FloatVector => "FloatVector",
            Self::Float16Vector => "Float16Vector",
            Self::BFloat16Vector => "BFloat16Vector",
            Self::SparseFloatVector => "SparseFloatVector",
            Self::Int8Vector => "Int8Vector",
        }
    }

    /// Whether it is a vector.
    pub fn is_vector(self) -> bool {
        self.number() >= Self::BinaryVector.number()
    }

    /// Whether it is a vector with a dimension: all but sparse ones.
    pub fn is_dense_vector(self) -> bool {
        self.is_vector() && self != Self::SparseFloatVector
    }

    /// Whether an array may have elements of it.
    pub fn is_element(self) -> bool {
        self.number() <= Self::VarChar.number()
    }

    /// Bytes of one value where all have the same number of them: of numbers, and of dense vectors of `dimension`.
    pub fn width(self, dimension: usize) -> Option<usize> {
        match self {
            Self::Bool | Self::Int8 => Some(1),
            Self::Int16 => Some(2),
            Self::Int32 | Self::Float => Some(4),
            Self::Int64 | Self::Double => Some(8),
            Self::BinaryVector => Some(dimension / 8),
            Self::FloatVector => Some(4 * dimension),
            Self::Float16Vector | Self::BFloat16Vector => Some(2 * dimension),
            Self::Int8Vector => Some(dimension),
            Self::VarChar | Self::Array | Self::Json | Self::SparseFloatVector => None,
        }
    }

    /// Whether a dense vector of this type may have `dimension` dimensions, as far as storage is concerned.
    pub fn can_have_dimension(self, dimension: usize) -> bool {
        match self {
            Self::BinaryVector => dimension.is_multiple_of(8) && (1..=limits::BINARY_DIMENSION_MAX as usize).contains(&dimension),
            _ => (1..=limits::DIMENSION_MAX as usize).contains(&dimension),
        }
    }

    /// Whether it is an integer of any width.
    pub fn is_integer(self) -> bool {
        matches!(self, Self::Int8 | Self::Int16 | Self::Int32 | Self::Int64)
    }

    /// Whether arithmetic applies.
    pub fn is_numeric(self) -> bool {
        self.is_integer() || matches!(self, Self::Float | Self::Double)
    }

    /// Whether it is a scalar whose values have a variable length.
    pub fn is_variable(self) -> bool {
        matches!(self, Self::VarChar | Self::Array | Self::Json)
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One field.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Field {
    /// Never used again, not even after the field is dropped.
    pub id: FieldId,
    /// Unique in the schema.
    pub name: String,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// What values are.
    pub data_type: DataType,
    /// The role that the field plays, if any.
    #[serde(default)]
    pub kind: FieldKind,
    /// The server draws keys. Only on a primary key.
    #[serde(default)]
    pub auto_id: bool,
    /// Values may be null.
    #[serde(default)]
    pub nullable: bool,
    /// Taken where a row has no value, before null is.
    #[serde(default)]
    pub default: Option<Value>,
    /// Dimensions, of a binary vector bits; of dense vectors only.
    #[serde(default)]
    pub dimension: Option<u32>,
    /// Bytes; of VarChar, and of the elements of an array of it.
    #[serde(default)]
    pub max_length: Option<u32>,
    /// What elements are; of arrays only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element_type: Option<DataType>,
    /// Elements of one value; of arrays only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_capacity: Option<u32>,
    /// All type parameters as the client sent them, to be given back; those above are parsed from here.
    #[serde(default)]
    pub type_params: BTreeMap<String, String>,
}

/// What a field is for, beyond holding values.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum FieldKind {
    /// Nothing special.
    #[default]
    Plain,
    /// The primary key.
    Primary,
    /// Routes rows to partitions.
    PartitionKey,
    /// Orders rows in compaction.
    ClusteringKey,
    /// `$meta`: what a row has beyond the schema.
    Dynamic,
}

/// The definition of a collection's rows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Schema {
    /// Rises by one with each change of fields.
    pub version: u32,
    /// In order of declaration, `$meta` last; hidden fields aren't listed.
    pub fields: Vec<Field>,
}

impl Schema {
    /// The primary key.
    pub fn primary(&self) -> &Field {
        self.of_kind(FieldKind::Primary).expect("a valid schema has a primary key")
    }

    /// The partition key, if rows are routed by one.
    pub fn partition_key(&self) -> Option<&Field> {
        self.of_kind(FieldKind::PartitionKey)
    }

    /// `$meta`, if rows may have more than the schema names.
    pub fn dynamic(&self) -> Option<&Field> {
        self.of_kind(FieldKind::Dynamic)
    }

    /// The field `name`.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The field with this id.
    pub fn field_by_id(&self, id: FieldId) -> Option<&Field> {
        self.fields.iter().find(|field| field.id == id)
    }

    /// Vector fields in order of declaration.
    pub fn vectors(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| field.data_type.is_vector())
    }

    /// The next version, with one more field: behind the others, but for `$meta`.
    pub fn with_field(&self, field: Field) -> Self {
        let mut fields = self.fields.clone();
        let at = fields.iter().position(|field| field.kind == FieldKind::Dynamic).unwrap_or(fields.len());
        fields.insert(at, field);
        Self { version: self.version + 1, fields }
    }

    fn of_kind(&self, kind: FieldKind) -> Option<&Field> {
        self.fields.iter().find(|field| field.kind == kind)
    }
}
