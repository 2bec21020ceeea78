//! A segment's statistics: how many rows where, between which values, and the checksums of the other files' blocks.
//!
//! Small, read whole at open. Bounds only promise to enclose: a long text is cut, and deleted rows count too.

use bytes::{BufMut, Bytes, BytesMut};
use types::Result;
use types::blob::Blob;
use types::column::{Column, Values};
use types::id::{FieldId, PartitionId};
use types::schema::DataType;
use types::time::Timestamp;
use types::value::Value;

use crate::frame::Format;
use crate::manifest::{FileKind, PartitionRows};
use crate::wire::{Cursor, put_value};

/// Rows of a zone; the last is shorter.
pub const ZONE_ROWS: usize = 4_096;
/// Bytes of a text that bounds keep.
pub const BOUND_BYTES_MAX: usize = 64;

pub(crate) const FORMAT: Format = Format { name: "statistics file", magic: *b"ELS1", newest: 1, oldest: 1, body_bytes_max: 256 << 20 };

/// What is known of a segment without reading its rows.
#[derive(Clone, PartialEq, Debug)]
pub struct Stats {
    /// Rows.
    pub rows: u32,
    /// The least and greatest timestamp in the files.
    pub timestamps: (Timestamp, Timestamp),
    /// Rows of each partition, in order.
    pub partitions: Vec<PartitionRows>,
    /// Of every scalar field, ascending by field.
    pub columns: Vec<ColumnStats>,
    pub(crate) files: Vec<FileBlocks>,
}

/// What is known of a scalar field's values.
#[derive(Clone, PartialEq, Debug)]
pub struct ColumnStats {
    /// Which field.
    pub field: FieldId,
    /// Over all rows.
    pub whole: Zone,
    /// Zone `i` is of the rows from `i` × [`ZONE_ROWS`]. None for JSON.
    pub zones: Vec<Zone>,
}

/// What is known of a run of values.
#[derive(Clone, PartialEq, Debug)]
pub struct Zone {
    /// Rows without a value.
    pub nulls: u32,
    /// No value lies outside. `None`: nothing is known (JSON, or a NaN among the values), or there is no value.
    pub bounds: Option<Bounds>,
}

/// Values lie between these, both included. If both are equal, every value is that one.
#[derive(Clone, PartialEq, Debug)]
pub struct Bounds {
    /// At or below every value.
    pub low: Value,
    /// At or above every value.
    pub high: Value,
}

/// Checksums of one file's blocks.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct FileBlocks {
    pub kind: FileKind,
    pub length: u64,
    pub checksums: Vec<u32>,
}

impl Stats {
    /// The statistics of a field.
    pub fn column(&self, field: FieldId) -> Option<&ColumnStats> {
        self.columns.iter().find(|column| column.field == field)
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u32_le(self.rows);
        out.put_u64_le(self.timestamps.0.0);
        out.put_u64_le(self.timestamps.1.0);
        out.put_u32_le(self.partitions.len() as u32);
        for part in &self.partitions {
            out.put_i64_le(part.partition.0);
            out.put_u32_le(part.rows);
        }
        out.put_u32_le(self.files.len() as u32);
        for file in &self.files {
            let (kind, field) = number_of(file.kind);
            out.put_u8(kind);
            out.put_i64_le(field.0);
            out.put_u64_le(file.length);
            out.put_u32_le(file.checksums.len() as u32);
            file.checksums.iter().for_each(|&checksum| out.put_u32_le(checksum));
        }
        out.put_u32_le(self.columns.len() as u32);
        for column in &self.columns {
            out.put_i64_le(column.field.0);
            put_zone(&mut out, &column.whole);
            out.put_u32_le(column.zones.len() as u32);
            column.zones.iter().for_each(|zone| put_zone(&mut out, zone));
        }
        FORMAT.encode(&out).freeze()
    }

    /// Reads and checks a statistics file.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`, naming the blob.
    pub fn read(blob: &dyn Blob) -> Result<Self> {
        let (_, body) = FORMAT.read(blob)?;
        let mut cursor = Cursor::new(blob.name(), &body);
        let rows = cursor.u32()?;
        let timestamps = (Timestamp(cursor.u64()?), Timestamp(cursor.u64()?));
        let partitions = list(&mut cursor, 12, |cursor| Ok(PartitionRows { partition: PartitionId(cursor.i64()?), rows: cursor.u32()? }))?;
        let files = list(&mut cursor, 21, |cursor| {
            let (kind, field, length) = (cursor.u8()?, FieldId(cursor.i64()?), cursor.u64()?);
            let kind = kind_of(kind, field).ok_or_else(|| cursor.wrong(format!("a file of unknown kind {kind}")))?;
            Ok(FileBlocks { kind, length, checksums: list(cursor, 4, |cursor| cursor.u32())? })
        })?;
        let columns = list(&mut cursor, 17, |cursor| {
            Ok(ColumnStats { field: FieldId(cursor.i64()?), whole: zone(cursor)?, zones: list(cursor, 5, zone)? })
        })?;
        cursor.finish()?;
        Ok(Self { rows, timestamps, partitions, columns, files })
    }
}

fn list<T>(cursor: &mut Cursor<'_>, bytes_each: usize, mut next: impl FnMut(&mut Cursor<'_>) -> Result<T>) -> Result<Vec<T>> {
    let count = cursor.count(bytes_each)?;
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(next(cursor)?);
    }
    Ok(all)
}

fn put_zone(out: &mut BytesMut, zone: &Zone) {
    out.put_u32_le(zone.nulls);
    out.put_u8(u8::from(zone.bounds.is_some()));
    if let Some(bounds) = &zone.bounds {
        put_value(out, &bounds.low);
        put_value(out, &bounds.high);
    }
}

fn zone(cursor: &mut Cursor<'_>) -> Result<Zone> {
    let nulls = cursor.u32()?;
    let bounds = match cursor.u8()? {
        0 => None,
        _ => Some(Bounds { low: cursor.value()?, high: cursor.value()? }),
    };
    Ok(Zone { nulls, bounds })
}

fn number_of(kind: FileKind) -> (u8, FieldId) {
    match kind {
        FileKind::Fixed => (1, FieldId(0)),
        FileKind::Vector(field) => (2, field),
        FileKind::Variable => (3, FieldId(0)),
        FileKind::Keys => (4, FieldId(0)),
        FileKind::Stats => (5, FieldId(0)),
    }
}

fn kind_of(number: u8, field: FieldId) -> Option<FileKind> {
    let kinds = [FileKind::Fixed, FileKind::Vector(field), FileKind::Variable, FileKind::Keys];
    kinds.into_iter().find(|kind| number_of(*kind).0 == number)
}

/// The statistics of a scalar column.
///
/// # Panics
/// If it is of vectors.
pub(crate) fn of_column(column: &Column) -> ColumnStats {
    assert!(!column.values.data_type().is_vector(), "vectors have no bounds");
    let rows = column.rows();
    let zone = |range: std::ops::Range<usize>| Zone {
        nulls: range.clone().filter(|&row| !column.is_valid(row)).count() as u32,
        bounds: bounds_of(column, range),
    };
    let zones = match column.values.data_type() {
        DataType::Json | DataType::Array => Vec::new(),
        _ => (0..rows).step_by(ZONE_ROWS).map(|start| zone(start..rows.min(start + ZONE_ROWS))).collect(),
    };
    ColumnStats { field: column.field, whole: zone(0..rows), zones }
}

fn bounds_of(column: &Column, rows: std::ops::Range<usize>) -> Option<Bounds> {
    let mut rows = rows.filter(|&row| column.is_valid(row));
    match &column.values {
        Values::Bool(v) => span(rows.map(|row| v[row] != 0)).map(|(low, high)| (Value::Bool(low), Value::Bool(high))),
        Values::Int8(v) => span(rows.map(|row| i64::from(v[row]))).map(ints),
        Values::Int16(v) => span(rows.map(|row| i64::from(v[row]))).map(ints),
        Values::Int32(v) => span(rows.map(|row| i64::from(v[row]))).map(ints),
        Values::Int64(v) => span(rows.map(|row| v[row])).map(ints),
        Values::Float(v) => float_span(rows.map(|row| f64::from(v[row]))),
        Values::Double(v) => float_span(rows.map(|row| v[row])),
        Values::VarChar(v) => {
            let first = v.get(rows.next()?);
            let (low, high) = rows.fold((first, first), |(low, high), row| (low.min(v.get(row)), high.max(v.get(row))));
            Some((Value::String(prefix(low).into()), Value::String(above(high)?.into())))
        }
        _ => None,
    }
    .map(|(low, high)| Bounds { low, high })
}

fn ints((low, high): (i64, i64)) -> (Value, Value) {
    (Value::Int(low), Value::Int(high))
}

fn span<T: Ord + Copy>(mut values: impl Iterator<Item = T>) -> Option<(T, T)> {
    let first = values.next()?;
    Some(values.fold((first, first), |(low, high), value| (low.min(value), high.max(value))))
}

/// A NaN lies between no bounds: nothing is known then.
fn float_span(values: impl Iterator<Item = f64>) -> Option<(Value, Value)> {
    let mut bounds: Option<(f64, f64)> = None;
    for value in values {
        if value.is_nan() {
            return None;
        }
        bounds = Some(bounds.map_or((value, value), |(low, high)| (low.min(value), high.max(value))));
    }
    bounds.map(|(low, high)| (Value::Float(low), Value::Float(high)))
}

/// The text, or as much of it as bounds keep: at or below it either way.
fn prefix(text: &str) -> &str {
    &text[..text.floor_char_boundary(BOUND_BYTES_MAX)]
}

/// A text of bounded length at or above `text`: its prefix with the last character raised. `None` if none can be raised.
fn above(text: &str) -> Option<String> {
    if text.len() <= BOUND_BYTES_MAX {
        return Some(text.to_owned());
    }
    let mut cut = prefix(text).to_owned();
    while let Some(last) = cut.pop() {
        // Surrogates are no characters: the one below them is followed by the one above.
        if let Some(next) = (last..=char::MAX).nth(1) {
            cut.push(next);
            return Some(cut);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use types::bitset::Bitset;

    use super::*;

    fn check(values: Values, validity: Option<Bitset>, nulls: u32, bounds: Option<(Value, Value)>) {
        let stats = of_column(&Column { field: FieldId(100), validity, values });
        let found = stats.whole.bounds.map(|bounds| (bounds.low, bounds.high));
        assert_eq!((stats.whole.nulls, found), (nulls, bounds));
    }

    #[test]
    fn bounds_enclose_values() {
        let text = |s: &str| Value::String(s.into());
        check(Values::Int64(vec![3, -7, 5].into()), None, 0, Some((Value::Int(-7), Value::Int(5))));
        let validity = Bitset::from_fn(3, |row| row == 2);
        check(Values::Int64(vec![3, -7, 5].into()), Some(validity), 2, Some((Value::Int(5), Value::Int(5))));
        check(Values::Int8(vec![0; 2].into()), Some(Bitset::zeros(2)), 2, None);
        check(Values::Bool(vec![1, 0].into()), None, 0, Some((Value::Bool(false), Value::Bool(true))));
        check(Values::Double(vec![1.0, f64::NAN].into()), None, 0, None);
        check(Values::Float(vec![1.0, f32::NEG_INFINITY].into()), None, 0, Some((Value::Float(f64::NEG_INFINITY), Value::Float(1.0))));
        check(Values::Json(["1", "2"].into_iter().collect()), None, 0, None);
        check(Values::VarChar(["b", "", "ab"].into_iter().collect()), None, 0, Some((text(""), text("b"))));
        let long = "z".repeat(70);
        let high = format!("{}{{", "z".repeat(63));
        check(Values::VarChar([&long].into_iter().collect()), None, 0, Some((text(&long[..64]), text(&high))));
        // 64 bytes end inside of a character of four.
        let wide = format!("a{}", "\u{d7ff}".repeat(30));
        let (low, high) = (prefix(&wide), above(&wide).expect("there is a next character"));
        assert!(low <= wide.as_str() && wide < high && high.ends_with('\u{e000}') && high.len() <= BOUND_BYTES_MAX);
        assert_eq!(above(&char::MAX.to_string().repeat(20)), None);
    }

    #[test]
    fn zones_are_those_of_their_rows() {
        let values: Vec<i64> = (0..10_000).collect();
        let stats = of_column(&Column::new(FieldId(100), Values::Int64(values.into())));
        let zones: Vec<_> = stats.zones.iter().filter_map(|zone| zone.bounds.clone()).map(|b| (b.low, b.high)).collect();
        let expected = [(0, 4095), (4096, 8191), (8192, 9999)].map(|(low, high)| (Value::Int(low), Value::Int(high)));
        assert_eq!(zones, expected);
    }
}
