//! The store in memory, in paused time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::World;
use base::disk::RealDisk;
use meta::conformance::{self, Subject};
use meta::memory::{LINK_TIMEOUT, MemoryStore};
use meta::store::{Meta, MetaError, Revision, Transaction};

struct InMemory {
    world: World,
    store: MemoryStore,
}

#[async_trait]
impl Subject for InMemory {
    fn connect(&self) -> Arc<dyn Meta> {
        Arc::new(self.store.connect())
    }

    async fn compact(&self, below: Revision) {
        self.store.compact(below);
    }

    fn world(&self) -> &World {
        &self.world
    }

    fn lease(&self) -> Duration {
        Duration::from_secs(3)
    }
}

/// No disk is touched: a simulated world needs one nevertheless.
pub(crate) fn simulated(seed: u64) -> World {
    World::simulated(seed, Arc::new(RealDisk))
}

#[tokio::test(start_paused = true)]
async fn conforms() {
    let world = simulated(1);
    let store = MemoryStore::new(world.clock.clone());
    conformance::check(&InMemory { world, store }).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_cut_off_loses_its_lease_and_hears_of_all_later() {
    let world = simulated(2);
    let store = MemoryStore::new(world.clock.clone());
    let (here, there) = (store.connect(), store.connect());
    let lease = here.grant(Duration::from_secs(3)).await.expect("reachable");
    let revision = here.commit(Transaction::new().put_leased("a", "v", lease)).await.expect("reachable");
    let mut watch = here.watch(b"", revision.next()).await.expect("reachable");
    here.set_reachable(false);
    let began = world.clock.now();
    assert!(matches!(here.keep_alive(lease).await, Err(MetaError::Unavailable(_))));
    assert_eq!(world.clock.now() - began, LINK_TIMEOUT);
    assert!(world.within(Duration::from_secs(10), watch.next()).await.is_none(), "nothing is heard over a cut link");
    assert_eq!(there.get(b"a").await, Ok(None), "the lease ran out");
    there.commit(Transaction::new().put("b", "v")).await.expect("reachable");
    here.set_reachable(true);
    let mut heard = Vec::new();
    while heard.len() < 2 {
        heard.extend(watch.next().await.expect("the link is mended"));
    }
    assert_eq!(heard.iter().map(|change| change.key().clone()).collect::<Vec<_>>(), ["a", "b"]);
}
