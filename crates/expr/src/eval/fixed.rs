//! Tests of fixed-width columns, and of pairs of columns.

use std::cmp::Ordering;

use types::Result;
use types::column::{Column, Values};

use crate::arithmetic;
use crate::columns::ColumnView;
use crate::number::{CompareOp, Floats, Integers, Number};
use crate::predicate::{ArithmeticOp, FloatValues, IntegerValues, Numbers};
use crate::set::{FloatSet, IntegerScan};

use super::scan::{Piece, Sieve};
use super::text;
use super::wrong_type;

/// Calls `$body` with the values of an integer column as `$values`, of type `$type`.
macro_rules! with_integers {
    ($view:expr, $values:ident: $type:ident => $body:expr) => {{
        macro_rules! arm {
            ($found:expr, $t:ty) => {{
                type $type = $t;
                let $values: &[$type] = $found;
                $body
            }};
        }
        match &$view.column().values {
            Values::Bool(values) => arm!(values, u8),
            Values::Int8(values) => arm!(values, i8),
            Values::Int16(values) => arm!(values, i16),
            Values::Int32(values) => arm!(values, i32),
            Values::Int64(values) => arm!(values, i64),
            _ => return Err(wrong_type($view, "an integer")),
        }
    }};
}

/// A Bool or integer column.
pub(super) fn integers(sieve: &mut Sieve<'_>, view: &ColumnView<'_>, piece: Piece, within: &IntegerValues) -> Result<()> {
    with_integers!(view, values: T => match within {
        IntegerValues::Range(range) => integer_range(sieve, view, piece, (values, range_of::<T>(*range))),
        IntegerValues::In(set) => set.probe(Scan { sieve, validity: view.column(), piece, values, key: |value: T| i64::from(value) }),
    });
    Ok(())
}

/// The part of a range that values of `T` may be in.
fn range_of<T: Bounded>(range: Integers) -> Option<(T, T)> {
    range.within(T::LEAST.into(), T::MOST.into()).map(|(low, high)| (T::narrow(low), T::narrow(high)))
}

/// What the integer types have and no trait of the standard library gives.
trait Bounded: Copy + Into<i64> {
    const LEAST: Self;
    const MOST: Self;
    /// Of a value between the two.
    fn narrow(value: i64) -> Self;
}

macro_rules! bounded {
    ($($type:ty)*) => {$(
        impl Bounded for $type {
            const LEAST: Self = Self::MIN;
            const MOST: Self = Self::MAX;

            fn narrow(value: i64) -> Self {
                value as Self
            }
        }
    )*};
}

bounded!(u8 i8 i16 i32 i64);

fn integer_range<T: Copy + PartialOrd>(
    sieve: &mut Sieve<'_>,
    view: &ColumnView<'_>,
    piece: Piece,
    (values, range): (&[T], Option<(T, T)>),
) {
    let validity = view.column().validity.as_ref();
    match range {
        None => sieve.values(values, validity, piece, |_| false),
        Some((low, high)) => sieve.values(values, validity, piece, |value| (low <= value) & (value <= high)),
    }
}

/// A scan of a column that a set's own test is put into.
struct Scan<'s, 'm, 'v, T, K> {
    sieve: &'s mut Sieve<'m>,
    validity: &'v Column,
    piece: Piece,
    values: &'v [T],
    /// What the set knows a value by.
    key: K,
}

impl<T: Copy, K: Fn(T) -> i64> IntegerScan for Scan<'_, '_, '_, T, K> {
    type Output = ();

    fn run(self, test: impl Fn(i64) -> bool) {
        self.sieve.values(self.values, self.validity.validity.as_ref(), self.piece, |value| test((self.key)(value)));
    }
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
            set.keys().probe(Scan { sieve, validity: view.column(), piece, values, key });
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
        _ => with_integers!(view, values: T => match operand {
            Number::Int(operand) => sieve.values(values, validity, piece, |value: T| {
                within.integers.contains(arithmetic::integers(op, i128::from(value), operand))
            }),
            Number::Float(operand) => sieve.values(values, validity, piece, |value: T| {
                within.floats.contains(arithmetic::doubles(op, i64::from(value) as f64, operand))
            }),
        }),
    }
    Ok(())
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
        Values::VarChar(texts) => text::at(texts, slot),
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
