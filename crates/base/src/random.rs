//! Where random numbers come from: one generator a process, seeded in simulations.

use std::sync::Arc;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A shared generator. Clones draw from the same stream.
#[derive(Clone)]
pub struct Random {
    generator: Arc<Mutex<StdRng>>,
}

impl Random {
    /// Seeded by the operating system.
    pub fn from_system() -> Self {
        Self { generator: Arc::new(Mutex::new(rand::make_rng())) }
    }

    /// The stream of `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self { generator: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))) }
    }

    /// A generator of its own, whose stream doesn't depend on what others draw later.
    pub fn fork(&self) -> Self {
        Self::seeded(self.u64())
    }

    /// 64 random bits.
    pub fn u64(&self) -> u64 {
        self.generator.lock().random()
    }

    /// 128 random bits: attempt ids, log ids.
    pub fn u128(&self) -> u128 {
        self.generator.lock().random()
    }

    /// A number below `bound`.
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        self.generator.lock().random_range(0..bound)
    }

    /// True with this probability (0 … 1).
    pub fn chance(&self, probability: f64) -> bool {
        self.generator.lock().random_bool(probability.clamp(0.0, 1.0))
    }
}
