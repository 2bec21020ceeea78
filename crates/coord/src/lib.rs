//! The control plane: root, data, index and query coordinators over one catalog, each led by whoever holds its office.
//!
//! Each coordinator plans (a pure function of what is there), commits (one fenced transaction) and acts (calls that may be repeated).
//! What an operation has begun is an intent in the catalog, so that whoever leads next goes on with it ([`root::resume`]).
//!
//! Not here: data. No row and no log record passes through.
//!
//! Invariants: only [`data`] moves a manifest or a checkpoint; every commit carries the leader's fence; nothing is kept that can't be read again.
//!
//! Start at [`leaders`] for how they are reached, [`seat`] for when they are there, [`shared`] and [`context`] for what they have, then [`root`].

pub mod context;
pub mod data;
pub mod figures;
pub mod index;
pub mod leaders;
pub mod members;
#[doc(hidden)]
pub mod planted;
pub mod query;
mod reconcile;
pub mod root;
pub mod seat;
pub mod shared;
mod view;
