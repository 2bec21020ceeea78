//! A segment's primary keys, sorted, each with its row; and a filter that says quickly what isn't there.
//!
//! Mapped, so a lookup costs one line of the filter and, where that passes, a binary search. One key may have several rows: versions
//! of it that deletes have killed and no compaction has dropped.

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use types::blob::Blob;
use types::buffer::Buffer;
use types::column::{Column, Values};
use types::value::KeyRef;
use types::{Error, Result};

use crate::container::{self, Container};
use crate::filter;
use crate::frame::Format;
use crate::wire::Cursor;

const FORMAT: Format = Format { name: "key index", magic: *b"ELK1", newest: 1, oldest: 1, body_bytes_max: 4_096 };

const SECTION_FILTER: u32 = 1;
const SECTION_ROWS: u32 = 2;
const SECTION_INTS: u32 = 3;
const SECTION_ENDS: u32 = 4;
const SECTION_TEXTS: u32 = 5;

const KIND_INT: u32 = 1;
const KIND_TEXT: u32 = 2;

/// The stored form of a column of keys.
///
/// # Panics
/// If the column isn't one of Int64 or VarChar without nulls.
pub(crate) fn encode(column: &Column) -> Bytes {
    assert!(column.validity.is_none(), "primary keys are never null");
    let hashes = (0..column.rows()).map(|row| filter::hash(column.key(row)));
    let filter = filter::build(hashes);
    let mut attributes = BytesMut::new();
    match &column.values {
        Values::Int64(keys) => {
            let mut sorted: Vec<(i64, u32)> = keys.iter().copied().zip(0..).collect();
            sorted.sort_unstable();
            let (keys, rows): (Vec<i64>, Vec<u32>) = sorted.into_iter().unzip();
            put_attributes(&mut attributes, KIND_INT, rows.len());
            let (keys, rows) = (bytemuck::cast_slice(&keys), bytemuck::cast_slice(&rows));
            container::encode(&FORMAT, &attributes, &[(SECTION_FILTER, &filter), (SECTION_ROWS, rows), (SECTION_INTS, keys)])
        }
        Values::VarChar(texts) => {
            let mut rows: Vec<u32> = (0..texts.len() as u32).collect();
            rows.sort_unstable_by_key(|&row| (texts.get(row as usize).as_bytes(), row));
            let (mut ends, mut bytes) = (Vec::with_capacity(rows.len()), Vec::with_capacity(texts.bytes().len()));
            for &row in &rows {
                bytes.extend_from_slice(texts.get(row as usize).as_bytes());
                ends.push(bytes.len() as u32);
            }
            put_attributes(&mut attributes, KIND_TEXT, rows.len());
            let (ends, rows) = (bytemuck::cast_slice(&ends), bytemuck::cast_slice(&rows));
            let sections = [(SECTION_FILTER, &filter[..]), (SECTION_ROWS, rows), (SECTION_ENDS, ends), (SECTION_TEXTS, &bytes)];
            container::encode(&FORMAT, &attributes, &sections)
        }
        other => panic!("a column of {} has no keys", other.data_type()),
    }
}

fn put_attributes(out: &mut BytesMut, kind: u32, count: usize) {
    out.put_u32_le(kind);
    out.put_u32_le(count as u32);
}

/// The keys of a segment, ascending; equal ones by row.
pub struct KeyIndex {
    name: Arc<str>,
    filter: Bytes,
    rows: Buffer<u32>,
    keys: SortedKeys,
}

enum SortedKeys {
    Ints(Buffer<i64>),
    /// Exclusive ends in the bytes.
    Texts(Buffer<u32>, Bytes),
}

impl KeyIndex {
    /// Opens a key index of a segment with `rows` rows. Reads the table only.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`, naming the blob.
    pub fn open(blob: &dyn Blob, rows: usize) -> Result<Self> {
        let container = Container::open(&FORMAT, blob)?;
        let mut cursor = Cursor::new(blob.name(), &container.attributes);
        let (kind, count) = (cursor.u32()?, cursor.u32()? as usize);
        if count != rows {
            return Err(cursor.wrong(format!("{count} keys of {rows} rows")));
        }
        let keys = match kind {
            KIND_INT => SortedKeys::Ints(Buffer::from_bytes(container.section(blob, SECTION_INTS, Some(8 * count as u64))?)),
            KIND_TEXT => {
                let ends = container.section(blob, SECTION_ENDS, Some(4 * count as u64))?;
                SortedKeys::Texts(Buffer::from_bytes(ends), container.section(blob, SECTION_TEXTS, None)?)
            }
            other => return Err(cursor.wrong(format!("keys of unknown kind {other}"))),
        };
        cursor.finish()?;
        let rows = Buffer::from_bytes(container.section(blob, SECTION_ROWS, Some(4 * count as u64))?);
        Ok(Self { name: blob.name().into(), filter: container.section(blob, SECTION_FILTER, None)?, rows, keys })
    }

    /// Number of keys, equal ones counted each: the segment's rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether the key may be there. Cheaper than [`Self::rows_of`]; wrong for about one absent key in two hundred.
    pub fn may_contain(&self, key: KeyRef<'_>) -> bool {
        filter::may_contain(&self.filter, filter::hash(key))
    }

    /// The rows that have this key, ascending; none for a key of the other type.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`: a row or a text lies outside of the file.
    pub fn rows_of(&self, key: KeyRef<'_>) -> Result<&[u32]> {
        if !self.may_contain(key) {
            return Ok(&[]);
        }
        let start = self.lower_bound(key)?;
        let mut end = start;
        while end < self.len() && self.compare(end, key)? == Ordering::Equal {
            self.row_at(end)?;
            end += 1;
        }
        Ok(&self.rows[start..end])
    }

    /// The first place at or above `key`; [`Self::len`] if all are below.
    ///
    /// # Errors
    /// As [`Self::rows_of`].
    pub fn lower_bound(&self, key: KeyRef<'_>) -> Result<usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.compare(middle, key)? == Ordering::Less {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The key at place `at` of the ascending order.
    ///
    /// # Errors
    /// As [`Self::rows_of`]; a text that isn't UTF-8.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn key_at(&self, at: usize) -> Result<KeyRef<'_>> {
        match &self.keys {
            SortedKeys::Ints(keys) => Ok(KeyRef::Int(keys[at])),
            SortedKeys::Texts(..) => {
                let text = std::str::from_utf8(self.text_at(at)?);
                Ok(KeyRef::String(text.map_err(|_| self.wrong(format!("key {at} isn't UTF-8")))?))
            }
        }
    }

    /// The row of the key at place `at`.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`: there is no such row.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn row_at(&self, at: usize) -> Result<u32> {
        let row = self.rows[at];
        if (row as usize) < self.len() { Ok(row) } else { Err(self.wrong(format!("key {at} is of row {row} of {}", self.len()))) }
    }

    fn compare(&self, at: usize, key: KeyRef<'_>) -> Result<Ordering> {
        Ok(match (&self.keys, key) {
            (SortedKeys::Ints(keys), KeyRef::Int(key)) => keys[at].cmp(&key),
            (SortedKeys::Texts(..), KeyRef::String(key)) => self.text_at(at)?.cmp(key.as_bytes()),
            // The order of keys: integers come before texts.
            (SortedKeys::Ints(_), KeyRef::String(_)) => Ordering::Less,
            (SortedKeys::Texts(..), KeyRef::Int(_)) => Ordering::Greater,
        })
    }

    fn text_at(&self, at: usize) -> Result<&[u8]> {
        let SortedKeys::Texts(ends, bytes) = &self.keys else { return Ok(&[]) };
        let start = if at == 0 { 0 } else { ends[at - 1] as usize };
        bytes.get(start..ends[at] as usize).ok_or_else(|| self.wrong(format!("key {at} lies outside of its section")))
    }

    fn wrong(&self, what: impl std::fmt::Display) -> Error {
        Error::corrupt(format!("{}: {what}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use types::blob::MemoryBlob;
    use types::id::FieldId;

    use super::*;

    fn check(values: Values, lookups: &[(KeyRef<'_>, &[u32])]) {
        let column = Column::new(FieldId(100), values);
        let blob = MemoryBlob::new("keys", encode(&column));
        let index = KeyIndex::open(&blob, column.rows()).expect("own encoding");
        for (key, rows) in lookups {
            assert_eq!(index.rows_of(*key).expect("own encoding"), *rows, "{key}");
        }
        for at in 1..index.len() {
            let (low, high) = (index.key_at(at - 1).expect("there"), index.key_at(at).expect("there"));
            assert!((low, index.row_at(at - 1)) <= (high, index.row_at(at)), "keys ascend, equal ones by row");
        }
        for row in 0..column.rows() {
            assert!(index.rows_of(column.key(row)).expect("own encoding").contains(&(row as u32)));
        }
        assert!(KeyIndex::open(&blob, column.rows() + 1).is_err());
    }

    #[test]
    fn lookups_find_every_row_of_a_key() {
        let (int, text) = (KeyRef::Int, KeyRef::String);
        check(Values::Int64(vec![5, -1, 5, 9].into()), &[(int(5), &[0, 2]), (int(-1), &[1]), (int(6), &[]), (text("5"), &[])]);
        let texts = ["b", "", "b", "ä", "a"].into_iter().collect();
        check(Values::VarChar(texts), &[(text("b"), &[0, 2]), (text(""), &[1]), (text("ä"), &[3]), (text("zz"), &[]), (int(1), &[])]);
        check(Values::Int64((0..5_000).rev().collect::<Vec<_>>().into()), &[(int(0), &[4_999]), (int(4_999), &[0])]);
    }
}
