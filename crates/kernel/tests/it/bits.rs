//! Bit sets against a set of indices, exactly.

use std::collections::BTreeSet;

use kernel::{Kernels, bits};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

fn random_words(rng: &mut StdRng, length: usize, and_of: u32) -> Vec<u64> {
    (0..length).map(|_| (0..and_of).fold(u64::MAX, |word, _| word & rng.next_u64())).collect()
}

fn indices(words: &[u64]) -> BTreeSet<usize> {
    (0..words.len() * 64).filter(|&index| words[index / 64] & 1 << (index % 64) != 0).collect()
}

#[test]
fn every_operation_at_every_length() {
    let mut rng = StdRng::seed_from_u64(3);
    for length in 0..=129 {
        for and_of in [0, 1, 4] {
            let (left, right) = (random_words(&mut rng, length, and_of), random_words(&mut rng, length, 1));
            let (a, b) = (indices(&left), indices(&right));
            for kernels in Kernels::available() {
                assert_eq!(kernels.bits().count(&left), a.len() as u64, "{:?} {length}", kernels.level());
                assert_eq!(kernels.bits().count_and(&left, &right), a.intersection(&b).count() as u64);
            }
            assert!(bits::ones(&left).eq(a.iter().copied()));
            for start in [0, 1, 63, 64, 65, length * 32, length * 64, length * 64 + 1] {
                assert!(bits::ones_from(&left, start).eq(a.range(start..).copied()), "length {length} from {start}");
            }
            assert!((0..length * 64 + 70).all(|index| bits::test(&left, index) == a.contains(&index)));
            type Operation = (fn(&mut [u64], &[u64]), BTreeSet<usize>);
            let operations: [Operation; 3] = [
                (bits::and, a.intersection(&b).copied().collect()),
                (bits::or, a.union(&b).copied().collect()),
                (bits::and_not, a.difference(&b).copied().collect()),
            ];
            for (operation, expected) in operations {
                let mut target = left.clone();
                operation(&mut target, &right);
                assert_eq!(indices(&target), expected, "length {length}");
            }
        }
    }
}
