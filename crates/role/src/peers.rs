//! From an address to a role: the process's own where the address is empty, else over the network.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::World;
use parking_lot::Mutex;
use types::{Code, Error, Result};

use crate::data::{DataCoord, DataNode};
use crate::index::{IndexCoord, IndexNode};
use crate::net::{Peer, Served};
use crate::proxy::Proxy;
use crate::query::{QueryCoord, QueryNode};
use crate::root::RootCoord;

/// Addresses that are kept connected; beyond it the whole set is made anew, since addresses of dead processes gather there.
const PEERS_MAX: usize = 1_024;

/// How a process reaches the nodes of its cluster.
pub struct Peers {
    world: World,
    /// Roles that are reached by function calls; the empty address is the process's own.
    near: Mutex<BTreeMap<String, Served>>,
    others: Mutex<BTreeMap<String, Arc<Peer>>>,
}

impl Peers {
    /// Reaches nobody yet.
    pub fn new(world: &World) -> Self {
        Self { world: world.clone(), near: Mutex::default(), others: Mutex::default() }
    }

    /// Says which roles the empty address means.
    pub fn set_own(&self, own: Served) {
        self.set_near("", own);
    }

    /// Says which roles are reached at an address by function calls: simulations have processes side by side.
    pub fn set_near(&self, address: &str, served: Served) {
        self.near.lock().insert(address.to_owned(), served);
    }

    /// A role that is near; `None` if the address is elsewhere.
    fn near<T: ?Sized>(&self, address: &str, role: &str, pick: impl FnOnce(&Served) -> Option<Arc<T>>) -> Result<Option<Arc<T>>> {
        match self.near.lock().get(address) {
            Some(served) => pick(served).ok_or_else(|| absent(role)).map(Some),
            None if address.is_empty() => Err(absent(role)),
            None => Ok(None),
        }
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

    /// rootcoord, where it leads; errors as [`Self::data_node`].
    pub fn root_coord(&self, address: &str) -> Result<Arc<dyn RootCoord>> {
        match self.near(address, "rootcoord", |served| served.root.clone())? {
            Some(near) => Ok(near),
            None => Ok(self.at(address)?),
        }
    }

    /// datacoord, where it leads; errors as [`Self::data_node`].
    pub fn data_coord(&self, address: &str) -> Result<Arc<dyn DataCoord>> {
        match self.near(address, "datacoord", |served| served.data.clone())? {
            Some(near) => Ok(near),
            None => Ok(self.at(address)?),
        }
    }

    /// querycoord, where it leads; errors as [`Self::data_node`].
    pub fn query_coord(&self, address: &str) -> Result<Arc<dyn QueryCoord>> {
        match self.near(address, "querycoord", |served| served.query.clone())? {
            Some(near) => Ok(near),
            None => Ok(self.at(address)?),
        }
    }

    /// indexcoord, where it leads; errors as [`Self::data_node`].
    pub fn index_coord(&self, address: &str) -> Result<Arc<dyn IndexCoord>> {
        match self.near(address, "indexcoord", |served| served.index.clone())? {
            Some(near) => Ok(near),
            None => Ok(self.at(address)?),
        }
    }

    /// A data node.
    ///
    /// # Errors
    /// An address that isn't one; the empty one where this process has no such role.
    pub fn data_node(&self, address: &str) -> Result<Arc<dyn DataNode>> {
        match self.near(address, "data node", |served| served.data_node.clone())? {
            Some(near) => Ok(near),
            None => Ok(self.at(address)?),
        }
    }

    /// A query node; errors as [`Self::data_node`].
    pub fn query_node(&self, address: &str) -> Result<Arc<dyn QueryNode>> {
        match self.near(address, "query node", |served| served.query_node.clone())? {
            Some(near) => Ok(near),
            None => Ok(self.at(address)?),
        }
    }

    /// An index node; errors as [`Self::data_node`].
    pub fn index_node(&self, address: &str) -> Result<Arc<dyn IndexNode>> {
        match self.near(address, "index node", |served| served.index_node.clone())? {
            Some(near) => Ok(near),
            None => Ok(self.at(address)?),
        }
    }

    /// A proxy; errors as [`Self::data_node`].
    pub fn proxy(&self, address: &str) -> Result<Arc<dyn Proxy>> {
        match self.near(address, "proxy", |served| served.proxy.clone())? {
            Some(near) => Ok(near),
            None => Ok(self.at(address)?),
        }
    }
}

fn absent(role: &str) -> Error {
    Error::new(Code::SERVICE_NOT_READY, format!("this process has no {role} yet: service not ready"))
}
