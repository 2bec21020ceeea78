//! An open segment: columns where they lie.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use types::blob::Blob;
use types::buffer::Buffer;
use types::column::{Column, SparseRows, Values};
use types::id::{FieldId, PartitionId, SegmentId};
use types::schema::{DataType, Field, Schema};
use types::{Code, Error, Result};

use super::arrow::{ArrowFile, Layout, StoredColumn};
use super::blocks::{BLOCK_BYTES, CheckedFile};
use super::variable::VariableFile;
use super::{KeyIndex, PageCache, Stats, VectorColumn, column_name};
use crate::manifest::{FileKind, PartitionRows, Segment};

/// A segment's rows under a schema. Never changes; share it in an `Arc`.
pub struct SegmentReader {
    files: Arc<Files>,
    schema_version: u32,
    fields: BTreeMap<FieldId, Arc<OpenField>>,
}

/// What doesn't depend on the schema.
struct Files {
    id: SegmentId,
    rows: usize,
    stats: Stats,
    keys: KeyIndex,
    timestamps: Buffer<u64>,
    partitions: Vec<(PartitionId, Range<u32>)>,
    fixed: (Arc<CheckedFile>, ArrowFile),
    vectors: BTreeMap<FieldId, (Arc<CheckedFile>, ArrowFile)>,
    variable: Option<VariableFile>,
    pages: PageCache,
    /// What the segment has, open or not.
    kinds: Vec<FileKind>,
    checked: Vec<Arc<CheckedFile>>,
}

/// A field of the schema that the segment was opened with.
struct OpenField {
    field: Field,
    place: Place,
    /// The mapped or made-up column, once somebody asked for it.
    column: OnceLock<Result<Column>>,
    vectors: OnceLock<Result<VectorColumn>>,
}

/// Where a field's values are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Fixed,
    Vector,
    Variable,
    /// In no file: the field is younger than the segment.
    Absent,
    /// In a file that wasn't given.
    NotLoaded,
}

/// How far a scrub is.
#[derive(Clone, Copy, Default, Debug)]
pub struct ScrubCursor {
    file: usize,
    block: usize,
    bytes: u64,
}

impl ScrubCursor {
    /// Bytes that were compared.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl SegmentReader {
    /// Opens a segment under a schema. `files` are its files, as blobs of any kind; those of vectors and texts that nobody will read
    /// may be left out. Reads headers, footers and statistics; values stay where they are.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`, naming the file: damage, files that contradict each other, the manifest or the schema.
    pub fn open(segment: &Segment, schema: &Schema, files: Vec<(FileKind, Arc<dyn Blob>)>, pages: &PageCache) -> Result<Self> {
        segment.check()?;
        let mut files = open_files(segment, files)?;
        let mut stats = Stats::read(&*files.stats)?;
        check_stats(segment, &stats).map_err(|what| Error::corrupt(format!("{}: {what}", files.stats.name())))?;
        // As for all of its rows: the commit's time counts, and not that of writing.
        stats.timestamps = segment.committed.map_or(stats.timestamps, |at| (at, at));
        let checked = files.check(&stats)?;
        let rows = segment.rows as usize;

        let take = |kind| checked.get(&kind).cloned().ok_or_else(|| missing(segment, kind));
        let fixed_file = take(FileKind::Fixed)?;
        let fixed = ArrowFile::open(&fixed_file)?;
        if fixed.rows != rows {
            return Err(fixed_file.wrong(format!("it has {} rows of {rows}", fixed.rows)));
        }
        let partitions = read_partitions(&fixed_file, &fixed, &segment.partitions)?;
        let timestamps = match segment.committed {
            Some(at) => vec![at.0; rows].into(),
            None => read_timestamps(&fixed_file, &fixed, rows)?,
        };
        let keys = KeyIndex::open(&**files.blobs.get(&FileKind::Keys).ok_or_else(|| missing(segment, FileKind::Keys))?, rows)?;
        let mut vectors = BTreeMap::new();
        for (kind, file) in &checked {
            if let FileKind::Vector(field) = kind {
                vectors.insert(*field, (file.clone(), ArrowFile::open(file)?));
            }
        }
        let variable = checked.get(&FileKind::Variable).map(|file| VariableFile::open(file.clone(), rows)).transpose()?;
        let files = Files {
            id: segment.id,
            rows,
            stats,
            keys,
            timestamps,
            partitions,
            fixed: (fixed_file, fixed),
            vectors,
            variable,
            pages: pages.clone(),
            kinds: segment.files.iter().map(|file| file.kind).collect(),
            checked: checked.into_values().collect(),
        };
        Self { files: Arc::new(files), schema_version: 0, fields: BTreeMap::new() }.under(schema)
    }

    /// The same rows under another version of the schema: files, and columns of fields that haven't changed, are shared.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`: files that contradict the schema.
    pub fn under(&self, schema: &Schema) -> Result<Self> {
        let mut fields = BTreeMap::new();
        for field in &schema.fields {
            let open = match self.fields.get(&field.id) {
                Some(open) if open.field == *field => open.clone(),
                _ => {
                    let place = self.place_of(field)?;
                    Arc::new(OpenField { field: field.clone(), place, column: OnceLock::new(), vectors: OnceLock::new() })
                }
            };
            fields.insert(field.id, open);
        }
        Ok(Self { files: self.files.clone(), schema_version: schema.version, fields })
    }

    /// The version of the schema that fields are read under.
    pub fn schema_version(&self) -> u32 {
        self.schema_version
    }

    /// The segment's id.
    pub fn id(&self) -> SegmentId {
        self.files.id
    }

    /// Number of rows, dead ones too.
    pub fn rows(&self) -> usize {
        self.files.rows
    }

    /// The timestamp of each row; of an imported segment, its commit's.
    pub fn timestamps(&self) -> &Buffer<u64> {
        &self.files.timestamps
    }

    /// Partitions with their rows, in order.
    pub fn partitions(&self) -> &[(PartitionId, Range<u32>)] {
        &self.files.partitions
    }

    /// The rows of a partition: one run. Empty if it has none here.
    pub fn partition_rows(&self, partition: PartitionId) -> Range<u32> {
        let at = self.files.partitions.binary_search_by_key(&partition, |(id, _)| *id);
        at.map_or(0..0, |at| self.files.partitions[at].1.clone())
    }

    /// Primary keys and their rows.
    pub fn keys(&self) -> &KeyIndex {
        &self.files.keys
    }

    /// Bounds and counts.
    pub fn stats(&self) -> &Stats {
        &self.files.stats
    }

    /// A fixed-width scalar field, mapped; or any scalar field that is younger than the segment, with its default or null in every row.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`, naming the file; `INTERNAL` for a field of another kind or not of the schema.
    pub fn scalars(&self, field: FieldId) -> Result<&Column> {
        let open = self.field(field)?;
        if open.field.data_type.is_vector() || !matches!(open.place, Place::Fixed | Place::Absent) {
            return Err(self.wrong_use(field, "isn't mapped as scalars"));
        }
        open.column.get_or_init(|| self.read_scalars(open)).as_ref().map_err(Clone::clone)
    }

    /// A vector field, mapped.
    ///
    /// # Errors
    /// As [`Self::scalars`].
    pub fn vectors(&self, field: FieldId) -> Result<&VectorColumn> {
        let open = self.field(field)?;
        if !open.field.data_type.is_vector() || open.place == Place::NotLoaded {
            return Err(self.wrong_use(field, "isn't mapped as vectors"));
        }
        open.vectors.get_or_init(|| self.read_vectors(open)).as_ref().map_err(Clone::clone)
    }

    /// Every row of any field: shared memory for mapped ones, decoded for texts.
    ///
    /// # Errors
    /// As [`Self::scalars`].
    pub fn column(&self, field: FieldId) -> Result<Column> {
        let open = self.field(field)?;
        match (open.place, &self.files.variable) {
            (Place::Variable, Some(variable)) => variable.read(field),
            _ if open.field.data_type.is_vector() => Ok(self.vectors(field)?.column(field)),
            _ => self.scalars(field).cloned(),
        }
    }

    /// Some rows of any field, in the order given: copied, texts by way of the page cache.
    ///
    /// # Errors
    /// As [`Self::scalars`].
    ///
    /// # Panics
    /// If there is no such row.
    pub fn take(&self, field: FieldId, rows: &[u32]) -> Result<Column> {
        let open = self.field(field)?;
        match (open.place, &self.files.variable) {
            (Place::Variable, Some(variable)) => variable.take(field, rows, &self.files.pages),
            _ if open.field.data_type.is_vector() => Ok(self.vectors(field)?.take(field, rows)),
            _ => Ok(self.scalars(field)?.take(rows)),
        }
    }

    /// Bytes of the open files.
    pub fn bytes(&self) -> u64 {
        self.files.checked.iter().map(|file| file.len()).sum()
    }

    /// Compares about `bytes` more of the mapped files with their checksums, at least one block; true when all were compared.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`, naming file and offset: the segment is to be quarantined.
    pub fn scrub(&self, cursor: &mut ScrubCursor, bytes: u64) -> Result<bool> {
        let mut left = bytes.div_ceil(BLOCK_BYTES as u64).max(1);
        while let Some(file) = self.files.checked.get(cursor.file) {
            if cursor.block == file.blocks() {
                *cursor = ScrubCursor { file: cursor.file + 1, block: 0, bytes: cursor.bytes };
                continue;
            }
            if left == 0 {
                return Ok(false);
            }
            cursor.bytes += file.check(cursor.block)?;
            cursor.block += 1;
            left -= 1;
        }
        Ok(true)
    }

    fn field(&self, field: FieldId) -> Result<&OpenField> {
        self.fields
            .get(&field)
            .map(|open| &**open)
            .ok_or_else(|| self.wrong_use(field, "isn't in the schema that the segment was opened with"))
    }

    fn wrong_use(&self, field: FieldId, what: &str) -> Error {
        let place = self.fields.get(&field).map(|open| open.place);
        let what = if place == Some(Place::NotLoaded) { "isn't loaded" } else { what };
        Error::new(Code::INTERNAL, format!("field {field} of segment {} {what}", self.files.id))
    }

    fn place_of(&self, field: &Field) -> Result<Place> {
        let kind = match field.data_type {
            data_type if data_type.is_vector() => FileKind::Vector(field.id),
            data_type if data_type.is_variable() => FileKind::Variable,
            _ => FileKind::Fixed,
        };
        let stored = match kind {
            FileKind::Vector(id) => self.files.vectors.get(&id).map(|(_, file)| file.column(column_name::VECTOR)).map(stored_type),
            FileKind::Variable => self.files.variable.as_ref().map(|file| file.data_type(field.id)),
            _ => Some(stored_type(self.files.fixed.1.column(&field.id.to_string()))),
        };
        match stored {
            Some(Some(data_type)) if data_type != field.data_type => {
                Err(self.contradiction(field, &format!("is stored as {data_type}, its schema says {}", field.data_type)))
            }
            Some(Some(_)) if kind == FileKind::Variable && self.element_type(field.id) != field.element_type => {
                Err(self.contradiction(field, "is stored with elements of another type"))
            }
            Some(Some(_)) => Ok(match kind {
                FileKind::Vector(_) => Place::Vector,
                FileKind::Variable => Place::Variable,
                _ => Place::Fixed,
            }),
            None if self.files.kinds.contains(&kind) => Ok(Place::NotLoaded),
            _ if field.nullable || field.default.is_some() => Ok(Place::Absent),
            _ => Err(self.contradiction(field, "is in no file, and may not be null")),
        }
    }

    fn element_type(&self, field: FieldId) -> Option<DataType> {
        self.files.variable.as_ref().and_then(|file| file.element_type(field))
    }

    fn contradiction(&self, field: &Field, what: &str) -> Error {
        Error::corrupt(format!("field {} ({}) of segment {} {what}", field.id, field.name, self.files.id))
    }

    fn read_scalars(&self, open: &OpenField) -> Result<Column> {
        let field = &open.field;
        if open.place == Place::Absent {
            return self.made_up(field);
        }
        let (file, arrow) = &self.files.fixed;
        let stored = arrow.require(file, &field.id.to_string())?;
        let Layout::Plain(span) = stored.values else { return Err(file.wrong(format!("field {} isn't plain", field.id))) };
        let width = field.data_type.width(0).ok_or_else(|| self.wrong_use(field.id, "isn't of fixed width"))?;
        let bytes = span.bytes(file, self.files.rows, width)?;
        if field.data_type == DataType::Bool && bytes.iter().any(|&value| value > 1) {
            return Err(file.wrong(format!("field {} has a bool that is neither 0 nor 1", field.id)));
        }
        let values = Values::from_fixed(field.data_type, 0, bytes).ok_or_else(|| self.wrong_use(field.id, "isn't of fixed width"))?;
        Ok(Column { field: field.id, validity: stored.validity(file, self.files.rows)?, values })
    }

    /// What a field that is younger than the segment reads as.
    fn made_up(&self, field: &Field) -> Result<Column> {
        let Some(default) = &field.default else { return Ok(Column::nulls(field, self.files.rows)) };
        let values = Values::repeated(field.data_type, default, self.files.rows);
        values.map(|values| Column::new(field.id, values)).ok_or_else(|| self.contradiction(field, "has a default of another type"))
    }

    fn read_vectors(&self, open: &OpenField) -> Result<VectorColumn> {
        let field = &open.field;
        let Some((file, arrow)) = self.files.vectors.get(&field.id) else {
            return VectorColumn::new(self.files.rows, Values::empty(field), Some(Vec::new().into()));
        };
        let values = read_vectors(file, arrow, field)?;
        let row_map = match arrow.column(column_name::ROW).map(|column| &column.values) {
            Some(Layout::Plain(span)) => Some(span.buffer::<u32>(file, arrow.rows)?),
            Some(_) => return Err(file.wrong("its row map isn't plain")),
            None => None,
        };
        VectorColumn::new(self.files.rows, values, row_map).map_err(|error| error.context(file.name()))
    }
}

/// The vectors of a field's file, slot after slot.
fn read_vectors(file: &CheckedFile, arrow: &ArrowFile, field: &Field) -> Result<Values> {
    let dimension = field.dimension.unwrap_or(0) as usize;
    match arrow.require(file, column_name::VECTOR)?.values {
        Layout::Wide { width, values } if field.data_type.width(dimension) == Some(width) => {
            let bytes = values.bytes(file, arrow.rows, width)?;
            Values::from_fixed(field.data_type, dimension, bytes).ok_or_else(|| file.wrong("its vectors have no width"))
        }
        Layout::Wide { width, .. } => Err(file.wrong(format!("its vectors have {width} bytes each, the schema's {dimension} dimensions"))),
        Layout::Entries { offsets, count, indices, values } if field.data_type == DataType::SparseFloatVector => {
            let offsets = if arrow.rows == 0 { vec![0].into() } else { offsets.buffer::<u32>(file, arrow.rows + 1)? };
            let rows = SparseRows::from_stored(offsets, indices.buffer(file, count)?, values.buffer(file, count)?);
            rows.map(Values::SparseFloatVector).map_err(|what| file.wrong(what))
        }
        _ => Err(file.wrong("its vectors lie in another way than those of their type")),
    }
}

fn stored_type(column: Option<&StoredColumn>) -> Option<DataType> {
    column.and_then(|column| column.data_type)
}

fn missing(segment: &Segment, kind: FileKind) -> Error {
    Error::internal(format!("segment {} is opened without {kind}", segment.id))
}

/// Blobs by kind, with the statistics apart.
struct OpenFiles {
    stats: Arc<dyn Blob>,
    blobs: BTreeMap<FileKind, Arc<dyn Blob>>,
}

/// Each blob must have the length that the manifest says.
fn open_files(segment: &Segment, files: Vec<(FileKind, Arc<dyn Blob>)>) -> Result<OpenFiles> {
    let mut blobs: BTreeMap<FileKind, Arc<dyn Blob>> = BTreeMap::new();
    for (kind, blob) in files {
        let object = segment.file(kind).ok_or_else(|| Error::internal(format!("segment {} has no {kind}", segment.id)))?;
        object.check_length(blob.len())?;
        blobs.insert(kind, blob);
    }
    let stats = blobs.remove(&FileKind::Stats).ok_or_else(|| missing(segment, FileKind::Stats))?;
    Ok(OpenFiles { stats, blobs })
}

impl OpenFiles {
    /// Every blob with its checksums.
    fn check(&mut self, stats: &Stats) -> Result<BTreeMap<FileKind, Arc<CheckedFile>>> {
        let mut checked = BTreeMap::new();
        for (kind, blob) in &self.blobs {
            let blocks = stats.files.iter().find(|file| file.kind == *kind);
            let blocks = blocks.ok_or_else(|| Error::corrupt(format!("{}: it doesn't know {kind}", self.stats.name())))?;
            checked.insert(*kind, Arc::new(CheckedFile::new(blob.clone(), blocks.length, blocks.checksums.clone())?));
        }
        Ok(checked)
    }
}

fn check_stats(segment: &Segment, stats: &Stats) -> Result<(), String> {
    if stats.rows != segment.rows || stats.partitions != segment.partitions {
        return Err(format!("its {} rows are other ones than the manifest's {}", stats.rows, segment.rows));
    }
    if segment.committed.is_none() && stats.timestamps != segment.timestamps {
        return Err("its timestamps are other ones than the manifest's".into());
    }
    Ok(())
}

fn read_timestamps(file: &CheckedFile, arrow: &ArrowFile, rows: usize) -> Result<Buffer<u64>> {
    match arrow.require(file, column_name::TIMESTAMP)?.values {
        Layout::Plain(span) => span.buffer(file, rows),
        _ => Err(file.wrong("its timestamps aren't plain")),
    }
}

/// The partitions' runs, which must be those of the manifest.
fn read_partitions(file: &CheckedFile, arrow: &ArrowFile, expected: &[PartitionRows]) -> Result<Vec<(PartitionId, Range<u32>)>> {
    let Layout::Runs { ends, values } = arrow.require(file, column_name::PARTITION)?.values else {
        return Err(file.wrong("its partitions aren't runs"));
    };
    let runs = ends.capacity::<i32>();
    let (ends, values) = (ends.checked_buffer::<i32>(file, runs)?, values.checked_buffer::<i64>(file, runs)?);
    let mut partitions = Vec::with_capacity(expected.len());
    let mut start = 0u32;
    for part in expected {
        // The manifest's rows add up to a u32.
        let end = start + part.rows;
        let at = partitions.len();
        if ends.get(at).map(|&end| end as u32) != Some(end) || values.get(at) != Some(&part.partition.0) {
            return Err(file.wrong(format!("rows of partition {} are other ones than the manifest's", part.partition)));
        }
        partitions.push((part.partition, start..end));
        start = end;
    }
    if runs == expected.len() { Ok(partitions) } else { Err(file.wrong("it has more partitions than the manifest")) }
}
