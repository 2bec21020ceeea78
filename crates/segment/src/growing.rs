//! Rows that are in the log but in no segment yet.
//!
//! One writer appends chunks; readers hold an immutable list of them. Rows have numbers that rise for the shard's life in this
//! process, so that deletes survive the merging of small chunks: a death is (row number → end timestamp), and a read at `T`
//! ignores deaths that end above `T`. A chunk never changes: merging makes a new one and leaves the old to its readers.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::HashMap;
use parking_lot::RwLock;
use types::Result;
use types::batch::Batch;
use types::bitset::Bitset;
use types::column::Column;
use types::delete::DeleteEntry;
use types::id::{FieldId, PartitionId};
use types::record::Rows;
use types::schema::Schema;
use types::time::Timestamp;
use types::value::Key;

use crate::conform::conform;
use crate::control::ControlState;

/// Rows of a merged chunk, at most: what a filter evaluates and a scan reads in one go.
pub const CHUNK_ROWS_MAX: usize = 8_192;

/// Keys for which there is room without growing rows.
const ROOM_KEPT: usize = 1_024;

/// A run of rows with consecutive numbers.
pub struct Chunk {
    /// The number of row 0.
    pub first_row: u64,
    /// The columns.
    pub batch: Batch,
    /// Of each row, ascending.
    pub timestamps: Vec<Timestamp>,
    /// Of each row.
    pub partitions: Vec<PartitionId>,
}

impl Chunk {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.timestamps.len()
    }

    fn end_row(&self) -> u64 {
        self.first_row + self.rows() as u64
    }

    fn merged(parts: &[Arc<Self>]) -> Self {
        let columns = (0..parts[0].batch.columns().len())
            .map(|i| Column::concat(&parts.iter().map(|part| &part.batch.columns()[i]).collect::<Vec<_>>()))
            .collect();
        let rows = parts.iter().map(|part| part.rows()).sum();
        Self {
            first_row: parts[0].first_row,
            batch: Batch::new(rows, columns),
            timestamps: parts.iter().flat_map(|part| part.timestamps.iter().copied()).collect(),
            partitions: parts.iter().flat_map(|part| part.partitions.iter().copied()).collect(),
        }
    }

    /// The rows from `row` (an offset) on.
    fn tail(&self, row: usize) -> Self {
        let rows: Vec<u32> = (row as u32..self.rows() as u32).collect();
        Self {
            first_row: self.first_row + row as u64,
            batch: self.batch.take(&rows),
            timestamps: self.timestamps[row..].to_vec(),
            partitions: self.partitions[row..].to_vec(),
        }
    }
}

/// When rows end, by row number.
#[derive(Default)]
pub struct Deaths {
    ends: RwLock<BTreeMap<u64, Timestamp>>,
}

impl Deaths {
    /// The row ends at `end`, or earlier if it already does.
    pub fn record(&self, row: u64, end: Timestamp) {
        let mut ends = self.ends.write();
        let earliest = ends.entry(row).or_insert(end);
        *earliest = (*earliest).min(end);
    }

    /// Clears the bits of `rows` (numbered from `first`) that end at or before `at`.
    pub fn clear_dead(&self, first: u64, rows: &mut Bitset, at: Timestamp) {
        for (&row, &end) in self.ends.read().range(first..first + rows.len() as u64) {
            if end <= at {
                rows.set((row - first) as usize, false);
            }
        }
    }

    /// Those from `row` on, apart from these.
    fn tail(&self, row: u64) -> Self {
        Self { ends: RwLock::new(self.ends.read().range(row..).map(|(&row, &end)| (row, end)).collect()) }
    }
}

/// What readers see of the growing rows: as of when it was taken; rows above a read's timestamp are hidden by that.
#[derive(Clone)]
pub struct GrowingView {
    /// Ascending by row number.
    pub chunks: Arc<[Arc<Chunk>]>,
    /// Shared with the writer, until it lets go of rows.
    pub deaths: Arc<Deaths>,
}

impl GrowingView {
    /// The rows of `chunk` that a read at `at` sees.
    pub fn visible(&self, chunk: &Chunk, state: &ControlState, at: Timestamp) -> Bitset {
        let mut rows = Bitset::from_fn(chunk.rows(), |row| {
            let timestamp = chunk.timestamps[row];
            timestamp <= at && !state.is_dead(chunk.partitions[row], timestamp)
        });
        self.deaths.clear_dead(chunk.first_row, &mut rows, at);
        rows
    }
}

/// The writer's side.
pub struct Growing {
    key_field: FieldId,
    chunks: Vec<Arc<Chunk>>,
    next_row: u64,
    rows_of_key: HashMap<Key, Vec<u64>>,
    deaths: Arc<Deaths>,
    bytes: usize,
}

impl Growing {
    /// No rows; keys are in the column of `key_field`.
    pub fn new(key_field: FieldId) -> Self {
        Self { key_field, chunks: Vec::new(), next_row: 0, rows_of_key: HashMap::default(), deaths: Arc::default(), bytes: 0 }
    }

    /// Bytes of column values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Rows, dead ones included.
    pub fn rows(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.rows()).sum()
    }

    /// Rows by partition, dead ones included.
    pub fn rows_by_partition(&self) -> BTreeMap<PartitionId, u64> {
        let mut rows = BTreeMap::new();
        for partition in self.chunks.iter().flat_map(|chunk| &chunk.partitions) {
            *rows.entry(*partition).or_insert(0) += 1;
        }
        rows
    }

    /// What readers may hold.
    pub fn view(&self) -> GrowingView {
        GrowingView { chunks: self.chunks.as_slice().into(), deaths: self.deaths.clone() }
    }

    /// Appends rows of one record.
    pub fn insert(&mut self, rows: &Rows, timestamp: Timestamp) {
        if rows.batch.rows() == 0 {
            return;
        }
        let chunk = Chunk {
            first_row: self.next_row,
            batch: rows.batch.clone(),
            timestamps: vec![timestamp; rows.batch.rows()],
            partitions: rows.partitions().collect(),
        };
        self.bytes += chunk.batch.bytes();
        let keys = chunk.batch.column(self.key_field).expect("rows of a record have their primary key: checked before they are applied");
        for row in 0..chunk.rows() {
            self.rows_of_key.entry(keys.key(row).to_key()).or_default().push(chunk.first_row + row as u64);
        }
        self.next_row = chunk.end_row();
        self.chunks.push(Arc::new(chunk));
        self.merge_small();
    }

    /// Brings every row to a newer version of the schema.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`: rows lack a field that must have values; nothing was changed.
    pub fn conform(&mut self, schema: &Schema) -> Result<()> {
        let conformed = self.chunks.iter().map(|chunk| {
            let batch = conform(schema, &chunk.batch)?;
            let (timestamps, partitions) = (chunk.timestamps.clone(), chunk.partitions.clone());
            Ok(Arc::new(Chunk { first_row: chunk.first_row, batch, timestamps, partitions }))
        });
        self.chunks = conformed.collect::<Result<_>>()?;
        self.bytes = self.chunks.iter().map(|chunk| chunk.batch.bytes()).sum();
        Ok(())
    }

    /// Ends the rows that a delete means.
    pub fn delete(&mut self, entry: &DeleteEntry) {
        for &row in self.rows_of_key.get(&entry.key).into_iter().flatten() {
            let chunk = self.chunk_of(row);
            let offset = (row - chunk.first_row) as usize;
            if chunk.timestamps[offset] < entry.kills_below && entry.partition.is_none_or(|partition| partition == chunk.partitions[offset])
            {
                self.deaths.record(row, entry.effective);
            }
        }
    }

    /// Lets go of rows with timestamps up to `flushed`: they are in segments.
    pub fn forget(&mut self, flushed: Timestamp) {
        let kept_from = self.chunks.iter().position(|chunk| chunk.timestamps.last().is_some_and(|&last| last > flushed));
        let gone: Vec<_> = self.chunks.drain(..kept_from.unwrap_or(self.chunks.len())).collect();
        if let Some(first) = self.chunks.first_mut() {
            let offset = first.timestamps.partition_point(|&timestamp| timestamp <= flushed);
            if offset > 0 {
                let whole = first.clone();
                *first = Arc::new(whole.tail(offset));
                Self::forget_keys(&mut self.rows_of_key, self.key_field, &whole, offset);
            }
        }
        for chunk in &gone {
            Self::forget_keys(&mut self.rows_of_key, self.key_field, chunk, chunk.rows());
        }
        // A map keeps the room of its largest time: some 60 bytes for each row that ever grew at once.
        if self.rows_of_key.capacity() > ROOM_KEPT + 4 * self.rows_of_key.len() {
            self.rows_of_key.shrink_to_fit();
        }
        self.bytes = self.chunks.iter().map(|chunk| chunk.batch.bytes()).sum();
        // Readers of before keep chunks that are gone here, and need their deaths: those stay theirs. Later ones end above what they read at.
        let first = self.chunks.first().map_or(self.next_row, |chunk| chunk.first_row);
        self.deaths = Arc::new(self.deaths.tail(first));
    }

    fn forget_keys(rows_of_key: &mut HashMap<Key, Vec<u64>>, key_field: FieldId, chunk: &Chunk, count: usize) {
        let keys = chunk.batch.column(key_field).expect("a chunk has its keys");
        let below = chunk.first_row + count as u64;
        for row in 0..count {
            let key = keys.key(row).to_key();
            if let Some(rows) = rows_of_key.get_mut(&key) {
                rows.retain(|&row| row >= below);
                if rows.is_empty() {
                    rows_of_key.remove(&key);
                }
            }
        }
    }

    fn chunk_of(&self, row: u64) -> &Chunk {
        let after = self.chunks.partition_point(|chunk| chunk.first_row <= row);
        &self.chunks[after - 1]
    }

    /// Keeps chunk sizes falling by half from left to right, so that there are few of them and each row is copied few times.
    fn merge_small(&mut self) {
        while let [.., before, last] = self.chunks.as_slice() {
            let rows = before.rows() + last.rows();
            if before.rows() > 2 * last.rows() || rows > CHUNK_ROWS_MAX {
                break;
            }
            let merged = Chunk::merged(&self.chunks[self.chunks.len() - 2..]);
            self.chunks.truncate(self.chunks.len() - 2);
            self.chunks.push(Arc::new(merged));
        }
    }
}
