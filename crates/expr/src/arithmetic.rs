//! One operator between a value of a row and a constant.
//!
//! Integers give exact results, wider than any column, so that nothing wraps; only shifts lose the bits that they push out.

use crate::predicate::ArithmeticOp;

/// `value op operand`. The operand of a division isn't 0, that of a shift is 0 to 63; `value` is an `i64` or a `u64`.
pub(crate) fn integers(op: ArithmeticOp, value: i128, operand: i64) -> i128 {
    match op {
        ArithmeticOp::Add => value + i128::from(operand),
        ArithmeticOp::Subtract => value - i128::from(operand),
        ArithmeticOp::Multiply => value * i128::from(operand),
        // The narrow division is many times faster; it fails only for i64::MIN / -1.
        ArithmeticOp::Divide => {
            narrow(value).and_then(|value| value.checked_div(operand)).map_or_else(|| value / i128::from(operand), i128::from)
        }
        ArithmeticOp::Modulo => narrow(value).map_or_else(|| value % i128::from(operand), |value| value.wrapping_rem(operand).into()),
        ArithmeticOp::BitAnd => (value as i64 & operand).into(),
        ArithmeticOp::BitOr => (value as i64 | operand).into(),
        ArithmeticOp::BitXor => (value as i64 ^ operand).into(),
        ArithmeticOp::ShiftLeft => (value as i64).wrapping_shl(operand as u32).into(),
        ArithmeticOp::ShiftRight => (value as i64).wrapping_shr(operand as u32).into(),
    }
}

fn narrow(value: i128) -> Option<i64> {
    i64::try_from(value).ok()
}

/// `value op operand`; an operator that only integers have gives NaN, which lies in no range.
pub(crate) fn doubles(op: ArithmeticOp, value: f64, operand: f64) -> f64 {
    match op {
        ArithmeticOp::Add => value + operand,
        ArithmeticOp::Subtract => value - operand,
        ArithmeticOp::Multiply => value * operand,
        ArithmeticOp::Divide => value / operand,
        _ => f64::NAN,
    }
}

/// As [`doubles`], in single precision.
pub(crate) fn singles(op: ArithmeticOp, value: f32, operand: f32) -> f32 {
    match op {
        ArithmeticOp::Add => value + operand,
        ArithmeticOp::Subtract => value - operand,
        ArithmeticOp::Multiply => value * operand,
        ArithmeticOp::Divide => value / operand,
        _ => f32::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact() {
        let check =
            |op, value: i128, operand, expected: i128| assert_eq!(integers(op, value, operand), expected, "{value} {op:?} {operand}");
        let (least, most) = (i128::from(i64::MIN), i128::from(i64::MAX));
        check(ArithmeticOp::Add, most, i64::MAX, 2 * most);
        check(ArithmeticOp::Subtract, least, i64::MAX, least - most);
        check(ArithmeticOp::Multiply, least, i64::MIN, least * least);
        check(ArithmeticOp::Multiply, u64::MAX.into(), i64::MIN, i128::from(u64::MAX) * least);
        check(ArithmeticOp::Divide, least, -1, -least);
        check(ArithmeticOp::Divide, -7, 2, -3);
        check(ArithmeticOp::Divide, u64::MAX.into(), 2, i64::MAX.into());
        check(ArithmeticOp::Modulo, least, -1, 0);
        check(ArithmeticOp::Modulo, -7, 2, -1);
        check(ArithmeticOp::Modulo, u64::MAX.into(), 10, 5);
        check(ArithmeticOp::BitAnd, -1, 6, 6);
        check(ArithmeticOp::BitOr, 4, 1, 5);
        check(ArithmeticOp::BitXor, 5, 1, 4);
        check(ArithmeticOp::ShiftLeft, 1, 63, least);
        check(ArithmeticOp::ShiftRight, -8, 1, -4);
    }
}
