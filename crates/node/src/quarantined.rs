//! A shard of a channel that can't be applied any further: what is known of it while its reads and writes are refused.
//!
//! Its records still come by. They hold the checkpoint until they are copied to objects (`data::quarantine`), which is also how a
//! quarantine is remembered: the next start finds the copies, tries to apply them, and fails in the same way or succeeds.

use types::id::ShardId;
use types::position::Position;
use types::{Code, Error};
use wal::Span;

/// One quarantined shard.
pub struct Quarantined {
    error: Error,
    /// At or below the first record that neither a manifest nor an object holds.
    uncopied: Option<Position>,
    /// The last record that came.
    through: Option<Position>,
    /// Up to here they were copied by an earlier process.
    kept: Option<Position>,
    dropped: bool,
}

impl Quarantined {
    /// From `uncopied` on its records are in the log alone.
    pub fn new(error: Error, uncopied: Option<Position>) -> Self {
        Self { error, uncopied, through: None, kept: None, dropped: false }
    }

    /// Its records up to `kept` were copied by an earlier process.
    pub fn remembered(error: Error, kept: Option<Position>) -> Self {
        Self { kept, ..Self::new(error, None) }
    }

    /// A record of it came by.
    pub fn passed(&mut self, span: Span) {
        if !self.dropped && self.kept.is_none_or(|kept| span.last > kept) {
            self.uncopied.get_or_insert(span.first);
            self.through = Some(span.last);
        }
    }

    /// Its drop record came: nothing of it is needed any more.
    pub fn drop_all(&mut self) {
        self.dropped = true;
        self.uncopied = None;
    }

    /// Whether it was dropped.
    pub fn is_dropped(&self) -> bool {
        self.dropped
    }

    /// What holds the checkpoint.
    pub fn uncopied(&self) -> Option<Position> {
        self.uncopied
    }

    /// Why it isn't applied.
    pub fn reason(&self) -> &Error {
        &self.error
    }

    /// Its records up to `through` are in objects.
    pub fn copied(&mut self, through: Position) {
        let later = self.through.filter(|last| *last > through);
        self.uncopied = later.map(|_| through.next());
    }

    /// What readers and writers are told.
    pub fn refusal(&self, shard: ShardId) -> Error {
        let text = format!(
            "shard {shard} is quarantined, its reads and writes are refused; its records are kept in quarantine/{}/{}; start a version or put back \
             the object that lets them be applied, or drop the collection: {}",
            shard.collection, shard.index, self.error,
        );
        Error::new(Code::DATA_INTEGRITY, text)
    }
}
