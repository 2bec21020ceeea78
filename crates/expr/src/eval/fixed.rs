//! Tests of fixed-width columns, and of pairs of columns.

use std::cmp::Ordering;
use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use types::Result;
use types::column::{Column, Values};

use crate::arithmetic;
use crate::columns::ColumnView;
use crate::number::{CompareOp, Floats, Number};
use crate::predicate::{ArithmeticOp, FloatValues, IntegerValues, Numbers};
use crate::set::{FloatSet, IntegerScan};

use super::scan::{Piece, Sieve};
use super::text::Texts;
use super::wrong_type;

/// A Bool or integer column.
pub(super) fn integers(sieve: &mut Sieve<'_>, view: &ColumnView<'_>, piece: Piece, within: &IntegerValues) -> Result<()> {
    let scan = Integral { view, piece, within };
    match &view.column().values {
        Values::Bool(values) => scan.run(sieve, values, [0, 1]),
        Values::Int8(values) => scan.run(sieve, values, [i8::MIN, i8::MAX]),
        Values::Int16(values) => scan.run(sieve, values, [i16::MIN, i16::MAX]),
        Values::Int32(values) => scan.run(sieve, values, [i32::MIN, i32::MAX]),
        Values::Int64(values) => scan.run(sieve, values, [i64::MIN, i64::MAX]),
        _ => return Err(wrong_type(view, "an integer")),
    }
    Ok(())
}

/// What a scan of integers needs, whatever their width.
struct Integral<'a> {
    view: &'a ColumnView<'a>,
    piece: Piece,
    within: &'a IntegerValues,
}

impl Integral<'_> {
    /// `ends` are the least and the greatest value of the type.
    fn run<T: Copy + PartialOrd + Into<i64> + TryFrom<i64>>(&self, sieve: &mut Sieve<'_>, values: &[T], ends: [T; 2]) {
        let column = self.view.column();
        match self.within {
            IntegerValues::In(set) => set.probe(Scan { sieve, column, piece: self.piece, values, key: |value: T| value.into() }),
            IntegerValues::Range(range) => {
                let ends = range.within(ends[0].into(), ends[1].into());
                let ends = ends.and_then(|(low, high)| T::try_from(low).ok().zip(T::try_from(high).ok()));
                let validity = column.validity.as_ref();
                match ends {
                    Some((low, high)) => sieve.values(values, validity, self.piece, |value| (low <= value) & (value <= high)),
                    None => sieve.values(values, validity, self.piece, |_| false),
                }
            }
        }
    }
}

/// A scan of a column that a set's own test is put into.
struct Scan<'s, 'm, 'v, T, K> {
    sieve: &'s mut Sieve<'m>,
    column: &'v Column,
    piece: Piece,
    values: &'v [T],
    /// What the set knows a value by.
    key: K,
}

impl<T: Copy, K: Fn(T) -> i64> IntegerScan for Scan<'_, '_, '_, T, K> {
    type Output = ();

    fn run(self, test: impl Fn(i64) -> bool) {
        self.sieve.values(self.values, self.column.validity.as_ref(), self.piece, |value| test((self.key)(value)));
    }
}

/// A column of keys: those whose hash with a seed lies below a bound.
pub(super) fn sample(sieve: &mut Sieve<'_>, view: &ColumnView<'_>, piece: Piece, (seed, below): (u64, u64)) -> Result<()> {
    let hash = FixedState::with_seed(seed);
    match &view.column().values {
        Values::Int64(keys) => sieve.slots(None, piece, |slot| hash.hash_one(keys[slot]) < below),
        Values::VarChar(keys) => {
            let keys = Texts::of(keys);
            sieve.slots(None, piece, |slot| hash.hash_one(keys.get(slot)) < below);
        }
        _ => return Err(wrong_type(view, "a key")),
    }
    Ok(())
}

/// A Float or Double column.
pub(super) fn floats(sieve: &mut Sieve<'_>, view: &ColumnView<'_>, piece: Piece, within: &FloatValues) -> Result<()> {
    match &view.column().values {
        Values::Float(values) => float_values(sieve, view, piece, (values, within)),
        Values::Double(values) => float_values(sieve, view, piece, (values, within)),
        _ => return Err(wrong_type(view, "a float")),
    }
    Ok(())
}

fn float_values<T: Copy + Into<f64>>(sieve: &mut Sieve<'_>, view: &ColumnView<'_>, piece: Piece, (values, within): (&[T], &FloatValues)) {
    match within {
        FloatValues::Range(Floats { low, high }) => sieve.values(values, view.column().validity.as_ref(), piece, |value| {
            let value = value.into();
            (*low <= value) & (value <= *high)
        }),
        FloatValues::In(set) => {
            let key = |value: T| FloatSet::key(value.into());
            set.keys().probe(Scan { sieve, column: view.column(), piece, values, key });
        }
    }
}

/// `value op operand` within a range.
pub(super) struct Operation<'a> {
    pub op: ArithmeticOp,
    pub operand: Number,
    pub within: &'a Numbers,
}

/// Arithmetic on a numeric column.
pub(super) fn arithmetic(sieve: &mut Sieve<'_>, view: &ColumnView<'_>, piece: Piece, operation: &Operation<'_>) -> Result<()> {
    let validity = view.column().validity.as_ref();
    let Operation { op, operand, within } = *operation;
    match &view.column().values {
        Values::Float(values) => {
            let operand = operand.to_f64() as f32;
            sieve.values(values, validity, piece, |value| within.floats.contains(arithmetic::singles(op, value, operand).into()));
        }
        Values::Double(values) => {
            let operand = operand.to_f64();
            sieve.values(values, validity, piece, |value| within.floats.contains(arithmetic::doubles(op, value, operand)));
        }
        Values::Int8(values) => operation.integers(sieve, view, piece, values),
        Values::Int16(values) => operation.integers(sieve, view, piece, values),
        Values::Int32(values) => operation.integers(sieve, view, piece, values),
        Values::Int64(values) => operation.integers(sieve, view, piece, values),
        _ => return Err(wrong_type(view, "a number")),
    }
    Ok(())
}

impl Operation<'_> {
    fn integers<T: Copy + Into<i64>>(&self, sieve: &mut Sieve<'_>, view: &ColumnView<'_>, piece: Piece, values: &[T]) {
        let validity = view.column().validity.as_ref();
        let Self { op, operand, within } = *self;
        match operand {
            Number::Int(operand) => sieve
                .values(values, validity, piece, |value| within.integers.contains(arithmetic::integers(op, value.into().into(), operand))),
            Number::Float(operand) => {
                sieve.values(values, validity, piece, |value| within.floats.contains(arithmetic::doubles(op, value.into() as f64, operand)))
            }
        }
    }
}

/// Two columns, over the same rows in slots of their own. Null on either side is unknown.
pub(super) fn pair(sieve: &mut Sieve<'_>, views: [&ColumnView<'_>; 2], pieces: [Piece; 2], op: CompareOp) -> Result<()> {
    let [left, right] = views.map(ColumnView::column);
    let order: fn(&Values, usize, &Values, usize) -> Option<Ordering> = match (&left.values, &right.values) {
        (Values::VarChar(_), Values::VarChar(_)) => |left, a, right, b| Some(text_at(left, a).cmp(text_at(right, b))),
        (a, b) if number_at(a, pieces[0].slot).is_some() && number_at(b, pieces[1].slot).is_some() => {
            |left, a, right, b| number_at(left, a)?.compare(number_at(right, b)?)
        }
        (Values::VarChar(_), _) => return Err(wrong_type(views[1], "a text")),
        _ => return Err(wrong_type(views[0], "a number")),
    };
    let (a, b) = (pieces[0].slot, pieces[1].slot);
    sieve.outcomes(pieces[0], |slot, _| {
        let other = slot - a + b;
        (left.is_valid(slot) && right.is_valid(other)).then(|| op.holds(order(&left.values, slot, &right.values, other)))
    });
    Ok(())
}

fn text_at(values: &Values, slot: usize) -> &[u8] {
    match values {
        Values::VarChar(texts) => Texts::of(texts).get(slot),
        _ => &[],
    }
}

fn number_at(values: &Values, slot: usize) -> Option<Number> {
    Some(match values {
        Values::Bool(values) => Number::Int(values[slot].into()),
        Values::Int8(values) => Number::Int(values[slot].into()),
        Values::Int16(values) => Number::Int(values[slot].into()),
        Values::Int32(values) => Number::Int(values[slot].into()),
        Values::Int64(values) => Number::Int(values[slot]),
        Values::Float(values) => Number::Float(values[slot].into()),
        Values::Double(values) => Number::Float(values[slot]),
        _ => return None,
    })
}
