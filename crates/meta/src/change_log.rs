//! The latest changes of a store in one process, for its watches: bounded, so that one which comes too late is told so.
//!
//! Shared by `memory` and `redb`. Not durable: a process that starts knows no changes but those that it makes.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::store::{Change, MetaError, Revision};

/// Changes of at most so many revisions in one answer of a watch.
const ANSWER_REVISIONS_MAX: usize = 1_000;

/// Changes by revision, the oldest dropped first.
pub(crate) struct ChangeLog {
    /// Nothing is known of changes below it.
    known_from: Revision,
    recent: VecDeque<(Revision, Arc<[Change]>)>,
    changes: usize,
    changes_max: usize,
}

impl ChangeLog {
    /// Knows the changes after `revision` once they are pushed, and keeps about `changes_max` of them.
    pub(crate) fn after(revision: Revision, changes_max: usize) -> Self {
        Self { known_from: revision.next(), recent: VecDeque::new(), changes: 0, changes_max }
    }

    /// Adds the changes of one revision.
    pub(crate) fn push(&mut self, revision: Revision, changes: Vec<Change>) {
        debug_assert!(self.recent.back().is_none_or(|(last, _)| *last < revision), "revisions rise");
        self.changes += changes.len();
        self.recent.push_back((revision, changes.into()));
        while self.changes > self.changes_max && self.recent.len() > 1 {
            let (oldest, _) = self.recent[0];
            self.forget_below(oldest.next());
        }
    }

    /// Forgets the changes below `revision`.
    pub(crate) fn forget_below(&mut self, revision: Revision) {
        while let Some((oldest, changes)) = self.recent.front()
            && *oldest < revision
        {
            self.changes -= changes.len();
            self.recent.pop_front();
        }
        self.known_from = self.known_from.max(revision);
    }

    /// The changes of keys with the prefix at `from` and above, as far as one answer goes, and from where to go on.
    pub(crate) fn since(&self, from: Revision, prefix: &[u8]) -> Result<(Vec<Change>, Revision), MetaError> {
        if from < self.known_from {
            return Err(MetaError::Compacted);
        }
        let start = self.recent.partition_point(|(revision, _)| *revision < from);
        let mut next = from;
        let mut found = Vec::new();
        for (revision, changes) in self.recent.range(start..).take(ANSWER_REVISIONS_MAX) {
            found.extend(changes.iter().filter(|change| change.key().starts_with(prefix)).cloned());
            next = revision.next();
        }
        Ok((found, next))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn delete(revision: i64) -> Vec<Change> {
        vec![Change::Delete { key: Bytes::from(format!("a/{revision}")), revision: Revision(revision) }]
    }

    #[test]
    fn forgets_the_oldest_and_says_so() {
        let mut log = ChangeLog::after(Revision(10), 3);
        assert_eq!(log.since(Revision(10), b"").unwrap_err(), MetaError::Compacted, "the process began after it");
        for revision in 11..=14 {
            log.push(Revision(revision), delete(revision));
        }
        assert_eq!(log.since(Revision(11), b"").unwrap_err(), MetaError::Compacted);
        let (changes, next) = log.since(Revision(12), b"a/").expect("three are kept");
        assert_eq!((changes.len(), next), (3, Revision(15)));
        assert_eq!(log.since(Revision(13), b"b/").expect("kept"), (Vec::new(), Revision(15)), "others' changes move it on");
        assert_eq!(log.since(Revision(20), b"").expect("ahead"), (Vec::new(), Revision(20)));
        log.forget_below(Revision(15));
        assert_eq!(log.since(Revision(14), b"").unwrap_err(), MetaError::Compacted);
        assert_eq!(log.since(Revision(15), b"").expect("none yet"), (Vec::new(), Revision(15)));
    }
}
