//! Who is there, by role: what sessions in meta say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use meta::catalog::document::Versioned;
use meta::mirror::Mirror;
use meta::session::Session;
use meta::store::MetaError;
use types::id::NodeId;

use crate::shared::Shared;

/// Before sessions are listed again when meta was away.
const RETRY: Duration = Duration::from_millis(200);

/// Names of roles in sessions.
pub mod role_name {
    /// What clients speak to.
    pub const PROXY: &str = "proxy";
    /// Sequences.
    pub const DATA_NODE: &str = "datanode";
    /// Answers reads.
    pub const QUERY_NODE: &str = "querynode";
    /// Builds.
    pub const INDEX_NODE: &str = "indexnode";
}

/// One node of the cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its id.
    pub node: NodeId,
    /// Where it is; empty for this process.
    pub address: String,
}

/// The live nodes by role.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Members {
    /// Sequencers may run here.
    pub data_nodes: Vec<Member>,
    /// Shards may be served here.
    pub query_nodes: Vec<Member>,
    /// Builds may run here.
    pub index_nodes: Vec<Member>,
    /// These cache definitions.
    pub proxies: Vec<Member>,
}

impl Members {
    /// Whose sessions these are.
    pub fn of(sessions: &BTreeMap<NodeId, Versioned<Session>>) -> Self {
        let with = |role: &str| {
            let running = sessions.values().filter(|session| session.value.roles.iter().any(|name| name == role));
            running.map(|session| Member { node: session.value.node, address: session.value.address.clone() }).collect()
        };
        Self {
            data_nodes: with(role_name::DATA_NODE),
            query_nodes: with(role_name::QUERY_NODE),
            index_nodes: with(role_name::INDEX_NODE),
            proxies: with(role_name::PROXY),
        }
    }
}

impl Shared {
    /// Keeps the members level with the sessions in meta for as long as the process lives; returns when they are level for the first time.
    /// While meta is away those that were there count as there.
    ///
    /// # Errors
    /// [`MetaError::Damaged`].
    pub async fn follow_sessions(self: &Arc<Self>) -> Result<(), MetaError> {
        let mut sessions = loop {
            match Mirror::<Session>::open(self.catalog.meta(), &self.world.clock).await {
                Ok((sessions, _)) => break sessions,
                Err(MetaError::Damaged(error)) => return Err(MetaError::Damaged(error)),
                Err(error) => tracing::info!(%error, "waiting for meta to list sessions"),
            }
            self.world.clock.sleep(RETRY).await;
        };
        self.set_members(Members::of(sessions.documents()));
        let shared = self.clone();
        let follow = async move {
            loop {
                match sessions.next().await {
                    Ok(_) => shared.set_members(Members::of(sessions.documents())),
                    Err(error) => return tracing::error!(%error, "sessions can't be followed any more: who goes isn't noticed"),
                }
            }
        };
        self.world.tasks.spawn(follow).detach();
        Ok(())
    }
}
