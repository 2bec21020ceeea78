//! What control records have made of a shard: its schema, what is dead wholesale, whether it still exists.
//!
//! Every control record names the state it brings; one that brings nothing new changes nothing (`log.md` §1), so that a coordinator
//! may send it again after a crash.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use types::id::PartitionId;
use types::record::Control;
use types::schema::Schema;
use types::time::Timestamp;

/// The state; stored in each manifest as of its `flushed_to`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ControlState {
    /// How rows are read and written now.
    pub schema: Arc<Schema>,
    /// Rises with each truncation of the collection.
    pub generation: u64,
    /// Rows with timestamps below are dead for reads at or above it.
    pub truncated_below: Timestamp,
    /// Partitions whose rows are dead for reads at or above the timestamp.
    pub dropped_partitions: BTreeMap<PartitionId, Timestamp>,
    /// The shard's end.
    pub dropped: Option<Timestamp>,
}

impl ControlState {
    /// The state that a Create record brings.
    pub fn created(schema: Schema) -> Self {
        Self {
            schema: Arc::new(schema),
            generation: 0,
            truncated_below: Timestamp::ZERO,
            dropped_partitions: BTreeMap::new(),
            dropped: None,
        }
    }

    /// Folds a control record in; false where the shard is already there.
    pub fn fold(&mut self, control: &Control, timestamp: Timestamp) -> bool {
        match control {
            Control::Create { .. } => false,
            Control::Drop => {
                let first = self.dropped.is_none();
                self.dropped.get_or_insert(timestamp);
                first
            }
            Control::Truncate { generation } => {
                let newer = *generation > self.generation;
                if newer {
                    self.generation = *generation;
                    self.truncated_below = timestamp;
                }
                newer
            }
            Control::DropPartition { partition } => {
                let first = !self.dropped_partitions.contains_key(partition);
                self.dropped_partitions.entry(*partition).or_insert(timestamp);
                first
            }
            Control::Schema { schema } => {
                let newer = schema.version > self.schema.version;
                if newer {
                    self.schema = Arc::new(schema.clone());
                }
                newer
            }
            // Imported segments come with the manifest; the record only holds the checkpoint until they are there.
            Control::ImportCommit { .. } => true,
        }
    }

    /// Whether a row of this partition and timestamp is dead wholesale for a read at `at`.
    pub fn is_dead(&self, partition: PartitionId, timestamp: Timestamp, at: Timestamp) -> bool {
        (timestamp < self.truncated_below && self.truncated_below <= at)
            || self.dropped_partitions.get(&partition).is_some_and(|&dropped| dropped <= at)
    }
}
