//! The server as a library: what the binary runs, and what tests and simulations put together in other ways.
//!
//! Wiring only: what roles do is in `coord` and `node`. Start at [`wiring`] for how roles are made from storage and settings,
//! [`process`] for the order in which a process starts its own, [`serving`] for the server around it.

pub mod admin;
pub mod cli;
pub mod internal;
pub mod memory;
mod observe;
mod oversize;
#[doc(hidden)]
pub mod planted;
mod port;
pub mod process;
mod reload;
mod rest;
pub mod roles;
mod sample;
pub mod serving;
mod status;
pub mod storage;
pub mod wiring;
