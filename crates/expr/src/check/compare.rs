//! Comparisons: of a column with a constant, from either side, between two constants, of two columns.

use std::ops::Bound;
use std::sync::Arc;

use types::schema::DataType;

use crate::fold;
use crate::literal::Literal;
use crate::number::{CompareOp, Floats, Integers, Number};
use crate::predicate::{Condition, FloatValues, IntegerValues, JsonCheck, Numbers, Predicate, TextValues};
use crate::set::TextSet;
use crate::syntax::{Node, Range};

use super::{Arithmetic, Checker, Column, Constant, Result, Value, field_test, id, incomparable};

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
            Value::Column(column) if column.field.data_type == DataType::Json => self.compare_json(column, comparison),
            Value::Column(column) => compare_field(column, comparison),
            Value::Arithmetic(arithmetic) => self.compare_arithmetic(arithmetic, comparison),
            Value::Length(column) => {
                let range = Integers::that(comparison.op, comparison.number(DataType::Int64.name())?);
                Ok(self.json(column, JsonCheck::Length(range), comparison.negated()))
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
        let Arithmetic { column, op, operand } = arithmetic;
        let mut within = Numbers::that(comparison.op, bound);
        if column.field.data_type == DataType::Float {
            within.floats = Floats::that_single(comparison.op, bound);
        }
        if column.field.data_type == DataType::Json {
            let check = JsonCheck::Arithmetic { op: *op, operand: *operand, within };
            return Ok(self.json(column, check, comparison.negated()));
        }
        Ok(field_test(super::arithmetic::condition(id(column), column.field.data_type, (*op, *operand), within), comparison.negated()))
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
        let is_bool = |literal: &Literal| matches!(literal, Literal::Bool(_));
        if column.field.data_type == DataType::Bool || is_bool(&low.literal) || is_bool(&high.literal) {
            return Err("invalid range operations on boolean expr".to_owned());
        }
        let inclusive = |op: CompareOp| matches!(op, CompareOp::LessEqual | CompareOp::GreaterEqual);
        let inclusive = if upwards { range.ops.map(inclusive) } else { [inclusive(range.ops[1]), inclusive(range.ops[0])] };
        let name = column.field.data_type.name();
        let ops = [
            if inclusive[0] { CompareOp::GreaterEqual } else { CompareOp::Greater },
            if inclusive[1] { CompareOp::LessEqual } else { CompareOp::Less },
        ];
        let side = |constant, op, constant_name: String| Comparison { op, constant, names: [name.to_owned(), constant_name] };
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
            return match (compare_field(column, low)?, compare_field(column, high)?) {
                (Predicate::Test(low), Predicate::Test(high)) => match (low.condition, high.condition) {
                    (
                        Condition::Integer { field, within: IntegerValues::Range(a) },
                        Condition::Integer { within: IntegerValues::Range(b), .. },
                    ) => Ok(Condition::Integer { field, within: IntegerValues::Range(a.and(b)) }.into()),
                    (Condition::Float { field, within: FloatValues::Range(a) }, Condition::Float { within: FloatValues::Range(b), .. }) => {
                        Ok(Condition::Float { field, within: FloatValues::Range(a.and(b)) }.into())
                    }
                    (
                        Condition::Text { field, within: TextValues::Range(low, _) },
                        Condition::Text { within: TextValues::Range(_, high), .. },
                    ) => Ok(Condition::Text { field, within: TextValues::Range(low, high) }.into()),
                    _ => Err(incomparable(name, &sides[1].names[1], None)),
                },
                _ => Err(incomparable(name, &sides[1].names[1], None)),
            };
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

/// A comparison of a field that isn't JSON with a constant.
fn compare_field(column: &Column<'_>, comparison: &Comparison<'_>) -> Result<Predicate> {
    let (op, data_type, field) = (comparison.op, column.field.data_type, id(column));
    let condition = match data_type {
        DataType::Bool => {
            let Literal::Bool(value) = comparison.constant.literal else { return Err(comparison.incomparable(data_type.name())) };
            let values = Integers::that(op, Number::Int(value.into()));
            Condition::Integer { field, within: IntegerValues::Range(values) }
        }
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            let values = Integers::that(op, comparison.number(data_type.name())?);
            Condition::Integer { field, within: IntegerValues::Range(values) }
        }
        DataType::Float => {
            let values = Floats::that_single(op, comparison.number(data_type.name())?);
            Condition::Float { field, within: FloatValues::Range(values) }
        }
        DataType::Double => {
            let values = Floats::that(op, comparison.number(data_type.name())?);
            Condition::Float { field, within: FloatValues::Range(values) }
        }
        DataType::VarChar => {
            let Literal::Text(text) = &comparison.constant.literal else { return Err(comparison.incomparable(data_type.name())) };
            Condition::Text { field, within: texts_that(op, text) }
        }
        _ => return Err(comparison.incomparable(data_type.name())),
    };
    Ok(field_test(condition, comparison.negated()))
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
