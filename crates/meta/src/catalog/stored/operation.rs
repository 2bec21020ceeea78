//! Open operations, and what they leave behind as garbage.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use types::id::{CollectionId, JobId, PartitionId, ShardId};
use types::time::Timestamp;

use super::{decode_only, encode};
use crate::catalog::document::{Document, number, parse_number};
use crate::catalog::model::{Intent, Operation, OperationId, Tombstone};

#[derive(Serialize, Deserialize)]
struct StoredIntent {
    operation: StoredOperation,
    since: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
enum StoredOperation {
    CreateCollection { collection: CollectionId },
    DropCollection { collection: CollectionId },
    Truncate { collection: CollectionId, generation: u64 },
    DropPartition { collection: CollectionId, partition: PartitionId },
    ChangeSchema { collection: CollectionId, version: u32 },
    ImportCommit { collection: CollectionId, job: JobId },
}

impl From<Operation> for StoredOperation {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::CreateCollection(collection) => Self::CreateCollection { collection },
            Operation::DropCollection(collection) => Self::DropCollection { collection },
            Operation::Truncate { collection, generation } => Self::Truncate { collection, generation },
            Operation::DropPartition { collection, partition } => Self::DropPartition { collection, partition },
            Operation::ChangeSchema { collection, version } => Self::ChangeSchema { collection, version },
            Operation::ImportCommit { collection, job } => Self::ImportCommit { collection, job },
        }
    }
}

impl From<StoredOperation> for Operation {
    fn from(operation: StoredOperation) -> Self {
        match operation {
            StoredOperation::CreateCollection { collection } => Self::CreateCollection(collection),
            StoredOperation::DropCollection { collection } => Self::DropCollection(collection),
            StoredOperation::Truncate { collection, generation } => Self::Truncate { collection, generation },
            StoredOperation::DropPartition { collection, partition } => Self::DropPartition { collection, partition },
            StoredOperation::ChangeSchema { collection, version } => Self::ChangeSchema { collection, version },
            StoredOperation::ImportCommit { collection, job } => Self::ImportCommit { collection, job },
        }
    }
}

impl Document for Intent {
    type Id = OperationId;
    const KIND: &'static str = "intent";
    const VERSION: u32 = 1;

    fn id(&self) -> OperationId {
        self.id
    }

    fn path(id: &OperationId) -> String {
        number(id.0)
    }

    fn parse(path: &str) -> Option<OperationId> {
        parse_number(path).map(OperationId)
    }

    fn encode(&self) -> Result<Box<RawValue>, serde_json::Error> {
        encode(&StoredIntent { operation: self.operation.into(), since: self.since })
    }

    fn decode(id: OperationId, version: u32, json: &str) -> Result<Self, serde_json::Error> {
        let StoredIntent { operation, since } = decode_only::<Self, _>(version, json)?;
        Ok(Self { id, operation: operation.into(), since })
    }
}

#[derive(Serialize, Deserialize)]
struct StoredTombstone {
    #[serde(default)]
    shard: Option<ShardId>,
    #[serde(default)]
    below_version: u64,
    objects: Vec<String>,
    since: Timestamp,
}

impl Document for Tombstone {
    type Id = i64;
    const KIND: &'static str = "tombstone";
    const VERSION: u32 = 1;

    fn id(&self) -> i64 {
        self.id
    }

    fn path(id: &i64) -> String {
        number(*id)
    }

    fn parse(path: &str) -> Option<i64> {
        parse_number(path)
    }

    fn encode(&self) -> Result<Box<RawValue>, serde_json::Error> {
        let (shard, below_version, since) = (self.shard, self.below_version, self.since);
        encode(&StoredTombstone { shard, below_version, objects: self.objects.clone(), since })
    }

    fn decode(id: i64, version: u32, json: &str) -> Result<Self, serde_json::Error> {
        let StoredTombstone { shard, below_version, objects, since } = decode_only::<Self, _>(version, json)?;
        Ok(Self { id, shard, below_version, objects, since })
    }
}
