//! Rows as columns, and their one encoding (`docs/formats/batch.md`): made by the proxy, carried unchanged through stream, log and tail.
//!
//! Decoding copies nothing that is aligned, and treats every byte as hostile: a wrong length, type or offset is an error, never a panic.

use bytes::{BufMut, Bytes, BytesMut};

use crate::bitset::Bitset;
use crate::buffer::Buffer;
use crate::column::{Column, Strings, Values};
use crate::id::FieldId;
use crate::limits;
use crate::schema::DataType;
use crate::{Error, Result};

/// Columns of one length. Order is that of the schema the batch was made under.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Batch {
    rows: usize,
    columns: Vec<Column>,
}

impl Batch {
    /// A batch of `rows` rows.
    ///
    /// # Panics
    /// If a column has another number of rows, or two columns are of one field.
    pub fn new(rows: usize, columns: Vec<Column>) -> Self {
        for (i, column) in columns.iter().enumerate() {
            assert_eq!(column.rows(), rows, "column {} of a batch has its rows", column.field);
            assert!(columns[..i].iter().all(|other| other.field != column.field), "a batch has one column of {}", column.field);
        }
        Self { rows, columns }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// All columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The column of a field.
    pub fn column(&self, field: FieldId) -> Option<&Column> {
        self.columns.iter().find(|column| column.field == field)
    }

    /// The rows `rows`, in that order.
    pub fn take(&self, rows: &[u32]) -> Self {
        Self { rows: rows.len(), columns: self.columns.iter().map(|column| column.take(rows)).collect() }
    }

    /// Bytes of the values in memory.
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(|column| column.values.bytes()).sum()
    }

    /// The encoded form.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.bytes() + 128 * (self.columns.len() + 1));
        out.put_u32_le(MAGIC);
        out.put_u32_le(u32::try_from(self.rows).expect("rows are bounded by WRITE_BYTES_MAX"));
        out.put_u32_le(self.columns.len() as u32);
        out.put_u32_le(0);
        let table = out.len();
        out.put_bytes(0, self.columns.len() * ENTRY_BYTES);
        for (i, column) in self.columns.iter().enumerate() {
            let entry = encode_column(&mut out, column);
            out[table + i * ENTRY_BYTES..table + (i + 1) * ENTRY_BYTES].copy_from_slice(&entry);
        }
        out.freeze()
    }

    /// The reverse of [`Self::encode`].
    ///
    /// # Errors
    /// `DATA_INTEGRITY`, saying what is wrong with the bytes.
    pub fn decode(bytes: &Bytes) -> Result<Self> {
        let word = |at: usize| read_u32(bytes, at);
        if word(0)? != MAGIC {
            return Err(Error::corrupt("a batch begins with another magic number"));
        }
        let (rows, count) = (word(4)? as usize, word(8)? as usize);
        if count > limits::FIELDS_MAX + 2 {
            return Err(Error::corrupt(format!("a batch of {count} columns")));
        }
        let mut columns: Vec<Column> = Vec::with_capacity(count);
        for i in 0..count {
            let column = decode_column(bytes, HEADER_BYTES + i * ENTRY_BYTES, rows)?;
            if columns.iter().any(|other| other.field == column.field) {
                return Err(Error::corrupt(format!("a batch has two columns of field {}", column.field)));
            }
            columns.push(column);
        }
        Ok(Self { rows, columns })
    }
}

/// "ELB1".
const MAGIC: u32 = u32::from_le_bytes(*b"ELB1");
const HEADER_BYTES: usize = 16;
const ENTRY_BYTES: usize = 48;
/// Every block of values begins at a multiple of this, counted from the batch's first byte.
const ALIGNMENT: usize = 64;
const FLAG_VALIDITY: u32 = 1;

fn encode_column(out: &mut BytesMut, column: &Column) -> [u8; ENTRY_BYTES] {
    let validity_at = column.validity.as_ref().map_or(0, |validity| {
        let at = align(out);
        out.put_slice(bytemuck::cast_slice(validity.words()));
        at
    });
    let values_at = align(out);
    let mut dimension = 0;
    match &column.values {
        Values::Bool(values) => out.put_slice(values),
        Values::Int8(values) => out.put_slice(values.as_bytes()),
        Values::Int16(values) => out.put_slice(values.as_bytes()),
        Values::Int32(values) => out.put_slice(values.as_bytes()),
        Values::Int64(values) => out.put_slice(values.as_bytes()),
        Values::Float(values) => out.put_slice(values.as_bytes()),
        Values::Double(values) => out.put_slice(values.as_bytes()),
        Values::VarChar(texts) | Values::Json(texts) => {
            out.put_slice(bytemuck::cast_slice(texts.offsets()));
            out.put_slice(texts.bytes());
        }
        Values::FloatVector { dimension: d, data } => {
            dimension = *d;
            out.put_slice(data.as_bytes());
        }
    }
    let mut entry = [0; ENTRY_BYTES];
    let mut fields = &mut entry[..];
    fields.put_i64_le(column.field.0);
    fields.put_i32_le(column.values.data_type().number());
    fields.put_u32_le(if column.validity.is_some() { FLAG_VALIDITY } else { 0 });
    fields.put_u32_le(dimension as u32);
    fields.put_u32_le(column.values.slots() as u32);
    fields.put_u64_le(validity_at as u64);
    fields.put_u64_le(values_at as u64);
    fields.put_u64_le((out.len() - values_at) as u64);
    entry
}

fn align(out: &mut BytesMut) -> usize {
    out.put_bytes(0, out.len().next_multiple_of(ALIGNMENT) - out.len());
    out.len()
}

struct Entry {
    field: FieldId,
    data_type: DataType,
    dimension: usize,
    slots: usize,
}

fn decode_column(bytes: &Bytes, at: usize, rows: usize) -> Result<Column> {
    let field = FieldId(read_u64(bytes, at)? as i64);
    let wrong = |what: &str| Error::corrupt(format!("field {field} of a batch: {what}"));
    let data_type = DataType::from_number(read_u32(bytes, at + 8)? as i32).ok_or_else(|| wrong("unknown data type"))?;
    let has_validity = read_u32(bytes, at + 12)? & FLAG_VALIDITY != 0;
    let entry = Entry { field, data_type, dimension: read_u32(bytes, at + 16)? as usize, slots: read_u32(bytes, at + 20)? as usize };
    let validity = if has_validity {
        let words = slice(bytes, read_u64(bytes, at + 24)?, rows.div_ceil(64) as u64 * 8)?;
        Some(Bitset::from_words(Buffer::<u64>::from_bytes(words).to_vec(), rows))
    } else {
        None
    };
    let present = validity.as_ref().map_or(rows, Bitset::count_ones);
    let slots = if data_type.is_vector() { present } else { rows };
    if entry.slots != slots {
        return Err(wrong("another number of values than rows"));
    }
    let values = slice(bytes, read_u64(bytes, at + 32)?, read_u64(bytes, at + 40)?)?;
    Ok(Column { field, validity, values: decode_values(&entry, values)? })
}

fn decode_values(entry: &Entry, bytes: Bytes) -> Result<Values> {
    let wrong = |what: &str| Error::corrupt(format!("field {} of a batch: {what}", entry.field));
    let fixed = |width: usize| match entry.slots.checked_mul(width) {
        Some(length) if length == bytes.len() => Ok(()),
        _ => Err(wrong("values have another length")),
    };
    Ok(match entry.data_type {
        DataType::Bool => {
            fixed(1)?;
            if bytes.iter().any(|&byte| byte > 1) {
                return Err(wrong("a bool is neither 0 nor 1"));
            }
            Values::Bool(Buffer::from_bytes(bytes))
        }
        DataType::Int8 => fixed(1).map(|()| Values::Int8(Buffer::from_bytes(bytes.clone())))?,
        DataType::Int16 => fixed(2).map(|()| Values::Int16(Buffer::from_bytes(bytes.clone())))?,
        DataType::Int32 => fixed(4).map(|()| Values::Int32(Buffer::from_bytes(bytes.clone())))?,
        DataType::Int64 => fixed(8).map(|()| Values::Int64(Buffer::from_bytes(bytes.clone())))?,
        DataType::Float => fixed(4).map(|()| Values::Float(Buffer::from_bytes(bytes.clone())))?,
        DataType::Double => fixed(8).map(|()| Values::Double(Buffer::from_bytes(bytes.clone())))?,
        DataType::VarChar | DataType::Json => {
            let ends = (entry.slots + 1) * 4;
            if bytes.len() < ends {
                return Err(wrong("values have another length"));
            }
            let offsets = Buffer::from_bytes(bytes.slice(..ends));
            let texts = Strings::from_parts(offsets, bytes.slice(ends..)).map_err(wrong)?;
            if entry.data_type == DataType::VarChar { Values::VarChar(texts) } else { Values::Json(texts) }
        }
        DataType::FloatVector => {
            if entry.dimension == 0 || entry.dimension > limits::DIMENSION_MAX as usize {
                return Err(wrong("a dimension out of range"));
            }
            fixed(4 * entry.dimension)?;
            Values::FloatVector { dimension: entry.dimension, data: Buffer::from_bytes(bytes) }
        }
    })
}

fn slice(bytes: &Bytes, offset: u64, length: u64) -> Result<Bytes> {
    let end = offset.checked_add(length).filter(|&end| end <= bytes.len() as u64);
    match end {
        Some(end) => Ok(bytes.slice(offset as usize..end as usize)),
        None => Err(Error::corrupt(format!("a batch of {} bytes refers to {offset}+{length}", bytes.len()))),
    }
}

fn read_u32(bytes: &[u8], at: usize) -> Result<u32> {
    let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
    word.map(u32::from_le_bytes).ok_or_else(|| Error::corrupt("a batch ends early"))
}

fn read_u64(bytes: &[u8], at: usize) -> Result<u64> {
    let word = bytes.get(at..at + 8).and_then(|word| word.try_into().ok());
    word.map(u64::from_le_bytes).ok_or_else(|| Error::corrupt("a batch ends early"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(rows: usize, seed: u64) -> Batch {
        let text = |i: usize| format!("wörd-{}", (seed as usize).wrapping_mul(31).wrapping_add(i) % 977);
        let validity = Bitset::from_fn(rows, |i| !(i as u64).wrapping_add(seed).is_multiple_of(3));
        let present = validity.count_ones();
        Batch::new(
            rows,
            vec![
                Column::new(FieldId(100), Values::Int64((0..rows as i64).collect::<Vec<_>>().into())),
                Column { field: FieldId(101), validity: Some(validity.clone()), values: Values::VarChar((0..rows).map(text).collect()) },
                Column {
                    field: FieldId(102),
                    validity: Some(validity),
                    values: Values::FloatVector { dimension: 3, data: (0..3 * present).map(|i| i as f32).collect::<Vec<_>>().into() },
                },
                Column::new(FieldId(103), Values::Bool((0..rows).map(|i| (i % 2) as u8).collect::<Vec<_>>().into())),
                Column::new(FieldId(104), Values::Double((0..rows).map(|i| i as f64 / 3.0).collect::<Vec<_>>().into())),
            ],
        )
    }

    #[test]
    fn round_trip_take_and_concat() {
        for rows in [0, 1, 63, 64, 65, 200] {
            let batch = sample(rows, rows as u64);
            let encoded = batch.encode();
            assert_eq!(Batch::decode(&encoded).expect("own encoding"), batch);
            let (low, high): (Vec<u32>, Vec<u32>) = (0..rows as u32).partition(|row| (*row as usize) < rows / 2);
            let (low, high) = (batch.take(&low), batch.take(&high));
            for (whole, parts) in batch.columns().iter().zip(low.columns().iter().zip(high.columns())) {
                assert_eq!(&Column::concat(&[parts.0, parts.1]), whole);
            }
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(rows in 0usize..40, seed: u64, at in 0usize..4000, value: u8, cut in 0usize..4000) {
            let mut bytes = sample(rows, seed).encode().to_vec();
            let length = bytes.len();
            bytes[at % length] = value;
            bytes.truncate(length - cut % length.min(200));
            let _ = Batch::decode(&Bytes::from(bytes));
        }
    }
}
