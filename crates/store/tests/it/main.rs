//! Objects on every store, and files that are written, read back, damaged and fuzzed.

mod alloc;
mod cache;
mod damage;
mod deletes;
mod fuzz;
#[path = "../../../../tests/fuzzing.rs"]
mod fuzzing;
mod gateway;
mod golden;
mod manifests;
mod objects;
mod sample;
mod segments;
