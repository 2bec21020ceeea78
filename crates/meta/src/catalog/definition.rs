//! What is done to databases, collections, names, partitions, shards and channels, each as a [`Change`] to be committed alone or with others.
//!
//! Pure: nothing here reads meta or the clock. The coordinator has checked limits and texts; what is asserted here are the catalog's own
//! invariants. `docs/design.md` §6 has the order of steps around each change: the intent that these record is what a new leader resumes.

use types::collection::Partition;
use types::id::{CollectionId, PartitionId};
use types::schema::Schema;
use types::time::Timestamp;

use super::change::Change;
use super::document::Versioned;
use super::model::{
    Assignment, Checkpoint, Collection, CollectionState, Database, DatabaseName, DroppingPartition, Intent, Load, ManifestPointer, Name,
    NameTarget, Operation, OperationId, SchemaVersion, Shard, ShardStart, Tombstone, shard_id,
};

/// When an operation begins and under which id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Begin {
    /// The operation, new.
    pub operation: OperationId,
    /// A timestamp of rootcoord's.
    pub now: Timestamp,
}

impl Begin {
    fn intent(self, operation: Operation) -> Intent {
        Intent { id: self.operation, operation, since: self.now }
    }
}

impl Change {
    /// Makes a database and takes its name.
    pub fn create_database(self, database: &Database) -> Self {
        let name = DatabaseName { name: database.name.clone(), database: database.id };
        self.create(&name).create(database)
    }

    /// Removes a database. The caller has seen that it has no collections; whoever creates one at the same time loses or wins whole.
    pub fn drop_database(self, database: &Versioned<Database>) -> Self {
        self.remove(database).forget::<DatabaseName>(&database.value.name)
    }

    /// Begins to create a collection: takes its name, and is refused if the database has gone or changed.
    /// The collection is put as [`CollectionState::Creating`].
    ///
    /// # Panics
    /// If schema and collection disagree.
    pub fn create_collection(self, database: &Versioned<Database>, collection: &Collection, schema: &Schema, begin: Begin) -> Self {
        assert_eq!(collection.schema_version, schema.version, "a collection begins with its own schema");
        assert_eq!(collection.database, database.value.id, "a collection is created in its own database");
        let name = own_name(collection);
        let creating = Collection { state: CollectionState::Creating(begin.operation), ..collection.clone() };
        self.unchanged(database)
            .create(&name)
            .create(&creating)
            .create(&SchemaVersion { collection: collection.id, schema: schema.clone() })
            .create(&begin.intent(Operation::CreateCollection(collection.id)))
    }

    /// The create records are in the logs: the shards begin there, and clients may use the collection. `starts` in order of the shards' indexes.
    ///
    /// # Panics
    /// If there isn't one start for each channel, or the collection isn't being created.
    pub fn finish_creation(self, collection: &Versioned<Collection>, starts: &[ShardStart]) -> Self {
        let CollectionState::Creating(operation) = collection.value.state else {
            panic!("collection {} isn't being created", collection.value.id)
        };
        assert_eq!(starts.len(), collection.value.channels.len(), "every shard has a start");
        let created = Collection { state: CollectionState::Created, ..collection.value.clone() };
        let change = self.replace(collection, &created).forget::<Intent>(&operation);
        starts
            .iter()
            .enumerate()
            .map(|(index, start)| Shard { id: shard_id(created.id, index), start: *start, manifest: None })
            .fold(change, |change, shard| change.create(&shard))
    }

    /// Begins to drop a collection, created or not: its names are free at once. `aliases` are all of them.
    ///
    /// # Panics
    /// If it is dropping already.
    pub fn drop_collection(self, collection: &Versioned<Collection>, aliases: &[String], begin: Begin) -> Self {
        let old = &collection.value;
        let dropping = Collection { state: CollectionState::Dropping(begin.operation), updated: begin.now, ..old.clone() };
        let change = match old.state {
            CollectionState::Dropping(_) => panic!("collection {} is dropping already", old.id),
            CollectionState::Creating(operation) => self.forget::<Intent>(&operation),
            CollectionState::Created => self,
        };
        let change = change
            .replace(collection, &dropping)
            .forget::<Name>(&(old.database, old.name.clone()))
            .forget::<Load>(&old.id)
            .create(&begin.intent(Operation::DropCollection(old.id)));
        aliases.iter().fold(change, |change, alias| change.forget::<Name>(&(old.database, alias.clone())))
    }

    /// Gives a collection another name, in the same database or, where it has no aliases, in another. The new name must be free.
    pub fn rename_collection(self, collection: &Versioned<Collection>, to: &Versioned<Database>, name: &str, now: Timestamp) -> Self {
        let old = &collection.value;
        let renamed = Collection { database: to.value.id, name: name.to_owned(), updated: now, ..old.clone() };
        self.unchanged(to).forget::<Name>(&(old.database, old.name.clone())).create(&own_name(&renamed)).replace(collection, &renamed)
    }

    /// Gives a collection one more name.
    pub fn create_alias(self, collection: &Versioned<Collection>, alias: &str) -> Self {
        let target = NameTarget::Alias(collection.value.id);
        self.unchanged(collection).create(&Name { database: collection.value.database, name: alias.to_owned(), target })
    }

    /// Lets an alias lead to another collection of its database.
    ///
    /// # Panics
    /// If the name isn't an alias, or the collection is of another database.
    pub fn alter_alias(self, alias: &Versioned<Name>, collection: &Versioned<Collection>) -> Self {
        assert!(matches!(alias.value.target, NameTarget::Alias(_)), "{} isn't an alias", alias.value.name);
        assert_eq!(alias.value.database, collection.value.database, "an alias stays in its database");
        let target = NameTarget::Alias(collection.value.id);
        self.unchanged(collection).replace(alias, &Name { target, ..alias.value.clone() })
    }

    /// Removes an alias.
    ///
    /// # Panics
    /// If the name isn't an alias.
    pub fn drop_alias(self, alias: &Versioned<Name>) -> Self {
        assert!(matches!(alias.value.target, NameTarget::Alias(_)), "{} isn't an alias", alias.value.name);
        self.remove(alias)
    }

    /// Adds partitions.
    ///
    /// # Panics
    /// If a name is taken.
    pub fn create_partitions(self, collection: &Versioned<Collection>, partitions: &[Partition], now: Timestamp) -> Self {
        let mut changed = Collection { updated: now, ..collection.value.clone() };
        for partition in partitions {
            assert!(changed.partition(&partition.name).is_none(), "partition {} is there already", partition.name);
            changed.partitions.push(partition.clone());
        }
        self.replace(collection, &changed)
    }

    /// Begins to drop a partition: its name is free at once.
    ///
    /// # Panics
    /// If it isn't there.
    pub fn drop_partition(self, collection: &Versioned<Collection>, partition: PartitionId, begin: Begin) -> Self {
        let mut changed = Collection { updated: begin.now, ..collection.value.clone() };
        let before = changed.partitions.len();
        changed.partitions.retain(|p| p.id != partition);
        assert_eq!(changed.partitions.len() + 1, before, "partition {partition} isn't there");
        changed.dropping_partitions.push(DroppingPartition { id: partition, operation: begin.operation });
        let operation = Operation::DropPartition { collection: changed.id, partition };
        self.replace(collection, &changed).create(&begin.intent(operation))
    }

    /// The drop records are in the logs.
    pub fn finish_drop_partition(self, collection: &Versioned<Collection>, intent: &Versioned<Intent>) -> Self {
        let mut changed = collection.value.clone();
        changed.dropping_partitions.retain(|p| p.operation != intent.value.id);
        self.replace(collection, &changed).remove(intent)
    }

    /// Begins to change the schema; ends with [`Change::finish`].
    ///
    /// # Panics
    /// If the version isn't the next one.
    pub fn change_schema(self, collection: &Versioned<Collection>, schema: &Schema, begin: Begin) -> Self {
        let old = &collection.value;
        assert_eq!(schema.version, old.schema_version + 1, "schema versions rise by one");
        let next_field =
            schema.fields.iter().map(|field| types::id::FieldId(field.id.0 + 1)).max().unwrap_or(old.next_field).max(old.next_field);
        let changed = Collection { schema_version: schema.version, next_field, updated: begin.now, ..old.clone() };
        let operation = Operation::ChangeSchema { collection: old.id, version: schema.version };
        self.replace(collection, &changed)
            .create(&SchemaVersion { collection: old.id, schema: schema.clone() })
            .create(&begin.intent(operation))
    }

    /// Begins to truncate; ends with [`Change::finish`].
    pub fn truncate(self, collection: &Versioned<Collection>, begin: Begin) -> Self {
        let changed = Collection { generation: collection.value.generation + 1, updated: begin.now, ..collection.value.clone() };
        let operation = Operation::Truncate { collection: changed.id, generation: changed.generation };
        self.replace(collection, &changed).create(&begin.intent(operation))
    }

    /// Begins any other operation.
    pub fn begin(self, operation: Operation, begin: Begin) -> Self {
        self.create(&begin.intent(operation))
    }

    /// An operation is done.
    pub fn finish(self, intent: &Versioned<Intent>) -> Self {
        self.remove(intent)
    }

    /// Moves a shard's manifest, if it is still the one that was read, and names what nobody needs afterwards.
    ///
    /// # Panics
    /// If the version isn't the next one.
    pub fn move_manifest(self, shard: &Versioned<Shard>, manifest: ManifestPointer, garbage: &[Tombstone]) -> Self {
        assert_eq!(manifest.version, shard.value.version() + 1, "manifest versions rise by one");
        let change = self.replace(shard, &Shard { manifest: Some(manifest), ..shard.value.clone() });
        garbage.iter().fold(change, |change, tombstone| change.create(tombstone))
    }

    /// Gives a channel to a sequencer.
    ///
    /// # Panics
    /// If the process epoch doesn't rise: its records would be void.
    pub fn assign(self, old: Option<&Versioned<Assignment>>, new: &Assignment) -> Self {
        assert!(old.is_none_or(|old| new.process > old.value.process), "epochs of {} rise with each assignment", new.channel);
        self.put(old, new)
    }

    /// Advances a channel's checkpoint, while its sequencer is still assigned.
    ///
    /// # Panics
    /// If it goes back, or is another process's: the caller has compared them.
    pub fn advance_checkpoint(self, assignment: &Versioned<Assignment>, old: Option<&Versioned<Checkpoint>>, new: &Checkpoint) -> Self {
        assert_eq!((&new.channel, new.process), (&assignment.value.channel, assignment.value.process), "a checkpoint is its sequencer's");
        let back = old.is_some_and(|old| old.value.position.log == new.position.log && old.value.position > new.position);
        assert!(!back, "the checkpoint of {} only advances", new.channel);
        self.unchanged(assignment).put(old, new)
    }
}

fn own_name(collection: &Collection) -> Name {
    let target = NameTarget::Collection(collection.id);
    Name { database: collection.database, name: collection.name.clone(), target }
}

/// The start of the path of everything that has a collection's id and a slash in its key.
pub(super) fn path_below(collection: CollectionId) -> String {
    format!("{}/", super::document::number(collection.0))
}
