//! A run of rows that is searched on its own: a segment or a chunk of growing rows, behind one face.

use std::sync::Arc;

use types::Result;
use types::bitset::Bitset;
use types::column::Column;
use types::id::{FieldId, PartitionId};
use types::time::Timestamp;

use crate::growing::Chunk;
use crate::sealed::Sealed;
use crate::shard::Version;

/// One run of rows of a version.
pub enum Part<'a> {
    /// A segment.
    Sealed(&'a Arc<Sealed>),
    /// Growing rows.
    Growing(&'a Arc<Chunk>),
}

/// Where a row is: the number of its part in [`Version::parts`], and its offset there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    /// Which part.
    pub part: u32,
    /// Which row of it.
    pub row: u32,
}

impl Version {
    /// Segments, then growing chunks (none with `ignore_growing`).
    pub fn parts(&self, ignore_growing: bool) -> Vec<Part<'_>> {
        let growing = self.growing.chunks.iter().filter(|_| !ignore_growing).map(Part::Growing);
        self.sealed.iter().map(Part::Sealed).chain(growing).collect()
    }
}

impl Part<'_> {
    /// Number of rows, dead ones too.
    pub fn rows(&self) -> usize {
        match self {
            Self::Sealed(sealed) => sealed.reader().rows(),
            Self::Growing(chunk) => chunk.rows(),
        }
    }

    /// The rows that a read at `at` sees, of the partitions given.
    pub fn visible(&self, version: &Version, partitions: Option<&[PartitionId]>, at: Timestamp) -> Bitset {
        match self {
            Self::Sealed(sealed) => sealed.visible(&version.state, partitions, at),
            Self::Growing(chunk) => {
                let mut visible = version.growing.visible(chunk, &version.state, at);
                if let Some(wanted) = partitions {
                    visible.and(&Bitset::from_fn(chunk.rows(), |row| wanted.contains(&chunk.partitions[row])));
                }
                visible
            }
        }
    }

    /// Some rows of a field, in the order given.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`, naming the file.
    pub fn take(&self, field: FieldId, rows: &[u32]) -> Result<Column> {
        match self {
            Self::Sealed(sealed) => sealed.reader().take(field, rows),
            Self::Growing(chunk) => {
                let column = chunk.batch.column(field).expect("chunks have every field of the schema");
                Ok(column.take(rows))
            }
        }
    }

    /// The timestamp of a row.
    pub fn timestamp(&self, row: u32) -> Timestamp {
        match self {
            Self::Sealed(sealed) => Timestamp(sealed.reader().timestamps()[row as usize]),
            Self::Growing(chunk) => chunk.timestamps[row as usize],
        }
    }
}
