//! What a scrub found damaged behind a header that looks whole: it isn't opened again until all of it was compared.
//!
//! In memory only: after a restart the scrub finds the same again within a minute.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use types::Error;
use types::id::SegmentId;

/// Damaged segments and index files of a process. At most as many as are open.
#[derive(Default)]
pub struct Condemned {
    segments: Mutex<BTreeMap<SegmentId, Error>>,
    indexes: Mutex<BTreeMap<String, Error>>,
}

impl Condemned {
    /// What is wrong with a segment.
    pub fn segment(&self, id: SegmentId) -> Option<Error> {
        self.segments.lock().get(&id).cloned()
    }

    /// What is wrong with an index file, by its object's name.
    pub fn index(&self, name: &str) -> Option<Error> {
        self.indexes.lock().get(name).cloned()
    }

    /// A scrub found damage in a segment's files.
    pub fn condemn_segment(&self, id: SegmentId, error: Error) {
        self.segments.lock().insert(id, error);
    }

    /// A scrub found damage in an index file.
    pub fn condemn_index(&self, name: &str, error: Error) {
        self.indexes.lock().insert(name.to_owned(), error);
    }

    /// The segment's files are whole again, or nobody serves it any more.
    pub fn acquit_segment(&self, id: SegmentId) {
        self.segments.lock().remove(&id);
    }

    /// The file is in no manifest any more.
    pub fn forget_index(&self, name: &str) {
        self.indexes.lock().remove(name);
    }
}
