//! What all coordinators of a process share: the world, the catalog, the leader's fence, ids, and who is there.

use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::config::Current;
use base::watch;
use meta::catalog::model::OperationId;
use meta::catalog::{Begin, Catalog, Change, Loaded};
use meta::sequence::{IdAllocator, TimestampAllocator};
use meta::store::{Condition, MetaError};
use role::peers::Peers;
use store::object::Store;
use tokio_util::sync::CancellationToken;
use types::id::NodeId;
use types::{Code, Error, Result};

use crate::view::{View, meta_error};

/// How often a change is planned anew because somebody else changed what it was made from.
const PLANS_MAX: usize = 16;
/// How long the view may take to show what was in a change's way before it is planned anew all the same.
const VIEW_WAIT: Duration = Duration::from_millis(200);

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

    /// The channels that new shards get.
    pub(crate) fn channels(&self) -> Vec<types::id::ChannelName> {
        let settings = self.settings();
        (0..settings.channels).map(|n| types::id::ChannelName::numbered(&settings.channel_prefix, n)).collect()
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

    /// Commits what was planned from the view; see [`Self::transact`] for what others change too.
    ///
    /// # Errors
    /// `UNSUPPORTED` if somebody else changed what the change was made from: plan again. `SERVICE_NOT_READY`: the term is over.
    pub(crate) async fn commit(&self, change: Change) -> Result<()> {
        match self.view.commit(&self.world, change).await {
            Err(MetaError::Refused) => Err(self.still_leads().await.err().unwrap_or_else(|| meta_error(MetaError::Refused))),
            result => result.map_err(meta_error),
        }
    }

    /// Commits what `plan` makes of the catalog as it is, and gives its value; plans anew where somebody else was faster. Without a change
    /// nothing is committed.
    ///
    /// # Errors
    /// What `plan` says; `SERVICE_NOT_READY`: the term is over; meta's.
    pub(crate) async fn transact<T>(&self, mut plan: impl FnMut(&Loaded) -> Result<(Option<Change>, T)>) -> Result<T> {
        for _ in 0..PLANS_MAX {
            let mut changes = self.view.changes();
            let (change, value) = self.view.read(&mut plan)?;
            let Some(change) = change else { return Ok(value) };
            match self.view.commit(&self.world, change).await {
                Ok(()) => return Ok(value),
                Err(MetaError::Refused) => {
                    self.still_leads().await?;
                    // What was in the way may have been seen between plan and commit: then nothing more comes.
                    if self.world.within(VIEW_WAIT, changes.changed()).await.is_none() {
                        tracing::debug!("a refused change is planned anew although the catalog looks as it did");
                    }
                }
                Err(error) => return Err(meta_error(error)),
            }
        }
        Err(meta_error(MetaError::Refused))
    }

    /// Asked after a refusal: whether it was another's change, and not this term's fence, that was in the way.
    ///
    /// # Errors
    /// `SERVICE_NOT_READY`: the term is over.
    async fn still_leads(&self) -> Result<()> {
        let Condition::Created(key, created) = &self.fence else { return Ok(()) };
        let entry = self.view.catalog().meta().get(key).await.map_err(meta_error)?;
        match entry.is_some_and(|entry| entry.created == *created) {
            true => Ok(()),
            false => Err(Error::new(Code::SERVICE_NOT_READY, "this coordinator no longer leads: service not ready")),
        }
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
