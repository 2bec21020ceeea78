//! Bytes at rest: objects under names, and the files that shards are made of.
//!
//! Objects live behind one trait ([`object::Store`]): memory, a local directory, S3. The files in them are immutable, named once
//! ([`name`]) and known by name, length and checksum ([`reference::ObjectRef`]): a shard's [`manifest`], its segments' files
//! ([`segment_file`]), its deletes ([`delete_file`]). Nodes whose store is elsewhere keep files in a bounded [`cache`] on disk;
//! either way a file is mapped and read as a [`types::blob::Blob`] ([`source`]).
//!
//! Not here: what rows mean (`segment`), which files a shard needs (`coord`), index containers (`index`), the log (`wal`).
//!
//! Invariants: a file is never changed, and its name never used again; every reader treats bytes as hostile (an error names file and
//! offset, never a panic, never an allocation that the file's own length doesn't bound); only this crate names arrow, parquet and
//! object_store; only [`mmap`] has `unsafe`.
//!
//! Start at [`object`] for the boundary, [`manifest`] for what a shard is made of, [`segment_file`] for rows. Bytes are described in
//! `docs/formats/`.

pub mod cache;
mod container;
pub mod delete_file;
mod filter;
mod frame;
pub mod fuzz;
pub mod manifest;
mod mmap;
pub mod name;
pub mod object;
pub mod quarantine_file;
pub mod reference;
pub mod segment_file;
mod sorted_keys;
pub mod source;
mod wire;
