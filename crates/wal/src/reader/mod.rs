//! Reading a channel: which frames count, what they add up to, and a task that follows the log.
//!
//! - [`state`]: the rules of `docs/protocol.md` §3 as a pure state machine over headers; the sequencer uses the same one.
//! - [`writers`], [`shards`]: what replay rebuilds for the sequencer: answers per writer, state per shard.
//! - [`assemble`]: frames to whole decoded records.
//! - [`tailer`]: the rules over a [`crate::Log`], with cuts, missing numbers and waits.

pub mod assemble;
pub mod shards;
pub mod state;
pub mod tailer;
pub mod writers;

pub use assemble::{Event, RecordReader, Span};
pub use shards::{ShardState, ShardStates};
pub use state::{ReadError, ReaderState, Receipt, Step, Void};
pub use tailer::{Acknowledged, Surroundings, TailError, Tailer};
pub use writers::{Answer, Writers};
