//! The world as the rest sees it: clock, randomness, tasks, disk, CPU pools, faults, metrics, configuration.
//!
//! No word of vectors, collections or logs here. Everything that touches time, chance, threads, files or sockets goes through a
//! [`World`], so that a whole cluster runs in one thread on simulated ones and repeats itself from a seed.
//!
//! Start at [`world`]; [`disk`] says what a crash may do to a file, [`config`] where a setting comes from.

pub mod clock;
pub mod config;
pub mod cpu;
pub mod disk;
pub mod fault;
pub mod log;
pub mod memory;
pub mod metrics;
pub mod random;
pub mod retry;
pub mod task;
pub mod watch;
pub mod world;

pub use world::World;
