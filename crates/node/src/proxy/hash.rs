//! Which shard and which partition a row belongs to: Milvus's own hashes, so that data moved between the two lies alike.
//!
//! Integers go through murmur3 (x86, 32 bits, seed 0) of their eight little-endian bytes with the sign bit cleared, texts through
//! CRC-32 (IEEE) of their first 100 bytes; then modulo the number of shards or partitions. Stored placement depends on these numbers: they never change.

use types::value::KeyRef;

/// Bytes of a text that count.
const TEXT_BYTES: usize = 100;

/// The shard or partition, of `count`, of a key.
///
/// # Panics
/// If `count` is 0: a collection has a shard.
pub fn place(key: KeyRef<'_>, count: usize) -> usize {
    let hash = match key {
        KeyRef::Int(key) => murmur3(&key.to_le_bytes()) & 0x7fff_ffff,
        KeyRef::String(key) => crc32(&key.as_bytes()[..key.len().min(TEXT_BYTES)]),
    };
    hash as usize % count
}

/// MurmurHash3_x86_32 with seed 0.
fn murmur3(bytes: &[u8]) -> u32 {
    const C1: u32 = 0xcc9e_2d51;
    const C2: u32 = 0x1b87_3593;
    let scramble = |word: u32| word.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2);
    let mut hash = 0u32;
    let (blocks, tail) = bytes.as_chunks::<4>();
    for block in blocks {
        hash = (hash ^ scramble(u32::from_le_bytes(*block))).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let last = tail.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
    hash ^= scramble(last);
    hash ^= bytes.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

/// CRC-32 as in IEEE 802.3, reflected.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| CRC_TABLE[(crc as u8 ^ byte) as usize] ^ crc >> 8)
}

static CRC_TABLE: [u32; 256] = crc_table();

const fn crc_table() -> [u32; 256] {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors() {
        let murmur: [(&[u8], u32); 7] = [
            (b"", 0),
            (b"test", 0xba6b_d213),
            (b"Hello, world!", 0xc036_3e43),
            (b"The quick brown fox jumps over the lazy dog", 0x2e4f_f723),
            (&[0xff, 0xff, 0xff, 0xff], 0x7629_3b50),
            (&[0x21, 0x43, 0x65, 0x87], 0xf55b_516b),
            (&[0x21, 0x43, 0x65], 0x7e4a_8634),
        ];
        for (bytes, hash) in murmur {
            assert_eq!(murmur3(bytes), hash, "{bytes:02x?}");
        }
        for (bytes, crc) in [(&b""[..], 0), (b"a", 0xe8b7_be43), (b"123456789", 0xcbf4_3926)] {
            assert_eq!(crc32(bytes), crc, "{bytes:02x?}");
        }
    }

    #[test]
    fn keys_are_placed_as_milvus_places_them() {
        let long = "x".repeat(100);
        assert_eq!(place(KeyRef::String(&long), 1 << 20), place(KeyRef::String(&format!("{long}tail")), 1 << 20));
        for key in [0, 1, -1, i64::MAX, i64::MIN] {
            assert_eq!(place(KeyRef::Int(key), usize::MAX), (murmur3(&key.to_le_bytes()) & 0x7fff_ffff) as usize);
        }
        assert_eq!(place(KeyRef::String("123456789"), 16), 0xcbf4_3926 % 16);
        assert_eq!(place(KeyRef::Int(7), 1), 0);
    }
}
