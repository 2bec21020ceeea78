//! A hint to the cache. It changes nothing but time, and a wrong guess is harmless.

/// Bytes per cache line on every CPU we have kernels for.
const LINE_BYTES: usize = 64;
/// Lines asked for at most: after these the hardware has seen the stream and fetches the rest by itself, and more hints
/// only crowd out the loads.
const LINES_MAX: usize = 4;

/// Asks the cache for the beginning (at most 256 bytes) of a slice that will be read soon.
#[inline(always)]
pub fn prefetch<T>(slice: &[T]) {
    let start: *const i8 = slice.as_ptr().cast();
    let lines = size_of_val(slice).div_ceil(LINE_BYTES).min(LINES_MAX);
    for line in 0..lines {
        line_hint(start.wrapping_add(line * LINE_BYTES));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn line_hint(address: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing architecturally and faults at no address; SSE is part of x86-64.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address) }
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn line_hint(address: *const i8) {
    // SAFETY: PRFM reads nothing architecturally and faults at no address.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{0}]", in(reg) address, options(nostack, readonly, preserves_flags));
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
fn line_hint(_address: *const i8) {}
