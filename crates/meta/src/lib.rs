//! The consistent little store: transactions, watches, leases, elections, and the typed catalog on top.
//!
//! Not here: what coordinators decide, objects, logs. Values are small; what grows with data lies in objects that meta points to.
//!
//! Start at [`store`] for the boundary, [`catalog`] for what Elanus keeps in it.

pub mod catalog;
pub mod store;
