//! Taking up a channel: checkpoint first, then manifests (`log.md` §3), then the log to its end, then serve.

use role::Call;
use store::manifest::{Flushed, ShardState};
use types::Result;
use types::id::{ChannelName, ShardId};
use wal::checkpoint;
use wal::planted::Planted;
use wal::reader::ReaderState;
use wal::writer::{Sequencer, SequencerOptions};

use super::admission::Guarded;
use super::{Assigned, DataNodeRole, quarantine};
use crate::channel::Channel;

/// Starts to sequence a channel under a process epoch; a higher one than before starts anew.
pub(super) async fn assign(node: &DataNodeRole, call: &Call, name: &ChannelName, process: u64) -> Result<()> {
    let known = node.sequencers.lock().get(name).cloned();
    if let Some(known) = known {
        if known.process >= process {
            return Ok(());
        }
        known.sequencer.stop().await;
    }
    let start = starting_point(node, call, name).await?;
    let read = Flushed { position: start.position.previous(), epoch: start.epoch, number: start.number, clock: start.clock };
    let channel = Channel::sequenced(name.clone(), read);
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
        limits: None,
        planted: Planted::default(),
    };
    let sequencer = Sequencer::start(&node.parts.world, node.parts.log.clone(), channel.sink(), options);
    node.parts.channels.insert(channel);
    node.sequencers.lock().insert(name.clone(), Assigned { process, sequencer });
    Ok(())
}

/// The log that keeps all channels in common files.
const EMBEDDED: &str = "embedded";

pub(super) async fn starting_point(node: &DataNodeRole, call: &Call, name: &ChannelName) -> Result<ReaderState> {
    let log = node.parts.log.open(name).await.map_err(|error| error.to_error(name))?;
    match node.parts.coordinator.checkpoint(call, name).await? {
        Some(pointer) => {
            let pointer = checkpoint::Pointer { name: pointer.name, length: pointer.length, checksum: pointer.checksum };
            checkpoint::load(&**node.parts.opener.store(), &pointer).await
        }
        None => Ok(ReaderState::beginning(log)),
    }
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
    for (shard, state) in channel.states() {
        if unconfirmed.contains(&shard) && !known.contains(&shard) && state.state == ShardState::Dropped {
            channel.remove(shard);
        }
    }
    Ok(())
}
