//! Tests of the log's crate: conformance of every backend, then the protocol above them under faults.

mod logs;
mod model;
mod sequencer;
