//! Sets of constants as `in` needs them: sorted for those who read a plan, with an index for those who probe every row.
//!
//! Invariants: members are sorted and distinct; equality and the stored form are those of the members alone; a probe is bounded however the
//! members were chosen (a table with a long run of collisions gives way to binary search).

use std::fmt;
use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};

use foldhash::fast::FixedState;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::number::exact_integer;

/// Slots looked at in one probe, at most.
const PROBES_MAX: usize = 16;
/// Below this many members binary search is as good as a table.
const TABLE_MEMBERS_MIN: usize = 9;
/// A set whose span is at most this many times its size is a bitmap.
const DENSE_SPAN_FACTOR: u64 = 64;

/// A set of integers.
#[derive(Clone)]
pub struct IntegerSet {
    members: Vec<i64>,
    index: OnceLock<IntegerIndex>,
}

#[derive(Clone)]
enum IntegerIndex {
    /// Bit `x - first`.
    Dense {
        first: i64,
        words: Vec<u64>,
    },
    /// Open addressing; empty slots hold `absent`, which is no member.
    Table {
        slots: Vec<i64>,
        shift: u32,
        absent: i64,
    },
    Sorted,
}

impl IntegerSet {
    /// The distinct values of `values`.
    pub fn new(mut values: Vec<i64>) -> Self {
        values.sort_unstable();
        values.dedup();
        Self { members: values, index: OnceLock::new() }
    }

    /// The members, ascending.
    pub fn members(&self) -> &[i64] {
        &self.members
    }

    /// Where `value` stands among the members.
    pub fn position(&self, value: i64) -> Option<usize> {
        self.members.binary_search(&value).ok()
    }

    /// Calls `scan` with the test that suits the set best, so that a loop over rows decides that once.
    pub(crate) fn probe<S: IntegerScan>(&self, scan: S) -> S::Output {
        match self.index.get_or_init(|| self.build()) {
            IntegerIndex::Dense { first, words } => scan.run(|value: i64| {
                let at = value.wrapping_sub(*first) as u64;
                words.get((at / 64) as usize).is_some_and(|word| word >> (at % 64) & 1 == 1)
            }),
            IntegerIndex::Table { slots, shift, absent } => scan.run(|value: i64| {
                let mut at = home(value, *shift);
                loop {
                    let slot = slots[at];
                    if slot == value || slot == *absent {
                        return slot == value && value != *absent;
                    }
                    at = (at + 1) & (slots.len() - 1);
                }
            }),
            IntegerIndex::Sorted => scan.run(|value: i64| self.members.binary_search(&value).is_ok()),
        }
    }

    /// Whether `value` is a member.
    pub fn contains(&self, value: i64) -> bool {
        struct One(i64);
        impl IntegerScan for One {
            type Output = bool;
            fn run(self, test: impl Fn(i64) -> bool) -> bool {
                test(self.0)
            }
        }
        self.probe(One(value))
    }

    fn build(&self) -> IntegerIndex {
        let (Some(&first), Some(&last)) = (self.members.first(), self.members.last()) else {
            return IntegerIndex::Sorted;
        };
        let span = last.abs_diff(first);
        if span <= DENSE_SPAN_FACTOR * self.members.len() as u64 {
            let mut words = vec![0u64; (span / 64 + 1) as usize];
            for &member in &self.members {
                let at = member.abs_diff(first);
                words[(at / 64) as usize] |= 1 << (at % 64);
            }
            return IntegerIndex::Dense { first, words };
        }
        if self.members.len() < TABLE_MEMBERS_MIN { IntegerIndex::Sorted } else { self.table().unwrap_or(IntegerIndex::Sorted) }
    }

    fn table(&self) -> Option<IntegerIndex> {
        let absent = (i64::MIN..).zip(&self.members).find(|&(candidate, &member)| candidate != member).map(|(candidate, _)| candidate)?;
        let capacity = (self.members.len() * 4).next_power_of_two();
        let shift = 64 - capacity.trailing_zeros();
        let mut slots = vec![absent; capacity];
        for &member in &self.members {
            let mut at = home(member, shift);
            let mut probes = 1;
            while slots[at] != absent {
                at = (at + 1) & (capacity - 1);
                probes += 1;
                if probes > PROBES_MAX {
                    return None;
                }
            }
            slots[at] = member;
        }
        Some(IntegerIndex::Table { slots, shift, absent })
    }
}

/// Something that is done with a membership test: [`IntegerSet::probe`].
pub(crate) trait IntegerScan {
    type Output;
    fn run(self, test: impl Fn(i64) -> bool) -> Self::Output;
}

/// The slot where a probe for `value` begins, in a table of 2^(64 - shift) slots.
fn home(value: i64, shift: u32) -> usize {
    const FIBONACCI: u64 = 0x9E37_79B9_7F4A_7C15;
    ((value as u64).wrapping_mul(FIBONACCI) >> shift) as usize
}

/// A set of floats, by value: 0.0 and -0.0 are one member. NaN never is.
#[derive(Clone, PartialEq)]
pub struct FloatSet {
    /// The bits of the members, negative zero apart.
    bits: IntegerSet,
}

impl FloatSet {
    /// The distinct values of `values`, none of which is NaN.
    pub fn new(values: impl IntoIterator<Item = f64>) -> Self {
        Self { bits: IntegerSet::new(values.into_iter().map(Self::key).collect()) }
    }

    /// What stands for a value in [`Self::keys`].
    pub(crate) fn key(value: f64) -> i64 {
        // -0.0 + 0.0 is 0.0.
        (value + 0.0).to_bits() as i64
    }

    /// The members by [`Self::key`].
    pub(crate) fn keys(&self) -> &IntegerSet {
        &self.bits
    }

    /// The members, ascending.
    pub fn members(&self) -> Vec<f64> {
        let mut members: Vec<f64> = self.bits.members.iter().map(|&bits| f64::from_bits(bits as u64)).collect();
        members.sort_unstable_by(f64::total_cmp);
        members
    }

    /// Whether `value` is a member.
    pub fn contains(&self, value: f64) -> bool {
        self.bits.contains(Self::key(value))
    }
}

/// A set of texts.
#[derive(Clone)]
pub struct TextSet {
    members: Vec<Arc<str>>,
    /// (hash, position + 1) per slot, `position` 0 for an empty one; `None` where binary search is as good.
    table: OnceLock<Option<Vec<(u32, u32)>>>,
}

impl TextSet {
    /// The distinct texts of `values`.
    pub fn new(mut values: Vec<Arc<str>>) -> Self {
        values.sort_unstable();
        values.dedup();
        Self { members: values, table: OnceLock::new() }
    }

    /// The members, ascending bytewise.
    pub fn members(&self) -> &[Arc<str>] {
        &self.members
    }

    /// Where `text` stands among the members.
    pub fn position(&self, text: &[u8]) -> Option<usize> {
        if let [member] = &self.members[..] {
            return (member.as_bytes() == text).then_some(0);
        }
        let Some(table) = self.table.get_or_init(|| self.build()) else {
            return self.members.binary_search_by(|member| member.as_bytes().cmp(text)).ok();
        };
        let hash = hash(text);
        let mut at = hash as usize & (table.len() - 1);
        loop {
            let (tag, position) = table[at];
            if position == 0 {
                return None;
            }
            let position = position as usize - 1;
            if tag == hash && self.members[position].as_bytes() == text {
                return Some(position);
            }
            at = (at + 1) & (table.len() - 1);
        }
    }

    /// Whether `text` is a member.
    pub fn contains(&self, text: &[u8]) -> bool {
        self.position(text).is_some()
    }

    fn build(&self) -> Option<Vec<(u32, u32)>> {
        if self.members.len() < TABLE_MEMBERS_MIN {
            return None;
        }
        let capacity = (self.members.len() * 4).next_power_of_two();
        let mut table = vec![(0, 0); capacity];
        for (position, member) in self.members.iter().enumerate() {
            let hash = hash(member.as_bytes());
            let mut at = hash as usize & (capacity - 1);
            let mut probes = 1;
            while table[at].1 != 0 {
                at = (at + 1) & (capacity - 1);
                probes += 1;
                if probes > PROBES_MAX {
                    return None;
                }
            }
            table[at] = (hash, position as u32 + 1);
        }
        Some(table)
    }
}

fn hash(text: &[u8]) -> u32 {
    (FixedState::default().hash_one(text) >> 32) as u32
}

impl PartialEq for IntegerSet {
    fn eq(&self, other: &Self) -> bool {
        self.members == other.members
    }
}

impl PartialEq for TextSet {
    fn eq(&self, other: &Self) -> bool {
        self.members == other.members
    }
}

impl fmt::Debug for IntegerSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.members).finish()
    }
}

impl fmt::Debug for FloatSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.members()).finish()
    }
}

impl fmt::Debug for TextSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.members).finish()
    }
}

impl Serialize for IntegerSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.members.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for IntegerSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::new)
    }
}

impl Serialize for FloatSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.bits.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FloatSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IntegerSet::deserialize(deserializer).map(|bits| Self { bits })
    }
}

impl Serialize for TextSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.members.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TextSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::new)
    }
}

/// The number as a set of integers and floats files it: with the integers if it equals one.
pub(crate) fn filed(value: f64) -> Result<i64, f64> {
    exact_integer(value).ok_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integer_sets_agree_with_a_search() {
        let spread = |count: i64, step: i64| (0..count).map(|i| i.wrapping_mul(step)).collect::<Vec<_>>();
        // Multiples of 2^60 share their upper hash bits: a table of them would be one run.
        let colliding = (0..5000i64).map(|i| i << 44).collect();
        let cases = [
            vec![],
            vec![7],
            vec![i64::MIN, i64::MAX],
            vec![i64::MIN, i64::MIN + 1, 0, 5, 900, 100_000, 1 << 40, 1 << 50, 1 << 60, i64::MAX],
            spread(20, 1),
            spread(20, 1 << 40),
            spread(5000, 0x1234_5678_9ABC_DEF1),
            colliding,
        ];
        for values in cases {
            let set = IntegerSet::new(values.clone());
            let near = values.iter().flat_map(|&value| [value, value.wrapping_add(1), value.wrapping_sub(1)]);
            for value in near.chain([0, 1, -1, i64::MIN, i64::MIN + 2, i64::MAX]) {
                assert_eq!(set.contains(value), values.contains(&value), "{value} in {} values", values.len());
                assert_eq!(set.position(value).map(|at| set.members()[at]), values.contains(&value).then_some(value));
            }
        }
    }

    #[test]
    fn float_sets_go_by_value() {
        let set = FloatSet::new([0.0, 1.5, -2.0, 1e300]);
        for (value, expected) in [(0.0, true), (-0.0, true), (1.5, true), (-2.0, true), (2.0, false), (f64::NAN, false), (1e300, true)] {
            assert_eq!(set.contains(value), expected, "{value}");
        }
        assert_eq!(set.members(), [-2.0, 0.0, 1.5, 1e300]);
    }

    #[test]
    fn text_sets_agree_with_a_search() {
        for count in [0usize, 1, 2, 8, 9, 1000] {
            let texts: Vec<Arc<str>> = (0..count).map(|i| format!("text {}", i * 7).into()).collect();
            let set = TextSet::new(texts.clone());
            for i in 0..count * 7 + 3 {
                let text = format!("text {i}");
                let expected = texts.iter().any(|other| **other == text);
                assert_eq!(set.contains(text.as_bytes()), expected, "{text} of {count}");
            }
        }
    }
}
