//! The ordered log per channel: a backend trait that appends and reads opaque frames, and once above it the protocol of `docs/protocol.md`.
//!
//! Not here: what a record does to rows (`segment`), who may sequence which channel (`coord`), where the pointer to a checkpoint lives (`meta`).
//!
//! Invariants: whether a record is valid is decided by [`reader::ReaderState`] alone, for readers and sequencers alike; nothing is answered
//! before that state has taken the record from a position that the log acknowledged or that was read back.
//!
//! Start at [`log`] for the boundary, then [`reader`] (what counts) and [`writer`] (who writes); [`checkpoint`] is where reading begins.

pub mod aligned;
pub mod checkpoint;
pub mod conformance;
pub mod embedded;
pub mod fault;
pub mod kafka;
pub mod log;
pub mod memory;
pub mod metered;
pub mod planted;
pub mod reader;
pub mod writer;

pub use log::{Appender, Bounds, Log, LogError, Reader};
pub use reader::{Event, ReadError, ReaderState, Receipt, Span, Tailer};
pub use writer::{Apply, Sequencer, WriteError, WriteRequest};
