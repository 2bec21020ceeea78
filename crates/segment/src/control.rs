//! What control records have made of a shard: its schema, what is dead wholesale, whether it still exists.
//!
//! Every control record names the state it brings; one that brings nothing new changes nothing (`docs/protocol.md` §1), so that a coordinator
//! may send it again after a crash.

use std::collections::BTreeSet;
use std::sync::Arc;

use store::manifest::{Manifest, ShardState, Truncated};
use types::id::PartitionId;
use types::record::Control;
use types::schema::Schema;
use types::time::Timestamp;

/// The state; every manifest has it as of its position.
#[derive(Clone, PartialEq, Debug)]
pub struct ControlState {
    /// How rows are read and written now.
    pub schema: Arc<Schema>,
    /// The last truncation: rows below it are dead.
    pub truncated: Truncated,
    /// Partitions whose rows are dead.
    pub dropped_partitions: BTreeSet<PartitionId>,
    /// Whether the shard is still there.
    pub state: ShardState,
}

impl ControlState {
    /// What a manifest says.
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            schema: Arc::new(manifest.schema.clone()),
            truncated: manifest.truncated,
            dropped_partitions: manifest.dropped_partitions.clone(),
            state: manifest.state,
        }
    }

    /// Folds a control record in; false where the shard is already there.
    pub fn fold(&mut self, control: &Control, timestamp: Timestamp) -> bool {
        match control {
            // The first manifest was made of it.
            Control::Create { .. } => false,
            Control::Drop => std::mem::replace(&mut self.state, ShardState::Dropped) != ShardState::Dropped,
            Control::Truncate { generation } => {
                let newer = *generation > self.truncated.generation;
                if newer {
                    self.truncated = Truncated { generation: *generation, timestamp };
                }
                newer
            }
            Control::DropPartition { partition } => self.dropped_partitions.insert(*partition),
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

    /// Whether a row of this partition and timestamp is dead wholesale.
    pub fn is_dead(&self, partition: PartitionId, timestamp: Timestamp) -> bool {
        timestamp < self.truncated.timestamp || self.dropped_partitions.contains(&partition)
    }
}
