//! Decoded pages of texts, kept while they are used: one cache for all segments of a process, bounded in bytes.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use types::id::FieldId;

use super::page::Page;

/// Pages that were decoded, least used ones dropped first. Clones share the pages.
#[derive(Clone)]
pub struct PageCache {
    pages: Arc<Cache<PageKey, Arc<Page>, PageBytes>>,
}

/// One page of one opened file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct PageKey {
    pub file: u64,
    pub field: FieldId,
    pub page: u32,
}

#[derive(Clone)]
struct PageBytes;

impl Weighter<PageKey, Arc<Page>> for PageBytes {
    fn weight(&self, _key: &PageKey, page: &Arc<Page>) -> u64 {
        page.memory() as u64
    }
}

/// What a page takes on average: sizes the cache's table.
const PAGE_BYTES_EXPECTED: u64 = 64 << 10;

impl PageCache {
    /// A cache of at most `bytes_max` bytes.
    pub fn new(bytes_max: u64) -> Self {
        let pages = usize::try_from(bytes_max / PAGE_BYTES_EXPECTED).unwrap_or(usize::MAX).max(16);
        Self { pages: Arc::new(Cache::with_weighter(pages, bytes_max, PageBytes)) }
    }

    /// Bytes that are held.
    pub fn bytes(&self) -> u64 {
        self.pages.weight()
    }

    pub(crate) fn get_or_insert_with<E>(&self, key: &PageKey, decode: impl FnOnce() -> Result<Arc<Page>, E>) -> Result<Arc<Page>, E> {
        self.pages.get_or_insert_with(key, decode)
    }
}
