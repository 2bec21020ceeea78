//! From an address to a role: the process's own where the address is empty, else over the network.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::World;
use parking_lot::Mutex;
use types::{Code, Error, Result};

use crate::data::DataNode;
use crate::index::IndexNode;
use crate::net::{Peer, Served};
use crate::proxy::Proxy;
use crate::query::QueryNode;

/// Addresses that are kept connected; beyond it the whole set is made anew, since addresses of dead processes gather there.
const PEERS_MAX: usize = 1_024;

/// How a process reaches the nodes of its cluster.
pub struct Peers {
    world: World,
    own: Mutex<Served>,
    others: Mutex<BTreeMap<String, Arc<Peer>>>,
}

impl Peers {
    /// Reaches nobody yet.
    pub fn new(world: &World) -> Self {
        Self { world: world.clone(), own: Mutex::default(), others: Mutex::default() }
    }

    /// Says which roles the empty address means.
    pub fn set_own(&self, own: Served) {
        *self.own.lock() = own;
    }

    /// Adds the process's own proxy, which starts after the others.
    pub fn set_own_proxy(&self, proxy: Arc<dyn Proxy>) {
        self.own.lock().proxy = Some(proxy);
    }

    /// The peer at an address.
    ///
    /// # Errors
    /// An address that isn't one.
    pub fn at(&self, address: &str) -> Result<Arc<Peer>> {
        let mut others = self.others.lock();
        if let Some(peer) = others.get(address) {
            return Ok(peer.clone());
        }
        if others.len() >= PEERS_MAX {
            others.clear();
        }
        let peer = Arc::new(Peer::connect(&self.world, address)?);
        others.insert(address.to_owned(), peer.clone());
        Ok(peer)
    }

    /// A data node.
    ///
    /// # Errors
    /// An address that isn't one; the empty one where this process has no such role.
    pub fn data_node(&self, address: &str) -> Result<Arc<dyn DataNode>> {
        if address.is_empty() {
            return self.own.lock().data_node.clone().ok_or_else(|| absent("data node"));
        }
        Ok(self.at(address)?)
    }

    /// A query node; errors as [`Self::data_node`].
    pub fn query_node(&self, address: &str) -> Result<Arc<dyn QueryNode>> {
        if address.is_empty() {
            return self.own.lock().query_node.clone().ok_or_else(|| absent("query node"));
        }
        Ok(self.at(address)?)
    }

    /// An index node; errors as [`Self::data_node`].
    pub fn index_node(&self, address: &str) -> Result<Arc<dyn IndexNode>> {
        if address.is_empty() {
            return self.own.lock().index_node.clone().ok_or_else(|| absent("index node"));
        }
        Ok(self.at(address)?)
    }

    /// A proxy; errors as [`Self::data_node`].
    pub fn proxy(&self, address: &str) -> Result<Arc<dyn Proxy>> {
        if address.is_empty() {
            return self.own.lock().proxy.clone().ok_or_else(|| absent("proxy"));
        }
        Ok(self.at(address)?)
    }
}

fn absent(role: &str) -> Error {
    Error::new(Code::SERVICE_NOT_READY, format!("this process has no {role} yet: service not ready"))
}
