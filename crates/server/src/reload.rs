//! Settings that change while the server runs reach whoever goes by them: the limits of requests, of coordinators, of flushes.
//!
//! Which keys those are is marked in the table of keys (`reloads`); others wait for a restart, and the log says so. The level of the log is
//! followed where the log is ([`crate::cli`]).

use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::config::{Config, Current};
use coord::shared::Shared;
use node::data::DataNodeRole;
use node::proxy::Proxy;
use tokio::sync::watch;
use types::id::NodeId;

use crate::roles::RoleSet;
use crate::wiring;

/// Whom settings reach.
pub struct Reloading {
    /// Limits of requests, if this process has a proxy.
    pub proxy: Option<Arc<Proxy>>,
    /// The roles of the process.
    pub run: RoleSet,
    /// Its id.
    pub node: NodeId,
    /// Limits of flushes, if it has a data node.
    pub data: Option<Arc<DataNodeRole>>,
    /// Limits of the cluster.
    pub coordinators: Arc<Shared>,
    /// Whether this process is the whole cluster.
    pub alone: bool,
    /// From where on a read is slow.
    pub slow: Current<Duration>,
}

impl Reloading {
    fn apply(&self, config: &Config) {
        if let Some(proxy) = &self.proxy {
            proxy.reconfigure(wiring::proxy_config(config, &self.run, self.node, ""));
        }
        if let Some(data) = &self.data {
            data.set_limits(wiring::flush_limits(config, self.alone));
        }
        self.coordinators.set_settings(wiring::coordinator_settings(config, self.alone));
        self.slow.set(config.proxy.slow_query_span);
    }

    /// Applies each change until the process stops.
    pub async fn run(self, world: World, mut changes: watch::Receiver<Arc<Config>>) {
        loop {
            tokio::select! {
                biased;
                () = world.tasks.stopping() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
            let config = changes.borrow_and_update().clone();
            self.apply(&config);
        }
    }
}
