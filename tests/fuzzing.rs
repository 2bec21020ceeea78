//! What the fuzz tests of all crates share: mutations of valid inputs, and how long to go on. Included by path, so that no crate depends on it.
//!
//! Without `ELANUS_FUZZ_SECONDS` a target gets a fixed number of rounds, the same ones in every run; with it, new ones for as long. A round that
//! fails is named by its seed, and `ELANUS_FUZZ_SEED` repeats it. Invariant: an input follows from the seed alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Bytes of an input that is nothing but noise.
const NOISE_BYTES_MAX: u64 = 400;
/// One input in so many is noise.
const NOISE_EVERY: u64 = 16;

/// Numbers that follow from a seed (splitmix64).
pub struct Chance(u64);

impl Chance {
    pub fn u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// Below `bound`, which is above 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.u64() % bound as u64) as usize
    }
}

/// Runs `target` on inputs made from `valid` ones, all of which it is given as they are first.
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a finding must be repeatable by who reads the test's output")]
pub fn fuzz(name: &str, rounds: u64, valid: &[Vec<u8>], target: impl Fn(&[u8])) {
    let number = |variable: &str| std::env::var(variable).ok().and_then(|value| value.parse::<u64>().ok());
    let once = |seed: u64| {
        let input = input(valid, &mut Chance(seed));
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(&input))) {
            eprintln!("fuzz target {name} fails on {} bytes of seed {seed}: repeat it with ELANUS_FUZZ_SEED={seed}", input.len());
            std::panic::resume_unwind(panic);
        }
    };
    if let Some(seed) = number("ELANUS_FUZZ_SEED") {
        return once(seed);
    }
    valid.iter().for_each(|input| target(input));
    let Some(seconds) = number("ELANUS_FUZZ_SECONDS") else { return (0..rounds).for_each(once) };
    let first = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as u64) >> 8 << 32;
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut done = 0;
    while Instant::now() < until {
        once(first + done);
        done += 1;
    }
    println!("fuzz target {name}: {done} inputs in {seconds} s, from seed {first}");
}

fn input(valid: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    if valid.is_empty() || chance.u64().is_multiple_of(NOISE_EVERY) {
        return (0..chance.u64() % NOISE_BYTES_MAX).map(|_| chance.u64() as u8).collect();
    }
    let mut bytes = valid[chance.below(valid.len())].clone();
    for _ in 0..=chance.below(4) {
        mutate(&mut bytes, valid, chance);
    }
    bytes
}

/// One change: a bit, a byte, a number with an extreme, a cut, a run that is copied, taken away, or brought from another input.
fn mutate(bytes: &mut Vec<u8>, valid: &[Vec<u8>], chance: &mut Chance) {
    if bytes.is_empty() {
        return;
    }
    // Headers and footers are short and matter most.
    let at = match chance.below(3) {
        0 => chance.below(bytes.len().min(512)),
        1 => bytes.len() - 1 - chance.below(bytes.len().min(2_048)),
        _ => chance.below(bytes.len()),
    };
    let run = |chance: &mut Chance| chance.below(64).min(bytes.len() - at);
    match chance.below(8) {
        0 => bytes[at] ^= 1 << chance.below(8),
        1 => bytes[at] = chance.u64() as u8,
        2 => {
            let value = [0, 1, 0x7f, 0xff, i32::MAX as u64, u32::MAX.into(), i64::MAX as u64, u64::MAX][chance.below(8)];
            let width = [2, 4, 8][chance.below(3)].min(bytes.len() - at);
            bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        }
        3 => bytes.truncate(at),
        4 => {
            let length = run(chance);
            let from = chance.below(bytes.len() - length + 1);
            bytes.copy_within(from..from + length, at);
        }
        5 => {
            let length = run(chance);
            bytes.drain(at..at + length);
        }
        6 => {
            let length = run(chance);
            let copy = bytes[at..at + length].to_vec();
            let to = chance.below(bytes.len() + 1);
            bytes.splice(to..to, copy);
        }
        _ => {
            let other = &valid[chance.below(valid.len())];
            let from = chance.below(other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
    }
}
