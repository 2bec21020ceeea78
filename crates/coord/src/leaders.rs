//! The coordinators as every process calls them: whoever leads now, here or elsewhere.
//!
//! Leaders' keys in meta are followed; while meta is away the leaders that were known stay in use. A call that meets nobody, or somebody who no
//! longer leads, is made again at the next leader, within its deadline and [`TAKEOVER_MAX`]; what coordinators do may be repeated.
//! Routes that were known stay in use while datacoord is away (`docs/design.md` rule 9).
//!
//! Start at [`Leaders::follow`]; the way of a call is [`Leaders::at`].

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::World;
use base::watch;
use meta::election::Leader as Key;
use meta::mirror::Mirror;
use meta::store::{Meta, MetaError};
use parking_lot::Mutex;
use role::Call;
use role::data::{CheckpointPointer, CurrentManifest, DataCoord, FlushStarted, ManifestEdit, Route, SegmentInfo};
use role::index::{CreateIndex, IndexCoord, IndexStatus};
use role::peers::Peers;
use role::query::{Leader, LoadRequest, LoadState, QueryCoord};
use role::root::{CollectionRef, CreateCollection, RootCoord};
use types::collection::Collection;
use types::id::{ChannelName, CollectionId, PartitionId, ShardId, WriterId};
use types::schema::Field;
use types::time::Timestamp;
use types::{Code, Error, Result};

use crate::seat::Office;

/// How long a call looks for a leader that answers: a takeover takes less.
const TAKEOVER_MAX: Duration = Duration::from_secs(5);
/// How long whoever knows routes waits for newer ones.
const ROUTES_MAX: Duration = Duration::from_secs(1);
/// Waits between two tries: doubled from the first to the last.
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_LAST: Duration = Duration::from_millis(320);
/// Before keys are listed again when meta was away.
const LIST_RETRY: Duration = Duration::from_millis(200);

type Present = BTreeMap<String, Key>;

/// Who leads, as this process knows it.
pub struct Leaders {
    world: World,
    peers: Arc<Peers>,
    present: watch::Sender<Present>,
    /// As datacoord last gave them.
    routes: Mutex<Vec<Route>>,
}

impl Leaders {
    /// Nobody is known yet.
    pub fn new(world: &World, peers: Arc<Peers>) -> Arc<Self> {
        Arc::new(Self { world: world.clone(), peers, present: watch::Sender::default(), routes: Mutex::default() })
    }

    /// Follows the leaders' keys for as long as the process lives. Where meta is away it is waited for.
    pub fn follow(self: &Arc<Self>, meta: &Arc<dyn Meta>) {
        let (leaders, meta) = (self.clone(), meta.clone());
        self.world.tasks.spawn(async move { leaders.keep_level(&meta).await }).detach();
    }

    async fn keep_level(&self, meta: &Arc<dyn Meta>) {
        loop {
            match Mirror::<Key>::open(meta, &self.world.clock).await {
                Ok((mut keys, _)) => loop {
                    let there = keys.documents().iter().map(|(office, key)| (office.clone(), key.value.clone())).collect();
                    self.take(there);
                    if let Err(error) = keys.next().await {
                        tracing::error!(%error, "the leaders' keys can't be followed");
                        break;
                    }
                },
                Err(MetaError::Damaged(error)) => tracing::error!(%error, "the leaders' keys can't be read"),
                Err(error) => tracing::debug!(%error, "waiting for meta to list leaders"),
            }
            self.world.clock.sleep(LIST_RETRY).await;
        }
    }

    /// Who has gone stays known until another one leads: it may be meta that is away.
    fn take(&self, there: Present) {
        self.present.send_if_modified(|known| {
            let mut next = known.clone();
            next.extend(there);
            let changed = *known != next;
            *known = next;
            changed
        });
    }

    /// Which offices have, or had, a leader.
    pub fn known(&self) -> Vec<String> {
        self.present.borrow().keys().cloned().collect()
    }

    /// Asks the leader of an office; asks again where nobody is, or somebody who no longer leads.
    async fn at<R: ?Sized, T, F>(
        &self,
        call: &Call,
        office: Office,
        pick: impl Fn(&Peers, &str) -> Result<Arc<R>>,
        ask: impl Fn(Arc<R>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let until = call.deadline.min(self.world.clock.now() + TAKEOVER_MAX);
        let search = Call { deadline: until, ..call.clone() };
        let mut present = self.present.subscribe();
        let mut wait = RETRY_FIRST;
        loop {
            let known = async {
                let found = present.wait_for(|present| present.contains_key(office.name())).await;
                found.ok().and_then(|present| present.get(office.name()).cloned()).ok_or_else(|| nobody(office))
            };
            let key = search.bound("a leader", known).await.map_err(|_| nobody(office))?;
            let asked = async { ask(pick(&self.peers, &key.address)?).await };
            let result = tokio::select! {
                biased;
                result = asked => result,
                // Its successor is there: a call that waits for one who stands still would wait for nothing.
                _ = present.wait_for(|present| present.get(office.name()) != Some(&key)) => Err(nobody(office)),
            };
            match result {
                Err(error) if may_be_elsewhere(&error) && self.world.clock.now() < until => {
                    tracing::debug!(office = office.name(), address = key.address, %error, "a coordinator is asked again");
                }
                result => return result,
            }
            let next = self.world.clock.now() + wait;
            wait = (wait * 2).min(RETRY_LAST);
            tokio::select! {
                biased;
                _ = present.wait_for(|present| present.get(office.name()) != Some(&key)) => {}
                () = self.world.clock.sleep_until(next.min(until)) => {}
            }
        }
    }

    async fn root<T, F: Future<Output = Result<T>>>(&self, call: &Call, ask: impl Fn(Arc<dyn RootCoord>) -> F) -> Result<T> {
        self.at(call, Office::Root, Peers::root_coord, ask).await
    }

    async fn data<T, F: Future<Output = Result<T>>>(&self, call: &Call, ask: impl Fn(Arc<dyn DataCoord>) -> F) -> Result<T> {
        self.at(call, Office::Data, Peers::data_coord, ask).await
    }

    async fn query<T, F: Future<Output = Result<T>>>(&self, call: &Call, ask: impl Fn(Arc<dyn QueryCoord>) -> F) -> Result<T> {
        self.at(call, Office::Query, Peers::query_coord, ask).await
    }

    async fn index<T, F: Future<Output = Result<T>>>(&self, call: &Call, ask: impl Fn(Arc<dyn IndexCoord>) -> F) -> Result<T> {
        self.at(call, Office::Index, Peers::index_coord, ask).await
    }
}

fn nobody(office: Office) -> Error {
    Error::new(Code::SERVICE_NOT_READY, format!("no {}coord leads: service not ready", office.name()))
}

/// Whether another process, or the same one a little later, may answer otherwise.
fn may_be_elsewhere(error: &Error) -> bool {
    matches!(error.code(), Code::NODE_NOT_MATCH | Code::SERVICE_UNAVAILABLE | Code::SERVICE_NOT_READY)
}

#[async_trait]
impl RootCoord for Leaders {
    async fn create_collection(&self, call: &Call, request: CreateCollection) -> Result<()> {
        let request = &request;
        self.root(call, |root| async move { root.create_collection(call, request.clone()).await }).await
    }

    async fn drop_collection(&self, call: &Call, database: &str, name: &str) -> Result<()> {
        self.root(call, |root| async move { root.drop_collection(call, database, name).await }).await
    }

    async fn collection(&self, call: &Call, which: &CollectionRef) -> Result<Collection> {
        self.root(call, |root| async move { root.collection(call, which).await }).await
    }

    async fn collections(&self, call: &Call, database: &str) -> Result<Vec<Collection>> {
        self.root(call, |root| async move { root.collections(call, database).await }).await
    }

    async fn create_partition(&self, call: &Call, collection: CollectionId, name: &str) -> Result<()> {
        self.root(call, |root| async move { root.create_partition(call, collection, name).await }).await
    }

    async fn drop_partition(&self, call: &Call, collection: CollectionId, name: &str) -> Result<()> {
        self.root(call, |root| async move { root.drop_partition(call, collection, name).await }).await
    }

    async fn add_field(&self, call: &Call, collection: CollectionId, field: Field) -> Result<()> {
        let field = &field;
        self.root(call, |root| async move { root.add_field(call, collection, field.clone()).await }).await
    }

    async fn databases(&self, call: &Call) -> Result<Vec<String>> {
        self.root(call, |root| async move { root.databases(call).await }).await
    }

    async fn allocate_ids(&self, call: &Call, count: u32) -> Result<Range<i64>> {
        self.root(call, |root| async move { root.allocate_ids(call, count).await }).await
    }

    async fn allocate_timestamp(&self, call: &Call) -> Result<Timestamp> {
        self.root(call, |root| async move { root.allocate_timestamp(call).await }).await
    }

    async fn register_proxy(&self, call: &Call, address: &str) -> Result<WriterId> {
        self.root(call, |root| async move { root.register_proxy(call, address).await }).await
    }
}

#[async_trait]
impl DataCoord for Leaders {
    async fn routes(&self, call: &Call) -> Result<Vec<Route>> {
        let known = self.routes.lock().clone();
        let ask = |call: Call| async move {
            let call = &call;
            self.data(call, |data| async move { data.routes(call).await }).await
        };
        let fresh = match known.is_empty() {
            true => ask(call.clone()).await,
            false => ask(Call { deadline: call.deadline.min(self.world.clock.now() + ROUTES_MAX), ..call.clone() }).await,
        };
        match fresh {
            Ok(routes) => {
                self.routes.lock().clone_from(&routes);
                Ok(routes)
            }
            Err(error) if known.is_empty() => Err(error),
            Err(error) => {
                tracing::info!(%error, "routes are used as they were last known");
                Ok(known)
            }
        }
    }

    async fn extend_leases(&self, call: &Call, sequencers: &[(ChannelName, u64)]) -> Result<Vec<Duration>> {
        self.data(call, |data| async move { data.extend_leases(call, sequencers).await }).await
    }

    async fn manifest(&self, call: &Call, shard: ShardId) -> Result<CurrentManifest> {
        self.data(call, |data| async move { data.manifest(call, shard).await }).await
    }

    async fn shards_of_channel(&self, call: &Call, channel: &ChannelName) -> Result<Vec<ShardId>> {
        self.data(call, |data| async move { data.shards_of_channel(call, channel).await }).await
    }

    async fn unknown_shards(&self, call: &Call, shards: &[ShardId]) -> Result<Vec<ShardId>> {
        self.data(call, |data| async move { data.unknown_shards(call, shards).await }).await
    }

    async fn edit_manifest(&self, call: &Call, shard: ShardId, edit: ManifestEdit) -> Result<CurrentManifest> {
        let edit = &edit;
        self.data(call, |data| async move { data.edit_manifest(call, shard, edit.clone()).await }).await
    }

    async fn commit_checkpoint(&self, call: &Call, channel: &ChannelName, checkpoint: CheckpointPointer) -> Result<()> {
        let checkpoint = &checkpoint;
        self.data(call, |data| async move { data.commit_checkpoint(call, channel, checkpoint.clone()).await }).await
    }

    async fn checkpoint(&self, call: &Call, channel: &ChannelName) -> Result<Option<CheckpointPointer>> {
        self.data(call, |data| async move { data.checkpoint(call, channel).await }).await
    }

    async fn flush(&self, call: &Call, collection: CollectionId) -> Result<FlushStarted> {
        self.data(call, |data| async move { data.flush(call, collection).await }).await
    }

    async fn is_flushed(&self, call: &Call, collection: CollectionId, timestamp: Timestamp) -> Result<bool> {
        self.data(call, |data| async move { data.is_flushed(call, collection, timestamp).await }).await
    }

    async fn segments(&self, call: &Call, collection: CollectionId) -> Result<Vec<SegmentInfo>> {
        self.data(call, |data| async move { data.segments(call, collection).await }).await
    }

    async fn statistics(&self, call: &Call, collection: CollectionId) -> Result<BTreeMap<PartitionId, u64>> {
        self.data(call, |data| async move { data.statistics(call, collection).await }).await
    }
}

#[async_trait]
impl QueryCoord for Leaders {
    async fn load(&self, call: &Call, request: LoadRequest) -> Result<()> {
        let request = &request;
        self.query(call, |query| async move { query.load(call, request.clone()).await }).await
    }

    async fn release(&self, call: &Call, collection: CollectionId, partitions: Option<Vec<PartitionId>>) -> Result<()> {
        let partitions = &partitions;
        self.query(call, |query| async move { query.release(call, collection, partitions.clone()).await }).await
    }

    async fn load_state(&self, call: &Call, collection: CollectionId) -> Result<LoadState> {
        self.query(call, |query| async move { query.load_state(call, collection).await }).await
    }

    async fn leaders(&self, call: &Call, collection: CollectionId) -> Result<Vec<Leader>> {
        self.query(call, |query| async move { query.leaders(call, collection).await }).await
    }
}

#[async_trait]
impl IndexCoord for Leaders {
    async fn create_index(&self, call: &Call, request: CreateIndex) -> Result<()> {
        let request = &request;
        self.index(call, |index| async move { index.create_index(call, request.clone()).await }).await
    }

    async fn drop_index(&self, call: &Call, collection: CollectionId, name: &str) -> Result<()> {
        self.index(call, |index| async move { index.drop_index(call, collection, name).await }).await
    }

    async fn indexes(&self, call: &Call, collection: CollectionId) -> Result<Vec<IndexStatus>> {
        self.index(call, |index| async move { index.indexes(call, collection).await }).await
    }
}
