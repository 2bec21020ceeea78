//! Loops over values that set bits: which rows of a block, in which slots of a column, are tested and kept.
//!
//! A word of 64 rows that are mostly wanted is tested whole, without a branch per row, so that the compiler vectorises the loop; else each
//! wanted row is tested alone.

use types::bitset::Bitset;

use super::BLOCK_ROWS;

/// One bit for each row of a block.
pub(crate) type Mask = [u64; BLOCK_ROWS / 64];

/// No row.
pub(crate) const EMPTY: Mask = [0; BLOCK_ROWS / 64];

/// From this many wanted rows of 64 on, all 64 are tested.
const DENSE_ROWS_MIN: u32 = 8;

/// A run of rows.
#[derive(Clone, Copy)]
pub(crate) struct Block {
    /// The first row: a multiple of 64.
    pub first: usize,
    /// At most [`BLOCK_ROWS`].
    pub rows: usize,
}

impl Block {
    /// All of its rows.
    pub fn all(self) -> Mask {
        let mut mask = EMPTY;
        for (word, bits) in mask.iter_mut().enumerate() {
            *bits = low_bits(self.rows.saturating_sub(word * 64));
        }
        mask
    }
}

/// The part of a block that a chunk of a column has.
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    /// Its first row in the block.
    pub bit: usize,
    /// The slot of that row.
    pub slot: usize,
    /// Rows.
    pub length: usize,
}

impl Piece {
    /// Its rows from `begin` to `end` of the block.
    pub fn part(self, begin: usize, end: usize) -> Self {
        debug_assert!(self.bit <= begin && begin < end && end <= self.bit + self.length);
        Self { bit: begin, slot: self.slot + begin - self.bit, length: end - begin }
    }

    /// Its words: index, lowest bit, number of bits, slot of the lowest.
    fn words(self) -> impl Iterator<Item = (usize, usize, usize, usize)> {
        let end = self.bit + self.length;
        (self.bit / 64..end.div_ceil(64)).map(move |word| {
            let (low, high) = (self.bit.max(word * 64), end.min(word * 64 + 64));
            (word, low % 64, high - low, self.slot + low - self.bit)
        })
    }
}

/// The lowest `count` bits; all from 64 on.
fn low_bits(count: usize) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}

/// The first set bit from `from` on and below `end`.
pub(crate) fn next_one(mask: &Mask, from: usize, end: usize) -> Option<usize> {
    let mut word = from / 64;
    let mut bits = mask.get(word)? & !low_bits(from % 64);
    while bits == 0 {
        word += 1;
        bits = *mask.get(word)?;
    }
    Some(word * 64 + bits.trailing_zeros() as usize).filter(|&bit| bit < end)
}

/// The rows of `mask` that are in `piece`.
pub(crate) fn restrict(mask: &Mask, piece: Piece) -> Mask {
    let mut part = EMPTY;
    for (word, low, length, _) in piece.words() {
        part[word] = mask[word] & (low_bits(length) << low);
    }
    part
}

/// Lets through the wanted rows that pass a test, or with `negated` those that are known not to.
pub(crate) struct Sieve<'a> {
    wanted: &'a Mask,
    negated: bool,
    kept: Mask,
}

impl<'a> Sieve<'a> {
    pub fn new(wanted: &'a Mask, negated: bool) -> Self {
        Self { wanted, negated, kept: EMPTY }
    }

    pub fn wanted(&self) -> &'a Mask {
        self.wanted
    }

    pub fn into_kept(self) -> Mask {
        self.kept
    }

    /// Tests values that lie in a slice. Null rows are unknown.
    pub fn values<T: Copy>(&mut self, values: &[T], validity: Option<&Bitset>, piece: Piece, test: impl Fn(T) -> bool) {
        for (word, low, length, slot) in piece.words() {
            let wanted = self.wanted[word] >> low & low_bits(length) & valid_bits(validity, slot, length);
            if wanted == 0 {
                continue;
            }
            let hits = match values[slot..slot + length].as_array::<64>() {
                Some(values) if wanted.count_ones() >= DENSE_ROWS_MIN => dense(values, &test),
                _ => sparse(wanted, |bit| test(values[slot + bit])),
            };
            self.keep(word, low, wanted, hits);
        }
    }

    /// Tests rows one by one, by slot. Null rows are unknown.
    pub fn slots(&mut self, validity: Option<&Bitset>, piece: Piece, mut test: impl FnMut(usize) -> bool) {
        for (word, low, length, slot) in piece.words() {
            let wanted = self.wanted[word] >> low & low_bits(length) & valid_bits(validity, slot, length);
            if wanted != 0 {
                let hits = sparse(wanted, |bit| test(slot + bit));
                self.keep(word, low, wanted, hits);
            }
        }
    }

    /// Tests rows one by one, by slot and row of the block; `None` is unknown.
    pub fn outcomes(&mut self, piece: Piece, mut test: impl FnMut(usize, usize) -> Option<bool>) {
        for (word, low, length, slot) in piece.words() {
            let wanted = self.wanted[word] >> low & low_bits(length);
            let hits = sparse(wanted, |bit| test(slot + bit, word * 64 + low + bit) == Some(!self.negated));
            self.kept[word] |= hits << low;
        }
    }

    /// Lets through null rows.
    pub fn nulls(&mut self, validity: Option<&Bitset>, piece: Piece) {
        for (word, low, length, slot) in piece.words() {
            let wanted = self.wanted[word] >> low & low_bits(length);
            self.keep(word, low, wanted, !valid_bits(validity, slot, length));
        }
    }

    fn keep(&mut self, word: usize, low: usize, wanted: u64, hits: u64) {
        self.kept[word] |= (wanted & if self.negated { !hits } else { hits }) << low;
    }
}

/// The validity of `length` ≤ 64 slots from `slot` on.
fn valid_bits(validity: Option<&Bitset>, slot: usize, length: usize) -> u64 {
    let Some(validity) = validity else { return u64::MAX };
    let words = validity.words();
    let (word, shift) = (slot / 64, slot % 64);
    let low = words[word] >> shift;
    if shift + length <= 64 { low } else { low | words[word + 1] << (64 - shift) }
}

/// Tests 64 values at once.
fn dense<T: Copy>(values: &[T; 64], test: impl Fn(T) -> bool) -> u64 {
    // Two steps, since the compiler makes vectors of the first and eight multiplications of the second.
    let passed: [u8; 64] = std::array::from_fn(|i| u8::from(test(values[i])));
    let (groups, _) = passed.as_chunks::<8>();
    // Moves bit 8i to bit 56 + i for each of the eight bytes; no two products meet in one bit.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    groups.iter().enumerate().fold(0, |word, (i, group)| word | (u64::from_le_bytes(*group).wrapping_mul(GATHER) >> 56) << (8 * i))
}

/// Tests the set bits of `wanted`.
fn sparse(wanted: u64, mut test: impl FnMut(usize) -> bool) -> u64 {
    let (mut rest, mut hits) = (wanted, 0);
    while rest != 0 {
        let bit = rest.trailing_zeros();
        hits |= u64::from(test(bit as usize)) << bit;
        rest &= rest - 1;
    }
    hits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alignment_of_piece_and_slots() {
        let values: Vec<i32> = (0..400).map(|i| i * 7919 % 101).collect();
        let validity = Bitset::from_fn(400, |i| i % 5 != 1);
        let wanted: Mask =
            std::array::from_fn(|word| 0x9E37_79B9_7F4A_7C15u64.rotate_left(word as u32 * 7) | if word == 1 { u64::MAX } else { 0 });
        for bit in [0, 1, 63, 64, 65, 130] {
            for slot in [0, 1, 63, 64, 77] {
                for length in [1, 2, 63, 64, 65, 127, 128, 200] {
                    for (validity, negated) in [(None, false), (Some(&validity), false), (Some(&validity), true)] {
                        let piece = Piece { bit, slot, length };
                        let (mut a, mut b) = (Sieve::new(&wanted, negated), Sieve::new(&wanted, negated));
                        a.values(&values, validity, piece, |value| value < 50);
                        b.slots(validity, piece, |slot| values[slot] < 50);
                        let expected = |at: usize| {
                            let inside = (bit..bit + length).contains(&at);
                            let slot = (slot + at).wrapping_sub(bit);
                            inside
                                && wanted[at / 64] >> (at % 64) & 1 == 1
                                && validity.is_none_or(|validity| validity.get(slot))
                                && (values[slot] < 50) != negated
                        };
                        let expected: Mask =
                            std::array::from_fn(|word| (0..64).fold(0, |bits, i| bits | u64::from(expected(word * 64 + i)) << i));
                        assert_eq!(a.into_kept(), expected, "{bit} {slot} {length} {negated}");
                        assert_eq!(b.into_kept(), expected, "{bit} {slot} {length} {negated}");
                    }
                }
            }
        }
    }

    #[test]
    fn bits() {
        let mut mask = EMPTY;
        mask[1] = 1 << 5;
        mask[3] = 1;
        assert_eq!(next_one(&mask, 0, BLOCK_ROWS), Some(69));
        assert_eq!(next_one(&mask, 69, BLOCK_ROWS), Some(69));
        assert_eq!(next_one(&mask, 70, BLOCK_ROWS), Some(192));
        assert_eq!(next_one(&mask, 70, 192), None);
        assert_eq!(next_one(&mask, 193, BLOCK_ROWS), None);
        assert_eq!(next_one(&mask, BLOCK_ROWS, BLOCK_ROWS), None);
        assert_eq!(Block { first: 0, rows: 65 }.all()[..3], [u64::MAX, 1, 0]);
    }
}
