//! How many times as fast as its portable twin each kernel is, over a block of vectors that lies in the second-level cache.
//!
//! One line for each kernel: nanoseconds of the twin, then the ratio of each other table of this CPU. Run it with
//! `cargo bench -p kernel`; it is no test and asserts nothing about time.

#![allow(clippy::print_stdout, reason = "a benchmark says what it measured")]

use std::hint::black_box;
use std::time::Instant;

use kernel::{Bf16, F16, Kernels, Number};

const VECTORS: usize = 256;
const DIM: usize = 768;
/// Rounds of which the fastest counts.
const ROUNDS: usize = 40;

fn fastest_ns(work: impl Fn(&mut [f32])) -> f64 {
    let mut out = vec![0.0; VECTORS];
    let round = |out: &mut [f32]| {
        let began = Instant::now();
        work(out);
        black_box(&out);
        began.elapsed().as_nanos() as f64 / VECTORS as f64
    };
    (0..ROUNDS).map(|_| round(&mut out)).fold(f64::INFINITY, f64::min)
}

fn report(name: &str, measure: impl Fn(&'static Kernels, &mut [f32])) {
    let twin = fastest_ns(|out| measure(Kernels::scalar(), out));
    let others = Kernels::available().into_iter().skip(1);
    let ratios: Vec<String> =
        others.map(|kernels| format!("{:?} {:.1}×", kernels.level(), twin / fastest_ns(|out| measure(kernels, out)))).collect();
    println!("{name:24} {twin:8.1} ns  {}", ratios.join("  "));
}

fn numbers<T: Number>(name: &str, of: impl Fn(usize) -> T) {
    let block: Vec<T> = (0..VECTORS * DIM).map(of).collect();
    let query = block[..DIM].to_vec();
    report(&format!("{name} L2"), |kernels, out| kernels.measures::<T>().squared_l2.block(&query, &block, out));
    report(&format!("{name} IP"), |kernels, out| kernels.measures::<T>().dot.block(&query, &block, out));
}

fn main() {
    let value = |i: usize| (i * 7_919 % 257) as f32 / 128.0 - 1.0;
    let bytes: Vec<u8> = (0..VECTORS * DIM).map(|i| (i * 7_919 % 251) as u8).collect();
    let floats: Vec<f32> = (0..DIM).map(value).collect();
    println!("{DIM} dimensions, per vector:");
    numbers::<f32>("f32", value);
    numbers::<F16>("f16", |i| F16::from_f32(value(i)));
    numbers::<Bf16>("bf16", |i| Bf16::from_f32(value(i)));
    numbers::<i8>("i8", |i| bytes[i] as i8);
    report("codes L2", |kernels, out| kernels.codes().squared_l2(&floats, &floats, &bytes, out));
    report("codes IP", |kernels, out| kernels.codes().dot(&floats, &bytes, out));
    println!("{} bits, per vector:", DIM * 8);
    report("HAMMING", |kernels, out| kernels.bit_vectors().hamming.block(&bytes[..DIM], &bytes, out));
    report("JACCARD", |kernels, out| kernels.bit_vectors().jaccard.block(&bytes[..DIM], &bytes, out));
    report("SUBSTRUCTURE", |kernels, out| kernels.bit_vectors().within_query.block(&bytes[..DIM], &bytes, out));
}
