//! The vocabulary of Elanus: schema, columnar batches, log records, ids, hybrid timestamps, positions and the one error type.
//!
//! Not here: I/O, clocks, tasks, protobuf, arrow. Everything is a plain value or a pure function over one.
//!
//! Invariants: a [`batch::Batch`] always agrees with itself (every column has its row count); a decoded value came from
//! bytes whose checksum matched; a [`position::Position`] is compared only with positions of the same log.
//!
//! Start at [`schema`] for what a collection is, [`batch`] for rows, [`record`] for what the log holds, [`error`] for how things fail.

pub mod batch;
pub mod bitset;
pub mod blob;
pub mod buffer;
pub mod collection;
pub mod column;
pub mod delete;
pub mod error;
pub mod id;
pub mod index_params;
pub mod limits;
pub mod position;
pub mod record;
pub mod schema;
pub mod time;
pub mod value;

pub use error::{Code, Error, Result};
