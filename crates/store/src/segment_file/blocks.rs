//! Checksums of a file's blocks: a small part is checked when it is read, the mapped bulk by a scrub, and damage has an offset.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use types::blob::Blob;
use types::{Error, Result};

/// Bytes of one block; the last is shorter.
pub(crate) const BLOCK_BYTES: usize = 64 << 10;

/// The checksums of `bytes`, block by block.
pub(crate) fn checksums(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks(BLOCK_BYTES).map(crc32c::crc32c).collect()
}

/// A file of a segment with the checksums that its statistics hold.
pub(crate) struct CheckedFile {
    blob: Arc<dyn Blob>,
    checksums: Vec<u32>,
    /// Blocks that were compared since open, one bit each. Only saves work: bits may be lost to a race.
    compared: Vec<AtomicU64>,
}

impl CheckedFile {
    /// `blob` must have the length and number of blocks that the checksums are of.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`.
    pub fn new(blob: Arc<dyn Blob>, length: u64, checksums: Vec<u32>) -> Result<Self> {
        if blob.len() != length || length.div_ceil(BLOCK_BYTES as u64) != checksums.len() as u64 {
            let (name, blocks) = (blob.name(), checksums.len());
            return Err(Error::corrupt(format!("{name}: it has {} bytes; its segment says {length} in {blocks} blocks", blob.len())));
        }
        let compared = (0..checksums.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { blob, checksums, compared })
    }

    pub fn name(&self) -> &str {
        self.blob.name()
    }

    pub fn len(&self) -> u64 {
        self.blob.len()
    }

    /// An error about the file.
    pub fn wrong(&self, what: impl std::fmt::Display) -> Error {
        Error::corrupt(format!("{}: {what}", self.name()))
    }

    /// A range as it is: mapped bulk, which the scrub checks.
    pub fn read(&self, offset: u64, length: u64) -> Result<Bytes> {
        self.bound(offset, length)?;
        self.blob.read(offset, length as usize)
    }

    /// A range whose blocks have the right checksums.
    pub fn read_checked(&self, offset: u64, length: u64) -> Result<Bytes> {
        self.bound(offset, length)?;
        if length > 0 {
            let (first, last) = (offset / BLOCK_BYTES as u64, (offset + length - 1) / BLOCK_BYTES as u64);
            for block in first as usize..=last as usize {
                self.check_once(block)?;
            }
        }
        self.blob.read(offset, length as usize)
    }

    fn bound(&self, offset: u64, length: u64) -> Result<()> {
        match offset.checked_add(length) {
            Some(end) if end <= self.len() => Ok(()),
            _ => Err(self.wrong(format!("bytes {offset}+{length} are outside of its {}", self.len()))),
        }
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> usize {
        self.checksums.len()
    }

    /// Compares one block with its checksum; its bytes.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`, naming file and offset.
    pub fn check(&self, block: usize) -> Result<u64> {
        let offset = (block * BLOCK_BYTES) as u64;
        let length = (self.len() - offset).min(BLOCK_BYTES as u64);
        let bytes = self.blob.read(offset, length as usize)?;
        if crc32c::crc32c(&bytes) != self.checksums[block] {
            return Err(self.wrong(format!("bytes {offset}+{length} have another checksum")));
        }
        self.compared[block / 64].fetch_or(1 << (block % 64), Ordering::Relaxed);
        Ok(length)
    }

    fn check_once(&self, block: usize) -> Result<()> {
        if self.compared[block / 64].load(Ordering::Relaxed) >> (block % 64) & 1 == 1 {
            return Ok(());
        }
        self.check(block).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use types::blob::MemoryBlob;

    use super::*;

    #[test]
    fn damage_is_found_where_it_is_and_only_there() {
        let mut bytes = vec![7u8; 3 * BLOCK_BYTES + 5];
        let sums = checksums(&bytes);
        bytes[2 * BLOCK_BYTES + 1] ^= 1;
        let length = bytes.len() as u64;
        let file = CheckedFile::new(Arc::new(MemoryBlob::new("f", bytes.into())), length, sums.clone()).expect("the length is right");
        let at = BLOCK_BYTES as u64;
        assert!(file.read_checked(0, 2 * at).is_ok());
        assert!(file.read_checked(3 * at, 5).is_ok());
        assert!(file.read(2 * at, 9).is_ok());
        let error = file.read_checked(2 * at - 1, 2).expect_err("the damaged block");
        assert_eq!(error.reason(), "f: bytes 131072+65536 have another checksum: data integrity check failed");
        assert!(file.read_checked(3 * at, 6).is_err() && file.read(u64::MAX, 2).is_err());
        assert!(CheckedFile::new(Arc::new(MemoryBlob::new("f", Bytes::new())), 1, sums).is_err());
    }
}
