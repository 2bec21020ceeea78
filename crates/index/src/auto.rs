//! AUTOINDEX: which structure is built where the client leaves it to us.
//!
//! What was decided, and what it beats:
//! - **Few vectors: none.** Below [`SCANNED_VECTORS`] a scan takes no longer than a walk with what surrounds it, is exact, and
//!   takes no build. Milvus does so below 1,024 rows.
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

/// Links per node.
const M: usize = 18;
/// Candidates per insertion.
const EF_CONSTRUCTION: usize = 240;
/// Fewer vectors than this are scanned.
const SCANNED_VECTORS: usize = 4_096;

/// What is built over many vectors.
pub(crate) fn structure(data_type: DataType, metric: Metric) -> Structure {
    match (data_type, metric) {
        (DataType::SparseFloatVector, _) => Structure::Sparse,
        (_, Metric::Substructure | Metric::Superstructure) => Structure::Flat,
        _ => Structure::Hnsw { m: M, ef_construction: EF_CONSTRUCTION },
    }
}

/// What is built over a number of vectors, whoever chooses.
pub(crate) fn structure_for(params: &BuildParams, vectors: usize) -> Structure {
    match params.structure {
        Structure::Hnsw { .. } if params.kind == IndexKind::Auto && vectors < SCANNED_VECTORS => Structure::Flat,
        chosen => chosen,
    }
}
