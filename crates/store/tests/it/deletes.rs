//! Delete files: sorted, found, whole.

use std::cell::Cell;

use store::delete_file::{DeleteFile, encode};
use types::blob::MemoryBlob;
use types::delete::DeleteEntry;
use types::id::PartitionId;
use types::time::Timestamp;
use types::value::Key;

use crate::sample::Draw;

fn entries(count: usize, seed: u64, key: impl Fn(u64) -> Key) -> Vec<DeleteEntry> {
    let random = Draw(Cell::new(seed));
    let entry = |_| {
        let effective = 1_000 + random.below(1_000);
        DeleteEntry {
            key: key(random.below(count as u64)),
            partition: random.third().then(|| PartitionId(random.below(3) as i64)),
            effective: Timestamp(effective),
            kills_below: Timestamp(effective - random.below(2) * 100),
        }
    };
    (0..count).map(entry).collect()
}

pub fn ints(count: usize, seed: u64) -> Vec<DeleteEntry> {
    entries(count, seed, |key| Key::Int(key as i64 - 50))
}

pub fn texts(count: usize, seed: u64) -> Vec<DeleteEntry> {
    entries(count, seed, |key| Key::String(format!("ü{}", "x".repeat(key as usize % 40)).into()))
}

fn check(given: Vec<DeleteEntry>) {
    let (reference, bytes) = encode("delete/7/0/a", given.clone()).expect("the entries agree with each other");
    reference.object.verify(bytes.clone()).expect("own encoding");
    let file = DeleteFile::open(&MemoryBlob::new("delete/7/0/a", bytes)).expect("own encoding");
    let mut expected = given;
    expected.sort_by(|a, b| (&a.key, a.effective, a.kills_below, a.partition).cmp(&(&b.key, b.effective, b.kills_below, b.partition)));
    expected.dedup();
    assert_eq!(file.entries().collect::<Vec<_>>(), expected);
    assert_eq!((reference.entries, file.len()), (expected.len() as u64, expected.len()));
    let times = || expected.iter().map(|entry| entry.effective);
    assert_eq!(Some(reference.effective), times().min().zip(times().max()));
    assert_eq!(Some(reference.kills_below_max), expected.iter().map(|entry| entry.kills_below).max());
    let (low, high) = file.key_range().expect("it has entries");
    assert_eq!((low.to_key(), high.to_key()), (expected[0].key.clone(), expected[expected.len() - 1].key.clone()));
    for entry in &expected {
        let found: Vec<_> = file.entries_of(entry.key.as_ref()).map(|at| file.entry(at)).collect();
        let same: Vec<_> = expected.iter().filter(|other| other.key == entry.key).cloned().collect();
        assert_eq!(found, same);
    }
    let strangers = [Key::Int(i64::MAX), Key::Int(-51), Key::String("nobody".into())];
    assert!(strangers.iter().all(|key| file.entries_of(key.as_ref()).is_empty()));
}

#[test]
fn entries_round_trip_and_are_found() {
    for count in [1, 2, 7, 300, 5_000] {
        check(ints(count, count as u64));
        check(texts(count, count as u64));
    }
}

#[test]
fn impossible_entries_are_refused() {
    let check = |entries: Vec<DeleteEntry>, expected: &str| {
        let error = encode("d", entries).expect_err(expected);
        assert!(error.reason().contains(expected), "{error}");
    };
    check(vec![], "a delete file without entries");
    check([ints(1, 1), texts(1, 1)].concat(), "keys of both types");
    let mut late = ints(1, 1);
    late[0].kills_below = Timestamp(99_999);
    check(late, "kills rows younger than itself");
}

#[test]
fn every_flipped_bit_is_found() {
    let (_, bytes) = encode("d", texts(20, 3)).expect("the entries agree with each other");
    let expected: Vec<_> = DeleteFile::open(&MemoryBlob::new("d", bytes.clone())).expect("own encoding").entries().collect();
    let mut silent = 0;
    for at in 0..bytes.len() {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 0x10;
        if let Ok(file) = DeleteFile::open(&MemoryBlob::new("d", damaged.into())) {
            // Padding between sections holds nothing.
            assert_eq!((bytes[at], file.entries().collect::<Vec<_>>()), (0, expected.clone()), "byte {at}");
            silent += 1;
        }
    }
    assert!(silent < 64 * 8, "{silent} bytes are padding");
}
