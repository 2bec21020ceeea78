//! Bugs that the simulation plants to prove that it would find them. All off everywhere else; no configuration reaches them.

/// Which rules to break.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planted {
    /// `docs/design.md` rule 5: a coordinator's transaction isn't conditional on the leader's key.
    pub unfenced_commit: bool,
}
