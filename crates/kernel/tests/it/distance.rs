//! Distances: each table agrees with a sum in `f64`, with the scalar twin, and with itself in all of its forms.
//!
//! Tolerance: a sum of n products of `f32` in at least eight lanes is off by less than (n / 8 + 8) roundings of the sum
//! of the magnitudes of its terms.

use kernel::{Bf16, Distance, F16, Kernels, Number, inverse_norm};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const LENGTH_MAX: usize = 129;

fn tolerance(length: usize, magnitude: f64) -> f64 {
    (length as f64 / 8.0 + 8.0) * f64::from(f32::EPSILON) * magnitude
}

/// `length` numbers of either sign that start `offset` elements into their allocation.
struct Unaligned<T> {
    values: Vec<T>,
    offset: usize,
}

/// A number of either sign.
trait Draw: Number {
    fn draw(rng: &mut StdRng) -> Self;
}

impl Draw for f32 {
    fn draw(rng: &mut StdRng) -> Self {
        (rng.next_u32() as f32 / u32::MAX as f32) * 4.0 - 2.0
    }
}

impl Draw for F16 {
    fn draw(rng: &mut StdRng) -> Self {
        Self::from_f32(f32::draw(rng))
    }
}

impl Draw for Bf16 {
    fn draw(rng: &mut StdRng) -> Self {
        Self::from_f32(f32::draw(rng))
    }
}

impl Draw for i8 {
    fn draw(rng: &mut StdRng) -> Self {
        rng.next_u32() as i8
    }
}

impl<T: Draw> Unaligned<T> {
    fn random(rng: &mut StdRng, length: usize, offset: usize) -> Self {
        Self { values: (0..length + offset).map(|_| T::draw(rng)).collect(), offset }
    }

    fn get(&self) -> &[T] {
        &self.values[self.offset..]
    }
}

struct Named<T: 'static> {
    name: &'static str,
    pick: fn(&Kernels) -> &Distance<T>,
    term: fn(f64, f64) -> f64,
}

fn distances<T: Number>() -> [Named<T>; 2] {
    [
        Named { name: "squared_l2", pick: |kernels| &kernels.measures::<T>().squared_l2, term: |a, b| (a - b) * (a - b) },
        Named { name: "dot", pick: |kernels| &kernels.measures::<T>().dot, term: |a, b| a * b },
    ]
}

fn check_pair<T: Number>(kernels: &Kernels, named: &Named<T>, a: &[T], b: &[T]) {
    let terms = || a.iter().zip(b).map(|(a, b)| (named.term)(f64::from(a.to_f32()), f64::from(b.to_f32())));
    let (exact, magnitude) = (terms().sum::<f64>(), terms().map(f64::abs).sum::<f64>());
    let found = f64::from((named.pick)(kernels).one(a, b));
    let twin = f64::from((named.pick)(Kernels::scalar()).one(a, b));
    let allowed = tolerance(a.len(), magnitude);
    let context = format!("{} of {} {:?} length {}", named.name, std::any::type_name::<T>(), kernels.level(), a.len());
    assert!((found - exact).abs() <= allowed, "{context}: {found}, exactly {exact}");
    assert!((found - twin).abs() <= 2.0 * allowed, "{context}: {found}, scalar {twin}");
}

fn check_forms<T: Copy>(distance: &Distance<T>, query: &[T], block: &[T], context: &str) {
    let dim = query.len();
    let rows: Vec<&[T]> = if dim == 0 { vec![&[]; 11] } else { block.chunks_exact(dim).collect() };
    let single: Vec<u32> = rows.iter().map(|row| distance.one(query, row).to_bits()).collect();
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    for count in 0..=rows.len() {
        let mut out = vec![f32::NAN; count];
        distance.block(query, &block[..count * dim], &mut out);
        assert_eq!(bits(&out), single[..count], "block {context}");
        let ids: Vec<u32> = (0..count as u32).map(|i| (i * 7 + 3) % rows.len() as u32).collect();
        distance.gather(query, block, &ids, &mut out);
        let expected: Vec<u32> = ids.iter().map(|&id| single[id as usize]).collect();
        assert_eq!(bits(&out), expected, "gather {context}");
    }
}

fn check_every_length<T: Draw>() {
    let seed = 20_261_121;
    let mut rng = StdRng::seed_from_u64(seed);
    for length in 0..=LENGTH_MAX {
        for offset in [0, 1, 3, 7, 15] {
            let query = Unaligned::<T>::random(&mut rng, length, offset);
            let row = Unaligned::<T>::random(&mut rng, length, 15 - offset);
            let block = Unaligned::<T>::random(&mut rng, length * 11, offset);
            for kernels in Kernels::available() {
                for named in &distances::<T>() {
                    check_pair(kernels, named, query.get(), row.get());
                    let context = format!("{} {:?} length {length} offset {offset} seed {seed}", named.name, kernels.level());
                    check_forms((named.pick)(kernels), query.get(), block.get(), &context);
                }
            }
        }
    }
}

#[test]
fn every_length_and_alignment() {
    check_every_length::<f32>();
    check_every_length::<F16>();
    check_every_length::<Bf16>();
    check_every_length::<i8>();
}

/// The distances of bit vectors by definition, from their bits one by one.
fn by_bits(query: &[u8], row: &[u8]) -> [f32; 4] {
    let bits = |bytes: &[u8]| bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1)).collect::<Vec<_>>();
    let (query, row) = (bits(query), bits(row));
    let count = |test: fn(bool, bool) -> bool| query.iter().zip(&row).filter(|(a, b)| test(**a, **b)).count();
    let (shared, either) = (count(|a, b| a && b), count(|a, b| a || b));
    let contained = |outside: usize| if outside == 0 { 0.0 } else { f32::NAN };
    [
        count(|a, b| a != b) as f32,
        if shared == 0 { 1.0 } else { (either - shared) as f32 / either as f32 },
        contained(count(|a, b| b && !a)),
        contained(count(|a, b| a && !b)),
    ]
}

#[test]
fn bit_vectors_at_every_length() {
    let mut rng = StdRng::seed_from_u64(11);
    for length in 0..=LENGTH_MAX {
        for kind in 0..4 {
            let bytes = |rng: &mut StdRng, count: usize| (0..count).map(|_| rng.next_u32() as u8).collect::<Vec<u8>>();
            let (query, mut block) = (bytes(&mut rng, length), bytes(&mut rng, length * 11));
            for (i, byte) in block.iter_mut().enumerate() {
                match kind {
                    0 => {}
                    1 => *byte &= query[i % length],
                    2 => *byte |= query[i % length],
                    _ => *byte = 0,
                }
            }
            for kernels in Kernels::available() {
                let measures = kernels.bit_vectors();
                let all = [&measures.hamming, &measures.jaccard, &measures.within_query, &measures.around_query];
                for (which, distance) in all.into_iter().enumerate() {
                    let context = format!("bits {which} {:?} length {length}", kernels.level());
                    check_forms(distance, &query, &block, &context);
                    for row in block.chunks_exact(length.max(1)) {
                        let (found, expected) = (distance.one(&query, row), by_bits(&query, row)[which]);
                        assert!(found == expected || found.is_nan() && expected.is_nan(), "{context}: {found} for {expected}");
                    }
                }
            }
        }
    }
}

#[test]
fn codes_at_every_length() {
    let mut rng = StdRng::seed_from_u64(12);
    for length in 1..=LENGTH_MAX {
        let query = Unaligned::<f32>::random(&mut rng, length, 1);
        let steps = Unaligned::<f32>::random(&mut rng, length, 3);
        let block: Vec<u8> = (0..length * 7).map(|_| rng.next_u32() as u8).collect();
        for kernels in Kernels::available() {
            let (mut squared, mut dot) = ([0.0f32; 7], [0.0f32; 7]);
            kernels.codes().squared_l2(query.get(), steps.get(), &block, &mut squared);
            kernels.codes().dot(query.get(), &block, &mut dot);
            for (i, row) in block.chunks_exact(length).enumerate() {
                let terms =
                    || query.get().iter().zip(steps.get()).zip(row).map(|((a, b), c)| (f64::from(*a), f64::from(*b), f64::from(*c)));
                let check = |found: f32, term: fn((f64, f64, f64)) -> f64, magnitude: fn((f64, f64, f64)) -> f64| {
                    let allowed = 2.0 * tolerance(length, terms().map(magnitude).sum());
                    let exact: f64 = terms().map(term).sum();
                    assert!((f64::from(found) - exact).abs() <= allowed, "{:?} length {length}: {found} for {exact}", kernels.level());
                };
                check(squared[i], |(a, b, c)| (a - b * c).powi(2), |(a, b, c)| (a.abs() + (b * c).abs()).powi(2));
                check(dot[i], |(a, _, c)| a * c, |(a, _, c)| (a * c).abs());
            }
        }
    }
}

#[test]
fn the_longest_integer_vectors_do_not_overflow() {
    for kernels in Kernels::available() {
        let (least, most) = (vec![i8::MIN; 32_768], vec![i8::MAX; 32_768]);
        let measures = kernels.measures::<i8>();
        assert_eq!(measures.squared_l2.one(&least, &most), (255i64 * 255 * 32_768) as f32);
        assert_eq!(measures.dot.one(&least, &least), (128i64 * 128 * 32_768) as f32);
        assert_eq!(measures.dot.one(&least, &most), (-128i64 * 127 * 32_768) as f32);
    }
}

#[test]
fn long_vectors() {
    let mut rng = StdRng::seed_from_u64(7);
    for length in [255, 256, 257, 768, 1536, 4096, 32_768] {
        let (query, row) = (Unaligned::<f32>::random(&mut rng, length, 1), Unaligned::<f32>::random(&mut rng, length, 2));
        for kernels in Kernels::available() {
            for named in &distances::<f32>() {
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
        for named in &distances::<f32>() {
            let distance = (named.pick)(kernels);
            let (three, four) = (vec![0.0; 3], vec![0.0; 4]);
            let refused = |call: &(dyn Fn() + std::panic::RefUnwindSafe)| std::panic::catch_unwind(call).is_err();
            assert!(refused(&|| _ = distance.one(&three, &four)));
            assert!(refused(&|| _ = distance.one(&four, &three)));
            assert!(refused(&|| _ = distance.four(&four, [&four, &four, &four, &three])));
            assert!(refused(&|| distance.block(&three, &four, &mut [0.0])));
            assert!(refused(&|| distance.gather(&four, &four, &[1], &mut [0.0])));
        }
    }
}
