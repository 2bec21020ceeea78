//! The whole catalog in memory, as of one revision, and kept up by what a watch gives.
//!
//! A document that can't be read is logged, named in [`Loaded::damaged`] and left out; the rest serves (`docs/design.md` rule 7). Whoever doesn't
//! find something asks [`Loaded::damage`] before it takes it for absent. Documents of other crates' kinds are in [`Loaded::other`] as they lie.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use types::id::{ChannelName, CollectionId, DatabaseId, ShardId};
use types::{Error, Result};

use super::document::{Document, PREFIX, Versioned, key, prefix, read};
use super::layout::Layout;
use super::model::{
    Assignment, Checkpoint, Collection, Database, DatabaseName, Indexes, Intent, Load, Name, NameTarget, OperationId, SchemaVersion, Shard,
    Tombstone,
};
use super::staged::{Stage, StagePart};
use crate::store::{Change, Entry, Listing, Revision};

/// Documents of one kind by id.
pub type Documents<D> = BTreeMap<<D as Document>::Id, Versioned<D>>;

/// Everything that the catalog holds.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// As of when: watch from the next one.
    pub revision: Revision,
    /// Databases.
    pub databases: BTreeMap<DatabaseId, Versioned<Database>>,
    /// Which database has a name.
    pub database_names: BTreeMap<String, Versioned<DatabaseName>>,
    /// Collections' names and aliases.
    pub names: BTreeMap<(DatabaseId, String), Versioned<Name>>,
    /// Collections in any state.
    pub collections: BTreeMap<CollectionId, Versioned<Collection>>,
    /// Every schema that a collection had.
    pub schemas: BTreeMap<(CollectionId, u32), Versioned<SchemaVersion>>,
    /// Index definitions.
    pub indexes: BTreeMap<CollectionId, Versioned<Indexes>>,
    /// What is wanted loaded.
    pub loads: BTreeMap<CollectionId, Versioned<Load>>,
    /// Shards.
    pub shards: BTreeMap<ShardId, Versioned<Shard>>,
    /// Who sequences a channel.
    pub assignments: BTreeMap<ChannelName, Versioned<Assignment>>,
    /// Channels' checkpoints.
    pub checkpoints: BTreeMap<ChannelName, Versioned<Checkpoint>>,
    /// Garbage.
    pub tombstones: BTreeMap<i64, Versioned<Tombstone>>,
    /// Open operations.
    pub intents: BTreeMap<OperationId, Versioned<Intent>>,
    /// Other crates' documents by key.
    pub other: BTreeMap<Bytes, Entry>,
    /// What can't be read, and why.
    pub damaged: BTreeMap<Bytes, Error>,
    pub(super) layout: BTreeMap<(), Versioned<Layout>>,
    pub(super) stages: BTreeMap<OperationId, Versioned<Stage>>,
    pub(super) stage_parts: BTreeMap<(OperationId, u32), Versioned<StagePart>>,
}

impl Loaded {
    /// What a listing of [`PREFIX`] holds.
    pub fn from_listing(listing: &Listing) -> Self {
        let mut loaded = Self { revision: listing.revision, ..Self::default() };
        for entry in &listing.entries {
            loaded.put(entry);
        }
        loaded
    }

    /// Takes up what a watch of [`PREFIX`] gave.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Put(entry) => self.put(entry),
                Change::Delete { key, .. } => self.remove(key),
            }
            self.revision = self.revision.max(change.revision());
        }
    }

    fn put(&mut self, entry: &Entry) {
        let read = match kind_of(&entry.key) {
            Database::KIND => insert(&mut self.databases, entry),
            DatabaseName::KIND => insert(&mut self.database_names, entry),
            Name::KIND => insert(&mut self.names, entry),
            Collection::KIND => insert(&mut self.collections, entry),
            SchemaVersion::KIND => insert(&mut self.schemas, entry),
            Indexes::KIND => insert(&mut self.indexes, entry),
            Load::KIND => insert(&mut self.loads, entry),
            Shard::KIND => insert(&mut self.shards, entry),
            Assignment::KIND => insert(&mut self.assignments, entry),
            Checkpoint::KIND => insert(&mut self.checkpoints, entry),
            Tombstone::KIND => insert(&mut self.tombstones, entry),
            Intent::KIND => insert(&mut self.intents, entry),
            Layout::KIND => insert(&mut self.layout, entry),
            Stage::KIND => insert(&mut self.stages, entry),
            StagePart::KIND => insert(&mut self.stage_parts, entry),
            _ => {
                self.other.insert(entry.key.clone(), entry.clone());
                Ok(())
            }
        };
        match read {
            Ok(()) => drop(self.damaged.remove(&entry.key)),
            Err(error) => {
                tracing::error!(%error, "a document in meta can't be read: what it is about is out of service");
                // What was there before is no longer so.
                self.remove(&entry.key);
                self.damaged.insert(entry.key.clone(), error);
            }
        }
    }

    fn remove(&mut self, key: &Bytes) {
        self.damaged.remove(key);
        match kind_of(key) {
            Database::KIND => take(&mut self.databases, key),
            DatabaseName::KIND => take(&mut self.database_names, key),
            Name::KIND => take(&mut self.names, key),
            Collection::KIND => take(&mut self.collections, key),
            SchemaVersion::KIND => take(&mut self.schemas, key),
            Indexes::KIND => take(&mut self.indexes, key),
            Load::KIND => take(&mut self.loads, key),
            Shard::KIND => take(&mut self.shards, key),
            Assignment::KIND => take(&mut self.assignments, key),
            Checkpoint::KIND => take(&mut self.checkpoints, key),
            Tombstone::KIND => take(&mut self.tombstones, key),
            Intent::KIND => take(&mut self.intents, key),
            Layout::KIND => take(&mut self.layout, key),
            Stage::KIND => take(&mut self.stages, key),
            StagePart::KIND => take(&mut self.stage_parts, key),
            _ => drop(self.other.remove(key)),
        }
    }

    /// Why a document can't be read; `None` if it can be, or isn't there.
    pub fn damage<D: Document>(&self, id: &D::Id) -> Option<&Error> {
        self.damaged.get(&key::<D>(id))
    }

    /// Documents of a kind that can't be read, and why.
    pub fn damaged_of<D: Document>(&self) -> impl Iterator<Item = (D::Id, &Error)> {
        self.damaged.iter().filter_map(|(key, error)| {
            let path = std::str::from_utf8(key).ok()?.strip_prefix(&prefix::<D>())?;
            Some((D::parse(path)?, error))
        })
    }

    /// Why a shard, or the collection that it is one of, can't be read.
    pub fn damage_of_shard(&self, id: ShardId) -> Option<&Error> {
        self.damage::<Shard>(&id).or_else(|| self.damage::<Collection>(&id.collection))
    }

    /// Why a schema of a collection can't be read.
    pub fn damage_of_schemas(&self, id: CollectionId) -> Option<&Error> {
        self.damaged_of::<SchemaVersion>().find(|((owner, _), _)| *owner == id).map(|(_, error)| error)
    }

    /// The shards whose log is, or may be, in a channel: what can't be read is among them. A shard that has no document yet is made by its
    /// create record and isn't.
    pub fn shards_of_channel(&self, channel: &ChannelName) -> BTreeSet<ShardId> {
        let is_there = |id: &ShardId| self.shards.contains_key(id) || self.damage::<Shard>(id).is_some();
        let placed = self.collections.values().flat_map(|found| found.value.shards());
        let placed = placed.filter(|(id, name)| *name == channel && is_there(id)).map(|(id, _)| id);
        // Without its definition nobody knows which channels a collection has.
        let unplaced = self.damaged_of::<Collection>().flat_map(|(id, _)| {
            let unreadable = self.damaged_of::<Shard>().map(|(shard, _)| shard).filter(move |shard| shard.collection == id);
            self.shards_of(id).map(|shard| shard.value.id).chain(unreadable)
        });
        placed.chain(unplaced).collect()
    }

    /// The database `name`.
    pub fn database(&self, name: &str) -> Option<&Versioned<Database>> {
        self.databases.get(&self.database_names.get(name)?.value.database)
    }

    /// The collection with this name or alias.
    pub fn collection(&self, database: DatabaseId, name: &str) -> Option<&Versioned<Collection>> {
        self.collections.get(&self.names.get(&(database, name.to_owned()))?.value.target.collection())
    }

    /// A collection's aliases, in order of name.
    pub fn aliases(&self, collection: CollectionId) -> Vec<String> {
        let alias = NameTarget::Alias(collection);
        self.names.values().filter(|name| name.value.target == alias).map(|name| name.value.name.clone()).collect()
    }

    /// The current schema of a collection.
    pub fn schema(&self, collection: &Collection) -> Option<&Versioned<SchemaVersion>> {
        self.schemas.get(&(collection.id, collection.schema_version))
    }

    /// A collection's shards in order of index.
    pub fn shards_of(&self, collection: CollectionId) -> impl Iterator<Item = &Versioned<Shard>> {
        self.shards.range(ShardId::new(collection, 0)..=ShardId::new(collection, u16::MAX)).map(|(_, shard)| shard)
    }
}

fn kind_of(key: &[u8]) -> &str {
    let kind = key.strip_prefix(PREFIX.as_bytes()).and_then(|rest| rest.split(|byte| *byte == b'/').next());
    kind.and_then(|kind| std::str::from_utf8(kind).ok()).unwrap_or_default()
}

fn insert<D: Document>(documents: &mut Documents<D>, entry: &Entry) -> Result<()> {
    let document = read::<D>(entry)?;
    documents.insert(document.value.id(), document);
    Ok(())
}

fn take<D: Document>(documents: &mut Documents<D>, key: &[u8]) {
    let path = std::str::from_utf8(key).ok().and_then(|key| key.strip_prefix(&prefix::<D>()));
    if let Some(id) = path.and_then(D::parse) {
        documents.remove(&id);
    }
}
