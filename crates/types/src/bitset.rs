//! A set of row offsets as one bit each: filters, visibility, validity. Bit set means "allowed", "visible", "present".

/// A fixed-length set of bits in 64-bit words; bits at and above the length are always clear.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bitset {
    words: Vec<u64>,
    length: usize,
}

impl Bitset {
    /// No bit of `length` is set.
    pub fn zeros(length: usize) -> Self {
        Self { words: vec![0; length.div_ceil(64)], length }
    }

    /// Every bit of `length` is set.
    pub fn ones(length: usize) -> Self {
        let mut set = Self { words: vec![u64::MAX; length.div_ceil(64)], length };
        set.clear_tail();
        set
    }

    /// Bit `i` is `bit(i)`.
    pub fn from_fn(length: usize, mut bit: impl FnMut(usize) -> bool) -> Self {
        let mut set = Self::zeros(length);
        for (w, word) in set.words.iter_mut().enumerate() {
            let low = w * 64;
            for i in low..length.min(low + 64) {
                *word |= u64::from(bit(i)) << (i - low);
            }
        }
        set
    }

    /// A set over given words, as stored. Bits at and above `length` are cleared.
    ///
    /// # Panics
    /// If the number of words isn't that of the length.
    pub fn from_words(words: Vec<u64>, length: usize) -> Self {
        assert_eq!(words.len(), length.div_ceil(64), "the words of a bitset cover its length");
        let mut set = Self { words, length };
        set.clear_tail();
        set
    }

    /// Number of bits.
    pub fn len(&self) -> usize {
        self.length
    }

    /// True where the set has no bits at all.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The words, lowest bits first.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Whether bit `i` is set. Panics beyond the length.
    pub fn get(&self, i: usize) -> bool {
        debug_assert!(i < self.length);
        self.words[i / 64] >> (i % 64) & 1 == 1
    }

    /// Sets bit `i` to `value`.
    pub fn set(&mut self, i: usize, value: bool) {
        assert!(i < self.length, "bit {i} of {}", self.length);
        let mask = 1u64 << (i % 64);
        if value {
            self.words[i / 64] |= mask;
        } else {
            self.words[i / 64] &= !mask;
        }
    }

    /// Appends a bit.
    pub fn push(&mut self, value: bool) {
        if self.length.is_multiple_of(64) {
            self.words.push(0);
        }
        self.length += 1;
        self.set(self.length - 1, value);
    }

    /// How many bits are set.
    pub fn count_ones(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether every bit is set.
    pub fn all(&self) -> bool {
        self.count_ones() == self.length
    }

    /// Whether any bit is set.
    pub fn any(&self) -> bool {
        self.words.iter().any(|&word| word != 0)
    }

    /// Keeps the bits that `other` has too. Panics where lengths differ.
    pub fn and(&mut self, other: &Self) {
        self.zip(other, |a, b| a & b);
    }

    /// Adds the bits of `other`. Panics where lengths differ.
    pub fn or(&mut self, other: &Self) {
        self.zip(other, |a, b| a | b);
    }

    /// Removes the bits of `other`. Panics where lengths differ.
    pub fn and_not(&mut self, other: &Self) {
        self.zip(other, |a, b| a & !b);
    }

    /// Turns every bit over.
    pub fn invert(&mut self) {
        for word in &mut self.words {
            *word = !*word;
        }
        self.clear_tail();
    }

    /// The offsets of set bits, ascending.
    pub fn iter_ones(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(w, &word)| {
            std::iter::successors(Some(word), |&rest| Some(rest & rest.wrapping_sub(1)))
                .take_while(|&rest| rest != 0)
                .map(move |rest| w * 64 + rest.trailing_zeros() as usize)
        })
    }

    /// Number of set bits below `i`: the slot of row `i` in a column that keeps present rows only.
    pub fn rank(&self, i: usize) -> usize {
        debug_assert!(i <= self.length);
        let whole: usize = self.words[..i / 64].iter().map(|word| word.count_ones() as usize).sum();
        match i % 64 {
            0 => whole,
            bits => whole + (self.words[i / 64] & ((1 << bits) - 1)).count_ones() as usize,
        }
    }

    fn zip(&mut self, other: &Self, op: impl Fn(u64, u64) -> u64) {
        assert_eq!(self.length, other.length, "bitsets of one length are combined");
        for (a, &b) in self.words.iter_mut().zip(&other.words) {
            *a = op(*a, b);
        }
    }

    fn clear_tail(&mut self) {
        if let (Some(last), bits @ 1..) = (self.words.last_mut(), self.length % 64) {
            *last &= (1 << bits) - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_vector_of_bools() {
        for length in 0..=200 {
            let model: Vec<bool> = (0..length).map(|i| i % 3 == 0 || i % 7 == 2).collect();
            let mut set = Bitset::from_fn(length, |i| model[i]);
            assert_eq!(set.count_ones(), model.iter().filter(|&&b| b).count());
            let ones: Vec<usize> = (0..length).filter(|&i| model[i]).collect();
            assert_eq!(set.iter_ones().collect::<Vec<_>>(), ones);
            for i in 0..=length {
                assert_eq!(set.rank(i), ones.iter().filter(|&&o| o < i).count());
            }
            let mut pushed = Bitset::default();
            model.iter().for_each(|&b| pushed.push(b));
            assert_eq!(pushed, set);
            set.invert();
            assert_eq!(set.count_ones(), length - ones.len());
            set.or(&pushed);
            assert_eq!(set, Bitset::ones(length));
            set.and_not(&pushed);
            set.and(&pushed);
            assert!(!set.any());
        }
    }
}
