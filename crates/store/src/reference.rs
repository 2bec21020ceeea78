//! How one file names another: name, length and checksum, so that what is read back is what was written, or an error.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use types::{Error, Result};

/// An object as manifests and meta refer to it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Below the store's root.
    pub name: String,
    /// Bytes.
    pub length: u64,
    /// CRC-32C of all bytes.
    pub checksum: u32,
}

impl ObjectRef {
    /// The reference to an object that is `bytes`.
    pub fn of(name: impl Into<String>, bytes: &[u8]) -> Self {
        Self { name: name.into(), length: bytes.len() as u64, checksum: crc32c::crc32c(bytes) }
    }

    /// Passes `bytes` on if they are those referred to.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`, naming the object and what differs.
    pub fn verify(&self, bytes: Bytes) -> Result<Bytes> {
        self.check_length(bytes.len() as u64)?;
        let checksum = crc32c::crc32c(&bytes);
        if checksum != self.checksum {
            return Err(Error::corrupt(format!("{}: its checksum is {checksum:08x} instead of {:08x}", self.name, self.checksum)));
        }
        Ok(bytes)
    }

    /// The cheap half of [`Self::verify`].
    ///
    /// # Errors
    /// `DATA_INTEGRITY`.
    pub fn check_length(&self, length: u64) -> Result<()> {
        if length == self.length {
            return Ok(());
        }
        Err(Error::corrupt(format!("{}: it has {length} bytes instead of {}", self.name, self.length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_bytes_pass() {
        let reference = ObjectRef::of("a/b", b"payload");
        assert!(reference.verify(Bytes::from_static(b"payload")).is_ok());
        let damaged = reference.verify(Bytes::from_static(b"paXload")).expect_err("another byte");
        assert!(damaged.reason().starts_with("a/b: its checksum is"), "{damaged}");
        let short = reference.verify(Bytes::from_static(b"payloa")).expect_err("a byte less");
        assert_eq!(short.reason(), "a/b: it has 6 bytes instead of 7: data integrity check failed");
    }
}
