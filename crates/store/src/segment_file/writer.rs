//! Rows to files: pure computation, so that it runs on a CPU pool and is the same everywhere.

use bytes::Bytes;
use types::batch::Batch;
use types::column::Column;
use types::id::{CollectionId, FieldId, PartitionId, SegmentId};
use types::schema::Schema;
use types::time::Timestamp;
use types::{Error, Result};

use super::arrow::{self, NewColumn};
use super::stats::FileBlocks;
use super::{Stats, blocks, column_name, keys, stats, variable};
use crate::manifest::{FileKind, Origin, PartitionRows, Segment, SegmentFile};
use crate::name;
use crate::reference::ObjectRef;

/// Rows of a segment: offsets and run ends are positive i32 in Arrow.
pub(crate) const SEGMENT_ROWS_MAX: usize = i32::MAX as usize;

/// Rows to be sealed, sorted by partition. All three have one length, at least 1.
#[derive(Clone, Debug)]
pub struct SegmentRows {
    /// The columns. A nullable field, or one with a default, may be missing.
    pub batch: Batch,
    /// Of each row.
    pub timestamps: Vec<Timestamp>,
    /// Of each row, ascending.
    pub partitions: Vec<PartitionId>,
}

/// What a new segment is called, and what its manifest entry says beyond its rows.
#[derive(Clone, Copy, Debug)]
pub struct NewSegment<'a> {
    /// Whose rows.
    pub collection: CollectionId,
    /// Drawn for this attempt.
    pub id: SegmentId,
    /// The schema of the batch.
    pub schema: &'a Schema,
    /// Deletes that took effect at or below it were applied to the rows.
    pub deletes_applied_to: Timestamp,
    /// Who makes it.
    pub origin: Origin,
    /// How rows are ordered inside of a partition, if a compaction clustered them.
    pub clustered_by: Option<FieldId>,
}

/// Files to be put, and the entry that refers to them once they are durable.
#[derive(Clone, Debug)]
pub struct EncodedSegment {
    /// For the manifest.
    pub segment: Segment,
    /// Names and bytes. Each name is new: the segment's id is.
    pub objects: Vec<(String, Bytes)>,
}

/// The files of a segment.
///
/// # Errors
/// `INTERNAL`: rows that contradict themselves or the schema (a bug of the caller).
pub fn encode(new: &NewSegment<'_>, rows: &SegmentRows) -> Result<EncodedSegment> {
    let wrong = |what: String| Error::internal(format!("rows of segment {}: {what}", new.id));
    let count = rows.batch.rows();
    if count == 0 || count > SEGMENT_ROWS_MAX || rows.timestamps.len() != count || rows.partitions.len() != count {
        return Err(wrong(format!("{count} rows, {} timestamps, {} partitions", rows.timestamps.len(), rows.partitions.len())));
    }
    if rows.partitions.windows(2).any(|pair| pair[0] > pair[1]) {
        return Err(wrong("partitions don't ascend".into()));
    }
    check_columns(new.schema, &rows.batch).map_err(wrong)?;

    let partitions = runs_of(&rows.partitions);
    let files = encode_files(new.schema, rows, &partitions)?;
    let columns = rows.batch.columns().iter().filter(|column| !column.values.data_type().is_vector());
    let mut columns: Vec<_> = columns.map(stats::of_column).collect();
    columns.sort_by_key(|column| column.field);
    let least = rows.timestamps.iter().min().copied().unwrap_or_default();
    let greatest = rows.timestamps.iter().max().copied().unwrap_or_default();
    let stats = Stats {
        rows: count as u32,
        timestamps: (least, greatest),
        partitions: partitions.clone(),
        columns,
        files: files.iter().map(|(kind, bytes)| blocks_of(*kind, bytes)).collect(),
    };
    let all = files.into_iter().chain([(FileKind::Stats, stats.encode())]);
    let (files, objects) = all.map(|(kind, bytes)| named(new, kind, bytes)).unzip();
    let segment = Segment {
        id: new.id,
        rows: count as u32,
        partitions,
        timestamps: (least, greatest),
        schema_version: new.schema.version,
        deletes_applied_to: new.deletes_applied_to,
        committed: None,
        origin: new.origin,
        clustered_by: new.clustered_by,
        files,
        indexes: Vec::new(),
    };
    Ok(EncodedSegment { segment, objects })
}

fn named(new: &NewSegment<'_>, kind: FileKind, bytes: Bytes) -> (SegmentFile, (String, Bytes)) {
    let name = name::segment_file(new.collection, new.id, kind);
    (SegmentFile { kind, object: ObjectRef::of(name.clone(), &bytes) }, (name, bytes))
}

fn blocks_of(kind: FileKind, bytes: &Bytes) -> FileBlocks {
    FileBlocks { kind, length: bytes.len() as u64, checksums: blocks::checksums(bytes) }
}

/// Every column is of a field, and every field that must have values has them.
fn check_columns(schema: &Schema, batch: &Batch) -> Result<(), String> {
    for column in batch.columns() {
        let field = schema.field_by_id(column.field).ok_or_else(|| format!("field {} isn't in the schema", column.field))?;
        if column.values.data_type() != field.data_type {
            return Err(format!("field {} is {}, its column {}", field.id, field.data_type, column.values.data_type()));
        }
        if !column.values.are_of(field) {
            return Err(format!("field {} has another dimension, or other elements, than its column", field.id));
        }
        if !field.nullable && column.validity.as_ref().is_some_and(|validity| !validity.all()) {
            return Err(format!("field {} has nulls", field.id));
        }
    }
    let missing = schema.fields.iter().find(|field| !field.nullable && field.default.is_none() && batch.column(field.id).is_none());
    missing.map_or(Ok(()), |field| Err(format!("field {} is missing", field.id)))
}

fn encode_files(schema: &Schema, rows: &SegmentRows, partitions: &[PartitionRows]) -> Result<Vec<(FileKind, Bytes)>> {
    let columns = || rows.batch.columns().iter();
    let mut files = vec![(FileKind::Fixed, encode_fixed(rows, partitions)?)];
    for column in columns().filter(|column| column.values.data_type().is_vector()) {
        files.push((FileKind::Vector(column.field), encode_vectors(column)?));
    }
    let variable: Vec<&Column> = columns().filter(|column| column.values.data_type().is_variable()).collect();
    if !variable.is_empty() {
        files.push((FileKind::Variable, variable::encode(&variable)?));
    }
    let key = rows.batch.column(schema.primary().id).ok_or_else(|| Error::internal("rows have no primary key"))?;
    files.push((FileKind::Keys, keys::encode(&Column::new(key.field, key.values.clone()))));
    Ok(files)
}

fn encode_fixed(rows: &SegmentRows, partitions: &[PartitionRows]) -> Result<Bytes> {
    let timestamps: Vec<u64> = rows.timestamps.iter().map(|timestamp| timestamp.0).collect();
    let ends = partitions.iter().scan(0i32, |end, part| {
        // The rows of all are at most SEGMENT_ROWS_MAX.
        *end += part.rows as i32;
        Some(*end)
    });
    let ids = partitions.iter().map(|part| part.partition.0).collect();
    let mut columns =
        vec![NewColumn::u64s(column_name::TIMESTAMP, &timestamps.into()), NewColumn::runs(column_name::PARTITION, ends.collect(), ids)?];
    let scalars = rows.batch.columns().iter().filter(|column| {
        let data_type = column.values.data_type();
        !data_type.is_vector() && !data_type.is_variable()
    });
    columns.extend(scalars.map(|column| NewColumn::scalars(column.field.to_string(), &column.values, column.validity.as_ref())));
    arrow::encode(columns)
}

fn encode_vectors(column: &Column) -> Result<Bytes> {
    let mut columns = vec![NewColumn::vectors(column_name::VECTOR, &column.values)?];
    if let Some(validity) = column.validity.as_ref().filter(|validity| !validity.all()) {
        let rows: Vec<u32> = validity.iter_ones().map(|row| row as u32).collect();
        columns.push(NewColumn::u32s(column_name::ROW, &rows.into()));
    }
    arrow::encode(columns)
}

fn runs_of(partitions: &[PartitionId]) -> Vec<PartitionRows> {
    let runs = partitions.chunk_by(|a, b| a == b);
    runs.map(|run| PartitionRows { partition: run[0], rows: run.len() as u32 }).collect()
}
