//! Distances: each table agrees with a sum in `f64`, with the scalar twin, and with itself in all of its forms.
//!
//! Tolerance: a sum of n products of `f32` in at least eight lanes is off by less than (n / 8 + 8) roundings of the sum
//! of the magnitudes of its terms.

use kernel::{Distance, Kernels, inverse_norm};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const LENGTH_MAX: usize = 129;

fn tolerance(length: usize, magnitude: f64) -> f64 {
    (length as f64 / 8.0 + 8.0) * f64::from(f32::EPSILON) * magnitude
}

/// `length` floats of either sign that start `offset` elements into their allocation.
struct Unaligned {
    values: Vec<f32>,
    offset: usize,
}

impl Unaligned {
    fn random(rng: &mut StdRng, length: usize, offset: usize) -> Self {
        let values = (0..length + offset).map(|_| (rng.next_u32() as f32 / u32::MAX as f32) * 4.0 - 2.0).collect();
        Self { values, offset }
    }

    fn get(&self) -> &[f32] {
        &self.values[self.offset..]
    }
}

struct Named {
    name: &'static str,
    pick: fn(&Kernels) -> &Distance,
    term: fn(f64, f64) -> f64,
}

const DISTANCES: [Named; 2] = [
    Named { name: "squared_l2", pick: Kernels::squared_l2, term: |a, b| (a - b) * (a - b) },
    Named { name: "dot", pick: Kernels::dot, term: |a, b| a * b },
];

fn check_pair(kernels: &Kernels, named: &Named, a: &[f32], b: &[f32]) {
    let terms = || a.iter().zip(b).map(|(a, b)| (named.term)(f64::from(*a), f64::from(*b)));
    let (exact, magnitude) = (terms().sum::<f64>(), terms().map(f64::abs).sum::<f64>());
    let found = f64::from((named.pick)(kernels).one(a, b));
    let twin = f64::from((named.pick)(Kernels::scalar()).one(a, b));
    let allowed = tolerance(a.len(), magnitude);
    let context = format!("{} {:?} length {}", named.name, kernels.level(), a.len());
    assert!((found - exact).abs() <= allowed, "{context}: {found}, exactly {exact}");
    assert!((found - twin).abs() <= 2.0 * allowed, "{context}: {found}, scalar {twin}");
}

fn check_forms(distance: &Distance, query: &[f32], block: &[f32], context: &str) {
    let dim = query.len();
    let rows: Vec<&[f32]> = if dim == 0 { vec![&[]; 11] } else { block.chunks_exact(dim).collect() };
    let single: Vec<u32> = rows.iter().map(|row| distance.one(query, row).to_bits()).collect();
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    for count in 0..=rows.len() {
        let mut out = vec![f32::NAN; count];
        distance.block(query, &block[..count * dim], &mut out);
        assert_eq!(bits(&out), single[..count], "block {context}");
        out.fill(f32::NAN);
        distance.rows(query, &rows[..count], &mut out);
        assert_eq!(bits(&out), single[..count], "rows {context}");
        let ids: Vec<u32> = (0..count as u32).map(|i| (i * 7 + 3) % rows.len() as u32).collect();
        distance.gather(query, block, &ids, &mut out);
        let expected: Vec<u32> = ids.iter().map(|&id| single[id as usize]).collect();
        assert_eq!(bits(&out), expected, "gather {context}");
    }
}

#[test]
fn every_length_and_alignment() {
    let seed = 20_261_121;
    let mut rng = StdRng::seed_from_u64(seed);
    for length in 0..=LENGTH_MAX {
        for offset in [0, 1, 3, 7, 15] {
            let query = Unaligned::random(&mut rng, length, offset);
            let row = Unaligned::random(&mut rng, length, 15 - offset);
            let block = Unaligned::random(&mut rng, length * 11, offset);
            for kernels in Kernels::available() {
                for named in &DISTANCES {
                    check_pair(kernels, named, query.get(), row.get());
                    let context = format!("{} {:?} length {length} offset {offset} seed {seed}", named.name, kernels.level());
                    check_forms((named.pick)(kernels), query.get(), block.get(), &context);
                }
            }
        }
    }
}

#[test]
fn long_vectors() {
    let mut rng = StdRng::seed_from_u64(7);
    for length in [255, 256, 257, 768, 1536, 4096, 32_768] {
        let (query, row) = (Unaligned::random(&mut rng, length, 1), Unaligned::random(&mut rng, length, 2));
        for kernels in Kernels::available() {
            for named in &DISTANCES {
                check_pair(kernels, named, query.get(), row.get());
            }
        }
    }
}

#[test]
fn whole_numbers_are_exact() {
    for kernels in Kernels::available() {
        for length in 0..=LENGTH_MAX {
            let query: Vec<f32> = (0..length).map(|i| (i % 7) as f32 - 3.0).collect();
            let row: Vec<f32> = (0..length).map(|i| (i % 5) as f32 - 2.0).collect();
            let dot: i64 = (0..length as i64).map(|i| (i % 7 - 3) * (i % 5 - 2)).sum();
            let squared: i64 = (0..length as i64).map(|i| ((i % 7 - 3) - (i % 5 - 2)).pow(2)).sum();
            assert_eq!(kernels.dot().one(&query, &row), dot as f32);
            assert_eq!(kernels.squared_l2().one(&query, &row), squared as f32);
        }
    }
}

#[test]
fn infinities_and_nan_come_through() {
    for kernels in Kernels::available() {
        for length in 1..=LENGTH_MAX {
            for (poison, expected) in [(f32::INFINITY, f32::INFINITY), (f32::NAN, f32::NAN)] {
                let mut row = vec![1.0; length];
                row[length - 1] = poison;
                let found = kernels.dot().one(&vec![1.0; length], &row);
                assert!(found == expected || found.is_nan() && expected.is_nan(), "{:?} {length}", kernels.level());
            }
        }
    }
}

#[test]
fn vectors_without_direction_have_no_norm() {
    for (squared, expected) in [(4.0, 0.5), (0.0, 0.0), (f32::INFINITY, 0.0), (f32::NAN, 0.0), (-1.0, 0.0)] {
        assert_eq!(inverse_norm(squared), expected, "{squared}");
    }
    assert!(inverse_norm(f32::MIN_POSITIVE / 1e6).is_finite());
}

#[test]
fn unequal_lengths_are_refused_by_every_table() {
    for kernels in Kernels::available() {
        for named in &DISTANCES {
            let distance = (named.pick)(kernels);
            let (three, four) = (vec![0.0; 3], vec![0.0; 4]);
            let refused = |call: &(dyn Fn() + std::panic::RefUnwindSafe)| std::panic::catch_unwind(call).is_err();
            assert!(refused(&|| _ = distance.one(&three, &four)));
            assert!(refused(&|| _ = distance.one(&four, &three)));
            assert!(refused(&|| _ = distance.four(&four, [&four, &four, &four, &three])));
            assert!(refused(&|| distance.block(&three, &four, &mut [0.0])));
            assert!(refused(&|| distance.gather(&four, &four, &[1], &mut [0.0])));
            assert!(refused(&|| distance.rows(&four, &[&four], &mut [0.0, 0.0])));
        }
    }
}
