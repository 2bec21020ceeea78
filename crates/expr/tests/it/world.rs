//! Schemas, and rows as plain JSON values that become columns.

use std::collections::BTreeMap;

use expr::{ColumnView, Columns};
use serde_json::Value;
use types::batch::Batch;
use types::bitset::Bitset;
use types::column::{Arrays, Column, Values};
use types::id::FieldId;
use types::schema::{DataType, Field, FieldKind, Schema};
use types::{Error, Result};

/// A field of a test's schema.
pub fn field(id: i64, name: &str, data_type: DataType) -> Field {
    Field {
        id: FieldId(id),
        name: name.to_owned(),
        description: String::new(),
        data_type,
        kind: FieldKind::Plain,
        auto_id: false,
        nullable: false,
        default: None,
        dimension: data_type.is_vector().then_some(2),
        max_length: None,
        element_type: None,
        max_capacity: None,
        type_params: BTreeMap::new(),
    }
}

/// An array field of a test's schema.
pub fn array(id: i64, name: &str, element: DataType) -> Field {
    Field { element_type: Some(element), max_capacity: Some(16), ..field(id, name, DataType::Array) }
}

/// One field of each type, some nullable; `id` is the key, `$meta` the dynamic field.
pub fn schema() -> Schema {
    let mut fields = vec![
        Field { kind: FieldKind::Primary, ..field(100, "id", DataType::Int64) },
        field(101, "flag", DataType::Bool),
        field(102, "tiny", DataType::Int8),
        Field { nullable: true, ..field(103, "short", DataType::Int16) },
        field(104, "int", DataType::Int32),
        field(105, "f", DataType::Float),
        Field { nullable: true, ..field(106, "d", DataType::Double) },
        Field { nullable: true, ..field(107, "s", DataType::VarChar) },
        Field { kind: FieldKind::PartitionKey, ..field(108, "key", DataType::VarChar) },
        Field { nullable: true, ..field(109, "j", DataType::Json) },
        field(110, "vec", DataType::FloatVector),
        field(111, "matched", DataType::VarChar),
        field(112, "long", DataType::Int64),
        array(114, "ints", DataType::Int32),
        Field { nullable: true, ..array(115, "texts", DataType::VarChar) },
        array(116, "singles", DataType::Float),
        array(117, "bools", DataType::Bool),
        Field { kind: FieldKind::Dynamic, ..field(113, "$meta", DataType::Json) },
    ];
    fields[11].type_params.insert("enable_match".to_owned(), "true".to_owned());
    Schema { version: 1, fields }
}

/// The same without a dynamic field.
pub fn strict_schema() -> Schema {
    let mut schema = schema();
    schema.fields.pop();
    schema
}

/// The values of one field, one for each row; `None` is null. A JSON field's value is the JSON.
pub fn column(field: &Field, rows: &[Option<Value>]) -> Column {
    let integer = |value: &Option<Value>| value.as_ref().map_or(0, |value| value.as_i64().expect("an integer"));
    let float = |value: &Option<Value>| value.as_ref().map_or(0.0, |value| value.as_f64().expect("a number"));
    let text = |value: &Option<Value>| value.as_ref().map_or(String::new(), |value| value.as_str().expect("a text").to_owned());
    let values = match field.data_type {
        DataType::Bool => {
            let bools = rows.iter().map(|value| u8::from(value.as_ref().is_some_and(|value| value.as_bool().expect("a bool"))));
            Values::Bool(bools.collect::<Vec<_>>().into())
        }
        DataType::Int8 => Values::Int8(rows.iter().map(|value| integer(value) as i8).collect::<Vec<_>>().into()),
        DataType::Int16 => Values::Int16(rows.iter().map(|value| integer(value) as i16).collect::<Vec<_>>().into()),
        DataType::Int32 => Values::Int32(rows.iter().map(|value| integer(value) as i32).collect::<Vec<_>>().into()),
        DataType::Int64 => Values::Int64(rows.iter().map(integer).collect::<Vec<_>>().into()),
        DataType::Float => Values::Float(rows.iter().map(|value| float(value) as f32).collect::<Vec<_>>().into()),
        DataType::Double => Values::Double(rows.iter().map(float).collect::<Vec<_>>().into()),
        DataType::VarChar => Values::VarChar(rows.iter().map(text).collect()),
        DataType::Json => Values::Json(rows.iter().map(|value| value.as_ref().map_or(String::new(), Value::to_string)).collect()),
        DataType::FloatVector => Values::FloatVector { dimension: 2, data: vec![0.0; 2 * rows.len()].into() },
        DataType::Array => arrays(field, rows),
        other => panic!("no row has a value of {other}"),
    };
    let validity = field.nullable.then(|| Bitset::from_fn(rows.len(), |row| rows[row].is_some()));
    Column { field: field.id, validity, values }
}

fn arrays(list_field: &Field, rows: &[Option<Value>]) -> Values {
    let lists = rows.iter().map(|row| row.as_ref().map_or(&[][..], |row| row.as_array().expect("a list")));
    let mut offsets = vec![0u32];
    let mut all = Vec::new();
    for list in lists {
        all.extend(list.iter().cloned().map(Some));
        offsets.push(all.len() as u32);
    }
    let element = field(0, "element", list_field.element_type.expect("an array has elements"));
    Values::Array(Arrays::from_parts(offsets.into(), column(&element, &all).values).expect("offsets ascend"))
}

/// Columns cut into chunks, each field's at rows of its own.
pub struct Chunked {
    /// (first row, chunk), ascending.
    chunks: BTreeMap<FieldId, Vec<(usize, Column)>>,
}

impl Chunked {
    /// `batch` in chunks of up to `rows[i]` rows, over and over, beginning elsewhere for each field.
    pub fn new(batch: &Batch, rows: &[usize]) -> Self {
        let mut chunks = BTreeMap::new();
        for (i, column) in batch.columns().iter().enumerate() {
            let (mut first, mut parts) = (0, Vec::new());
            for length in rows.iter().cycle().skip(i % rows.len()) {
                let end = batch.rows().min(first + length.max(&1));
                parts.push((first, column.take(&(first as u32..end as u32).collect::<Vec<_>>())));
                first = end;
                if first == batch.rows() {
                    break;
                }
            }
            chunks.insert(column.field, parts);
        }
        Self { chunks }
    }
}

impl Columns for Chunked {
    fn column(&self, field: FieldId, row: usize) -> Result<ColumnView<'_>> {
        let chunks = self.chunks.get(&field).ok_or_else(|| Error::internal("no such column"))?;
        let at = chunks.partition_point(|(first, _)| *first <= row) - 1;
        Ok(ColumnView::borrowed(&chunks[at].1, chunks[at].0))
    }
}
