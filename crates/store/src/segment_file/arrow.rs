//! Arrow IPC files whose buffers are mapped and never decoded: one record batch, 64-byte aligned, uncompressed.
//!
//! Written by arrow's own writer, so that any Arrow reader opens them. Read by walking the footer and the batch's header here:
//! a column is two ranges of the file, checked against its number of rows, and no byte of it is touched.
//!
//! Shapes: plain columns (fixed width, with or without validity), one run-end encoded column (partitions), and vectors: lists of fixed
//! size, binary of fixed size, or lists of entries. Each column says in its metadata (`elanus.type`) which of our types it has; columns without it are internal.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::{Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt32Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, FixedSizeBinaryArray, FixedSizeListArray, ListArray, PrimitiveArray, RecordBatch, RunArray,
    StructArray,
};
use arrow_buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_ipc::{Block, MetadataVersion, Type};
use arrow_schema::{ArrowError, DataType as ArrowType, Field as ArrowField, Fields, Schema as ArrowSchema};
use bytemuck::Pod;
use bytes::Bytes;
use types::bitset::Bitset;
use types::buffer::Buffer;
use types::column::{Fixed, SparseRows, Values};
use types::schema::DataType;
use types::{Error, Result};

use super::blocks::CheckedFile;

/// Every buffer of a file begins at a multiple of this.
const ALIGNMENT: u64 = 64;
/// A footer is a few hundred bytes for each of at most 256 fields.
const FOOTER_BYTES_MAX: u64 = 1 << 20;
const MAGIC: &[u8] = b"ARROW1";
/// Footer length and magic.
const TAIL_BYTES: u64 = 10;
const TYPE_KEY: &str = "elanus.type";

/// A column to be written.
pub(crate) struct NewColumn {
    field: ArrowField,
    array: ArrayRef,
}

/// A typed buffer as bytes that arrow can share.
struct Shared<T>(Buffer<T>);

impl<T: Pod> AsRef<[u8]> for Shared<T> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl NewColumn {
    /// A column of a field's scalars; the variable ones have no place here.
    ///
    /// # Panics
    /// If the values are texts or vectors.
    pub fn scalars(name: String, values: &Values, validity: Option<&Bitset>) -> Self {
        let nulls = validity.filter(|validity| !validity.all());
        let array = match values {
            // One byte each, so that a mapped column is what filters read.
            Values::Bool(values) => plain::<UInt8Type>(values, nulls),
            Values::Int8(values) => plain::<Int8Type>(values, nulls),
            Values::Int16(values) => plain::<Int16Type>(values, nulls),
            Values::Int32(values) => plain::<Int32Type>(values, nulls),
            Values::Int64(values) => plain::<Int64Type>(values, nulls),
            Values::Float(values) => plain::<Float32Type>(values, nulls),
            Values::Double(values) => plain::<Float64Type>(values, nulls),
            other => panic!("a column of {} isn't of fixed width", other.data_type()),
        };
        Self::named(name, array, Some(values.data_type()))
    }

    /// An internal column of 64-bit numbers.
    pub fn u64s(name: &str, values: &Buffer<u64>) -> Self {
        Self::named(name.to_owned(), plain::<UInt64Type>(values, None), None)
    }

    /// An internal column of 32-bit numbers.
    pub fn u32s(name: &str, values: &Buffer<u32>) -> Self {
        Self::named(name.to_owned(), plain::<UInt32Type>(values, None), None)
    }

    /// An internal column in runs: the (exclusive) end of each, and its value.
    pub fn runs(name: &str, ends: Vec<i32>, values: Vec<i64>) -> Result<Self> {
        let (ends, values) = (PrimitiveArray::<Int32Type>::from(ends), PrimitiveArray::<Int64Type>::from(values));
        let array = RunArray::<Int32Type>::try_new(&ends, &values).map_err(|error| not_written(&error))?;
        Ok(Self::named(name.to_owned(), Arc::new(array), None))
    }

    /// The vectors of a field, slot after slot.
    ///
    /// # Errors
    /// `INTERNAL`: arrow refuses, or the values are no vectors.
    pub fn vectors(name: &str, values: &Values) -> Result<Self> {
        let array = match values {
            Values::FloatVector { dimension, data } => float_lists(*dimension, data),
            Values::SparseFloatVector(rows) => entries(rows),
            other => match other.fixed().filter(|fixed| fixed.data_type.is_vector()) {
                Some(fixed) => binary(fixed),
                None => return Err(Error::internal(format!("a column of {} is stored as vectors", values.data_type()))),
            },
        };
        Ok(Self::named(name.to_owned(), array.map_err(|error| not_written(&error))?, Some(values.data_type())))
    }

    fn named(name: String, array: ArrayRef, data_type: Option<DataType>) -> Self {
        let field = ArrowField::new(name, array.data_type().clone(), array.null_count() > 0);
        let metadata: HashMap<String, String> =
            data_type.map(|data_type| (TYPE_KEY.to_owned(), data_type.number().to_string())).into_iter().collect();
        Self { field: field.with_metadata(metadata), array }
    }
}

fn float_lists(dimension: usize, data: &Buffer<f32>) -> std::result::Result<ArrayRef, ArrowError> {
    let item = Arc::new(ArrowField::new("item", ArrowType::Float32, false));
    let array = FixedSizeListArray::try_new(item, bounded(dimension)?, plain::<Float32Type>(data, None), None)?;
    Ok(Arc::new(array))
}

/// Vectors of which Arrow needs to know no more than their bytes.
fn binary(fixed: Fixed<'_>) -> std::result::Result<ArrayRef, ArrowError> {
    let bytes = arrow_buffer::Buffer::from(fixed.bytes);
    Ok(Arc::new(FixedSizeBinaryArray::try_new(bounded(fixed.width)?, bytes, None)?))
}

/// Sparse vectors: lists of index and value.
fn entries(rows: &SparseRows) -> std::result::Result<ArrayRef, ArrowError> {
    let fields =
        Fields::from(vec![ArrowField::new("index", ArrowType::UInt32, false), ArrowField::new("value", ArrowType::Float32, false)]);
    let columns = vec![plain::<UInt32Type>(rows.indices(), None), plain::<Float32Type>(rows.values(), None)];
    let item = ArrowField::new("item", ArrowType::Struct(fields.clone()), false);
    // Arrow's offsets are signed.
    bounded(rows.indices().len())?;
    let offsets: Vec<i32> = rows.offsets().iter().map(|&offset| offset as i32).collect();
    let entries = StructArray::try_new(fields, columns, None)?;
    Ok(Arc::new(ListArray::try_new(Arc::new(item), OffsetBuffer::new(offsets.into()), Arc::new(entries), None)?))
}

fn bounded(count: usize) -> std::result::Result<i32, ArrowError> {
    i32::try_from(count).map_err(|_| ArrowError::InvalidArgumentError(format!("{count} exceeds what Arrow counts to")))
}

fn plain<T: ArrowPrimitiveType<Native: Pod>>(values: &Buffer<T::Native>, validity: Option<&Bitset>) -> ArrayRef {
    let buffer = arrow_buffer::Buffer::from(Bytes::from_owner(Shared(values.clone())));
    let values = ScalarBuffer::new(buffer, 0, values.len());
    let nulls = validity.map(|validity| {
        let words = arrow_buffer::Buffer::from_vec(validity.words().to_vec());
        NullBuffer::new(BooleanBuffer::new(words, 0, validity.len()))
    });
    Arc::new(PrimitiveArray::<T>::new(values, nulls))
}

fn not_written(error: &dyn std::fmt::Display) -> Error {
    Error::internal(format!("an arrow file can't be written: {error}"))
}

/// A file of these columns, all of one length.
///
/// # Errors
/// `INTERNAL`: arrow refuses.
pub(crate) fn encode(columns: Vec<NewColumn>) -> Result<Bytes> {
    let bytes: usize = columns.iter().map(|column| column.array.get_buffer_memory_size()).sum();
    let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().map(|column| (column.field, column.array)).unzip();
    let schema = ArrowSchema::new(fields);
    let write = || -> std::result::Result<Vec<u8>, arrow_schema::ArrowError> {
        let batch = RecordBatch::try_new(Arc::new(schema.clone()), arrays)?;
        let options = IpcWriteOptions::try_new(ALIGNMENT as usize, false, MetadataVersion::V5)?;
        let mut writer = FileWriter::try_new_with_options(Vec::with_capacity(bytes + (64 << 10)), &schema, options)?;
        writer.write(&batch)?;
        writer.finish()?;
        writer.into_inner()
    };
    write().map(Bytes::from).map_err(|error| not_written(&error))
}

/// What a file holds: where each column lies.
pub(crate) struct ArrowFile {
    /// Of every column.
    pub rows: usize,
    pub columns: Vec<StoredColumn>,
}

/// One column, by its ranges.
pub(crate) struct StoredColumn {
    pub name: String,
    /// Of a field; `None` for internal columns.
    pub data_type: Option<DataType>,
    pub nulls: usize,
    /// The bitmap; meaningful where there are nulls.
    validity: Span,
    pub values: Layout,
}

/// How values lie.
pub(crate) enum Layout {
    /// One after the other.
    Plain(Span),
    /// So many bytes for each row: a list of floats, or binary.
    Wide {
        /// Bytes.
        width: usize,
        /// rows × width
        values: Span,
    },
    /// A list of index and value for each row.
    Entries {
        /// i32 each: one more than rows, or none where there is no row.
        offsets: Span,
        /// How many entries all rows have.
        count: usize,
        /// u32 each.
        indices: Span,
        /// f32 each.
        values: Span,
    },
    /// Runs of one value.
    Runs {
        /// i32 each.
        ends: Span,
        /// i64 each.
        values: Span,
    },
}

/// A range of the file.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    offset: u64,
    length: u64,
}

impl Span {
    /// The first `count` values of type `T`, mapped.
    pub fn buffer<T: Pod>(self, file: &CheckedFile, count: usize) -> Result<Buffer<T>> {
        Ok(Buffer::from_bytes(file.read(self.offset, self.bounded::<T>(file, count)?)?))
    }

    /// The bytes of the first `count` values of `width` bytes, mapped.
    pub fn bytes(self, file: &CheckedFile, count: usize, width: usize) -> Result<Bytes> {
        match (count as u64).checked_mul(width as u64) {
            Some(length) if length <= self.length => file.read(self.offset, length),
            _ => Err(file.wrong(format!("{count} values of {width} bytes in a buffer of {} bytes", self.length))),
        }
    }

    /// The same, its blocks compared with their checksums: for what is small.
    pub fn checked_buffer<T: Pod>(self, file: &CheckedFile, count: usize) -> Result<Buffer<T>> {
        Ok(Buffer::from_bytes(file.read_checked(self.offset, self.bounded::<T>(file, count)?)?))
    }

    /// How many values of type `T` fit.
    pub fn capacity<T>(self) -> usize {
        (self.length / size_of::<T>() as u64) as usize
    }

    fn bounded<T>(self, file: &CheckedFile, count: usize) -> Result<u64> {
        match (count as u64).checked_mul(size_of::<T>() as u64) {
            Some(length) if length <= self.length => Ok(length),
            _ => Err(file.wrong(format!("{count} values in a buffer of {} bytes", self.length))),
        }
    }
}

impl StoredColumn {
    /// The rows that have a value; `None` where all have.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`: the bitmap is too short or contradicts the number of nulls.
    pub fn validity(&self, file: &CheckedFile, rows: usize) -> Result<Option<Bitset>> {
        if self.nulls == 0 {
            return Ok(None);
        }
        let bytes = self.validity.buffer::<u8>(file, rows.div_ceil(8))?;
        let mut words = vec![0u64; rows.div_ceil(64)];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(whole);
        }
        let validity = Bitset::from_words(words, rows);
        if rows - validity.count_ones() != self.nulls {
            return Err(file.wrong(format!("column {} has another number of nulls", self.name)));
        }
        Ok(Some(validity))
    }
}

impl ArrowFile {
    /// Walks the footer and the batch's header; compares their blocks with their checksums.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`, naming the file.
    pub fn open(file: &CheckedFile) -> Result<Self> {
        let footer = read_footer(file)?;
        let footer = arrow_ipc::root_as_footer(&footer).map_err(|error| file.wrong(format!("its footer: {error}")))?;
        let fields = footer.schema().and_then(|schema| schema.fields()).ok_or_else(|| file.wrong("its footer has no schema"))?;
        let block = match footer.recordBatches() {
            Some(blocks) if blocks.len() == 1 => *blocks.get(0),
            _ => return Err(file.wrong("it isn't of one record batch")),
        };
        let (header, body) = read_header(file, &block)?;
        let message = arrow_ipc::root_as_message(&header).map_err(|error| file.wrong(format!("its header: {error}")))?;
        let batch = message.header_as_record_batch().ok_or_else(|| file.wrong("its header is of no record batch"))?;
        if batch.compression().is_some() {
            return Err(file.wrong("its buffers are compressed"));
        }
        let mut walk = Walk { file, body, batch, node: 0, buffer: 0 };
        let rows = walk.rows()?;
        let columns = fields.iter().map(|field| walk.column(&field, rows)).collect::<Result<Vec<_>>>()?;
        Ok(Self { rows, columns })
    }

    /// The column of a name.
    pub fn column(&self, name: &str) -> Option<&StoredColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The column of a name that must be there.
    pub fn require(&self, file: &CheckedFile, name: &str) -> Result<&StoredColumn> {
        self.column(name).ok_or_else(|| file.wrong(format!("it has no column {name}")))
    }
}

fn read_footer(file: &CheckedFile) -> Result<Bytes> {
    let rest = file.len().checked_sub(TAIL_BYTES).ok_or_else(|| file.wrong("it is too short for an arrow file"))?;
    let tail = file.read_checked(rest, TAIL_BYTES)?;
    if &tail[4..] != MAGIC {
        return Err(file.wrong("this is no arrow file"));
    }
    let length = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    match rest.checked_sub(length) {
        Some(offset) if length <= FOOTER_BYTES_MAX => file.read_checked(offset, length),
        _ => Err(file.wrong(format!("a footer of {length} bytes"))),
    }
}

/// The batch's header, without its prefix, and the body.
fn read_header(file: &CheckedFile, block: &Block) -> Result<(Bytes, Span)> {
    let wrong = || file.wrong("its record batch is out of place");
    let (offset, length) = (u64::try_from(block.offset()), u64::try_from(block.metaDataLength()));
    let (Ok(offset), Ok(length), Ok(body)) = (offset, length, u64::try_from(block.bodyLength())) else { return Err(wrong()) };
    if !(8..=FOOTER_BYTES_MAX).contains(&length) {
        return Err(wrong());
    }
    let header = file.read_checked(offset, length)?;
    // The read has bounded offset and length.
    let start = offset + length;
    if start % ALIGNMENT != 0 || start.checked_add(body).is_none_or(|end| end > file.len()) {
        return Err(wrong());
    }
    Ok((header.slice(8..), Span { offset: start, length: body }))
}

/// Takes nodes and buffers of a batch in the order in which fields use them.
struct Walk<'a> {
    file: &'a CheckedFile,
    body: Span,
    batch: arrow_ipc::RecordBatch<'a>,
    node: usize,
    buffer: usize,
}

impl Walk<'_> {
    fn rows(&self) -> Result<usize> {
        let rows = u32::try_from(self.batch.length());
        rows.map(|rows| rows as usize).map_err(|_| self.file.wrong(format!("a record batch of {} rows", self.batch.length())))
    }

    /// The next node's length and nulls.
    fn node(&mut self) -> Result<(usize, usize)> {
        let nodes = self.batch.nodes().filter(|nodes| self.node < nodes.len());
        let node = *nodes.ok_or_else(|| self.file.wrong("its header has too few nodes"))?.get(self.node);
        self.node += 1;
        match (usize::try_from(node.length()), usize::try_from(node.null_count())) {
            (Ok(length), Ok(nulls)) if nulls <= length => Ok((length, nulls)),
            _ => Err(self.file.wrong("its header has an impossible node")),
        }
    }

    fn span(&mut self) -> Result<Span> {
        let buffers = self.batch.buffers().filter(|buffers| self.buffer < buffers.len());
        let buffer = *buffers.ok_or_else(|| self.file.wrong("its header has too few buffers"))?.get(self.buffer);
        self.buffer += 1;
        let range = (u64::try_from(buffer.offset()), u64::try_from(buffer.length()));
        match range {
            (Ok(offset), Ok(length))
                if offset % ALIGNMENT == 0 && offset.checked_add(length).is_some_and(|end| end <= self.body.length) =>
            {
                Ok(Span { offset: self.body.offset + offset, length })
            }
            _ => Err(self.file.wrong("its header has a buffer that is out of place")),
        }
    }

    fn column(&mut self, field: &arrow_ipc::Field<'_>, rows: usize) -> Result<StoredColumn> {
        let name = field.name().unwrap_or_default().to_owned();
        let (length, nulls) = self.node()?;
        if length != rows {
            return Err(self.file.wrong(format!("column {name} has {length} rows of {rows}")));
        }
        let (validity, values) = match field.type_type() {
            Type::RunEndEncoded => {
                let (runs, _) = self.node()?;
                self.span()?;
                let ends = self.span()?;
                if self.node()?.0 != runs {
                    return Err(self.file.wrong(format!("column {name} has runs without values")));
                }
                (self.span()?, Layout::Runs { ends: ends.first::<i32>(runs), values: self.span()?.first::<i64>(runs) })
            }
            Type::FixedSizeList => {
                let size = field.type_as_fixed_size_list().map_or(0, |list| list.listSize());
                let validity = self.span()?;
                self.node()?;
                self.span()?;
                (validity, Layout::Wide { width: self.width(&name, size)? * size_of::<f32>(), values: self.span()? })
            }
            Type::FixedSizeBinary => {
                let size = field.type_as_fixed_size_binary().map_or(0, |binary| binary.byteWidth());
                (self.span()?, Layout::Wide { width: self.width(&name, size)?, values: self.span()? })
            }
            Type::List => {
                let (validity, offsets) = (self.span()?, self.span()?);
                let (count, _) = self.node()?;
                self.span()?;
                let (indices, values) = (self.child(&name, count)?, self.child(&name, count)?);
                (validity, Layout::Entries { offsets, count, indices, values })
            }
            _ => (self.span()?, Layout::Plain(self.span()?)),
        };
        Ok(StoredColumn { name, data_type: data_type_of(field), nulls, validity, values })
    }
}

impl Walk<'_> {
    /// The size of what Arrow says has one.
    fn width(&self, name: &str, size: i32) -> Result<usize> {
        let width = usize::try_from(size).ok().filter(|&width| width > 0);
        width.ok_or_else(|| self.file.wrong(format!("column {name} has lists of {size}")))
    }

    /// The values of a plain child of `count` rows.
    fn child(&mut self, name: &str, count: usize) -> Result<Span> {
        if self.node()?.0 != count {
            return Err(self.file.wrong(format!("column {name} has entries of which a part is missing")));
        }
        self.span()?;
        self.span()
    }
}

impl Span {
    fn first<T>(self, count: usize) -> Self {
        Self { offset: self.offset, length: self.length.min(count.saturating_mul(size_of::<T>()) as u64) }
    }
}

fn data_type_of(field: &arrow_ipc::Field<'_>) -> Option<DataType> {
    let metadata = field.custom_metadata()?;
    let entry = metadata.iter().find(|entry| entry.key() == Some(TYPE_KEY))?;
    DataType::from_number(entry.value()?.parse().ok()?)
}
