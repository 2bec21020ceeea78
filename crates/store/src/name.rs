//! Names of objects below the store's root. Every attempt has an id of its own, so no name is ever used twice (`docs/design.md` rule 3).
//!
//! Names only; nothing here reads or writes. What lies under each: `docs/formats/`.

use std::fmt;

use base::random::Random;
use types::id::{ChannelName, CollectionId, IndexId, SegmentId, ShardId};

use crate::manifest::FileKind;

/// Makes the name of one attempt to write something unique, whoever else tries: 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AttemptId(pub u128);

impl AttemptId {
    /// A new one.
    pub fn draw(random: &Random) -> Self {
        Self(random.u128())
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// `manifest/<collection>/<shard>/<version>-<attempt>`; versions have 20 digits, so that a listing is in their order.
pub fn manifest(shard: ShardId, version: u64, attempt: AttemptId) -> String {
    format!("{}/{version:020}-{attempt}", manifests(shard))
}

/// The prefix of a shard's manifests.
pub fn manifests(shard: ShardId) -> String {
    format!("manifest/{}/{}", shard.collection, shard.index)
}

/// `segment/<collection>/<segment>/<file>`. A segment's id is drawn for each attempt to write it.
pub fn segment_file(collection: CollectionId, segment: SegmentId, kind: FileKind) -> String {
    format!("{}/{segment}/{kind}", segments(collection))
}

/// The prefix of a collection's segments.
pub fn segments(collection: CollectionId) -> String {
    format!("segment/{collection}")
}

/// `delete/<collection>/<shard>/<attempt>`.
pub fn delete_file(shard: ShardId, attempt: AttemptId) -> String {
    format!("{}/{attempt}", delete_files(shard))
}

/// The prefix of a shard's delete files.
pub fn delete_files(shard: ShardId) -> String {
    format!("delete/{}/{}", shard.collection, shard.index)
}

/// `index/<collection>/<segment>/<index>/<attempt>`.
pub fn index_file(collection: CollectionId, segment: SegmentId, index: IndexId, attempt: AttemptId) -> String {
    format!("{}/{segment}/{index}/{attempt}", indexes(collection))
}

/// The prefix of a collection's index files.
pub fn indexes(collection: CollectionId) -> String {
    format!("index/{collection}")
}

/// `checkpoint/<pchannel>/<attempt>`.
pub fn checkpoint(channel: &ChannelName, attempt: AttemptId) -> String {
    format!("{}/{attempt}", checkpoints(channel))
}

/// The prefix of a channel's checkpoints.
pub fn checkpoints(channel: &ChannelName) -> String {
    format!("checkpoint/{channel}")
}

/// `quarantine/<collection>/<shard>/<attempt>`.
pub fn quarantine_file(shard: ShardId, attempt: AttemptId) -> String {
    format!("{}/{attempt}", quarantine_files(shard))
}

/// The prefix of a shard's quarantine files.
pub fn quarantine_files(shard: ShardId) -> String {
    format!("{QUARANTINE}/{}/{}", shard.collection, shard.index)
}

/// The prefix of all quarantine files.
pub const QUARANTINE: &str = "quarantine";

/// Everything of a collection, for the sweep after a drop: five prefixes to list.
pub fn prefixes_of(collection: CollectionId) -> [String; 5] {
    [
        format!("manifest/{collection}"),
        segments(collection),
        format!("delete/{collection}"),
        indexes(collection),
        format!("{QUARANTINE}/{collection}"),
    ]
}

#[cfg(test)]
mod tests {
    use types::id::FieldId;

    use super::*;

    #[test]
    fn names_are_those_of_the_formats() {
        let shard = ShardId::new(CollectionId(7), 1);
        let attempt = AttemptId(0xab);
        let check = |name: String, expected: &str| assert_eq!(name, expected);
        check(manifest(shard, 12, attempt), "manifest/7/1/00000000000000000012-000000000000000000000000000000ab");
        check(segment_file(CollectionId(7), SegmentId(9), FileKind::Fixed), "segment/7/9/fixed.arrow");
        check(segment_file(CollectionId(7), SegmentId(9), FileKind::Vector(FieldId(102))), "segment/7/9/vec.102.arrow");
        check(segment_file(CollectionId(7), SegmentId(9), FileKind::Variable), "segment/7/9/var.parquet");
        check(segment_file(CollectionId(7), SegmentId(9), FileKind::Keys), "segment/7/9/keys");
        check(segment_file(CollectionId(7), SegmentId(9), FileKind::Stats), "segment/7/9/stats");
        check(delete_file(shard, attempt), "delete/7/1/000000000000000000000000000000ab");
        check(index_file(CollectionId(7), SegmentId(9), IndexId(3), attempt), "index/7/9/3/000000000000000000000000000000ab");
        check(checkpoint(&ChannelName::from("a-elanus-dml_0"), attempt), "checkpoint/a-elanus-dml_0/000000000000000000000000000000ab");
        check(quarantine_file(shard, attempt), "quarantine/7/1/000000000000000000000000000000ab");
        let prefixes = prefixes_of(CollectionId(7));
        assert!(manifest(shard, 1, attempt).starts_with(&prefixes[0]) && delete_file(shard, attempt).starts_with(&prefixes[2]));
    }
}
