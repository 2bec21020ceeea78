//! What a coordinator has for one term: what the process shares, the leader's fence, timestamps, and the term's end.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use meta::catalog::model::OperationId;
use meta::catalog::{Begin, Change, Loaded};
use meta::election::Tenure;
use meta::sequence::TimestampAllocator;
use meta::store::{Condition, MetaError};
use role::Call;
use role::data::DataNode;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use types::id::ChannelName;
use types::{Code, Error, Result};

use crate::shared::Shared;
use crate::view::{View, meta_error};

/// How often a change is planned anew because somebody else changed what it was made from.
const PLANS_MAX: usize = 16;
/// How long the view may take to show what was in a change's way before it is planned anew all the same.
const VIEW_WAIT: Duration = Duration::from_millis(200);
/// How long a channel that moves is asked after.
const SEQUENCER_MAX: Duration = Duration::from_secs(5);
/// Between two tries.
const SEQUENCER_RETRY: Duration = Duration::from_millis(100);

/// A term.
#[derive(Clone)]
pub struct Context {
    pub(crate) shared: Arc<Shared>,
    pub(crate) view: View,
    pub(crate) fence: Condition,
    /// Promises to others end with it.
    pub(crate) tenure: Tenure,
    pub(crate) began: Instant,
    /// Of definitions: rootcoord's alone.
    pub(crate) timestamps: Arc<TimestampAllocator>,
    /// The term is over.
    pub(crate) ended: CancellationToken,
}

impl Deref for Context {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Context {
    /// Ends the term: whatever goes on by itself stops where it is, as by a kill.
    pub fn end(&self) {
        self.ended.cancel();
    }

    /// The channels that new shards get.
    pub(crate) fn channels(&self) -> Vec<ChannelName> {
        let settings = self.settings();
        (0..settings.channels).map(|n| ChannelName::numbered(&settings.channel_prefix, n)).collect()
    }

    /// A change that only the leader can make.
    pub(crate) fn change(&self) -> Change {
        match self.planted.unfenced_commit {
            false => Change::fenced(self.fence.clone()),
            true => Change::new(),
        }
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
    pub(crate) fn sequencer(&self, channel: &ChannelName) -> Result<Arc<dyn DataNode>> {
        let assigned = self.view.read(|loaded| loaded.assignments.get(channel).map(|assignment| assignment.value.node));
        let node = assigned.ok_or_else(|| not_assigned(channel))?;
        let address = self.members().data_nodes.iter().find(|member| member.node == node).map(|member| member.address.clone());
        self.peers.data_node(&address.ok_or_else(|| not_assigned(channel))?)
    }

    /// Asks a channel's sequencer for what may be repeated; asks again for a while where the channel is moving.
    pub(crate) async fn at_sequencer<T, F>(&self, call: &Call, channel: &ChannelName, ask: impl Fn(Arc<dyn DataNode>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let clock = &self.world.clock;
        let until = call.deadline.min(clock.now() + SEQUENCER_MAX);
        loop {
            let result = match self.sequencer(channel) {
                Ok(node) => ask(node).await,
                Err(error) => Err(error),
            };
            match result {
                Err(error) if moves(&error) && clock.now() < until => {
                    tracing::debug!(%channel, %error, "a sequencer is asked again");
                    clock.sleep_until((clock.now() + SEQUENCER_RETRY).min(until)).await;
                }
                result => return result,
            }
        }
    }
}

/// Whether another node sequences the channel, or will.
fn moves(error: &Error) -> bool {
    let codes = [Code::CHANNEL_MISROUTED, Code::CHANNEL_NOT_AVAILABLE, Code::SERVICE_UNAVAILABLE, Code::SERVICE_NOT_READY];
    codes.contains(&error.code())
}

fn not_assigned(channel: &ChannelName) -> Error {
    Error::new(Code::CHANNEL_NOT_AVAILABLE, format!("channel {channel} has no sequencer yet: channel not available"))
}
