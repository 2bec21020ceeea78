//! Bugs that the simulation plants to prove that it would find them. All off everywhere else; no configuration reaches them.

/// Which rules to break. Each field names the section with the rule that it ignores.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planted {
    /// `docs/protocol.md` §3: readers take records of lower epochs.
    pub ignored_epoch: bool,
    /// `docs/protocol.md` §2: requests are answered when they are stamped.
    pub answer_before_durable: bool,
    /// `docs/protocol.md` §2: a sequencer starts with an empty writers' table.
    pub writers_lost_at_takeover: bool,
    /// `docs/protocol.md` §2: a refusal is kept in memory only.
    pub refusal_in_memory: bool,
    /// `docs/protocol.md` §2: a sequence above last + 1 is taken.
    pub gap_accepted: bool,
    /// `docs/protocol.md` §2: what is sent again keeps its timestamp.
    pub keeps_timestamps: bool,
    /// `docs/protocol.md` §2: a takeover goes on from its Epoch's clock, not from the greatest seen.
    pub clock_of_epoch_only: bool,
    /// `docs/protocol.md` §3: an unfinished set outlives a higher Epoch.
    pub set_outlives_epoch: bool,
    /// `docs/protocol.md` §6: an acknowledged position is believed without reading the gap below it.
    pub gap_unread: bool,
    /// `docs/protocol.md` §1: the applied clock moves with the first part of a set.
    pub clock_by_part: bool,
    /// `docs/protocol.md` §4: a checkpoint has the table and number of now under an older position.
    pub checkpoint_of_now: bool,
}
