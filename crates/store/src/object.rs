//! The boundary: immutable objects under names. Local directory, memory, and S3 behind one trait.
//!
//! What every implementation promises, and `conformance` checks:
//! - a put is durable when answered; a reader sees a whole object or none;
//! - [`Store::put_if_absent`]: of concurrent creators of one name one wins; an error other than `Exists` means unknown: read it;
//! - listing is complete for objects whose put was answered before;
//! - nothing uses conditional overwrite: no object is ever written twice under one name (`docs/design.md` rule 3).
//!
//! Names are `/`-separated, relative to the store's root (`<rootPath>/elanus`); [`check_name`] says what else they may not be. No name
//! is another's beginning up to a `/`: a local directory can't hold both.
//!
//! Implementations: [`memory`], [`local`], [`s3`]; [`decorate`] wraps one in faults, latency or counters.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use types::Error;

pub mod conformance;
pub mod decorate;
pub mod local;
pub mod memory;
pub mod s3;

/// Bytes of a name; S3 allows 1,024 with the root before it.
pub const NAME_BYTES_MAX: usize = 768;
/// Bytes of one part of a name: what file systems allow.
pub const NAME_PART_BYTES_MAX: usize = 255;

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

    /// The object mapped into memory where it lies, if the store can: a local one and one in memory can.
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
    /// No such object: named, for `docs/design.md` rule 7.
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

impl StoreError {
    /// The error as other roles and clients see it.
    pub fn into_error(self) -> Error {
        match self {
            Self::Missing(name) => Error::corrupt(format!("object {name} is missing")),
            Self::Exists(name) => Error::internal(format!("the name {name} is used twice")),
            Self::Damaged(error) | Self::Unavailable(error) | Self::Misconfigured(error) => error,
        }
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "object {name} is missing"),
            Self::Exists(name) => write!(f, "object {name} is there already"),
            Self::Damaged(error) | Self::Unavailable(error) | Self::Misconfigured(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        error.into_error()
    }
}

/// Whether a name can be one in every store.
///
/// # Errors
/// [`StoreError::Misconfigured`], saying what is wrong: names come from our ids and from the operator's prefixes.
pub fn check_name(name: &str) -> Result<(), StoreError> {
    let wrong = |what: &str| Err(StoreError::Misconfigured(Error::invalid(format!("object name {name:?} {what}"))));
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return wrong("is empty or too long");
    }
    if name.chars().any(|c| c.is_control() || c == '\\') {
        return wrong("has a control character or a backslash");
    }
    if name.split('/').any(|part| matches!(part, "" | "." | "..") || part.len() > NAME_PART_BYTES_MAX) {
        return wrong("has an empty, relative or too long part");
    }
    // The local store keeps its unfinished files there.
    if name.starts_with('.') {
        return wrong("begins with a dot");
    }
    Ok(())
}

/// A prefix is a name, or nothing: everything.
fn check_prefix(prefix: &str) -> Result<(), StoreError> {
    if prefix.is_empty() { Ok(()) } else { check_name(prefix) }
}

/// The error of a range that ends beyond an object's end.
fn beyond_the_end(name: &str, range: &Range<u64>, length: u64) -> StoreError {
    StoreError::Damaged(Error::corrupt(format!("{name}: bytes {}..{} are outside of its {length}", range.start, range.end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_store_could_hold_are_refused() {
        for name in ["a", "a/b", "a.b/..c", "a b/%41?#*", "漢字/ü"] {
            check_name(name).expect(name);
        }
        let long = ["x"; 400].join("/");
        let part = "x".repeat(256);
        for name in ["", "/", "/a", "a/", "a//b", "a/./b", "..", "a/..", "a\nb", "a\\b", ".partial/a", &long, &part] {
            assert!(matches!(check_name(name), Err(StoreError::Misconfigured(_))), "{name}");
        }
    }
}
