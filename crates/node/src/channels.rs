//! The channels of a process, by name, and those that it can't take up.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::watch;
use parking_lot::RwLock;
use types::Error;
use types::id::{ChannelName, ShardId};

use crate::channel::Channel;

/// The channels of a process.
#[derive(Default)]
pub struct Channels {
    channels: RwLock<BTreeMap<ChannelName, Arc<Channel>>>,
    /// Counts what upkeep looks at beside records.
    changes: watch::Sender<u64>,
    /// Channels that can't be taken up, under which process epoch, and why.
    failed: RwLock<BTreeMap<ChannelName, (u64, Error)>>,
}

impl Channels {
    /// The channel, if this process reads it.
    pub fn get(&self, name: &ChannelName) -> Option<Arc<Channel>> {
        self.channels.read().get(name).cloned()
    }

    /// Takes a channel up; another object of the same channel ends.
    pub fn insert(&self, channel: Arc<Channel>) {
        self.failed.write().remove(channel.name());
        if let Some(old) = self.channels.write().insert(channel.name().clone(), channel) {
            old.end();
        }
        self.changed();
    }

    /// Something other than a record asks for upkeep: a channel was taken up or can't be, or a shard was flushed.
    pub fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Resolves with each [`Self::changed`] after the call.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Lets go of a channel, unless another object has taken its place.
    pub fn remove(&self, channel: &Arc<Channel>) {
        let mut channels = self.channels.write();
        if channels.get(channel.name()).is_some_and(|there| Arc::ptr_eq(there, channel)) {
            channels.remove(channel.name());
        }
        channel.end();
    }

    /// Whether this object is the channel's.
    pub fn is_current(&self, channel: &Arc<Channel>) -> bool {
        self.channels.read().get(channel.name()).is_some_and(|there| Arc::ptr_eq(there, channel))
    }

    /// A channel that was assigned to this process can't be taken up.
    pub fn fail(&self, name: &ChannelName, process: u64, error: Error) {
        self.failed.write().insert(name.clone(), (process, error));
        self.changed();
    }

    /// It was tried again in vain.
    pub fn fail_again(&self, name: &ChannelName, process: u64, error: Error) {
        self.failed.write().insert(name.clone(), (process, error));
    }

    /// Channels that can't be taken up, with the process epoch that they were assigned under.
    pub fn failed(&self) -> Vec<(ChannelName, u64)> {
        self.failed.read().iter().map(|(name, (process, _))| (name.clone(), *process)).collect()
    }

    /// Why a channel can't be taken up, as clients are told.
    pub fn failure(&self, name: &ChannelName) -> Option<Error> {
        let failed = self.failed.read();
        let (_, error) = failed.get(name)?;
        Some(error.clone().context(format_args!("channel {name} can't be taken up, the collections on it are out of service")))
    }

    /// Every channel, by name.
    pub fn all(&self) -> Vec<Arc<Channel>> {
        self.channels.read().values().cloned().collect()
    }

    /// Bytes of rows and deletes that no manifest holds, of all channels, those included that are on their way into the log.
    pub fn unflushed_bytes(&self) -> usize {
        self.channels.read().values().map(|channel| channel.held_bytes()).sum()
    }

    /// The channel that a shard is in.
    pub fn of_shard(&self, id: ShardId) -> Option<Arc<Channel>> {
        self.channels.read().values().find(|channel| channel.has(id)).cloned()
    }
}
