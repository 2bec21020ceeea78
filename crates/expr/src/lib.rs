//! The filter language: text to a typed plan, a plan to the rows it keeps.
//!
//! [`Plan::compile`] reads the text that clients send, with Milvus's grammar, types and error texts; [`Plan::evaluate`] and its kin test
//! rows of columns, three-valued (null is unknown, and only what is true is kept). Proxies compile, nodes evaluate, role calls carry plans.
//!
//! Not here: I/O, tasks, clocks; which rows are visible; indexes (they read [`Plan::predicate`]).
//!
//! Invariants: no text makes it panic or overflow the stack, and everything it builds is bounded by [`TEXT_BYTES_MAX`] and [`NESTING_MAX`];
//! numbers compare by value, integers with floats exactly; texts compare bytewise; a plan reads back equal from its stored form.
//!
//! Start at [`plan`] for what callers see, `parse` and `check` for the way in, [`predicate`] for what a plan is made of, `eval` for the
//! way out.

mod arithmetic;
mod array;
mod check;
mod columns;
mod eval;
mod fold;
mod fuzz;
mod json;
mod lex;
mod like;
mod literal;
mod normal;
mod number;
mod parse;
mod path;
pub mod plan;
pub mod predicate;
mod regex;
mod set;
mod string;
mod syntax;
mod template;

pub use array::{ArrayCheck, Constants, Count, ScalarTest};
pub use columns::{ColumnView, Columns};
pub use eval::{BLOCK_ROWS, Scratch};
pub use fuzz::fuzz;
pub use like::Like;
pub use literal::Literal;
pub use number::{CompareOp, Floats, Integers, Number};
pub use parse::TEXT_BYTES_MAX;
pub use path::{JsonPath, Step};
pub use plan::{MissingJson, NamedKeys, Options, Plan};
pub use predicate::{Condition, Predicate, Test};
pub use regex::Regex;
pub use set::{FloatSet, IntegerSet, TextSet};
pub use syntax::NESTING_MAX;
pub use template::{TemplateValue, Templates};
