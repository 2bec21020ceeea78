//! querycoord: what is to be served, and by whom.
//!
//! A load records a wish in meta. From there [`plan`] says what is to be done, given what nodes say that they hold ([`nodes`]), after
//! each change of the catalog, of the members, and after each answer of a node. A new leader, or a new process, finds the wishes
//! in meta and the rest at the nodes: nobody loads again, and what is served goes on being served.
//!
//! Start at [`Query::reconcile`].

mod nodes;
mod plan;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use meta::catalog::Loaded;
use meta::catalog::document::Versioned;
use meta::catalog::model;
use role::Call;
use role::query::{Leader, LoadRequest, LoadState, QueryCoord, ServeShard, Wanted};
use types::id::{CollectionId, PartitionId, ShardId};
use types::time::Timestamp;
use types::{Code, Error, Result};

use crate::context::Context;
use crate::reconcile::{ROUND_MAX, rounds};
use crate::seat::{Coordinator, Office};
use crate::view::collection as found;
use nodes::Nodes;
use plan::Wish;

/// The property that says how many replicas a load gets that names no number.
const REPLICAS_PROPERTY: &str = "collection.replica.number";
/// How long a load or a release waits for nodes; they go on behind it.
const SETTLE_MAX: Duration = Duration::from_secs(10);
/// How long a round waits for answers before it plans anew all the same: what failed is tried again meanwhile.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// The coordinator of serving.
pub struct Query {
    context: Context,
    nodes: Arc<Nodes>,
}

impl Coordinator for Query {
    const OFFICE: Office = Office::Query;

    fn begin(context: Context) -> Arc<Self> {
        let nodes = Nodes::new(context.clone());
        Arc::new(Self { context, nodes })
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
    /// Brings what nodes serve to what is wanted, and returns when nothing more is to be done.
    ///
    /// # Errors
    /// The first failure that stands; everything else was done. `TIMEOUT`: nodes are still at it.
    pub async fn reconcile(&self, call: &Call) -> Result<()> {
        self.settle(call, |_| true).await?;
        self.nodes.silence().map_or(Ok(()), Err)
    }

    /// [`Self::reconcile`], as far as some shards are concerned.
    async fn settle(&self, call: &Call, of: impl Fn(ShardId) -> bool) -> Result<()> {
        let clock = &self.context.world.clock;
        let (mut answers, mut members) = (self.nodes.answers(), self.context.member_changes());
        let mut changes = self.context.view.changes();
        loop {
            answers.mark_unchanged();
            members.mark_unchanged();
            changes.mark_unchanged();
            self.round();
            if self.nodes.under_way(&of) == 0 {
                return self.nodes.failure(&of).map_or(Ok(()), Err);
            }
            tokio::select! {
                biased;
                () = self.context.ended.cancelled() => return Err(over()),
                _ = answers.changed() => {}
                _ = members.changed() => {}
                _ = changes.changed() => {}
                () = clock.sleep_until((clock.now() + ANSWER_WAIT).min(call.deadline)) => {}
            }
            if clock.now() >= call.deadline {
                return self.nodes.failure(&of).map_or_else(|| Err(Error::timeout("query nodes")), Err);
            }
        }
    }

    /// Plans from what is known now, and begins what is to be done.
    fn round(&self) {
        self.nodes.follow(&self.context.members().query_nodes.clone());
        if !self.nodes.are_known() {
            return;
        }
        let views = self.nodes.views();
        let held: BTreeSet<CollectionId> = views.iter().flat_map(|node| node.shards.keys().map(|shard| shard.collection)).collect();
        let plan = plan::plan(&self.wishes(), &views, &self.unreadable(held));
        self.nodes.set_lacking(plan.lacking);
        plan.actions.into_iter().for_each(|action| self.nodes.start(action));
    }

    /// Waits until nodes have said what they serve, or long enough: at the beginning of a term nobody knows.
    async fn known(&self) {
        let (clock, mut answers) = (&self.context.world.clock, self.nodes.answers());
        loop {
            answers.mark_unchanged();
            self.nodes.follow(&self.context.members().query_nodes.clone());
            if self.nodes.are_known() {
                return;
            }
            tokio::select! {
                biased;
                () = self.context.ended.cancelled() => return,
                _ = answers.changed() => {}
                () = clock.sleep(ANSWER_WAIT) => {}
            }
        }
    }

    fn wishes(&self) -> Vec<Wish> {
        self.context.view.read(|loaded| {
            let loads = loaded.loads.values().filter_map(|load| {
                let collection = loaded.collections.get(&load.value.collection).filter(|found| found.value.is_created())?;
                Some((&load.value, &collection.value))
            });
            let shards = loads.flat_map(|(load, collection)| {
                let indexes = loaded.indexes.get(&collection.id).map(|found| found.value.definitions.clone()).unwrap_or_default();
                collection.shards().map(move |(shard, channel)| {
                    let request = ServeShard {
                        shard,
                        channel: channel.clone(),
                        partitions: load.partitions.clone(),
                        indexes: indexes.clone(),
                        manifest: loaded.shards.get(&shard).map_or(0, |found| found.value.version()),
                    };
                    Wish { request: Arc::new(request), replicas: load.replicas.max(1) as usize }
                })
            });
            shards.collect()
        })
    }

    /// Those of which nobody can tell whether they are wanted: their documents are damaged.
    fn unreadable(&self, collections: BTreeSet<CollectionId>) -> BTreeSet<CollectionId> {
        let is_damaged = |loaded: &Loaded, id: &CollectionId| {
            loaded.damage::<model::Load>(id).is_some() || loaded.damage::<model::Collection>(id).is_some()
        };
        self.context.view.read(|loaded| collections.into_iter().filter(|id| is_damaged(loaded, id)).collect())
    }

    /// Waits a little for what a changed wish leads to.
    async fn settle_collection(&self, call: &Call, collection: CollectionId) -> Result<()> {
        let soon = Call { deadline: call.deadline.min(self.context.world.clock.now() + SETTLE_MAX), ..call.clone() };
        match self.settle(&soon, |shard| shard.collection == collection).await {
            // The wish is recorded: clients ask how far it is.
            Err(error) if error.code() == Code::TIMEOUT => Ok(()),
            settled => settled,
        }
    }

    /// How many replicas a load gets.
    fn replicas(&self, request: &LoadRequest, owner: &model::Collection, old: Option<&model::Load>) -> Result<u32> {
        let asked = match request.replicas {
            0 => old.map(|old| old.replicas).or_else(|| owner.properties.get(REPLICAS_PROPERTY)?.trim().parse().ok()).unwrap_or(1).max(1),
            asked => asked,
        };
        let Some(old) = old else {
            // One may come; that many at once won't.
            return match asked > 1 && asked as usize > self.context.members().query_nodes.len() {
                true => Err(Error::about(Code::RESOURCE_INSUFFICIENT, &[]).context(format_args!("when load {asked} replica count"))),
                false => Ok(asked),
            };
        };
        if asked != old.replicas {
            let what = if request.partitions.is_some() { "partitions" } else { "collection" };
            return Err(Error::expected(format_args!("can't change the replica number for loaded {what}"), old.replicas, asked));
        }
        Ok(asked)
    }
}

fn over() -> Error {
    Error::new(Code::SERVICE_NOT_READY, "this coordinator no longer leads: service not ready")
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
    async fn load(&self, call: &Call, request: LoadRequest) -> Result<()> {
        let since = Timestamp::from_millis(self.context.world.clock.wall_ms());
        let collection = request.collection;
        let plan = |loaded: &Loaded| {
            let owner = found(loaded, collection)?;
            if !owner.value.is_created() {
                return Err(Error::about(Code::COLLECTION_NOT_FOUND, &[("collection", &collection)]));
            }
            let old = wish(loaded, collection)?;
            let replicas = self.replicas(&request, &owner.value, old.map(|old| &old.value))?;
            let partitions = joined(old.map(|old| &old.value), request.partitions.clone());
            if old.is_some_and(|old| old.value.partitions == partitions) {
                return Ok((None, ()));
            }
            let load = model::Load { collection, partitions, fields: None, replicas, resource_groups: Vec::new(), since };
            // Beside a drop, which takes the wish away, it must come before or not at all.
            Ok((Some(self.context.change().unchanged(owner).put(old, &load)), ()))
        };
        self.context.transact(plan).await?;
        self.settle_collection(call, collection).await
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
        self.settle_collection(call, collection).await
    }

    async fn load_state(&self, _call: &Call, collection: CollectionId) -> Result<LoadState> {
        let found = self.context.view.read(|loaded| {
            let shards = loaded.collections.get(&collection).map_or(0, |found| found.value.channels.len());
            (loaded.loads.get(&collection).map(|load| load.value.clone()), shards)
        });
        let (Some(load), shards) = found else { return Ok(LoadState::default()) };
        self.known().await;
        let replicas = load.replicas.min(self.context.members().query_nodes.len() as u32).max(1) as usize;
        let mut done = 0;
        let serving = self.nodes.serving(|shard| shard.collection == collection);
        for of_shard in serving.chunk_by(|(one, _), (other, _)| one.shard == other.shard) {
            done += of_shard.iter().filter(|(_, request)| request.partitions == load.partitions).count().min(replicas);
        }
        let progress = (done * 100 / (shards * replicas).max(1)) as u8;
        let failure = self.nodes.failure(|shard| shard.collection == collection).map(|error| error.reason().to_owned());
        let wanted = load.partitions.map_or(Wanted::Collection, Wanted::Partitions);
        Ok(LoadState { wanted: Some(wanted), replicas: load.replicas, progress, failure })
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
        self.known().await;
        Ok(self.nodes.serving(|shard| shard.collection == collection).into_iter().map(|(leader, _)| leader).collect())
    }
}
