//! Every role in one process, over storage that is open: coordinators, workers, proxy, in the order in which each needs the one before.
//!
//! Not here: ports, settings' sources, storage's opening ([`crate::standalone`]). Simulations start this over storage of their own.

use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::config::Config;
use base::task::Task;
use coord::reconcile::Coordinators;
use coord::seat::Seat;
use meta::sequence::next_node;
use node::planted::Planted;
use node::proxy::{Observe, Proxy};
use role::Call;
use role::peers::Peers;
use tokio_util::sync::CancellationToken;
use types::Result;
use types::id::NodeId;

use crate::internal::Internal;
use crate::storage::Storage;
use crate::wiring::{self, Candidacy, Workers};

/// How long starting may take: a log of 256 MB is replayed.
const START_MAX: Duration = Duration::from_secs(300);

/// All roles of a process.
pub struct Process {
    /// Under which the process is known to others.
    pub node: NodeId,
    /// Names, placement, manifests, indexes, while this process leads.
    pub seat: Arc<Seat>,
    /// Data, query and index node.
    pub workers: Workers,
    /// What clients speak to.
    pub proxy: Arc<Proxy>,
    leading: Task<()>,
    resign: CancellationToken,
}

/// What a [`Process`] is started with.
pub struct Start<'a> {
    /// The world.
    pub world: &'a World,
    /// The settings.
    pub config: &'a Config,
    /// What is kept.
    pub storage: &'a Storage,
    /// How the roles meet.
    pub internal: Internal,
    /// Who is told of requests.
    pub observe: &'a (dyn Fn(NodeId) -> Arc<dyn Observe> + Send + Sync),
    /// Called when all but the log is there.
    pub coordinated: &'a (dyn Fn() + Send + Sync),
    /// Bugs of simulations.
    #[doc(hidden)]
    pub planted: Planted,
}

impl Process {
    /// Starts every role, and returns when the logs are read and what was served before is served.
    ///
    /// # Errors
    /// Storage that can't be reached or read, by name.
    pub async fn start(start: Start<'_>) -> Result<Self> {
        let Start { world, config, storage, mut internal, observe, coordinated, planted } = start;
        let node = next_node(&*storage.meta).await.map_err(wiring::meta_failed)?;
        let peers = Arc::new(Peers::new(world));
        let candidacy = Candidacy {
            world: world.clone(),
            config: config.clone(),
            storage: storage.clone(),
            address: String::new(),
            peers: peers.clone(),
        };
        let (leadership, coordinators) = candidacy.lead().await?;
        let seat = Seat::vacant();
        seat.set_members(internal.members(node));
        seat.take(coordinators.clone());
        let roles = internal.roles(&seat, &peers)?;
        let workers = wiring::workers_with(world, config, (storage, planted), &roles, &peers);
        internal.serve_nodes(world, wiring::served(&seat, &workers), &peers);
        coordinated();

        let call = Call::within(world, START_MAX, "start");
        let parts = node::proxy::Parts { world: world.clone(), roles, peers: peers.clone(), observe: observe(node) };
        let proxy = Proxy::start(parts, wiring::proxy_config(config, node, internal.proxy_address()), &call).await?;
        internal.serve_proxy(world, proxy.clone(), &peers);
        recover(&coordinators, &workers, &call, storage.embedded).await?;
        coordinators.run();
        let resign = CancellationToken::new();
        let leading = candidacy.hold(&seat, leadership, resign.clone());
        Ok(Self { node, seat, workers, proxy, leading, resign })
    }

    /// Writes what a fast start needs, as far as that goes within `limit`, and gives up the lead.
    pub async fn settle(self, world: &World, limit: Duration) {
        if world.within(limit, self.workers.data.settle()).await.is_none() {
            tracing::warn!(seconds = limit.as_secs(), "not everything was flushed before the end: its log is read again at the next start");
        }
        self.resign.cancel();
        // A task that was killed has nothing to give up.
        self.leading.join().await;
    }
}

/// Removes what failed attempts left, takes up channels, waits until their logs are read, and serves what was served before.
async fn recover(coordinators: &Coordinators, workers: &Workers, call: &Call, embedded: bool) -> Result<()> {
    // Before anything is written: a file that a commit will name soon looks like one that nobody names.
    if embedded {
        coordinators.data.sweep_orphans().await?;
    }
    // A channel that can't be taken up is tried again by its node; the others are served meanwhile.
    if let Err(error) = coordinators.data.assign_channels(call).await {
        tracing::error!(%error, "not every channel could be taken up");
    }
    workers.data.ready(call).await?;
    // What fails here is tried again by the loops; the rest is served meanwhile.
    for result in [coordinators.root.resume(call).await, coordinators.query.reconcile(call).await] {
        if let Err(error) = result {
            tracing::warn!(%error, "not everything is as it was before the start yet");
        }
    }
    Ok(())
}
