//! From a container to the code that reads it.

use std::sync::Arc;

use types::blob::Blob;
use types::{Code, Error, Result};

use crate::file::Container;
use crate::search::VectorIndex;
use crate::{flat, hnsw, ivf, sparse};

type Opener = fn(&Container, &dyn Blob) -> Result<Arc<dyn VectorIndex>>;

/// Every type that can be read, by the name in its header. A new type is one line here.
const OPENERS: [(&str, Opener); 7] = [
    (flat::NAME, flat::open),
    (flat::BITS_NAME, flat::open),
    (ivf::NAME, ivf::open),
    (ivf::CODED_NAME, ivf::open),
    (ivf::BITS_NAME, ivf::open),
    (hnsw::NAME, hnsw::open),
    (sparse::NAME, sparse::open),
];

/// Opens an index file. Header and table are checked, sections are mapped; what lies inside them is checked by
/// [`crate::file::scrub`], and a damaged one gives wrong hits but never a panic.
///
/// # Errors
/// What is wrong with the file, or a type that this version does not know.
pub fn open(blob: &dyn Blob) -> Result<Arc<dyn VectorIndex>> {
    let container = Container::open(blob)?;
    let name = &container.header().index_type;
    match OPENERS.iter().find(|(known, _)| known == name) {
        Some((_, opener)) => opener(&container, blob),
        None => Err(Error::new(
            Code::INDEX_NOT_SUPPORTED,
            format!("index {} is of type {name}, which this version cannot read: index type not supported", blob.name()),
        )),
    }
}
