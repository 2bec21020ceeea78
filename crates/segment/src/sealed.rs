//! A sealed segment as a shard serves it: mapped rows, opened indexes, and when rows ended.
//!
//! Deletes stay addressed by key; here they are resolved to rows once, when the segment is opened or when the delete comes. What is kept is
//! the row and its end, so a read at any timestamp is answered from the same list: nothing that is added later shows below it.

use std::collections::BTreeMap;
use std::sync::Arc;

use index::VectorIndex;
use index::any::AnyIndex;
use index::scalar::ScalarIndex;
use parking_lot::RwLock;
use store::segment_file::SegmentReader;
use types::Result;
use types::bitset::Bitset;
use types::delete::DeleteEntry;
use types::id::{FieldId, IndexId, PartitionId, SegmentId};
use types::schema::{Field, Schema};
use types::time::Timestamp;
use types::value::KeyRef;

use crate::control::ControlState;
use crate::indexed::Indexes;

/// An opened index of a segment.
#[derive(Clone)]
pub struct SealedIndex {
    /// Its definition.
    pub index: IndexId,
    /// The field.
    pub field: FieldId,
    /// The container.
    pub opened: Arc<AnyIndex>,
}

/// A segment with its deaths. Shared by versions of a shard.
pub struct Sealed {
    reader: Arc<SegmentReader>,
    key: Field,
    indexes: Vec<SealedIndex>,
    deaths: Arc<RwLock<Deaths>>,
}

#[derive(Default)]
struct Deaths {
    /// When each dead row ended.
    ends: BTreeMap<u32, Timestamp>,
    /// The rows of `ends`.
    dead: Bitset,
    /// The greatest end.
    latest: Timestamp,
}

impl Sealed {
    /// A segment whose files are open, with the deletes that its manifest's delete files hold.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`: the key index is damaged.
    pub fn new(reader: SegmentReader, key: Field, indexes: Vec<SealedIndex>, deletes: &[DeleteEntry]) -> Result<Self> {
        let deaths = Deaths { dead: Bitset::zeros(reader.rows()), ..Deaths::default() };
        let sealed = Self { reader: Arc::new(reader), key, indexes, deaths: Arc::new(RwLock::new(deaths)) };
        for entry in deletes {
            sealed.delete(entry)?;
        }
        Ok(sealed)
    }

    /// The same rows and deaths with other indexes: when one was built or dropped.
    pub fn with_indexes(&self, indexes: Vec<SealedIndex>) -> Self {
        Self { reader: self.reader.clone(), key: self.key.clone(), indexes, deaths: self.deaths.clone() }
    }

    /// The same rows, deaths and indexes under another version of the schema.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`: files that contradict the schema.
    pub fn under(&self, schema: &Schema) -> Result<Self> {
        let reader = Arc::new(self.reader.under(schema)?);
        Ok(Self { reader, key: self.key.clone(), indexes: self.indexes.clone(), deaths: self.deaths.clone() })
    }

    /// Whether a delete in one is a delete in the other.
    pub fn shares_deaths(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.deaths, &other.deaths)
    }

    /// Which segment.
    pub fn id(&self) -> SegmentId {
        self.reader.id()
    }

    /// Its columns.
    pub fn reader(&self) -> &SegmentReader {
        &self.reader
    }

    /// Its columns, for who looks at them for longer than the segment is served.
    pub fn shared_reader(&self) -> &Arc<SegmentReader> {
        &self.reader
    }

    /// Every opened index.
    pub fn indexes(&self) -> &[SealedIndex] {
        &self.indexes
    }

    /// The index of a vector field, if one is built.
    pub fn index_of(&self, field: FieldId) -> Option<&Arc<dyn VectorIndex>> {
        self.indexes.iter().filter(|index| index.field == field).find_map(|index| match &*index.opened {
            AnyIndex::Vector(opened) => Some(opened),
            AnyIndex::Scalar(_) => None,
        })
    }

    /// Ends the rows that a delete means. Repeating one changes nothing.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`: the key index is damaged.
    pub fn delete(&self, entry: &DeleteEntry) -> Result<()> {
        // Most deletes of a shard are older than most of its segments, and this is all that those cost.
        if self.reader.stats().timestamps.0 >= entry.kills_below {
            return Ok(());
        }
        let key = entry.key.as_ref();
        if !self.reader.keys().may_contain(key) {
            return Ok(());
        }
        for &row in self.reader.keys().rows_of(key)? {
            let older = self.reader.timestamps()[row as usize] < entry.kills_below.0;
            let meant = entry.partition.is_none_or(|partition| self.reader.partition_rows(partition).contains(&row));
            if older && meant {
                self.deaths.write().record(row, entry.effective);
            }
        }
        Ok(())
    }

    /// The rows that a read at `at` sees, of the partitions given (all if `None`).
    pub fn visible(&self, state: &ControlState, partitions: Option<&[PartitionId]>, at: Timestamp) -> Bitset {
        let wanted = |partition: &PartitionId| partitions.is_none_or(|wanted| wanted.contains(partition));
        let rows = self.reader.rows();
        let runs = self.reader.partitions();
        let mut visible = if runs.iter().all(|(partition, _)| wanted(partition) && !state.dropped_partitions.contains(partition)) {
            Bitset::ones(rows)
        } else {
            let mut visible = Bitset::zeros(rows);
            for (partition, run) in runs {
                if wanted(partition) && !state.dropped_partitions.contains(partition) {
                    run.clone().for_each(|row| visible.set(row as usize, true));
                }
            }
            visible
        };
        let (least, greatest) = self.reader.stats().timestamps;
        if greatest > at || least < state.truncated.timestamp {
            let timestamps = self.reader.timestamps();
            let born = Bitset::from_fn(rows, |row| {
                let timestamp = Timestamp(timestamps[row]);
                timestamp <= at && timestamp >= state.truncated.timestamp
            });
            visible.and(&born);
        }
        self.deaths.read().clear(&mut visible, at);
        visible
    }

    /// The rows of a key that `visible` has.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`: the key index is damaged.
    pub fn rows_of_key(&self, key: KeyRef<'_>) -> Result<&[u32]> {
        if self.reader.keys().may_contain(key) { self.reader.keys().rows_of(key) } else { Ok(&[]) }
    }

    /// The primary key's field.
    pub fn key_field(&self) -> FieldId {
        self.key.id
    }
}

impl Indexes for Sealed {
    fn scalar_of(&self, field: FieldId) -> Option<&Arc<dyn ScalarIndex>> {
        self.indexes.iter().filter(|index| index.field == field).find_map(|index| match &*index.opened {
            // One over other rows than these isn't this segment's.
            AnyIndex::Scalar(opened) if opened.rows() == self.reader.rows() => Some(opened),
            _ => None,
        })
    }
}

impl Deaths {
    fn record(&mut self, row: u32, end: Timestamp) {
        let earliest = self.ends.entry(row).or_insert(end);
        *earliest = (*earliest).min(end);
        self.dead.set(row as usize, true);
        self.latest = self.latest.max(end);
    }

    fn clear(&self, visible: &mut Bitset, at: Timestamp) {
        if self.latest <= at {
            return visible.and_not(&self.dead);
        }
        for (&row, &end) in &self.ends {
            if end <= at {
                visible.set(row as usize, false);
            }
        }
    }
}
