//! Who serves a collection, as querycoord last said; kept until a node refuses or the collection is released.

use std::sync::Arc;

use foldhash::HashMap;
use parking_lot::Mutex;
use role::Call;
use role::query::{Leader, QueryCoord, Wanted};
use types::collection::Collection;
use types::id::{CollectionId, PartitionId};
use types::{Code, Error, Result};

use super::load;

/// Collections kept; when there are more, all are dropped.
const ENTRIES_MAX: usize = 16_384;

/// What is served of a collection and by whom.
#[derive(Clone, PartialEq, Debug)]
pub struct Served {
    /// At least one of each shard.
    pub leaders: Vec<Leader>,
    /// Which partitions.
    pub wanted: Wanted,
}

/// The answers of querycoord.
pub struct Serving {
    query: Arc<dyn QueryCoord>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Rises whenever something is forgotten: what was asked before isn't kept.
    generation: u64,
    known: HashMap<CollectionId, Arc<Served>>,
}

impl Serving {
    /// Nothing known yet.
    pub fn new(query: Arc<dyn QueryCoord>) -> Self {
        Self { query, inner: Mutex::default() }
    }

    /// Who serves a collection.
    ///
    /// # Errors
    /// 101 if it isn't loaded, 103 while some shard has no leader.
    pub async fn of(&self, call: &Call, collection: &Collection) -> Result<Arc<Served>> {
        let generation = {
            let inner = self.inner.lock();
            if let Some(known) = inner.known.get(&collection.id) {
                return Ok(known.clone());
            }
            inner.generation
        };
        let served = Arc::new(self.ask(call, collection).await?);
        let mut inner = self.inner.lock();
        if inner.generation == generation {
            if inner.known.len() >= ENTRIES_MAX {
                inner.known.clear();
            }
            inner.known.insert(collection.id, served.clone());
        }
        Ok(served)
    }

    async fn ask(&self, call: &Call, collection: &Collection) -> Result<Served> {
        let not_loaded = || Error::about(Code::COLLECTION_NOT_LOADED, &[("collection", &collection.name)]);
        let mut failure = None;
        let ask = async {
            let state = self.query.load_state(call, collection.id).await?;
            failure = state.failure;
            let wanted = state.wanted.ok_or_else(not_loaded)?;
            match self.query.leaders(call, collection.id).await {
                Ok(leaders) => Ok(Served { leaders, wanted }),
                Err(error) if error.code() == Code::COLLECTION_NOT_LOADED => Err(not_loaded()),
                Err(error) => Err(error),
            }
        };
        let served = call.bound("asking who serves a collection", ask).await?;
        let is_served = |shard| served.leaders.iter().any(|leader| leader.shard == shard);
        match collection.shards().all(|(shard, _)| is_served(shard)) {
            true => Ok(served),
            false => {
                let error = Error::about(Code::COLLECTION_NOT_FULLY_LOADED, &[("collection", &collection.name)]);
                Err(failure.into_iter().fold(error, |error, failure| error.context(failure)))
            }
        }
    }

    /// Forgets all.
    pub fn clear(&self) {
        let mut inner = self.inner.lock();
        inner.generation += 1;
        inner.known.clear();
    }

    /// Asks again next time.
    pub fn forget(&self, collection: CollectionId) {
        let mut inner = self.inner.lock();
        inner.generation += 1;
        inner.known.remove(&collection);
    }
}

impl Served {
    /// The first of `partitions` that isn't served.
    pub fn lacks(&self, partitions: &[PartitionId]) -> Option<PartitionId> {
        partitions.iter().copied().find(|partition| !load::wants(&self.wanted, *partition))
    }
}
