//! The dispatch tables: one per instruction set, each a constant.
//!
//! A [`Kernels`] is only reachable through [`Kernels::detect`], [`Kernels::scalar`] and [`Kernels::available`], which
//! hand out a table only on a CPU that can run it. The function pointers inside rely on that.

use crate::bits::Bits;
use crate::distance::{BitMeasures, Codes, Distance, Measures};
use crate::element::{Bf16, F16};
use crate::scalar;

/// An instruction set for which this crate has a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Portable code, whatever the compiler makes of it.
    Scalar,
    /// 64-bit ARM.
    Neon,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// x86-64 with AVX-512 F, BW, VL and VPOPCNTDQ.
    Avx512,
}

/// The functions of one instruction set. Take it once, when an index is opened, and keep the reference.
#[derive(Debug)]
pub struct Kernels {
    level: Level,
    f32: Measures<f32>,
    f16: Measures<F16>,
    bf16: Measures<Bf16>,
    i8: Measures<i8>,
    bit_vectors: BitMeasures,
    codes: Codes,
    bits: Bits,
}

/// An element that vectors with an L2 distance and an inner product are made of.
pub trait Number: Copy + Send + Sync + Sized + 'static {
    /// Its distances in a table.
    fn measures(kernels: &Kernels) -> &Measures<Self>;
    /// The same number; exact.
    fn to_f32(self) -> f32;
}

impl Number for f32 {
    fn measures(kernels: &Kernels) -> &Measures<Self> {
        &kernels.f32
    }

    fn to_f32(self) -> f32 {
        self
    }
}

impl Number for F16 {
    fn measures(kernels: &Kernels) -> &Measures<Self> {
        &kernels.f16
    }

    fn to_f32(self) -> f32 {
        self.to_f32()
    }
}

impl Number for Bf16 {
    fn measures(kernels: &Kernels) -> &Measures<Self> {
        &kernels.bf16
    }

    fn to_f32(self) -> f32 {
        self.to_f32()
    }
}

impl Number for i8 {
    fn measures(kernels: &Kernels) -> &Measures<Self> {
        &kernels.i8
    }

    fn to_f32(self) -> f32 {
        f32::from(self)
    }
}

static SCALAR: Kernels = Kernels {
    level: Level::Scalar,
    f32: scalar::measures(),
    f16: scalar::measures(),
    bf16: scalar::measures(),
    i8: scalar::INTEGERS,
    bit_vectors: scalar::BITS,
    codes: scalar::CODES,
    bits: Bits::new(scalar::count, scalar::count_and),
};

#[cfg(target_arch = "x86_64")]
static AVX2: Kernels = Kernels {
    level: Level::Avx2,
    f32: crate::x86::avx2::measures(),
    f16: crate::x86::avx2::measures(),
    bf16: crate::x86::avx2::measures(),
    i8: crate::x86::avx2::INTEGERS,
    bit_vectors: crate::x86::avx2::BITS,
    codes: crate::x86::avx2::CODES,
    bits: Bits::new(crate::x86::avx2::count, crate::x86::avx2::count_and),
};

#[cfg(target_arch = "x86_64")]
static AVX512: Kernels = Kernels {
    level: Level::Avx512,
    f32: crate::x86::avx512::measures(),
    f16: crate::x86::avx512::measures(),
    bf16: crate::x86::avx512::measures(),
    i8: crate::x86::avx512::INTEGERS,
    bit_vectors: crate::x86::avx512::BITS,
    codes: crate::x86::avx512::CODES,
    bits: Bits::new(crate::x86::avx512::count, crate::x86::avx512::count_and),
};

#[cfg(target_arch = "aarch64")]
static NEON: Kernels = Kernels {
    level: Level::Neon,
    f32: Measures {
        squared_l2: Distance::new(crate::arm::squared_l2_one, crate::arm::squared_l2_four),
        dot: Distance::new(crate::arm::dot_one, crate::arm::dot_four),
    },
    // NEON belongs to every 64-bit ARM: the compiler makes it of the portable code.
    f16: scalar::measures(),
    bf16: scalar::measures(),
    i8: scalar::INTEGERS,
    bit_vectors: scalar::BITS,
    codes: scalar::CODES,
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

    /// The distances of vectors of `T`.
    pub fn measures<T: Number>(&self) -> &Measures<T> {
        T::measures(self)
    }

    /// Sum of squared differences of `f32`, ≥ 0.
    pub fn squared_l2(&self) -> &Distance<f32> {
        &self.f32.squared_l2
    }

    /// Inner product of `f32`: larger is nearer, the caller turns the sign.
    pub fn dot(&self) -> &Distance<f32> {
        &self.f32.dot
    }

    /// The distances of bit vectors.
    pub fn bit_vectors(&self) -> &BitMeasures {
        &self.bit_vectors
    }

    /// Distances to vectors of eight-bit codes.
    pub fn codes(&self) -> &Codes {
        &self.codes
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
        && std::arch::is_x86_feature_detected!("f16c")
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
