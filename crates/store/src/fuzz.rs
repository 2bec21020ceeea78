//! Fuzz targets, one for each format: any bytes give a value that can be used, or an error; never a panic.
//!
//! Checksums would stop nearly every mutation at the door, so each target tries the bytes as they are and with their checksums
//! made right. Tests run the targets over mutated valid files and watch allocations.

use bytes::Bytes;
use types::blob::MemoryBlob;

use crate::container::Container;
use crate::delete_file::{self, DeleteFile};
use crate::frame::{Format, HEADER_BYTES};
use crate::manifest::{self, Manifest};
use crate::quarantine_file::{self, QuarantineFile};
use crate::segment_file::fuzz as segment;

/// The rows of the segment that [`fuzz_segment`] and [`fuzz_keys`] are about: seeds come from [`segment_seeds`].
pub use crate::segment_file::fuzz::seeds as segment_seeds;

/// A manifest.
pub fn fuzz_manifest(bytes: &[u8]) {
    for bytes in [bytes.to_vec(), repaired(&manifest::FORMAT, bytes)] {
        let Ok(manifest) = Manifest::decode("fuzz", &bytes.into()) else { continue };
        let again = manifest.encode().expect("what was decoded was checked");
        assert_eq!(Manifest::decode("fuzz", &again).expect("own encoding"), manifest);
    }
}

/// A delete file.
pub fn fuzz_delete_file(bytes: &[u8]) {
    for bytes in [bytes.to_vec(), repaired(&delete_file::FORMAT, bytes)] {
        let Ok(file) = DeleteFile::open(&MemoryBlob::new("fuzz", bytes.into())) else { continue };
        for (at, entry) in file.entries().enumerate() {
            let places = file.entries_of(entry.key.as_ref());
            assert!(places.is_empty() || places.contains(&at), "a key that passes the filter is found");
        }
    }
}

/// A quarantine file.
pub fn fuzz_quarantine_file(bytes: &[u8]) {
    for bytes in [bytes.to_vec(), repaired(&quarantine_file::FORMAT, bytes)] {
        let Ok(file) = QuarantineFile::open(&MemoryBlob::new("fuzz", bytes.into())) else { continue };
        // A reason is kept in part; what is read was cut already, or wasn't written by us.
        let again = QuarantineFile::open(&MemoryBlob::new("fuzz", file.encode())).expect("own encoding");
        assert_eq!((again.frames, again.head.through), (file.frames, file.head.through));
    }
}

/// A segment's statistics.
pub fn fuzz_stats(bytes: &[u8]) {
    for bytes in [bytes.to_vec(), repaired(&segment::STATS_FORMAT, bytes)] {
        segment::read_stats(&bytes.into());
    }
}

/// A segment's key index.
pub fn fuzz_keys(bytes: &[u8]) {
    for bytes in [bytes.to_vec(), repaired(&segment::KEYS_FORMAT, bytes)] {
        segment::read_keys(&bytes.into());
    }
}

/// One file of a segment: the first byte says which, the rest takes its place in a valid segment.
pub fn fuzz_segment(bytes: &[u8]) {
    if let Some((which, content)) = bytes.split_first() {
        segment::read_segment(*which, &Bytes::copy_from_slice(content));
    }
}

/// The bytes with every checksum that can be found made right: of sections first, then of the frame.
fn repaired(format: &Format, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    repair_frame(&mut bytes);
    if let Ok(container) = Container::open(format, &MemoryBlob::new("fuzz", Bytes::copy_from_slice(&bytes))) {
        for (at, checksum) in container.checksums(&bytes) {
            bytes[at..at + 4].copy_from_slice(&checksum.to_le_bytes());
        }
        repair_frame(&mut bytes);
    }
    bytes
}

fn repair_frame(bytes: &mut [u8]) {
    if bytes.len() < HEADER_BYTES {
        return;
    }
    let length = u64::from_le_bytes(bytes[8..16].try_into().expect("eight bytes"));
    let end = usize::try_from(length).ok().and_then(|length| length.checked_add(HEADER_BYTES)).filter(|&end| end <= bytes.len());
    if let Some(end) = end {
        let body = crc32c::crc32c(&bytes[HEADER_BYTES..end]);
        bytes[16..20].copy_from_slice(&body.to_le_bytes());
    }
    let header = crc32c::crc32c(&bytes[..20]);
    bytes[20..24].copy_from_slice(&header.to_le_bytes());
}
