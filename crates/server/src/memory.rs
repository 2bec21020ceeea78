//! How the allocator treats the system: memory that is free goes back at once, and in small pages.
//!
//! mimalloc keeps free memory for a second, and looks at it again when more is freed. A flush frees a hundred megabytes, and then nothing
//! happens for hours: after 136 MB of rows were flushed, up to 305 MB of heap stayed, and 19 MB without the delay. It also asks for
//! huge pages, of which a small heap touches a part: an empty server had 21 MB of heap in them, and 5 MB without; the feature
//! `no_thp` of its crate ends that. Neither cost inserts or searches processor time. Files are mapped in huge pages as
//! before, where the system does so: search needs them.

use std::ffi::{c_int, c_long};

// So that its library is linked, whatever allocates.
use mimalloc as _;

/// `mi_option_purge_delay` in mimalloc's header: milliseconds until free memory is given back.
const PURGE_DELAY: c_int = 15;

unsafe extern "C" {
    fn mi_option_set(option: c_int, value: c_long);
    #[cfg(test)]
    fn mi_option_get(option: c_int) -> c_long;
}

/// Has the allocator give free memory back at once. Call it first.
pub fn spare() {
    // SAFETY: the signature is that of mimalloc's header, and options may be set at any time.
    unsafe { mi_option_set(PURGE_DELAY, 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: as above.
        let delay = || unsafe { mi_option_get(PURGE_DELAY) };
        // Its value before tells it from its neighbours, which are switches and counts.
        assert_eq!(delay(), 1_000, "mimalloc has other options now: look them up in its header");
        spare();
        assert_eq!(delay(), 0);
    }
}
