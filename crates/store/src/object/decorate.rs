//! Stores around stores: faults for simulations, latency for experiments, counters for operators.

mod fault;
mod latency;
mod metered;

pub use fault::FaultStore;
pub use latency::{Latency, LatencyStore};
pub use metered::MeteredStore;
