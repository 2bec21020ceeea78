//! A record that can't be applied, through the roles as a process puts them together: its shard is quarantined, its records leave the log, a
//! start remembers it, the other shards of the channel go on, and a dropped one leaves nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::config::Config;
use base::disk::simulated::SimulatedDisk;
use base::task::Tasks;
use coord::members::{Member, Members};
use coord::seat::{Coordinator, Term};
use meta::election::Leadership;
use meta::memory::MemoryStore as MetaServer;
use meta::sequence::next_node;
use role::Call;
use role::data::{DataCoord, DataNode, Outcome, WriteAnswer, WriteRequest};
use role::query::{LoadRequest, QueryCoord, QueryNode, QueryRequest, ReadAt, Scope};
use role::root::{CollectionRef, CreateCollection, RootCoord};
use server::roles::RoleSet;
use server::storage::Storage;
use server::wiring::{self, Candidacy, Links, Seats, WorkerParts};
use store::object::Store;
use store::object::memory::MemoryStore;
use types::batch::Batch;
use types::collection::{Collection, Consistency};
use types::column::{Column, Values};
use types::id::{FieldId, ShardId};
use types::record::{Body, Kind, Rows};
use types::schema::{DataType, Field, FieldKind, Schema};
use types::{Code, Result};
use wal::memory::{MemoryLog, Personality};

/// What outlives a process.
struct Outside {
    world: World,
    meta: MetaServer,
    log: MemoryLog,
    store: Arc<MemoryStore>,
}

/// One process with every role but the proxy.
struct Process {
    world: World,
    coordinators: Coordinators,
    nodes: Nodes,
    /// Held: an office that is given up fences its coordinators.
    _leadership: [Leadership; 4],
}

struct Coordinators {
    root: Arc<coord::root::Root>,
    data: Arc<coord::data::Data>,
    query: Arc<coord::query::Query>,
}

struct Nodes {
    data: Arc<node::data::DataNodeRole>,
    query: Arc<node::query::QueryNodeRole>,
}

impl Outside {
    fn new() -> Self {
        let world = World::simulated(7, SimulatedDisk::new(7).process());
        let (meta, log) = (MetaServer::new(world.clock.clone()), MemoryLog::new(&world, Personality::Plain));
        let store = Arc::new(MemoryStore::new(world.clock.clone()));
        Self { world, meta, log, store }
    }

    async fn start(&self) -> Process {
        let world = World { tasks: Tasks::simulated(), ..self.world.clone() };
        let mut config = Config::default();
        // Both collections on one channel.
        config.root_coord.dml_channel_num = 1;
        let storage = Storage {
            meta: Arc::new(self.meta.connect()),
            log: Arc::new(self.log.clone()),
            store: self.store.clone(),
            cache: None,
            embedded: true,
        };
        let links = Links::new(&world, &config, &storage);
        let candidacy = Candidacy { world: world.clone(), meta: storage.meta.clone(), shared: links.shared.clone() };
        let root: Term<coord::root::Root> = candidacy.lead("").await.expect("meta is there");
        let data: Term<coord::data::Data> = candidacy.lead("").await.expect("meta is there");
        let query: Term<coord::query::Query> = candidacy.lead("").await.expect("meta is there");
        let index: Term<coord::index::Index> = candidacy.lead("").await.expect("meta is there");
        let seats = Seats::vacant();
        seats.root.take(root.coordinator.clone());
        seats.data.take(data.coordinator.clone());
        seats.query.take(query.coordinator.clone());
        seats.index.take(index.coordinator.clone());
        let run = RoleSet::all();
        let parts =
            WorkerParts { world: &world, config: &config, storage: &storage, links: &links, run: &run, planted: Default::default() };
        let workers = wiring::workers(parts);
        links.peers.set_own(wiring::served(&run, &seats, &workers));
        let node = next_node(&*storage.meta).await.expect("meta is there");
        let member = || vec![Member { node, address: String::new() }];
        links.shared.set_members(Members { data_nodes: member(), query_nodes: member(), index_nodes: member(), proxies: Vec::new() });
        let nodes = Nodes { data: workers.data.expect("it is run"), query: workers.query.expect("it is run") };
        let coordinators = Coordinators { root: root.coordinator, data: data.coordinator, query: query.coordinator };
        let _leadership = [root.leadership, data.leadership, query.leadership, index.leadership];
        let process = Process { world, coordinators, nodes, _leadership };
        process.coordinators.data.assign_channels(&process.call()).await.expect("the channel can be taken up");
        process.nodes.data.ready(&process.call()).await.expect("the log can be read");
        // What can't be served is the test's subject.
        drop(process.coordinators.query.reconcile(&process.call()).await);
        process.coordinators.root.run();
        process.coordinators.data.run();
        process.coordinators.query.run();
        process
    }

    async fn copies(&self) -> usize {
        self.store.list("quarantine").await.expect("memory").len()
    }
}

impl Process {
    fn call(&self) -> Call {
        Call::within(&self.world, Duration::from_secs(60), "test")
    }

    async fn create(&self, name: &str) -> Collection {
        let request = CreateCollection {
            database: "default".into(),
            name: name.into(),
            description: String::new(),
            schema: schema(),
            shards: 1,
            partitions: vec!["_default".into()],
            consistency: Consistency::Strong,
            properties: BTreeMap::new(),
        };
        self.coordinators.root.create_collection(&self.call(), request).await.expect("a plain definition");
        let which = CollectionRef::Name { database: "default".into(), name: name.into() };
        let collection = self.coordinators.root.collection(&self.call(), &which).await.expect("it was just made");
        self.coordinators
            .query
            .load(&self.call(), LoadRequest { collection: collection.id, partitions: None, replicas: 1 })
            .await
            .expect("it can be loaded");
        collection
    }

    /// Inserts a row with these values of the field `number`.
    async fn insert(&self, collection: &Collection, key: i64, number: Values) -> Outcome {
        let (shard, channel) = collection.shards().next().expect("one shard");
        let columns = vec![Column::new(FieldId(100), Values::Int64(vec![key].into())), Column::new(FieldId(101), number)];
        let rows = Rows::of_partition(collection.partitions[0].id, Batch::new(1, columns));
        let writer = self.coordinators.root.register_proxy(&self.call(), "").await.expect("a writer's id");
        let stream = self.nodes.data.open_stream(&self.call(), channel, writer).await.expect("it sequences");
        let request = WriteRequest {
            shard,
            sequence: 1,
            lowest_outstanding: 1,
            schema_version: collection.schema.version,
            kind: Kind::Insert,
            body: Body::Insert(rows).encode(),
        };
        stream.requests.send(request).await.expect("the stream is open");
        let mut answers = stream.answers;
        match answers.recv().await {
            Some(WriteAnswer::Decided { outcome, .. }) => outcome,
            other => panic!("{other:?}"),
        }
    }

    async fn count(&self, collection: &Collection) -> Result<u64> {
        let scope = Scope {
            shard: ShardId::new(collection.id, 0),
            partitions: None,
            at: ReadAt::Barrier,
            schema_version: collection.schema.version,
            ignore_growing: false,
            filter: expr::Plan::always(),
            output: Vec::new(),
            output_bytes_max: 1 << 20,
        };
        let answer = self.nodes.query.query(&self.call(), QueryRequest { scope, limit: None, count: true }).await;
        answer.map(|answer| answer.count.expect("a count was asked for"))
    }

    async fn until<F: Future<Output = bool>>(&self, what: &str, holds: impl Fn() -> F) {
        for _ in 0..600 {
            if holds().await {
                return;
            }
            self.world.clock.sleep(Duration::from_millis(500)).await;
        }
        panic!("{what}: not within five minutes");
    }
}

fn schema() -> Schema {
    let field = |id: i64, name: &str, kind| Field {
        id: FieldId(id),
        name: name.to_owned(),
        description: String::new(),
        data_type: DataType::Int64,
        kind,
        auto_id: false,
        nullable: false,
        default: None,
        dimension: None,
        max_length: None,
        element_type: None,
        max_capacity: None,
        type_params: BTreeMap::new(),
    };
    Schema { version: 1, fields: vec![field(100, "id", FieldKind::Primary), field(101, "number", FieldKind::Plain)] }
}

fn refused(result: Result<u64>, collection: &Collection) {
    let error = result.expect_err("the shard is quarantined");
    assert_eq!(error.code(), Code::DATA_INTEGRITY);
    assert!(error.reason().starts_with(&format!("shard {}v0 is quarantined", collection.id)), "{error}");
    assert!(error.reason().contains("field number holds Int32 in the log"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_applied_is_kept_out_of_the_log_and_remembered() {
    let outside = Outside::new();
    let process = outside.start().await;
    let (bad, fine) = (process.create("bad").await, process.create("fine").await);
    let number = |n: i64| Values::Int64(vec![n].into());
    for key in 0..3 {
        assert!(matches!(process.insert(&bad, key, number(key)).await, Outcome::Written { .. }));
        assert!(matches!(process.insert(&fine, key, number(key)).await, Outcome::Written { .. }));
    }
    assert_eq!(process.count(&bad).await, Ok(3));

    // In the log it is; what a proxy of ours would never send.
    let written = process.insert(&bad, 3, Values::Int32(vec![3].into())).await;
    assert!(matches!(written, Outcome::Written { .. }), "{written:?}");
    refused(process.count(&bad).await, &bad);
    let Outcome::Refused(refusal) = process.insert(&bad, 4, number(4)).await else { panic!("a write to a quarantined shard is taken") };
    assert_eq!(refusal.code, Code::DATA_INTEGRITY.0);
    assert!(process.nodes.data.flush(&process.call(), ShardId::new(bad.id, 0)).await.is_err());
    assert!(matches!(process.insert(&fine, 3, number(3)).await, Outcome::Written { .. }));
    assert_eq!(process.count(&fine).await, Ok(4));

    process.until("its records are copied", || async { outside.copies().await > 0 }).await;
    let channel = &bad.channels[0];
    process.nodes.data.settle().await;
    let end = outside.log.frames(channel);
    assert!(end.len() <= 2, "the log is cut: {} frames are left", end.len());
    assert_eq!(process.count(&fine).await, Ok(4));
    process.world.tasks.kill();

    let process = outside.start().await;
    refused(process.nodes.data.flush(&process.call(), ShardId::new(bad.id, 0)).await.map(|_| 0), &bad);
    let Outcome::Refused(refusal) = process.insert(&bad, 5, number(5)).await else { panic!("a start forgets the quarantine") };
    assert!(refusal.to_error().reason().contains("is quarantined"), "{refusal:?}");
    assert!(matches!(process.insert(&fine, 4, number(4)).await, Outcome::Written { .. }));
    assert_eq!(process.count(&fine).await, Ok(5));

    process.coordinators.root.drop_collection(&process.call(), "default", "bad").await.expect("it can be dropped");
    process.until("nothing is left of it", || async { outside.copies().await == 0 }).await;
    assert_eq!(process.count(&fine).await, Ok(5));
    assert!(process.coordinators.data.manifest(&process.call(), ShardId::new(bad.id, 0)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_flush_is_confirmed_whatever_others_write_to_the_channel() {
    let outside = Outside::new();
    let process = outside.start().await;
    let (one, other) = (process.create("one").await, process.create("other").await);
    assert!(matches!(process.insert(&one, 1, Values::Int64(vec![1].into())).await, Outcome::Written { .. }));
    for round in 0..3 {
        let data = &process.coordinators.data;
        let flushed = data.flush(&process.call(), one.id).await.expect("nothing is in the way");
        assert_eq!(data.is_flushed(&process.call(), one.id, flushed.timestamp).await, Ok(true), "round {round}");
        assert!(matches!(process.insert(&other, round, Values::Int64(vec![1].into())).await, Outcome::Written { .. }));
    }
}
