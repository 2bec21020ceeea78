//! Comparisons: of a column with a constant, from either side, between two constants, of two columns.

use std::ops::Bound;
use std::sync::Arc;

use types::schema::DataType;

use crate::array::{ArrayCheck, Count, ScalarTest};
use crate::fold;
use crate::literal::Literal;
use crate::number::{CompareOp, Floats, Integers, Number};
use crate::predicate::{Condition, FloatValues, IntegerValues, JsonCheck, Numbers, Predicate, TextValues};
use crate::set::TextSet;
use crate::syntax::{Node, Range};

use super::{Arithmetic, Checker, Column, Constant, Result, Value, WHOLE_ARRAY, field_test, id, incomparable, list};

/// A comparison of a column with a constant: the operator as if the column stood left, the names of both types as they stand in the text.
struct Comparison<'v> {
    op: CompareOp,
    constant: &'v Constant,
    names: [String; 2],
}

impl Comparison<'_> {
    fn incomparable(&self, expected: &str) -> String {
        let template = self.constant.template.then_some((expected, &self.constant.literal));
        incomparable(&self.names[0], &self.names[1], template)
    }

    fn number(&self, expected: &str) -> Result<Number> {
        self.constant.literal.number().ok_or_else(|| self.incomparable(expected))
    }

    fn negated(&self) -> bool {
        self.op == CompareOp::NotEqual
    }
}

impl<'a> Checker<'a> {
    /// `sides[0] op sides[1]`
    pub(super) fn compare(&mut self, op: CompareOp, sides: &[Node; 2]) -> Result<Predicate> {
        let (left, right) = (self.value(&sides[0])?, self.value(&sides[1])?);
        let names = [left.type_name(), right.type_name()];
        self.given = 1;
        match (left, right) {
            (Value::Constant(left), Value::Constant(right)) => {
                if left.template || right.template {
                    return Err(format!("placeholder was not supported between two constants with operator: {}", op.symbol()));
                }
                fold::compare(op, &left.literal, &right.literal).map(Predicate::Constant)
            }
            (subject, Value::Constant(constant)) => self.compare_constant(&subject, &Comparison { op, constant: &constant, names }),
            (Value::Constant(constant), subject) => {
                self.compare_constant(&subject, &Comparison { op: op.swapped(), constant: &constant, names })
            }
            (Value::Column(left), Value::Column(right)) => compare_columns(op, &left, &right),
            (Value::Predicate, _) | (_, Value::Predicate) => Err(incomparable(&names[0], &names[1], None)),
            _ => Err("not supported to do arithmetic operations between multiple fields".to_owned()),
        }
    }

    fn compare_constant(&mut self, subject: &Value<'a>, comparison: &Comparison<'_>) -> Result<Predicate> {
        match subject {
            Value::Column(column) => match column.data_type() {
                DataType::Json => self.compare_json(column, comparison),
                DataType::Array => compare_array(column, comparison),
                _ => compare_field(column, comparison).map(|test| column.test(test, comparison.negated())),
            },
            Value::Arithmetic(arithmetic) => self.compare_arithmetic(arithmetic, comparison),
            Value::Length(column) => {
                let range = Integers::that(comparison.op, comparison.number(DataType::Int64.name())?);
                Ok(self.length_test(column, Count::Within(range), comparison.negated()))
            }
            Value::Predicate | Value::Constant(_) => Err(incomparable(&comparison.names[0], &comparison.names[1], None)),
        }
    }

    fn compare_json(&mut self, column: &Column<'_>, comparison: &Comparison<'_>) -> Result<Predicate> {
        let op = comparison.op;
        let check = match &comparison.constant.literal {
            Literal::Int(_) | Literal::Float(_) => JsonCheck::Number(Numbers::that(op, comparison.number("JSON")?)),
            Literal::Text(text) => JsonCheck::Text(texts_that(op, text)),
            Literal::Bool(value) => {
                let op = if comparison.negated() { CompareOp::Equal } else { op };
                JsonCheck::Bool([false, true].map(|candidate| op.holds(Some(candidate.cmp(value)))))
            }
            Literal::List(items) if matches!(op, CompareOp::Equal | CompareOp::NotEqual) => JsonCheck::List(items.clone()),
            Literal::List(_) => return Err(comparison.incomparable("JSON")),
        };
        Ok(self.json(column, check, comparison.negated()))
    }

    fn compare_arithmetic(&mut self, arithmetic: &Arithmetic<'a>, comparison: &Comparison<'_>) -> Result<Predicate> {
        let bound = comparison.number(arithmetic.type_name())?;
        let Arithmetic { column, length, op, operand } = arithmetic;
        let (data_type, mut within) = (arithmetic.data_type(), Numbers::that(comparison.op, bound));
        if *length {
            return Ok(self.length_test(column, Count::Arithmetic { op: *op, operand: *operand, within }, comparison.negated()));
        }
        if data_type == DataType::Float {
            within.floats = Floats::that_single(comparison.op, bound);
        }
        if data_type == DataType::Json {
            let check = JsonCheck::Arithmetic { op: *op, operand: *operand, within };
            return Ok(self.json(column, check, comparison.negated()));
        }
        Ok(column.test(super::arithmetic::test(data_type, (*op, *operand), within), comparison.negated()))
    }

    /// The condition that a JSON value or an array has so many elements.
    fn length_test(&mut self, column: &Column<'_>, count: Count, negated: bool) -> Predicate {
        if column.field.data_type == DataType::Json {
            return self.json(column, JsonCheck::Length(count), negated);
        }
        column.array_test(ArrayCheck::Length(count), negated)
    }

    /// `lower < column < upper`, or the same downwards.
    pub(super) fn range(&mut self, range: &Range) -> Result<Predicate> {
        let [first, last] = &range.bounds;
        let upwards = matches!(range.ops[0], CompareOp::Less | CompareOp::LessEqual);
        let (low, high) = if upwards { (first, last) } else { (last, first) };
        let low = self.bound(low, "lowerbound")?;
        let high = self.bound(high, "upperbound")?;
        let Value::Column(column) = self.value(&range.operand)? else {
            return Err("range operations are only supported on fields".to_owned());
        };
        if column.data_type() == DataType::Array {
            return Err(WHOLE_ARRAY.to_owned());
        }
        let is_bool = |literal: &Literal| matches!(literal, Literal::Bool(_));
        if column.data_type() == DataType::Bool || is_bool(&low.literal) || is_bool(&high.literal) {
            return Err("invalid range operations on boolean expr".to_owned());
        }
        let inclusive = |op: CompareOp| matches!(op, CompareOp::LessEqual | CompareOp::GreaterEqual);
        let inclusive = if upwards { range.ops.map(inclusive) } else { [inclusive(range.ops[1]), inclusive(range.ops[0])] };
        let name = column.type_name();
        let ops = [
            if inclusive[0] { CompareOp::GreaterEqual } else { CompareOp::Greater },
            if inclusive[1] { CompareOp::LessEqual } else { CompareOp::Less },
        ];
        let side = |constant, op, constant_name: String| Comparison { op, constant, names: [name.clone(), constant_name] };
        let sides = [side(&low, ops[0], low.literal.type_name()), side(&high, ops[1], high.literal.type_name())];
        self.range_test(&column, &sides).and_then(|test| {
            let empty = if inclusive == [true, true] { CompareOp::Greater } else { CompareOp::GreaterEqual };
            if fold::compare(empty, &low.literal, &high.literal)? {
                return Err("invalid range: lowerbound is greater than upperbound".to_owned());
            }
            Ok(test)
        })
    }

    fn bound(&mut self, node: &Node, which: &str) -> Result<Constant> {
        match self.value(node)? {
            Value::Constant(constant) => Ok(constant),
            _ => Err(format!("{which} cannot be a non-const expression: {}", node.span.of(self.text))),
        }
    }

    /// One test for both sides of a range.
    fn range_test(&mut self, column: &Column<'_>, sides: &[Comparison<'_>; 2]) -> Result<Predicate> {
        let name = column.field.data_type.name();
        if column.field.data_type != DataType::Json {
            let [low, high] = sides;
            let test = match (compare_field(column, low)?, compare_field(column, high)?) {
                (ScalarTest::Integer(IntegerValues::Range(a)), ScalarTest::Integer(IntegerValues::Range(b))) => {
                    ScalarTest::Integer(IntegerValues::Range(a.and(b)))
                }
                (ScalarTest::Float(FloatValues::Range(a)), ScalarTest::Float(FloatValues::Range(b))) => {
                    ScalarTest::Float(FloatValues::Range(a.and(b)))
                }
                (ScalarTest::Text(TextValues::Range(low, _)), ScalarTest::Text(TextValues::Range(_, high))) => {
                    ScalarTest::Text(TextValues::Range(low, high))
                }
                _ => return Err(incomparable(name, &sides[1].names[1], None)),
            };
            return Ok(column.test(test, false));
        }
        let [low, high] = sides;
        let check = match (&low.constant.literal, &high.constant.literal) {
            (Literal::Text(from), Literal::Text(to)) => match (texts_that(low.op, from), texts_that(high.op, to)) {
                (TextValues::Range(from, _), TextValues::Range(_, to)) => JsonCheck::Text(TextValues::Range(from, to)),
                _ => return Err(high.incomparable(name)),
            },
            (from, _) if from.number().is_some() => {
                let (from, to) = (low.number(name)?, high.number(name)?);
                JsonCheck::Number(Numbers::that(low.op, from).and(Numbers::that(high.op, to)))
            }
            _ => return Err(low.incomparable(name)),
        };
        Ok(self.json(column, check, false))
    }
}

/// A comparison of a scalar field, or of an array's element, with a constant; that `!=` denies it is left to the caller.
fn compare_field(column: &Column<'_>, comparison: &Comparison<'_>) -> Result<ScalarTest> {
    let (op, data_type) = (comparison.op, column.data_type());
    Ok(match data_type {
        DataType::Bool => {
            let Literal::Bool(value) = comparison.constant.literal else { return Err(comparison.incomparable(data_type.name())) };
            ScalarTest::Integer(IntegerValues::Range(Integers::that(op, Number::Int(value.into()))))
        }
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            ScalarTest::Integer(IntegerValues::Range(Integers::that(op, comparison.number(data_type.name())?)))
        }
        DataType::Float => ScalarTest::Float(FloatValues::Range(Floats::that_single(op, comparison.number(data_type.name())?))),
        DataType::Double => ScalarTest::Float(FloatValues::Range(Floats::that(op, comparison.number(data_type.name())?))),
        DataType::VarChar => {
            let Literal::Text(text) = &comparison.constant.literal else { return Err(comparison.incomparable(data_type.name())) };
            ScalarTest::Text(texts_that(op, text))
        }
        _ => return Err(comparison.incomparable(data_type.name())),
    })
}

/// A whole array is compared with lists alone, and only for equality.
fn compare_array(column: &Column<'_>, comparison: &Comparison<'_>) -> Result<Predicate> {
    if !matches!(comparison.op, CompareOp::Equal | CompareOp::NotEqual) {
        return Err(WHOLE_ARRAY.to_owned());
    }
    let Some(element) = column.field.element_type else { return Err(comparison.incomparable("Array")) };
    match &comparison.constant.literal {
        Literal::List(items) if items.iter().all(|item| list::is_comparable(element, item)) => {
            Ok(column.array_test(list::equal_list(element, items), comparison.negated()))
        }
        Literal::List(_) => Err(comparison.incomparable("Array")),
        literal if list::is_comparable(element, literal) => Err(format!("cannot cast value to Array, value: {literal}")),
        _ => Err(comparison.incomparable("Array")),
    }
}

/// The texts `x` with `x op bound`; `NotEqual` gives those of `Equal`.
fn texts_that(op: CompareOp, bound: &Arc<str>) -> TextValues {
    let bound = bound.clone();
    match op {
        CompareOp::Equal | CompareOp::NotEqual => TextValues::In(TextSet::new(vec![bound])),
        CompareOp::Less => TextValues::Range(Bound::Unbounded, Bound::Excluded(bound)),
        CompareOp::LessEqual => TextValues::Range(Bound::Unbounded, Bound::Included(bound)),
        CompareOp::Greater => TextValues::Range(Bound::Excluded(bound), Bound::Unbounded),
        CompareOp::GreaterEqual => TextValues::Range(Bound::Included(bound), Bound::Unbounded),
    }
}

fn compare_columns(op: CompareOp, left: &Column<'_>, right: &Column<'_>) -> Result<Predicate> {
    let (left_type, right_type) = (left.field.data_type, right.field.data_type);
    if left_type == DataType::Array || right_type == DataType::Array {
        return Err("field-to-field comparison involving ARRAY fields is not supported".to_owned());
    }
    if left_type == DataType::Json || right_type == DataType::Json {
        return Err("two column comparison with JSON type is not supported".to_owned());
    }
    let comparable = left_type.is_numeric() && right_type.is_numeric()
        || left_type == right_type && matches!(left_type, DataType::Bool | DataType::VarChar);
    if !comparable {
        return Err(incomparable(left_type.name(), right_type.name(), None));
    }
    let negated = op == CompareOp::NotEqual;
    let op = if negated { CompareOp::Equal } else { op };
    Ok(field_test(Condition::Pair { left: id(left), op, right: id(right) }, negated))
}
