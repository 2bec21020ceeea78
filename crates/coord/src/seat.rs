//! A coordinator of a process for as long as the process leads its office, made anew with each term: nothing that a term remembers outlives it.
//!
//! A leader that was paused, or cut off from meta for longer than its lease, finds that all its commits are refused for ever: their fence is the
//! key of a term that is over. The seat of each office passes calls on to the coordinator of the present term, and says `NODE_NOT_MATCH`
//! while there is none; [`crate::leaders`] then asks whoever leads.
//!
//! Start at [`Seat::hold`].

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::World;
use base::watch;
use meta::election::Leadership;
use role::Call;
use role::data::{CheckpointPointer, CurrentManifest, DataCoord, FlushStarted, ManifestEdit, Route, SegmentInfo};
use role::index::{CreateIndex, IndexCoord, IndexStatus};
use role::query::{Leader, LoadRequest, LoadState, QueryCoord};
use role::root::{CollectionRef, CreateCollection, RootCoord};
use tokio_util::sync::CancellationToken;
use types::collection::Collection;
use types::id::{ChannelName, CollectionId, PartitionId, ShardId, WriterId};
use types::schema::Field;
use types::time::Timestamp;
use types::{Code, Error, Result};

use crate::context::Context;
use crate::data::Data;
use crate::index::Index;
use crate::query::Query;
use crate::root::Root;

/// Between two tries to begin a term.
const RETRY: Duration = Duration::from_millis(200);

/// What is led: each office has a leader of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Office {
    /// rootcoord.
    Root,
    /// datacoord.
    Data,
    /// querycoord.
    Query,
    /// indexcoord.
    Index,
}

impl Office {
    /// In the leader's key. Never changes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Data => "data",
            Self::Query => "query",
            Self::Index => "index",
        }
    }
}

/// A coordinator, as a term makes it.
pub trait Coordinator: Send + Sync + 'static {
    /// What it leads.
    const OFFICE: Office;

    /// A coordinator of this term; it does nothing by itself yet.
    fn begin(context: Context) -> Arc<Self>;

    /// Starts what it does by itself, until the term or the process ends.
    fn run(self: &Arc<Self>);

    /// Its term.
    fn context(&self) -> &Context;
}

/// A coordinator and what it holds its office by.
pub struct Term<C> {
    /// The office.
    pub leadership: Leadership,
    /// Who leads.
    pub coordinator: Arc<C>,
}

/// Where a process's coordinator of one office sits.
pub struct Seat<C> {
    present: watch::Sender<Option<Arc<C>>>,
}

impl<C: Coordinator> Seat<C> {
    /// Nobody leads yet.
    pub fn vacant() -> Arc<Self> {
        Arc::new(Self { present: watch::Sender::new(None) })
    }

    /// The coordinator of the present term.
    pub fn present(&self) -> Option<Arc<C>> {
        self.present.borrow().clone()
    }

    /// A term begins; what it does by itself isn't started.
    pub fn take(&self, coordinator: Arc<C>) {
        self.present.send_replace(Some(coordinator));
    }

    /// Leads until `stop`, from the `first` term on if there is one: stands again after each term that is lost, by `begin`.
    pub async fn hold<F>(self: Arc<Self>, world: World, first: Option<Leadership>, stop: CancellationToken, begin: impl Fn() -> F)
    where
        F: Future<Output = Result<Term<C>>>,
    {
        let office = C::OFFICE.name();
        let mut held = first;
        loop {
            let leadership = match held.take() {
                Some(leadership) => leadership,
                None => {
                    let begun = tokio::select! {
                        biased;
                        () = stop.cancelled() => return,
                        begun = begin() => begun,
                    };
                    match begun {
                        Ok(Term { leadership, coordinator }) => {
                            self.take(coordinator.clone());
                            coordinator.run();
                            tracing::info!(office, "this process leads");
                            leadership
                        }
                        Err(error) => {
                            tracing::warn!(office, %error, "a term can't begin yet");
                            world.clock.sleep(RETRY).await;
                            continue;
                        }
                    }
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return leadership.resign().await,
                () = leadership.lost() => {}
            }
            tracing::warn!(office, "this process no longer leads: it waits to lead again");
            if let Some(coordinator) = self.present.send_replace(None) {
                coordinator.context().end();
            }
            // Beside standing again: who stands waits for the key to go.
            let (own, until) = (world.clone(), stop.clone());
            let withdraw = async move { until.run_until_cancelled(leadership.withdraw(&own)).await };
            world.tasks.spawn(withdraw).detach();
        }
    }

    fn leading(&self) -> Result<Arc<C>> {
        let nobody = || Error::new(Code::NODE_NOT_MATCH, format!("this process doesn't lead {}coord: node not match", C::OFFICE.name()));
        self.present().ok_or_else(nobody)
    }
}

#[async_trait]
impl RootCoord for Seat<Root> {
    async fn create_collection(&self, call: &Call, request: CreateCollection) -> Result<()> {
        self.leading()?.create_collection(call, request).await
    }

    async fn drop_collection(&self, call: &Call, database: &str, name: &str) -> Result<()> {
        self.leading()?.drop_collection(call, database, name).await
    }

    async fn collection(&self, call: &Call, which: &CollectionRef) -> Result<Collection> {
        self.leading()?.collection(call, which).await
    }

    async fn collections(&self, call: &Call, database: &str) -> Result<Vec<Collection>> {
        self.leading()?.collections(call, database).await
    }

    async fn create_partition(&self, call: &Call, collection: CollectionId, name: &str) -> Result<()> {
        self.leading()?.create_partition(call, collection, name).await
    }

    async fn drop_partition(&self, call: &Call, collection: CollectionId, name: &str) -> Result<()> {
        self.leading()?.drop_partition(call, collection, name).await
    }

    async fn add_field(&self, call: &Call, collection: CollectionId, field: Field) -> Result<()> {
        self.leading()?.add_field(call, collection, field).await
    }

    async fn databases(&self, call: &Call) -> Result<Vec<String>> {
        self.leading()?.databases(call).await
    }

    async fn allocate_ids(&self, call: &Call, count: u32) -> Result<Range<i64>> {
        self.leading()?.allocate_ids(call, count).await
    }

    async fn allocate_timestamp(&self, call: &Call) -> Result<Timestamp> {
        self.leading()?.allocate_timestamp(call).await
    }

    async fn register_proxy(&self, call: &Call, address: &str) -> Result<WriterId> {
        self.leading()?.register_proxy(call, address).await
    }
}

#[async_trait]
impl DataCoord for Seat<Data> {
    async fn routes(&self, call: &Call) -> Result<Vec<Route>> {
        self.leading()?.routes(call).await
    }

    async fn extend_leases(&self, call: &Call, sequencers: &[(ChannelName, u64)]) -> Result<Vec<Duration>> {
        self.leading()?.extend_leases(call, sequencers).await
    }

    async fn manifest(&self, call: &Call, shard: ShardId) -> Result<CurrentManifest> {
        self.leading()?.manifest(call, shard).await
    }

    async fn shards_of_channel(&self, call: &Call, channel: &ChannelName) -> Result<Vec<ShardId>> {
        self.leading()?.shards_of_channel(call, channel).await
    }

    async fn unknown_shards(&self, call: &Call, shards: &[ShardId]) -> Result<Vec<ShardId>> {
        self.leading()?.unknown_shards(call, shards).await
    }

    async fn edit_manifest(&self, call: &Call, shard: ShardId, edit: ManifestEdit) -> Result<CurrentManifest> {
        self.leading()?.edit_manifest(call, shard, edit).await
    }

    async fn commit_checkpoint(&self, call: &Call, channel: &ChannelName, checkpoint: CheckpointPointer) -> Result<()> {
        self.leading()?.commit_checkpoint(call, channel, checkpoint).await
    }

    async fn checkpoint(&self, call: &Call, channel: &ChannelName) -> Result<Option<CheckpointPointer>> {
        self.leading()?.checkpoint(call, channel).await
    }

    async fn flush(&self, call: &Call, collection: CollectionId) -> Result<FlushStarted> {
        self.leading()?.flush(call, collection).await
    }

    async fn is_flushed(&self, call: &Call, collection: CollectionId, timestamp: Timestamp) -> Result<bool> {
        self.leading()?.is_flushed(call, collection, timestamp).await
    }

    async fn segments(&self, call: &Call, collection: CollectionId) -> Result<Vec<SegmentInfo>> {
        self.leading()?.segments(call, collection).await
    }

    async fn statistics(&self, call: &Call, collection: CollectionId) -> Result<BTreeMap<PartitionId, u64>> {
        self.leading()?.statistics(call, collection).await
    }
}

#[async_trait]
impl QueryCoord for Seat<Query> {
    async fn load(&self, call: &Call, request: LoadRequest) -> Result<()> {
        self.leading()?.load(call, request).await
    }

    async fn release(&self, call: &Call, collection: CollectionId, partitions: Option<Vec<PartitionId>>) -> Result<()> {
        self.leading()?.release(call, collection, partitions).await
    }

    async fn load_state(&self, call: &Call, collection: CollectionId) -> Result<LoadState> {
        self.leading()?.load_state(call, collection).await
    }

    async fn leaders(&self, call: &Call, collection: CollectionId) -> Result<Vec<Leader>> {
        self.leading()?.leaders(call, collection).await
    }
}

#[async_trait]
impl IndexCoord for Seat<Index> {
    async fn create_index(&self, call: &Call, request: CreateIndex) -> Result<()> {
        self.leading()?.create_index(call, request).await
    }

    async fn drop_index(&self, call: &Call, collection: CollectionId, name: &str) -> Result<()> {
        self.leading()?.drop_index(call, collection, name).await
    }

    async fn indexes(&self, call: &Call, collection: CollectionId) -> Result<Vec<IndexStatus>> {
        self.leading()?.indexes(call, collection).await
    }
}
