//! What a sequencer refuses: judged against everything that is stamped, applied or not, since the requests' order is that of stamping.

use types::record::{Body, Header};
use types::time::Timestamp;

pub use crate::reader::shards::Verdict;
use crate::reader::{Receipt, ShardStates};

/// A fold of stamped records. Conditional upserts (`docs/protocol.md` §7) have their place here: an implementation that also keeps changed keys.
pub trait Admission: Send {
    /// Starts anew from what the log holds: at a takeover, and after an unknown outcome. What was stamped and isn't there is stamped again.
    fn restart(&mut self, shards: &ShardStates, clock: Timestamp);

    /// Whether a request may be stamped. The header has everything but number, epoch and timestamp.
    fn check(&self, header: &Header, body: &Body) -> Verdict;

    /// A record was stamped.
    fn stamped(&mut self, header: &Header, body: &Body);
}

/// The default: collection, partition and schema version.
#[derive(Clone, Debug, Default)]
pub struct StampedShards {
    shards: ShardStates,
}

impl Admission for StampedShards {
    fn restart(&mut self, shards: &ShardStates, _clock: Timestamp) {
        self.shards = shards.clone();
    }

    fn check(&self, header: &Header, body: &Body) -> Verdict {
        self.shards.check(header, body)
    }

    fn stamped(&mut self, header: &Header, body: &Body) {
        if let Body::Control(control) = body {
            // Not in the log yet: the position is never looked at here.
            let receipt = Receipt { position: Default::default(), number: header.number, epoch: header.epoch, timestamp: header.timestamp };
            self.shards.fold(header.shard, control, receipt);
        }
    }
}
