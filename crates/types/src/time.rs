//! Hybrid timestamps: Milvus's `milliseconds << 18 | counter`.
//!
//! Not a clock: nothing here reads the time. Records get theirs from the sequencer, which keeps them strictly monotonic.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bits of the counter below the milliseconds.
pub const LOGICAL_BITS: u32 = 18;

/// A hybrid timestamp. Ordered; `0` is before every record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Before every record.
    pub const ZERO: Self = Self(0);
    /// After every record: "no upper bound".
    pub const MAX: Self = Self(u64::MAX);

    /// The first timestamp of a millisecond since the Unix epoch.
    pub fn from_millis(millis: u64) -> Self {
        Self(millis << LOGICAL_BITS)
    }

    /// Milliseconds since the Unix epoch.
    pub fn millis(self) -> u64 {
        self.0 >> LOGICAL_BITS
    }

    /// The next one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The timestamp `millis` earlier, not below zero.
    pub fn minus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_sub(millis << LOGICAL_BITS))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
