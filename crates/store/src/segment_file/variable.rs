//! `var.parquet`: texts, JSON and arrays of a segment, compressed in pages of at most 1,024 rows, each of which is read alone.
//!
//! One row group; plain, zstd, no dictionary, no statistics (those are in `stats`), with the offset index that says where pages are.
//! Any Parquet reader opens it. Columns are called by their fields' ids.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, Bytes};
use parquet::basic::{Compression, Encoding, LogicalType, Repetition, Type as PhysicalType, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use types::bitset::Bitset;
use types::column::{Column, Strings, Values};
use types::id::FieldId;
use types::limits;
use types::schema::DataType;
use types::{Error, Result};

use super::blocks::CheckedFile;
use super::cache::{PageCache, PageKey};
use super::lists;
use super::page::{self, Page, PageFormat};

/// Rows of a page.
pub const PAGE_ROWS_MAX: usize = 1_024;
/// Bytes at which a page ends, whatever its rows. The batch that reaches them is still in it.
const PAGE_BYTES: usize = 64 << 10;
/// Bytes of one value: bounds what reading one row may cost.
pub const VALUE_BYTES_MAX: usize = limits::VALUE_BYTES_MAX;
/// Rows after which the writer looks whether a page is full.
const BATCH_ROWS: usize = 64;
/// Rows handed to the writer at once.
const WRITE_ROWS: usize = 8 * PAGE_ROWS_MAX;
const ZSTD_LEVEL: i32 = 3;

/// What the file's metadata says of a column of arrays: the field's id is behind it, the number of the elements' type its value.
const ELEMENT_KEY: &str = "elanus.element.";

/// The file of these columns of texts and arrays.
///
/// # Errors
/// `INTERNAL`: parquet refuses, or a value exceeds [`VALUE_BYTES_MAX`].
pub(crate) fn encode(columns: &[&Column]) -> Result<Bytes> {
    write(columns).map(Bytes::from).map_err(|error| Error::internal(format!("a parquet file can't be written: {error}")))
}

fn write(columns: &[&Column]) -> std::result::Result<Vec<u8>, ParquetError> {
    let fields = columns.iter().map(|column| schema_of(column).map(Arc::new)).collect::<std::result::Result<Vec<_>, _>>()?;
    let schema = Type::group_type_builder("segment").with_fields(fields).build()?;
    let properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::PLAIN)
        .set_statistics_enabled(EnabledStatistics::None)
        // A page ends after the batch with which it reaches its limit.
        .set_data_page_row_count_limit(PAGE_ROWS_MAX - BATCH_ROWS + 1)
        .set_write_batch_size(BATCH_ROWS)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_max_row_group_row_count(None)
        .set_created_by("elanus".to_owned())
        .set_key_value_metadata(element_types(columns))
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for column in columns {
        let mut chunk = group.next_column()?.ok_or_else(|| ParquetError::General("fewer columns than fields".into()))?;
        for start in (0..column.rows()).step_by(WRITE_ROWS) {
            let rows = start..column.rows().min(start + WRITE_ROWS);
            let present = rows.clone().filter(|&row| column.is_valid(row));
            let values = present.map(|row| value_of(column, row)).collect::<std::result::Result<Vec<_>, _>>()?;
            let levels: Option<Vec<i16>> = is_nullable(column).then(|| rows.map(|row| i16::from(column.is_valid(row))).collect());
            chunk.typed::<ByteArrayType>().write_batch(&values, levels.as_deref(), None)?;
        }
        chunk.close()?;
    }
    group.close()?;
    writer.into_inner()
}

fn schema_of(column: &Column) -> std::result::Result<Type, ParquetError> {
    let logical = match column.values {
        Values::Json(_) => Some(LogicalType::Json),
        Values::Array(_) => None,
        _ => Some(LogicalType::String),
    };
    Type::primitive_type_builder(&column.field.to_string(), PhysicalType::BYTE_ARRAY)
        .with_repetition(if is_nullable(column) { Repetition::OPTIONAL } else { Repetition::REQUIRED })
        .with_logical_type(logical)
        .build()
}

/// What the elements of columns of arrays are.
fn element_types(columns: &[&Column]) -> Option<Vec<KeyValue>> {
    let arrays = columns.iter().filter_map(|column| match &column.values {
        Values::Array(arrays) => Some((column.field, arrays.element_type())),
        _ => None,
    });
    let pairs: Vec<_> =
        arrays.map(|(field, element)| KeyValue::new(format!("{ELEMENT_KEY}{field}"), element.number().to_string())).collect();
    (!pairs.is_empty()).then_some(pairs)
}

fn is_nullable(column: &Column) -> bool {
    column.validity.as_ref().is_some_and(|validity| !validity.all())
}

fn value_of(column: &Column, row: usize) -> std::result::Result<ByteArray, ParquetError> {
    let bytes = match &column.values {
        Values::VarChar(texts) | Values::Json(texts) => {
            let offsets = texts.offsets();
            texts.bytes().slice(offsets[row] as usize..offsets[row + 1] as usize)
        }
        Values::Array(arrays) => lists::encode(arrays, row),
        other => panic!("a column of {} has values of one width", other.data_type()),
    };
    if bytes.len() > VALUE_BYTES_MAX {
        return Err(ParquetError::General(format!("row {row} of field {} has {} bytes", column.field, bytes.len())));
    }
    Ok(bytes.into())
}

/// An opened file: where each column's pages are.
pub(crate) struct VariableFile {
    file: Arc<CheckedFile>,
    /// Tells this opened file from all others in a cache.
    id: u64,
    rows: usize,
    columns: BTreeMap<FieldId, PagedColumn>,
}

struct PagedColumn {
    data_type: DataType,
    /// Of arrays.
    element_type: Option<DataType>,
    format: PageFormat,
    pages: Vec<PagePlace>,
}

struct PagePlace {
    offset: u64,
    length: u64,
    first_row: usize,
}

static OPENED: AtomicU64 = AtomicU64::new(0);

impl VariableFile {
    /// Reads footer and offset index of the file of a segment with `rows` rows.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`, naming the file.
    pub fn open(file: Arc<CheckedFile>, rows: usize) -> Result<Self> {
        let metadata = ParquetMetaDataReader::new()
            .with_column_index_policy(PageIndexPolicy::Skip)
            .with_offset_index_policy(PageIndexPolicy::Required)
            .parse_and_finish(&Input(file.clone()))
            .map_err(|error| file.wrong(format!("its footer: {error}")))?;
        let [group] = metadata.row_groups() else { return Err(file.wrong("it isn't of one row group")) };
        let mut columns = BTreeMap::new();
        for (i, chunk) in group.columns().iter().enumerate() {
            let (field, column) = open_column(&file, &metadata, (i, chunk), rows)?;
            columns.insert(field, column);
        }
        Ok(Self { id: OPENED.fetch_add(1, Ordering::Relaxed), file, rows, columns })
    }

    /// The type of a field's column, if the file has one.
    pub fn data_type(&self, field: FieldId) -> Option<DataType> {
        self.columns.get(&field).map(|column| column.data_type)
    }

    /// What the elements of a field's arrays are.
    pub fn element_type(&self, field: FieldId) -> Option<DataType> {
        self.columns.get(&field).and_then(|column| column.element_type)
    }

    /// Every row of a field. Reads past the cache: a scan shouldn't empty it.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`, naming file and offset; more than 4 GiB of values.
    pub fn read(&self, field: FieldId) -> Result<Column> {
        let column = self.column(field)?;
        let mut all = Rows::default();
        for at in 0..column.pages.len() {
            let page = self.page(column, at)?;
            (0..page.rows()).try_for_each(|row| all.push(&page, row)).map_err(|what| self.file.wrong(what))?;
        }
        all.into_column(field, column).map_err(|what| self.file.wrong(what))
    }

    /// Some rows of a field, in the order given. Pages come from `cache` or go there.
    ///
    /// # Errors
    /// As [`Self::read`].
    ///
    /// # Panics
    /// If there is no such row.
    pub fn take(&self, field: FieldId, rows: &[u32], cache: &PageCache) -> Result<Column> {
        let column = self.column(field)?;
        let mut taken = Rows::default();
        let mut last: Option<(usize, Arc<Page>)> = None;
        for &row in rows {
            assert!((row as usize) < self.rows, "row {row} of {} is read", self.rows);
            let at = column.pages.partition_point(|page| page.first_row <= row as usize) - 1;
            let page = match &last {
                Some((current, page)) if *current == at => page.clone(),
                _ => {
                    let key = PageKey { file: self.id, field, page: at as u32 };
                    cache.get_or_insert_with(&key, || self.page(column, at).map(Arc::new))?
                }
            };
            taken.push(&page, row as usize - column.pages[at].first_row).map_err(|what| self.file.wrong(what))?;
            last = Some((at, page));
        }
        taken.into_column(field, column).map_err(|what| self.file.wrong(what))
    }

    fn column(&self, field: FieldId) -> Result<&PagedColumn> {
        self.columns.get(&field).ok_or_else(|| self.file.wrong(format!("it has no field {field}")))
    }

    fn page(&self, column: &PagedColumn, at: usize) -> Result<Page> {
        let place = &column.pages[at];
        let bytes = self.file.read_checked(place.offset, place.length)?;
        let rows = self.page_rows(column, at).len();
        page::decode(&bytes, column.format, rows)
            .map_err(|what| self.file.wrong(format!("bytes {}+{} are {what}", place.offset, place.length)))
    }

    fn page_rows(&self, column: &PagedColumn, at: usize) -> Range<usize> {
        column.pages[at].first_row..column.pages.get(at + 1).map_or(self.rows, |next| next.first_row)
    }
}

fn open_column(
    file: &CheckedFile,
    metadata: &ParquetMetaData,
    (i, chunk): (usize, &ColumnChunkMetaData),
    rows: usize,
) -> Result<(FieldId, PagedColumn)> {
    let described = chunk.column_descr();
    let name = described.name();
    let wrong = |what: &str| file.wrong(format!("column {name}: {what}"));
    let field = name.parse().map(FieldId).map_err(|_| wrong("it is of no field"))?;
    let (data_type, element_type) = match described.logical_type_ref() {
        Some(LogicalType::String) => (DataType::VarChar, None),
        Some(LogicalType::Json) => (DataType::Json, None),
        None => (DataType::Array, Some(element_of(metadata, field).ok_or_else(|| wrong("it is of neither texts nor arrays"))?)),
        Some(_) => return Err(wrong("it is of neither texts nor arrays")),
    };
    let compressed = match chunk.compression() {
        Compression::ZSTD(_) => true,
        Compression::UNCOMPRESSED => false,
        _ => return Err(wrong("it is compressed in another way")),
    };
    if chunk.column_type() != PhysicalType::BYTE_ARRAY || described.max_rep_level() != 0 || described.max_def_level() > 1 {
        return Err(wrong("it isn't of plain values"));
    }
    let index = metadata.page_index_for_row_group(0);
    let locations = index.page_locations(i).ok_or_else(|| wrong("it has no offset index"))?;
    let pages = places(file.len(), locations, rows).ok_or_else(|| wrong("its pages are out of place"))?;
    let format = PageFormat { nullable: described.max_def_level() == 1, compressed };
    Ok((field, PagedColumn { data_type, element_type, format, pages }))
}

fn element_of(metadata: &ParquetMetaData, field: FieldId) -> Option<DataType> {
    let pairs = metadata.file_metadata().key_value_metadata()?;
    let pair = pairs.iter().find(|pair| pair.key.strip_prefix(ELEMENT_KEY) == Some(&field.to_string()))?;
    DataType::from_number(pair.value.as_ref()?.parse().ok()?).filter(|element| element.is_element())
}

/// The pages, if they lie in the file and have each between 1 and [`PAGE_ROWS_MAX`] rows, `rows` together.
fn places(file_bytes: u64, locations: &[PageLocation], rows: usize) -> Option<Vec<PagePlace>> {
    let mut pages: Vec<PagePlace> = Vec::with_capacity(locations.len());
    for location in locations {
        let offset = u64::try_from(location.offset).ok()?;
        let length = u64::try_from(location.compressed_page_size).ok()?;
        let first_row = usize::try_from(location.first_row_index).ok()?;
        if offset.checked_add(length).is_none_or(|end| end > file_bytes) {
            return None;
        }
        pages.push(PagePlace { offset, length, first_row });
    }
    let ends = pages.iter().skip(1).map(|page| page.first_row).chain([rows]);
    let sized = pages.iter().zip(ends).all(|(page, end)| (1..=PAGE_ROWS_MAX).contains(&end.saturating_sub(page.first_row)));
    (sized && pages.first().map_or(rows == 0, |page| page.first_row == 0)).then_some(pages)
}

/// Values' bytes and validity while they are put together.
struct Rows {
    offsets: Vec<u32>,
    bytes: Vec<u8>,
    validity: Bitset,
}

impl Default for Rows {
    fn default() -> Self {
        Self { offsets: vec![0], bytes: Vec::new(), validity: Bitset::default() }
    }
}

impl Rows {
    fn push(&mut self, page: &Page, row: usize) -> std::result::Result<(), &'static str> {
        let value = page.value(row);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.validity.push(value.is_some());
        let end = u32::try_from(self.bytes.len()).map_err(|_| "more than 4 GiB of values are read at once")?;
        self.offsets.push(end);
        Ok(())
    }

    fn into_column(self, field: FieldId, column: &PagedColumn) -> std::result::Result<Column, &'static str> {
        let values = match (column.data_type, column.element_type) {
            (_, Some(element)) => Values::Array(lists::decode(element, self.offsets, self.bytes)?),
            (DataType::Json, _) => Values::Json(Strings::from_parts(self.offsets.into(), self.bytes.into())?),
            _ => Values::VarChar(Strings::from_parts(self.offsets.into(), self.bytes.into())?),
        };
        Ok(Column { field, validity: (!self.validity.all()).then_some(self.validity), values })
    }
}

/// The file as the parquet crate reads it; every byte it sees was compared with its block's checksum.
struct Input(Arc<CheckedFile>);

impl Length for Input {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl ChunkReader for Input {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> std::result::Result<Self::T, ParquetError> {
        Ok(self.get_bytes(start, self.0.len().saturating_sub(start) as usize)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> std::result::Result<Bytes, ParquetError> {
        self.0.read_checked(start, length as u64).map_err(|error| ParquetError::External(Box::new(error)))
    }
}
