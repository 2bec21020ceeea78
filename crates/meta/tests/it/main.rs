//! The stores behind `Meta` under the same suite, and what stands on them.

mod etcd;
mod memory;
mod redb;
