//! From a reference to what it refers to: mapped where the store is local, else from the disk cache, else in memory.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use types::blob::{Blob, MemoryBlob};
use types::schema::Schema;
use types::{Error, Result};

use crate::cache::DiskCache;
use crate::delete_file::DeleteFile;
use crate::manifest::{DeleteFileRef, FileKind, Manifest, Segment};
use crate::object::Store;
use crate::reference::ObjectRef;
use crate::segment_file::{PageCache, SegmentReader};

/// Files of a segment that are fetched at once.
const FILES_IN_FLIGHT: usize = 4;

/// A store and the cache before it. Clones share both.
#[derive(Clone)]
pub struct ObjectSource {
    store: Arc<dyn Store>,
    cache: Option<DiskCache>,
}

impl ObjectSource {
    /// Objects of `store`. A cache is used where the store can't map; without one objects that can't be mapped are held in memory.
    pub fn new(store: Arc<dyn Store>, cache: Option<DiskCache>) -> Self {
        Self { store, cache }
    }

    /// The store itself.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// A small object, whole, compared with its checksum.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`, naming an object that is missing or damaged; what the store says.
    pub async fn bytes(&self, object: &ObjectRef) -> Result<Bytes> {
        object.verify(self.store.get(&object.name).await?)
    }

    /// An object of any size. One that is mapped where it lies is compared by length only: its format has checksums of its own.
    ///
    /// # Errors
    /// As [`Self::bytes`]; `DISK_LIMIT` where the cache has no room.
    pub async fn blob(&self, object: &ObjectRef) -> Result<Arc<dyn Blob>> {
        let bytes = match (self.store.map(&object.name).await?, &self.cache) {
            (Some(mapped), _) => mapped,
            (None, Some(cache)) => cache.fetch(&*self.store, object).await?,
            (None, None) => self.bytes(object).await?,
        };
        object.check_length(bytes.len() as u64)?;
        Ok(Arc::new(MemoryBlob::new(object.name.clone(), bytes)))
    }

    /// Lets go of the cache's copies of objects that turned out to be damaged: the next read gets them from the store. False without a
    /// cache: a second look would find the same.
    pub fn forget<'a>(&self, objects: impl IntoIterator<Item = &'a ObjectRef>) -> bool {
        let Some(cache) = &self.cache else { return false };
        for object in objects {
            cache.discard(&object.name);
        }
        true
    }

    /// A manifest.
    ///
    /// # Errors
    /// As [`Self::bytes`].
    pub async fn manifest(&self, object: &ObjectRef) -> Result<Manifest> {
        Manifest::decode(&object.name, &self.bytes(object).await?)
    }

    /// A delete file, read whole and compared with its checksum: a byte that nobody reads is damage too.
    ///
    /// # Errors
    /// As [`Self::blob`].
    pub async fn delete_file(&self, file: &DeleteFileRef) -> Result<DeleteFile> {
        let blob = self.blob(&file.object).await?;
        let length = usize::try_from(blob.len()).map_err(|_| Error::internal("a delete file is larger than memory"))?;
        file.object.verify(blob.read(0, length)?)?;
        DeleteFile::open(&*blob)
    }

    /// A segment with those of its files that are `wanted`; the three that every segment needs are taken in any case.
    ///
    /// # Errors
    /// As [`Self::blob`]; `DATA_INTEGRITY`: see [`SegmentReader::open`].
    pub async fn segment(
        &self,
        segment: &Segment,
        schema: &Schema,
        pages: &PageCache,
        wanted: impl Fn(FileKind) -> bool,
    ) -> Result<SegmentReader> {
        let needed = |kind| matches!(kind, FileKind::Fixed | FileKind::Keys | FileKind::Stats) || wanted(kind);
        let files = segment.files.iter().filter(|file| needed(file.kind));
        let blobs: Vec<_> = files.map(|file| async { self.blob(&file.object).await.map(|blob| (file.kind, blob)) }).collect();
        let blobs = futures::stream::iter(blobs).buffer_unordered(FILES_IN_FLIGHT).try_collect::<Vec<_>>().await?;
        SegmentReader::open(segment, schema, blobs, pages)
    }
}
