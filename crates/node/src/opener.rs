//! From a manifest to segments that a shard serves: files mapped or fetched, indexes opened, deletes resolved.
//!
//! A segment that can't be opened doesn't keep the others from being served: it becomes a [`Gap`], which names its rows and its object.
//! An index is derived: one that is damaged is left out, the segment is scanned, and who asked is told to have it built anew. A
//! damaged delete file makes gaps of the segments that need it: nobody knows which of their rows are dead.
//!
//! Not here: who looks again later, and the scrub ([`crate::care`]).

use std::sync::Arc;

use index::any::{AnyIndex, open_any};
use segment::{Gap, Sealed, SealedIndex, Segments, Version};
use store::delete_file::DeleteFile;
use store::manifest::{DeleteFileRef, IndexFile, Manifest, Segment};
use store::object::Store;
use store::segment_file::{PageCache, ScrubCursor, SegmentReader};
use store::source::ObjectSource;
use tokio::sync::OnceCell;
use types::delete::DeleteEntry;
use types::id::SegmentId;
use types::{Code, Error, Result};

use crate::condemned::Condemned;

/// Opens what manifests name.
#[derive(Clone)]
pub struct Opener {
    source: ObjectSource,
    pages: PageCache,
    condemned: Arc<Condemned>,
}

/// A manifest's segments, opened as far as that goes.
#[derive(Default)]
pub struct Opened {
    /// For the shard.
    pub segments: Segments,
    /// Segments that weren't open before: to be scrubbed.
    pub fresh_segments: Vec<Arc<Sealed>>,
    /// Indexes that weren't open before: to be scrubbed.
    pub fresh_indexes: Vec<(SegmentId, IndexFile, Arc<AnyIndex>)>,
    /// Indexes that aren't what was written: to be built anew.
    pub damaged_indexes: Vec<(SegmentId, IndexFile)>,
    /// Indexes that can't be reached now.
    pub missing_indexes: bool,
}

/// What a shard has open.
pub struct Known<'a> {
    /// Its version now.
    pub version: &'a Version,
    /// It answers reads already: rather than refuse some it stays as it is while a store is away.
    pub serving: bool,
}

/// A manifest that is being opened.
struct Opening<'a> {
    manifest: &'a Manifest,
    deletes: Vec<(&'a DeleteFileRef, OnceCell<Result<DeleteFile>>)>,
    opened: Opened,
}

impl Opener {
    /// Over a store; decoded pages of texts are kept in `pages`.
    pub fn new(source: ObjectSource, pages: PageCache) -> Self {
        Self { source, pages, condemned: Arc::default() }
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        self.source.store()
    }

    /// The store with the cache before it.
    pub fn source(&self) -> &ObjectSource {
        &self.source
    }

    /// What a scrub found damaged: never opened again as it is.
    pub fn condemned(&self) -> &Condemned {
        &self.condemned
    }

    /// The segments of a manifest. Those that are open are taken as they are, with the indexes that the manifest has now.
    ///
    /// # Errors
    /// The store is away, and the shard serves already. `DISK_LIMIT`: the cache has no room for a segment.
    pub async fn segments(&self, manifest: &Manifest, known: &Known<'_>) -> Result<Opened> {
        let deletes = manifest.deletes.iter().map(|file| (file, OnceCell::new())).collect();
        let mut opening = Opening { manifest, deletes, opened: Opened::default() };
        for entry in &manifest.segments {
            let open = known.version.sealed.iter().find(|sealed| sealed.id() == entry.id);
            let result = match (self.condemned.segment(entry.id), open) {
                (Some(error), _) => Err(error),
                (None, Some(open)) => Ok(self.with_indexes(&mut opening.opened, open, entry).await),
                (None, None) => self.open(&mut opening, entry).await,
            };
            let was_gap = known.version.gaps.iter().any(|gap| gap.segment == entry.id);
            match result {
                Ok(sealed) => opening.opened.segments.sealed.push(sealed),
                // Elsewhere there may be room.
                Err(error) if error.code() == Code::DISK_LIMIT => return Err(at_risk(entry, error)),
                Err(error) if known.serving && !was_gap && !is_damage(&error) => return Err(at_risk(entry, error)),
                Err(error) => opening.opened.segments.gaps.push(Gap::of_entry(entry, error)),
            }
        }
        Ok(opening.opened)
    }

    /// The rows of a segment.
    ///
    /// # Errors
    /// A missing or damaged object, by name; a store that is away.
    pub async fn reader(&self, entry: &Segment, schema: &types::schema::Schema) -> Result<SegmentReader> {
        let opened = self.source.segment(entry, schema, &self.pages, |_| true).await;
        match opened {
            // The cache's copy may be what is damaged.
            Err(error) if is_damage(&error) && self.source.forget(entry.objects()) => {
                self.source.segment(entry, schema, &self.pages, |_| true).await
            }
            opened => opened,
        }
    }

    /// Opens a condemned segment and compares all of it: whole again, it is taken up by the next look.
    ///
    /// # Errors
    /// What is wrong with it still.
    pub async fn acquit(&self, world: &base::World, manifest: &Manifest, entry: &Segment) -> Result<()> {
        self.source.forget(entry.objects());
        let reader = self.reader(entry, &manifest.schema).await?;
        world.tasks.blocking(move || reader.scrub(&mut ScrubCursor::default(), u64::MAX)).await?;
        self.condemned.acquit_segment(entry.id);
        Ok(())
    }

    async fn open(&self, opening: &mut Opening<'_>, entry: &Segment) -> Result<Arc<Sealed>> {
        let deletes = self.deletes(opening, entry).await?;
        let reader = self.reader(entry, &opening.manifest.schema).await?;
        let indexes = self.indexes(&mut opening.opened, &[], entry).await;
        let sealed = Arc::new(Sealed::new(reader, opening.manifest.schema.primary().clone(), indexes, &deletes)?);
        opening.opened.fresh_segments.push(sealed.clone());
        Ok(sealed)
    }

    async fn with_indexes(&self, opened: &mut Opened, sealed: &Arc<Sealed>, entry: &Segment) -> Arc<Sealed> {
        let same = sealed.indexes().iter().map(|index| index.index).eq(entry.indexes.iter().map(|file| file.index));
        if same && entry.indexes.iter().all(|file| self.condemned.index(&file.object.name).is_none()) {
            return sealed.clone();
        }
        Arc::new(sealed.with_indexes(self.indexes(opened, sealed.indexes(), entry).await))
    }

    /// The indexes that can be used, those in `open` as they are.
    async fn indexes(&self, opened: &mut Opened, open: &[SealedIndex], entry: &Segment) -> Vec<SealedIndex> {
        let mut usable = Vec::with_capacity(entry.indexes.len());
        for file in &entry.indexes {
            let result = match (self.condemned.index(&file.object.name), open.iter().find(|index| index.index == file.index)) {
                (Some(error), _) => Err(error),
                (None, Some(open)) => Ok(open.clone()),
                (None, None) => self.index(file).await.inspect(|index| {
                    opened.fresh_indexes.push((entry.id, file.clone(), index.opened.clone()));
                }),
            };
            match result {
                Ok(index) => usable.push(index),
                Err(error) => {
                    tracing::warn!(segment = %entry.id, object = %file.object.name, %error, "an index can't be used, its segment is scanned");
                    match is_damage(&error) {
                        true => opened.damaged_indexes.push((entry.id, file.clone())),
                        // A type that this version doesn't know won't come; a store that is away will.
                        false => opened.missing_indexes |= error.code() != Code::INDEX_NOT_SUPPORTED,
                    }
                }
            }
        }
        usable
    }

    async fn index(&self, file: &IndexFile) -> Result<SealedIndex> {
        let open = async || {
            let blob = self.source.blob(&file.object).await?;
            Ok(SealedIndex { index: file.index, field: file.field, opened: Arc::new(open_any(&*blob)?) })
        };
        match open().await {
            Err(error) if is_damage(&error) && self.source.forget([&file.object]) => open().await,
            opened => opened,
        }
    }

    /// The deletes that may end rows of a segment.
    async fn deletes(&self, opening: &Opening<'_>, entry: &Segment) -> Result<Vec<DeleteEntry>> {
        let mut entries = Vec::new();
        for (file, cell) in opening.deletes.iter().filter(|(file, _)| entry.needs(file)) {
            match cell.get_or_init(|| self.delete_file(file)).await {
                Ok(file) => entries.extend(file.entries()),
                Err(error) => {
                    let what = format!("which of its rows {} deletes have ended isn't known", file.entries);
                    return Err(error.clone().context(what));
                }
            }
        }
        Ok(entries)
    }

    async fn delete_file(&self, file: &DeleteFileRef) -> Result<DeleteFile> {
        match self.source.delete_file(file).await {
            Err(error) if is_damage(&error) && self.source.forget([&file.object]) => self.source.delete_file(file).await,
            opened => opened,
        }
    }
}

/// Whether an object isn't what was written, or isn't there: looking again at once won't help.
pub(crate) fn is_damage(error: &Error) -> bool {
    error.code() == Code::DATA_INTEGRITY
}

fn at_risk(entry: &Segment, error: Error) -> Error {
    error.context(format_args!("segment {} with {} rows can't be read now", entry.id, entry.rows))
}
