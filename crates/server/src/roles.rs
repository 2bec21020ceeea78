//! Which roles a process runs, by Milvus's names.

use std::collections::BTreeSet;
use std::fmt;

/// A role.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// Names, schemas, ids.
    RootCoord,
    /// Shards and segments.
    DataCoord,
    /// Who serves what.
    QueryCoord,
    /// Which segment needs which index.
    IndexCoord,
    /// What clients speak to.
    Proxy,
    /// Sequences and flushes.
    DataNode,
    /// Answers reads.
    QueryNode,
    /// Builds indexes.
    IndexNode,
}

impl Role {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::RootCoord,
        Self::DataCoord,
        Self::QueryCoord,
        Self::IndexCoord,
        Self::Proxy,
        Self::DataNode,
        Self::QueryNode,
        Self::IndexNode,
    ];

    /// Those of which one leads and others stand by.
    pub const COORDINATORS: [Self; 4] = [Self::RootCoord, Self::DataCoord, Self::QueryCoord, Self::IndexCoord];

    /// On command lines, in metrics and sessions.
    pub fn name(self) -> &'static str {
        match self {
            Self::RootCoord => "rootcoord",
            Self::DataCoord => "datacoord",
            Self::QueryCoord => "querycoord",
            Self::IndexCoord => "indexcoord",
            Self::Proxy => "proxy",
            Self::DataNode => "datanode",
            Self::QueryNode => "querynode",
            Self::IndexNode => "indexnode",
        }
    }
}

/// The roles of one process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleSet(BTreeSet<Role>);

impl RoleSet {
    /// A standalone server.
    pub fn all() -> Self {
        Self(Role::ALL.into())
    }

    /// These.
    pub fn of(roles: impl IntoIterator<Item = Role>) -> Self {
        Self(roles.into_iter().collect())
    }

    /// Whether the process runs a role.
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Whether it is a whole cluster by itself.
    pub fn is_all(&self) -> bool {
        self.0.len() == Role::ALL.len()
    }

    /// Whether it runs some coordinator.
    pub fn coordinates(&self) -> bool {
        Role::COORDINATORS.iter().any(|role| self.has(*role))
    }

    /// Each, coordinators first.
    pub fn iter(&self) -> impl Iterator<Item = Role> + '_ {
        self.0.iter().copied()
    }

    /// Their names.
    pub fn names(&self) -> Vec<String> {
        self.iter().map(|role| role.name().to_owned()).collect()
    }
}

/// As operators call such a process.
impl fmt::Display for RoleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mixcoord = Self::of(Role::COORDINATORS);
        match self {
            all if all.is_all() => f.write_str("standalone"),
            some if *some == mixcoord => f.write_str("mixcoord"),
            some => f.write_str(&some.names().join("-")),
        }
    }
}
