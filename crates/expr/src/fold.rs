//! Operators between constants.
//!
//! Integers stay integers and are exact: what leaves the range of `i64` is an error, not another number. `**` gives a float, as in Milvus.

use std::cmp::Ordering;

use crate::literal::Literal;
use crate::number::{CompareOp, Number};
use crate::syntax::{BinaryOp, UnaryOp};

/// `op operand`
pub(crate) fn unary(op: UnaryOp, operand: &Literal) -> Result<Literal, String> {
    match (op, operand) {
        (UnaryOp::Plus, Literal::Int(_) | Literal::Float(_)) => Ok(operand.clone()),
        (UnaryOp::Minus, Literal::Int(value)) => {
            value.checked_neg().map(Literal::Int).ok_or_else(|| format!("-({value}) is out of the range of Int64"))
        }
        (UnaryOp::Minus, Literal::Float(value)) => Ok(Literal::Float(-value)),
        (UnaryOp::BitNot, Literal::Int(value)) => Ok(Literal::Int(!value)),
        (UnaryOp::Not, Literal::Bool(value)) => Ok(Literal::Bool(!value)),
        (UnaryOp::Not, _) => Err("not op can only be applied on boolean expression".to_owned()),
        (UnaryOp::BitNot, _) => Err("bitnot can only apply on integer constants".to_owned()),
        (UnaryOp::Plus | UnaryOp::Minus, _) => Err(format!("unary plus and minus can not apply on {}", operand.type_name())),
    }
}

/// `left op right`
pub(crate) fn binary(op: BinaryOp, left: &Literal, right: &Literal) -> Result<Literal, String> {
    let (Some(a), Some(b)) = (left.number(), right.number()) else {
        return Err(format!("'{}' can only be used between integer or floating or json field expressions", op.symbol()));
    };
    if let (Number::Int(a), Number::Int(b)) = (a, b)
        && op != BinaryOp::Power
    {
        return integers(op, a, b).map(Literal::Int);
    }
    let (x, y) = (a.to_f64(), b.to_f64());
    let value = match op {
        BinaryOp::Add => x + y,
        BinaryOp::Subtract => x - y,
        BinaryOp::Multiply => x * y,
        BinaryOp::Divide if y == 0.0 => return Err("cannot divide by zero".to_owned()),
        BinaryOp::Divide => x / y,
        BinaryOp::Power => x.powf(y),
        BinaryOp::Modulo => return Err("modulo can only apply on integer types".to_owned()),
        _ => return Err(format!("{} can only apply on integer fields", bit_name(op))),
    };
    let out_of_range = || format!("{x} {} {y} is not a finite number", op.symbol());
    if value.is_finite() { Ok(Literal::Float(value)) } else { Err(out_of_range()) }
}

fn integers(op: BinaryOp, a: i64, b: i64) -> Result<i64, String> {
    let value = match op {
        BinaryOp::Add => a.checked_add(b),
        BinaryOp::Subtract => a.checked_sub(b),
        BinaryOp::Multiply => a.checked_mul(b),
        BinaryOp::Divide if b == 0 => return Err("cannot divide by zero".to_owned()),
        BinaryOp::Divide => a.checked_div(b),
        BinaryOp::Modulo if b == 0 => return Err("division or modulus by zero".to_owned()),
        // The only overflow, i64::MIN % -1, is 0.
        BinaryOp::Modulo => Some(a.wrapping_rem(b)),
        BinaryOp::BitAnd => Some(a & b),
        BinaryOp::BitOr => Some(a | b),
        BinaryOp::BitXor => Some(a ^ b),
        BinaryOp::ShiftLeft => Some(a << shift(b)?),
        BinaryOp::ShiftRight => Some(a >> shift(b)?),
        BinaryOp::Power => None,
    };
    value.ok_or_else(|| format!("{a} {} {b} is out of the range of Int64", op.symbol()))
}

/// A number of bits to shift by.
pub(crate) fn shift(bits: i64) -> Result<u32, String> {
    u32::try_from(bits).ok().filter(|bits| *bits < 64).ok_or_else(|| format!("shift must be in range [0, 63], but got: {bits}"))
}

/// The name of a bit operator in error texts.
pub(crate) fn bit_name(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::BitAnd => "bitand",
        BinaryOp::BitOr => "bitor",
        BinaryOp::BitXor => "bitxor",
        _ => "shift",
    }
}

/// `left op right`
pub(crate) fn compare(op: CompareOp, left: &Literal, right: &Literal) -> Result<bool, String> {
    let equality = matches!(op, CompareOp::Equal | CompareOp::NotEqual);
    let order = match (left, right) {
        (Literal::Bool(a), Literal::Bool(b)) if equality => Some(a.cmp(b)),
        (Literal::Text(a), Literal::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Literal::List(a), Literal::List(b)) if equality => Some(if same(a, b) { Ordering::Equal } else { Ordering::Less }),
        _ => match (left.number(), right.number()) {
            (Some(a), Some(b)) => a.compare(b),
            _ => {
                return Err(format!(
                    "comparison operations cannot be applied to two incompatible operands: {left} {} {right}",
                    op.symbol()
                ));
            }
        },
    };
    Ok(op.holds(order))
}

fn same(a: &[Literal], b: &[Literal]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| compare(CompareOp::Equal, a, b).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic() {
        let check = |op, a: Literal, b: Literal, expected: Result<Literal, &str>| {
            assert_eq!(binary(op, &a, &b), expected.map_err(str::to_owned), "{a} {op:?} {b}");
        };
        use Literal::{Float, Int};
        check(BinaryOp::Add, Int(1), Int(2), Ok(Int(3)));
        check(BinaryOp::Add, Int(i64::MAX), Int(1), Err("9223372036854775807 + 1 is out of the range of Int64"));
        check(BinaryOp::Divide, Int(7), Int(-2), Ok(Int(-3)));
        check(BinaryOp::Divide, Int(i64::MIN), Int(-1), Err("-9223372036854775808 / -1 is out of the range of Int64"));
        check(BinaryOp::Modulo, Int(-7), Int(2), Ok(Int(-1)));
        check(BinaryOp::Modulo, Int(i64::MIN), Int(-1), Ok(Int(0)));
        check(BinaryOp::Modulo, Int(1), Int(0), Err("division or modulus by zero"));
        check(BinaryOp::Divide, Float(1.0), Int(0), Err("cannot divide by zero"));
        check(BinaryOp::Modulo, Float(1.0), Int(1), Err("modulo can only apply on integer types"));
        check(BinaryOp::Power, Int(2), Int(3), Ok(Float(8.0)));
        check(BinaryOp::Power, Int(10), Int(400), Err("10 ** 400 is not a finite number"));
        check(BinaryOp::ShiftLeft, Int(1), Int(64), Err("shift must be in range [0, 63], but got: 64"));
        check(BinaryOp::BitAnd, Float(1.0), Int(1), Err("bitand can only apply on integer fields"));
        check(
            BinaryOp::Add,
            Int(1),
            Literal::Bool(true),
            Err("'+' can only be used between integer or floating or json field expressions"),
        );
    }

    #[test]
    fn comparisons() {
        let check = |a: Literal, op, b: Literal, expected: Option<bool>| assert_eq!(compare(op, &a, &b).ok(), expected, "{a} {op:?} {b}");
        let text = |text: &str| Literal::Text(text.into());
        check(Literal::Int(1), CompareOp::Less, Literal::Float(1.5), Some(true));
        check(text("b"), CompareOp::Greater, text("a"), Some(true));
        check(Literal::Bool(true), CompareOp::Equal, Literal::Bool(true), Some(true));
        check(Literal::Bool(true), CompareOp::Less, Literal::Bool(true), None);
        check(Literal::Int(1), CompareOp::Equal, text("1"), None);
        check(Literal::List(vec![Literal::Int(1)]), CompareOp::Equal, Literal::List(vec![Literal::Float(1.0)]), Some(true));
    }
}
