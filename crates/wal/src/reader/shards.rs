//! The state that control records bring to each shard of a channel, as far as a sequencer must know it to refuse what is stale.
//!
//! Applying a control record whose state is already there changes nothing (`docs/protocol.md` §1): else a coordinator that resumes a truncate would
//! kill rows written after the first one. The receipt of the record that brought a state is kept, so that who asks again gets the same answer.
//!
//! Cloning is cheap (one reference) until the next change: checkpoints keep many.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::id::{JobId, PartitionId, ShardId};
use types::record::{Body, Control, Header, Refusal};
use types::{Code, Error};

use super::state::Receipt;

/// Dropped shards that are remembered by name; below the highest forgotten id no shard can be created.
const DROPPED_SHARDS_MAX: usize = 4_096;
/// Dropped partitions remembered per shard: proxies have confirmed far fewer drops before (`docs/design.md` §6).
const DROPPED_PARTITIONS_MAX: usize = 4_096;
/// Import jobs remembered per shard: a manifest holds the effect of older ones.
const IMPORTS_MAX: usize = 1_024;

/// One live shard.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardState {
    /// Its Create record.
    pub created: Receipt,
    /// The newest schema version, and the record that brought it.
    pub schema: (u32, Receipt),
    /// The truncations so far, and the last one.
    pub generation: (u64, Receipt),
    /// Partitions that take no more rows.
    pub dropped_partitions: BTreeMap<PartitionId, Receipt>,
    /// Imports that are visible.
    pub imports: BTreeMap<JobId, Receipt>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Shards {
    pub(crate) live: BTreeMap<ShardId, ShardState>,
    pub(crate) dropped: BTreeMap<ShardId, Receipt>,
    /// Collections at or below it that are unknown were dropped, or never made it here.
    pub(crate) forgotten: i64,
}

/// All shards of a channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShardStates {
    pub(crate) shards: Arc<Shards>,
}

/// What is to be done with a request.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    /// Write it.
    Admit,
    /// Write its refusal.
    Refuse(Refusal),
    /// Its schema version isn't here yet: keep it, and what follows it, until the schema's record comes.
    Hold,
}

impl ShardStates {
    /// A live shard.
    pub fn get(&self, shard: ShardId) -> Option<&ShardState> {
        self.shards.live.get(&shard)
    }

    /// Live shards, ascending.
    pub fn live(&self) -> impl Iterator<Item = (ShardId, &ShardState)> {
        self.shards.live.iter().map(|(shard, state)| (*shard, state))
    }

    /// Applies a control record; one whose state is there changes nothing.
    pub fn fold(&mut self, shard: ShardId, control: &Control, receipt: Receipt) {
        if self.brought(shard, control).is_some() {
            return;
        }
        let shards = Arc::make_mut(&mut self.shards);
        if let Control::Drop = control {
            shards.live.remove(&shard);
            shards.dropped.insert(shard, receipt);
            while shards.dropped.len() > DROPPED_SHARDS_MAX {
                let forgotten = shards.dropped.pop_first().map_or(0, |(shard, _)| shard.collection.0);
                shards.forgotten = shards.forgotten.max(forgotten);
            }
            return;
        }
        if let Control::Create { schema, .. } = control {
            let state = ShardState {
                created: receipt,
                schema: (schema.version, receipt),
                generation: (0, receipt),
                dropped_partitions: BTreeMap::new(),
                imports: BTreeMap::new(),
            };
            if !shards.dropped.contains_key(&shard) {
                shards.live.insert(shard, state);
            }
            return;
        }
        let Some(state) = shards.live.get_mut(&shard) else { return };
        match control {
            Control::Truncate { generation } => state.generation = (*generation, receipt),
            Control::Schema { schema } => state.schema = (schema.version, receipt),
            Control::DropPartition { partition } => {
                insert_bounded(&mut state.dropped_partitions, *partition, receipt, DROPPED_PARTITIONS_MAX)
            }
            Control::ImportCommit { job, .. } => insert_bounded(&mut state.imports, *job, receipt, IMPORTS_MAX),
            Control::Create { .. } | Control::Drop => {}
        }
    }

    /// The record that brought the state which `control` names, or a later one.
    pub fn brought(&self, shard: ShardId, control: &Control) -> Option<Receipt> {
        if let Control::Drop = control {
            return self.shards.dropped.get(&shard).copied();
        }
        let state = self.shards.live.get(&shard)?;
        match control {
            Control::Create { .. } => Some(state.created),
            Control::Truncate { generation } => (*generation <= state.generation.0).then_some(state.generation.1),
            Control::Schema { schema } => (schema.version <= state.schema.0).then_some(state.schema.1),
            Control::DropPartition { partition } => state.dropped_partitions.get(partition).copied(),
            Control::ImportCommit { job, .. } => state.imports.get(job).copied(),
            Control::Drop => None,
        }
    }

    /// Whether a request may be written, by the shard's state.
    pub fn check(&self, header: &Header, body: &Body) -> Verdict {
        let refuse = |error: Error| Verdict::Refuse((&error).into());
        let shard = header.shard;
        let Some(state) = self.shards.live.get(&shard) else {
            let gone = self.shards.dropped.contains_key(&shard) || shard.collection.0 <= self.shards.forgotten;
            return match body {
                Body::Control(Control::Create { .. }) if !gone => Verdict::Admit,
                Body::Control(Control::Drop) => Verdict::Admit,
                _ => refuse(Error::about(Code::COLLECTION_NOT_FOUND, &[("collection", &shard.collection)])),
            };
        };
        if let Body::Control(_) = body {
            return Verdict::Admit;
        }
        if header.schema_version > state.schema.0 {
            return Verdict::Hold;
        }
        if header.schema_version < state.schema.0 {
            let fields: [(&str, &dyn std::fmt::Display); 2] = [("expected", &state.schema.0), ("actual", &header.schema_version)];
            return refuse(Error::about(Code::SCHEMA_MISMATCH, &fields));
        }
        match stale_partition(state, body) {
            Some(partition) => refuse(Error::about(Code::PARTITION_NOT_FOUND, &[("partition", &partition)])),
            None => Verdict::Admit,
        }
    }
}

fn stale_partition(state: &ShardState, body: &Body) -> Option<PartitionId> {
    let (rows, keys) = match body {
        Body::Insert(rows) => (Some(rows), None),
        Body::Delete(keys) => (None, Some(keys)),
        Body::Upsert { keys, rows } => (Some(rows), Some(keys)),
        _ => (None, None),
    };
    let named = rows.into_iter().flat_map(|rows| rows.runs.iter().map(|run| run.0)).chain(keys.and_then(|keys| keys.partition));
    let dropped = &state.dropped_partitions;
    named.into_iter().find(|partition| dropped.contains_key(partition))
}

/// Ids grow, so the lowest is the oldest.
fn insert_bounded<K: Ord>(map: &mut BTreeMap<K, Receipt>, key: K, receipt: Receipt, entries_max: usize) {
    map.insert(key, receipt);
    while map.len() > entries_max {
        map.pop_first();
    }
}
