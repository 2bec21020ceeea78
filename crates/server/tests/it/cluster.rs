//! The roles as processes of their own, on real etcd, Kafka and S3: they start in any order, find each other, do a small job, and go on when one
//! of each kind is killed. With two replicas no search fails meanwhile.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::binary::{Binary, Start, get, nobody};
use crate::client::Client;

/// How long what a kill interrupts may take to go on, on two busy cores; what it takes is printed.
const PATIENCE: Duration = Duration::from_secs(30);

/// The servers that the environment names; `None` where there are none, which CI doesn't let pass.
#[expect(clippy::print_stdout, reason = "a test says that it skips")]
fn external() -> Option<String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let all = || {
        let (etcd, kafka, s3) = (variable("ELANUS_TEST_ETCD")?, variable("ELANUS_TEST_KAFKA")?, variable("ELANUS_TEST_S3")?);
        let (key, secret, bucket) =
            (variable("ELANUS_TEST_S3_KEY")?, variable("ELANUS_TEST_S3_SECRET")?, variable("ELANUS_TEST_S3_BUCKET")?);
        // A name that no other run has.
        let name = format!("elanus-cluster-{}-{}", std::process::id(), nobody().port());
        let s3 = s3.trim_start_matches("http://");
        Some(format!(
            "etcd: {{endpoints: '{etcd}', rootPath: {name}}}\n\
             mq: {{type: kafka}}\nkafka: {{brokerList: '{kafka}'}}\n\
             minio: {{address: '{s3}', accessKeyID: '{key}', secretAccessKey: '{secret}', bucketName: '{bucket}', rootPath: {name}}}\n\
             msgChannel: {{chanNamePrefix: {{cluster: {name}}}}}\n"
        ))
    };
    let found = all();
    if found.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "CI has no etcd, Kafka and S3: ELANUS_TEST_ETCD and the others aren't set");
        println!("skipped: no etcd, Kafka and S3");
    }
    found
}

struct Cluster<'a> {
    directory: &'a Path,
    settings: String,
}

impl Cluster<'_> {
    fn start(&self, name: &str, roles: &[&str]) -> Binary {
        let own = self.directory.join(name);
        std::fs::create_dir_all(&own).expect("the test's directory can be written");
        let roots = ["rootCoord", "dataCoord", "queryCoord", "indexCoord", "dataNode", "queryNode", "indexNode"];
        let ports: String = roots.iter().map(|role| format!("{role}: {{ip: 127.0.0.1, port: 0, {}}}\n", extra(role))).collect();
        let text = format!(
            "{}{ports}proxy: {{ip: 127.0.0.1, internalPort: 0}}\nlocalStorage: {{path: '{}'}}\n",
            self.settings,
            own.join("local").display()
        );
        let mut words = vec!["run"];
        words.extend(roles);
        Start::called(Path::new(env!("CARGO_BIN_EXE_elanus"))).arguments(&words).config(&own, &text).spawn()
    }
}

fn extra(role: &str) -> &'static str {
    if role == "rootCoord" { "dmlChannelNum: 2" } else { "" }
}

/// Repeats `look` until it gives something; prints how long that took.
#[expect(clippy::print_stdout, reason = "what a kill costs is worth reading")]
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            println!("{what}: after {:?}", began.elapsed());
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
    }
}

fn healthy(binary: &mut Binary) {
    let admin = binary.admin();
    until("healthy", || (get(&admin, "/healthz") == (200, "OK".to_owned())).then_some(()));
}

#[test]
fn roles_in_separate_processes_do_the_job_and_survive_kills() {
    let Some(settings) = external() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let cluster = Cluster { directory: directory.path(), settings };
    // The proxy first: whatever it needs isn't there yet.
    let mut proxy = cluster.start("proxy", &["proxy"]);
    let address = proxy.admin();
    until("the proxy waits", || get(&address, "/healthz").1.contains("rootcoord").then_some(()));
    let mut first = cluster.start("coord1", &["mixcoord"]);
    first.line("message=\"this process leads\" office=index");
    let mut others = [("data1", "datanode"), ("data2", "datanode"), ("query", "querynode"), ("index", "indexnode"), ("coord2", "mixcoord")]
        .map(|(name, role)| cluster.start(name, &[role]));
    others.iter_mut().for_each(healthy);
    healthy(&mut proxy);
    let [data1, data2, query, _index, mut standby] = others;

    let mut client = Client::connect(&proxy.clients());
    for name in ["a", "b"] {
        client.create(name);
        client.index(name);
        client.load(name);
        client.insert(name, 0..50);
        assert_eq!(until("loaded", || client.try_count(name)), 50);
        client.flush(name);
        client.insert(name, 50..60);
        assert_eq!(client.count(name), 60);
        assert_eq!(client.search(name, &[7], 1), [7]);
    }

    // The leader of every office goes: the standby leads, and what the proxy knows stays in use meanwhile.
    drop(first);
    client.insert("a", 60..70);
    assert_eq!(client.count("a"), 70);
    until("a definition after the coordinators' death", || (client.try_create("c").code == 0).then_some(()));
    standby.line("message=\"this process leads\" office=root");

    // A sequencer goes: the other one takes its channel over, with everything that was acknowledged.
    drop(data1);
    for name in ["a", "b"] {
        client.insert(name, 100..110);
        let expected = if name == "a" { 80 } else { 70 };
        assert_eq!(until("a strong read after a sequencer's death", || client.try_count(name)), expected);
    }

    // The only query node goes, and another one comes.
    drop(query);
    let mut again = cluster.start("query2", &["querynode"]);
    healthy(&mut again);
    assert_eq!(until("a read after a query node's death", || client.try_count("a")), 80);
    client.drop_collection("b");
    assert!(!client.collections().contains(&"b".to_owned()));
    for binary in [proxy, standby, data2, again] {
        binary.stop();
    }
}

/// Somebody who searches on and on; the first failure panics.
struct Searcher {
    done: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Searcher {
    fn start(address: String, names: &'static [&'static str]) -> Self {
        let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped) = (done.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut client = Client::connect(&address);
            while !stopped.load(Ordering::Relaxed) {
                for name in names {
                    assert_eq!(client.search(name, &[7], 1), [7], "{name}");
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { done, stop, thread }
    }

    /// Until so many more searches were answered.
    fn answers(&self, what: &str, count: u64) {
        let before = self.done.load(Ordering::Relaxed);
        until(what, || {
            assert!(!self.thread.is_finished(), "a search failed");
            (self.done.load(Ordering::Relaxed) >= before + count).then_some(())
        });
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no search failed");
    }
}

#[test]
fn replicas_answer_for_each_other_and_shards_move_to_a_node_that_joins() {
    const NAMES: &[&str] = &["a", "b", "c"];
    let Some(settings) = external() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let cluster = Cluster { directory: directory.path(), settings };
    let mut proxy = cluster.start("proxy", &["proxy"]);
    let mut others = [("coord", "mixcoord"), ("data", "datanode"), ("query1", "querynode"), ("query2", "querynode")]
        .map(|(name, role)| cluster.start(name, &[role]));
    others.iter_mut().for_each(healthy);
    healthy(&mut proxy);
    let [coord, data, query1, query2] = others;
    let mut client = Client::connect(&proxy.clients());
    for name in NAMES {
        client.create(name);
        client.index(name);
        client.load_on(name, 2);
        client.insert(name, 0..50);
        client.flush(name);
    }
    // Where every collection's shard is served: on two different nodes, on so many all together.
    let mut on_two_of = |nodes: usize| {
        let found: Vec<Vec<i64>> = NAMES.iter().map(|name| client.nodes(name)).collect();
        let all: BTreeSet<i64> = found.iter().flatten().copied().collect();
        let different = found.iter().all(|nodes| nodes.len() == 2 && nodes[0] != nodes[1]);
        (different && all.len() == nodes).then_some(())
    };
    until("two replicas", || on_two_of(2));
    let searcher = Searcher::start(proxy.clients(), NAMES);
    searcher.answers("searches", 30);
    let mut query3 = cluster.start("query3", &["querynode"]);
    healthy(&mut query3);
    until("shards on the third node", || on_two_of(3));
    searcher.answers("searches after the move", 30);
    drop(query1);
    searcher.answers("searches after a query node's death", 60);
    until("two replicas again", || on_two_of(2));
    searcher.answers("searches at the end", 30);
    searcher.end();
    for binary in [proxy, coord, data, query2, query3] {
        binary.stop();
    }
}

#[test]
fn a_part_of_a_cluster_needs_storage_for_all() {
    let directory = tempfile::tempdir().expect("a directory");
    let check = |text: &str, named: &str| {
        let start = Start::called(Path::new(env!("CARGO_BIN_EXE_elanus"))).arguments(&["run", "querynode"]).config(directory.path(), text);
        let (code, said) = start.variable("QUERYNODE_PORT", "0").spawn().end();
        assert_ne!(code, Some(0), "{said}");
        assert!(said.contains(named), "no {named:?} in {said}");
    };
    check("etcd: {use: {embed: true}}\n", "roles in several processes need an etcd of their own");
    check("mq: {type: rocksmq}\n", "roles in several processes need kafka, pulsar or woodpecker");
}
