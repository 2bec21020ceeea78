//! The conformance suite on every store, and what each has of its own.

use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::disk::RealDisk;
use base::fault::{FaultPlan, Rates};
use base::metrics::milvus::{STORAGE_OP_COUNT, STORAGE_REQUEST_LATENCY};
use bytes::Bytes;
use store::object::conformance::check_all;
use store::object::decorate::{FaultStore, Latency, LatencyStore, MeteredStore};
use store::object::local::LocalStore;
use store::object::memory::MemoryStore;
use store::object::s3::{S3Options, S3Store};
use store::object::{Store, StoreError};

#[tokio::test(start_paused = true)]
async fn memory() {
    let world = World::simulated(1, Arc::new(RealDisk));
    let store = MemoryStore::new(world.clock.clone());
    check_all(Arc::new(store.clone()), &world).await;

    store.clone().put("a", Bytes::from_static(b"1")).await.expect("memory takes it");
    world.clock.sleep(Duration::from_secs(5)).await;
    assert_eq!(store.head("a").await.expect("clones are one store").age, Duration::from_secs(5));
}

#[tokio::test]
async fn local() {
    let world = World::real();
    let directory = tempfile::tempdir().expect("a directory for the test");
    let open = || LocalStore::open(&world, directory.path().join("objects"));
    let store = open().await.expect("the directory can be used");
    check_all(Arc::new(store.clone()), &world).await;

    // A second one finds what the first put, and nothing that was unfinished.
    store.put("a/b", Bytes::from_static(b"1")).await.expect("the disk takes it");
    let mapped = store.map("a/b").await.expect("it was put").expect("a local store maps");
    let partial = directory.path().join("objects/.partial/old");
    std::fs::write(&partial, b"torn").expect("the directory can be used");
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(48 * 3_600);
    std::fs::File::options().write(true).open(&partial).and_then(|file| file.set_modified(long_ago)).expect("written above");
    let again = open().await.expect("the directory can be used");
    assert!(!partial.exists(), "an old unfinished file is swept");
    assert_eq!(again.list("").await.expect("it can be listed").len(), 1);
    again.delete("a/b").await.expect("it is there");
    assert!(!directory.path().join("objects/a").exists(), "an empty directory goes");
    assert_eq!(mapped, "1", "who maps a deleted object keeps it");

    let file = directory.path().join("file");
    std::fs::write(&file, b"").expect("the directory can be used");
    let unusable = LocalStore::open(&world, &file).await.err().expect("a file is no directory");
    assert!(matches!(unusable, StoreError::Misconfigured(_)), "{unusable:?}");
}

#[tokio::test(start_paused = true)]
async fn decorated() {
    let world = World::simulated(3, Arc::new(RealDisk));
    let memory = Arc::new(MemoryStore::new(world.clock.clone()));
    let latency = Latency { call: Duration::from_millis(15), jitter: Duration::from_millis(10), bytes_per_second: 100_000_000 };
    let slow = Arc::new(LatencyStore::new(memory, world.clone(), latency));
    let plan = FaultPlan::new(&world.random, Rates::NONE);
    let faulty = Arc::new(FaultStore::new(slow, plan.clone()));
    let store = MeteredStore::new(faulty, &world);
    check_all(Arc::new(store.clone()), &world).await;
    let count = |operation: &str, status: &str| world.metrics.family(&STORAGE_OP_COUNT).with([operation, status]).get();
    let (total, failed) = (count("put", "total"), count("put", "fail"));
    // The suite puts names that no store takes.
    assert!(total > 1_000 && failed > 0 && failed + count("put", "success") == total, "{total} puts, {failed} failed");
    assert_eq!(world.metrics.family(&STORAGE_REQUEST_LATENCY).with(["put"]).count(), total);
    assert!(world.metrics.encode().contains("milvus_storage_kv_size_bucket{persistent_data_op_type=\"get\""));

    // Lost calls did nothing, unanswered ones did all; the caller can't tell them apart.
    plan.set_operation_rates("put_if_absent", Rates { fail_before: 0.3, fail_after: 0.2, duplicate: 0.2, ..Rates::NONE });
    let (mut done, mut undone, mut answered) = (0, 0, 0);
    for i in 0..300 {
        let name = format!("faults/{i}");
        match (store.put_if_absent(&name, Bytes::from_static(b"1")).await, store.head(&name).await) {
            (Ok(()), Ok(_)) => answered += 1,
            (Err(StoreError::Unavailable(_)), Ok(_)) => done += 1,
            (Err(StoreError::Unavailable(_)), Err(StoreError::Missing(_))) => undone += 1,
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(done > 30 && undone > 50 && answered > 100, "{done} {undone} {answered}");
    plan.set_rates(Rates { fail_before: 1.0, ..Rates::NONE });
    assert!(store.get("faults/1").await.is_err() && store.list("").await.is_err());
}

/// What a variable says about a real server: `endpoint,access key,secret,bucket`, or the endpoint alone with `ELANUS_TEST_S3_KEY`,
/// `ELANUS_TEST_S3_SECRET` and `ELANUS_TEST_S3_BUCKET` beside it.
fn options(variable: &str) -> Option<S3Options> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty())?;
    let beside = |rest: &str| std::env::var(format!("ELANUS_TEST_S3_{rest}")).ok();
    let parts: Vec<String> = match value.split(',').map(str::to_owned).collect::<Vec<_>>() {
        parts if parts.len() == 4 => parts,
        _ => vec![value, beside("KEY")?, beside("SECRET")?, beside("BUCKET")?],
    };
    let [endpoint, access, secret, bucket] = <[String; 4]>::try_from(parts).ok()?;
    Some(S3Options {
        endpoint: Some(endpoint),
        region: None,
        bucket,
        root: "files/elanus".into(),
        keys: Some((access, secret)),
        virtual_host: false,
        authorities: std::env::var("ELANUS_TEST_S3_CA").ok().and_then(|path| std::fs::read(path).ok()),
        timeout: Duration::from_secs(20),
    })
}

#[expect(clippy::print_stdout, reason = "a skipped test says why")]
async fn check_s3(variable: &str) {
    let Some(options) = options(variable) else {
        assert!(variable != "ELANUS_TEST_S3" || std::env::var("CI").as_deref() != Ok("true"), "CI tests S3: set {variable}");
        println!("skipped: no s3 ({variable} is not set)");
        return;
    };
    let world = World::real();
    let store = S3Store::open(&world, &options).await.unwrap_or_else(|error| panic!("{options:?}: {error:?}"));
    check_all(Arc::new(store.clone()), &world).await;

    // Another root is another store.
    let other = S3Options { root: "files/elanus-other".into(), ..options.clone() };
    let other = S3Store::open(&world, &other).await.expect("the bucket is there");
    other.put("o", Bytes::new()).await.expect("the bucket takes it");
    assert!(store.list("").await.expect("it can be listed").iter().all(|info| info.name != "o"));
    other.delete("o").await.expect("it is there");

    // What others keep beside us is seen by name.
    let above = format!("beside-{:016x}", world.random.u64());
    let at = |folder: &str| S3Options { root: format!("{above}/{folder}"), ..options.clone() };
    let (ours, theirs) = (S3Store::open(&world, &at("elanus")).await, S3Store::open(&world, &at("insert_log")).await);
    let (ours, theirs) = (ours.expect("the bucket is there"), theirs.expect("the bucket is there"));
    assert_eq!(ours.folders_beside().await.expect("the keys may list"), [""; 0]);
    theirs.put("449/1", Bytes::from_static(b"milvus")).await.expect("it can be put");
    assert_eq!(ours.folders_beside().await.expect("the keys may list"), ["insert_log"]);
    theirs.delete("449/1").await.expect("it can be removed");

    let rootless = S3Store::open(&world, &S3Options { root: String::new(), ..options.clone() }).await.expect("a root may be empty");
    rootless.put("rootless", Bytes::new()).await.expect("the bucket takes it");
    assert!(rootless.list("").await.expect("it can be listed").iter().any(|info| info.name == "rootless"));
    rootless.delete("rootless").await.expect("it is there");

    let wrong = S3Options { keys: Some(("nobody".into(), "wrong-secret".into())), ..options.clone() };
    let refused = S3Store::open(&world, &wrong).await.err().expect("the keys are wrong");
    assert!(matches!(refused, StoreError::Misconfigured(_)), "{refused:?}");

    // A bucket that isn't there is made.
    let bucket = format!("elanus-{:016x}", world.random.u64());
    let fresh = S3Store::open(&world, &S3Options { bucket, ..options }).await.unwrap_or_else(|error| panic!("made: {error:?}"));
    fresh.put("o", Bytes::from_static(b"1")).await.expect("the bucket takes it");
    fresh.delete("o").await.expect("it is there");
}

#[tokio::test]
async fn s3() {
    check_s3("ELANUS_TEST_S3").await;
}

#[tokio::test]
async fn ceph() {
    check_s3("ELANUS_TEST_CEPH").await;
}

#[tokio::test]
async fn an_absent_gateway_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
    drop(listener);
    let options = S3Options {
        endpoint: Some(endpoint.clone()),
        region: None,
        bucket: "b".into(),
        root: String::new(),
        keys: Some(("a".into(), "s".into())),
        virtual_host: false,
        authorities: None,
        timeout: Duration::from_millis(200),
    };
    let error = S3Store::open(&World::real(), &options).await.err().expect("nobody listens");
    assert!(matches!(&error, StoreError::Unavailable(error) if error.reason().contains(&endpoint)), "{error:?}");
    assert!(!format!("{options:?}").contains("\"s\""), "a secret isn't printed");
}
