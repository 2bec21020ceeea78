//! The server as a library: what the binary runs, and what tests and simulations put together in other ways.
//!
//! Wiring only: what roles do is in `coord` and `node`. Start at [`wiring`] for how roles are made from storage and settings,
//! then [`standalone`] for the order in which one process starts all of them.

mod admin;
pub mod cli;
mod internal;
pub mod memory;
mod observe;
mod port;
pub mod standalone;
pub mod storage;
pub mod wiring;
