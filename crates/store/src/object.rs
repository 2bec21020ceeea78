//! The boundary: immutable objects under names. Local directory, memory, and S3 behind one trait.
//!
//! What every implementation promises, and `conformance` checks:
//! - a put is durable when answered; a reader sees a whole object or none;
//! - [`Store::put_if_absent`]: of concurrent creators of one name one wins; an error other than `Exists` means unknown: read it;
//! - listing is complete for objects whose put was answered before;
//! - nothing uses conditional overwrite: no object is ever written twice under one name (rule 3).
//!
//! Names are `/`-separated, relative to the store's root (`<rootPath>/elanus`), without `.`, `..` or empty parts.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use types::Error;

/// Objects under names.
#[async_trait]
pub trait Store: Send + Sync {
    /// What operators call it: `local`, `s3`, `memory`.
    fn kind(&self) -> &'static str;

    /// Writes an object; large ones in parts inside. The name must be new: attempts carry ids of their own.
    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), StoreError>;

    /// Writes an object unless the name is taken.
    async fn put_if_absent(&self, name: &str, bytes: Bytes) -> Result<(), StoreError>;

    /// The whole object.
    async fn get(&self, name: &str) -> Result<Bytes, StoreError>;

    /// A part of an object.
    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, StoreError>;

    /// Length and age.
    async fn head(&self, name: &str) -> Result<ObjectInfo, StoreError>;

    /// Every object whose name begins with `prefix` and a `/`, ascending by name.
    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError>;

    /// Removes an object; an absent one is no error.
    async fn delete(&self, name: &str) -> Result<(), StoreError>;

    /// The object mapped into memory where it lies, if the store can: only a local one can.
    async fn map(&self, name: &str) -> Result<Option<Bytes>, StoreError>;
}

/// What a listing knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectInfo {
    /// Relative to the store's root.
    pub name: String,
    /// Bytes.
    pub length: u64,
    /// Since the last write, by the store's clock.
    pub age: Duration,
}

/// How a store fails.
#[derive(Clone, PartialEq, Debug)]
pub enum StoreError {
    /// No such object: named, for rule 7.
    Missing(String),
    /// The name is taken.
    Exists(String),
    /// The object is shorter than the range asked for, or its bytes are damaged.
    Damaged(Error),
    /// Failed or can't be reached: the outcome of a put is unknown.
    Unavailable(Error),
    /// The store can't be used as it is (bucket, keys): says what to change.
    Misconfigured(Error),
}
