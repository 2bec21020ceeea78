//! What a read can't be given: segments that a shard has and can't read, each named, and times of which rows are no longer kept. A read that
//! would need them is refused and never answered in part.
//!
//! Not here: what makes a segment unreadable, and what heals it (`node::opener`, `node::care`).
//!
//! Invariant: of one version, each segment of the manifest is either open or a gap.

use store::manifest::Segment;
use types::id::{PartitionId, SegmentId, ShardId};
use types::time::Timestamp;
use types::{Error, Result};

use crate::control::ControlState;
use crate::sealed::Sealed;
use crate::shard::Version;

/// How many partitions a text names.
const NAMED_PARTITIONS_MAX: usize = 8;

/// A quarantined segment.
#[derive(Clone, PartialEq, Debug)]
pub struct Gap {
    /// Which.
    pub segment: SegmentId,
    /// Its rows, dead ones too.
    pub rows: u32,
    /// The partitions that have rows in it.
    pub partitions: Vec<PartitionId>,
    /// The least and greatest timestamp of its rows, or wider.
    pub timestamps: (Timestamp, Timestamp),
    /// Why: names the object.
    pub error: Error,
}

impl Gap {
    /// Of a manifest's entry.
    pub fn of_entry(entry: &Segment, error: Error) -> Self {
        Self {
            segment: entry.id,
            rows: entry.rows,
            partitions: entry.partitions.iter().map(|part| part.partition).collect(),
            timestamps: entry.timestamps,
            error,
        }
    }

    /// Of a segment that was open until now.
    pub(crate) fn of_open(sealed: &Sealed, error: Error) -> Self {
        Self {
            segment: sealed.id(),
            rows: sealed.reader().rows() as u32,
            partitions: sealed.reader().partitions().iter().map(|(partition, _)| *partition).collect(),
            timestamps: (Timestamp::ZERO, Timestamp::MAX),
            error,
        }
    }

    /// Whether a read at `at` of these partitions (all if `None`) could see one of its rows.
    fn concerns(&self, state: &ControlState, partitions: Option<&[PartitionId]>, at: Timestamp) -> bool {
        let wanted = |partition: &PartitionId| partitions.is_none_or(|wanted| wanted.contains(partition));
        let lives = |partition: &PartitionId| wanted(partition) && !state.dropped_partitions.contains(partition);
        self.timestamps.0 <= at && self.timestamps.1 >= state.truncated.timestamp && self.partitions.iter().any(lives)
    }

    /// What a read is told: the segment, what is at risk, the object, and what to do.
    pub fn to_error(&self, shard: ShardId) -> Error {
        let named: Vec<String> = self.partitions.iter().take(NAMED_PARTITIONS_MAX).map(ToString::to_string).collect();
        let more = if self.partitions.len() > NAMED_PARTITIONS_MAX { " and others" } else { "" };
        self.error.clone().context(format_args!(
            "segment {} of shard {shard} is quarantined, its {} rows of partition {}{more} can't be read; put the object that is named next \
             back from a backup and it is taken up again by itself, or read other partitions",
            self.segment,
            self.rows,
            named.join(", "),
        ))
    }
}

impl Version {
    /// Whether a read at `at` of these partitions (all if `None`) finds every row that it may see.
    ///
    /// # Errors
    /// The first quarantined segment that it would need, as [`Gap::to_error`] says it; a compaction has dropped rows that it may see.
    pub fn check_whole(&self, partitions: Option<&[PartitionId]>, at: Timestamp) -> Result<()> {
        if at < self.kept_since {
            return Err(Error::invalid(format!(
                "rows of shard {} as of timestamp {at} can't be read: those that were deleted before {} are no longer kept                  (elanus.snapshotHorizon); read a later state",
                self.id, self.kept_since
            )));
        }
        match self.gaps.iter().find(|gap| gap.concerns(&self.state, partitions, at)) {
            Some(gap) => Err(gap.to_error(self.id)),
            None => Ok(()),
        }
    }
}
