//! IVF_FLAT: vectors in lists around centroids; a search reads the lists whose centroids are nearest.
//!
//! The file holds centroids and, per list, the slots of its members in ascending order; vectors stay in their column. For IP
//! vectors are clustered by L2 and lists are chosen by inner product with the centroid; for COSINE centroids have length 1.
//!
//! Start at `search.rs` for reading and `build.rs` for writing; `kmeans.rs` finds the centroids.

mod build;
mod kmeans;
mod search;

use std::sync::Arc;

use types::blob::Blob;
use types::buffer::Buffer;
use types::index_params::Metric;
use types::{Error, Result};

pub(crate) use build::{build, memory_bytes as build_memory_bytes};

use crate::file::Container;
use crate::opened::Opened;
use crate::search::VectorIndex;
use crate::space::Space;

/// The type's name in containers.
pub(crate) const NAME: &str = "IVF_FLAT";
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

/// An opened IVF_FLAT index.
#[derive(Debug)]
struct Ivf {
    opened: Opened,
    /// How far a query is from a centroid.
    centroid_space: Space,
    centroids: Buffer<f32>,
    offsets: Buffer<u32>,
    members: Buffer<u32>,
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
    let index = Ivf {
        opened: Opened::open(container, blob)?,
        centroid_space: Space::new(centroid_metric(header.metric)),
        centroids: container.required(blob, CENTROIDS_SECTION, lists * header.dim)?,
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

/// Centroids of COSINE have length 1, so an inner product orders them as the cosine does.
fn centroid_metric(metric: Metric) -> Metric {
    match metric {
        Metric::L2 => Metric::L2,
        Metric::Ip | Metric::Cosine => Metric::Ip,
    }
}
