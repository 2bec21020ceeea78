//! Whether a run is over, and what was found wrong in it: by clients, or by the simulation itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

/// Clones are the same.
#[derive(Clone, Default)]
pub struct Verdict {
    violation: Arc<Mutex<Option<String>>>,
    over: Arc<AtomicBool>,
}

impl Verdict {
    /// What was wrong first, if anything.
    pub fn violation(&self) -> Option<String> {
        self.violation.lock().clone()
    }

    /// Something is wrong: ends the run.
    pub fn violate(&self, what: String) {
        self.violation.lock().get_or_insert(what);
        self.end();
    }

    /// The clients are done.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Whether they are, or something is wrong.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}
