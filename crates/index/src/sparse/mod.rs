//! SPARSE_INVERTED_INDEX and SPARSE_WAND: for each index of the vectors the rows that have it, in windows of rows.
//!
//! Both names build the same file: they differ in Milvus in how lists are walked, and here they are walked one way. Rows are cut
//! into windows; each list is a block per window, with the greatest and least value in it. A search adds up products window by
//! window, the most promising first, and ends where no window that is left can hold a hit. What is skipped cannot be among the
//! hits, roundings included, so answers are those of comparing with every row, to the bit.
//!
//! The vectors themselves stay in their column and are asked where adding up all products isn't worth it.
//!
//! Start at `search.rs`; `build.rs` writes, `vectors.rs` is the column.

mod build;
mod search;
mod vectors;

pub(crate) use build::{build, memory_bytes as build_memory_bytes};
pub(crate) use search::{Memory, open};
pub(crate) use vectors::SparseVector;
pub use vectors::SparseVectors;

/// The type's name in containers.
pub(crate) const NAME: &str = "SPARSE_INVERTED_INDEX";
/// Rows of a window: their sums stay in the first-level cache.
const WINDOW: usize = 4_096;
/// Rows of a window, indices, blocks, postings.
const SHAPE_SECTION: &str = "shape";
const SHAPE_WORDS: usize = 4;
/// The indices that occur, ascending.
const TERMS_SECTION: &str = "terms";
/// Where the blocks of each index start, and the end of the last one.
const TERM_BLOCKS_SECTION: &str = "term_blocks";
/// The window of each block, ascending within an index.
const WINDOWS_SECTION: &str = "windows";
/// The greatest and the least value of each block, one after the other.
const BOUNDS_SECTION: &str = "bounds";
/// Where the postings of each block start, and the end of the last one.
const BLOCK_POSTINGS_SECTION: &str = "block_postings";
/// Of each posting the slot, counted from the start of its window.
const SLOTS_SECTION: &str = "slots";
/// Of each posting the value.
const VALUES_SECTION: &str = "values";
