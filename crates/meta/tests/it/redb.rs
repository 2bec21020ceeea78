//! The embedded store: the suite, kills, damage, a second process.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::World;
use meta::conformance::{self, Subject};
use meta::redb::{FILE_NAME, RedbMeta, RedbOptions};
use meta::store::{Change, Meta, MetaError, Revision, Transaction};

struct Embedded {
    world: World,
    meta: RedbMeta,
}

#[async_trait]
impl Subject for Embedded {
    fn connect(&self) -> Arc<dyn Meta> {
        Arc::new(self.meta.clone())
    }

    async fn compact(&self, _below: Revision) {
        // The log of changes is bounded: more changes than it keeps push out the oldest.
        for i in 0..CHANGES_KEPT + 10 {
            self.meta.commit(Transaction::new().put("compacting", format!("{i}"))).await.expect("it works");
        }
    }

    fn world(&self) -> &World {
        &self.world
    }

    fn lease(&self) -> Duration {
        Duration::from_secs(1)
    }
}

const CHANGES_KEPT: usize = 1_000;

fn options() -> RedbOptions {
    RedbOptions { changes_kept: CHANGES_KEPT, ..RedbOptions::default() }
}

async fn open(world: &World, directory: &Path) -> RedbMeta {
    RedbMeta::open(world, directory, options()).await.expect("the store opens")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms() {
    let directory = tempfile::tempdir().expect("a directory");
    let world = World::real();
    let meta = open(&world, directory.path()).await;
    conformance::check(&Embedded { world, meta }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_is_there_after_a_restart_but_for_leased_keys() {
    let directory = tempfile::tempdir().expect("a directory");
    let world = World::real();
    let meta = open(&world, directory.path()).await;
    let created = meta.commit(Transaction::new().put("a", "one")).await.expect("it works");
    let lease = meta.grant(Duration::from_secs(60)).await.expect("it works");
    let last = meta.commit(Transaction::new().put("a", "two").put_leased("leased", "v", lease)).await.expect("it works");
    meta.close().await;
    assert!(matches!(meta.get(b"a").await, Err(MetaError::Unavailable(_))), "closed is closed");

    let meta = open(&world, directory.path()).await;
    let found = meta.get(b"a").await.expect("it works").expect("it is there");
    assert_eq!((&*found.value, found.created, found.modified), (&b"two"[..], created, last));
    assert_eq!(meta.get(b"leased").await, Ok(None));
    assert_eq!(meta.keep_alive(lease).await, Err(MetaError::LeaseLost));
    let listing = meta.list(b"").await.expect("it works");
    assert_eq!((listing.entries.len(), listing.revision), (1, last.next()), "the removal is a change");
    assert!(matches!(meta.watch(b"", last).await.map(drop), Err(MetaError::Compacted)), "changes of a process before aren't known");
    let mut watch = meta.watch(b"", listing.revision.next()).await.expect("from now on they are");
    meta.commit(Transaction::new().put("b", "v")).await.expect("it works");
    assert!(matches!(&watch.next().await.expect("it works")[..], [Change::Put(entry)] if entry.key == "b"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_opener_is_refused_and_touches_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let world = World::real();
    let meta = open(&world, directory.path()).await;
    meta.commit(Transaction::new().put("a", "v")).await.expect("it works");
    let before = std::fs::read(meta.path()).expect("the file is there");
    let refused = RedbMeta::open(&world, directory.path(), options()).await.map(drop).expect_err("it is in use");
    let MetaError::Unavailable(error) = refused else { panic!("{refused:?}") };
    assert!(error.reason().contains("in use by another process"), "{error}");
    assert_eq!(std::fs::read(meta.path()).expect("the file is there"), before);
    meta.commit(Transaction::new().put("a", "w")).await.expect("the first goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_named_and_nothing_is_made_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let world = World::real();
    let meta = open(&world, directory.path()).await;
    for i in 0..50 {
        meta.commit(Transaction::new().put(format!("key/{i}"), vec![b'v'; 3_000])).await.expect("it works");
    }
    let path = meta.path();
    meta.close().await;
    let whole = std::fs::read(&path).expect("the file is there");
    let zeroed = |range: std::ops::Range<usize>| {
        let mut bytes = whole.clone();
        bytes[range].fill(0);
        bytes
    };
    // Somewhere in the rows: the value's own letters.
    let at = whole.windows(64).position(|window| window == [b'v'; 64]).expect("values are stored as they are");
    let mut flipped = whole.clone();
    for start in (at..whole.len() - 64).filter(|start| whole[*start..*start + 64] == [b'v'; 64]).step_by(3_000) {
        flipped[start] ^= 1;
    }
    let cases = [
        ("empty", Vec::new()),
        ("not redb's", b"something else entirely, and long enough to hold a header".repeat(100)),
        ("cut in half", whole[..whole.len() / 2].to_vec()),
        ("without its header", zeroed(0..512)),
        ("flipped bits in values", flipped),
        ("zeroed pages", zeroed(4_096..whole.len() / 2)),
    ];
    for (what, bytes) in cases {
        std::fs::write(&path, &bytes).expect("the directory is ours");
        match RedbMeta::open(&world, directory.path(), options()).await.map(drop) {
            Err(MetaError::Damaged(error)) => assert!(error.reason().contains(FILE_NAME), "{what}: {error}"),
            other => panic!("{what}: {other:?}"),
        }
        let after = std::fs::metadata(&path).expect("the file is there").len();
        assert!(after as usize >= bytes.len(), "{what}: the file wasn't made anew");
    }
    std::fs::write(&path, &whole).expect("the directory is ours");
    let meta = open(&world, directory.path()).await;
    assert_eq!(meta.list(b"key/").await.expect("it works").entries.len(), 50, "the whole file still opens");
}

/// The environment variable that makes [`child`] work instead of passing.
const CHILD: &str = "ELANUS_META_CHILD";

/// Not a test of its own: what [`acknowledged_transactions_survive_kills`] starts and kills. Prints each number once it is committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Some(directory) = std::env::var_os(CHILD) else { return };
    let world = World::real();
    let meta = open(&world, Path::new(&directory)).await;
    let start = meta.list(b"n/").await.expect("it works").entries.len();
    let tasks: Vec<_> = (0..4)
        .map(|lane| {
            let meta = meta.clone();
            world.tasks.spawn(async move {
                for i in start.. {
                    let both = Transaction::new().put(format!("n/{i:06}/{lane}"), "v").put(format!("m/{i:06}/{lane}"), "v");
                    meta.commit(both).await.expect("it works");
                    println!("acknowledged {i:06}/{lane}");
                }
            })
        })
        .collect();
    for task in tasks {
        task.join().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_transactions_survive_kills() {
    use std::io::{BufRead, BufReader};
    let directory = tempfile::tempdir().expect("a directory");
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let program = std::env::current_exe().expect("the test knows itself");
        let mut child = Command::new(program)
            .args(["--exact", "redb::child", "--nocapture"])
            .env(CHILD, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the test can start itself");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut lines = output.lines().map_while(Result::ok).filter_map(|line| line.split_once("acknowledged ").map(|(_, n)| n.to_owned()));
        acknowledged.extend(lines.by_ref().take(40 + 37 * round));
        let second = RedbMeta::open(&World::real(), directory.path(), options()).await.map(drop);
        assert!(matches!(second, Err(MetaError::Unavailable(_))), "another process has it: {second:?}");
        child.kill().expect("it runs");
        acknowledged.extend(lines);
        child.wait().expect("it was killed");

        let world = World::real();
        let meta = open(&world, directory.path()).await;
        let there = |prefix: &'static str, entries: Vec<meta::store::Entry>| -> std::collections::BTreeSet<String> {
            let name = |entry: &meta::store::Entry| String::from_utf8_lossy(&entry.key)[prefix.len()..].to_owned();
            entries.iter().map(name).collect()
        };
        let n = there("n/", meta.list(b"n/").await.expect("it works").entries);
        let m = there("m/", meta.list(b"m/").await.expect("it works").entries);
        assert_eq!(n, m, "round {round}: a transaction is there whole or not at all");
        let lost: Vec<_> = acknowledged.iter().filter(|name| !n.contains(*name)).collect();
        assert_eq!(lost, Vec::<&String>::new(), "round {round}: acknowledged and lost");
        meta.close().await;
    }
    assert!(acknowledged.len() > 400, "the child was let work: {}", acknowledged.len());
}
