//! querycoord: what is to be served, and by whom.
//!
//! A load records a wish in meta and lets query nodes know; a new process finds the wish there and serves without anybody loading again.

mod plan;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use meta::catalog::Loaded;
use meta::catalog::document::Versioned;
use meta::catalog::model;
use parking_lot::Mutex;
use role::Call;
use role::query::{Leader, LoadState, QueryCoord, ServeShard, Wanted};
use types::id::{CollectionId, PartitionId, ShardId};
use types::time::Timestamp;
use types::{Code, Error, Result};

use crate::context::Context;
use crate::reconcile::{ROUND_MAX, rounds};
use crate::seat::{Coordinator, Office};
use crate::view::collection as found;
use plan::Served;

/// The coordinator of serving.
pub struct Query {
    context: Context,
    /// What nodes confirmed, by shard.
    served: Mutex<BTreeMap<ShardId, Served>>,
    /// One reconciliation at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Coordinator for Query {
    const OFFICE: Office = Office::Query;

    fn begin(context: Context) -> Arc<Self> {
        Arc::new(Self { context, served: Mutex::default(), turn: tokio::sync::Mutex::new(()) })
    }

    fn run(self: &Arc<Self>) {
        rounds(self, "serving", |query| async move {
            let call = Call::within(&query.context.world, ROUND_MAX, "reconcile");
            query.reconcile(&call).await
        });
    }

    fn context(&self) -> &Context {
        &self.context
    }
}

impl Query {
    /// Brings what nodes serve to what is wanted.
    ///
    /// # Errors
    /// The first shard that failed; others were tried. Call again.
    pub async fn reconcile(&self, call: &Call) -> Result<()> {
        let _turn = self.turn.lock().await;
        let members = self.context.members().query_nodes.clone();
        let wanted = self.wanted();
        // What was served by nodes that have gone is served by nobody.
        self.served.lock().retain(|_, served| members.contains(&served.member));
        let actual = self.served.lock().clone();
        let mut failed = None;
        for action in plan::actions(&wanted, &actual, &members) {
            if let Err(error) = self.act(call, action).await {
                tracing::warn!(%error, "a shard isn't served as wanted yet");
                failed.get_or_insert(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn act(&self, call: &Call, action: plan::Action) -> Result<()> {
        match action {
            plan::Action::Serve { member, request } => {
                let shard = request.shard;
                let result = match self.context.peers.query_node(&member.address) {
                    Ok(node) => node.serve(call, request.clone()).await,
                    Err(error) => Err(error),
                };
                let failure = result.as_ref().err().map(|error| error.reason().to_owned());
                self.served.lock().insert(shard, Served { member, request, failure });
                result
            }
            plan::Action::Release { member, shard } => {
                // Until the node has said so it may serve on.
                self.context.peers.query_node(&member.address)?.release(call, shard).await?;
                self.served.lock().remove(&shard);
                Ok(())
            }
        }
    }

    fn wanted(&self) -> Vec<ServeShard> {
        self.context.view.read(|loaded| {
            let loads = loaded.loads.values().filter_map(|load| {
                let collection = loaded.collections.get(&load.value.collection).filter(|found| found.value.is_created())?;
                Some((&load.value, &collection.value))
            });
            let shards = loads.flat_map(|(load, collection)| {
                let indexes = loaded.indexes.get(&collection.id).map(|found| found.value.definitions.clone()).unwrap_or_default();
                collection.shards().map(move |(shard, channel)| ServeShard {
                    shard,
                    channel: channel.clone(),
                    partitions: load.partitions.clone(),
                    indexes: indexes.clone(),
                    manifest: loaded.shards.get(&shard).map_or(0, |found| found.value.version()),
                })
            });
            shards.collect()
        })
    }
}

/// The wish for a collection that is there.
///
/// # Errors
/// Damage, by name.
fn wish(loaded: &Loaded, collection: CollectionId) -> Result<Option<&Versioned<model::Load>>> {
    match loaded.damage::<model::Load>(&collection) {
        Some(damage) => Err(damage.clone()),
        None => Ok(loaded.loads.get(&collection)),
    }
}

/// Partitions that are wanted after a load of `more`; `None` means all.
fn joined(old: Option<&model::Load>, more: Option<Vec<PartitionId>>) -> Option<Vec<PartitionId>> {
    match (old.map(|old| old.partitions.clone()), more) {
        (Some(None), _) | (_, None) => None,
        (Some(Some(mut there)), Some(more)) => {
            there.extend(more);
            there.sort_unstable();
            there.dedup();
            Some(there)
        }
        (None, Some(more)) => Some(more),
    }
}

/// Partitions that are wanted after a release of `gone`, or of all.
fn left(old: &Versioned<model::Load>, owner: &model::Collection, gone: Option<&[PartitionId]>) -> Vec<PartitionId> {
    let Some(gone) = gone else { return Vec::new() };
    let all = || owner.partitions.iter().map(|partition| partition.id).collect();
    let there = old.value.partitions.clone().unwrap_or_else(all);
    there.into_iter().filter(|partition| !gone.contains(partition)).collect()
}

#[async_trait]
impl QueryCoord for Query {
    async fn load(&self, call: &Call, collection: CollectionId, partitions: Option<Vec<PartitionId>>) -> Result<()> {
        let since = Timestamp::from_millis(self.context.world.clock.wall_ms());
        let plan = |loaded: &Loaded| {
            let owner = found(loaded, collection)?;
            if !owner.value.is_created() {
                return Err(Error::about(Code::COLLECTION_NOT_FOUND, &[("collection", &collection)]));
            }
            let old = wish(loaded, collection)?;
            let partitions = joined(old.map(|old| &old.value), partitions.clone());
            if old.is_some_and(|old| old.value.partitions == partitions) {
                return Ok((None, ()));
            }
            let load = model::Load { collection, partitions, fields: None, replicas: 1, resource_groups: Vec::new(), since };
            // Beside a drop, which takes the wish away, it must come before or not at all.
            Ok((Some(self.context.change().unchanged(owner).put(old, &load)), ()))
        };
        self.context.transact(plan).await?;
        self.reconcile(call).await
    }

    async fn release(&self, call: &Call, collection: CollectionId, partitions: Option<Vec<PartitionId>>) -> Result<()> {
        let plan = |loaded: &Loaded| {
            let Some(old) = wish(loaded, collection)? else { return Ok((None, ())) };
            let owner = found(loaded, collection)?;
            let left = left(old, &owner.value, partitions.as_deref());
            let change = self.context.change().unchanged(owner);
            Ok((
                Some(match left.is_empty() {
                    true => change.remove(old),
                    false => change.replace(old, &model::Load { partitions: Some(left), ..old.value.clone() }),
                }),
                (),
            ))
        };
        self.context.transact(plan).await?;
        self.reconcile(call).await
    }

    async fn load_state(&self, _call: &Call, collection: CollectionId) -> Result<LoadState> {
        let found = self.context.view.read(|loaded| {
            let shards = loaded.collections.get(&collection).map(|found| found.value.shards().map(|(shard, _)| shard).collect::<Vec<_>>());
            (loaded.loads.get(&collection).map(|load| load.value.clone()), shards.unwrap_or_default())
        });
        let (Some(load), shards) = found else { return Ok(LoadState { wanted: None, progress: 0, failure: None }) };
        let served = self.served.lock();
        let of_collection: Vec<&Served> = shards.iter().filter_map(|shard| served.get(shard)).collect();
        let done = of_collection.iter().filter(|served| served.failure.is_none() && served.request.partitions == load.partitions).count();
        let wanted = load.partitions.map_or(Wanted::Collection, Wanted::Partitions);
        let failure = of_collection.iter().find_map(|served| served.failure.clone());
        Ok(LoadState { wanted: Some(wanted), progress: (done * 100 / shards.len().max(1)) as u8, failure })
    }

    async fn leaders(&self, _call: &Call, collection: CollectionId) -> Result<Vec<Leader>> {
        self.context.view.read(|loaded| {
            let owner = found(loaded, collection)?;
            if wish(loaded, collection)?.is_none() {
                return Err(Error::about(Code::COLLECTION_NOT_LOADED, &[("collection", &collection)]));
            }
            let damage = owner.value.shards().find_map(|(shard, _)| loaded.damage_of_shard(shard));
            damage.cloned().map_or(Ok(()), Err)
        })?;
        let served = self.served.lock();
        let of_collection = served.range(ShardId::new(collection, 0)..=ShardId::new(collection, u16::MAX));
        let serving = of_collection.filter(|(_, served)| served.failure.is_none());
        Ok(serving
            .map(|(shard, Served { member, .. })| Leader { shard: *shard, node: member.node, address: member.address.clone() })
            .collect())
    }
}
