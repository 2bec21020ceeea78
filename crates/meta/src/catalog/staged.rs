//! Changes of more than one transaction holds: written aside under an operation id, made true by one small transaction, then put in place.
//!
//! 1. Each part (some writes, with the conditions that go with them) is put aside by its own fenced transaction.
//! 2. One fenced transaction puts the [`Stage`]: from here on the change has happened.
//! 3. Part after part is put in place; the stage goes last.
//!
//! Invariants: only the leader changes what the parts name, and not while it stages them, so that conditions that held in step 1 hold in
//! step 2; parts without a stage never happened; [`Catalog::load`] gives nothing while there is a stage, so nobody sees half of a change in a
//! load (a watcher may see its parts in turn). A new leader calls [`Catalog::recover`] before anything else.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::attempt;
use super::change::Change;
use super::document::{Document, Versioned, number, parse_number, unknown_version};
use super::model::OperationId;
use super::{Catalog, Loaded};
use crate::store::{Condition, MetaError, TRANSACTION_BYTES_MAX, Transaction, Write};

/// Writes of one part: with as many conditions, the fence, the stage and the part itself they fit a transaction.
const PART_WRITES_MAX: usize = (attempt::OPERATIONS_MAX - 4) / 2;

/// Bytes of keys and values of one part: the same bytes as text inside JSON may be twice as long.
const PART_BYTES_MAX: usize = TRANSACTION_BYTES_MAX / 4;

/// The change of this operation has happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stage {
    operation: OperationId,
    parts: u32,
}

/// Some writes of an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct StagePart {
    operation: OperationId,
    number: u32,
    writes: Vec<StoredWrite>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredWrite {
    Put { key: String, value: String },
    Delete { key: String },
}

#[derive(Serialize, Deserialize)]
struct StoredStage {
    parts: u32,
}

impl Document for Stage {
    type Id = OperationId;
    const KIND: &'static str = "stage";
    const VERSION: u32 = 1;

    fn id(&self) -> OperationId {
        self.operation
    }

    fn path(id: &OperationId) -> String {
        number(id.0)
    }

    fn parse(path: &str) -> Option<OperationId> {
        parse_number(path).map(OperationId)
    }

    fn encode(&self) -> Result<Box<RawValue>, serde_json::Error> {
        serde_json::value::to_raw_value(&StoredStage { parts: self.parts })
    }

    fn decode(operation: OperationId, version: u32, json: &str) -> Result<Self, serde_json::Error> {
        if version != Self::VERSION {
            return Err(unknown_version::<Self>(version));
        }
        let StoredStage { parts } = serde_json::from_str(json)?;
        Ok(Self { operation, parts })
    }
}

impl Document for StagePart {
    type Id = (OperationId, u32);
    const KIND: &'static str = "stage-part";
    const VERSION: u32 = 1;

    fn id(&self) -> (OperationId, u32) {
        (self.operation, self.number)
    }

    fn path((operation, part): &(OperationId, u32)) -> String {
        format!("{}/{part:010}", number(operation.0))
    }

    fn parse(path: &str) -> Option<(OperationId, u32)> {
        let (operation, part) = path.split_once('/')?;
        Some((OperationId(parse_number(operation)?), part.parse().ok()?))
    }

    fn encode(&self) -> Result<Box<RawValue>, serde_json::Error> {
        serde_json::value::to_raw_value(&self.writes)
    }

    fn decode((operation, number): (OperationId, u32), version: u32, json: &str) -> Result<Self, serde_json::Error> {
        if version != Self::VERSION {
            return Err(unknown_version::<Self>(version));
        }
        Ok(Self { operation, number, writes: serde_json::from_str(json)? })
    }
}

impl Catalog {
    /// Commits a change of any size under `fence`: at once if it fits a transaction, else staged under `operation`.
    ///
    /// While it runs the leader changes nothing that the change names. The change's other conditions are checked as the parts are put aside.
    ///
    /// # Errors
    /// As [`Catalog::commit`]. After [`MetaError::Unavailable`] the outcome is unknown: [`Catalog::recover`], then load.
    pub async fn commit_large(&self, fence: Condition, operation: OperationId, change: Change) -> Result<(), MetaError> {
        let change = Change::fenced(fence.clone()).and(change);
        if attempt::fits(change.transaction()) {
            return self.commit(change).await.map(drop);
        }
        let (conditions, writes) = change.into_parts();
        let parts = split(operation, writes)?;
        let count = u32::try_from(parts.len()).expect("a change has few parts");
        let mut conditions = conditions.into_iter().filter(|condition| *condition != fence).peekable();
        for part in &parts {
            let mut put = Change::fenced(fence.clone()).create(part);
            while put.transaction().operations() < attempt::OPERATIONS_MAX
                && let Some(condition) = conditions.next()
            {
                put = put.when(condition);
            }
            self.commit(put).await?;
        }
        if conditions.peek().is_some() {
            return Err(MetaError::TooLarge { operations: usize::MAX, bytes: 0 });
        }
        self.commit(Change::fenced(fence.clone()).create(&Stage { operation, parts: count })).await?;
        self.recover(fence).await
    }

    /// Puts in place what was staged and has happened, and removes what was staged and has not. A new leader calls it first.
    pub async fn recover(&self, fence: Condition) -> Result<(), MetaError> {
        let loaded = self.load_staged().await?;
        if let Some(error) = damaged_stage(&loaded) {
            return Err(MetaError::Damaged(error));
        }
        for ((operation, _), part) in &loaded.stage_parts {
            let change = Change::fenced(fence.clone()).remove(part);
            let change = match loaded.stages.get(operation) {
                Some(stage) => part.value.writes.iter().fold(change.unchanged(stage), StoredWrite::add_to),
                None => change,
            };
            self.commit(change).await?;
        }
        for stage in loaded.stages.values() {
            self.commit(Change::fenced(fence.clone()).remove(stage)).await?;
        }
        Ok(())
    }
}

fn damaged_stage(loaded: &Loaded) -> Option<types::Error> {
    let of_stage = |key: &Bytes| {
        key.starts_with(super::document::prefix::<Stage>().as_bytes()) || key.starts_with(super::document::prefix::<StagePart>().as_bytes())
    };
    loaded.damaged.iter().find(|(key, _)| of_stage(key)).map(|(_, error)| error.clone())
}

impl StoredWrite {
    fn new(write: &Write) -> Self {
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).expect("catalog keys and values are text");
        match write {
            Write::Put { key, value, .. } => Self::Put { key: text(key), value: text(value) },
            Write::Delete(key) => Self::Delete { key: text(key) },
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Put { key, value } => key.len() + value.len(),
            Self::Delete { key } => key.len(),
        }
    }

    fn add_to(change: Change, write: &Self) -> Change {
        let transaction = match write {
            Self::Put { key, value } => Transaction::new().put(key.clone(), value.clone()),
            Self::Delete { key } => Transaction::new().delete(key.clone()),
        };
        change.and(Change::of_writes(transaction))
    }
}

fn split(operation: OperationId, writes: Vec<Write>) -> Result<Vec<StagePart>, MetaError> {
    let mut parts: Vec<StagePart> = Vec::new();
    let mut bytes = 0;
    for write in &writes {
        let write = StoredWrite::new(write);
        if write.bytes() > PART_BYTES_MAX {
            return Err(MetaError::TooLarge { operations: 1, bytes: write.bytes() });
        }
        let full = parts.last().is_none_or(|part| part.writes.len() == PART_WRITES_MAX || bytes + write.bytes() > PART_BYTES_MAX);
        if full {
            let number = u32::try_from(parts.len()).expect("a change has few parts");
            parts.push(StagePart { operation, number, writes: Vec::new() });
            bytes = 0;
        }
        bytes += write.bytes();
        parts.last_mut().expect("one was pushed above").writes.push(write);
    }
    Ok(parts)
}

impl Versioned<Stage> {
    /// For messages.
    pub(super) fn describe(&self) -> String {
        format!("operation {} with {} parts", self.value.operation.0, self.value.parts)
    }
}
