//! Definitions that the proxy has read from rootcoord, until it is told that they changed.
//!
//! A definition may be old: the sequencer refuses what was made under an old one, and the shard waits for a newer one; then the proxy
//! [refreshes](Cache::refresh). Names have nothing behind them that would refuse, so rootcoord ends a change only when every proxy has
//! dropped its entries ([`Cache::invalidate`]).
//!
//! Invariants: what a fetch brings is kept only if nothing was invalidated since the fetch began; a caller that comes after an invalidation
//! doesn't share a fetch from before it; the number of entries is bounded.

use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::metrics::{Counter, Histogram, milvus};
use foldhash::HashMap;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use role::Call;
use role::root::{CollectionRef, RootCoord};
use tokio::time::Instant;
use types::Result;
use types::collection::Collection;
use types::id::CollectionId;

/// Entries, names and ids counted each; when there are more, all are dropped.
const ENTRIES_MAX: usize = 16_384;
/// How long a fetch that several callers share may take.
const FETCH_LIMIT: Duration = Duration::from_secs(10);

/// What metrics call the cache.
const NAME: &str = "CollectionInfo";

type Fetched = Result<Arc<Collection>>;

/// The definitions.
pub struct Cache {
    world: World,
    root: Arc<dyn RootCoord>,
    inner: Mutex<Inner>,
    hits: Counter,
    misses: Counter,
    filling: Histogram,
}

#[derive(Default)]
struct Inner {
    /// Rises with every invalidation.
    generation: u64,
    known: HashMap<CollectionRef, Arc<Collection>>,
    /// Fetches under way, of the current generation.
    fetches: HashMap<CollectionRef, Fetch>,
}

#[derive(Clone)]
struct Fetch {
    /// Nobody joins it from then on: its callers may all have left, and then nobody has driven it.
    deadline: Instant,
    result: Shared<BoxFuture<'static, Fetched>>,
}

impl Cache {
    /// An empty cache before rootcoord.
    pub fn new(world: World, root: Arc<dyn RootCoord>) -> Self {
        let node = world.metrics.node();
        let looked = world.metrics.family(&milvus::PROXY_CACHE_HIT_COUNT);
        let hits = looked.with([node, NAME, "hit"]);
        let misses = looked.with([node, NAME, "miss"]);
        let filling = world.metrics.family(&milvus::PROXY_CACHE_UPDATE_LATENCY).with([node, NAME]);
        Self { world, root, inner: Mutex::default(), hits, misses, filling }
    }

    /// A collection's definition.
    ///
    /// # Errors
    /// Those of [`RootCoord::collection`], which are not kept, and `TIMEOUT`.
    pub async fn collection(&self, call: &Call, which: &CollectionRef) -> Fetched {
        let (generation, fetch) = {
            let mut inner = self.inner.lock();
            if let Some(known) = inner.known.get(which) {
                self.hits.inc();
                return Ok(known.clone());
            }
            self.misses.inc();
            let now = self.world.clock.now();
            inner.fetches.retain(|_, fetch| fetch.deadline > now);
            let fetch = inner.fetches.entry(which.clone()).or_insert_with(|| self.fetch(which.clone())).clone();
            (inner.generation, fetch)
        };
        let began = self.world.clock.now();
        let fetched = call.bound("reading a collection's definition", fetch.result.clone()).await;
        self.filling.observe_duration(self.world.clock.now() - began);
        let mut inner = self.inner.lock();
        if inner.fetches.get(which).is_some_and(|current| current.result.ptr_eq(&fetch.result)) && fetch.result.peek().is_some() {
            inner.fetches.remove(which);
        }
        if let Ok(collection) = &fetched
            && inner.generation == generation
        {
            if inner.known.len() >= ENTRIES_MAX {
                inner.known.clear();
            }
            inner.known.insert(which.clone(), collection.clone());
        }
        fetched
    }

    /// The definition as it is now, because `stale` was refused.
    ///
    /// # Errors
    /// As [`Self::collection`].
    pub async fn refresh(&self, call: &Call, which: &CollectionRef, stale: &Arc<Collection>) -> Fetched {
        {
            let mut inner = self.inner.lock();
            if inner.known.get(which).is_some_and(|known| Arc::ptr_eq(known, stale)) {
                inner.drop_all_of(stale.id);
            }
        }
        self.collection(call, which).await
    }

    /// Drops every entry of a collection: from now on nobody is given what was read before.
    pub fn invalidate(&self, collection: CollectionId) {
        self.inner.lock().drop_all_of(collection);
    }

    /// Drops every entry.
    pub fn clear(&self) {
        let mut inner = self.inner.lock();
        inner.generation += 1;
        inner.fetches.clear();
        inner.known.clear();
    }

    fn fetch(&self, which: CollectionRef) -> Fetch {
        let root = self.root.clone();
        let call = Call::within(&self.world, FETCH_LIMIT, "definition");
        let deadline = call.deadline;
        let fetch = async move { call.bound("rootcoord", root.collection(&call, &which)).await.map(Arc::new) };
        Fetch { deadline, result: fetch.boxed().shared() }
    }
}

impl Inner {
    fn drop_all_of(&mut self, collection: CollectionId) {
        self.generation += 1;
        self.fetches.clear();
        self.known.retain(|_, known| known.id != collection);
    }
}
