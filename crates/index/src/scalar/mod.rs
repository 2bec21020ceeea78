//! Scalar indexes: the rows of each distinct value of a column, written as one container and asked where it lies.
//!
//! One structure serves INVERTED, STL_SORT, TRIE and BITMAP: values in ascending order, each with its rows, as a list or, where there are few
//! values, as a bitmap. A range of values is then a run of lists. Not here: the filter language (who has a filter turns its conditions into
//! [`Question`]s), null logic (an answer has the rows for which a condition is true; [`ScalarIndex::present`] tells those that have a
//! value, so that "false" is present and not true).
//!
//! Invariants: answers are exact, those of a scan of the column; the same column gives the same container; a damaged file gives wrong rows
//! but never a panic, nor rows beyond the segment.
//!
//! Start at [`ScalarIndex`], [`build()`] and [`open`].

mod build;
mod kind;
mod opened;

use std::ops::Bound;
use std::sync::Arc;

use types::bitset::Bitset;

pub use build::build;
pub use kind::ScalarKind;
pub use opened::open;

/// Distinct values of a column whose rows are kept as bitmaps: more take more room than lists.
pub const BITMAP_VALUES_MAX: usize = 500;

/// Which values are asked for. A question of another type than the column's has no answer.
pub enum Question<'a> {
    /// Integers from, to, both included; a Bool is 0 or 1.
    Integers(i128, i128),
    /// These integers.
    IntegerSet(&'a [i64]),
    /// Floats from, to, both included.
    Floats(f64, f64),
    /// These floats.
    FloatSet(&'a [f64]),
    /// Texts from, to, in order of their bytes.
    Texts(Bound<&'a [u8]>, Bound<&'a [u8]>),
    /// These texts.
    TextSet(&'a [Arc<str>]),
    /// Texts that begin with `prefix` and pass a test, which is asked once for each distinct text.
    TextTest {
        /// May be empty.
        prefix: &'a [u8],
        /// Whether a text is wanted.
        test: &'a dyn Fn(&[u8]) -> bool,
    },
}

/// A scalar index over the rows of one segment.
pub trait ScalarIndex: Send + Sync {
    /// Rows of the segment.
    fn rows(&self) -> usize;

    /// The rows that have a value; `None` where all have.
    fn present(&self) -> Option<&Bitset>;

    /// Distinct values.
    fn values(&self) -> usize;

    /// How many entries an answer would read, without reading them: rows, or for an array elements; at least the number of rows of the answer.
    /// `None` where the question has no answer here, or where only the values themselves could tell.
    fn estimate(&self, question: &Question<'_>) -> Option<usize>;

    /// The rows whose value is asked for; of an array column those with such an element. `None` where the index can't tell.
    fn answer(&self, question: &Question<'_>) -> Option<Bitset>;
}

/// An integer with the order of a float: -0.0 and 0.0 are one, NaN has none.
fn float_key(value: f64) -> Option<i64> {
    if value.is_nan() {
        return None;
    }
    // -0.0 + 0.0 is 0.0. Of negative floats all bits but the sign are turned over, since they grow with the magnitude.
    let bits = (value + 0.0).to_bits() as i64;
    Some(bits ^ ((bits >> 63) as u64 >> 1) as i64)
}
