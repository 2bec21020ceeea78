//! Building an index over a column: from parameters and vectors to a container in memory.
//!
//! A build depends on nothing but its inputs: the same column, parameters and seed give the same bytes on any number of
//! threads (with the same instruction set). It can be cancelled between steps, and says how far it is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use base::cpu::CpuPool;
use types::{Code, Error, Result};

use crate::file::{Draft, VECTORS_MAX};
use crate::params::{BuildParams, Structure};
use crate::space::Space;
use crate::vectors::VectorRows;
use crate::{flat, hnsw, ivf};

/// What a build is run with.
pub struct BuildContext<'a> {
    /// Where the work runs.
    pub pool: &'a CpuPool,
    /// Decides every random choice.
    pub seed: u64,
    /// Watched and updated while it runs.
    pub progress: &'a Progress,
}

/// A running build as others see it.
#[derive(Debug, Default)]
pub struct Progress {
    cancelled: AtomicBool,
    done: AtomicU64,
}

impl Progress {
    /// Not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the build to end with [`Code::CANCELED`] at the next step.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// How much is done, 0 … 1, in parts of about equal time.
    pub fn fraction(&self) -> f64 {
        f64::from_bits(self.done.load(Ordering::Relaxed))
    }

    /// Ends a step of the build.
    pub(crate) fn step(&self, done: usize, of: usize) -> Result<()> {
        self.done.store((done as f64 / of.max(1) as f64).to_bits(), Ordering::Relaxed);
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::new(Code::CANCELED, "index build canceled"));
        }
        Ok(())
    }
}

/// Builds the index that `params` describe over all vectors of `rows`.
///
/// # Errors
/// A column that is too long, or [`Code::CANCELED`].
pub fn build(params: &BuildParams, rows: &dyn VectorRows, context: &BuildContext<'_>) -> Result<Draft> {
    if rows.len() as u64 > VECTORS_MAX {
        return Err(Error::invalid(format!("{} vectors are too many for one index, at most {VECTORS_MAX}", rows.len())));
    }
    let space = Space::new(params.metric);
    context.progress.step(0, 1)?;
    let draft = match params.structure {
        Structure::Flat => flat::build(space, rows, params_json(params)),
        Structure::IvfFlat { nlist } => ivf::build(space, rows, nlist, params_json(params), context)?,
        Structure::Hnsw { m, ef_construction } => {
            hnsw::build(space, rows, hnsw::Shape { m, ef_construction }, params_json(params), context)?
        }
    };
    context.progress.step(1, 1)?;
    Ok(draft)
}

/// Bytes that a build takes at most beside the column itself, the finished container included.
pub fn memory_bytes(params: &BuildParams, vectors: usize, dim: usize) -> u64 {
    let vectors = vectors as u64;
    let rows_and_norms = 2 * 4 * vectors;
    rows_and_norms
        + match params.structure {
            Structure::Flat => 0,
            Structure::IvfFlat { nlist } => ivf::build_memory_bytes(vectors, dim as u64, nlist as u64),
            Structure::Hnsw { m, .. } => hnsw::build_memory_bytes(vectors, m as u64),
        }
}

fn params_json(params: &BuildParams) -> String {
    match params.structure {
        Structure::Flat => "{}".to_owned(),
        Structure::IvfFlat { nlist } => serde_json::json!({ "nlist": nlist }).to_string(),
        Structure::Hnsw { m, ef_construction } => serde_json::json!({ "M": m, "efConstruction": ef_construction }).to_string(),
    }
}
