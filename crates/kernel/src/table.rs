//! The dispatch tables: one per instruction set, each a constant.
//!
//! A [`Kernels`] is only reachable through [`Kernels::detect`], [`Kernels::scalar`] and [`Kernels::available`], which
//! hand out a table only on a CPU that can run it. The function pointers inside rely on that.

use crate::bits::Bits;
use crate::distance::Distance;
use crate::scalar;

/// An instruction set for which this crate has a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Portable code, whatever the compiler makes of it.
    Scalar,
    /// 64-bit ARM.
    Neon,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512 F, BW, VL and VPOPCNTDQ.
    Avx512,
}

/// The functions of one instruction set. Take it once, when an index is opened, and keep the reference.
#[derive(Debug)]
pub struct Kernels {
    level: Level,
    squared_l2: Distance,
    dot: Distance,
    bits: Bits,
}

static SCALAR: Kernels = Kernels {
    level: Level::Scalar,
    squared_l2: Distance::new(scalar::squared_l2_one, scalar::squared_l2_four),
    dot: Distance::new(scalar::dot_one, scalar::dot_four),
    bits: Bits::new(scalar::count, scalar::count_and),
};

#[cfg(target_arch = "x86_64")]
static AVX2: Kernels = Kernels {
    level: Level::Avx2,
    squared_l2: Distance::new(crate::x86::avx2::squared_l2_one, crate::x86::avx2::squared_l2_four),
    dot: Distance::new(crate::x86::avx2::dot_one, crate::x86::avx2::dot_four),
    bits: Bits::new(crate::x86::avx2::count, crate::x86::avx2::count_and),
};

#[cfg(target_arch = "x86_64")]
static AVX512: Kernels = Kernels {
    level: Level::Avx512,
    squared_l2: Distance::new(crate::x86::avx512::squared_l2_one, crate::x86::avx512::squared_l2_four),
    dot: Distance::new(crate::x86::avx512::dot_one, crate::x86::avx512::dot_four),
    bits: Bits::new(crate::x86::avx512::count, crate::x86::avx512::count_and),
};

#[cfg(target_arch = "aarch64")]
static NEON: Kernels = Kernels {
    level: Level::Neon,
    squared_l2: Distance::new(crate::arm::squared_l2_one, crate::arm::squared_l2_four),
    dot: Distance::new(crate::arm::dot_one, crate::arm::dot_four),
    bits: Bits::new(scalar::count, scalar::count_and),
};

impl Kernels {
    /// The fastest table that this CPU can run. Cheap: the CPU was asked once per process.
    pub fn detect() -> &'static Kernels {
        #[cfg(target_arch = "x86_64")]
        {
            if avx512_usable() {
                return &AVX512;
            }
            if avx2_usable() {
                return &AVX2;
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            return &NEON;
        }
        &SCALAR
    }

    /// The portable table: the twin that every other one is tested against.
    pub fn scalar() -> &'static Kernels {
        &SCALAR
    }

    /// Every table that this CPU can run, slowest first.
    pub fn available() -> Vec<&'static Kernels> {
        #[allow(unused_mut, reason = "only SCALAR is there on an architecture without a SIMD table")]
        let mut tables = vec![&SCALAR];
        #[cfg(target_arch = "x86_64")]
        {
            if avx2_usable() {
                tables.push(&AVX2);
            }
            if avx512_usable() {
                tables.push(&AVX512);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            tables.push(&NEON);
        }
        tables
    }

    /// Which instruction set this table uses.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Sum of squared differences, ≥ 0.
    pub fn squared_l2(&self) -> &Distance {
        &self.squared_l2
    }

    /// Inner product: larger is nearer, the caller turns the sign.
    pub fn dot(&self) -> &Distance {
        &self.dot
    }

    /// Counting over bit sets.
    pub fn bits(&self) -> &Bits {
        &self.bits
    }
}

#[cfg(target_arch = "x86_64")]
fn avx2_usable() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("fma")
        && std::arch::is_x86_feature_detected!("popcnt")
}

#[cfg(target_arch = "x86_64")]
fn avx512_usable() -> bool {
    avx2_usable()
        && std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512vl")
        && std::arch::is_x86_feature_detected!("avx512vpopcntdq")
}
