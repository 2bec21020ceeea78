//! What vectors are made of besides `f32` and `i8`: two floats of sixteen bits.
//!
//! Both are kept as their bits and widened where they are computed with; sums are always `f32` (of `i8`: `i32`). Nothing is
//! computed in sixteen bits.

/// IEEE 754 half precision: eleven significant bits, up to 65,504.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct F16(pub u16);

/// The upper half of an `f32`: eight significant bits, its whole range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bf16(pub u16);

/// Bits that the mantissa of [`F16`] is shorter by than that of `f32`.
const F16_SHIFT: u32 = 13;
/// The exponents of `f32` start so much lower.
const F16_EXPONENTS: u32 = 127 - 15;
const F32_INFINITY: u32 = 0x7f80_0000;

impl F16 {
    /// A column's numbers, where they lie.
    pub fn of_bits(bits: &[u16]) -> &[Self] {
        // SAFETY: `F16` is a transparent `u16`, for which every bit pattern is valid.
        unsafe { std::slice::from_raw_parts(bits.as_ptr().cast(), bits.len()) }
    }

    /// The same number.
    #[inline(always)]
    pub fn to_f32(self) -> f32 {
        let sign = u32::from(self.0 & 0x8000) << 16;
        let magnitude = u32::from(self.0 & 0x7fff) << F16_SHIFT;
        // Moved to its place an exponent is too low by a constant; a multiplication sets it right, that of subnormals too.
        let scaled = f32::from_bits(magnitude) * f32::from_bits((127 + F16_EXPONENTS) << 23);
        let widened = if magnitude >= 0x7c00 << F16_SHIFT { magnitude | F32_INFINITY } else { scaled.to_bits() };
        f32::from_bits(widened | sign)
    }

    /// The nearest number, of two equally near ones the even; infinite above 65,519.
    pub fn from_f32(value: f32) -> Self {
        let sign = (value.to_bits() >> 16 & 0x8000) as u16;
        let magnitude = value.to_bits() & 0x7fff_ffff;
        let rounded = if magnitude > F32_INFINITY {
            0x7e00
        } else if magnitude >= 65_536f32.to_bits() {
            0x7c00
        } else if magnitude < (127 - 14) << 23 {
            // The last bit of 0.5 is worth what the last bit of a subnormal is: the addition rounds.
            (f32::from_bits(magnitude) + 0.5).to_bits() - 0.5f32.to_bits()
        } else {
            let odd = magnitude >> F16_SHIFT & 1;
            (magnitude - (F16_EXPONENTS << 23) + 0xfff + odd) >> F16_SHIFT
        };
        Self(sign | rounded as u16)
    }
}

impl Bf16 {
    /// A column's numbers, where they lie.
    pub fn of_bits(bits: &[u16]) -> &[Self] {
        // SAFETY: `Bf16` is a transparent `u16`, for which every bit pattern is valid.
        unsafe { std::slice::from_raw_parts(bits.as_ptr().cast(), bits.len()) }
    }

    /// The same number.
    #[inline(always)]
    pub fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    /// The nearest number, of two equally near ones the even.
    pub fn from_f32(value: f32) -> Self {
        let bits = value.to_bits();
        if value.is_nan() {
            return Self((bits >> 16) as u16 | 0x40);
        }
        Self(((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_comes_back() {
        for bits in 0..=u16::MAX {
            let (half, upper) = (F16(bits), Bf16(bits));
            if !half.to_f32().is_nan() {
                assert_eq!(F16::from_f32(half.to_f32()), half, "{bits:#x}");
            } else {
                assert!(F16::from_f32(half.to_f32()).to_f32().is_nan());
            }
            if !upper.to_f32().is_nan() {
                assert_eq!(Bf16::from_f32(upper.to_f32()), upper, "{bits:#x}");
            } else {
                assert!(Bf16::from_f32(upper.to_f32()).to_f32().is_nan());
            }
        }
    }

    #[test]
    fn numbers_round_to_the_nearest() {
        let check = |value: f32, half: f32| assert_eq!(F16::from_f32(value).to_f32(), half, "{value}");
        check(1.0, 1.0);
        check(-2.5, -2.5);
        check(65_504.0, 65_504.0);
        check(65_519.0, 65_504.0);
        check(65_520.0, f32::INFINITY);
        check(1e30, f32::INFINITY);
        check(2f32.powi(-24), 2f32.powi(-24));
        check(2f32.powi(-26), 0.0);
        check(2f32.powi(-14), 2f32.powi(-14));
        // Half way between 1 and the next: to the even one; a little above half way: up.
        check(1.0 + 2f32.powi(-11), 1.0);
        check(1.0 + 3.0 * 2f32.powi(-11), 1.0 + 2f32.powi(-9));
        check(1.0 + 2f32.powi(-11) + 2f32.powi(-20), 1.0 + 2f32.powi(-10));
        assert_eq!(Bf16::from_f32(1.0 + 2f32.powi(-8)).to_f32(), 1.0);
        assert_eq!(Bf16::from_f32(1.0 + 3.0 * 2f32.powi(-8)).to_f32(), 1.0 + 2f32.powi(-6));
        assert_eq!(Bf16::from_f32(f32::MAX).to_f32(), f32::INFINITY);
    }
}
