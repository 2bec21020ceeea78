//! The coordinators of a process for as long as it leads, made anew with each term: nothing that a term remembers outlives it.
//!
//! A leader that was paused, or cut off from meta for longer than its lease, finds that all its commits are refused for ever: their fence is the
//! key of a term that is over. Roles in this process and beyond hold the seat, which passes calls on to the coordinators of the present
//! term and waits, within each call's deadline, while there are none.
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
use parking_lot::Mutex;
use role::Call;
use role::data::{CheckpointPointer, CurrentManifest, DataCoord, FlushStarted, ManifestEdit, Route, SegmentInfo};
use role::index::{CreateIndex, IndexCoord, IndexStatus};
use role::query::{Leader, LoadState, QueryCoord};
use role::root::{CollectionRef, CreateCollection, RootCoord};
use tokio_util::sync::CancellationToken;
use types::collection::Collection;
use types::id::{ChannelName, CollectionId, PartitionId, ShardId, WriterId};
use types::time::Timestamp;
use types::{Code, Error, Result};

use crate::context::{Members, Settings};
use crate::reconcile::Coordinators;

/// Between two tries to begin a term.
const RETRY: Duration = Duration::from_millis(200);

/// Where a process's coordinators sit.
pub struct Seat {
    present: watch::Sender<Option<Coordinators>>,
    /// What a term begins with. Held while a term begins or is told of a change, so that none is lost between the two.
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Who is there.
    members: Members,
    /// What an operator has changed.
    settings: Option<Settings>,
}

impl Seat {
    /// Nobody leads yet.
    pub fn vacant() -> Arc<Self> {
        Arc::new(Self { present: watch::Sender::new(None), known: Mutex::default() })
    }

    /// The coordinators of the present term.
    pub fn present(&self) -> Option<Coordinators> {
        self.present.borrow().clone()
    }

    /// Says who is there, in this term and the next ones.
    pub fn set_members(&self, members: Members) {
        let mut known = self.known.lock();
        known.members = members.clone();
        if let Some(coordinators) = self.present() {
            coordinators.context.set_members(members);
        }
    }

    /// Has operations from now on go by other bounds, in this term and the next ones.
    pub fn set_settings(&self, settings: Settings) {
        let mut known = self.known.lock();
        known.settings = Some(settings.clone());
        if let Some(coordinators) = self.present() {
            coordinators.context.set_settings(settings);
        }
    }

    /// A term begins; its loops aren't started.
    pub fn take(&self, coordinators: Coordinators) {
        let known = self.known.lock();
        coordinators.context.set_members(known.members.clone());
        if let Some(settings) = known.settings.clone() {
            coordinators.context.set_settings(settings);
        }
        self.present.send_replace(Some(coordinators));
    }

    /// Leads until `stop`: when a term is lost, begins another one with what `begin` gives, and starts its loops.
    pub async fn hold<F>(self: Arc<Self>, world: World, first: Leadership, stop: CancellationToken, begin: impl Fn() -> F)
    where
        F: Future<Output = Result<(Leadership, Coordinators)>>,
    {
        let mut leadership = first;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return leadership.resign().await,
                () = leadership.lost() => {}
            }
            tracing::warn!("this process no longer leads: it waits to lead again");
            if let Some(coordinators) = self.present.send_replace(None) {
                coordinators.end();
            }
            leadership = loop {
                let begun = tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    begun = begin() => begun,
                };
                match begun {
                    Ok((leadership, coordinators)) => {
                        self.take(coordinators.clone());
                        coordinators.run();
                        break leadership;
                    }
                    Err(error) => tracing::warn!(%error, "a term can't begin yet"),
                }
                world.clock.sleep(RETRY).await;
            };
            tracing::info!("this process leads again");
        }
    }

    async fn serving(&self, call: &Call) -> Result<Coordinators> {
        let mut present = self.present.subscribe();
        let serving = async {
            let present = present.wait_for(Option::is_some).await;
            let none = || Error::new(Code::SERVICE_NOT_READY, "no coordinator leads: service not ready");
            present.ok().and_then(|coordinators| coordinators.clone()).ok_or_else(none)
        };
        call.bound("a leader", serving).await
    }
}

#[async_trait]
impl RootCoord for Seat {
    async fn create_collection(&self, call: &Call, request: CreateCollection) -> Result<()> {
        self.serving(call).await?.root.create_collection(call, request).await
    }

    async fn drop_collection(&self, call: &Call, database: &str, name: &str) -> Result<()> {
        self.serving(call).await?.root.drop_collection(call, database, name).await
    }

    async fn collection(&self, call: &Call, which: &CollectionRef) -> Result<Collection> {
        self.serving(call).await?.root.collection(call, which).await
    }

    async fn collections(&self, call: &Call, database: &str) -> Result<Vec<Collection>> {
        self.serving(call).await?.root.collections(call, database).await
    }

    async fn create_partition(&self, call: &Call, collection: CollectionId, name: &str) -> Result<()> {
        self.serving(call).await?.root.create_partition(call, collection, name).await
    }

    async fn drop_partition(&self, call: &Call, collection: CollectionId, name: &str) -> Result<()> {
        self.serving(call).await?.root.drop_partition(call, collection, name).await
    }

    async fn databases(&self, call: &Call) -> Result<Vec<String>> {
        self.serving(call).await?.root.databases(call).await
    }

    async fn allocate_ids(&self, call: &Call, count: u32) -> Result<Range<i64>> {
        self.serving(call).await?.root.allocate_ids(call, count).await
    }

    async fn allocate_timestamp(&self, call: &Call) -> Result<Timestamp> {
        self.serving(call).await?.root.allocate_timestamp(call).await
    }

    async fn register_proxy(&self, call: &Call, address: &str) -> Result<WriterId> {
        self.serving(call).await?.root.register_proxy(call, address).await
    }
}

#[async_trait]
impl DataCoord for Seat {
    async fn routes(&self, call: &Call) -> Result<Vec<Route>> {
        self.serving(call).await?.data.routes(call).await
    }

    async fn manifest(&self, call: &Call, shard: ShardId) -> Result<CurrentManifest> {
        self.serving(call).await?.data.manifest(call, shard).await
    }

    async fn shards_of_channel(&self, call: &Call, channel: &ChannelName) -> Result<Vec<ShardId>> {
        self.serving(call).await?.data.shards_of_channel(call, channel).await
    }

    async fn edit_manifest(&self, call: &Call, shard: ShardId, edit: ManifestEdit) -> Result<CurrentManifest> {
        self.serving(call).await?.data.edit_manifest(call, shard, edit).await
    }

    async fn commit_checkpoint(&self, call: &Call, channel: &ChannelName, checkpoint: CheckpointPointer) -> Result<()> {
        self.serving(call).await?.data.commit_checkpoint(call, channel, checkpoint).await
    }

    async fn checkpoint(&self, call: &Call, channel: &ChannelName) -> Result<Option<CheckpointPointer>> {
        self.serving(call).await?.data.checkpoint(call, channel).await
    }

    async fn flush(&self, call: &Call, collection: CollectionId) -> Result<FlushStarted> {
        self.serving(call).await?.data.flush(call, collection).await
    }

    async fn is_flushed(&self, call: &Call, collection: CollectionId, timestamp: Timestamp) -> Result<bool> {
        self.serving(call).await?.data.is_flushed(call, collection, timestamp).await
    }

    async fn segments(&self, call: &Call, collection: CollectionId) -> Result<Vec<SegmentInfo>> {
        self.serving(call).await?.data.segments(call, collection).await
    }

    async fn statistics(&self, call: &Call, collection: CollectionId) -> Result<BTreeMap<PartitionId, u64>> {
        self.serving(call).await?.data.statistics(call, collection).await
    }
}

#[async_trait]
impl QueryCoord for Seat {
    async fn load(&self, call: &Call, collection: CollectionId, partitions: Option<Vec<PartitionId>>) -> Result<()> {
        self.serving(call).await?.query.load(call, collection, partitions).await
    }

    async fn release(&self, call: &Call, collection: CollectionId, partitions: Option<Vec<PartitionId>>) -> Result<()> {
        self.serving(call).await?.query.release(call, collection, partitions).await
    }

    async fn load_state(&self, call: &Call, collection: CollectionId) -> Result<LoadState> {
        self.serving(call).await?.query.load_state(call, collection).await
    }

    async fn leaders(&self, call: &Call, collection: CollectionId) -> Result<Vec<Leader>> {
        self.serving(call).await?.query.leaders(call, collection).await
    }
}

#[async_trait]
impl IndexCoord for Seat {
    async fn create_index(&self, call: &Call, request: CreateIndex) -> Result<()> {
        self.serving(call).await?.index.create_index(call, request).await
    }

    async fn drop_index(&self, call: &Call, collection: CollectionId, name: &str) -> Result<()> {
        self.serving(call).await?.index.drop_index(call, collection, name).await
    }

    async fn indexes(&self, call: &Call, collection: CollectionId) -> Result<Vec<IndexStatus>> {
        self.serving(call).await?.index.indexes(call, collection).await
    }
}
