//! The node crate from outside.

mod proxy;
mod serving;
