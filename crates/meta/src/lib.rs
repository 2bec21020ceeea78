//! The consistent little store: transactions, watches, leases, elections, and the typed catalog on top.
//!
//! Start at [`store`] for the boundary.

pub mod store;
