//! Collections, their schemas and indexes, and what is loaded of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use types::collection::{Consistency, Partition};
use types::id::{ChannelName, CollectionId, DatabaseId, FieldId, PartitionId};
use types::index_params::IndexDefinition;
use types::schema::Schema;
use types::time::Timestamp;

use super::{decode_only, encode};
use crate::catalog::document::{Document, number, parse_number};
use crate::catalog::model::{Collection, CollectionState, DroppingPartition, Indexes, Load, OperationId, SchemaVersion};

#[derive(Serialize, Deserialize)]
struct StoredCollection {
    database: DatabaseId,
    name: String,
    #[serde(default)]
    description: String,
    state: StoredState,
    schema_version: u32,
    channels: Vec<ChannelName>,
    consistency: i32,
    #[serde(default)]
    properties: BTreeMap<String, String>,
    partitions: Vec<StoredPartition>,
    #[serde(default)]
    dropping_partitions: Vec<StoredDroppingPartition>,
    #[serde(default)]
    num_partitions: u32,
    #[serde(default)]
    generation: u64,
    next_field: FieldId,
    created: Timestamp,
    updated: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
enum StoredState {
    Creating { operation: i64 },
    Created,
    Dropping { operation: i64 },
}

#[derive(Serialize, Deserialize)]
struct StoredPartition {
    id: PartitionId,
    name: String,
    created: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct StoredDroppingPartition {
    id: PartitionId,
    operation: i64,
}

impl From<&Collection> for StoredCollection {
    fn from(collection: &Collection) -> Self {
        let partition = |p: &Partition| StoredPartition { id: p.id, name: p.name.clone(), created: p.created };
        let dropping = |p: &DroppingPartition| StoredDroppingPartition { id: p.id, operation: p.operation.0 };
        Self {
            database: collection.database,
            name: collection.name.clone(),
            description: collection.description.clone(),
            state: match collection.state {
                CollectionState::Creating(operation) => StoredState::Creating { operation: operation.0 },
                CollectionState::Created => StoredState::Created,
                CollectionState::Dropping(operation) => StoredState::Dropping { operation: operation.0 },
            },
            schema_version: collection.schema_version,
            channels: collection.channels.clone(),
            consistency: collection.consistency as i32,
            properties: collection.properties.clone(),
            partitions: collection.partitions.iter().map(partition).collect(),
            dropping_partitions: collection.dropping_partitions.iter().map(dropping).collect(),
            num_partitions: collection.num_partitions,
            generation: collection.generation,
            next_field: collection.next_field,
            created: collection.created,
            updated: collection.updated,
        }
    }
}

impl StoredCollection {
    fn into_collection(self, id: CollectionId) -> Result<Collection, serde_json::Error> {
        let consistency = Consistency::from_number(self.consistency)
            .ok_or_else(|| serde::de::Error::custom(format_args!("consistency level {}", self.consistency)))?;
        let partition = |p: StoredPartition| Partition { id: p.id, name: p.name, created: p.created };
        let dropping = |p: StoredDroppingPartition| DroppingPartition { id: p.id, operation: OperationId(p.operation) };
        Ok(Collection {
            id,
            database: self.database,
            name: self.name,
            description: self.description,
            state: match self.state {
                StoredState::Creating { operation } => CollectionState::Creating(OperationId(operation)),
                StoredState::Created => CollectionState::Created,
                StoredState::Dropping { operation } => CollectionState::Dropping(OperationId(operation)),
            },
            schema_version: self.schema_version,
            channels: self.channels,
            consistency,
            properties: self.properties,
            partitions: self.partitions.into_iter().map(partition).collect(),
            dropping_partitions: self.dropping_partitions.into_iter().map(dropping).collect(),
            num_partitions: self.num_partitions,
            generation: self.generation,
            next_field: self.next_field,
            created: self.created,
            updated: self.updated,
        })
    }
}

impl Document for Collection {
    type Id = CollectionId;
    const KIND: &'static str = "collection";
    const VERSION: u32 = 1;

    fn id(&self) -> CollectionId {
        self.id
    }

    fn path(id: &CollectionId) -> String {
        number(id.0)
    }

    fn parse(path: &str) -> Option<CollectionId> {
        parse_number(path).map(CollectionId)
    }

    fn encode(&self) -> Result<Box<RawValue>, serde_json::Error> {
        encode(&StoredCollection::from(self))
    }

    fn decode(id: CollectionId, version: u32, json: &str) -> Result<Self, serde_json::Error> {
        decode_only::<Self, StoredCollection>(version, json)?.into_collection(id)
    }
}

impl Document for SchemaVersion {
    type Id = (CollectionId, u32);
    const KIND: &'static str = "schema";
    const VERSION: u32 = 1;

    fn id(&self) -> (CollectionId, u32) {
        (self.collection, self.schema.version)
    }

    fn path((collection, version): &(CollectionId, u32)) -> String {
        format!("{}/{version:010}", number(collection.0))
    }

    fn parse(path: &str) -> Option<(CollectionId, u32)> {
        let (collection, version) = path.split_once('/')?;
        let digits = version.len() == 10 && version.bytes().all(|byte| byte.is_ascii_digit());
        Some((CollectionId(parse_number(collection)?), version.parse().ok().filter(|_| digits)?))
    }

    fn encode(&self) -> Result<Box<RawValue>, serde_json::Error> {
        encode(&self.schema)
    }

    fn decode((collection, of): (CollectionId, u32), version: u32, json: &str) -> Result<Self, serde_json::Error> {
        let schema: Schema = decode_only::<Self, _>(version, json)?;
        if schema.version != of {
            return Err(serde::de::Error::custom(format_args!("holds schema version {}", schema.version)));
        }
        Ok(Self { collection, schema })
    }
}

impl Document for Indexes {
    type Id = CollectionId;
    const KIND: &'static str = "indexes";
    const VERSION: u32 = 1;

    fn id(&self) -> CollectionId {
        self.collection
    }

    fn path(id: &CollectionId) -> String {
        number(id.0)
    }

    fn parse(path: &str) -> Option<CollectionId> {
        parse_number(path).map(CollectionId)
    }

    fn encode(&self) -> Result<Box<RawValue>, serde_json::Error> {
        encode(&self.definitions)
    }

    fn decode(collection: CollectionId, version: u32, json: &str) -> Result<Self, serde_json::Error> {
        let definitions: Vec<IndexDefinition> = decode_only::<Self, _>(version, json)?;
        Ok(Self { collection, definitions })
    }
}

#[derive(Serialize, Deserialize)]
struct StoredLoad {
    #[serde(default)]
    partitions: Option<Vec<PartitionId>>,
    #[serde(default)]
    fields: Option<Vec<FieldId>>,
    replicas: u32,
    #[serde(default)]
    resource_groups: Vec<String>,
    since: Timestamp,
}

impl Document for Load {
    type Id = CollectionId;
    const KIND: &'static str = "load";
    const VERSION: u32 = 1;

    fn id(&self) -> CollectionId {
        self.collection
    }

    fn path(id: &CollectionId) -> String {
        number(id.0)
    }

    fn parse(path: &str) -> Option<CollectionId> {
        parse_number(path).map(CollectionId)
    }

    fn encode(&self) -> Result<Box<RawValue>, serde_json::Error> {
        encode(&StoredLoad {
            partitions: self.partitions.clone(),
            fields: self.fields.clone(),
            replicas: self.replicas,
            resource_groups: self.resource_groups.clone(),
            since: self.since,
        })
    }

    fn decode(collection: CollectionId, version: u32, json: &str) -> Result<Self, serde_json::Error> {
        let StoredLoad { partitions, fields, replicas, resource_groups, since } = decode_only::<Self, _>(version, json)?;
        Ok(Self { collection, partitions, fields, replicas, resource_groups, since })
    }
}
