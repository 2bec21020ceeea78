//! The x86-64 kernels. Each file is one instruction set and mirrors `scalar.rs` function by function.

pub(crate) mod avx2;
pub(crate) mod avx512;
