//! A (distance, id) pair packed into one integer whose order is the order of results.

/// A row at a distance. Ordered by distance, then by id: nearer first, and of equally near ones the smaller id.
///
/// The distance is stored as an integer that sorts as the float does. `-0.0` becomes `0.0`, so equal distances are
/// equal bits; every NaN becomes the largest value, so a poisoned distance is last instead of first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Neighbor(u64);

const SIGN: u32 = 1 << 31;

impl Neighbor {
    /// Comes after every neighbour that has a number for a distance.
    pub const FARTHEST: Neighbor = Neighbor(u64::MAX);

    /// Packs a pair.
    #[inline(always)]
    pub fn new(distance: f32, id: u32) -> Self {
        Self(u64::from(distance_key(distance)) << 32 | u64::from(id))
    }

    /// The distance; NaN if it was any NaN.
    #[inline(always)]
    pub fn distance(self) -> f32 {
        let key = (self.0 >> 32) as u32;
        f32::from_bits(if key & SIGN != 0 { key ^ SIGN } else { !key })
    }

    /// The row.
    #[inline(always)]
    pub fn id(self) -> u32 {
        self.0 as u32
    }

    #[inline(always)]
    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    #[inline(always)]
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// Positive floats already sort as their bits do; negative ones sort backwards. So set the sign of the former and turn
/// every bit of the latter.
#[inline(always)]
fn distance_key(distance: f32) -> u32 {
    if distance.is_nan() {
        return u32::MAX;
    }
    let bits = (distance + 0.0).to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_that_of_distance_then_id() {
        let distances = [f32::NEG_INFINITY, f32::MIN, -1.5, -1e-40, 0.0, 1e-40, 0.1, 7.0, f32::MAX, f32::INFINITY];
        for (i, a) in distances.iter().enumerate() {
            for (j, b) in distances.iter().enumerate() {
                assert_eq!(Neighbor::new(*a, 9) < Neighbor::new(*b, 3), i < j, "{a} against {b}");
            }
            assert_eq!(Neighbor::new(*a, 9).distance().to_bits(), a.to_bits());
            assert!(Neighbor::new(*a, 3) < Neighbor::new(*a, 4));
            assert!(Neighbor::new(*a, 0) < Neighbor::new(f32::NAN, 0));
            assert!(Neighbor::new(*a, u32::MAX) < Neighbor::FARTHEST);
        }
    }

    #[test]
    fn zeros_are_equal_and_every_nan_is_last() {
        assert_eq!(Neighbor::new(-0.0, 5), Neighbor::new(0.0, 5));
        for bits in [0x7fc0_0000u32, 0xffc0_0000, 0x7f80_0001, 0xff80_0001] {
            let poisoned = Neighbor::new(f32::from_bits(bits), 1);
            assert!(poisoned > Neighbor::new(f32::INFINITY, u32::MAX));
            assert!(poisoned.distance().is_nan());
            assert_eq!(poisoned.id(), 1);
        }
    }
}
