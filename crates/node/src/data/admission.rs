//! What a data node refuses beside what is stale: writes to quarantined shards, and writes beyond the bound on unflushed rows.
//!
//! Both are refused by a logged record, as everything is that a sequencer decides: else a successor would decide otherwise.

use std::sync::Arc;

use types::record::{Body, Header};
use types::time::Timestamp;
use types::{Code, Error};
use wal::reader::ShardStates;
use wal::reader::shards::Verdict;
use wal::writer::{Admission, StampedShards};

use crate::channel::{Channel, write_bytes};
use crate::channels::Channels;

/// Refuses for one channel.
pub(super) struct Guarded {
    stamped: StampedShards,
    channel: Arc<Channel>,
    /// Of the whole node.
    channels: Arc<Channels>,
    unflushed_bytes_max: usize,
}

impl Guarded {
    pub fn new(channel: Arc<Channel>, channels: Arc<Channels>, unflushed_bytes_max: usize) -> Self {
        Self { stamped: StampedShards::default(), channel, channels, unflushed_bytes_max }
    }

    fn refusal(&self, header: &Header, body: &Body) -> Option<Error> {
        let needed = write_bytes(body);
        if needed == 0 {
            return None;
        }
        if let Some(error) = self.channel.refusal(header.shard) {
            return Some(error);
        }
        let used = self.channels.unflushed_bytes();
        (used + needed > self.unflushed_bytes_max).then(|| {
            let text = format!(
                "a write of {needed} bytes, {} of {} are there for rows that aren't flushed yet (elanus.flush.unflushedBytes): memory limit exceeded",
                self.unflushed_bytes_max.saturating_sub(used),
                self.unflushed_bytes_max,
            );
            Error::new(Code::MEMORY_LIMIT, text)
        })
    }
}

impl Admission for Guarded {
    fn restart(&mut self, shards: &ShardStates, clock: Timestamp) {
        self.channel.stamps_anew();
        self.stamped.restart(shards, clock);
    }

    fn check(&self, header: &Header, body: &Body) -> Verdict {
        match self.stamped.check(header, body) {
            Verdict::Admit => self.refusal(header, body).map_or(Verdict::Admit, |error| Verdict::Refuse((&error).into())),
            other => other,
        }
    }

    fn stamped(&mut self, header: &Header, body: &Body) {
        self.channel.stamped(write_bytes(body));
        self.stamped.stamped(header, body);
    }
}
