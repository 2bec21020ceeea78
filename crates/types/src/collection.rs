//! A collection as the roles know it: schema, shards, partitions, properties. What clients see is rendered from this by the proxy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{ChannelName, CollectionId, DatabaseId, PartitionId, ShardId};
use crate::schema::Schema;
use crate::time::Timestamp;

/// How fresh a read must be, with Milvus's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[repr(i32)]
pub enum Consistency {
    /// Sees everything acknowledged before the read began.
    Strong = 0,
    /// Sees the client's own writes.
    Session = 1,
    /// At most `common.gracefulTime` behind.
    Bounded = 2,
    /// What is applied.
    Eventually = 3,
    /// The client's own timestamp.
    Customized = 4,
}

impl Consistency {
    /// The level with Milvus's number.
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::Strong, Self::Session, Self::Bounded, Self::Eventually, Self::Customized].into_iter().find(|level| *level as i32 == number)
    }
}

/// A partition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Partition {
    /// Never used again.
    pub id: PartitionId,
    /// Unique in the collection.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
}

/// A collection at one version of its definition.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Collection {
    /// Never used again.
    pub id: CollectionId,
    /// The database's id.
    pub database: DatabaseId,
    /// The database's name.
    pub database_name: String,
    /// The name, as it is now.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Other names.
    pub aliases: Vec<String>,
    /// The rows' definition, `$meta` included.
    pub schema: Schema,
    /// The physical channel of each shard, in order of the shards' indexes.
    pub channels: Vec<ChannelName>,
    /// Oldest first.
    pub partitions: Vec<Partition>,
    /// Of reads that name none.
    pub consistency: Consistency,
    /// As set by clients.
    pub properties: BTreeMap<String, String>,
    /// When it was made.
    pub created: Timestamp,
    /// When its definition last changed: what `schema_timestamp` of a write is compared with.
    pub updated: Timestamp,
}

impl Collection {
    /// Its shards with their channels.
    pub fn shards(&self) -> impl Iterator<Item = (ShardId, &ChannelName)> {
        self.channels.iter().enumerate().map(|(index, channel)| (ShardId::new(self.id, index as u16), channel))
    }

    /// The partition `name`.
    pub fn partition(&self, name: &str) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.name == name)
    }
}
