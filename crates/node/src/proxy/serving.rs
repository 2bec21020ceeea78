//! Who serves a collection, as querycoord last said; kept until a node refuses or the collection is released.
//!
//! What is older than a moment is asked for again beside the request that uses it: nodes that came since are to be asked too.

use std::sync::Arc;
use std::time::Duration;

use base::World;
use foldhash::HashMap;
use parking_lot::Mutex;
use role::Call;
use role::query::{Leader, QueryCoord, Wanted};
use tokio::time::Instant;
use types::collection::Collection;
use types::id::{CollectionId, PartitionId};
use types::{Code, Error, Result};

use super::load;

/// Collections kept; when there are more, all are dropped.
const ENTRIES_MAX: usize = 16_384;
/// What is older is asked for again.
const AGE_MAX: Duration = Duration::from_secs(3);
/// How long that may take.
const RENEWAL_MAX: Duration = Duration::from_secs(5);

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
    world: World,
    query: Arc<dyn QueryCoord>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Rises whenever something is forgotten: what was asked before isn't kept.
    generation: u64,
    known: HashMap<CollectionId, Known>,
}

struct Known {
    served: Arc<Served>,
    /// When it is asked for again.
    renew_at: Instant,
}

impl Serving {
    /// Nothing known yet.
    pub fn new(world: &World, query: Arc<dyn QueryCoord>) -> Arc<Self> {
        Arc::new(Self { world: world.clone(), query, inner: Mutex::default() })
    }

    /// Who serves a collection.
    ///
    /// # Errors
    /// 101 if it isn't loaded, 103 while some shard has no leader.
    pub async fn of(self: &Arc<Self>, call: &Call, collection: &Arc<Collection>) -> Result<Arc<Served>> {
        let now = self.world.clock.now();
        let generation = {
            let mut inner = self.inner.lock();
            let generation = inner.generation;
            if let Some(known) = inner.known.get_mut(&collection.id) {
                if known.renew_at <= now {
                    known.renew_at = now + AGE_MAX;
                    self.renew(collection.clone(), generation);
                }
                return Ok(known.served.clone());
            }
            generation
        };
        let served = Arc::new(self.ask(call, collection).await?);
        self.keep(collection.id, served.clone(), generation);
        Ok(served)
    }

    fn keep(&self, collection: CollectionId, served: Arc<Served>, generation: u64) {
        let renew_at = self.world.clock.now() + AGE_MAX;
        let mut inner = self.inner.lock();
        if inner.generation == generation {
            if inner.known.len() >= ENTRIES_MAX {
                inner.known.clear();
            }
            inner.known.insert(collection, Known { served, renew_at });
        }
    }

    /// Asks again beside whoever uses what is known; that stays where nobody answers.
    fn renew(self: &Arc<Self>, collection: Arc<Collection>, generation: u64) {
        let own = self.clone();
        let renewal = async move {
            let call = Call::within(&own.world, RENEWAL_MAX, "who serves");
            match own.ask(&call, &collection).await {
                Ok(served) => own.keep(collection.id, Arc::new(served), generation),
                Err(error) if error.code() == Code::COLLECTION_NOT_LOADED => own.forget(collection.id),
                Err(error) => tracing::debug!(collection = %collection.id, %error, "who serves a collection isn't known anew"),
            }
        };
        self.world.tasks.spawn(renewal).detach();
    }

    /// Has what is known of a collection asked for again by whoever uses it next.
    pub fn doubt(&self, collection: CollectionId) {
        let now = self.world.clock.now();
        if let Some(known) = self.inner.lock().known.get_mut(&collection) {
            known.renew_at = now;
        }
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
