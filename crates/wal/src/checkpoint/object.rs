//! A checkpoint as an object: a new name for each attempt, and a pointer that meta keeps.

use base::World;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use store::name::{self, AttemptId};
use store::object::{Store, StoreError};
use types::id::ChannelName;
use types::{Error, Result};

use super::format;
use crate::reader::ReaderState;

/// What meta keeps of a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pointer {
    /// `checkpoint/<pchannel>/<attempt>`.
    pub name: String,
    /// Bytes.
    pub length: u64,
    /// crc32c of all of them.
    pub checksum: u32,
}

/// Writes `state` under a new name. It counts when the caller has committed the pointer; until then it is an orphan.
///
/// # Errors
/// `IO_FAILED` or what the store says; try again: the name will be another.
pub async fn write(world: &World, store: &dyn Store, channel: &ChannelName, state: &ReaderState) -> Result<Pointer> {
    let bytes = format::encode(state);
    let name = name::checkpoint(channel, AttemptId::draw(&world.random));
    let pointer = Pointer { name, length: bytes.len() as u64, checksum: crc32c::crc32c(&bytes) };
    store.put(&pointer.name, bytes).await.map_err(|error| to_error(&pointer.name, error))?;
    Ok(pointer)
}

/// Reads the checkpoint that meta points to.
///
/// # Errors
/// `DATA_INTEGRITY` if it isn't what the pointer says; the store's failures.
pub async fn load(store: &dyn Store, pointer: &Pointer) -> Result<ReaderState> {
    let bytes: Bytes = store.get(&pointer.name).await.map_err(|error| to_error(&pointer.name, error))?;
    if bytes.len() as u64 != pointer.length || crc32c::crc32c(&bytes) != pointer.checksum {
        return Err(Error::corrupt(format!("{} isn't the checkpoint that was committed", pointer.name)));
    }
    format::decode(&bytes).map_err(|error| error.context(&pointer.name))
}

fn to_error(name: &str, error: StoreError) -> Error {
    match error {
        StoreError::Missing(name) => Error::corrupt(format!("checkpoint {name} isn't there")),
        StoreError::Exists(name) => Error::internal(format!("checkpoint {name} was written before")),
        StoreError::Damaged(error) | StoreError::Unavailable(error) | StoreError::Misconfigured(error) => error.context(name),
    }
}
