//! Bytes at rest as pure code sees them: a length, and ranges that are mapped or read.
//!
//! Indexes and column readers take a [`Blob`] and so know nothing of files, caches or object storage. [`MemoryBlob`] is both
//! the test double and the form of a mapped file: `Bytes` can own a mapping.

use bytes::Bytes;

use crate::{Code, Error, Result};

/// An immutable run of bytes.
pub trait Blob: Send + Sync {
    /// Length in bytes.
    fn len(&self) -> u64;

    /// True where there is nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes `offset .. offset + length`: without a copy where the blob is mapped.
    ///
    /// # Errors
    /// A range outside of the blob, or a failed read.
    fn read(&self, offset: u64, length: usize) -> Result<Bytes>;

    /// A name for messages: the object's path.
    fn name(&self) -> &str;
}

/// A blob whose bytes are addressable: in memory or mapped.
#[derive(Clone, Debug)]
pub struct MemoryBlob {
    name: String,
    bytes: Bytes,
}

impl MemoryBlob {
    /// A blob over `bytes`, called `name` in messages.
    pub fn new(name: impl Into<String>, bytes: Bytes) -> Self {
        Self { name: name.into(), bytes }
    }
}

impl Blob for MemoryBlob {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&self, offset: u64, length: usize) -> Result<Bytes> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        match start.checked_add(length) {
            Some(end) if end <= self.bytes.len() => Ok(self.bytes.slice(start..end)),
            _ => Err(Error::new(
                Code::DATA_INTEGRITY,
                format!("{}: bytes {offset}+{length} are outside of its {} bytes", self.name, self.bytes.len()),
            )),
        }
    }

    fn name(&self) -> &str {
        &self.name
    }
}
