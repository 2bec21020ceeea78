//! The network between simulated processes: a call is a task of the process that answers it, so it dies, stands still or is cut off with
//! that process, and it may be late, lost, answered to nobody, or made twice.
//!
//! Not here: the roles as they are wrapped for it ([`super::remote`]). The network sees calls, not bytes; `role::net` has tests of its own for those.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base::World;
use base::fault::{Fault, FaultPlan, Rates};
use base::task::Tasks;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use role::Call;
use role::net::Served;
use types::{Code, Error, Result};

use super::coverage::Coverage;

/// How long a caller waits for a process that it can't reach.
const UNREACHABLE_AFTER: Duration = Duration::from_secs(1);

/// The wires between processes. Clones are the same network.
#[derive(Clone)]
pub struct Network {
    /// Not of any process: what is under way arrives although its sender is gone.
    pub(super) world: World,
    pub(super) faults: FaultPlan,
    pub(super) coverage: Arc<Coverage>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    processes: BTreeMap<String, Near>,
    /// Pairs that don't reach each other, each in both orders.
    cut: BTreeSet<(String, String)>,
    /// Processes whose answers to writers get lost.
    mute: BTreeSet<String>,
}

#[derive(Clone)]
struct Near {
    tasks: Tasks,
    served: Served,
}

impl Network {
    pub fn new(world: &World, coverage: Arc<Coverage>) -> Self {
        Self { world: world.clone(), faults: FaultPlan::new(&world.random, Rates::NONE), coverage, state: Arc::default() }
    }

    /// What befalls calls.
    pub fn faults(&self) -> &FaultPlan {
        &self.faults
    }

    /// A process is reached at an address.
    pub fn attach(&self, address: &str, tasks: &Tasks, served: Served) {
        self.state.lock().processes.insert(address.to_owned(), Near { tasks: tasks.clone(), served });
    }

    /// It is gone.
    pub fn detach(&self, address: &str) {
        self.state.lock().processes.remove(address);
    }

    /// Cuts two processes off from each other, or mends it.
    pub fn cut(&self, one: &str, other: &str, cut: bool) {
        let mut state = self.state.lock();
        for (a, b) in [(one, other), (other, one)] {
            let pair = (a.to_owned(), b.to_owned());
            if cut {
                state.cut.insert(pair);
            } else {
                state.cut.remove(&pair);
            }
        }
    }

    /// Loses a process's answers to writers, or no longer.
    pub fn mute(&self, name: &str, mute: bool) {
        let mut state = self.state.lock();
        if mute {
            state.mute.insert(name.to_owned());
        } else {
            state.mute.remove(name);
        }
    }

    /// Whether the answers of a process to writers get lost.
    pub fn is_mute(&self, name: &str) -> bool {
        self.state.lock().mute.contains(name)
    }

    /// The roles at `to`, as the process at `from` reaches them.
    pub fn remote(&self, from: &str, to: &str) -> Arc<Remote> {
        Arc::new(Remote { network: self.clone(), from: from.to_owned(), to: to.to_owned() })
    }

    /// Whether two don't reach each other.
    pub fn is_cut(&self, from: &str, to: &str) -> bool {
        self.state.lock().cut.contains(&(from.to_owned(), to.to_owned()))
    }
}

/// A process as another one sees it.
pub struct Remote {
    pub(super) network: Network,
    pub(super) from: String,
    pub(super) to: String,
}

impl Remote {
    /// All roles of it.
    pub fn served(self: &Arc<Self>) -> Served {
        Served {
            root: Some(self.clone()),
            data: Some(self.clone()),
            query: Some(self.clone()),
            index: Some(self.clone()),
            data_node: Some(self.clone()),
            query_node: Some(self.clone()),
            index_node: Some(self.clone()),
            proxy: Some(self.clone()),
        }
    }

    fn unanswered(&self, operation: &str) -> Error {
        Error::new(Code::SERVICE_UNAVAILABLE, format!("{operation}: no answer from {}: service unavailable", self.to))
    }

    /// Makes one call, with what befalls it.
    pub(super) async fn call<R: ?Sized + 'static, T: Send + 'static>(
        &self,
        operation: &'static str,
        call: &Call,
        pick: impl Fn(&Served) -> Option<Arc<R>> + Send + Sync,
        run: impl Fn(Arc<R>, Call) -> BoxFuture<'static, Result<T>> + Send + Sync,
    ) -> Result<T> {
        call.bound(operation, async {
            let fault = self.network.faults.begin(operation).await;
            let near = self.network.state.lock().processes.get(&self.to).cloned();
            let near = near.filter(|_| !self.network.is_cut(&self.from, &self.to) && fault != Fault::FailBefore);
            let Some(near) = near else {
                self.network.world.clock.sleep(UNREACHABLE_AFTER).await;
                return Err(self.unanswered(operation));
            };
            let role = pick(&near.served).ok_or_else(|| self.unanswered(operation))?;
            let answer = near.tasks.spawn(run(role.clone(), call.clone())).join().await;
            if fault == Fault::Duplicate {
                drop(near.tasks.spawn(run(role, call.clone())).join().await);
            }
            match answer {
                Some(answer) if fault != Fault::FailAfter && !self.network.is_cut(&self.from, &self.to) => answer,
                _ => Err(self.unanswered(operation)),
            }
        })
        .await
    }
}
