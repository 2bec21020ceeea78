//! Elections and sessions under faults: several candidates, links that are cut, answers that are lost.

use std::sync::Arc;
use std::time::Duration;

use meta::election::{Candidate, campaign};
use meta::fault::{Faults, FaultyMeta};
use meta::latency::SlowMeta;
use meta::memory::{MemoryMeta, MemoryStore};
use meta::mirror::{Difference, Mirror};
use meta::session::{Session, SessionState, register};
use meta::store::{Condition, Meta, MetaError, Revision, Transaction};
use parking_lot::Mutex;
use types::id::NodeId;
use types::time::Timestamp;

use crate::memory::simulated;

/// A node's way to the store: late, and failing.
fn faulty(world: &base::World, link: &MemoryMeta) -> Arc<dyn Meta> {
    let faults = Faults::new(world.random.fork());
    faults.chances(0.05, 0.05);
    let slow = SlowMeta::new(
        Arc::new(link.clone()),
        world.clock.clone(),
        world.random.fork(),
        Duration::from_millis(1)..Duration::from_millis(40),
    );
    Arc::new(FaultyMeta::new(Arc::new(slow), faults))
}

/// Each leader writes its term under its fence for as long as it takes itself for one: terms in the store never go back, and a leader that took
/// itself for one too long got nothing done.
#[tokio::test(start_paused = true)]
async fn terms_never_go_back() {
    for seed in 0..12 {
        let world = simulated(seed);
        let store = MemoryStore::new(world.clock.clone());
        let terms: Arc<Mutex<Vec<Revision>>> = Arc::default();
        let links: Vec<_> = (0..3).map(|_| store.connect()).collect();
        let nodes: Vec<_> = links
            .iter()
            .enumerate()
            .map(|(i, link)| {
                let (world, meta, terms) = (world.clone(), faulty(&world, link), terms.clone());
                let tasks = world.tasks.clone();
                let candidate = Candidate { office: "root".to_owned(), address: format!("{i}"), ttl: Duration::from_secs(3) };
                tasks.spawn(async move {
                    loop {
                        let leadership = campaign(&world, &meta, &candidate).await.expect("the store isn't damaged");
                        while !leadership.is_lost() {
                            let write = Transaction::new().when(leadership.fence()).put("term", format!("{}", leadership.term().0));
                            match meta.commit(write).await {
                                Ok(_) => terms.lock().push(leadership.term()),
                                Err(MetaError::Refused) => drop(leadership.confirm().await),
                                Err(_) => {}
                            }
                            world.clock.sleep(Duration::from_millis(100)).await;
                        }
                    }
                })
            })
            .collect();
        for _ in 0..30 {
            world.clock.sleep(Duration::from_millis(500 + world.random.below(4_000))).await;
            let link = &links[world.random.below(3) as usize];
            link.set_reachable(world.random.chance(0.5));
        }
        for link in &links {
            link.set_reachable(true);
        }
        let before = terms.lock().len();
        world.clock.sleep(Duration::from_secs(20)).await;
        let terms = terms.lock();
        assert!(terms.len() > before + 20, "seed {seed}: in the end somebody leads");
        // A write's answer may come after the next leader's first: what counts is the store's own history, which the fence orders.
        let mut distinct = terms.clone();
        distinct.dedup();
        distinct.sort();
        distinct.dedup();
        assert!(distinct.len() > 1, "seed {seed}: leaders changed");
        drop(nodes);
    }
}

/// The store's own history of the key that all leaders write: read through a watch beside them.
#[tokio::test(start_paused = true)]
async fn the_fence_orders_what_leaders_write() {
    for seed in 100..108 {
        let world = simulated(seed);
        let store = MemoryStore::new(world.clock.clone());
        let observer = store.connect();
        let mut watch = observer.watch(b"term", Revision(2)).await.expect("it works");
        let links: Vec<_> = (0..2).map(|_| store.connect()).collect();
        let nodes: Vec<_> = links
            .iter()
            .map(|link| {
                let (world, meta) = (world.clone(), faulty(&world, link));
                let tasks = world.tasks.clone();
                let candidate = Candidate { office: "root".to_owned(), address: String::new(), ttl: Duration::from_secs(2) };
                tasks.spawn(async move {
                    loop {
                        let leadership = campaign(&world, &meta, &candidate).await.expect("the store isn't damaged");
                        // On purpose it doesn't listen: for a while it goes on as if it still led.
                        for _ in 0..60 {
                            let write = Transaction::new().when(leadership.fence()).put("term", format!("{}", leadership.term().0));
                            drop(meta.commit(write).await);
                            world.clock.sleep(Duration::from_millis(50)).await;
                        }
                    }
                })
            })
            .collect();
        for i in 0..40 {
            world.clock.sleep(Duration::from_millis(world.random.below(2_500))).await;
            links[i % 2].set_reachable(world.random.chance(0.6));
        }
        drop(nodes);
        let mut terms = Vec::new();
        while let Some(changes) = world.within(Duration::from_millis(1), watch.next()).await {
            for change in changes.expect("nothing is compacted") {
                if let meta::store::Change::Put(entry) = change {
                    terms.push(String::from_utf8_lossy(&entry.value).parse::<i64>().expect("a term"));
                }
            }
        }
        assert!(terms.len() > 50 && terms.is_sorted(), "seed {seed}: {terms:?}");
        assert!(terms.first() < terms.last(), "seed {seed}: leaders changed");
    }
}

fn session(node: i64) -> Session {
    Session {
        node: NodeId(node),
        roles: vec!["proxy".to_owned()],
        address: format!("127.0.0.1:{node}"),
        host: String::new(),
        version: String::new(),
        started: Timestamp::ZERO,
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_while_its_node_is_cut_off_and_begins_anew_after() {
    let world = simulated(7);
    let store = MemoryStore::new(world.clock.clone());
    let (link, observer) = (store.connect(), store.connect());
    let observer: Arc<dyn Meta> = Arc::new(observer);
    let meta = faulty(&world, &link);
    let registration = register(&world, &meta, session(5), Duration::from_secs(3)).await.expect("it registers");
    let SessionState::Registered(first) = *registration.state().borrow() else { panic!("it is registered") };
    let fence = registration.fence().expect("it is registered");
    let (mut mirror, _) = Mirror::<Session>::open(&observer, &world.clock).await.expect("it works");
    assert_eq!(mirror.documents().len(), 1);
    link.set_reachable(false);
    let cut = world.clock.now();
    let mut state = registration.state();
    state.wait_for(|state| *state == SessionState::Lost).await.expect("the registration is there");
    assert!(world.clock.now() - cut <= Duration::from_secs(3), "it knows by its own clock");
    assert_eq!(registration.fence(), None);
    assert_eq!(mirror.next().await.expect("it works"), [Difference::Gone(NodeId(5))]);
    link.set_reachable(true);
    state.wait_for(|state| matches!(state, SessionState::Registered(created) if *created > first)).await.expect("it is there");
    let late = observer.commit(Transaction::new().when(fence).put("late", "v")).await;
    assert_eq!(late, Err(MetaError::Refused), "what the old session was a condition of is over");
    let now = registration.fence().expect("it is registered");
    observer.commit(Transaction::new().when(now).put("now", "v")).await.expect("the new session is a condition too");
    drop(registration);
    // Nobody keeps it any more: gone when its time is over.
    let gone = world.within(Duration::from_secs(4), async {
        while !mirror.documents().is_empty() {
            mirror.next().await.expect("it works");
        }
    });
    gone.await.expect("it ends");
}

#[tokio::test(start_paused = true)]
async fn a_mirror_lists_again_where_its_watch_knows_no_more() {
    let world = simulated(8);
    let store = MemoryStore::new(world.clock.clone());
    let (link, other) = (store.connect(), store.connect());
    let meta: Arc<dyn Meta> = Arc::new(link.clone());
    let put = |session: &Session| {
        let key = meta::catalog::document::key::<Session>(&session.node);
        Transaction::new().put(key, meta::catalog::document::value(session))
    };
    for node in 1..=3 {
        other.commit(put(&session(node))).await.expect("it works");
    }
    let (mut mirror, there) = Mirror::<Session>::open(&meta, &world.clock).await.expect("it works");
    assert_eq!(there.len(), 3);
    assert!(world.within(Duration::from_secs(1), mirror.next()).await.is_none(), "nothing has changed");
    link.set_reachable(false);
    let key = |node: i64| meta::catalog::document::key::<Session>(&NodeId(node));
    other.commit(Transaction::new().delete(key(1)).put(key(3), "not a session")).await.expect("it works");
    let last = other.commit(put(&session(4))).await.expect("it works");
    store.compact(last.next());
    link.set_reachable(true);
    let seen = mirror.next().await.expect("it works");
    let [Difference::Gone(NodeId(1)), Difference::Gone(NodeId(3)), Difference::Damaged { error, .. }, Difference::Put(new)] = &seen[..]
    else {
        panic!("{seen:?}")
    };
    assert!(error.reason().contains("session/"), "{error}");
    assert_eq!(new.value, session(4));
    assert_eq!(mirror.documents().keys().map(|node| node.0).collect::<Vec<_>>(), [2, 4]);
    let absent = Condition::Absent(key(9));
    other.commit(put(&session(2)).when(absent)).await.expect("it works");
    assert!(matches!(&mirror.next().await.expect("it works")[..], [Difference::Put(again)] if again.value == session(2)));
}
