//! One trait per role, in domain types: how proxy, coordinators and nodes speak to each other.
//!
//! In one process a call is a function call on shared memory; across processes `net` carries it over gRPC. A caller holds an
//! `Arc<dyn …>` and can't tell. Not here: what the roles do (`coord`, `node`), and what clients say (`node::proxy`).
//!
//! Invariants: every call has a deadline; requests that change something are idempotent, so that a caller may repeat one whose answer was lost;
//! errors are `types::Error`, the same on both sides of a wire.
//!
//! Start at [`root`] for names, [`data`] for the way of a write, [`query`] for that of a read.

pub mod call;
pub mod data;
pub mod index;
pub mod net;
pub mod peers;
pub mod proxy;
pub mod query;
pub mod root;

pub use call::Call;
