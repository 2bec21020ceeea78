//! One shard's truth: growing and sealed rows, deletes, visibility at a timestamp, search and query.
//!
//! Pure but for shared memory: no I/O, no clock, no runtime. Records come from `wal::reader`, files are opened by the caller through
//! `store`, work runs on the `base::cpu` pool that it is given.
//!
//! Invariants: same log, same state; a [`Version`] with a timestamp at or below its clock shows the same rows for ever; a row is
//! in growing or in a segment, never in both of one version; results are never short: where a segment can't be read ([`gap`]), a read that
//! would need it is an error that names it.
//!
//! Start at [`shard`].

pub mod compact;
mod conform;
pub mod control;
mod filter;
pub mod gap;
pub mod growing;
mod indexed;
pub mod part;
pub mod query;
pub mod sealed;
pub mod search;
pub mod shard;

pub use control::ControlState;
pub use gap::Gap;
pub use part::Place;
pub use sealed::{Sealed, SealedIndex};
pub use shard::{Base, FlushSet, Segments, Shard, Version};
