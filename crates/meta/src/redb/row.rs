//! A row of the table: crc32c of the rest and the key, created, modified, lease (0: none), value. Numbers are little-endian.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::store::{Entry, LeaseId, Revision};

const HEADER_BYTES: usize = 4 + 3 * 8;

/// The stored form.
pub(super) fn encode(entry: &Entry) -> Bytes {
    let mut row = BytesMut::with_capacity(HEADER_BYTES + entry.value.len());
    row.put_u32_le(0);
    row.put_i64_le(entry.created.0);
    row.put_i64_le(entry.modified.0);
    row.put_i64_le(entry.lease.map_or(0, |lease| lease.0));
    row.put_slice(&entry.value);
    let checksum = checksum(&entry.key, &row[4..]);
    row[..4].copy_from_slice(&checksum.to_le_bytes());
    row.freeze()
}

/// Reads a row; `None` if it isn't what was written under this key.
pub(super) fn decode(key: &[u8], row: &[u8]) -> Option<Entry> {
    if row.len() < HEADER_BYTES {
        return None;
    }
    let (mut head, value) = row.split_at(HEADER_BYTES);
    if head.get_u32_le() != checksum(key, &row[4..]) {
        return None;
    }
    let (created, modified, lease) = (Revision(head.get_i64_le()), Revision(head.get_i64_le()), head.get_i64_le());
    Some(Entry {
        key: Bytes::copy_from_slice(key),
        value: Bytes::copy_from_slice(value),
        created,
        modified,
        lease: (lease != 0).then_some(LeaseId(lease)),
    })
}

fn checksum(key: &[u8], rest: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(rest), key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_bit_is_noticed() {
        let entry = Entry {
            key: Bytes::from_static(b"key"),
            value: Bytes::from_static(b"value"),
            created: Revision(3),
            modified: Revision(1 << 40),
            lease: Some(LeaseId(9)),
        };
        let row = encode(&entry);
        assert_eq!(decode(b"key", &row), Some(entry));
        assert_eq!(decode(b"kez", &row), None, "a row under another key");
        assert_eq!(decode(b"key", &row[..HEADER_BYTES - 1]), None);
        for bit in 0..row.len() * 8 {
            let mut bad = row.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(b"key", &bad), None, "bit {bit}");
        }
    }
}
