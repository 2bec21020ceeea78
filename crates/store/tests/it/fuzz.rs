//! Mutated valid files through every fuzz target: no panic, and no allocation that the input doesn't explain.

use base::random::Random;
use store::fuzz;

use crate::{alloc, deletes, manifests};

/// Mutations of each file; more with `ELANUS_FUZZ_ROUNDS`.
const ROUNDS: u64 = 1_500;
/// The largest allocation that a reader may make for a file of some hundred kilobytes: a page, decompressed.
const ALLOCATION_BYTES_MAX: usize = 64 << 20;

fn check(target: fn(&[u8]), name: &str, seed_file: &[u8]) {
    target(seed_file);
    let rounds = std::env::var("ELANUS_FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    for seed in 0..rounds {
        let bytes = mutated(seed_file, &Random::seeded(seed));
        let largest = alloc::largest_during(|| {
            let outcome = std::panic::catch_unwind(|| target(&bytes));
            assert!(outcome.is_ok(), "{name}: seed {seed} panics");
        });
        assert!(largest <= ALLOCATION_BYTES_MAX, "{name}: seed {seed} allocates {largest} bytes at once");
    }
}

/// One to four changes: a bit, a byte, a number with an extreme, a cut, a run that is copied elsewhere.
fn mutated(bytes: &[u8], random: &Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(3) {
        if bytes.is_empty() {
            break;
        }
        // Headers and footers are short and matter most.
        let at = match random.below(3) {
            0 => random.below(bytes.len().min(512) as u64) as usize,
            1 => bytes.len() - 1 - random.below(bytes.len().min(2_048) as u64) as usize,
            _ => random.below(bytes.len() as u64) as usize,
        };
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.u64() as u8,
            2 => {
                let value = [0u64, 1, 0x7f, 0xff, i32::MAX as u64, u32::MAX.into(), i64::MAX as u64, u64::MAX][random.below(8) as usize];
                let width = [2, 4, 8][random.below(3) as usize].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
            }
            3 => bytes.truncate(at),
            4 => {
                let length = random.below(64).min((bytes.len() - at) as u64) as usize;
                let from = random.below((bytes.len() - length) as u64 + 1) as usize;
                bytes.copy_within(from..from + length, at);
            }
            _ => {
                let length = random.below(32).min((bytes.len() - at) as u64) as usize;
                bytes.drain(at..at + length);
            }
        }
    }
    bytes
}

#[test]
fn manifest() {
    check(fuzz::fuzz_manifest, "manifest", &manifests::sample().encode().expect("the sample agrees with itself"));
}

#[test]
fn delete_file() {
    for entries in [deletes::ints(300, 1), deletes::texts(300, 1)] {
        let (_, bytes) = store::delete_file::encode("delete", entries).expect("the sample agrees with itself");
        check(fuzz::fuzz_delete_file, "delete file", &bytes);
    }
}

#[test]
fn quarantine_file() {
    check(fuzz::fuzz_quarantine_file, "quarantine file", &manifests::quarantined().encode());
}

#[test]
fn keys_and_stats() {
    let seeds = fuzz::segment_seeds();
    check(fuzz::fuzz_keys, "keys", &seeds[seeds.len() - 2]);
    check(fuzz::fuzz_stats, "stats", &seeds[seeds.len() - 1]);
}

#[test]
fn segment() {
    for (which, seed) in fuzz::segment_seeds().iter().enumerate() {
        let mut bytes = vec![which as u8];
        bytes.extend_from_slice(seed);
        check(fuzz::fuzz_segment, &format!("file {which} of a segment"), &bytes);
    }
}

/// Nothing but noise.
#[test]
fn noise() {
    let targets =
        [fuzz::fuzz_manifest, fuzz::fuzz_delete_file, fuzz::fuzz_quarantine_file, fuzz::fuzz_keys, fuzz::fuzz_stats, fuzz::fuzz_segment];
    for seed in 0..300 {
        let random = Random::seeded(seed);
        let bytes: Vec<u8> = (0..random.below(400)).map(|_| random.u64() as u8).collect();
        targets.iter().for_each(|target| target(&bytes));
    }
}
