//! Parts of the fuzz targets that see the inside of a segment's files: see [`crate::fuzz`].

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use types::batch::Batch;
use types::bitset::Bitset;
use types::blob::{Blob, MemoryBlob};
use types::column::{Arrays, Column, Values};
use types::id::{CollectionId, FieldId, PartitionId, SegmentId};
use types::schema::{DataType, Field, FieldKind, Schema};
use types::time::Timestamp;

use super::stats::FileBlocks;
use super::{EncodedSegment, KeyIndex, NewSegment, PageCache, SegmentReader, SegmentRows, Stats, blocks, encode};
use crate::manifest::{FileKind, Origin};

pub(crate) use super::keys::FORMAT as KEYS_FORMAT;
pub(crate) use super::stats::FORMAT as STATS_FORMAT;

/// Rows of the sample: more than one page of texts.
const ROWS: usize = 1_100;
const PAGE_CACHE_BYTES: u64 = 1 << 20;

fn schema() -> Schema {
    let array = |id: i64, element: DataType| Field { element_type: Some(element), ..field(id, DataType::Array, true) };
    let fields = vec![
        field(100, DataType::VarChar, false),
        field(101, DataType::Bool, true),
        field(102, DataType::Int64, false),
        field(103, DataType::Json, true),
        field(104, DataType::FloatVector, true),
        field(105, DataType::FloatVector, false),
        field(106, DataType::SparseFloatVector, true),
        field(107, DataType::BFloat16Vector, false),
        array(108, DataType::Bool),
        array(109, DataType::VarChar),
    ];
    Schema { version: 1, fields }
}

fn field(id: i64, data_type: DataType, nullable: bool) -> Field {
    Field {
        id: FieldId(id),
        name: format!("f{id}"),
        description: String::new(),
        data_type,
        kind: if id == 100 { FieldKind::Primary } else { FieldKind::Plain },
        auto_id: false,
        nullable,
        default: None,
        dimension: data_type.is_dense_vector().then_some(4),
        max_length: None,
        element_type: None,
        max_capacity: None,
        type_params: Default::default(),
    }
}

fn sample() -> &'static EncodedSegment {
    static SAMPLE: OnceLock<EncodedSegment> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let validity = Bitset::from_fn(ROWS, |row| row % 3 != 1);
        let vectors = |slots: usize| Values::FloatVector { dimension: 4, data: vec![0.5; 4 * slots].into() };
        let sparse = |slots: usize| {
            Values::SparseFloatVector((0..slots).map(|slot| (&[3, 9][..slot % 3 / 2 * 2], &[0.5, 2.0][..slot % 3 / 2 * 2])).collect())
        };
        let offsets = || (0..=ROWS as u32).map(|row| 2 * row).collect::<Vec<_>>().into();
        let arrays = |elements| Values::Array(Arrays::from_parts(offsets(), elements).expect("two elements a row"));
        let words = (0..2 * ROWS).map(|i| format!("word {}", i % 7));
        let columns = vec![
            Column::new(FieldId(100), Values::VarChar((0..ROWS).map(|row| format!("key {}", row % 1_000)).collect())),
            Column { field: FieldId(101), validity: Some(validity.clone()), values: Values::Bool(vec![1; ROWS].into()) },
            Column::new(FieldId(102), Values::Int64((0..ROWS as i64).collect::<Vec<_>>().into())),
            Column {
                field: FieldId(103),
                validity: Some(validity.clone()),
                values: Values::Json((0..ROWS).map(|row| row.to_string()).collect()),
            },
            Column { field: FieldId(104), values: vectors(validity.count_ones()), validity: Some(validity.clone()) },
            Column::new(FieldId(105), vectors(ROWS)),
            Column { field: FieldId(106), values: sparse(validity.count_ones()), validity: Some(validity.clone()) },
            Column::new(FieldId(107), Values::BFloat16Vector { dimension: 4, data: vec![0x3f80; 4 * ROWS].into() }),
            Column { field: FieldId(108), values: arrays(Values::Bool(vec![1; 2 * ROWS].into())), validity: Some(validity.clone()) },
            Column { field: FieldId(109), values: arrays(Values::VarChar(words.collect())), validity: Some(validity) },
        ];
        let rows = SegmentRows {
            batch: Batch::new(ROWS, columns),
            timestamps: vec![Timestamp(5); ROWS],
            partitions: (0..ROWS).map(|row| PartitionId(row as i64 / 400)).collect(),
        };
        let schema = schema();
        let new = NewSegment {
            collection: CollectionId(1),
            id: SegmentId(1),
            schema: &schema,
            deletes_applied_to: Timestamp::ZERO,
            origin: Origin::Flush,
            clustered_by: None,
        };
        encode(&new, &rows).expect("the sample agrees with its schema")
    })
}

/// The files of a valid segment, in the order in which the first byte of [`crate::fuzz::fuzz_segment`] chooses them. The last two are
/// the seeds of [`crate::fuzz::fuzz_keys`] and [`crate::fuzz::fuzz_stats`].
pub fn seeds() -> Vec<Bytes> {
    sample().objects.iter().map(|(_, bytes)| bytes.clone()).collect()
}

pub(crate) fn read_stats(bytes: &Bytes) {
    if let Ok(stats) = Stats::read(&MemoryBlob::new("fuzz", bytes.clone())) {
        let again = Stats::read(&MemoryBlob::new("fuzz", stats.encode())).expect("own encoding");
        // NaN isn't equal to itself; its text is.
        assert_eq!(format!("{again:?}"), format!("{stats:?}"));
    }
}

pub(crate) fn read_keys(bytes: &Bytes) {
    let Ok(index) = KeyIndex::open(&MemoryBlob::new("fuzz", bytes.clone()), ROWS) else { return };
    for at in 0..index.len() {
        if let (Ok(key), Ok(_)) = (index.key_at(at), index.row_at(at)) {
            // The order may be wrong: what is found has to be inside, no more.
            assert!(index.rows_of(key).is_ok_and(|rows| rows.iter().all(|&row| (row as usize) < ROWS)) || index.rows_of(key).is_err());
        }
    }
}

pub(crate) fn read_segment(which: u8, content: &Bytes) {
    let (sample, schema) = (sample(), schema());
    let mut segment = sample.segment.clone();
    let which = usize::from(which) % segment.files.len();
    let kind = segment.files[which].kind;
    segment.files[which].object.length = content.len() as u64;
    let mut blobs: Vec<(FileKind, Arc<dyn Blob>)> = Vec::new();
    for (file, (name, bytes)) in sample.segment.files.iter().zip(&sample.objects) {
        let bytes = match file.kind {
            other if other == kind => content.clone(),
            FileKind::Stats => with_checksums(bytes, kind, content),
            _ => bytes.clone(),
        };
        if file.kind == FileKind::Stats && kind != FileKind::Stats {
            let entry = segment.files.iter_mut().find(|file| file.kind == FileKind::Stats).expect("every segment has statistics");
            entry.object.length = bytes.len() as u64;
        }
        blobs.push((file.kind, Arc::new(MemoryBlob::new(name.clone(), bytes))));
    }
    let Ok(reader) = SegmentReader::open(&segment, &schema, blobs, &PageCache::new(PAGE_CACHE_BYTES)) else { return };
    for field in &schema.fields {
        for rows in [&[][..], &[0, ROWS as u32 - 1, 3, 1_023, 1_024]] {
            if let Ok(column) = reader.take(field.id, rows) {
                assert_eq!(column.rows(), rows.len());
            }
        }
        if let Ok(column) = reader.column(field.id) {
            assert_eq!(column.rows(), ROWS);
        }
    }
    let mut cursor = Default::default();
    reader.scrub(&mut cursor, u64::MAX).expect("the checksums were made right");
}

/// The statistics with another file's checksums in the place of one's own.
fn with_checksums(stats: &Bytes, kind: FileKind, content: &Bytes) -> Bytes {
    let mut stats = Stats::read(&MemoryBlob::new("stats", stats.clone())).expect("own encoding");
    for file in &mut stats.files {
        if file.kind == kind {
            *file = FileBlocks { kind, length: content.len() as u64, checksums: blocks::checksums(content) };
        }
    }
    stats.encode()
}
