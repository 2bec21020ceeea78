//! Deletes addressed by key, as records carry them and as delete files keep them until compaction applies them.

use serde::{Deserialize, Serialize};

use crate::id::PartitionId;
use crate::time::Timestamp;
use crate::value::Key;

/// One key's delete (`docs/protocol.md` §7). A row dies if its key is equal, its partition is meant, and its timestamp is below `kills_below`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeleteEntry {
    /// The primary key.
    pub key: Key,
    /// Only rows of this partition, if the client named one.
    pub partition: Option<PartitionId>,
    /// From when on readers see it: a snapshot below doesn't.
    pub effective: Timestamp,
    /// Rows with timestamps strictly below die. A plain delete's own timestamp; for a delete by filter, one above the snapshot it was read at.
    pub kills_below: Timestamp,
}
