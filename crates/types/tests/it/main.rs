//! Encodings against their pages in docs/formats, read by offsets as the pages give them.

mod formats;
mod fuzz;
#[path = "../../../../tests/fuzzing.rs"]
mod fuzzing;
