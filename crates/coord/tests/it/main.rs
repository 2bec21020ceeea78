//! The coordinators over metadata and objects in memory, with nodes that do as they are told: what they do when something fails or is damaged.

mod compaction;
mod damage;
mod fixture;
mod leases;
mod nodes;
mod offices;
mod operations;
mod placement;
mod serving;
