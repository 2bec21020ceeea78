//! Bugs that the simulation plants to prove that it would find them. All off everywhere else; no configuration reaches them.

/// Which rules to break.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planted {
    /// `docs/design.md` rule 5: a coordinator's transaction isn't conditional on the leader's key.
    pub unfenced_commit: bool,
    /// `docs/protocol.md` §7: a compaction drops rows that a snapshot may still see.
    pub compaction_ignores_snapshots: bool,
    /// `docs/protocol.md` §8: a compaction takes away delete files that segments still need.
    pub early_delete_file: bool,
}
