//! Changes of more than one transaction holds: all or nothing, wherever the leader dies.

use std::sync::Arc;
use std::time::Duration;

use meta::catalog::document::Versioned;
use meta::catalog::model::{DatabaseName, OperationId};
use meta::catalog::{Catalog, Change};
use meta::fault::{Fault, Faults, FaultyMeta};
use meta::memory::MemoryStore;
use meta::store::{Condition, Meta, MetaError, TRANSACTION_OPERATIONS_MAX, Transaction};
use types::id::DatabaseId;
use types::time::Timestamp;

use crate::memory::simulated;

const DOCUMENTS: i64 = 150;

fn name(i: i64) -> DatabaseName {
    DatabaseName { name: format!("name-{i:03}"), database: DatabaseId(1) }
}

async fn lead(meta: &dyn Meta) -> Condition {
    meta.commit(Transaction::new().delete("office")).await.expect("it works");
    let term = meta.commit(Transaction::new().put("office", "leader")).await.expect("it works");
    Condition::Created("office".into(), term)
}

/// A catalog with 50 documents, of which the large change removes some, replaces some, and adds more.
async fn prepare(catalog: &Catalog, fence: &Condition) -> Change {
    catalog.initialize(fence.clone(), Timestamp::ZERO).await.expect("it works");
    for batch in (0..50).collect::<Vec<_>>().chunks(20) {
        let change = batch.iter().fold(Change::fenced(fence.clone()), |change, i| change.create(&name(*i)));
        catalog.commit(change).await.expect("it works");
    }
    let (old, _) = catalog.list::<DatabaseName>("name-").await.expect("it works");
    let mut change = Change::new();
    for (i, document) in old.iter().enumerate() {
        change = match i {
            0..25 => change.remove(document),
            _ => change.replace(document, &DatabaseName { database: DatabaseId(2), ..document.value.clone() }),
        };
    }
    (50..DOCUMENTS).fold(change, |change, i| change.create(&name(i)))
}

/// Whether the change has happened.
fn happened(documents: &[Versioned<DatabaseName>]) -> bool {
    let count =
        |database| documents.iter().filter(|d| d.value.database == DatabaseId(database) && d.value.name != "default").count() as i64;
    match (count(1), count(2)) {
        (50, 0) => false,
        (added, 25) if added == DOCUMENTS - 50 => true,
        other => panic!("half of a change: {other:?}"),
    }
}

async fn names(catalog: &Catalog) -> Vec<Versioned<DatabaseName>> {
    catalog.load().await.expect("it works").database_names.into_values().collect()
}

#[tokio::test(start_paused = true)]
async fn a_large_change_is_made_whole() {
    let world = simulated(1);
    let meta: Arc<dyn Meta> = Arc::new(MemoryStore::new(world.clock.clone()).connect());
    let catalog = Catalog::new(meta.clone(), world.clock.clone());
    let fence = lead(meta.as_ref()).await;
    let change = prepare(&catalog, &fence).await;
    assert!(change.transaction().operations() > 3 * TRANSACTION_OPERATIONS_MAX);
    assert!(matches!(catalog.commit(change.clone()).await, Err(MetaError::TooLarge { .. })));
    catalog.commit_large(fence.clone(), OperationId(9), change.clone()).await.expect("it works");
    assert!(happened(&names(&catalog).await));
    assert_eq!(meta.list(b"catalog/stage").await.expect("it works").entries, [], "nothing is left aside");
    let again = catalog.commit_large(fence.clone(), OperationId(10), change).await;
    assert_eq!(again, Err(MetaError::Refused), "its conditions don't hold any more");
    assert!(happened(&names(&catalog).await));
    catalog.recover(fence).await.expect("it works");
    assert_eq!(meta.list(b"catalog/stage").await.expect("it works").entries, [], "nor of what was refused");
}

/// The leader dies before or after each of its calls; the next one recovers.
#[tokio::test(start_paused = true)]
async fn a_large_change_is_whole_or_absent_wherever_the_leader_dies() {
    let (mut absent, mut whole) = (0, 0);
    for step in 0.. {
        for fault in [Fault::Before, Fault::After] {
            let world = simulated(2);
            let store = MemoryStore::new(world.clock.clone());
            let faults = Faults::new(world.random.clone());
            let plain: Arc<dyn Meta> = Arc::new(store.connect());
            let dying = Catalog::new(Arc::new(FaultyMeta::new(plain.clone(), faults.clone())), world.clock.clone());
            let catalog = Catalog::new(plain.clone(), world.clock.clone());
            let fence = lead(plain.as_ref()).await;
            let change = prepare(&catalog, &fence).await;
            (0..step).for_each(|_| faults.next(None));
            faults.next(Some(fault));
            // From here on it is dead.
            (0..100).for_each(|_| faults.next(Some(Fault::Before)));
            let result = dying.commit_large(fence, OperationId(9), change).await;
            if result.is_ok() {
                assert!(step > 10, "every step was tried");
                assert!(absent > 5 && whole > 5, "it was absent {absent} times, whole {whole} times");
                return;
            }
            let fence = lead(plain.as_ref()).await;
            catalog.recover(fence.clone()).await.expect("it works");
            match happened(&names(&catalog).await) {
                true => whole += 1,
                false => absent += 1,
            }
            assert_eq!(plain.list(b"catalog/stage").await.expect("it works").entries, []);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_loads_half_of_a_change() {
    for seed in 0..10 {
        let world = simulated(seed);
        let store = MemoryStore::new(world.clock.clone());
        let plain: Arc<dyn Meta> = Arc::new(store.connect());
        let catalog = Catalog::new(plain.clone(), world.clock.clone());
        let fence = lead(plain.as_ref()).await;
        let change = prepare(&catalog, &fence).await;
        let slow = meta::latency::SlowMeta::new(
            plain.clone(),
            world.clock.clone(),
            world.random.fork(),
            Duration::ZERO..Duration::from_millis(30),
        );
        let writer = Catalog::new(Arc::new(slow), world.clock.clone());
        let task = world.tasks.spawn(async move { writer.commit_large(fence, OperationId(9), change).await });
        let mut before = false;
        let mut reads = 0;
        while !task.is_finished() {
            let now = happened(&names(&catalog).await);
            assert!(now >= before, "seed {seed}: what has happened has happened");
            before = now;
            reads += 1;
            world.clock.sleep(Duration::from_millis(world.random.below(20))).await;
        }
        task.join().await.expect("nobody kills it").expect("it works");
        assert!(reads > 5 && happened(&names(&catalog).await), "seed {seed}");
    }
}
