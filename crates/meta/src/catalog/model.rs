//! What the catalog holds, as coordinators see it. Plain values; the stored forms are in [`super::stored`].
//!
//! Invariants: a name leads to exactly one collection or alias target; a collection's schema version has a [`SchemaVersion`];
//! a collection that is created has one [`Shard`] for each of its channels.

use std::collections::BTreeMap;
use std::time::Duration;

use types::collection::{Consistency, Partition};
use types::id::{ChannelName, CollectionId, DatabaseId, FieldId, JobId, NodeId, PartitionId, ShardId};
use types::index_params::IndexDefinition;
use types::position::Position;
use types::record::Epoch;
use types::schema::Schema;
use types::time::Timestamp;

/// The database that is always there.
pub const DEFAULT_DATABASE: DatabaseId = DatabaseId(1);
/// Its name.
pub const DEFAULT_DATABASE_NAME: &str = "default";

/// A change of several steps: meta, log, caches (`docs/design.md` §6). Drawn from the id counter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OperationId(pub i64);

/// A database.
#[derive(Clone, PartialEq, Debug)]
pub struct Database {
    /// Never used again.
    pub id: DatabaseId,
    /// Unique.
    pub name: String,
    /// As set by clients.
    pub properties: BTreeMap<String, String>,
    /// When it was made.
    pub created: Timestamp,
}

/// Which database has a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DatabaseName {
    /// The name.
    pub name: String,
    /// Whose.
    pub database: DatabaseId,
}

/// What a name in a database leads to: collections and aliases share one set of names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    /// The database.
    pub database: DatabaseId,
    /// The name.
    pub name: String,
    /// Where it leads.
    pub target: NameTarget,
}

/// See [`Name`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameTarget {
    /// The collection's own name.
    Collection(CollectionId),
    /// Another name of the collection.
    Alias(CollectionId),
}

impl NameTarget {
    /// The collection, however it is called.
    pub fn collection(self) -> CollectionId {
        match self {
            Self::Collection(id) | Self::Alias(id) => id,
        }
    }
}

/// A collection's definition, but for its schema ([`SchemaVersion`]) and indexes ([`Indexes`]).
#[derive(Clone, PartialEq, Debug)]
pub struct Collection {
    /// Never used again.
    pub id: CollectionId,
    /// Where its name lives.
    pub database: DatabaseId,
    /// Its name now, or its last one where it is dropping.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Where it is in its life.
    pub state: CollectionState,
    /// The current [`SchemaVersion`].
    pub schema_version: u32,
    /// The physical channel of each shard, in order of the shards' indexes. Never changes.
    pub channels: Vec<ChannelName>,
    /// Of reads that name none.
    pub consistency: Consistency,
    /// As set by clients.
    pub properties: BTreeMap<String, String>,
    /// Oldest first; those that are dropping aren't here: their names are free.
    pub partitions: Vec<Partition>,
    /// Dropped, but not yet in every shard's log.
    pub dropping_partitions: Vec<DroppingPartition>,
    /// As the client asked for it: of collections with a partition key.
    pub num_partitions: u32,
    /// Rises by one with each truncate.
    pub generation: u64,
    /// The id that the next added field gets: ids are never used again.
    pub next_field: FieldId,
    /// When it was made.
    pub created: Timestamp,
    /// When its definition last changed.
    pub updated: Timestamp,
}

/// A collection's life: creating → created → dropping → gone. One that can't be created goes to dropping at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CollectionState {
    /// Its name is taken; its shards' logs don't all have their create record.
    Creating(OperationId),
    /// There.
    Created,
    /// Its name is free; what it had is being swept.
    Dropping(OperationId),
}

/// A partition whose drop isn't in every shard's log yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DroppingPartition {
    /// Which.
    pub id: PartitionId,
    /// By which operation.
    pub operation: OperationId,
}

impl Collection {
    /// Its shards with their channels.
    pub fn shards(&self) -> impl Iterator<Item = (ShardId, &ChannelName)> {
        self.channels.iter().enumerate().map(|(index, channel)| (shard_id(self.id, index), channel))
    }

    /// Whether clients may use it.
    pub fn is_created(&self) -> bool {
        self.state == CollectionState::Created
    }

    /// The partition `name`.
    pub fn partition(&self, name: &str) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.name == name)
    }

    /// The collection as the roles know it.
    pub fn view(&self, database_name: &str, aliases: Vec<String>, schema: Schema) -> types::collection::Collection {
        types::collection::Collection {
            id: self.id,
            database: self.database,
            database_name: database_name.to_owned(),
            name: self.name.clone(),
            description: self.description.clone(),
            aliases,
            schema,
            channels: self.channels.clone(),
            partitions: self.partitions.clone(),
            consistency: self.consistency,
            properties: self.properties.clone(),
            created: self.created,
            updated: self.updated,
        }
    }
}

pub(super) fn shard_id(collection: CollectionId, index: usize) -> ShardId {
    ShardId::new(collection, u16::try_from(index).expect("a collection has at most 16 shards"))
}

/// A schema at one version. Older ones stay as long as the collection: apply upgrades rows from the version that they were written under.
#[derive(Clone, PartialEq, Debug)]
pub struct SchemaVersion {
    /// Whose.
    pub collection: CollectionId,
    /// The rows; has the version.
    pub schema: Schema,
}

/// The index definitions of a collection.
#[derive(Clone, PartialEq, Debug)]
pub struct Indexes {
    /// Whose.
    pub collection: CollectionId,
    /// Oldest first.
    pub definitions: Vec<IndexDefinition>,
}

/// What is wanted of a collection's serving. Absent: not loaded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Load {
    /// Whose.
    pub collection: CollectionId,
    /// Only these partitions; `None`: all, also those made later.
    pub partitions: Option<Vec<PartitionId>>,
    /// Only these fields; `None`: all.
    pub fields: Option<Vec<FieldId>>,
    /// How many nodes serve each shard.
    pub replicas: u32,
    /// Where, by name; empty: the default one.
    pub resource_groups: Vec<String>,
    /// When it was asked for.
    pub since: Timestamp,
}

/// A shard's current manifest: the one mutable thing that a shard has. Moved by compare-and-swap under datacoord's fence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shard {
    /// Which.
    pub id: ShardId,
    /// Where its log begins: what the first manifest, version 0, holds.
    pub start: ShardStart,
    /// The manifest, once there was a flush.
    pub manifest: Option<ManifestPointer>,
}

impl Shard {
    /// The manifest's version; 0 before the first.
    pub fn version(&self) -> u64 {
        self.manifest.as_ref().map_or(0, |manifest| manifest.version)
    }
}

/// Where a shard's create record lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShardStart {
    /// The record's position.
    pub position: Position,
    /// The epoch there.
    pub epoch: Epoch,
    /// Its number.
    pub number: u64,
    /// Its timestamp.
    pub clock: Timestamp,
}

/// A manifest's object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ManifestPointer {
    /// Rises by one with each change, from 1.
    pub version: u64,
    /// The object.
    pub object: ObjectPointer,
}

/// An object, and how to tell that it is whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectPointer {
    /// Below the store's root.
    pub name: String,
    /// Its bytes.
    pub length: u64,
    /// Their crc32c.
    pub checksum: u32,
}

/// Who sequences a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assignment {
    /// The channel.
    pub channel: ChannelName,
    /// The data node.
    pub node: NodeId,
    /// `e` of `docs/protocol.md`: rises with each assignment.
    pub process: u64,
    /// The longest lease that its sequencer is given (`docs/protocol.md` §5), in whole milliseconds: whoever takes the channel away waits as long, whatever
    /// its own settings say.
    pub lease: Duration,
}

/// A channel's checkpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// The channel.
    pub channel: ChannelName,
    /// What it is as of; only advances.
    pub position: Position,
    /// The epoch of the process that wrote it.
    pub process: u64,
    /// Its object.
    pub object: ObjectPointer,
}

/// Objects that nothing current names any more: garbage collection deletes them after its grace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tombstone {
    /// From the id counter.
    pub id: i64,
    /// Whose objects; the shard's readers may still pin them.
    pub shard: Option<ShardId>,
    /// Readers of the shard's manifests below this version may need them.
    pub below_version: u64,
    /// Names of objects, at most [`TOMBSTONE_OBJECTS_MAX`]; one that ends in `/` means all below it.
    pub objects: Vec<String>,
    /// When they became garbage: wall clock of the coordinator.
    pub since: Timestamp,
}

/// Names in one [`Tombstone`]: keeps a transaction below its limit of bytes. More names take more tombstones.
pub const TOMBSTONE_OBJECTS_MAX: usize = 1_000;

/// An operation that has begun in meta and isn't done: a new leader resumes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Intent {
    /// Which.
    pub id: OperationId,
    /// What it does.
    pub operation: Operation,
    /// When it began.
    pub since: Timestamp,
}

/// The operations of `docs/design.md` §6 that go through the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Create records are to be written to each shard's log.
    CreateCollection(CollectionId),
    /// Drop records are to be written; then everything goes.
    DropCollection(CollectionId),
    /// Truncate records are to be written.
    Truncate {
        /// Whose rows.
        collection: CollectionId,
        /// The generation that it brings.
        generation: u64,
    },
    /// Drop-partition records are to be written.
    DropPartition {
        /// The collection.
        collection: CollectionId,
        /// The partition.
        partition: PartitionId,
    },
    /// Schema records are to be written.
    ChangeSchema {
        /// The collection.
        collection: CollectionId,
        /// The version that it brings.
        version: u32,
    },
    /// Import commits are to be written.
    ImportCommit {
        /// The collection.
        collection: CollectionId,
        /// The import.
        job: JobId,
    },
}

impl Operation {
    /// The collection that it is about.
    pub fn collection(self) -> CollectionId {
        match self {
            Self::CreateCollection(collection)
            | Self::DropCollection(collection)
            | Self::Truncate { collection, .. }
            | Self::DropPartition { collection, .. }
            | Self::ChangeSchema { collection, .. }
            | Self::ImportCommit { collection, .. } => collection,
        }
    }
}
