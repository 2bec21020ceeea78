//! Writing a channel: the sequencer of `docs/protocol.md` §2, once for all kinds of log.
//!
//! - [`request`]: what is asked and answered.
//! - [`admission`]: what is refused as stale, judged by everything stamped.
//! - [`state`]: the rules as a pure state machine: requests, frames and acknowledgements in; frames to append, records to apply, answers out.
//! - [`driver`]: the task that runs it over a [`crate::Log`]: one append in flight, the next group gathers meanwhile.

pub mod admission;
pub mod driver;
mod held;
pub mod request;
pub mod state;
mod unit;

pub use admission::{Admission, StampedShards};
pub use driver::{Apply, Reply, Sequencer, SequencerOptions, Status};
pub use request::{Payload, WriteError, WriteRequest};
pub use state::{Effect, Phase, SequencerState, Stopped, Token};
