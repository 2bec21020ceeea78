//! Every table against the scalar one, at every length and at every alignment.

mod bits;
mod distance;
