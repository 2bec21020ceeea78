//! A shard against a naive model: random records, flushes, adoptions and replays; every read at every timestamp must agree.

mod model;
mod shard;
