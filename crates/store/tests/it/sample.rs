//! Rows of every type, the same for the same seed, whatever becomes of the random generators of others: golden files hold them.

use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;
use store::manifest::{FileKind, Origin, Segment};
use store::segment_file::{EncodedSegment, NewSegment, PageCache, SegmentReader, SegmentRows, encode};
use types::batch::Batch;
use types::bitset::Bitset;
use types::blob::{Blob, MemoryBlob};
use types::column::{Arrays, Column, Values};
use types::id::{CollectionId, FieldId, PartitionId, SegmentId};
use types::schema::{DataType, Field, FieldKind, Schema};
use types::time::Timestamp;

pub const COLLECTION: CollectionId = CollectionId(7);
pub const SEGMENT: SegmentId = SegmentId(9);
pub const DIMENSION: usize = 6;

/// What primary keys are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyType {
    Int,
    Text,
}

/// SplitMix64.
pub struct Draw(pub Cell<u64>);

impl Draw {
    pub fn u64(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let mut z = self.0.get();
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&self, bound: u64) -> u64 {
        self.u64() % bound
    }

    /// One in three.
    pub fn third(&self) -> bool {
        self.below(3) == 0
    }
}

/// The types of which `segment-1-int` and `segment-1-text` have two fields each, in order of their ids.
const FIRST_TYPES: [DataType; 10] = [
    DataType::Bool,
    DataType::Int8,
    DataType::Int16,
    DataType::Int32,
    DataType::Int64,
    DataType::Float,
    DataType::Double,
    DataType::VarChar,
    DataType::Json,
    DataType::FloatVector,
];

/// The types that came after, with the types of elements of arrays.
const MORE_TYPES: [(DataType, Option<DataType>); 13] = [
    (DataType::BinaryVector, None),
    (DataType::Float16Vector, None),
    (DataType::BFloat16Vector, None),
    (DataType::SparseFloatVector, None),
    (DataType::Int8Vector, None),
    (DataType::Array, Some(DataType::Bool)),
    (DataType::Array, Some(DataType::Int8)),
    (DataType::Array, Some(DataType::Int16)),
    (DataType::Array, Some(DataType::Int32)),
    (DataType::Array, Some(DataType::Int64)),
    (DataType::Array, Some(DataType::Float)),
    (DataType::Array, Some(DataType::Double)),
    (DataType::Array, Some(DataType::VarChar)),
];

/// Every type of a field.
pub fn types() -> impl Iterator<Item = (DataType, Option<DataType>)> {
    FIRST_TYPES.into_iter().map(|data_type| (data_type, None)).chain(MORE_TYPES)
}

pub fn field(id: i64, name: &str, data_type: DataType) -> Field {
    Field {
        id: FieldId(id),
        name: name.into(),
        description: String::new(),
        data_type,
        kind: FieldKind::Plain,
        auto_id: false,
        nullable: false,
        default: None,
        dimension: data_type.is_dense_vector().then_some(dimension(data_type) as u32),
        max_length: (data_type == DataType::VarChar).then_some(65_535),
        element_type: None,
        max_capacity: None,
        type_params: Default::default(),
    }
}

fn dimension(data_type: DataType) -> usize {
    if data_type == DataType::BinaryVector { 16 } else { DIMENSION }
}

/// Fields 100 (key), then two of every type: 101… not null, 201… nullable; those of the first golden files, then the others.
pub fn schema(keys: KeyType) -> Schema {
    of_types(keys, 1, types())
}

/// The schema of `segment-1-int` and `segment-1-text`.
pub fn first_schema(keys: KeyType) -> Schema {
    of_types(keys, 1, types().take(FIRST_TYPES.len()))
}

/// The schema of `segment-1-more`.
pub fn more_schema() -> Schema {
    of_types(KeyType::Int, 1 + FIRST_TYPES.len() as i64, MORE_TYPES)
}

fn of_types(keys: KeyType, first: i64, types: impl IntoIterator<Item = (DataType, Option<DataType>)>) -> Schema {
    let key_type = if keys == KeyType::Int { DataType::Int64 } else { DataType::VarChar };
    let mut fields = vec![Field { kind: FieldKind::Primary, ..field(100, "key", key_type) }];
    for (i, (data_type, element_type)) in types.into_iter().enumerate() {
        let id = first + i as i64;
        fields.push(Field { element_type, ..field(100 + id, data_type.name(), data_type) });
        fields.push(Field { element_type, nullable: true, ..field(200 + id, &format!("{data_type} or null"), data_type) });
    }
    Schema { version: 3, fields }
}

/// `rows` rows in a few partitions; a third of nullable values is null.
pub fn rows(schema: &Schema, rows: usize, seed: u64) -> SegmentRows {
    let random = Draw(Cell::new(seed));
    let columns = schema.fields.iter().map(|field| column(field, rows, &random)).collect();
    let mut partitions: Vec<PartitionId> = (0..rows).map(|_| PartitionId(40 + random.below(4) as i64)).collect();
    partitions.sort();
    let timestamps = (0..rows).map(|_| Timestamp(1_000 + random.below(1 << 40))).collect();
    SegmentRows { batch: Batch::new(rows, columns), timestamps, partitions }
}

fn column(field: &Field, rows: usize, random: &Draw) -> Column {
    let validity = field.nullable.then(|| Bitset::from_fn(rows, |_| !random.third()));
    let present = |row: usize| validity.as_ref().is_none_or(|validity| validity.get(row));
    let number = |row: usize| if present(row) { random.u64() } else { 0 };
    // A few texts in a hundred are large, one in ten is empty.
    let text = |row: usize| match random.below(100) {
        _ if !present(row) => String::new(),
        0..3 => format!("{row}-ü").repeat(300),
        3..13 => String::new(),
        _ => format!("text {} of {row}", random.below(1_000_000)),
    };
    let values = match field.data_type {
        DataType::Bool => Values::Bool((0..rows).map(|row| (number(row) % 2) as u8).collect::<Vec<_>>().into()),
        DataType::Int8 => Values::Int8((0..rows).map(|row| number(row) as i8).collect::<Vec<_>>().into()),
        DataType::Int16 => Values::Int16((0..rows).map(|row| number(row) as i16).collect::<Vec<_>>().into()),
        DataType::Int32 => Values::Int32((0..rows).map(|row| number(row) as i32).collect::<Vec<_>>().into()),
        DataType::Int64 => Values::Int64((0..rows).map(|row| number(row) as i64).collect::<Vec<_>>().into()),
        DataType::Float => Values::Float((0..rows).map(|row| (number(row) % 1_000) as f32 / 8.0).collect::<Vec<_>>().into()),
        DataType::Double => Values::Double((0..rows).map(|row| (number(row) % 1_000) as f64 / 8.0).collect::<Vec<_>>().into()),
        DataType::VarChar => Values::VarChar((0..rows).map(text).collect()),
        DataType::Json => {
            Values::Json((0..rows).map(|row| if present(row) { format!("{{\"a\":{row}}}") } else { String::new() }).collect())
        }
        DataType::FloatVector => {
            let slots = validity.as_ref().map_or(rows, Bitset::count_ones);
            let data: Vec<f32> = (0..slots * DIMENSION).map(|_| random.below(2_000) as f32 / 1_000.0 - 1.0).collect();
            Values::FloatVector { dimension: DIMENSION, data: data.into() }
        }
        DataType::SparseFloatVector => {
            let slots = validity.as_ref().map_or(rows, Bitset::count_ones);
            let row =
                |_| (0..random.below(5)).map(|i| (i as u32 * 1_000 + random.below(900) as u32, random.below(2_000) as f32 / 8.0)).unzip();
            let vectors: Vec<(Vec<u32>, Vec<f32>)> = (0..slots).map(row).collect();
            Values::SparseFloatVector(vectors.iter().map(|(indices, values)| (&indices[..], &values[..])).collect())
        }
        DataType::Array => {
            let element = field.element_type.expect("arrays are of something");
            let lengths = (0..rows).map(|row| if present(row) { random.below(5) as u32 } else { 0 });
            let offsets: Vec<u32> = std::iter::once(0)
                .chain(lengths.scan(0, |end, length| {
                    *end += length;
                    Some(*end)
                }))
                .collect();
            let count = offsets[rows] as usize;
            let elements = self::column(&self::field(0, "elements", element), count, random).values;
            Values::Array(Arrays::from_parts(offsets.into(), elements).expect("offsets are of the elements"))
        }
        dense => {
            let slots = validity.as_ref().map_or(rows, Bitset::count_ones);
            let width = dense.width(dimension(dense)).expect("every other type has a width");
            let bytes: Vec<u8> = (0..slots * width).map(|_| random.below(256) as u8).collect();
            Values::from_fixed(dense, dimension(dense), bytes.into()).expect("every other type has a width")
        }
    };
    Column { field: field.id, validity, values }
}

pub fn new_segment(schema: &Schema) -> NewSegment<'_> {
    NewSegment { collection: COLLECTION, id: SEGMENT, schema, deletes_applied_to: Timestamp(55), origin: Origin::Flush, clustered_by: None }
}

pub fn encoded(schema: &Schema, rows: &SegmentRows) -> EncodedSegment {
    encode(&new_segment(schema), rows).expect("the rows are of the schema")
}

/// The objects as blobs by kind.
pub fn blobs(segment: &Segment, objects: &[(String, Bytes)]) -> Vec<(FileKind, Arc<dyn Blob>)> {
    let named = |name: &str| objects.iter().find(|(other, _)| other == name).map(|(_, bytes)| bytes.clone());
    let blob = |name: &str| Arc::new(MemoryBlob::new(name, named(name).expect("every file has its object"))) as Arc<dyn Blob>;
    segment.files.iter().map(|file| (file.kind, blob(&file.object.name))).collect()
}

pub fn open(encoded: &EncodedSegment, schema: &Schema) -> types::Result<SegmentReader> {
    SegmentReader::open(&encoded.segment, schema, blobs(&encoded.segment, &encoded.objects), &PageCache::new(1 << 20))
}

/// Equal values, whatever lies in null slots; an all-set validity is none.
pub fn assert_same(found: &Column, expected: &Column, what: &str) {
    let rows = expected.rows();
    assert_eq!(found.rows(), rows, "{what}: rows");
    assert_eq!(found.field, expected.field, "{what}: field");
    for row in 0..rows {
        assert_eq!(found.is_valid(row), expected.is_valid(row), "{what}: whether row {row} is null");
    }
    let present: Vec<u32> = (0..rows as u32).filter(|&row| expected.is_valid(row as usize)).collect();
    assert_eq!(found.take(&present).values, expected.take(&present).values, "{what}");
}
