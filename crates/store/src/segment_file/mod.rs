//! The files of a segment (`docs/formats/segment.md`): rows as immutable columns that are mapped, not decoded.
//!
//! [`encode`] turns rows into objects and the manifest's entry, without I/O; the caller puts the objects and commits the entry.
//! [`SegmentReader::open`] takes the files as blobs and gives columns: fixed-width scalars and vectors where they lie in the mapping,
//! texts and lists by decoded pages ([`PageCache`]), rows of a key ([`KeyIndex`]), bounds of values ([`Stats`]).
//!
//! Invariants: rows are sorted by partition; a row's offset is the same in every file; headers, footers and whatever is copied were
//! compared with their checksums, mapped bulk by [`SegmentReader::scrub`]; the open reader never changes and may be shared.
//!
//! Not here: which rows are dead, which snapshot sees what (`segment`); indexes (`index`).
//!
//! Start at [`SegmentRows`] and [`SegmentReader`].

mod arrow;
mod blocks;
mod cache;
pub(crate) mod fuzz;
mod keys;
mod lists;
mod page;
mod reader;
mod stats;
mod variable;
mod vectors;
mod writer;

pub use cache::PageCache;
pub use keys::KeyIndex;
pub use reader::{ScrubCursor, SegmentReader};
pub use stats::{BOUND_BYTES_MAX, Bounds, ColumnStats, Stats, ZONE_ROWS, Zone};
pub use variable::{PAGE_ROWS_MAX, VALUE_BYTES_MAX};
pub use vectors::VectorColumn;
pub use writer::{EncodedSegment, NewSegment, SegmentRows, encode};

/// Internal columns of `fixed.arrow` and `vec.<field>.arrow`. Fields' columns are called by their ids, so no name can collide.
mod column_name {
    /// Row timestamps: u64.
    pub const TIMESTAMP: &str = "timestamp";
    /// Partitions: runs of i64.
    pub const PARTITION: &str = "partition";
    /// Vectors of the file's field.
    pub const VECTOR: &str = "vector";
    /// The row of each vector: u32. Only where rows are null.
    pub const ROW: &str = "row";
}
