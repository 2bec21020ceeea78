//! Rewriting segments: which rows stay, in which order, and where a new segment begins. Pure; files are the caller's (`node::index`).
//!
//! A row that ended at or below `applied_to` is left out, and the new segments say so; one that ended later stays, and so do the deletes that
//! ended it, for readers to resolve. So nothing has to be remapped that comes beside a compaction, and what a snapshot above `applied_to` sees
//! doesn't change. Timestamps never move.
//!
//! Invariant: rows of the new segments together are the rows of the old ones that [`Sealed::visible`] has, each once.

use std::collections::BTreeMap;

use store::segment_file::SegmentRows;
use types::batch::Batch;
use types::column::Column;
use types::id::PartitionId;
use types::schema::Schema;
use types::time::Timestamp;
use types::{Error, Result};

use crate::control::ControlState;
use crate::sealed::Sealed;

/// How new segments are cut.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// Bytes of rows after which another segment begins.
    pub bytes_max: u64,
    /// Rows of a partition with at least these bytes get segments of their own.
    pub own_bytes: u64,
    /// Segments at most, at least 1: the last one takes what is left.
    pub segments_max: usize,
}

/// A row of an old segment.
#[derive(Clone, Copy)]
struct Source {
    partition: PartitionId,
    timestamp: Timestamp,
    segment: u32,
    row: u32,
}

/// What is to be written.
pub struct Compaction<'a> {
    inputs: &'a [Sealed],
    schema: &'a Schema,
    outputs: Vec<Vec<Source>>,
}

impl<'a> Compaction<'a> {
    /// Plans new segments for the rows of `inputs`, which have been given the deletes that are to be applied and no later ones. `state` is that of
    /// the manifest.
    ///
    /// # Errors
    /// More than 2³² segments: none that a manifest can hold.
    pub fn plan(inputs: &'a [Sealed], state: &'a ControlState, cut: Cut) -> Result<Self> {
        let mut sources = Vec::new();
        let mut row_bytes = Vec::with_capacity(inputs.len());
        for (segment, sealed) in inputs.iter().enumerate() {
            let segment = u32::try_from(segment).map_err(|_| Error::internal("a compaction of so many segments"))?;
            let reader = sealed.reader();
            row_bytes.push(reader.bytes() / (reader.rows() as u64).max(1));
            let visible = sealed.visible(state, None, Timestamp::MAX);
            for (partition, rows) in reader.partitions() {
                let live = rows.clone().filter(|row| visible.get(*row as usize));
                sources.extend(live.map(|row| Source {
                    partition: *partition,
                    timestamp: Timestamp(reader.timestamps()[row as usize]),
                    segment,
                    row,
                }));
            }
        }
        sources.sort_unstable_by_key(|source| (source.partition, source.timestamp, source.segment, source.row));
        let bytes_of = |source: &Source| row_bytes[source.segment as usize];
        let mut by_partition: BTreeMap<PartitionId, u64> = BTreeMap::new();
        for source in &sources {
            *by_partition.entry(source.partition).or_default() += bytes_of(source);
        }
        let has_own = |source: &Source| by_partition[&source.partition] >= cut.own_bytes;
        let (own, shared): (Vec<Source>, Vec<Source>) = sources.into_iter().partition(has_own);
        let mut cutter = Cutter { cut, outputs: Vec::new(), bytes: 0 };
        for run in own.chunk_by(|a, b| a.partition == b.partition).chain([&shared[..]]) {
            cutter.begin();
            run.iter().for_each(|source| cutter.add(*source, bytes_of(source)));
        }
        let mut outputs = cutter.outputs;
        // One that could get no segment of its own lies behind others.
        outputs
            .iter_mut()
            .for_each(|rows| rows.sort_unstable_by_key(|source| (source.partition, source.timestamp, source.segment, source.row)));
        Ok(Self { inputs, schema: &state.schema, outputs })
    }

    /// New segments; none where no row is left.
    pub fn len(&self) -> usize {
        self.outputs.len()
    }

    /// Whether no row is left.
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }

    /// The rows of a new segment, by partition and in order of time.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`: an old segment is damaged.
    pub fn rows(&self, output: usize) -> Result<SegmentRows> {
        let sources = &self.outputs[output];
        let mut rows_of: Vec<Vec<u32>> = vec![Vec::new(); self.inputs.len()];
        sources.iter().for_each(|source| rows_of[source.segment as usize].push(source.row));
        let starts: Vec<u32> = rows_of.iter().scan(0u32, |next, rows| Some(std::mem::replace(next, *next + rows.len() as u32))).collect();
        let mut next = starts;
        let order: Vec<u32> = sources
            .iter()
            .map(|source| {
                let at = &mut next[source.segment as usize];
                std::mem::replace(at, *at + 1)
            })
            .collect();
        let mut columns = Vec::with_capacity(self.schema.fields.len());
        for field in &self.schema.fields {
            let taken = self.inputs.iter().zip(&rows_of).filter(|(_, rows)| !rows.is_empty());
            let parts: Vec<Column> = taken.map(|(sealed, rows)| sealed.reader().take(field.id, rows)).collect::<Result<_>>()?;
            columns.push(Column::concat(&parts.iter().collect::<Vec<_>>()).take(&order));
        }
        Ok(SegmentRows {
            batch: Batch::new(sources.len(), columns),
            timestamps: sources.iter().map(|source| source.timestamp).collect(),
            partitions: sources.iter().map(|source| source.partition).collect(),
        })
    }
}

struct Cutter {
    cut: Cut,
    outputs: Vec<Vec<Source>>,
    /// Of the last one.
    bytes: u64,
}

impl Cutter {
    /// What comes belongs to another segment, if there may be one.
    fn begin(&mut self) {
        self.bytes = u64::MAX;
    }

    fn add(&mut self, source: Source, bytes: u64) {
        let full = self.bytes >= self.cut.bytes_max && self.outputs.len() < self.cut.segments_max;
        if full || self.outputs.is_empty() {
            self.outputs.push(Vec::new());
            self.bytes = 0;
        }
        self.outputs.last_mut().expect("one was begun").push(source);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}
