//! Where reading begins (`docs/protocol.md` §4): a [`crate::ReaderState`] as of exactly its position, as an object.
//!
//! - [`ring`]: earlier states of a channel, so that a checkpoint at an older position has that position's table, number and shards.
//! - [`format`]: bytes (`docs/formats/checkpoint.md`).
//! - [`object`]: written under a new name for each attempt; the pointer to it is meta's, committed by the caller.

pub mod format;
pub mod object;
pub mod ring;

pub use object::{Pointer, load, write};
pub use ring::Ring;
