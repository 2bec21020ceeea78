//! Tests of the filter language from outside: text in, kept rows or an error's text out.
//!
//! `world` has the schemas and rows; `naive` is the reference that the random tests of `random` compare with.

mod errors;
mod fuzz;
#[path = "../../../../tests/fuzzing.rs"]
mod fuzzing;
mod hostile;
mod language;
mod naive;
mod plans;
mod random;
mod speed;
mod world;
