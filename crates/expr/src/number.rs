//! Numbers as a filter compares them: integers and floats against each other by value, never through a rounding conversion.
//!
//! Every comparison with a constant becomes an inclusive range, [`Integers`] or [`Floats`], when the plan is made, so that a scan has
//! one kind of loop. Not here: arithmetic on columns (`arithmetic`).
//!
//! Invariants: a constant is finite; an empty range has `low > high`; a NaN lies in no range.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// A numeric constant.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub enum Number {
    /// An integer.
    Int(i64),
    /// Finite.
    Float(#[serde(with = "bits")] f64),
}

impl Number {
    /// The nearest float.
    pub fn to_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    /// The integer with exactly this value, if there is one.
    pub fn to_integer(self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(value),
            Self::Float(value) => exact_integer(value),
        }
    }

    /// The float with exactly this value, if there is one.
    pub fn to_exact_f64(self) -> Option<f64> {
        match self {
            Self::Int(value) => (value as f64 as i128 == i128::from(value)).then_some(value as f64),
            Self::Float(value) => Some(value),
        }
    }

    /// Order by value. `None` if either is NaN.
    pub fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(&b)),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b),
            (Self::Int(a), Self::Float(b)) => compare_exactly(a.into(), b),
            (Self::Float(a), Self::Int(b)) => compare_exactly(b.into(), a).map(Ordering::reverse),
        }
    }
}

/// The `i64` with exactly the value of `float`, if there is one.
pub(crate) fn exact_integer(float: f64) -> Option<i64> {
    // 2^63 is the first float above the range; -2^63 is in it.
    let in_range = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&float);
    (in_range && float.fract() == 0.0).then_some(float as i64)
}

/// Order of an integer and a float by value. `None` if the float is NaN.
pub(crate) fn compare_exactly(integer: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    // The cast saturates, and no integer here is as large as what it saturates to.
    let whole = float.trunc() as i128;
    Some(integer.cmp(&whole).then_with(|| 0.0.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal)))
}

/// How two values are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum CompareOp {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
}

impl CompareOp {
    /// The operator that says the same with its sides swapped.
    pub fn swapped(self) -> Self {
        match self {
            Self::Equal => Self::Equal,
            Self::NotEqual => Self::NotEqual,
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
        }
    }

    /// Whether values in this order fulfil it; `None` is the order of a NaN, which differs from everything.
    pub fn holds(self, order: Option<Ordering>) -> bool {
        match self {
            Self::Equal => order == Some(Ordering::Equal),
            Self::NotEqual => order != Some(Ordering::Equal),
            Self::Less => order == Some(Ordering::Less),
            Self::LessEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::Greater => order == Some(Ordering::Greater),
            Self::GreaterEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    }

    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
        }
    }
}

/// Integers from `low` to `high`, both included. Wider than any column, so that bounds need no special cases.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Integers {
    /// The least.
    #[serde(with = "wide")]
    pub low: i128,
    /// The greatest.
    #[serde(with = "wide")]
    pub high: i128,
}

impl Integers {
    /// All of them.
    pub const ALL: Self = Self { low: i128::MIN, high: i128::MAX };

    /// The integers `x` with `x op bound`. `NotEqual` gives those of `Equal`: its caller negates the test.
    pub fn that(op: CompareOp, bound: Number) -> Self {
        let (floor, ceiling) = match bound {
            Number::Int(value) => (i128::from(value), i128::from(value)),
            Number::Float(value) => (value.floor() as i128, value.ceil() as i128),
        };
        match op {
            CompareOp::Equal | CompareOp::NotEqual => Self { low: ceiling, high: floor },
            CompareOp::Less => Self { high: ceiling.saturating_sub(1), ..Self::ALL },
            CompareOp::LessEqual => Self { high: floor, ..Self::ALL },
            CompareOp::Greater => Self { low: floor.saturating_add(1), ..Self::ALL },
            CompareOp::GreaterEqual => Self { low: ceiling, ..Self::ALL },
        }
    }

    /// Those in both.
    pub fn and(self, other: Self) -> Self {
        Self { low: self.low.max(other.low), high: self.high.min(other.high) }
    }

    /// Those `x` for which `x + offset` is in the range.
    pub fn shifted_down(self, offset: i128) -> Self {
        // An open end stays open.
        let shift = |end: i128, open: i128| if end == open { open } else { end.saturating_sub(offset) };
        Self { low: shift(self.low, i128::MIN), high: shift(self.high, i128::MAX) }
    }

    /// Whether it holds `value`.
    pub fn contains(self, value: i128) -> bool {
        self.low <= value && value <= self.high
    }

    /// The part of it between `low` and `high`, `None` if nothing is.
    pub fn within(self, low: i64, high: i64) -> Option<(i64, i64)> {
        let (low, high) = (self.low.max(low.into()), self.high.min(high.into()));
        (low <= high).then_some((low as i64, high as i64))
    }

    /// The one `i64` in it.
    pub fn single(self) -> Option<i64> {
        (self.low == self.high).then(|| i64::try_from(self.low).ok()).flatten()
    }
}

/// Floats from `low` to `high`, both included.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Floats {
    /// The least.
    #[serde(with = "bits")]
    pub low: f64,
    /// The greatest.
    #[serde(with = "bits")]
    pub high: f64,
}

impl Floats {
    /// All of them.
    pub const ALL: Self = Self { low: f64::NEG_INFINITY, high: f64::INFINITY };
    /// None of them.
    pub const NONE: Self = Self { low: f64::INFINITY, high: f64::NEG_INFINITY };

    /// The doubles `x` with `x op bound`, exactly. `NotEqual` gives those of `Equal`: its caller negates the test.
    pub fn that(op: CompareOp, bound: Number) -> Self {
        let nearest = bound.to_f64();
        match bound {
            Number::Float(_) => Self::bounded(op, nearest, nearest.next_down(), nearest.next_up()),
            Number::Int(value) => match compare_exactly(value.into(), nearest) {
                Some(Ordering::Less) => Self::between(op, nearest.next_down(), nearest),
                Some(Ordering::Greater) => Self::between(op, nearest, nearest.next_up()),
                _ => Self::bounded(op, nearest, nearest.next_down(), nearest.next_up()),
            },
        }
    }

    /// The single-precision floats `x` with `x op bound`. A float bound is rounded to single precision first, as Milvus does, so
    /// that `f == 0.1` finds what was stored as 0.1; an integer bound is exact.
    pub fn that_single(op: CompareOp, bound: Number) -> Self {
        let Number::Float(value) = bound else { return Self::that(op, bound) };
        let rounded = value as f32;
        if rounded.is_infinite() {
            return Self::that(op, bound);
        }
        Self::bounded(op, rounded.into(), rounded.next_down().into(), rounded.next_up().into())
    }

    /// Those in both.
    pub fn and(self, other: Self) -> Self {
        Self { low: self.low.max(other.low), high: self.high.min(other.high) }
    }

    /// Whether it holds `value`.
    pub fn contains(self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// The one value in it.
    pub fn single(self) -> Option<f64> {
        (self.low == self.high).then_some(self.low)
    }

    fn bounded(op: CompareOp, bound: f64, below: f64, above: f64) -> Self {
        match op {
            CompareOp::Equal | CompareOp::NotEqual => Self { low: bound, high: bound },
            CompareOp::Less => Self { high: below, ..Self::ALL },
            CompareOp::LessEqual => Self { high: bound, ..Self::ALL },
            CompareOp::Greater => Self { low: above, ..Self::ALL },
            CompareOp::GreaterEqual => Self { low: bound, ..Self::ALL },
        }
    }

    /// The bound lies strictly between two neighbouring floats.
    fn between(op: CompareOp, below: f64, above: f64) -> Self {
        match op {
            CompareOp::Equal | CompareOp::NotEqual => Self::NONE,
            CompareOp::Less | CompareOp::LessEqual => Self { high: below, ..Self::ALL },
            CompareOp::Greater | CompareOp::GreaterEqual => Self { low: above, ..Self::ALL },
        }
    }
}

/// Stores a float as its bits: text forms of a plan then keep it exactly, infinities too.
pub(crate) mod bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        value.to_bits().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        u64::deserialize(deserializer).map(f64::from_bits)
    }
}

/// Stores a wide integer as its upper and lower half: not every format, nor every way through serde, has 128 bits.
mod wide {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(value: &i128, serializer: S) -> Result<S::Ok, S::Error> {
        ((value >> 64) as i64, *value as u64).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
        let (upper, lower) = <(i64, u64)>::deserialize(deserializer)?;
        Ok(i128::from(upper) << 64 | i128::from(lower))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPS: [CompareOp; 6] =
        [CompareOp::Equal, CompareOp::NotEqual, CompareOp::Less, CompareOp::LessEqual, CompareOp::Greater, CompareOp::GreaterEqual];

    fn interesting() -> Vec<Number> {
        let floats = [0.0, -0.0, 0.5, -0.5, 1.0, -1.5, 9007199254740992.0, 9.223372036854776e18, -9.223372036854776e18, 1e300, -1e300];
        let integers = [0, 1, -1, 9007199254740991, 9007199254740992, 9007199254740993, i64::MAX, i64::MAX - 1, i64::MIN, i64::MIN + 1];
        floats.into_iter().map(Number::Float).chain(integers.into_iter().map(Number::Int)).collect()
    }

    #[test]
    fn ranges_say_what_comparisons_say() {
        for op in OPS {
            for bound in interesting() {
                for value in interesting() {
                    let expected = op.holds(value.compare(bound));
                    let found = match value {
                        Number::Int(value) => Integers::that(op, bound).contains(value.into()),
                        Number::Float(value) => Floats::that(op, bound).contains(value),
                    };
                    assert_eq!(found != (op == CompareOp::NotEqual), expected, "{value:?} {op:?} {bound:?}");
                }
            }
        }
    }

    #[test]
    fn order_is_by_value_beyond_the_integers_of_a_double() {
        let check = |a, b, order| assert_eq!(Number::compare(a, b), order, "{a:?} {b:?}");
        check(Number::Int(9007199254740993), Number::Float(9007199254740992.0), Some(Ordering::Greater));
        check(Number::Int(i64::MAX), Number::Float(9.223372036854776e18), Some(Ordering::Less));
        check(Number::Int(i64::MIN), Number::Float(-9.223372036854776e18), Some(Ordering::Equal));
        check(Number::Float(-0.5), Number::Int(0), Some(Ordering::Less));
        check(Number::Float(-1.5), Number::Int(-1), Some(Ordering::Less));
        check(Number::Float(-1.5), Number::Int(-2), Some(Ordering::Greater));
        check(Number::Float(f64::NAN), Number::Int(0), None);
    }

    #[test]
    fn single_precision_rounds_floats_and_not_integers() {
        let check = |op, bound, value: f32, expected| {
            assert_eq!(Floats::that_single(op, bound).contains(value.into()), expected, "{value} {op:?} {bound:?}");
        };
        check(CompareOp::Equal, Number::Float(0.1), 0.1, true);
        check(CompareOp::Less, Number::Float(0.1), 0.1, false);
        check(CompareOp::Less, Number::Float(0.1), 0.099_999_99, true);
        check(CompareOp::Equal, Number::Int(16_777_217), 16_777_216.0, false);
        check(CompareOp::Greater, Number::Float(1e300), f32::MAX, false);
        check(CompareOp::Less, Number::Float(1e300), f32::MAX, true);
        check(CompareOp::Less, Number::Float(1e300), f32::INFINITY, false);
    }
}
