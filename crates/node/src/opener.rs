//! From a manifest to segments that a shard serves: files mapped or fetched, indexes opened, deletes resolved.

use std::sync::Arc;

use segment::{Sealed, SealedIndex};
use store::delete_file::DeleteFile;
use store::manifest::{Manifest, Segment};
use store::object::{Store, StoreError};
use store::reference::ObjectRef;
use store::segment_file::{PageCache, SegmentReader};
use types::blob::{Blob, MemoryBlob};
use types::delete::DeleteEntry;
use types::{Code, Error, Result};

/// Opens what manifests name.
#[derive(Clone)]
pub struct Opener {
    store: Arc<dyn Store>,
    pages: PageCache,
}

impl Opener {
    /// Over a store; decoded pages of texts are kept in `pages`.
    pub fn new(store: Arc<dyn Store>, pages: PageCache) -> Self {
        Self { store, pages }
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The segments of a manifest. Those among `open` are taken as they are, with the indexes that the manifest has now.
    ///
    /// # Errors
    /// A missing or damaged object, by name.
    pub async fn segments(&self, manifest: &Manifest, open: &[Arc<Sealed>]) -> Result<Vec<Arc<Sealed>>> {
        let mut deletes = None;
        let mut segments = Vec::with_capacity(manifest.segments.len());
        for entry in &manifest.segments {
            let known = open.iter().find(|sealed| sealed.id() == entry.id);
            segments.push(match known {
                Some(sealed) => self.with_indexes(sealed, entry).await?,
                None => {
                    if deletes.is_none() {
                        deletes = Some(self.deletes(manifest).await?);
                    }
                    let deletes = deletes.as_deref().unwrap_or_default();
                    Arc::new(self.open(manifest, entry, deletes).await.map_err(|error| at_risk(entry, error))?)
                }
            });
        }
        Ok(segments)
    }

    /// The rows of a segment.
    ///
    /// # Errors
    /// As [`Self::segments`].
    pub async fn reader(&self, entry: &Segment, schema: &types::schema::Schema) -> Result<SegmentReader> {
        let mut files = Vec::with_capacity(entry.files.len());
        for file in &entry.files {
            files.push((file.kind, self.blob(&file.object).await?));
        }
        SegmentReader::open(entry, schema, files, &self.pages)
    }

    async fn open(&self, manifest: &Manifest, entry: &Segment, deletes: &[DeleteEntry]) -> Result<Sealed> {
        let reader = self.reader(entry, &manifest.schema).await?;
        let mut indexes = Vec::with_capacity(entry.indexes.len());
        for file in &entry.indexes {
            indexes.push(self.index(file).await?);
        }
        Sealed::new(reader, manifest.schema.primary().clone(), indexes, deletes)
    }

    async fn with_indexes(&self, sealed: &Arc<Sealed>, entry: &Segment) -> Result<Arc<Sealed>> {
        let same = sealed.indexes().iter().map(|index| index.index).eq(entry.indexes.iter().map(|file| file.index));
        if same {
            return Ok(sealed.clone());
        }
        let mut indexes = Vec::with_capacity(entry.indexes.len());
        for file in &entry.indexes {
            match sealed.indexes().iter().find(|index| index.index == file.index) {
                Some(open) => indexes.push(open.clone()),
                None => indexes.push(self.index(file).await?),
            }
        }
        Ok(Arc::new(sealed.with_indexes(indexes)))
    }

    async fn index(&self, file: &store::manifest::IndexFile) -> Result<SealedIndex> {
        let blob = self.blob(&file.object).await?;
        Ok(SealedIndex { index: file.index, field: file.field, opened: index::registry::open(&*blob)? })
    }

    async fn deletes(&self, manifest: &Manifest) -> Result<Vec<DeleteEntry>> {
        let mut entries = Vec::new();
        for file in &manifest.deletes {
            entries.extend(DeleteFile::open(&*self.blob(&file.object).await?)?.entries());
        }
        Ok(entries)
    }

    /// An object as a blob: mapped where it lies if the store can, else fetched and compared with its checksum.
    async fn blob(&self, object: &ObjectRef) -> Result<Arc<dyn Blob>> {
        let bytes = match self.store.map(&object.name).await.map_err(StoreError::into_error)? {
            Some(mapped) => {
                object.check_length(mapped.len() as u64)?;
                mapped
            }
            None => object.verify(self.store.get(&object.name).await.map_err(StoreError::into_error)?)?,
        };
        Ok(Arc::new(MemoryBlob::new(object.name.clone(), bytes)))
    }
}

fn at_risk(entry: &Segment, error: Error) -> Error {
    let code = if error.code() == Code::DATA_INTEGRITY { Code::DATA_INTEGRITY } else { error.code() };
    Error::new(code, format!("segment {} with {} rows can't be read: {error}", entry.id, entry.rows))
}
