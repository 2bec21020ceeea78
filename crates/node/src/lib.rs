//! The data plane: what clients speak to, and the workers behind it.
//!
//! Start at [`proxy`] for the surface, [`data`] for the way of a write, [`query`] for that of a read.

pub mod admission;
mod care;
pub mod channel;
pub mod channels;
pub mod condemned;
pub mod data;
pub mod follow;
pub mod index;
mod mileage;
pub mod opener;
#[doc(hidden)]
pub mod planted;
pub mod proxy;
pub mod quarantined;
pub mod query;
pub mod refresh;
