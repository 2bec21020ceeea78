//! A split-block Bloom filter over keys: "surely not there" in one cache line, for point lookups and deletes.
//!
//! Blocks are 32 bytes: eight words of 32 bits, one bit of each set by every key. With [`BITS_PER_KEY`] about one absent key in two
//! hundred passes. The hash and the layout are part of the formats that hold a filter (`docs/formats/segment.md`).

use types::value::KeyRef;
use xxhash_rust::xxh3::xxh3_64;

const BLOCK_BYTES: usize = 32;
const BITS_PER_KEY: usize = 14;
/// Odd multipliers, one for each word of a block, that choose a word's bit from the low half of a hash.
const SALTS: [u32; 8] = [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// The stable hash of a key: xxh3 of its bytes, an integer's being eight little-endian ones.
pub(crate) fn hash(key: KeyRef<'_>) -> u64 {
    match key {
        KeyRef::Int(key) => xxh3_64(&key.to_le_bytes()),
        KeyRef::String(key) => xxh3_64(key.as_bytes()),
    }
}

/// The filter of these hashes.
pub(crate) fn build(hashes: impl ExactSizeIterator<Item = u64>) -> Vec<u8> {
    let blocks = (hashes.len() * BITS_PER_KEY).div_ceil(8 * BLOCK_BYTES).max(1);
    let mut filter = vec![0u8; blocks * BLOCK_BYTES];
    for hash in hashes {
        let at = block_of(hash, blocks) * BLOCK_BYTES;
        for (word, salt) in SALTS.iter().enumerate() {
            let bit = bit_of(hash, *salt);
            filter[at + word * 4 + bit / 8] |= 1 << (bit % 8);
        }
    }
    filter
}

/// Whether a key with this hash may have been put in. A filter of another length than [`build`] makes knows nothing: true.
pub(crate) fn may_contain(filter: &[u8], hash: u64) -> bool {
    let blocks = filter.len() / BLOCK_BYTES;
    if blocks == 0 {
        return true;
    }
    let at = block_of(hash, blocks) * BLOCK_BYTES;
    SALTS.iter().enumerate().all(|(word, salt)| {
        let bit = bit_of(hash, *salt);
        filter[at + word * 4 + bit / 8] >> (bit % 8) & 1 == 1
    })
}

fn block_of(hash: u64, blocks: usize) -> usize {
    (((hash >> 32) * blocks as u64) >> 32) as usize
}

fn bit_of(hash: u64, salt: u32) -> usize {
    ((hash as u32).wrapping_mul(salt) >> 27) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_missed_and_few_strangers_pass() {
        for count in [0usize, 1, 17, 20_000] {
            let filter = build((0..count).map(|key| hash(KeyRef::Int(key as i64))));
            assert!((0..count as i64).all(|key| may_contain(&filter, hash(KeyRef::Int(key)))));
            let strangers = (1_000_000..1_020_000).filter(|&key| may_contain(&filter, hash(KeyRef::Int(key)))).count();
            assert!(strangers < 200, "{strangers} of 20,000 strangers pass a filter of {count}");
        }
        assert!(may_contain(&[], 7));
    }

    /// The hash is stored: it may never change.
    #[test]
    fn hashes_are_stable() {
        assert_eq!(hash(KeyRef::Int(1)), xxh3_64(&[1, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(hash(KeyRef::String("key")), 0xbbea_0d63_a051_65e3);
    }
}
