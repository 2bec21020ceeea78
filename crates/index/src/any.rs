//! An index file of either family: what manifests name doesn't say which it is, the file does.

use std::sync::Arc;

use types::Result;
use types::blob::Blob;

use crate::file::Container;
use crate::registry;
use crate::scalar::{self, ScalarIndex, ScalarKind};
use crate::search::VectorIndex;

/// An opened index.
pub enum AnyIndex {
    /// Of a column of vectors.
    Vector(Arc<dyn VectorIndex>),
    /// Of a column of scalars.
    Scalar(Arc<dyn ScalarIndex>),
}

/// Opens an index file of any type.
///
/// # Errors
/// What is wrong with the file, or a type that this version does not know.
pub fn open_any(blob: &dyn Blob) -> Result<AnyIndex> {
    let container = Container::open(blob)?;
    match ScalarKind::from_name(&container.header().index_type) {
        Some(_) => scalar::open(blob).map(AnyIndex::Scalar),
        None => registry::open(blob).map(AnyIndex::Vector),
    }
}
