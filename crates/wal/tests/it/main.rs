//! Tests of the log's crate: conformance of every backend, then the protocol above them under faults.

mod crash;
mod disk;
mod embedded;
mod fuzz;
#[path = "../../../../tests/fuzzing.rs"]
mod fuzzing;
mod kafka;
mod logs;
mod model;
mod sequencer;
