//! The frame around every file format of our own: magic, version, length and two checksums, 24 bytes before the body.
//!
//! ```text
//! 0   magic          4 bytes
//! 4   version        u32   these two never move, so that any reader can name what it can't read
//! 8   body length    u64
//! 16  body crc32c    u32
//! 20  header crc32c  u32   of bytes 0..20
//! 24  body
//! ```
//! All numbers are little-endian. What follows the body (sections, of formats that have some) isn't the frame's.

use bytes::{BufMut, Bytes, BytesMut};
use types::blob::Blob;
use types::{Error, Result};

/// Bytes before the body.
pub(crate) const HEADER_BYTES: usize = 24;

/// A format: its magic, the newest version that this program writes, the oldest that it reads, and the largest body.
#[derive(Clone, Copy)]
pub(crate) struct Format {
    /// What operators call it: `manifest`.
    pub name: &'static str,
    pub magic: [u8; 4],
    pub newest: u32,
    pub oldest: u32,
    pub body_bytes_max: u64,
}

impl Format {
    /// `body` in its frame, in the newest version.
    pub fn encode(&self, body: &[u8]) -> BytesMut {
        assert!(body.len() as u64 <= self.body_bytes_max, "the body of a {} is bounded before it is framed", self.name);
        let mut out = BytesMut::with_capacity(HEADER_BYTES + body.len());
        out.put_slice(&self.magic);
        out.put_u32_le(self.newest);
        out.put_u64_le(body.len() as u64);
        out.put_u32_le(crc32c::crc32c(body));
        out.put_u32_le(crc32c::crc32c(&out));
        out.put_slice(body);
        out
    }

    /// The version and body of the frame that `blob` begins with; checksums compared.
    ///
    /// # Errors
    /// `DATA_INTEGRITY`, naming the blob: another format, a version that is too new or too old, damage, an early end.
    pub fn read(&self, blob: &dyn Blob) -> Result<(u32, Bytes)> {
        let wrong = |what: String| Error::corrupt(format!("{}: {what}", blob.name()));
        if blob.len() < HEADER_BYTES as u64 {
            return Err(wrong(format!("a {} of {} bytes has no header", self.name, blob.len())));
        }
        let header = blob.read(0, HEADER_BYTES)?;
        let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        if header[..4] != self.magic {
            return Err(wrong(format!("this is no {}", self.name)));
        }
        let version = word(4);
        if version > self.newest {
            return Err(wrong(format!("a {} of version {version}; this program reads up to {}: upgrade it", self.name, self.newest)));
        }
        if crc32c::crc32c(&header[..20]) != word(20) {
            return Err(wrong(format!("the header of the {} has another checksum", self.name)));
        }
        if version < self.oldest {
            return Err(wrong(format!("a {} of version {version}; this program reads from {} on", self.name, self.oldest)));
        }
        let length = u64::from(word(8)) | u64::from(word(12)) << 32;
        if length > self.body_bytes_max || length > blob.len() - HEADER_BYTES as u64 {
            return Err(wrong(format!("a {} of {length} bytes in a file of {}", self.name, blob.len())));
        }
        let body = blob.read(HEADER_BYTES as u64, length as usize)?;
        if crc32c::crc32c(&body) != word(16) {
            return Err(wrong(format!("bytes {HEADER_BYTES}+{length} of the {} have another checksum", self.name)));
        }
        Ok((version, body))
    }
}

#[cfg(test)]
mod tests {
    use types::blob::MemoryBlob;

    use super::*;

    const FORMAT: Format = Format { name: "sample", magic: *b"SAMP", newest: 3, oldest: 2, body_bytes_max: 100 };

    fn read(bytes: &[u8]) -> Result<(u32, Bytes)> {
        FORMAT.read(&MemoryBlob::new("f", Bytes::copy_from_slice(bytes)))
    }

    #[test]
    fn what_is_wrong_is_named() {
        let bytes = FORMAT.encode(b"body").to_vec();
        assert_eq!(read(&bytes).expect("own frame"), (3, Bytes::from_static(b"body")));
        let check = |change: &dyn Fn(&mut Vec<u8>), expected: &str| {
            let mut bytes = bytes.clone();
            change(&mut bytes);
            let error = read(&bytes).expect_err(expected);
            assert!(error.reason().contains(expected), "{error}");
        };
        check(&|b| b[0] ^= 1, "f: this is no sample");
        check(&|b| b[4] = 4, "version 4; this program reads up to 3: upgrade it");
        check(&|b| b[4] = 2, "the header of the sample has another checksum");
        check(&|b| b[9] ^= 1, "the header of the sample has another checksum");
        check(&|b| b[25] ^= 1, "bytes 24+4 of the sample have another checksum");
        check(&|b| b.truncate(26), "a sample of 4 bytes in a file of 26");
        check(&|b| b.truncate(10), "a sample of 10 bytes has no header");
    }

    #[test]
    fn old_versions_are_refused_by_name() {
        let old = Format { newest: 1, oldest: 1, ..FORMAT }.encode(b"body");
        assert!(read(&old).expect_err("too old").reason().contains("reads from 2 on"));
    }
}
