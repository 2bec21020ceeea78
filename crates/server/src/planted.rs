//! Bugs that the simulation plants to prove that it would find them. All off everywhere else; no configuration reaches them.

/// Which rules a process breaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planted {
    /// Its workers.
    pub node: node::planted::Planted,
    /// Its coordinators.
    pub coord: coord::planted::Planted,
}
