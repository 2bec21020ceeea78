//! What a scrub found damaged behind a header that looks whole: it isn't opened again until all of it was compared.
//!
//! In memory only: after a restart the scrub finds the same again within a minute.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use store::manifest::Manifest;
use types::Error;
use types::id::{SegmentId, ShardId};

/// Damaged segments and index files of a process: what manifests of shards name, and is damaged.
#[derive(Default)]
pub struct Condemned {
    segments: Mutex<BTreeMap<SegmentId, (ShardId, Error)>>,
    /// By the object's name.
    indexes: Mutex<BTreeMap<String, (ShardId, Error)>>,
}

impl Condemned {
    /// What is wrong with a segment.
    pub fn segment(&self, id: SegmentId) -> Option<Error> {
        self.segments.lock().get(&id).map(|(_, error)| error.clone())
    }

    /// What is wrong with an index file, by its object's name.
    pub fn index(&self, name: &str) -> Option<Error> {
        self.indexes.lock().get(name).map(|(_, error)| error.clone())
    }

    /// A scrub found damage in a segment's files.
    pub fn condemn_segment(&self, (shard, id): (ShardId, SegmentId), error: Error) {
        self.segments.lock().insert(id, (shard, error));
    }

    /// A scrub found damage in an index file.
    pub fn condemn_index(&self, shard: ShardId, name: &str, error: Error) {
        self.indexes.lock().insert(name.to_owned(), (shard, error));
    }

    /// The segment's files are whole again.
    pub fn acquit_segment(&self, id: SegmentId) {
        self.segments.lock().remove(&id);
    }

    /// Forgets what a shard's manifest doesn't name any more; without one the shard is gone.
    pub fn retain(&self, shard: ShardId, manifest: Option<&Manifest>) {
        let entries = || manifest.into_iter().flat_map(|manifest| &manifest.segments);
        self.segments.lock().retain(|id, (of, _)| *of != shard || entries().any(|entry| entry.id == *id));
        let is_named = |name: &String| entries().flat_map(|entry| &entry.indexes).any(|file| file.object.name == *name);
        self.indexes.lock().retain(|name, (of, _)| *of != shard || is_named(name));
    }
}
