//! Rows as columns, and their one encoding (`docs/formats/batch.md`): made by the proxy, carried unchanged through stream, log and tail.
//!
//! Decoding copies nothing that is aligned, and treats every byte as hostile: a wrong length, type or offset is an error, never a panic.

use bytes::{BufMut, Bytes, BytesMut};

use crate::bitset::Bitset;
use crate::buffer::Buffer;
use crate::column::{Arrays, Column, SparseRows, Strings, Values};
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
    put_values(out, &column.values);
    let mut entry = [0; ENTRY_BYTES];
    let mut fields = &mut entry[..];
    fields.put_i64_le(column.field.0);
    fields.put_i32_le(column.values.data_type().number());
    fields.put_u32_le(if column.validity.is_some() { FLAG_VALIDITY } else { 0 });
    fields.put_u32_le(detail(&column.values));
    fields.put_u32_le(column.values.slots() as u32);
    fields.put_u64_le(validity_at as u64);
    fields.put_u64_le(values_at as u64);
    fields.put_u64_le((out.len() - values_at) as u64);
    entry
}

/// What tells more of the type: the dimension of vectors, the number of the type of an array's elements, else 0.
fn detail(values: &Values) -> u32 {
    match values {
        Values::Array(arrays) => arrays.element_type().number() as u32,
        other => other.fixed().map_or(0, |fixed| fixed.dimension as u32),
    }
}

fn put_values(out: &mut BytesMut, values: &Values) {
    match values {
        Values::VarChar(texts) | Values::Json(texts) => {
            out.put_slice(bytemuck::cast_slice(texts.offsets()));
            out.put_slice(texts.bytes());
        }
        Values::Array(arrays) => {
            out.put_slice(arrays.offsets().as_bytes());
            align(out);
            put_values(out, arrays.elements());
        }
        Values::SparseFloatVector(rows) => {
            out.put_slice(rows.offsets().as_bytes());
            out.put_slice(rows.indices().as_bytes());
            out.put_slice(rows.values().as_bytes());
        }
        fixed => out.put_slice(fixed.fixed().expect("every other type has values of one width").bytes),
    }
}

fn align(out: &mut BytesMut) -> usize {
    out.put_bytes(0, out.len().next_multiple_of(ALIGNMENT) - out.len());
    out.len()
}

/// What an entry of the table says of the values.
struct Entry {
    field: FieldId,
    data_type: DataType,
    detail: u32,
    slots: usize,
}

fn decode_column(bytes: &Bytes, at: usize, rows: usize) -> Result<Column> {
    let field = FieldId(read_u64(bytes, at)? as i64);
    let wrong = |what: &str| Error::corrupt(format!("field {field} of a batch: {what}"));
    let data_type = DataType::from_number(read_u32(bytes, at + 8)? as i32).ok_or_else(|| wrong("unknown data type"))?;
    let has_validity = read_u32(bytes, at + 12)? & FLAG_VALIDITY != 0;
    let entry = Entry { field, data_type, detail: read_u32(bytes, at + 16)?, slots: read_u32(bytes, at + 20)? as usize };
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
    match entry.data_type {
        DataType::VarChar | DataType::Json => {
            let (offsets, rest) = split_offsets(&bytes, entry.slots).ok_or_else(|| wrong("values have another length"))?;
            let texts = Strings::from_parts(offsets, rest).map_err(wrong)?;
            Ok(if entry.data_type == DataType::VarChar { Values::VarChar(texts) } else { Values::Json(texts) })
        }
        DataType::Array => decode_arrays(entry, &bytes),
        DataType::SparseFloatVector => {
            let (offsets, rest) = split_offsets(&bytes, entry.slots).ok_or_else(|| wrong("values have another length"))?;
            if rest.len() % 8 != 0 {
                return Err(wrong("values have another length"));
            }
            let half = rest.len() / 2;
            let (indices, values) = (Buffer::from_bytes(rest.slice(..half)), Buffer::from_bytes(rest.slice(half..)));
            SparseRows::from_parts(offsets, indices, values).map(Values::SparseFloatVector).map_err(wrong)
        }
        data_type => decode_fixed(entry, data_type, bytes),
    }
}

/// The offsets of `slots` values, and what is behind them.
fn split_offsets(bytes: &Bytes, slots: usize) -> Option<(Buffer<u32>, Bytes)> {
    let ends = (slots + 1) * 4;
    (bytes.len() >= ends).then(|| (Buffer::from_bytes(bytes.slice(..ends)), bytes.slice(ends..)))
}

fn decode_arrays(entry: &Entry, bytes: &Bytes) -> Result<Values> {
    let wrong = |what: &str| Error::corrupt(format!("field {} of a batch: {what}", entry.field));
    let (offsets, _) = split_offsets(bytes, entry.slots).ok_or_else(|| wrong("values have another length"))?;
    let data_type = DataType::from_number(entry.detail as i32).filter(|data_type| data_type.is_element());
    let data_type = data_type.ok_or_else(|| wrong("elements of an array are neither numbers nor texts"))?;
    let start = ((entry.slots + 1) * 4).next_multiple_of(ALIGNMENT);
    if start > bytes.len() {
        return Err(wrong("values have another length"));
    }
    let slots = offsets.last().copied().unwrap_or_default() as usize;
    let elements = decode_values(&Entry { field: entry.field, data_type, detail: 0, slots }, bytes.slice(start..))?;
    Arrays::from_parts(offsets, elements).map(Values::Array).map_err(wrong)
}

fn decode_fixed(entry: &Entry, data_type: DataType, bytes: Bytes) -> Result<Values> {
    let wrong = |what: &str| Error::corrupt(format!("field {} of a batch: {what}", entry.field));
    let dimension = if data_type.is_vector() { entry.detail as usize } else { 0 };
    if data_type.is_vector() && !data_type.can_have_dimension(dimension) {
        return Err(wrong("a dimension out of range"));
    }
    let length = data_type.width(dimension).and_then(|width| entry.slots.checked_mul(width));
    if length != Some(bytes.len()) {
        return Err(wrong("values have another length"));
    }
    if data_type == DataType::Bool && bytes.iter().any(|&byte| byte > 1) {
        return Err(wrong("a bool is neither 0 nor 1"));
    }
    Values::from_fixed(data_type, dimension, bytes).ok_or_else(|| wrong("values of no width"))
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

    /// Every type; all but the key are null in every third row.
    fn sample(rows: usize, seed: u64) -> Batch {
        let number = |i: usize| (seed as usize).wrapping_mul(31).wrapping_add(i * 7) % 977;
        let text = |i: usize| format!("wörd-{}", number(i));
        let validity = Bitset::from_fn(rows, |i| !(i as u64).wrapping_add(seed).is_multiple_of(3));
        let present = validity.count_ones();
        let mut columns = vec![Column::new(FieldId(100), Values::Int64((0..rows as i64).collect::<Vec<_>>().into()))];
        let lists = || (0..=rows as u32).map(|row| row * 2).collect::<Vec<_>>().into();
        for data_type in DataType::ALL {
            let slots = if data_type.is_vector() { present } else { rows };
            let fixed = |data_type: DataType, slots: usize| {
                let bytes = (0..slots * data_type.width(16)?).map(|i| (number(i) % 2) as u8).collect::<Vec<_>>();
                Values::from_fixed(data_type, if data_type.is_vector() { 16 } else { 0 }, bytes.into())
            };
            let values = fixed(data_type, slots).map_or_else(
                || match data_type {
                    DataType::VarChar => vec![Values::VarChar((0..rows).map(text).collect())],
                    DataType::Json => vec![Values::Json((0..rows).map(|i| format!("[{}]", number(i))).collect())],
                    DataType::SparseFloatVector => {
                        let entries = |i: usize| [(number(i) as u32, 0.5), (1_000 + i as u32, i as f32)][..i % 3].to_vec();
                        let rows: Vec<(Vec<u32>, Vec<f32>)> = (0..present).map(|i| entries(i).into_iter().unzip()).collect();
                        vec![Values::SparseFloatVector(rows.iter().map(|(i, v)| (&i[..], &v[..])).collect())]
                    }
                    _ => DataType::ALL
                        .into_iter()
                        .filter(|element| element.is_element())
                        .map(|element| {
                            let texts = || Values::VarChar((0..2 * rows).map(text).collect());
                            let elements = fixed(element, 2 * rows).unwrap_or_else(texts);
                            Values::Array(Arrays::from_parts(lists(), elements).expect("two elements a row"))
                        })
                        .collect(),
                },
                |values| vec![values],
            );
            for values in values {
                columns.push(Column { field: FieldId(100 + columns.len() as i64), validity: Some(validity.clone()), values });
            }
        }
        Batch::new(rows, columns)
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
        fn hostile_bytes_never_panic(rows in 0usize..40, seed: u64, at in 0usize..9000, value: u8, cut in 0usize..4000) {
            let mut bytes = sample(rows, seed).encode().to_vec();
            let length = bytes.len();
            bytes[at % length] = value;
            bytes.truncate(length - cut % length.min(200));
            let _ = Batch::decode(&Bytes::from(bytes));
        }
    }
}
