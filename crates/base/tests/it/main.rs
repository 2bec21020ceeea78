//! What `base` promises, seen from outside: one module a part of the crate.

mod backends;
mod config;
mod disk;
mod fault;
mod live;
mod log;
mod metrics;
mod retry;
mod simulated_disk;
mod world;
