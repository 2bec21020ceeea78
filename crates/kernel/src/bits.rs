//! Bit sets as `u64` words, lowest bit first: bit `i` is bit `i % 64` of word `i / 64`.
//!
//! Counting has a table per instruction set ([`Bits`]); the rest are plain loops that the compiler vectorises and that
//! memory bounds anyway. A set's length in bits is its owner's business: bits past it are expected to be zero.

type Count = unsafe fn(&[u64]) -> u64;
type CountAnd = unsafe fn(&[u64], &[u64]) -> u64;

/// Counting, bound to one instruction set. Get it from [`crate::Kernels`].
#[derive(Clone, Copy, Debug)]
pub struct Bits {
    count: Count,
    count_and: CountAnd,
}

impl Bits {
    /// The functions must be runnable on every CPU on which the enclosing table is handed out.
    pub(crate) const fn new(count: Count, count_and: CountAnd) -> Self {
        Self { count, count_and }
    }

    /// Number of set bits.
    pub fn count(&self, words: &[u64]) -> u64 {
        // SAFETY: this value was reached through a table that `Kernels` hands out only where its CPU features are.
        unsafe { (self.count)(words) }
    }

    /// Number of bits set in both.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn count_and(&self, left: &[u64], right: &[u64]) -> u64 {
        // SAFETY: as in `count`.
        unsafe { (self.count_and)(left, right) }
    }
}

/// Whether bit `index` is set; false past the end.
#[inline(always)]
pub fn test(words: &[u64], index: usize) -> bool {
    words.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 != 0)
}

/// `target &= other`.
///
/// # Panics
/// If the lengths differ.
pub fn and(target: &mut [u64], other: &[u64]) {
    combine(target, other, |a, b| a & b);
}

/// `target |= other`.
///
/// # Panics
/// If the lengths differ.
pub fn or(target: &mut [u64], other: &[u64]) {
    combine(target, other, |a, b| a | b);
}

/// `target &= !other`.
///
/// # Panics
/// If the lengths differ.
pub fn and_not(target: &mut [u64], other: &[u64]) {
    combine(target, other, |a, b| a & !b);
}

fn combine(target: &mut [u64], other: &[u64], operation: impl Fn(u64, u64) -> u64) {
    assert_eq!(target.len(), other.len(), "bit sets differ in length");
    for (word, other) in target.iter_mut().zip(other) {
        *word = operation(*word, *other);
    }
}

/// The set bits in ascending order.
pub fn ones(words: &[u64]) -> Ones<'_> {
    Ones { words, next_word: 0, current: 0 }
}

/// The set bits from bit `start` on, in ascending order.
pub fn ones_from(words: &[u64], start: usize) -> Ones<'_> {
    let first = start / 64;
    let current = words.get(first).map_or(0, |word| word & u64::MAX << (start % 64));
    Ones { words, next_word: first + 1, current }
}

/// Iterator over the set bits of a word slice. Made by [`ones`].
#[derive(Clone, Debug)]
pub struct Ones<'a> {
    words: &'a [u64],
    next_word: usize,
    current: u64,
}

impl Iterator for Ones<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.current == 0 {
            self.current = *self.words.get(self.next_word)?;
            self.next_word += 1;
        }
        let bit = self.current.trailing_zeros() as usize;
        self.current &= self.current - 1;
        Some((self.next_word - 1) * 64 + bit)
    }
}
