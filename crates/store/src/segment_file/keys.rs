//! A segment's primary keys, sorted, each with its row; and a filter that says quickly what isn't there.
//!
//! Mapped, so a lookup costs one line of the filter and, where that passes, a binary search. One key may have several rows: versions
//! of it that deletes have killed and no compaction has dropped.

use bytes::{BufMut, Bytes, BytesMut};
use types::Result;
use types::blob::Blob;
use types::buffer::Buffer;
use types::column::{Column, Values};
use types::value::KeyRef;

use crate::container::{self, Container};
use crate::filter;
use crate::frame::Format;
use crate::sorted_keys::{NewKeys, Reading, SortedKeys};
use crate::wire::Cursor;

pub(crate) const FORMAT: Format = Format { name: "key index", magic: *b"ELK1", newest: 1, oldest: 1, body_bytes_max: 4_096 };

const SECTION_FILTER: u32 = 1;
const SECTION_ROWS: u32 = 2;

/// The stored form of a column of keys.
///
/// # Panics
/// If the column isn't one of Int64 or VarChar without nulls.
pub(crate) fn encode(column: &Column) -> Bytes {
    assert!(column.validity.is_none(), "primary keys are never null");
    let hashes = (0..column.rows()).map(|row| filter::hash(column.key(row)));
    let filter = filter::build(hashes);
    let (keys, rows) = match &column.values {
        Values::Int64(keys) => {
            let mut sorted: Vec<(i64, u32)> = keys.iter().copied().zip(0..).collect();
            sorted.sort_unstable();
            let (keys, rows) = sorted.into_iter().unzip();
            (NewKeys::Ints(keys), rows)
        }
        Values::VarChar(texts) => {
            let mut rows: Vec<u32> = (0..texts.len() as u32).collect();
            rows.sort_unstable_by_key(|&row| (texts.get(row as usize), row));
            (NewKeys::texts(rows.iter().map(|&row| texts.get(row as usize))), rows)
        }
        other => panic!("a column of {} has no keys", other.data_type()),
    };
    let mut attributes = BytesMut::new();
    attributes.put_u32_le(keys.kind());
    attributes.put_u32_le(rows.len() as u32);
    let mut sections = vec![(SECTION_FILTER, &filter[..]), (SECTION_ROWS, bytemuck::cast_slice(&rows))];
    sections.extend(keys.sections());
    container::encode(&FORMAT, &attributes, &sections)
}

/// The keys of a segment, ascending; equal ones by row.
pub struct KeyIndex {
    filter: Bytes,
    rows: Buffer<u32>,
    keys: SortedKeys,
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
        cursor.finish()?;
        let keys = SortedKeys::open(&container, blob, Reading::Mapped, (kind, count))?;
        let rows = Buffer::from_bytes(container.section(blob, SECTION_ROWS, Some(4 * count as u64))?);
        Ok(Self { filter: container.section(blob, SECTION_FILTER, None)?, rows, keys })
    }

    /// Number of keys, equal ones counted each: the segment's rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether keys are Int64; else they are VarChar.
    pub fn is_of_ints(&self) -> bool {
        self.keys.is_of_ints()
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
        let places = self.keys.places_of(key)?;
        for at in places.clone() {
            self.row_at(at)?;
        }
        Ok(&self.rows[places])
    }

    /// The first place at or above `key`; [`Self::len`] if all are below.
    ///
    /// # Errors
    /// As [`Self::rows_of`].
    pub fn lower_bound(&self, key: KeyRef<'_>) -> Result<usize> {
        self.keys.lower_bound(key)
    }

    /// The key at place `at` of the ascending order.
    ///
    /// # Errors
    /// As [`Self::rows_of`]; a text that isn't UTF-8.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn key_at(&self, at: usize) -> Result<KeyRef<'_>> {
        self.keys.key_at(at)
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
        if (row as usize) < self.len() { Ok(row) } else { Err(self.keys.wrong(format!("key {at} is of row {row} of {}", self.len()))) }
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
            let place = |at| (index.key_at(at).expect("there is such a place"), index.row_at(at).expect("there is such a row"));
            assert!(place(at - 1) < place(at), "keys ascend, equal ones by row");
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
