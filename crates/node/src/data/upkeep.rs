//! When to flush and to write checkpoints: by bytes, never by age (`docs/protocol.md` §2), so that an idle node does nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::FutureExt;
use role::data::CheckpointPointer;
use types::id::{ChannelName, ShardId};
use types::{Code, Error, Result};
use wal::checkpoint as stored;

use crate::channel::Source;

use super::{DataNodeRole, flush, quarantine, sequencing};

/// Sizes that decide.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Growing bytes of a shard that are flushed: `elanus.flush.shardBytes`.
    pub flush_bytes: usize,
    /// Log bytes above a checkpoint before what holds it is flushed: `elanus.flush.logBytes`.
    pub log_bytes: u64,
    /// Growing bytes of all shards beyond which writes are refused: `elanus.flush.unflushedBytes`.
    pub unflushed_bytes: usize,
    /// Between two looks while there are writes.
    pub pause: Duration,
    /// One process is the whole cluster: nobody else can sequence.
    pub alone: bool,
}

impl Limits {
    /// Log bytes between two checkpoints of a channel: each costs an object and a transaction of meta, and what lies above is read again at a start.
    fn checkpoint_bytes(&self) -> u64 {
        self.flush_bytes as u64 / 16
    }
}

/// Between two looks while something fails: doubled from the first to the last.
const RETRY_FIRST: Duration = Duration::from_secs(2);
const RETRY_LAST: Duration = Duration::from_secs(30);

/// Looks after each burst of writes, when a channel is taken up or a shard was flushed, and again while something fails. Sleeps else, so that an idle process isn't woken.
pub(super) async fn run(node: Weak<DataNodeRole>) {
    let mut retry = RETRY_FIRST;
    loop {
        let Some(alive) = node.upgrade() else { return };
        // Before the look: what comes during it makes another one.
        let mut changes = alive.parts.channels.changes();
        let mut moved = alive.parts.channels.all().iter().map(|channel| channel.progress()).collect::<Vec<_>>();
        let settled = look(&alive).await;
        let (clock, pause) = (alive.parts.world.clock.clone(), alive.limits.get().pause);
        let tasks = alive.parts.world.tasks.clone();
        drop(alive);
        let stirred = moved.iter_mut().map(|progress| progress.changed().boxed()).chain([changes.changed().boxed()]);
        tokio::select! {
            biased;
            () = tasks.stopping() => return,
            _ = futures::future::select_all(stirred) => {}
            () = clock.sleep(retry), if !settled => {}
        }
        retry = if settled { RETRY_FIRST } else { (retry * 2).min(RETRY_LAST) };
        clock.sleep(pause).await;
    }
}

/// Whether all that was due is done.
async fn look(node: &Arc<DataNodeRole>) -> bool {
    let mut settled = take_up_failed(node).await;
    settled &= quarantine::settle_restored(node).await;
    for shard in due(node) {
        if let Err(error) = flush::shard(node, shard).await {
            tracing::warn!(%shard, %error, "a flush failed and is tried again");
            settled = false;
        }
    }
    for channel in node.parts.channels.all() {
        if channel.source() == Source::Tailer {
            continue;
        }
        if let Err(error) = quarantine::copy(node, &node.own_call("quarantine"), channel.name(), &channel).await {
            tracing::warn!(channel = %channel.name(), %error, "quarantined records can't be copied yet, their log can't be cut");
            settled = false;
        }
        // One that is still read, or has stopped, has nothing to write.
        if node.is_serving(channel.name())
            && channel.log_bytes_above(channel.checkpoint()) >= node.limits.get().checkpoint_bytes()
            && let Err(error) = checkpoint(node, channel.name()).await
        {
            tracing::warn!(channel = %channel.name(), %error, "a checkpoint failed and is tried again");
            settled = false;
        }
    }
    settled
}

/// Tries again to take up channels that couldn't be: what is damaged may have been put back. False while there are some.
async fn take_up_failed(node: &Arc<DataNodeRole>) -> bool {
    for (name, process) in node.parts.channels.failed() {
        match sequencing::assign(node, &node.own_call("assign"), &name, process).await {
            Ok(()) => tracing::info!(channel = %name, "a channel could be taken up at last"),
            Err(error) => node.parts.channels.fail_again(&name, process, error),
        }
    }
    node.parts.channels.failed().is_empty()
}

/// Shards to flush now: large ones, those that hold back much log, and the largest while all together are too large.
fn due(node: &DataNodeRole) -> BTreeSet<ShardId> {
    let limits = &*node.limits.get();
    let mut due = BTreeSet::new();
    let mut small: Vec<(usize, ShardId)> = Vec::new();
    for channel in node.parts.channels.all() {
        for (shard, bytes) in channel.unflushed_bytes() {
            if bytes >= limits.flush_bytes {
                due.insert(shard);
            } else {
                small.push((bytes, shard));
            }
        }
        let holding = channel.holding();
        due.extend(holding.iter().filter(|(position, _)| channel.log_bytes_above(*position) > limits.log_bytes).map(|(_, shard)| *shard));
    }
    // Half of the bound, so that writes go on while these are written.
    let mut left: usize = small.iter().map(|(bytes, _)| bytes).sum();
    small.sort_unstable_by(|a, b| b.cmp(a));
    for (bytes, shard) in small {
        if left <= limits.unflushed_bytes / 2 {
            break;
        }
        left -= bytes;
        due.insert(shard);
    }
    due
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
    cut.map_err(|error| Error::new(Code::IO_FAILED, format!("the log of {name} can't be cut below {position}: {error:?}: IO failed")))?;
    // Only now, so that what failed on the way is done again as a whole.
    channel.checkpointed(position);
    sequencer.checkpointed(state).await;
    Ok(())
}
