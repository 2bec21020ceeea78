//! Taking up a channel: checkpoint first, then manifests (`docs/protocol.md` §3), then the log to its end, then serve.

use std::sync::{Arc, Weak};

use role::Call;
use store::manifest::ShardState;
use types::Result;
use types::id::{ChannelName, ShardId};
use wal::writer::{Sequencer, SequencerOptions, Stopped};

use super::admission::Guarded;
use super::{Assigned, DataNodeRole, quarantine};
use crate::channel::{Channel, Source};

/// Starts to sequence a channel under a process epoch; a higher one than before starts anew.
pub(super) async fn assign(node: &Arc<DataNodeRole>, call: &Call, name: &ChannelName, process: u64) -> Result<()> {
    let followers = &node.parts.followers;
    let turn = followers.turn(name);
    let _turn = turn.lock().await;
    let known = node.sequencers.lock().get(name).cloned();
    if let Some(known) = known {
        if known.process >= process {
            return Ok(());
        }
        known.sequencer.stop().await;
    }
    let start = followers.starting_point(call, name).await?;
    let source = if node.parts.limits.alone { Source::OnlySequencer } else { Source::Sequencer };
    let channel = Channel::new(name.clone(), source, &start);
    if node.parts.log.kind() == EMBEDDED {
        channel.share_log(node.log_bytes.clone());
    }
    quarantine::take_up_all(node, call, &channel, &start).await?;
    let limit = node.parts.limits.unflushed_bytes;
    let options = SequencerOptions {
        channel: name.clone(),
        process,
        start,
        admission: Box::new(Guarded::new(channel.clone(), node.parts.channels.clone(), limit)),
        surroundings: Some(followers.surroundings(name)),
        limits: None,
        planted: node.parts.planted.log,
    };
    followers.stop(name);
    let sequencer = Sequencer::start(&node.parts.world, node.parts.log.clone(), channel.sink(), options);
    node.parts.channels.insert(channel.clone());
    node.sequencers.lock().insert(name.clone(), Assigned { process, sequencer: sequencer.clone() });
    node.parts.world.tasks.spawn(watch(Arc::downgrade(node), channel, process, sequencer)).detach();
    Ok(())
}

/// The log that keeps all channels in common files.
const EMBEDDED: &str = "embedded";

/// Opens what is served again once the sequencer serves, and has the channel read on where another process takes it over.
async fn watch(node: Weak<DataNodeRole>, channel: Arc<Channel>, process: u64, sequencer: Sequencer) {
    let Some(followers) = node.upgrade().map(|node| node.parts.followers.clone()) else { return };
    if sequencer.serving().await.is_ok() {
        followers.reopen(&channel).await;
    }
    match sequencer.stopped().await {
        Stopped::Superseded(by) => tracing::info!(channel = %channel.name(), ?by, "another process sequences the channel"),
        // The reason was logged; reads of what is applied go on, and who needs the log's end is told.
        Stopped::Loss(_) | Stopped::Asked => return,
    }
    let Some(node) = node.upgrade() else { return };
    {
        let mut sequencers = node.sequencers.lock();
        if sequencers.get(channel.name()).is_some_and(|assigned| assigned.process == process) {
            sequencers.remove(channel.name());
        }
    }
    followers.rebuild(channel).await;
}

/// Asks which shards meta has, for those whose create record was just read: known ones hold the checkpoint no longer, and one that is unknown
/// although its collection came to an end goes.
pub(super) async fn confirm_new_shards(node: &DataNodeRole, call: &Call, channel: &Channel) -> Result<()> {
    let unconfirmed: Vec<ShardId> = channel.unconfirmed();
    if unconfirmed.is_empty() {
        return Ok(());
    }
    let known = node.parts.coordinator.shards_of_channel(call, channel.name()).await?;
    channel.confirm(&known);
    let states = channel.states().into_iter();
    let ended: Vec<ShardId> = states.filter(|(_, state)| state.state == ShardState::Dropped).map(|(shard, _)| shard).collect();
    let doubtful: Vec<ShardId> = unconfirmed.into_iter().filter(|shard| ended.contains(shard) && !known.contains(shard)).collect();
    if doubtful.is_empty() {
        return Ok(());
    }
    // Who made and dropped it may be another process than who was asked, whose view is behind: let go of, its manifest would never show the end.
    for shard in node.parts.coordinator.unknown_shards(call, &doubtful).await? {
        channel.remove(shard);
    }
    Ok(())
}
