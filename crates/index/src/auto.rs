//! AUTOINDEX: which structure is built where the client leaves it to us.
//!
//! What was decided, and what it beats:
//! - **Few vectors: none.** A scan of [`SCANNED_BYTES`] takes some 0.15 ms of one core (13 GB/s), about what a walk takes; it is
//!   exact, and there is nothing to build. Milvus scans below 1,024 rows whatever their size, and so do we.
//! - **Numbers (f32, f16, bf16, i8): a graph** with Milvus's M 18 and efConstruction 240. Milvus 3 walks such a graph over codes of
//!   four bits and refines on half floats. Ours is walked over the vectors as they are: a refinement that the column itself
//!   gives is never wrong, and the column is mapped anyway. What codes would save is bytes read per step of a walk.
//! - **Bits under HAMMING and JACCARD: a graph.** Milvus builds BIN_IVF_FLAT with 1,024 lists, of which it reads 8: of bits
//!   that aren't clustered (hashes, fingerprints) 8 lists hold a small part of the neighbours. A graph finds them without
//!   clusters; both distances obey the triangle inequality, which is what makes a walk arrive.
//! - **Bits under SUBSTRUCTURE and SUPERSTRUCTURE: none.** There is no near and far to walk by; each row is looked at.
//! - **Sparse: inverted lists**, as in Milvus. They are exact.
//!
//! A search keeps at least 96 candidates (`params.rs`): recall is ours to choose, and must not fall below 0.95.

use types::index_params::Metric;
use types::schema::DataType;

use crate::params::{BuildParams, IndexKind, Structure};
use crate::vectors::Vectors;

/// Links per node.
const M: usize = 18;
/// Candidates per insertion.
const EF_CONSTRUCTION: usize = 240;
/// Fewer vectors than this are scanned.
const SCANNED_VECTORS: usize = 1_024;
/// So many bytes of vectors are scanned.
const SCANNED_BYTES: usize = 2 << 20;
/// A vector takes as long as so many bytes at least.
const VECTOR_BYTES_MIN: usize = 64;

/// What is built over many vectors.
pub(crate) fn structure(data_type: DataType, metric: Metric) -> Structure {
    match (data_type, metric) {
        (DataType::SparseFloatVector, _) => Structure::Sparse,
        (_, Metric::Substructure | Metric::Superstructure) => Structure::Flat,
        _ => Structure::Hnsw { m: M, ef_construction: EF_CONSTRUCTION },
    }
}

/// What is built over a column, whoever chooses.
pub(crate) fn structure_for(params: &BuildParams, column: Vectors<'_>) -> Structure {
    let vector_bytes = column.element().vector_bytes(column.dim()).max(VECTOR_BYTES_MIN);
    let scanned = column.len() < SCANNED_VECTORS || column.len() * vector_bytes < SCANNED_BYTES;
    match params.structure {
        Structure::Hnsw { .. } if params.kind == IndexKind::Auto && scanned => Structure::Flat,
        chosen => chosen,
    }
}
