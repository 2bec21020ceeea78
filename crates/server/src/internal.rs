//! How the roles of one process meet: as function calls, or, with `ELANUS_LOOPBACK=1`, over gRPC on loopback ports as in a cluster.
//!
//! The second way exists for tests: what works there depends on no shared memory.

use std::sync::Arc;
use std::time::Duration;

use base::World;
use coord::context::{Member, Members};
use coord::seat::Seat;
use node::proxy::{Proxy, Roles};
use role::net::{Served, routes};
use role::peers::Peers;
use types::Result;
use types::id::NodeId;

use crate::port::Port;

/// The switch.
const SWITCH: &str = "ELANUS_LOOPBACK";
/// How long internal calls may go on at the end.
const GRACE: Duration = Duration::from_secs(1);

/// The ports of the roles, if calls go over the network.
pub struct Internal {
    nodes: Option<Port>,
    proxy: Option<Port>,
    nodes_address: String,
    proxy_address: String,
}

impl Internal {
    /// Function calls.
    pub fn near() -> Self {
        Self { nodes: None, proxy: None, nodes_address: String::new(), proxy_address: String::new() }
    }

    /// Binds two free loopback ports if the switch is on: the proxy registers with coordinators that are served already.
    ///
    /// # Errors
    /// No port is free.
    pub async fn bind() -> Result<Self> {
        if std::env::var_os(SWITCH).is_none_or(|value| value != "1") {
            return Ok(Self::near());
        }
        let (nodes, proxy) = (Port::bind(("127.0.0.1", 0), SWITCH).await?, Port::bind(("127.0.0.1", 0), SWITCH).await?);
        let (nodes_address, proxy_address) = (nodes.address().to_string(), proxy.address().to_string());
        tracing::info!(nodes = nodes_address, proxy = proxy_address, "calls between roles go over the network");
        Ok(Self { nodes: Some(nodes), proxy: Some(proxy), nodes_address, proxy_address })
    }

    /// The coordinators as nodes and proxy see them.
    ///
    /// # Errors
    /// The address isn't one.
    pub fn roles(&self, seat: &Arc<Seat>, peers: &Peers) -> Result<Roles> {
        if self.nodes_address.is_empty() {
            return Ok(Roles { root: seat.clone(), data: seat.clone(), query: seat.clone(), index: seat.clone() });
        }
        let peer = peers.at(&self.nodes_address)?;
        Ok(Roles { root: peer.clone(), data: peer.clone(), query: peer.clone(), index: peer })
    }

    /// Serves coordinators and workers.
    pub fn serve_nodes(&mut self, world: &World, served: Served, peers: &Peers) {
        match self.nodes.take() {
            None => peers.set_own(served),
            Some(port) => serve(world, port, served),
        }
    }

    /// Serves the proxy's own side.
    pub fn serve_proxy(&mut self, world: &World, proxy: Arc<Proxy>, peers: &Peers) {
        match self.proxy.take() {
            None => peers.set_own_proxy(proxy),
            Some(port) => serve(world, port, Served { proxy: Some(proxy), ..Served::default() }),
        }
    }

    /// Where the proxy is told of changes.
    pub fn proxy_address(&self) -> &str {
        &self.proxy_address
    }

    /// The cluster of this one process.
    pub fn members(&self, node: NodeId) -> Members {
        let worker = || vec![Member { node, address: self.nodes_address.clone() }];
        Members {
            data_nodes: worker(),
            query_nodes: worker(),
            index_nodes: worker(),
            proxies: vec![Member { node, address: self.proxy_address.clone() }],
        }
    }
}

fn serve(world: &World, port: Port, served: Served) {
    let router = routes(world, served).prepare().into_axum_router();
    world.tasks.spawn(port.serve_without_fallback(world.clone(), router, GRACE)).detach();
}
