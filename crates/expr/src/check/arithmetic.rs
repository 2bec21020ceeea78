//! Arithmetic: between constants at once, between one column and a constant per row.

use types::schema::DataType;

use crate::array::ScalarTest;
use crate::fold;
use crate::number::Number;
use crate::predicate::{ArithmeticOp, IntegerValues, Numbers};
use crate::syntax::{BinaryOp, Node};

use super::{Arithmetic, Checker, Constant, Result, Value, WHOLE_ARRAY};

impl<'a> Checker<'a> {
    /// `sides[0] op sides[1]`
    pub(super) fn binary(&mut self, op: BinaryOp, sides: &[Node; 2]) -> Result<Value<'a>> {
        let (left, right) = (self.value(&sides[0])?, self.value(&sides[1])?);
        let (subject, constant, reversed) = match (left, right) {
            (Value::Constant(left), Value::Constant(right)) => {
                let literal = fold::binary(op, &left.literal, &right.literal)?;
                return Ok(Value::Constant(Constant { literal, template: left.template || right.template }));
            }
            (Value::Predicate, _) | (_, Value::Predicate) => return Err(only_numbers(op)),
            (subject @ (Value::Column(_) | Value::Length(_)), Value::Constant(constant)) => (subject, constant, false),
            (Value::Constant(constant), subject @ (Value::Column(_) | Value::Length(_))) => (subject, constant, true),
            (Value::Column(_) | Value::Length(_), Value::Column(_) | Value::Length(_)) => {
                return Err("not supported to do arithmetic operations between multiple fields".to_owned());
            }
            _ => return Err("complicated arithmetic operations are not supported".to_owned()),
        };
        let (column, length) = match subject {
            Value::Length(column) => (column, true),
            Value::Column(column) => (column, false),
            _ => return Err("complicated arithmetic operations are not supported".to_owned()),
        };
        let data_type = if length { DataType::Int64 } else { column.data_type() };
        if data_type == DataType::Array {
            return Err(WHOLE_ARRAY.to_owned());
        }
        let operand = constant.literal.number().ok_or_else(|| only_numbers(op))?;
        let op = column_op(op, data_type, operand)?;
        let commutes =
            matches!(op, ArithmeticOp::Add | ArithmeticOp::Multiply | ArithmeticOp::BitAnd | ArithmeticOp::BitOr | ArithmeticOp::BitXor);
        if reversed && !commutes {
            return Err("complicated arithmetic operations are not supported".to_owned());
        }
        Ok(Value::Arithmetic(Arithmetic { column, length, op, operand }))
    }
}

fn only_numbers(op: BinaryOp) -> String {
    format!("'{}' can only be used between integer or floating or json field expressions", op.symbol())
}

/// The operator as a column takes it, if column and operand have types that go with it.
fn column_op(op: BinaryOp, data_type: DataType, operand: Number) -> Result<ArithmeticOp> {
    if !data_type.is_numeric() && data_type != DataType::Json {
        return Err(only_numbers(op));
    }
    let bit = |op: ArithmeticOp, name: BinaryOp| match operand {
        Number::Int(_) if data_type.is_integer() => Ok(op),
        _ => Err(format!("{} can only apply on integer fields", fold::bit_name(name))),
    };
    let zero = operand.to_f64() == 0.0;
    match op {
        BinaryOp::Add => Ok(ArithmeticOp::Add),
        BinaryOp::Subtract => Ok(ArithmeticOp::Subtract),
        BinaryOp::Multiply => Ok(ArithmeticOp::Multiply),
        BinaryOp::Divide if zero => Err("division or modulus by zero".to_owned()),
        BinaryOp::Divide => Ok(ArithmeticOp::Divide),
        BinaryOp::Modulo if zero => Err("division or modulus by zero".to_owned()),
        BinaryOp::Modulo => match operand {
            Number::Int(_) if data_type.is_integer() || data_type == DataType::Json => Ok(ArithmeticOp::Modulo),
            _ => Err("modulo can only apply on integer types".to_owned()),
        },
        BinaryOp::Power => Err("power can only apply on constants".to_owned()),
        BinaryOp::BitAnd => bit(ArithmeticOp::BitAnd, op),
        BinaryOp::BitOr => bit(ArithmeticOp::BitOr, op),
        BinaryOp::BitXor => bit(ArithmeticOp::BitXor, op),
        BinaryOp::ShiftLeft | BinaryOp::ShiftRight => {
            if let Number::Int(bits) = operand {
                fold::shift(bits)?;
            }
            bit(if op == BinaryOp::ShiftLeft { ArithmeticOp::ShiftLeft } else { ArithmeticOp::ShiftRight }, op)
        }
    }
}

/// The test that the result of an operator on a number lies within a range. A sum of integers needs no arithmetic per row.
pub(super) fn test(data_type: DataType, (op, operand): (ArithmeticOp, Number), within: Numbers) -> ScalarTest {
    let integers = match (op, operand) {
        (ArithmeticOp::Add, Number::Int(offset)) => within.integers.shifted_down(offset.into()),
        (ArithmeticOp::Subtract, Number::Int(offset)) => within.integers.shifted_down(-i128::from(offset)),
        _ => return ScalarTest::Arithmetic { op, operand, within },
    };
    if data_type.is_integer() {
        ScalarTest::Integer(IntegerValues::Range(integers))
    } else {
        ScalarTest::Arithmetic { op, operand, within }
    }
}
