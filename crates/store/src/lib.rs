//! Bytes at rest: objects under names, and the files that shards are made of.
//!
//! Start at [`object`] for the boundary.

pub mod object;
