//! IVF_FLAT, IVF_SQ8, BIN_IVF_FLAT: vectors in lists around centroids; a search reads the lists whose centroids are nearest.
//!
//! The file holds centroids and, per list, the slots of its members in ascending order; vectors stay in their column. For IP
//! vectors are clustered by L2 and lists are chosen by inner product with the centroid; for COSINE centroids have length 1.
//! Centroids of numbers are 32-bit floats whatever the numbers are, those of bits are bits.
//!
//! Start at `search.rs` for reading and `build.rs` for writing; `kmeans.rs` finds the centroids, `codes.rs` is what IVF_SQ8 has
//! beside.

mod build;
mod codes;
mod kmeans;
mod points;
mod search;

use std::sync::Arc;

use types::blob::Blob;
use types::buffer::Buffer;
use types::index_params::Metric;
use types::{Error, Result};

pub(crate) use build::{Shape, build, memory_bytes as build_memory_bytes};

use codes::Codes;

use crate::file::Container;
use crate::opened::Opened;
use crate::search::VectorIndex;
use crate::space::Space;
use crate::vectors::{Element, Vectors};

/// The type's name in containers.
pub(crate) const NAME: &str = "IVF_FLAT";
/// That with codes.
pub(crate) const CODED_NAME: &str = "IVF_SQ8";
/// That over bits.
pub(crate) const BITS_NAME: &str = "BIN_IVF_FLAT";
/// One number: how many lists there are.
const SHAPE_SECTION: &str = "shape";
/// The lists' centroids, `lists × dim`.
const CENTROIDS_SECTION: &str = "centroids";
/// Where each list starts in `members`, and the end of the last one: `lists + 1` numbers.
const OFFSETS_SECTION: &str = "offsets";
/// The slots of all lists, one list after the other.
const MEMBERS_SECTION: &str = "members";
/// Lists of one index: the largest `nlist`.
const LISTS_MAX: u32 = 65_536;

/// An opened index of inverted lists.
#[derive(Debug)]
struct Ivf {
    opened: Opened,
    /// How far a query is from a centroid.
    centroid_space: Space,
    centroids: Centroids,
    codes: Option<Codes>,
    offsets: Buffer<u32>,
    members: Buffer<u32>,
}

#[derive(Debug)]
enum Centroids {
    Floats(Buffer<f32>),
    Bits(Buffer<u8>),
}

impl Centroids {
    fn vectors(&self, dim: usize) -> Vectors<'_> {
        match self {
            Self::Floats(values) => Vectors::f32(dim, values),
            Self::Bits(bytes) => Vectors::bits(dim, bytes),
        }
    }
}

pub(crate) fn open(container: &Container, blob: &dyn Blob) -> Result<Arc<dyn VectorIndex>> {
    let header = container.header();
    let [lists] = container.required::<u32>(blob, SHAPE_SECTION, 1)?[..] else {
        return Err(Error::corrupt(format!("index {}: no shape", blob.name())));
    };
    if lists > LISTS_MAX {
        return Err(Error::corrupt(format!("index {}: {lists} lists are too many", blob.name())));
    }
    let lists = lists as usize;
    let Some(centroid_metric) = centroid_metric(header.metric) else {
        return Err(Error::corrupt(format!("index {}: {} has no lists", blob.name(), header.metric)));
    };
    let centroids = match header.element {
        Element::Bits => Centroids::Bits(container.required(blob, CENTROIDS_SECTION, lists * (header.dim / 8))?),
        Element::Sparse => return Err(Error::corrupt(format!("index {}: lists of sparse vectors", blob.name()))),
        _ => Centroids::Floats(container.required(blob, CENTROIDS_SECTION, lists * header.dim)?),
    };
    let codes = match header.index_type.as_str() {
        CODED_NAME if header.element == Element::Bits => return Err(Error::corrupt(format!("index {}: codes of bits", blob.name()))),
        CODED_NAME => Some(Codes::open(container, blob, lists)?),
        _ => None,
    };
    let index = Ivf {
        opened: Opened::open(container, blob)?,
        centroid_space: Space::new(centroid_metric),
        centroids,
        codes,
        offsets: container.required(blob, OFFSETS_SECTION, lists + 1)?,
        members: container.required(blob, MEMBERS_SECTION, header.vectors)?,
    };
    // Few enough to check at once; members are checked as they are followed.
    let ends = (index.offsets.first(), index.offsets.last());
    if !index.offsets.is_sorted() || ends != (Some(&0), Some(&(header.vectors as u32))) {
        return Err(Error::corrupt(format!("index {}: lists do not cover the vectors", blob.name())));
    }
    Ok(Arc::new(index))
}

/// Centroids of COSINE have length 1, so an inner product orders them as the cosine does. Containment leads to no list.
fn centroid_metric(metric: Metric) -> Option<Metric> {
    match metric {
        Metric::L2 | Metric::Hamming | Metric::Jaccard => Some(metric),
        Metric::Ip | Metric::Cosine => Some(Metric::Ip),
        Metric::Substructure | Metric::Superstructure => None,
    }
}
