//! Bugs that the simulation plants to prove that it would find them. All off everywhere else; no configuration reaches them.

/// Which rules to break.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planted {
    /// In the log's own code.
    pub log: wal::planted::Planted,
    /// `docs/protocol.md` §4: the log is cut at its end instead of at the checkpoint.
    pub early_truncation: bool,
    /// `docs/design.md` §3: a flush writes rows and not the deletes beside them.
    pub flush_forgets_deletes: bool,
    /// `docs/design.md` rule 3: a flush names its files by what it flushes, so that two attempts share names.
    pub reused_name: bool,
    /// `docs/design.md` rule 4: a read at a timestamp sees what came after it.
    pub moving_snapshot: bool,
    /// `docs/protocol.md` §5: a sequencer without a lease says where the log ends, although another one may have gone on.
    pub barrier_without_lease: bool,
}
