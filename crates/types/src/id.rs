//! Identifiers: one newtype each, so that a segment's number can't be passed for a collection's.
//!
//! All are 64-bit and positive where Milvus shows them to clients; names of channels are strings because operators see them.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<i64> for $name {
            fn from(id: i64) -> Self {
                Self(id)
            }
        }
    )*};
}

ids! {
    /// A database.
    DatabaseId;
    /// A collection. Never used again after a drop.
    CollectionId;
    /// A partition of a collection.
    PartitionId;
    /// A sealed segment.
    SegmentId;
    /// A field of a schema: user fields from 100, `0` is the row id, `1` the timestamp.
    FieldId;
    /// An index definition.
    IndexId;
    /// A process: taken anew from meta at every start, so that a restarted process is another node.
    NodeId;
    /// A proxy as a writer of the log: increasing numbers from meta, one for each registration.
    WriterId;
    /// A long-running job (import, build, compaction).
    JobId;
}

/// One shard of a collection: the unit of sequencing, flushing and searching.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ShardId {
    /// The collection that the shard belongs to.
    pub collection: CollectionId,
    /// `0 .. shards_num`.
    pub index: u16,
}

impl ShardId {
    /// The shard `index` of `collection`.
    pub fn new(collection: CollectionId, index: u16) -> Self {
        Self { collection, index }
    }

    /// The virtual channel's name as clients see it in DescribeCollection: `<pchannel>_<collection>v<index>`.
    pub fn virtual_channel(self, channel: &ChannelName) -> String {
        format!("{channel}_{}v{}", self.collection, self.index)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}v{}", self.collection, self.index)
    }
}

/// The name of a physical channel (a topic): `<chanNamePrefix>-elanus-dml_<n>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChannelName(pub std::sync::Arc<str>);

impl ChannelName {
    /// The channel number `n` under a cluster's prefix.
    pub fn numbered(prefix: &str, n: usize) -> Self {
        Self(format!("{prefix}-elanus-dml_{n}").into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<&str> for ChannelName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}
