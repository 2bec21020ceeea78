//! When to flush and to write checkpoints: by bytes, never by age (`log.md` §2), so that an idle node does nothing.

use std::sync::Weak;
use std::time::Duration;

use role::data::CheckpointPointer;
use types::id::{ChannelName, ShardId};
use types::{Code, Error, Result};
use wal::checkpoint as stored;

use super::{DataNodeRole, flush, sequencing};

/// Sizes that decide.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Growing bytes of a shard that are flushed: `elanus.flush.shardBytes`.
    pub flush_bytes: usize,
    /// Log bytes above a checkpoint before what holds it is flushed: `elanus.flush.logBytes`.
    /// Nothing acts on it: flushes go by bytes of shards alone.
    pub log_bytes: u64,
    /// Between two looks while there are writes.
    pub pause: Duration,
    /// One process is the whole cluster: nobody else can sequence.
    pub alone: bool,
}

/// Looks after each burst of writes.
pub(super) async fn run(node: Weak<DataNodeRole>) {
    loop {
        let Some(alive) = node.upgrade() else { return };
        let mut moved = alive.parts.channels.all().iter().map(|channel| channel.progress()).collect::<Vec<_>>();
        look(&alive).await;
        let (clock, pause) = (alive.parts.world.clock.clone(), alive.limits.get().pause);
        let tasks = alive.parts.world.tasks.clone();
        drop(alive);
        // Sleeps until a channel moves, so that an idle process isn't woken.
        if moved.is_empty() {
            clock.sleep(pause).await;
        } else {
            let any = futures::future::select_all(moved.iter_mut().map(|progress| Box::pin(progress.changed())));
            tokio::select! {
                biased;
                () = tasks.stopping() => return,
                _ = any => {}
            }
            clock.sleep(pause).await;
        }
    }
}

async fn look(node: &DataNodeRole) {
    for channel in node.parts.channels.all() {
        let due: Vec<ShardId> = channel
            .unflushed_bytes()
            .into_iter()
            .filter(|(_, bytes)| *bytes >= node.limits.get().flush_bytes)
            .map(|(shard, _)| shard)
            .collect();
        for shard in &due {
            if let Err(error) = flush::shard(node, *shard).await {
                tracing::warn!(%shard, %error, "a flush failed and is tried again");
            }
        }
        if let Err(error) = checkpoint(node, channel.name()).await {
            tracing::warn!(channel = %channel.name(), %error, "a checkpoint failed and is tried again");
        }
    }
}

/// Writes a channel's checkpoint if it would advance, and lets go of the log below it.
pub(super) async fn checkpoint(node: &DataNodeRole, name: &ChannelName) -> Result<()> {
    let call = node.own_call("checkpoint");
    let Some(channel) = node.parts.channels.get(name) else { return Ok(()) };
    sequencing::confirm_new_shards(node, &call, &channel).await?;
    let sequencer = node.sequencer(name)?;
    let process = node.sequencers.lock().get(name).map(|assigned| assigned.process).unwrap_or_default();
    let Some(state) = sequencer.checkpoint().await.map_err(|error| error.to_error())? else { return Ok(()) };
    let position = state.position;
    let pointer = stored::write(&node.parts.world, &**node.parts.opener.store(), name, &state).await?;
    let pointer = CheckpointPointer { name: pointer.name, length: pointer.length, checksum: pointer.checksum, position, process };
    node.parts.coordinator.commit_checkpoint(&call, name, pointer).await?;
    let cut = match node.parts.planted.early_truncation {
        true => sequencer.acknowledged().map_or(position, |acknowledged| acknowledged.position),
        false => position,
    };
    let cut = node.parts.log.truncate(name, cut).await;
    cut.map_err(|error| Error::new(Code::IO_FAILED, format!("the log of {name} can't be cut below {position}: {error:?}: IO failed")))
}
