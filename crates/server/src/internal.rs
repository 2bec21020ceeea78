//! How roles meet: as function calls in one process, over gRPC between processes, or, with `ELANUS_LOOPBACK=1`, over gRPC on a loopback port
//! although they are in one process.
//!
//! The last way exists for tests: what works there depends on no shared memory. In a cluster each role of a process has a port of its own, as Milvus
//! has it; all of them serve all that the process runs. Simulated processes of a cluster meet over wires of the simulation.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use base::World;
use base::config::Config;
use coord::members::{Member, Members};
use node::proxy::Proxy;
use role::Call;
use role::net::{Served, routes};
use role::peers::Peers;
use role::root::Changed;
use types::id::NodeId;
use types::{Code, Error, Result};

use crate::port::{EVERY_ADDRESS, Port, local_host};
use crate::roles::{Role, RoleSet};

/// The switch.
const SWITCH: &str = "ELANUS_LOOPBACK";

/// How the roles of a process meet the others.
enum Way {
    /// Function calls.
    Near,
    /// gRPC, also to itself.
    Loopback,
    /// gRPC to other processes.
    Cluster,
    /// Wires of a simulation; `None` once they are laid.
    Simulated(Option<Lay>),
}

/// Lays a simulated process's wires: has others reach its roles, and names those that it reaches.
#[doc(hidden)]
pub type Lay = Box<dyn FnOnce(&Served, &Peers) + Send + Sync>;

/// The ports of a process's roles.
pub struct Internal {
    way: Way,
    ports: Vec<Port>,
    /// Where each role is reached; empty where calls are function calls.
    addresses: BTreeMap<Role, String>,
}

impl Internal {
    /// Function calls.
    pub fn near() -> Self {
        Self { way: Way::Near, ports: Vec::new(), addresses: BTreeMap::new() }
    }

    /// Wires of a simulation, in which each role of the process is reached at `address`.
    #[doc(hidden)]
    pub fn simulated(address: &str, roles: &RoleSet, lay: Lay) -> Self {
        let addresses = roles.iter().map(|role| (role, address.to_owned())).collect();
        Self { way: Way::Simulated(Some(lay)), ports: Vec::new(), addresses }
    }

    /// Binds what a process with these roles needs: nothing for a whole cluster by itself, unless the switch is on.
    ///
    /// # Errors
    /// A port is taken, named with its key.
    pub async fn bind(config: &Config, roles: &RoleSet) -> Result<Self> {
        if !roles.is_all() {
            return Self::cluster(config, roles).await;
        }
        if std::env::var_os(SWITCH).is_none_or(|value| value != "1") {
            return Ok(Self::near());
        }
        let port = Port::bind(("127.0.0.1", 0), SWITCH).await?;
        let address = port.address().to_string();
        tracing::info!(address, "calls between roles go over the network");
        let addresses = Role::ALL.map(|role| (role, address.clone())).into();
        Ok(Self { way: Way::Loopback, ports: vec![port], addresses })
    }

    async fn cluster(config: &Config, roles: &RoleSet) -> Result<Self> {
        let mut internal = Self { way: Way::Cluster, ports: Vec::new(), addresses: BTreeMap::new() };
        for role in roles.iter() {
            let Place { listen, port, advertised, key } = place(config, role);
            let bound = Port::bind((listen.as_deref().unwrap_or(EVERY_ADDRESS), port), &key).await?;
            let actual = bound.address().port();
            let address = match advertised {
                // A port that was left to the system is known now.
                Some(address) if port == 0 => format!("{}:{actual}", address.rsplit_once(':').map_or(&*address, |(host, _)| host)),
                Some(address) => address,
                None => format!("{}:{actual}", local_host().await),
            };
            tracing::info!(role = role.name(), address, "other processes reach it here");
            internal.ports.push(bound);
            internal.addresses.insert(role, address);
        }
        Ok(internal)
    }

    /// Where a role of this process is reached; empty where calls are function calls.
    pub fn address(&self, role: Role) -> &str {
        self.addresses.get(&role).map_or("", String::as_str)
    }

    /// Where all of the process is reached.
    pub fn session_address(&self) -> &str {
        self.addresses.values().next().map_or("", String::as_str)
    }

    /// Serves the process's roles, to itself and to others.
    pub fn serve(&mut self, world: &World, served: &Served, peers: &Peers) {
        match &mut self.way {
            Way::Near => peers.set_own(served.clone()),
            Way::Loopback => {}
            Way::Cluster | Way::Simulated(_) => self.addresses.values().for_each(|address| peers.set_near(address, served.clone())),
        }
        if let Way::Simulated(lay) = &mut self.way
            && let Some(lay) = lay.take()
        {
            lay(served, peers);
        }
        for port in self.ports.drain(..) {
            let router = routes(world, served.clone()).prepare().into_axum_router();
            world.tasks.spawn(port.serve_to_the_end(world.clone(), router)).detach();
        }
    }

    /// The cluster of this one process.
    pub fn members(&self, node: NodeId) -> Members {
        let member = || vec![Member { node, address: self.session_address().to_owned() }];
        Members { data_nodes: member(), query_nodes: member(), index_nodes: member(), proxies: member() }
    }
}

/// Where a role listens and is reached, by the settings.
struct Place {
    listen: Option<String>,
    port: u16,
    advertised: Option<String>,
    key: String,
}

fn place(config: &Config, role: Role) -> Place {
    let of = |listen: &Option<String>, port, advertised, key: &str| Place { listen: listen.clone(), port, advertised, key: key.to_owned() };
    match role {
        Role::RootCoord => of(&config.root_coord.ip, config.root_coord.port, config.root_coord.advertised(), "rootCoord.port"),
        Role::DataCoord => of(&config.data_coord.ip, config.data_coord.port, config.data_coord.advertised(), "dataCoord.port"),
        Role::QueryCoord => of(&config.query_coord.ip, config.query_coord.port, config.query_coord.advertised(), "queryCoord.port"),
        Role::IndexCoord => of(&config.index_coord.ip, config.index_coord.port, config.index_coord.advertised(), "indexCoord.port"),
        Role::DataNode => of(&config.data_node.ip, config.data_node.port, config.data_node.advertised(), "dataNode.port"),
        Role::QueryNode => of(&config.query_node.ip, config.query_node.port, config.query_node.advertised(), "queryNode.port"),
        Role::IndexNode => of(&config.index_node.ip, config.index_node.port, config.index_node.advertised(), "indexNode.port"),
        Role::Proxy => {
            let (ip, port) = (config.proxy.ip.clone(), config.proxy.internal_port);
            let advertised = ip.as_ref().map(|ip| format!("{ip}:{port}"));
            Place { listen: ip, port, advertised, key: "proxy.internalPort".to_owned() }
        }
    }
}

/// A proxy that starts after the ports are served: it registers with coordinators that may be behind the same ports.
#[derive(Default)]
pub struct LateProxy(OnceLock<Arc<Proxy>>);

impl LateProxy {
    /// It is there.
    pub fn set(&self, proxy: Arc<Proxy>) {
        self.0.get_or_init(|| proxy);
    }
}

#[async_trait]
impl role::proxy::Proxy for LateProxy {
    async fn invalidate(&self, call: &Call, changed: &Changed) -> Result<()> {
        match self.0.get() {
            Some(proxy) => role::proxy::Proxy::invalidate(&**proxy, call, changed).await,
            None => Err(Error::new(Code::SERVICE_NOT_READY, "the proxy starts: service not ready")),
        }
    }
}
