//! HNSW: a proximity graph in layers, walked from a far entry to the query's neighbourhood.
//!
//! The file holds adjacency only; vectors stay in their column and nodes of the lowest layer are numbered as it numbers
//! them. The lowest layer has room for twice `M` links per node, in records of whole cache lines; the nodes of the upper
//! layers are numbered apart, highest first, so that every upper layer is a prefix of one list.
//!
//! Start at `graph.rs` for the layout, `plan.rs` for how a filter is met, `walk.rs` for the walk, `build.rs` for construction.

mod build;
mod cursor;
mod graph;
mod plan;
mod repair;
mod search;
mod select;
mod table;
mod walk;

pub(crate) use build::{Shape, build, memory_bytes as build_memory_bytes};
pub(crate) use search::open;

/// The type's name in containers.
pub(crate) const NAME: &str = "HNSW";
