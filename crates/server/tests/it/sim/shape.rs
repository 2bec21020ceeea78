//! What is simulated: which processes there are, and what may go wrong with them.
//!
//! # Shapes
//!
//! | shape | processes | log |
//! |---|---|---|
//! | one | `a` is everything | embedded, on a simulated disk |
//! | three | `c`: coordinators, proxy, query node; `d1`, `d2`: data, query and index nodes | shared, as Kafka's or Pulsar's |
//! | cluster | `c1`: rootcoord, querycoord; `c2`: datacoord, indexcoord; `c3`: all four, to stand by; proxies `p1`, `p2`; data nodes `d1`, `d2`; query nodes `q1`, `q2`; index node `i1` | shared, as Kafka's or Pulsar's |
//!
//! Each process is started by `server::process`, as the binary starts it: in the shapes of several it registers in meta under a lease, coordinators
//! stand for their offices there, and whoever wants one follows the leaders' keys. Who dies is known to others when its lease has run out.
//! Clients speak to any proxy that listens.
//!
//! # What goes wrong
//!
//! - A process is killed, or stopped gracefully, and started again; it stands still, also for longer than its leases live, and comes back as a zombie.
//! - Two processes don't reach each other; one doesn't reach meta, the log, the objects, or any set of those and of processes.
//! - Calls between processes are late, lost, made twice, or lose their answers; so are those to meta, where a transaction may also arrive
//!   seconds after it was given up; objects fail; the log has its brokers' ways (`wal::memory::Faults`).
//! - Meta is away for all: either leases run out meanwhile, or they begin anew, as those of an etcd that was down.
//! - Wall clocks are off, up to `elanus.lease.clockSkew` and beyond. What must hold then is all that is checked: loss, doubling, order. Time that
//!   passes is the same for all: leases aren't stretched.
//! - In the shape of one, the machine loses its power and the disk what wasn't synced.
//!
//! Not simulated: damage of what was stored, several machines' disks, clocks that run at different speeds.

use server::roles::{Role, RoleSet};
use wal::memory::Personality;

/// Which processes there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// One process with a log and a disk of its own.
    One,
    /// Three processes that share a log, which behaves as this broker does.
    Three(Personality),
    /// Every role in processes of its own, and more than one of each but the index node.
    Cluster(Personality),
}

/// A process's name and what it runs.
pub type Place = (&'static str, &'static [Role]);

const ONE: &[Place] = &[("a", &Role::ALL)];

const THREE: &[Place] = &[
    ("c", &[Role::RootCoord, Role::DataCoord, Role::QueryCoord, Role::IndexCoord, Role::Proxy, Role::QueryNode]),
    ("d1", &[Role::DataNode, Role::QueryNode, Role::IndexNode]),
    ("d2", &[Role::DataNode, Role::QueryNode, Role::IndexNode]),
];

const CLUSTER: &[Place] = &[
    ("c1", &[Role::RootCoord, Role::QueryCoord]),
    ("c2", &[Role::DataCoord, Role::IndexCoord]),
    ("c3", &Role::COORDINATORS),
    ("d1", &[Role::DataNode]),
    ("d2", &[Role::DataNode]),
    ("i1", &[Role::IndexNode]),
    ("p1", &[Role::Proxy]),
    ("p2", &[Role::Proxy]),
    ("q1", &[Role::QueryNode]),
    ("q2", &[Role::QueryNode]),
];

impl Shape {
    /// The shape that a seed simulates in an ordinary run.
    pub fn of(seed: u64) -> Self {
        match seed % 8 {
            1 => Self::Three(Personality::Kafka),
            5 => Self::Three(Personality::Pulsar),
            2 | 7 => Self::Cluster(Personality::Kafka),
            4 => Self::Cluster(Personality::Pulsar),
            _ => Self::One,
        }
    }

    /// The shape that people call so.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "one" => Self::One,
            "three-kafka" => Self::Three(Personality::Kafka),
            "three-pulsar" => Self::Three(Personality::Pulsar),
            "cluster-kafka" => Self::Cluster(Personality::Kafka),
            "cluster-pulsar" => Self::Cluster(Personality::Pulsar),
            _ => return None,
        })
    }

    /// The processes.
    pub fn places(self) -> &'static [Place] {
        match self {
            Self::One => ONE,
            Self::Three(_) => THREE,
            Self::Cluster(_) => CLUSTER,
        }
    }

    /// The processes that run a role.
    pub fn with(self, role: Role) -> Vec<&'static str> {
        self.places().iter().filter(|(_, roles)| roles.contains(&role)).map(|(name, _)| *name).collect()
    }

    /// Those that run some coordinator.
    pub fn coordinators(self) -> Vec<&'static str> {
        let coordinates = |roles: &[Role]| RoleSet::of(roles.iter().copied()).coordinates();
        self.places().iter().filter(|(_, roles)| coordinates(roles)).map(|(name, _)| *name).collect()
    }

    /// How the log behaves.
    pub fn personality(self) -> Personality {
        match self {
            Self::One => Personality::Plain,
            Self::Three(personality) | Self::Cluster(personality) => personality,
        }
    }

    /// How many things go wrong at once.
    pub fn misfortunes(self) -> usize {
        match self {
            Self::One | Self::Three(_) => 1,
            Self::Cluster(_) => 2,
        }
    }
}
