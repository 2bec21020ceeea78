//! The ordered log per channel: a backend trait that appends and reads opaque frames, and once above it the protocol of `log.md`.
//!
//! Start at [`log`] for the boundary.

pub mod log;
