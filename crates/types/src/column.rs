//! One field's values for a run of rows.
//!
//! Scalars have a slot for every row; where a row is null the slot holds a zero value that nobody may look at. Vectors keep
//! present rows only: slot `validity.rank(row)`. Layout and limits of the encoded form are in `batch`.

use bytes::Bytes;

use crate::bitset::Bitset;
use crate::buffer::Buffer;
use crate::id::FieldId;
use crate::schema::DataType;
use crate::value::{KeyRef, Value};

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
    /// JSON texts, valid UTF-8.
    Json(Strings),
    /// Vectors, row after row, `dimension` floats each.
    FloatVector {
        /// Floats of one vector.
        dimension: usize,
        /// present rows × dimension
        data: Buffer<f32>,
    },
}

impl Values {
    /// No values of a type.
    pub fn empty(data_type: DataType, dimension: usize) -> Self {
        match data_type {
            DataType::Bool => Self::Bool(Vec::new().into()),
            DataType::Int8 => Self::Int8(Vec::new().into()),
            DataType::Int16 => Self::Int16(Vec::new().into()),
            DataType::Int32 => Self::Int32(Vec::new().into()),
            DataType::Int64 => Self::Int64(Vec::new().into()),
            DataType::Float => Self::Float(Vec::new().into()),
            DataType::Double => Self::Double(Vec::new().into()),
            DataType::VarChar => Self::VarChar(Strings::default()),
            DataType::Json => Self::Json(Strings::default()),
            DataType::FloatVector => Self::FloatVector { dimension, data: Vec::new().into() },
        }
    }

    /// The same value `count` times; a vector type has no such form and gives `None`, as does a value of another type.
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

    /// Slots: rows for scalars, present rows for vectors.
    pub fn slots(&self) -> usize {
        match self {
            Self::Bool(values) => values.len(),
            Self::Int8(values) => values.len(),
            Self::Int16(values) => values.len(),
            Self::Int32(values) => values.len(),
            Self::Int64(values) => values.len(),
            Self::Float(values) => values.len(),
            Self::Double(values) => values.len(),
            Self::VarChar(values) | Self::Json(values) => values.len(),
            Self::FloatVector { dimension, data } => data.len() / (*dimension).max(1),
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
            Self::Json(_) => DataType::Json,
            Self::FloatVector { .. } => DataType::FloatVector,
        }
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Bool(values) => values.len(),
            Self::Int8(values) => values.len(),
            Self::Int16(values) => values.len() * 2,
            Self::Int32(values) => values.len() * 4,
            Self::Int64(values) => values.len() * 8,
            Self::Float(values) => values.len() * 4,
            Self::Double(values) => values.len() * 8,
            Self::VarChar(values) | Self::Json(values) => values.bytes().len() + 4 * values.len(),
            Self::FloatVector { data, .. } => data.len() * 4,
        }
    }

    /// The values at `slots`, in that order.
    pub fn take(&self, slots: &[u32]) -> Self {
        fn pick<T: bytemuck::Pod>(values: &Buffer<T>, slots: &[u32]) -> Buffer<T> {
            slots.iter().map(|&slot| values[slot as usize]).collect::<Vec<T>>().into()
        }
        match self {
            Self::Bool(values) => Self::Bool(pick(values, slots)),
            Self::Int8(values) => Self::Int8(pick(values, slots)),
            Self::Int16(values) => Self::Int16(pick(values, slots)),
            Self::Int32(values) => Self::Int32(pick(values, slots)),
            Self::Int64(values) => Self::Int64(pick(values, slots)),
            Self::Float(values) => Self::Float(pick(values, slots)),
            Self::Double(values) => Self::Double(pick(values, slots)),
            Self::VarChar(values) => Self::VarChar(slots.iter().map(|&slot| values.get(slot as usize)).collect()),
            Self::Json(values) => Self::Json(slots.iter().map(|&slot| values.get(slot as usize)).collect()),
            Self::FloatVector { dimension, data } => {
                let mut picked = Vec::with_capacity(slots.len() * dimension);
                for &slot in slots {
                    picked.extend_from_slice(&data[slot as usize * dimension..(slot as usize + 1) * dimension]);
                }
                Self::FloatVector { dimension: *dimension, data: picked.into() }
            }
        }
    }

    /// The values of `parts` one after the other.
    ///
    /// # Panics
    /// If types or dimensions differ: one field has one type.
    pub fn concat(parts: &[&Self]) -> Self {
        macro_rules! join {
            ($variant:ident) => {{
                let mut all = Vec::new();
                for part in parts {
                    let Self::$variant(values) = part else { panic!("columns of one field have one type") };
                    all.extend_from_slice(values);
                }
                Self::$variant(all.into())
            }};
        }
        macro_rules! join_strings {
            ($variant:ident) => {{
                let texts = parts.iter().flat_map(|part| match part {
                    Self::$variant(values) => values.iter(),
                    _ => panic!("columns of one field have one type"),
                });
                Self::$variant(texts.collect())
            }};
        }
        match parts.first().expect("at least one part is joined") {
            Self::Bool(_) => join!(Bool),
            Self::Int8(_) => join!(Int8),
            Self::Int16(_) => join!(Int16),
            Self::Int32(_) => join!(Int32),
            Self::Int64(_) => join!(Int64),
            Self::Float(_) => join!(Float),
            Self::Double(_) => join!(Double),
            Self::VarChar(_) => join_strings!(VarChar),
            Self::Json(_) => join_strings!(Json),
            Self::FloatVector { dimension, .. } => {
                let mut all = Vec::new();
                for part in parts {
                    let Self::FloatVector { dimension: d, data } = part else { panic!("columns of one field have one type") };
                    assert_eq!(d, dimension, "vectors of one field have one dimension");
                    all.extend_from_slice(data);
                }
                Self::FloatVector { dimension: *dimension, data: all.into() }
            }
        }
    }
}

impl Column {
    /// A column without nulls.
    pub fn new(field: FieldId, values: Values) -> Self {
        Self { field, validity: None, values }
    }

    /// A column in which every row is null.
    pub fn nulls(field: FieldId, data_type: DataType, dimension: usize, rows: usize) -> Self {
        let values = match data_type {
            DataType::Bool => Values::Bool(vec![0; rows].into()),
            DataType::Int8 => Values::Int8(vec![0; rows].into()),
            DataType::Int16 => Values::Int16(vec![0; rows].into()),
            DataType::Int32 => Values::Int32(vec![0; rows].into()),
            DataType::Int64 => Values::Int64(vec![0; rows].into()),
            DataType::Float => Values::Float(vec![0.0; rows].into()),
            DataType::Double => Values::Double(vec![0.0; rows].into()),
            DataType::VarChar => Values::VarChar(std::iter::repeat_n("", rows).collect()),
            DataType::Json => Values::Json(std::iter::repeat_n("", rows).collect()),
            DataType::FloatVector => Values::empty(data_type, dimension),
        };
        Self { field, validity: Some(Bitset::zeros(rows)), values }
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

/// Texts one after the other with their ends.
#[derive(Clone, PartialEq)]
pub struct Strings {
    /// rows + 1 offsets into `bytes`, ascending, the first 0.
    offsets: Buffer<u32>,
    bytes: Bytes,
}

impl Strings {
    /// Texts from their stored parts.
    ///
    /// # Errors
    /// Says what is wrong if offsets don't ascend from 0 to the number of bytes, or a text isn't UTF-8.
    pub fn from_parts(offsets: Buffer<u32>, bytes: Bytes) -> Result<Self, &'static str> {
        if offsets.first() != Some(&0) || offsets.last().map(|&end| end as usize) != Some(bytes.len()) {
            return Err("offsets of texts don't span their bytes");
        }
        if offsets.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err("offsets of texts don't ascend");
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| "a text isn't UTF-8")?;
        if offsets.iter().any(|&offset| !text.is_char_boundary(offset as usize)) {
            return Err("a text isn't UTF-8");
        }
        Ok(Self { offsets, bytes })
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text at `row`.
    pub fn get(&self, row: usize) -> &str {
        let range = self.offsets[row] as usize..self.offsets[row + 1] as usize;
        std::str::from_utf8(&self.bytes[range]).expect("checked when the column was made")
    }

    /// All texts.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|row| self.get(row))
    }

    /// The offsets: one more than there are texts.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// The bytes of all texts.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl Default for Strings {
    fn default() -> Self {
        Self { offsets: vec![0].into(), bytes: Bytes::new() }
    }
}

impl std::fmt::Debug for Strings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<S: AsRef<str>> FromIterator<S> for Strings {
    fn from_iter<I: IntoIterator<Item = S>>(texts: I) -> Self {
        let (mut offsets, mut bytes) = (vec![0u32], Vec::new());
        for text in texts {
            bytes.extend_from_slice(text.as_ref().as_bytes());
            offsets.push(u32::try_from(bytes.len()).expect("a column of texts is bounded by WRITE_BYTES_MAX"));
        }
        Self { offsets: offsets.into(), bytes: bytes.into() }
    }
}
