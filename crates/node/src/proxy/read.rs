//! What searches and queries have in common: which rows count, how fresh they must be, whom to ask.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use role::query::{Leader, QueryNode, QueryRequest, QueryResponse, ReadAt, Scope};
use types::collection::{Collection, Consistency};
use types::id::{FieldId, NodeId, PartitionId, ShardId};
use types::time::Timestamp;
use types::value::{KeyRef, Value};
use types::{Code, Error, Result};

use super::context::Context;
use super::params::Common;
use super::serving::Served;
use super::{Proxy, hash, route};

use expr::Plan;

/// Waits before nodes are looked for anew when all refuse or are away: doubled from the first to the last.
const RETRY_FIRST: Duration = Duration::from_millis(10);
const RETRY_LAST: Duration = Duration::from_millis(500);
/// How long a shard that nobody serves is waited for: its nodes have gone, perhaps querycoord with them, and others take it up in less.
const MOVE_MAX: Duration = Duration::from_secs(10);

/// Guarantee timestamps that aren't timestamps.
const EVENTUALLY: u64 = 1;
const BOUNDED: u64 = 2;

/// What a request says about freshness.
#[derive(Clone, Copy, Debug)]
pub struct Freshness {
    /// The level's number; 0 also where the client names none.
    pub level: i32,
    /// The collection's level is meant.
    pub use_default: bool,
    /// A timestamp, or one of the small numbers that stand for a level.
    pub guarantee: u64,
    /// An iteration reads at its timestamp, not after it.
    pub iterator: bool,
}

impl Freshness {
    /// What a shard must do before it reads (`docs/design.md` §5).
    ///
    /// A session's timestamp was acknowledged, so it lies below the end of the log, as does every timestamp that a client can have: all such
    /// reads are barriers.
    pub fn read_at(&self, collection: Consistency, graceful: Duration) -> Result<ReadAt> {
        if self.iterator && self.guarantee > BOUNDED {
            return Ok(ReadAt::Snapshot(Timestamp(self.guarantee)));
        }
        let level = match self.use_default {
            true => collection,
            false => {
                Consistency::from_number(self.level).ok_or_else(|| Error::invalid(format!("invalid consistency level: {}", self.level)))?
            }
        };
        // Requests of SDKs that know no levels carry level 0 and a timestamp.
        let named = !self.use_default && matches!(level, Consistency::Strong | Consistency::Customized);
        Ok(match (level, self.guarantee) {
            (_, EVENTUALLY) if named => ReadAt::Applied,
            (_, BOUNDED) if named => ReadAt::Within(graceful),
            (Consistency::Bounded, _) => ReadAt::Within(graceful),
            (Consistency::Eventually, _) => ReadAt::Applied,
            (Consistency::Strong | Consistency::Session | Consistency::Customized, _) => ReadAt::Barrier,
        })
    }
}

/// A read of a collection's rows.
pub struct Reading<'a> {
    /// Whom to ask through.
    pub proxy: &'a Proxy,
    /// Of which request.
    pub context: &'a Context,
    /// Where.
    pub collection: &'a Arc<Collection>,
    /// Rows that count.
    pub plan: Plan,
    /// Only these partitions.
    pub partitions: Option<Vec<PartitionId>>,
    /// Freshness.
    pub at: ReadAt,
    /// Columns to return.
    pub output: Vec<FieldId>,
    /// Only rows that are in segments.
    pub ignore_growing: bool,
    /// `search`, `query` or `delete`: for texts.
    pub what: &'static str,
}

impl Reading<'_> {
    /// Asks every shard at one of its nodes, at another one where that fails, again where nodes have moved; gives the answers in order of the
    /// shards.
    ///
    /// # Errors
    /// 101 and 201 where it isn't loaded; a node's error with the node's number.
    pub async fn ask<T, F>(&self, ask: impl Fn(Arc<dyn QueryNode>, Scope) -> F) -> Result<Vec<(ShardId, T)>>
    where
        F: Future<Output = Result<T>>,
    {
        let began = self.proxy.world.clock.now();
        let partitions = self.pruned_partitions();
        let served = self.served(partitions.as_deref()).await?;
        let asked = self.collection.shards().map(|(shard, _)| self.ask_shard((shard, &partitions), served.clone(), &ask));
        let answers = try_join_all(asked).await?;
        self.context.note(|figures| figures.shards += self.proxy.world.clock.now() - began);
        Ok(answers)
    }

    async fn ask_shard<T, F>(
        &self,
        (shard, partitions): (ShardId, &Option<Vec<PartitionId>>),
        mut served: Arc<Served>,
        ask: &impl Fn(Arc<dyn QueryNode>, Scope) -> F,
    ) -> Result<(ShardId, T)>
    where
        F: Future<Output = Result<T>>,
    {
        let (serving, replicas, clock) = (&self.proxy.serving, &self.proxy.replicas, &self.proxy.world.clock);
        let until = self.context.call.deadline.min(clock.now() + MOVE_MAX);
        let mut wait = RETRY_FIRST;
        // Nodes that failed since they were last looked for.
        let mut failed: Vec<NodeId> = Vec::new();
        loop {
            let there: Vec<&Leader> =
                served.leaders.iter().filter(|leader| leader.shard == shard && !failed.contains(&leader.node)).collect();
            let (leader, asking) = replicas.choose(&there).ok_or_else(|| Error::internal("a shard without a leader is asked"))?;
            let answer = async { ask(self.proxy.peers.query_node(leader)?, self.scope(shard, partitions.clone())).await }.await;
            drop(asking);
            let error = match answer {
                Ok(answer) => return Ok((shard, answer)),
                Err(error) => error,
            };
            if is_away(error.code()) {
                replicas.avoid(leader.node);
            }
            let others = there.len() > 1;
            let elsewhere = others && may_be_the_nodes(error.code());
            let again = elsewhere || has_moved(error.code()) && clock.now() < until;
            if !again {
                return Err(self.failure(leader.node.0, error));
            }
            tracing::debug!(%shard, node = %leader.node, %error, others, "a read is tried again");
            if others {
                failed.push(leader.node);
                serving.doubt(self.collection.id);
                continue;
            }
            serving.forget(self.collection.id);
            clock.sleep_until((clock.now() + wait).min(until)).await;
            wait = (wait * 2).min(RETRY_LAST);
            failed.clear();
            served = self.served(partitions.as_deref()).await?;
        }
    }

    /// Queries every shard.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn query(&self, limit: Option<usize>, count: bool) -> Result<Vec<(ShardId, QueryResponse)>> {
        let call = &self.context.call;
        self.ask(|node, scope| async move { node.query(call, QueryRequest { scope, limit, count }).await }).await
    }

    async fn served(&self, partitions: Option<&[PartitionId]>) -> Result<Arc<Served>> {
        let serving = &self.proxy.serving;
        let lacks = |served: &Served| partitions.and_then(|partitions| served.lacks(partitions));
        let of = || async { self.served_soon().await.map_err(|error| self.not_loaded(error)) };
        let mut served = of().await?;
        if lacks(&served).is_some() {
            serving.forget(self.collection.id);
            served = of().await?;
        }
        let Some(partition) = lacks(&served) else { return Ok(served) };
        let name = self.collection.partitions.iter().find(|known| known.id == partition).map_or("", |known| &known.name);
        Err(self.not_loaded(Error::about(Code::PARTITION_NOT_LOADED, &[("partition", &name)])))
    }

    async fn served_soon(&self) -> Result<Arc<Served>> {
        let (clock, call) = (&self.proxy.world.clock, &self.context.call);
        let until = call.deadline.min(clock.now() + MOVE_MAX);
        let mut wait = RETRY_FIRST;
        loop {
            match self.proxy.serving.of(call, self.collection).await {
                Err(error) if error.code() == Code::COLLECTION_NOT_FULLY_LOADED && clock.now() < until => {}
                served => return served,
            }
            clock.sleep_until((clock.now() + wait).min(until)).await;
            wait = (wait * 2).min(RETRY_LAST);
        }
    }

    fn not_loaded(&self, error: Error) -> Error {
        let named = matches!(error.code(), Code::COLLECTION_NOT_LOADED | Code::PARTITION_NOT_LOADED | Code::COLLECTION_NOT_FULLY_LOADED);
        if named { error.context(format!("failed to {}", self.what)) } else { error }
    }

    fn failure(&self, node: i64, error: Error) -> Error {
        match error.code() {
            // Querycoord says that it is loaded, and each node that it names that it isn't.
            Code::COLLECTION_NOT_LOADED | Code::PARTITION_NOT_LOADED => {
                self.not_loaded(Error::about(Code::COLLECTION_NOT_FULLY_LOADED, &[("collection", &self.collection.name)]))
            }
            Code::TIMEOUT | Code::CANCELED => error,
            _ if self.what == "search" => error.context(format!("fail to search on QueryNode {node}")),
            _ => error.context(format!("fail to Query on QueryNode {node}")),
        }
    }

    fn scope(&self, shard: ShardId, partitions: Option<Vec<PartitionId>>) -> Scope {
        Scope {
            shard,
            partitions,
            at: self.at,
            schema_version: self.collection.schema.version,
            ignore_growing: self.ignore_growing,
            filter: self.plan.clone(),
            output: self.output.clone(),
            output_bytes_max: self.proxy.config().limits.output_bytes,
        }
    }

    /// The partitions that can hold a row that counts: those that are named, or those of the partition keys that the filter names.
    fn pruned_partitions(&self) -> Option<Vec<PartitionId>> {
        if self.partitions.is_some() {
            return self.partitions.clone();
        }
        let key = self.collection.schema.partition_key()?;
        let values = self.plan.values_of(key.id).filter(|values| !values.is_empty())?;
        let all = route::hashed_partitions(self.collection);
        let of = |value: &Value| match value {
            Value::Int(key) => Some(all[hash::place(KeyRef::Int(*key), all.len())].id),
            Value::String(key) => Some(all[hash::place(KeyRef::String(key), all.len())].id),
            Value::Bool(_) | Value::Float(_) => None,
        };
        let mut partitions = values.iter().map(of).collect::<Option<Vec<_>>>()?;
        partitions.sort_unstable();
        partitions.dedup();
        Some(partitions)
    }
}

/// Whether asking querycoord again may lead to a node that answers.
fn has_moved(code: Code) -> bool {
    matches!(
        code,
        Code::CHANNEL_MISROUTED
            | Code::CHANNEL_NOT_FOUND
            | Code::CHANNEL_NOT_AVAILABLE
            | Code::NODE_NOT_FOUND
            | Code::SERVICE_NOT_READY
            | Code::SERVICE_UNAVAILABLE
            | Code::COLLECTION_NOT_LOADED
            | Code::PARTITION_NOT_LOADED
            // This caller hasn't gone: the node has.
            | Code::CANCELED
    )
}

/// Whether the node didn't answer at all.
fn is_away(code: Code) -> bool {
    matches!(code, Code::SERVICE_UNAVAILABLE | Code::CANCELED | Code::NODE_NOT_FOUND)
}

/// Whether the failure may be the node's own: another one that serves the same has files and memory of its own.
fn may_be_the_nodes(code: Code) -> bool {
    !code.input() && code != Code::TIMEOUT
}

/// An iteration must not go on with another collection under the same name.
pub fn check_iteration(common: &Common, collection: &Collection) -> Result<()> {
    match &common.collection_id {
        Some(id) if *id != collection.id.to_string() => Err(Error::invalid(format!(
            "collection id:{id} in the request is not consistent to that in the search context, \
             alias or database may have been changed: {}",
            collection.id
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        let graceful = Duration::from_secs(5);
        let within = ReadAt::Within(graceful);
        let named = |level: i32, guarantee: u64| Freshness { level, use_default: false, guarantee, iterator: false };
        let default = |guarantee: u64| Freshness { level: 0, use_default: true, guarantee, iterator: false };
        let iteration = |guarantee: u64| Freshness { iterator: true, ..default(guarantee) };
        let (strong, bounded) = (Consistency::Strong, Consistency::Bounded);
        let cases = [
            (named(0, 0), bounded, ReadAt::Barrier),
            (named(0, 1), bounded, ReadAt::Applied),
            (named(0, 2), bounded, within),
            (named(0, 77 << 18), bounded, ReadAt::Barrier),
            (named(1, 1), bounded, ReadAt::Barrier),
            (named(1, 77 << 18), bounded, ReadAt::Barrier),
            (named(2, 2), strong, within),
            (named(3, 1), strong, ReadAt::Applied),
            (named(4, 1), strong, ReadAt::Applied),
            (named(4, 77 << 18), strong, ReadAt::Barrier),
            (default(1), strong, ReadAt::Barrier),
            (default(1), bounded, within),
            (default(77 << 18), bounded, within),
            (default(1), Consistency::Session, ReadAt::Barrier),
            (default(1), Consistency::Eventually, ReadAt::Applied),
            (iteration(77 << 18), bounded, ReadAt::Snapshot(Timestamp(77 << 18))),
            (iteration(0), strong, ReadAt::Barrier),
            (iteration(1), bounded, within),
        ];
        for (freshness, collection, at) in cases {
            assert_eq!(freshness.read_at(collection, graceful), Ok(at), "{freshness:?} {collection:?}");
        }
        assert!(named(9, 0).read_at(strong, graceful).is_err());
    }
}
