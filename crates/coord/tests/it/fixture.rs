//! A cluster of coordinators and [`Node`]s; coordinators begin a term whenever a test wants one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::disk::simulated::SimulatedDisk;
use base::fault::{FaultPlan, Rates};
use bytes::Bytes;
use coord::data::Data;
use coord::index::Index;
use coord::members::{Member, Members};
use coord::query::Query;
use coord::root::Root;
use coord::seat::{Coordinator, Seat};
use coord::shared::{Parts, Settings, Shared};
use meta::election::{Candidate, Leadership, campaign};
use meta::memory::MemoryStore as MetaServer;
use meta::store::{Meta, Transaction};
use role::Call;
use role::data::DataCoord;
use role::net::Served;
use role::peers::Peers;
use role::query::LoadRequest;
use role::root::{CollectionRef, CreateCollection, RootCoord};
use store::object::Store;
use store::object::decorate::FaultStore;
use store::object::memory::MemoryStore;
use types::Result;
use types::collection::{Collection, Consistency};
use types::id::{CollectionId, FieldId, NodeId};
use types::schema::{DataType, Field, FieldKind, Schema};

use crate::nodes::Node;

pub struct Cluster {
    pub world: World,
    pub meta: Arc<dyn Meta>,
    /// Objects as they are.
    pub objects: Arc<dyn Store>,
    /// What goes wrong between coordinators and objects.
    pub faults: FaultPlan,
    pub settings: Settings,
    /// `n1`, `n2` and `n3`: of every role.
    pub nodes: [Arc<Node>; 3],
    pub peers: Arc<Peers>,
    terms: std::cell::Cell<u32>,
}

impl Cluster {
    pub fn new() -> Self {
        let world = World::simulated(7, SimulatedDisk::new(7).process());
        let meta: Arc<dyn Meta> = Arc::new(MetaServer::new(world.clock.clone()).connect());
        let objects: Arc<dyn Store> = Arc::new(MemoryStore::new(world.clock.clone()));
        let nodes = [Node::new(&world), Node::new(&world), Node::new(&world)];
        let peers = Arc::new(Peers::new(&world));
        for (node, address) in nodes.iter().zip(["n1", "n2", "n3"]) {
            let served = Served {
                data_node: Some(node.clone()),
                query_node: Some(node.clone()),
                index_node: Some(node.clone()),
                proxy: Some(node.clone()),
                ..Served::default()
            };
            peers.set_near(address, served);
        }
        let settings = Settings {
            channel_prefix: "t".to_owned(),
            channels: 2,
            partitions_max: 16,
            collections_max: 100,
            collections_per_database_max: 100,
            general_capacity: 1_000,
            indexed_rows_min: 1,
            sequencer_lease: Duration::ZERO,
            snapshot_horizon: Duration::from_secs(600),
            segment_bytes_max: 1 << 20,
            compacts: true,
            alone: true,
        };
        let faults = FaultPlan::new(&world.random, Rates::NONE);
        Self { world, meta, objects, faults, settings, nodes, peers, terms: Default::default() }
    }

    /// What the coordinators of one process share, and its datacoord's seat.
    pub fn shared(&self, nodes: &[usize]) -> (Arc<Shared>, Arc<Seat<Data>>) {
        let seat = Seat::vacant();
        let shared = Shared::new(Parts {
            world: self.world.clone(),
            meta: self.meta.clone(),
            store: Arc::new(FaultStore::new(self.objects.clone(), self.faults.clone())),
            peers: self.peers.clone(),
            data: seat.clone(),
            settings: self.settings.clone(),
            planted: Default::default(),
        });
        shared.set_members(members(nodes));
        (shared, seat)
    }

    /// A term of all coordinators, with the nodes given as members; their loops aren't started.
    pub async fn lead(&self, nodes: &[usize]) -> Leading {
        let term = self.terms.replace(self.terms.get() + 1);
        let candidate = Candidate { office: format!("test {term}"), address: String::new(), ttl: Duration::from_secs(3_600) };
        let leadership = campaign(&self.world, &self.meta, &candidate).await.expect("meta is there");
        let (shared, seat) = self.shared(nodes);
        let leading = Leading {
            root: begin(&shared, &leadership).await,
            data: begin(&shared, &leadership).await,
            query: begin(&shared, &leadership).await,
            index: begin(&shared, &leadership).await,
            shared,
            leadership,
        };
        seat.take(leading.data.clone());
        let data: Arc<dyn DataCoord> = leading.data.clone();
        self.nodes.iter().for_each(|node| node.set_coordinator(&data));
        leading
    }

    /// A first term, with channels assigned to the first node.
    pub async fn started(&self) -> Leading {
        let coordinators = self.lead(&[0]).await;
        coordinators.data.assign_channels(&self.call()).await.expect("the node is there");
        coordinators
    }

    pub fn call(&self) -> Call {
        Call::within(&self.world, Duration::from_secs(60), "test")
    }

    /// Puts a value in the place of a document, as a later version of us would.
    pub async fn damage(&self, key: &Bytes) {
        assert!(self.meta.get(key).await.expect("meta is there").is_some(), "{key:?} is there");
        let newer = r#"{"v":99,"crc":695980202,"d":{}}"#;
        self.meta.commit(Transaction::new().put(key.clone(), newer)).await.expect("meta is there");
    }

    /// How many keys there are below a prefix.
    pub async fn keys(&self, prefix: &str) -> usize {
        self.meta.list(prefix.as_bytes()).await.expect("meta is there").entries.len()
    }

    pub async fn create(&self, coordinators: &Leading, name: &str, shards: u16) -> Collection {
        coordinators.root.create_collection(&self.call(), request(name, shards)).await.expect("a plain definition");
        self.find(coordinators, name).await.expect("it was just made")
    }

    pub async fn find(&self, coordinators: &Leading, name: &str) -> Result<Collection> {
        coordinators.root.collection(&self.call(), &by_name(name)).await
    }

    pub async fn until<F: Future<Output = bool>>(&self, what: &str, holds: impl Fn() -> F) {
        for _ in 0..600 {
            if holds().await {
                return;
            }
            self.world.clock.sleep(Duration::from_millis(200)).await;
        }
        panic!("{what}: not within two minutes");
    }
}

async fn begin<C: Coordinator>(shared: &Arc<Shared>, leadership: &Leadership) -> Arc<C> {
    C::begin(shared.begin(leadership).await.expect("meta is there"))
}

/// A term of all coordinators.
pub struct Leading {
    pub root: Arc<Root>,
    pub data: Arc<Data>,
    pub query: Arc<Query>,
    pub index: Arc<Index>,
    pub shared: Arc<Shared>,
    pub leadership: Leadership,
}

impl Leading {
    /// Starts what they do by themselves.
    pub fn run(&self) {
        self.root.run();
        self.data.run();
        self.query.run();
        self.index.run();
    }

    /// It is over.
    pub fn end(&self) {
        for context in [self.root.context(), self.data.context(), self.query.context(), self.index.context()] {
            context.end();
        }
    }
}

pub fn members(nodes: &[usize]) -> Members {
    let all: Vec<Member> = nodes.iter().map(|i| Member { node: NodeId(*i as i64 + 1), address: format!("n{}", i + 1) }).collect();
    Members { data_nodes: all.clone(), query_nodes: all.clone(), index_nodes: all.clone(), proxies: all }
}

/// All of a collection, on as many nodes as its properties say.
pub fn load(collection: CollectionId) -> LoadRequest {
    LoadRequest { collection, partitions: None, replicas: 0 }
}

pub fn by_name(name: &str) -> CollectionRef {
    CollectionRef::Name { database: "default".to_owned(), name: name.to_owned() }
}

pub fn request(name: &str, shards: u16) -> CreateCollection {
    CreateCollection {
        database: "default".to_owned(),
        name: name.to_owned(),
        description: String::new(),
        schema: schema(),
        shards,
        partitions: vec!["_default".to_owned()],
        consistency: Consistency::Strong,
        properties: BTreeMap::new(),
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
