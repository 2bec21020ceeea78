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
use crate::vectors::{VectorRows, Vectors};
use crate::{auto, flat, hnsw, ivf, sparse};

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
/// A column that is too long or of vectors that the metric doesn't measure, or [`Code::CANCELED`].
pub fn build(params: &BuildParams, rows: VectorRows<'_>, context: &BuildContext<'_>) -> Result<Draft> {
    if rows.len() as u64 > VECTORS_MAX {
        return Err(Error::invalid(format!("{} vectors are too many for one index, at most {VECTORS_MAX}", rows.len())));
    }
    let space = Space::new(params.metric);
    let element = rows.vectors().element();
    if !space.measures(element) {
        return Err(Error::internal(format!("{} does not measure vectors of {element:?}", params.metric)));
    }
    context.progress.step(0, 1)?;
    let structure = auto::structure_for(params, rows.vectors());
    let json = params_json(structure);
    let draft = match structure {
        Structure::Flat => flat::build(space, rows, json),
        Structure::IvfFlat { nlist } => ivf::build(space, rows, ivf::Shape { nlist, coded: false }, json, context)?,
        Structure::IvfSq8 { nlist } => ivf::build(space, rows, ivf::Shape { nlist, coded: true }, json, context)?,
        Structure::Hnsw { m, ef_construction } => hnsw::build(space, rows, hnsw::Shape { m, ef_construction }, json, context)?,
        Structure::Sparse => sparse::build(space, rows, json, context)?,
    };
    context.progress.step(1, 1)?;
    Ok(draft)
}

/// Bytes that a build takes at most beside the column itself, the finished container included.
pub fn memory_bytes(params: &BuildParams, column: Vectors<'_>) -> u64 {
    let (vectors, dim) = (column.len() as u64, column.dim() as u64);
    let rows_and_norms = 2 * 4 * vectors;
    let structure = match (auto::structure_for(params, column), column) {
        (Structure::Flat, _) => 0,
        (Structure::IvfFlat { nlist }, _) => ivf::build_memory_bytes(vectors, dim, ivf::Shape { nlist, coded: false }),
        (Structure::IvfSq8 { nlist }, _) => ivf::build_memory_bytes(vectors, dim, ivf::Shape { nlist, coded: true }),
        (Structure::Hnsw { m, .. }, _) => hnsw::build_memory_bytes(vectors, m as u64),
        (Structure::Sparse, Vectors::Sparse(pairs)) => sparse::build_memory_bytes(pairs),
        (Structure::Sparse, _) => 0,
    };
    rows_and_norms + structure
}

fn params_json(structure: Structure) -> String {
    match structure {
        Structure::Flat | Structure::Sparse => "{}".to_owned(),
        Structure::IvfFlat { nlist } | Structure::IvfSq8 { nlist } => serde_json::json!({ "nlist": nlist }).to_string(),
        Structure::Hnsw { m, ef_construction } => serde_json::json!({ "M": m, "efConstruction": ef_construction }).to_string(),
    }
}
