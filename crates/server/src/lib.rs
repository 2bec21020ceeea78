//! The server as a library: what the binary runs, and what tests and simulations put together in other ways.
//!
//! Wiring only: what roles do is in `coord` and `node`. Start at [`wiring`] for how roles are made from storage and settings,
//! [`process`] for the order in which one process starts all of them, [`standalone`] for the server around it.

mod admin;
pub mod cli;
pub mod internal;
pub mod memory;
mod observe;
mod oversize;
mod port;
pub mod process;
mod reload;
mod sample;
pub mod standalone;
pub mod storage;
pub mod wiring;
