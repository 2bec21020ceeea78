//! What all coordinators of a process share: the world, the catalog, the leader's fence, ids, and who is there.

use std::sync::Arc;

use base::World;
use base::config::Current;
use base::watch;
use meta::catalog::model::OperationId;
use meta::catalog::{Begin, Catalog, Change};
use meta::sequence::{IdAllocator, TimestampAllocator};
use meta::store::Condition;
use role::peers::Peers;
use store::object::Store;
use tokio_util::sync::CancellationToken;
use types::id::NodeId;
use types::{Code, Error, Result};

use crate::view::{View, meta_error};

/// One node of the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its id.
    pub node: NodeId,
    /// Where it is; empty for this process.
    pub address: String,
}

/// The live nodes by role.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Members {
    /// Sequencers may run here.
    pub data_nodes: Vec<Member>,
    /// Shards may be served here.
    pub query_nodes: Vec<Member>,
    /// Builds may run here.
    pub index_nodes: Vec<Member>,
    /// These cache definitions.
    pub proxies: Vec<Member>,
}

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
    /// One process is the whole cluster: garbage goes as soon as nobody in it needs it.
    pub alone: bool,
}

/// What coordinators share.
#[derive(Clone)]
pub struct Context {
    pub(crate) world: World,
    pub(crate) view: View,
    pub(crate) fence: Condition,
    pub(crate) ids: Arc<IdAllocator>,
    pub(crate) timestamps: Arc<TimestampAllocator>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) peers: Arc<Peers>,
    members: Arc<watch::Sender<Members>>,
    settings: Current<Settings>,
    /// The term is over.
    pub(crate) ended: CancellationToken,
}

/// The parts of a [`Context`] that come from outside.
pub struct Parts {
    /// The world.
    pub world: World,
    /// The catalog.
    pub catalog: Catalog,
    /// The leader's key: every commit carries it.
    pub fence: Condition,
    /// Ids of collections, partitions, segments, rows.
    pub ids: Arc<IdAllocator>,
    /// Timestamps of definitions.
    pub timestamps: Arc<TimestampAllocator>,
    /// Manifests are written here.
    pub store: Arc<dyn Store>,
    /// How nodes are reached.
    pub peers: Arc<Peers>,
    /// From the configuration.
    pub settings: Settings,
}

impl Context {
    /// Makes the catalog if it isn't there, loads it, and follows it.
    ///
    /// # Errors
    /// Meta can't be reached or read.
    pub async fn start(parts: Parts) -> Result<Self> {
        let Parts { world, catalog, fence, ids, timestamps, store, peers, settings } = parts;
        let now = timestamps.next().await.map_err(meta_error)?;
        catalog.initialize(fence.clone(), now).await.map_err(meta_error)?;
        let ended = CancellationToken::new();
        let view = View::follow(&world, catalog, &ended).await?;
        let (members, settings) = (Arc::new(watch::Sender::default()), Current::new(settings));
        Ok(Self { world, view, fence, ids, timestamps, store, peers, members, settings, ended })
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

    /// A change that only the leader can make.
    pub(crate) fn change(&self) -> Change {
        Change::fenced(self.fence.clone())
    }

    pub(crate) async fn commit(&self, change: Change) -> Result<()> {
        self.view.commit(&self.world, change).await
    }

    /// An operation that begins now.
    pub(crate) async fn begin(&self) -> Result<Begin> {
        let operation = OperationId(self.id().await?);
        let now = self.timestamps.next().await.map_err(meta_error)?;
        Ok(Begin { operation, now })
    }

    /// A new id.
    pub(crate) async fn id(&self) -> Result<i64> {
        self.ids.next().await.map_err(meta_error)
    }

    /// The data node that sequences a channel.
    pub(crate) fn sequencer(&self, channel: &types::id::ChannelName) -> Result<Arc<dyn role::data::DataNode>> {
        let assigned = self.view.read(|loaded| loaded.assignments.get(channel).map(|assignment| assignment.value.node));
        let node = assigned.ok_or_else(|| not_assigned(channel))?;
        let address = self.members().data_nodes.iter().find(|member| member.node == node).map(|member| member.address.clone());
        self.peers.data_node(&address.ok_or_else(|| not_assigned(channel))?)
    }
}

fn not_assigned(channel: &types::id::ChannelName) -> Error {
    Error::new(Code::CHANNEL_NOT_AVAILABLE, format!("channel {channel} has no sequencer yet: channel not available"))
}
