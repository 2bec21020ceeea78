//! Sessions: which processes are there. A process puts one key under a lease and keeps it; when the key goes, so has the process for all others.
//!
//! A process that lost its session (its lease ran out, or a coordinator expelled it) is told, so that it drops what it may only hold with
//! one, and registers anew under the same node id: others see another `created` revision, which is another session.
//! Who is there now is followed with [`crate::mirror::Mirror`]`<Session>`.

use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::task::Task;
use base::watch;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use types::id::NodeId;
use types::time::Timestamp;

use crate::catalog::document::{self, Document, Versioned, number, parse_number, unknown_version};
use crate::election::until_absent;
use crate::keeper::{KeptLease, until_set};
use crate::store::{Condition, Entry, LeaseId, Meta, MetaError, Revision, Transaction};

/// Between two tries while meta is away.
const RETRY_WAIT: Duration = Duration::from_millis(200);

/// A process that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// The process: drawn anew at each start ([`crate::sequence::next_node`]).
    pub node: NodeId,
    /// The roles that it runs.
    pub roles: Vec<String>,
    /// Where its roles are reached: `host:port`.
    pub address: String,
    /// The machine's name.
    pub host: String,
    /// Of the build.
    pub version: String,
    /// When the process began, by its own clock.
    pub started: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct StoredSession {
    roles: Vec<String>,
    address: String,
    #[serde(default)]
    host: String,
    #[serde(default)]
    version: String,
    started: Timestamp,
}

impl Document for Session {
    type Id = NodeId;
    const ROOT: &'static str = "";
    const KIND: &'static str = "session";
    const VERSION: u32 = 1;

    fn id(&self) -> NodeId {
        self.node
    }

    fn path(node: &NodeId) -> String {
        number(node.0)
    }

    fn parse(path: &str) -> Option<NodeId> {
        parse_number(path).map(NodeId)
    }

    fn encode(&self) -> Result<Box<RawValue>, serde_json::Error> {
        serde_json::value::to_raw_value(&StoredSession {
            roles: self.roles.clone(),
            address: self.address.clone(),
            host: self.host.clone(),
            version: self.version.clone(),
            started: self.started,
        })
    }

    fn decode(node: NodeId, version: u32, json: &str) -> Result<Self, serde_json::Error> {
        if version != Self::VERSION {
            return Err(unknown_version::<Self>(version));
        }
        let StoredSession { roles, address, host, version, started } = serde_json::from_str(json)?;
        Ok(Self { node, roles, address, host, version, started })
    }
}

/// What a process knows of its own session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionState {
    /// It has one, made at this revision.
    Registered(Revision),
    /// It has none, and tries to register again.
    Lost,
}

/// A session that is kept until it is dropped or ended.
pub struct Registration {
    node: NodeId,
    state: watch::Receiver<SessionState>,
    current: watch::Receiver<Option<LeaseId>>,
    meta: Arc<dyn Meta>,
    _task: Task<()>,
}

impl Registration {
    /// The process.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The state, for [`watch::Receiver::changed`].
    pub fn state(&self) -> watch::Receiver<SessionState> {
        self.state.clone()
    }

    /// The condition that the session of now still is, if there is one.
    pub fn fence(&self) -> Option<Condition> {
        match *self.state.borrow() {
            SessionState::Registered(created) => Some(Condition::Created(document::key::<Session>(&self.node), created)),
            SessionState::Lost => None,
        }
    }

    /// Ends the session at once: a graceful stop.
    pub async fn end(self) {
        let Self { current, meta, _task, .. } = self;
        drop(_task);
        let lease = *current.borrow();
        if let Some(lease) = lease
            && let Err(error) = meta.revoke(lease).await
        {
            tracing::debug!(%error, "a session is left to run out");
        }
    }
}

/// Registers a process and keeps it registered. Returns once it is; while meta is away it goes on trying.
///
/// # Errors
/// [`MetaError::Damaged`].
pub async fn register(world: &World, meta: &Arc<dyn Meta>, session: Session, ttl: Duration) -> Result<Registration, MetaError> {
    let registrar = Registrar { world: world.clone(), meta: meta.clone(), key: document::key::<Session>(&session.node), session, ttl };
    let (created, lease) = registrar.register(None).await?;
    let (state_sender, state) = watch::channel(SessionState::Registered(created));
    let (current_sender, current) = watch::channel(Some(lease.id));
    let node = registrar.session.node;
    let task = world.tasks.spawn(registrar.keep(lease, state_sender, current_sender));
    Ok(Registration { node, state, current, meta: meta.clone(), _task: task })
}

/// Expels a process whose session was seen: it loses it unless it has another by now.
///
/// # Errors
/// [`MetaError::Refused`] if the session isn't that one any more.
pub async fn expel(meta: &dyn Meta, session: &Versioned<Session>) -> Result<(), MetaError> {
    let key = document::key::<Session>(&session.value.node);
    let expel = Transaction::new().when(Condition::Created(key.clone(), session.created)).delete(key);
    meta.commit(expel).await.map(drop)
}

struct Registrar {
    world: World,
    meta: Arc<dyn Meta>,
    session: Session,
    key: Bytes,
    ttl: Duration,
}

impl Registrar {
    async fn keep(self, mut lease: KeptLease, state: watch::Sender<SessionState>, current: watch::Sender<Option<LeaseId>>) {
        loop {
            tokio::select! {
                biased;
                () = until_set(lease.lost()) => {}
                () = self.until_gone() => {}
            }
            state.send_replace(SessionState::Lost);
            current.send_replace(None);
            tracing::warn!(node = self.session.node.0, "the session in meta is lost: registering again");
            match self.register(Some(lease)).await {
                Ok((created, new)) => {
                    current.send_replace(Some(new.id));
                    state.send_replace(SessionState::Registered(created));
                    lease = new;
                }
                Err(error) => {
                    tracing::error!(node = self.session.node.0, %error, "the session can't be registered again");
                    return;
                }
            }
        }
    }

    async fn until_gone(&self) {
        while let Err(error) = until_absent(self.meta.as_ref(), &self.key).await {
            tracing::debug!(%error, "the session can't be watched yet");
            self.world.clock.sleep(RETRY_WAIT).await;
        }
    }

    /// Tries until the session is there; what an earlier one left behind is removed.
    async fn register(&self, old: Option<KeptLease>) -> Result<(Revision, KeptLease), MetaError> {
        if let Some(old) = old {
            old.release().await;
        }
        loop {
            match self.attempt().await {
                Ok(registered) => return Ok(registered),
                Err(MetaError::Damaged(error)) => return Err(MetaError::Damaged(error)),
                Err(error) => {
                    tracing::info!(%error, "waiting for meta to register");
                    self.world.clock.sleep(RETRY_WAIT).await;
                }
            }
        }
    }

    async fn attempt(&self) -> Result<(Revision, KeptLease), MetaError> {
        if let Some(left) = self.meta.get(&self.key).await? {
            self.remove(left).await?;
        }
        let lease = KeptLease::grant(&self.world, &self.meta, self.ttl).await?;
        let value = document::value(&self.session);
        let put = Transaction::new().when(Condition::Absent(self.key.clone())).put_leased(self.key.clone(), value, lease.id);
        match self.meta.commit(put).await {
            Ok(created) => Ok((created, lease)),
            Err(error) => {
                // If it came true without an answer, the next attempt finds and removes it.
                lease.release().await;
                Err(error)
            }
        }
    }

    /// Node ids are given once, so a session under ours is an earlier one of ours.
    async fn remove(&self, left: Entry) -> Result<(), MetaError> {
        let gone = Transaction::new().when(Condition::Created(self.key.clone(), left.created)).delete(self.key.clone());
        match self.meta.commit(gone).await {
            Ok(_) | Err(MetaError::Refused) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
