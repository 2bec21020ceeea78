//! Arithmetic over plain slices: distances between vectors of `f32`, 16-bit floats, `i8` and bits, bit sets as `u64`
//! words, nearest-neighbour lists, and a prefetch hint.
//!
//! It is not an index and knows no metric names, rows, segments or files; crate `index` gives those meaning.
//!
//! Invariants:
//! - This is the only crate with SIMD, and SIMD is the only reason for its `unsafe`. Everything public is safe:
//!   lengths are asserted where a slice enters.
//! - An instruction set is chosen once, by taking a [`Kernels`] table; inner loops never test the CPU.
//! - Within one table all forms of a distance (one row, four rows, block, gather) give the same bits for the same
//!   pair, so a distance found by a graph, a scan and a re-ranking can be compared for equality.
//! - Between tables, floats agree within rounding (see `tests/it/distance.rs`) and bits agree exactly.
//!
//! Start at [`Kernels`], then [`Distance`] and [`Neighbor`].

#[cfg(target_arch = "aarch64")]
mod arm;
mod beam;
pub mod bits;
mod distance;
mod element;
mod neighbor;
mod prefetch;
mod scalar;
mod table;
mod top;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use beam::{Beam, HeapBeam, SORTED_BEAM_MAX, SortedBeam};
pub use bits::Bits;
pub use distance::{BitMeasures, Codes, Distance, Measures, inverse_norm};
pub use element::{Bf16, F16};
pub use neighbor::Neighbor;
pub use prefetch::prefetch;
pub use table::{Kernels, Level, Number};
pub use top::TopK;
