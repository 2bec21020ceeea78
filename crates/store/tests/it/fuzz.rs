//! Mutated valid files through every fuzz target: no panic, and no allocation that the input doesn't explain.

use store::fuzz;

use crate::{alloc, deletes, fuzzing, manifests};

/// Mutations of each file where no time is given.
const ROUNDS: u64 = 1_500;
/// The largest allocation that a reader may make for a file of some hundred kilobytes: a page, decompressed.
const ALLOCATION_BYTES_MAX: usize = 64 << 20;

fn check(target: fn(&[u8]), name: &str, valid: &[Vec<u8>]) {
    fuzzing::fuzz(name, ROUNDS * valid.len() as u64, valid, |bytes| {
        let largest = alloc::largest_during(|| target(bytes));
        assert!(largest <= ALLOCATION_BYTES_MAX, "{name} allocates {largest} bytes at once");
    });
}

#[test]
fn manifest() {
    check(fuzz::fuzz_manifest, "manifest", &[manifests::sample().encode().expect("the sample agrees with itself").to_vec()]);
}

#[test]
fn delete_file() {
    let encoded = |entries| store::delete_file::encode("delete", entries).expect("the sample agrees with itself").1.to_vec();
    check(fuzz::fuzz_delete_file, "delete file", &[encoded(deletes::ints(300, 1)), encoded(deletes::texts(300, 1))]);
}

#[test]
fn quarantine_file() {
    check(fuzz::fuzz_quarantine_file, "quarantine file", &[manifests::quarantined().encode().to_vec()]);
}

#[test]
fn keys() {
    let seeds = fuzz::segment_seeds();
    check(fuzz::fuzz_keys, "keys", &[seeds[seeds.len() - 2].to_vec()]);
}

#[test]
fn stats() {
    let seeds = fuzz::segment_seeds();
    check(fuzz::fuzz_stats, "stats", &[seeds[seeds.len() - 1].to_vec()]);
}

/// Each file of a segment, with its number in front.
#[test]
fn segment() {
    let valid: Vec<Vec<u8>> = fuzz::segment_seeds().iter().enumerate().map(|(which, seed)| [&[which as u8], &seed[..]].concat()).collect();
    check(fuzz::fuzz_segment, "segment", &valid);
}
