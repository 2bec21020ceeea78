//! What the coordinators of a process share, whichever offices the process holds and for how long: the view of the catalog, the store, ids, and who
//! is there.
//!
//! Not here: anything that only a leader may do ([`crate::context`]).

use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::config::Current;
use base::watch;
use meta::catalog::Catalog;
use meta::election::Leadership;
use meta::sequence::{IdAllocator, TimestampAllocator};
use meta::store::{Condition, Meta, MetaError};
use role::data::DataCoord;
use role::peers::Peers;
use store::object::Store;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use types::Result;
use types::time::Timestamp;

use crate::context::Context;
use crate::data::manifests::Cache;
use crate::members::Members;
use crate::planted::Planted;
use crate::view::{View, meta_error};

/// Ids that are drawn from meta at once.
const ID_BATCH: u32 = 100_000;
/// How far timestamps are given without a word to meta.
const TIMESTAMP_WINDOW: Duration = Duration::from_secs(3);

/// Limits and names from the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Before the number of each channel: `msgChannel.chanNamePrefix.cluster`.
    pub channel_prefix: String,
    /// Channels that shards share: `rootCoord.dmlChannelNum`.
    pub channels: usize,
    /// `rootCoord.maxPartitionNum`.
    pub partitions_max: usize,
    /// `quotaAndLimits.limits.maxCollectionNum`.
    pub collections_max: usize,
    /// `quotaAndLimits.limits.maxCollectionNumPerDB`.
    pub collections_per_database_max: usize,
    /// `rootCoord.maxGeneralCapacity`.
    pub general_capacity: usize,
    /// Segments with fewer rows get no index: `rootCoord.minSegmentSizeToEnableIndex`.
    pub indexed_rows_min: u64,
    /// Of sequencers (`docs/protocol.md` §5): `elanus.lease.sequencer`; zero where none is needed.
    pub sequencer_lease: Duration,
    /// Rows that ended are kept for so long, for reads at a timestamp: `elanus.snapshotHorizon`.
    pub snapshot_horizon: Duration,
    /// Bytes of a full segment: `dataCoord.segment.maxSize`.
    pub segment_bytes_max: u64,
    /// `dataCoord.enableCompaction` and `dataCoord.compaction.enableAutoCompaction`.
    pub compacts: bool,
    /// One process is the whole cluster: garbage goes as soon as nobody in it needs it.
    pub alone: bool,
}

/// What coordinators are made from.
pub struct Parts {
    /// The world.
    pub world: World,
    /// Metadata.
    pub meta: Arc<dyn Meta>,
    /// Manifests are written here.
    pub store: Arc<dyn Store>,
    /// How nodes are reached.
    pub peers: Arc<Peers>,
    /// datacoord, wherever it is.
    pub data: Arc<dyn DataCoord>,
    /// From the configuration.
    pub settings: Settings,
    /// Bugs of simulations.
    #[doc(hidden)]
    pub planted: Planted,
}

/// What the coordinators of a process share.
pub struct Shared {
    pub(crate) world: World,
    pub(crate) catalog: Catalog,
    /// There once the process has led something.
    view: OnceCell<View>,
    /// Ids of collections, partitions, segments, rows.
    pub(crate) ids: IdAllocator,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) data: Arc<dyn DataCoord>,
    pub(crate) manifests: Cache,
    members: watch::Sender<Members>,
    settings: Current<Settings>,
    pub(crate) planted: Planted,
}

impl Shared {
    /// Nothing is read yet, and nobody is known.
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { world, meta, store, peers, data, settings, planted } = parts;
        Arc::new(Self {
            catalog: Catalog::new(meta.clone(), world.clock.clone()),
            view: OnceCell::new(),
            ids: IdAllocator::new(meta, ID_BATCH),
            store,
            peers,
            data,
            manifests: Cache::default(),
            members: watch::Sender::default(),
            settings: Current::new(settings),
            planted,
            world,
        })
    }

    /// A term: makes the catalog if it isn't there, and sees all that was committed before.
    ///
    /// # Errors
    /// Meta can't be reached or read; the term is over.
    pub async fn begin(self: &Arc<Self>, leadership: &Leadership) -> Result<Context> {
        let (fence, tenure, began) = (leadership.fence(), leadership.tenure(), self.world.clock.now());
        let view = self.view.get_or_try_init(|| self.first_view(&fence)).await?.clone();
        view.reach(leadership.term()).await?;
        self.catalog.forget_revocations(&fence).await.map_err(meta_error)?;
        let meta = self.catalog.meta().clone();
        let timestamps = Arc::new(TimestampAllocator::new(meta, self.world.clock.clone(), fence.clone(), TIMESTAMP_WINDOW));
        Ok(Context { shared: self.clone(), view, fence, tenure, began, timestamps, ended: CancellationToken::new() })
    }

    async fn first_view(&self, fence: &Condition) -> Result<View> {
        let now = Timestamp::from_millis(self.world.clock.wall_ms());
        match self.catalog.initialize(fence.clone(), now).await {
            // The leader of another office made it at the same time, or this term is over: the second try tells.
            Err(MetaError::Refused) => self.catalog.initialize(fence.clone(), now).await.map_err(meta_error)?,
            made => made.map_err(meta_error)?,
        }
        View::follow(&self.world, self.catalog.clone()).await
    }

    /// What an operator has decided by now.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.get()
    }

    /// Has operations from now on go by other bounds.
    pub fn set_settings(&self, settings: Settings) {
        self.settings.set(settings);
    }

    /// Says who is there; the loops act on it.
    pub fn set_members(&self, members: Members) {
        self.members.send_if_modified(|known| {
            let changed = *known != members;
            *known = members;
            changed
        });
    }

    /// Who is there.
    pub(crate) fn members(&self) -> watch::Ref<'_, Members> {
        self.members.borrow()
    }

    /// Resolves with each change of the members after the call.
    pub(crate) fn member_changes(&self) -> watch::Receiver<Members> {
        self.members.subscribe()
    }
}
