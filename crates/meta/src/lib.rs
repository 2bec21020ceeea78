//! The consistent little store: transactions, watches, leases, elections, and the typed catalog on top.
//!
//! Not here: what coordinators decide, objects, logs. Values are small; what grows with data lies in objects that meta points to.
//!
//! - The boundary is [`store::Meta`]; [`memory`], [`redb`] and [`etcd`] are behind it, [`conformance`] is what all three pass, and [`fault`],
//!   [`latency`] and [`metered`] wrap any of them.
//! - On it stand [`election`] (leaders and their fence), [`session`] (which processes are there), [`sequence`] (numbers that are given
//!   once), [`mirror`] (a live copy of a kind of documents) and [`catalog`] (what Elanus keeps).
//!
//! Start at [`store`], then [`catalog`].

pub mod catalog;
mod change_log;
pub mod conformance;
pub mod election;
pub mod etcd;
pub mod fault;
mod keeper;
pub mod latency;
mod lease;
pub mod memory;
pub mod metered;
pub mod mirror;
pub mod redb;
pub mod sequence;
pub mod session;
pub mod store;
