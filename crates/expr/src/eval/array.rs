//! Tests of array columns: an element, all elements, how many there are.

use types::Result;
use types::column::{Arrays, Values};

use crate::arithmetic;
use crate::array::{ArrayCheck, Constants, ScalarTest};
use crate::columns::ColumnView;
use crate::number::Number;
use crate::predicate::{ArithmeticOp, FloatValues, IntegerValues, Numbers};
use crate::set::FloatSet;

use super::scan::{Piece, Sieve};
use super::text::{self, Texts};
use super::wrong_type;

/// An element.
enum Element<'a> {
    Integer(i64),
    Single(f32),
    Double(f64),
    Text(&'a [u8]),
}

/// An Array column. Null rows are unknown.
pub(super) fn arrays(sieve: &mut Sieve<'_>, view: &ColumnView<'_>, piece: Piece, check: &ArrayCheck) -> Result<()> {
    let column = view.column();
    let Values::Array(arrays) = &column.values else { return Err(wrong_type(view, "an array")) };
    if !suits(check, arrays) {
        return Err(wrong_type(view, "an array of another type"));
    }
    let (validity, elements) = (column.validity.as_ref(), arrays.elements());
    match check {
        ArrayCheck::Element { index, test } => sieve.outcomes(piece, |row, _| {
            let range = arrays.range(row);
            let at = range.start + *index as usize;
            (at < range.end && column.is_valid(row)).then(|| passes(test, &element(elements, at)))
        }),
        ArrayCheck::List(tests) => sieve.slots(validity, piece, |row| {
            let range = arrays.range(row);
            range.len() == tests.len() && range.zip(tests).all(|(at, test)| passes(test, &element(elements, at)))
        }),
        ArrayCheck::Contains { constants, all: false } => {
            sieve.slots(validity, piece, |row| arrays.range(row).any(|at| position(constants, &element(elements, at)).is_some()));
        }
        ArrayCheck::Contains { constants, all: true } => {
            let mut seen = Vec::new();
            sieve.slots(validity, piece, |row| {
                let range = arrays.range(row);
                let wanted = constants.len();
                if range.len() < wanted {
                    return false;
                }
                seen.clear();
                seen.resize(wanted, false);
                let found = range.filter_map(|at| position(constants, &element(elements, at)));
                found.filter(|&at| !std::mem::replace(&mut seen[at], true)).count() == wanted
            });
        }
        ArrayCheck::Length(count) => sieve.slots(validity, piece, |row| count.holds(arrays.range(row).len())),
    }
    Ok(())
}

/// Whether the check asks for elements of the type that there are.
fn suits(check: &ArrayCheck, arrays: &Arrays) -> bool {
    let kind = arrays.element_type();
    let (texts, floats) = (kind.is_variable(), kind.is_numeric() && !kind.is_integer());
    let test_suits = |test: &ScalarTest| match test {
        ScalarTest::Integer(_) => !texts && !floats,
        ScalarTest::Float(_) => floats,
        ScalarTest::Text(_) => texts,
        ScalarTest::Arithmetic { .. } => !texts,
    };
    match check {
        ArrayCheck::Element { test, .. } => test_suits(test),
        ArrayCheck::List(tests) => tests.iter().all(test_suits),
        ArrayCheck::Contains { constants, .. } => match constants {
            Constants::Integers(_) => !texts && !floats,
            Constants::Floats(_) => floats,
            Constants::Texts(_) => texts,
        },
        ArrayCheck::Length(_) => true,
    }
}

fn element(elements: &Values, at: usize) -> Element<'_> {
    match elements {
        Values::Bool(values) => Element::Integer(values[at].into()),
        Values::Int8(values) => Element::Integer(values[at].into()),
        Values::Int16(values) => Element::Integer(values[at].into()),
        Values::Int32(values) => Element::Integer(values[at].into()),
        Values::Int64(values) => Element::Integer(values[at]),
        Values::Float(values) => Element::Single(values[at]),
        Values::Double(values) => Element::Double(values[at]),
        Values::VarChar(texts) => Element::Text(Texts::of(texts).get(at)),
        other => unreachable!("an array has no elements of {}", other.data_type()),
    }
}

fn passes(test: &ScalarTest, element: &Element<'_>) -> bool {
    match (test, element) {
        (ScalarTest::Integer(within), Element::Integer(value)) => match within {
            IntegerValues::Range(range) => range.contains((*value).into()),
            IntegerValues::In(set) => set.contains(*value),
        },
        (ScalarTest::Float(within), Element::Single(value)) => float_passes(within, (*value).into()),
        (ScalarTest::Float(within), Element::Double(value)) => float_passes(within, *value),
        (ScalarTest::Text(within), Element::Text(text)) => text::is_within(text, within),
        (ScalarTest::Arithmetic { op, operand, within }, element) => result_passes(*op, *operand, within, element),
        _ => false,
    }
}

fn float_passes(within: &FloatValues, value: f64) -> bool {
    match within {
        FloatValues::Range(range) => range.contains(value),
        FloatValues::In(set) => set.contains(value),
    }
}

fn result_passes(op: ArithmeticOp, operand: Number, within: &Numbers, element: &Element<'_>) -> bool {
    match (element, operand) {
        (Element::Integer(value), Number::Int(operand)) => within.integers.contains(arithmetic::integers(op, (*value).into(), operand)),
        (Element::Integer(value), Number::Float(operand)) => within.floats.contains(arithmetic::doubles(op, *value as f64, operand)),
        (Element::Single(value), _) => within.floats.contains(arithmetic::singles(op, *value, operand.to_f64() as f32).into()),
        (Element::Double(value), _) => within.floats.contains(arithmetic::doubles(op, *value, operand.to_f64())),
        (Element::Text(_), _) => false,
    }
}

/// Which constant the element equals.
fn position(constants: &Constants, element: &Element<'_>) -> Option<usize> {
    match (constants, element) {
        (Constants::Integers(set), Element::Integer(value)) => set.position(*value),
        (Constants::Floats(set), Element::Single(value)) => set.keys().position(FloatSet::key((*value).into())),
        (Constants::Floats(set), Element::Double(value)) => set.keys().position(FloatSet::key(*value)),
        (Constants::Texts(set), Element::Text(text)) => set.position(text),
        _ => None,
    }
}
