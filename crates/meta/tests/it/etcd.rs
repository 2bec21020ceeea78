//! A real etcd, where `ELANUS_TEST_ETCD` names endpoints (comma separated).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::World;
use meta::conformance::{self, Subject};
use meta::etcd::{EtcdMeta, EtcdOptions};
use meta::store::{Meta, MetaError, Revision, Transaction, Watch};

use crate::relay::Relay;

/// etcd for one test: they take turns, as one of them compacts all of it.
struct Turn {
    endpoints: Vec<String>,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

/// Waits for a turn; `None` where there is no etcd, which CI doesn't let pass.
#[expect(clippy::print_stdout, reason = "a test says that it skips")]
async fn turn() -> Option<Turn> {
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    match std::env::var("ELANUS_TEST_ETCD") {
        Ok(endpoints) if !endpoints.is_empty() => {
            let endpoints = endpoints.split(',').map(str::to_owned).collect();
            Some(Turn { endpoints, _turn: TURN.lock().await })
        }
        _ if std::env::var("CI").is_ok_and(|ci| ci == "true") => panic!("CI has no etcd: ELANUS_TEST_ETCD isn't set"),
        _ => {
            println!("skipped: no etcd");
            None
        }
    }
}

/// A root path that no other run has.
fn options(world: &World, endpoints: Vec<String>) -> EtcdOptions {
    EtcdOptions::new(endpoints, format!("elanus-test-{:016x}", world.random.u64()))
}

/// etcd's own client at the first endpoint that answers.
async fn client(endpoints: &[String]) -> etcd_client::Client {
    for endpoint in endpoints {
        let mut client = etcd_client::Client::connect([endpoint], None).await.expect("it is an address");
        if client.get("any", None).await.is_ok() {
            return client;
        }
    }
    panic!("no etcd at any of {endpoints:?}");
}

struct Etcd {
    world: World,
    options: EtcdOptions,
}

#[async_trait]
impl Subject for Etcd {
    fn connect(&self) -> Arc<dyn Meta> {
        Arc::new(EtcdMeta::new(&self.world, self.options.clone()).expect("the options are right"))
    }

    async fn compact(&self, below: Revision) {
        let mut client = client(&self.options.endpoints).await;
        client.compact(below.0, None).await.expect("nobody else compacts");
    }

    fn world(&self) -> &World {
        &self.world
    }

    fn lease(&self) -> Duration {
        // etcd's shortest, with its default heartbeat.
        Duration::from_secs(2)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms() {
    let Some(turn) = turn().await else { return };
    let endpoints = turn.endpoints.clone();
    let world = World::real();
    let options = options(&world, endpoints);
    conformance::check(&Etcd { world, options }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_lie_below_the_root_path_and_nothing_else_is_seen() {
    let Some(turn) = turn().await else { return };
    let endpoints = turn.endpoints.clone();
    let world = World::real();
    let options = options(&world, endpoints.clone());
    let meta = EtcdMeta::new(&world, options.clone()).expect("the options are right");
    let mut client = client(&endpoints).await;
    for foreign in ["meta/root-coord/a", "elanus", "elanus0", "elanut/a"] {
        client.put(format!("{}/{foreign}", options.root_path), "milvus", None).await.expect("etcd is there");
    }
    meta.commit(Transaction::new().put("catalog/a", "ours")).await.expect("etcd is there");
    let listing = meta.list(b"").await.expect("etcd is there");
    assert_eq!(listing.entries.iter().map(|entry| &*entry.key).collect::<Vec<_>>(), [&b"catalog/a"[..]]);
    let stored = client.get(format!("{}/elanus/catalog/a", options.root_path), None).await.expect("etcd is there");
    assert_eq!(stored.kvs()[0].value(), b"ours");
    for (part, keys) in [("meta", 1), ("kv", 0), ("meta/root-coord", 1), ("met", 0)] {
        assert_eq!(meta.count_beside(part).await.expect("etcd is there"), keys, "{part}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_values_are_listed_in_smaller_pages() {
    let Some(turn) = turn().await else { return };
    let endpoints = turn.endpoints.clone();
    let world = World::real();
    let meta = EtcdMeta::new(&world, options(&world, endpoints)).expect("the options are right");
    for i in 0..72 {
        meta.commit(Transaction::new().put(format!("long/{i:02}"), vec![b'x'; 1_000_000])).await.expect("etcd is there");
    }
    let listing = meta.list(b"long/").await.expect("72 MB are more than one answer takes");
    assert_eq!(listing.entries.iter().map(|entry| entry.value.len()).sum::<usize>(), 72_000_000);
    for batch in (0..72).collect::<Vec<_>>().chunks(60) {
        let delete = batch.iter().fold(Transaction::new(), |all, i| all.delete(format!("long/{i:02}")));
        meta.commit(delete).await.expect("etcd is there");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_where_nobody_listens_is_passed_over() {
    let Some(turn) = turn().await else { return };
    let endpoints = turn.endpoints.clone();
    let world = World::real();
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("loopback works");
    let mut all = vec![free.to_string()];
    all.extend(endpoints);
    let meta = EtcdMeta::new(&world, options(&world, all)).expect("the options are right");
    meta.commit(Transaction::new().put("a", "v")).await.expect("nothing was sent to the first endpoint, so the next one is tried");
    assert!(meta.get(b"a").await.expect("etcd is there").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_that_is_away_is_named_in_time() {
    let world = World::real();
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("loopback works");
    let mut options = options(&world, vec![free.to_string()]);
    options.request_timeout = Duration::from_millis(300);
    let meta = EtcdMeta::new(&world, options).expect("the options are right");
    let began = world.clock.now();
    match meta.ping().await {
        Err(MetaError::Unavailable(error)) => assert!(error.reason().contains(&free.to_string()), "{error}"),
        other => panic!("{other:?}"),
    }
    assert!(world.clock.now() - began < Duration::from_secs(5));
    assert!(matches!(meta.commit(Transaction::new().put("a", "v")).await, Err(MetaError::Unavailable(_))));
}

/// Hears one change, which must be of this key.
async fn hear(world: &World, watch: &mut Box<dyn Watch>, key: &str) {
    let heard = world.within(Duration::from_secs(30), watch.next()).await.expect("it is heard in time").expect("the watch goes on");
    assert_eq!(heard.iter().map(|change| &**change.key()).collect::<Vec<_>>(), [key.as_bytes()], "each once, without gaps");
}

async fn put(meta: &EtcdMeta, key: &str) -> Revision {
    meta.commit(Transaction::new().put(key.to_owned(), "v")).await.expect("etcd is there")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_goes_on_after_its_connection_broke() {
    let Some(turn) = turn().await else { return };
    let endpoints = turn.endpoints.clone();
    let world = World::real();
    let relay = Relay::start(&world.tasks, &endpoints[0]).await;
    let direct = options(&world, endpoints);
    let through = EtcdOptions { endpoints: vec![relay.address()], ..direct.clone() };
    let direct = EtcdMeta::new(&world, direct).expect("the options are right");
    let through = EtcdMeta::new(&world, through).expect("the options are right");
    let first = put(&direct, "w/0").await;
    let mut watch = through.watch(b"w/", first).await.expect("etcd is there");
    hear(&world, &mut watch, "w/0").await;
    for round in 1..6 {
        relay.break_connections();
        put(&direct, &format!("w/{round}")).await;
        hear(&world, &mut watch, &format!("w/{round}")).await;
    }
    // Changes while nobody can connect are heard later, compaction or not of what was heard before.
    relay.close();
    put(&direct, "w/6").await;
    assert!(matches!(through.commit(Transaction::new().put("x", "v")).await, Err(MetaError::Unavailable(_))));
    relay.open();
    hear(&world, &mut watch, "w/6").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_falls_silent_is_left() {
    let Some(turn) = turn().await else { return };
    let endpoints = turn.endpoints.clone();
    let world = World::real();
    let (silent, other) = (Relay::start(&world.tasks, &endpoints[0]).await, Relay::start(&world.tasks, &endpoints[0]).await);
    let options = EtcdOptions {
        endpoints: vec![silent.address(), other.address()],
        request_timeout: Duration::from_secs(2),
        ..options(&world, endpoints)
    };
    let meta = EtcdMeta::new(&world, options).expect("the options are right");
    put(&meta, "a").await;
    silent.silence();
    let began = world.clock.now();
    assert!(meta.get(b"a").await.expect("a read goes to the other one in time").is_some());
    assert!(world.clock.now() - began < Duration::from_secs(2));
    put(&meta, "b").await;
    // And a transaction that met the silence is told so; the next one works.
    other.silence();
    silent.open();
    let unknown = meta.commit(Transaction::new().put("c", "v")).await;
    assert!(matches!(unknown, Err(MetaError::Unavailable(_))), "{unknown:?}");
    put(&meta, "d").await;
    // So is one whose caller doesn't wait for that long.
    silent.silence();
    other.open();
    assert!(world.within(Duration::from_millis(900), meta.commit(Transaction::new().put("e", "v"))).await.is_none());
    put(&meta, "f").await;
}

/// An endpoint and what follows it after a comma, from a variable; `None` where it isn't set, which CI doesn't let pass.
#[expect(clippy::print_stdout, reason = "a test says that it skips")]
fn guarded(variable: &str, what: &str) -> Option<(String, String)> {
    let value = std::env::var(variable).unwrap_or_default();
    if let Some((endpoint, rest)) = value.split_once(',') {
        return Some((endpoint.to_owned(), rest.to_owned()));
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "CI has no etcd with {what}: {variable} isn't set");
    println!("skipped: no etcd with {what}");
    None
}

async fn every_kind_of_call_passes(world: &World, options: &EtcdOptions) {
    let meta = EtcdMeta::new(world, options.clone()).expect("the options are right");
    let revision = put(&meta, "a").await;
    let mut watch = meta.watch(b"", revision).await.expect("etcd is there");
    hear(world, &mut watch, "a").await;
    let lease = meta.grant(Duration::from_secs(30)).await.expect("etcd is there");
    meta.keep_alive(lease).await.expect("etcd is there");
    meta.revoke(lease).await.expect("etcd is there");
}

/// What is said to someone who mustn't come in.
async fn refusal(world: &World, options: EtcdOptions) -> String {
    let meta = EtcdMeta::new(world, EtcdOptions { request_timeout: Duration::from_secs(1), ..options }).expect("the options are right");
    match meta.ping().await {
        Err(MetaError::Unavailable(error)) => error.reason().to_owned(),
        other => panic!("{other:?}"),
    }
}

/// TLS with certificates on both sides: `ELANUS_TEST_ETCD_TLS` is an endpoint and a directory with `ca.pem`, `client.pem` and `client.key`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn speaks_tls() {
    let Some((endpoint, directory)) = guarded("ELANUS_TEST_ETCD_TLS", "TLS") else { return };
    let world = World::real();
    let read = |name: &str| std::fs::read(std::path::Path::new(&directory).join(name)).expect("the certificates are there");
    let tls = |identity| Some(meta::etcd::EtcdTls { ca: read("ca.pem"), identity });
    let plain = options(&world, vec![endpoint]);
    let encrypted = EtcdOptions { tls: tls(Some((read("client.pem"), read("client.key")))), ..plain.clone() };
    every_kind_of_call_passes(&world, &encrypted).await;
    for without in [plain.clone(), EtcdOptions { tls: tls(None), ..plain }] {
        refusal(&world, without).await;
    }
}

/// A user with a password: `ELANUS_TEST_ETCD_USER` is an endpoint and `name:password`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authenticates() {
    let Some((endpoint, user)) = guarded("ELANUS_TEST_ETCD_USER", "users") else { return };
    let world = World::real();
    let (name, password) = user.split_once(':').expect("a name and a password");
    let with =
        |password: &str| EtcdOptions { user: Some((name.to_owned(), password.to_owned())), ..options(&world, vec![endpoint.clone()]) };
    every_kind_of_call_passes(&world, &with(password)).await;
    let said = refusal(&world, with("wrong")).await;
    assert!(said.contains("authentication failed"), "{said}");
    refusal(&world, options(&world, vec![endpoint.clone()])).await;
}
