//! Names of scalar index types, and which columns each is for.

use types::schema::{DataType, Field, FieldKind};
use types::{Error, Result};

/// A scalar index type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScalarKind {
    /// For every scalar and for arrays.
    Inverted,
    /// For columns with few distinct values.
    Bitmap,
    /// For numbers and texts.
    StlSort,
    /// For texts.
    Trie,
}

impl ScalarKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Inverted, Self::Bitmap, Self::StlSort, Self::Trie];

    /// Milvus's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inverted => "INVERTED",
            Self::Bitmap => "BITMAP",
            Self::StlSort => "STL_SORT",
            Self::Trie => "Trie",
        }
    }

    /// The type of this name; TRIE goes by two spellings.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "TRIE" => Some(Self::Trie),
            _ => Self::ALL.into_iter().find(|kind| kind.name() == name),
        }
    }

    /// Whether a field can have such an index.
    ///
    /// # Errors
    /// Milvus's text where it can't.
    pub fn check(self, field: &Field) -> Result<()> {
        let (data_type, element) = (field.data_type, field.element_type);
        let is_key = field.kind == FieldKind::Primary;
        let bitmap = |data_type: DataType| data_type == DataType::Bool || data_type.is_integer() || data_type == DataType::VarChar;
        let wrong = match self {
            Self::Inverted => {
                let fits = data_type.is_element() || data_type == DataType::Array;
                (!fits).then(|| format!("INVERTED are not supported on {data_type} field"))
            }
            Self::Bitmap if is_key => Some("create bitmap index on primary key not supported".to_owned()),
            Self::Bitmap if data_type == DataType::Array => {
                (!element.is_some_and(bitmap)).then(|| "bitmap index are only supported on bool, int, string for array field".to_owned())
            }
            Self::Bitmap => (!bitmap(data_type)).then(|| "bitmap index are only supported on bool, int, string and array field".to_owned()),
            Self::StlSort => (!data_type.is_numeric() && data_type != DataType::VarChar)
                .then(|| format!("STL_SORT are only supported on numeric, varchar or timestamptz field, got {data_type}")),
            Self::Trie => (data_type != DataType::VarChar).then(|| "TRIE are only supported on varchar field".to_owned()),
        };
        wrong.map_or(Ok(()), |text| Err(Error::invalid(text)))
    }
}
