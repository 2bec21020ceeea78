//! What a collection is: fields, their types and parameters, and the versions that a schema goes through.
//!
//! A [`Schema`] in memory is always valid: [`crate::schema`] values come from the proxy's checks or from meta. Its stored form is
//! JSON (in meta and in control records), so that operators can read it and fields can be added.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::FieldId;
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
    /// A JSON text.
    Json = 23,
    /// A vector of 32-bit floats.
    FloatVector = 101,
}

impl DataType {
    /// Every type that a schema may hold.
    pub const ALL: [Self; 10] = [
        Self::Bool,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Float,
        Self::Double,
        Self::VarChar,
        Self::Json,
        Self::FloatVector,
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
            Self::Json => "JSON",
            Self::FloatVector => "FloatVector",
        }
    }

    /// Whether it is a vector.
    pub fn is_vector(self) -> bool {
        matches!(self, Self::FloatVector)
    }

    /// Whether it is an integer of any width.
    pub fn is_integer(self) -> bool {
        matches!(self, Self::Int8 | Self::Int16 | Self::Int32 | Self::Int64)
    }

    /// Whether arithmetic applies.
    pub fn is_numeric(self) -> bool {
        self.is_integer() || matches!(self, Self::Float | Self::Double)
    }

    /// Whether values have a variable length.
    pub fn is_variable(self) -> bool {
        matches!(self, Self::VarChar | Self::Json)
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
    /// Dimensions; of vectors only.
    #[serde(default)]
    pub dimension: Option<u32>,
    /// Bytes; of VarChar only.
    #[serde(default)]
    pub max_length: Option<u32>,
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

    fn of_kind(&self, kind: FieldKind) -> Option<&Field> {
        self.fields.iter().find(|field| field.kind == kind)
    }
}
