//! The stores behind `Meta` under the same suite, and what stands on them.

mod catalog;
mod decorators;
mod etcd;
mod fuzz;
#[path = "../../../../tests/fuzzing.rs"]
mod fuzzing;
mod golden;
mod leaders;
mod memory;
mod redb;
mod relay;
mod sequences;
mod staged;
