//! Vector indexes: built from a column of vectors, written as one container, mapped and searched where it lies. Scalar ones are in [`scalar`].
//!
//! Not here: I/O, threads, clocks, segments, timestamps, and the vectors themselves. An index file refers to the vector
//! column of its segment and holds only what was derived from it; both are handed in. Everything is a plain function over
//! bytes and slices; a build runs on the pool that it is given.
//!
//! Invariants:
//! - Smaller distances are nearer, for every metric ([`space`] turns scores).
//! - A filter's set bit admits a row. Results are never short: fewer than k hits mean that fewer rows match.
//! - The same column, parameters and seed give the same container, on any number of threads.
//! - A file's bytes are hostile: whatever they are, opening and searching neither panics nor allocates more than the file's
//!   own size suggests.
//!
//! Start at [`search::VectorIndex`] for what an index answers, [`build::build`] and [`registry::open`] for where one comes
//! from, [`params`] for what clients may ask, [`flat`] for columns without an index.

pub mod any;
mod auto;
pub mod build;
pub mod file;
pub mod flat;
pub mod fuzz;
mod hnsw;
mod ivf;
mod opened;
pub mod params;
pub mod registry;
pub mod scalar;
mod scan;
mod scorer;
pub mod scratch;
pub mod search;
pub mod space;
mod sparse;
pub mod vectors;

pub use build::{BuildContext, Progress};
pub use fuzz::fuzz_open;
pub use scratch::Scratch;
pub use search::{Cursor, Description, Hit, SearchOptions, SearchStats, Strategy, VectorIndex};
pub use space::{Range, Space};
pub use sparse::SparseVectors;
pub use vectors::{Dense, Element, VectorRows, Vectors};
