//! Building inverted lists.

use types::Result;

use super::codes::{self, Coded};
use super::kmeans::{SAMPLE_PER_CENTROID, cluster};
use super::points::{Bits, Numbers};
use super::{BITS_NAME, CENTROIDS_SECTION, CODED_NAME, MEMBERS_SECTION, NAME, OFFSETS_SECTION, SHAPE_SECTION};
use crate::build::BuildContext;
use crate::file::{Draft, SectionData};
use crate::opened;
use crate::space::Space;
use crate::vectors::{VectorRows, Vectors};

/// With fewer vectors than this to a list, centroids describe noise.
const VECTORS_PER_LIST_MIN: usize = 39;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Lists; fewer are made where there are few vectors.
    pub(crate) nlist: usize,
    /// With codes of eight bits.
    pub(crate) coded: bool,
}

pub(crate) fn build(space: Space, rows: VectorRows<'_>, shape: Shape, params: String, context: &BuildContext<'_>) -> Result<Draft> {
    let vectors = rows.vectors;
    let norms = opened::inverse_norms(space, vectors);
    let lists = match vectors.len() {
        0 => 0,
        vectors => shape.nlist.min(vectors / VECTORS_PER_LIST_MIN).max(1),
    };
    let (centroids, assigned) = match vectors {
        Vectors::Bits(vectors) if lists > 0 => {
            let (centroids, assigned) = cluster(&Bits { space, vectors }, lists, context)?;
            (SectionData::U8(centroids), assigned)
        }
        _ if lists > 0 => {
            let (centroids, assigned) = cluster(&Numbers { space, vectors, inverse_norms: norms.as_deref() }, lists, context)?;
            (SectionData::F32(centroids), assigned)
        }
        _ => (SectionData::U8(Vec::new()), Vec::new()),
    };
    let (offsets, members) = invert(&assigned, lists);
    let name = match (vectors, shape.coded) {
        (Vectors::Bits(_), _) => BITS_NAME,
        (_, true) => CODED_NAME,
        (_, false) => NAME,
    };
    let mut draft = opened::draft(name, space, rows, norms.clone(), params);
    if shape.coded {
        let coded = Coded { vectors, norms: norms.as_deref(), offsets: &offsets, members: &members };
        coded.push_into(&mut draft, context)?;
    }
    draft.push(SHAPE_SECTION, SectionData::U32(vec![lists as u32]));
    draft.push(CENTROIDS_SECTION, centroids);
    draft.push(OFFSETS_SECTION, SectionData::U32(offsets));
    draft.push(MEMBERS_SECTION, SectionData::U32(members));
    Ok(draft)
}

/// From the list of each slot to the slots of each list, ascending.
pub(super) fn invert(assigned: &[u32], lists: usize) -> (Vec<u32>, Vec<u32>) {
    let mut offsets = vec![0u32; lists + 1];
    for &list in assigned {
        offsets[list as usize + 1] += 1;
    }
    for list in 0..lists {
        offsets[list + 1] += offsets[list];
    }
    let mut next = offsets.clone();
    let mut members = vec![0u32; assigned.len()];
    for (slot, &list) in assigned.iter().enumerate() {
        members[next[list as usize] as usize] = slot as u32;
        next[list as usize] += 1;
    }
    (offsets, members)
}

/// Bytes that a build takes at most beside the column.
pub(crate) fn memory_bytes(vectors: u64, dim: u64, shape: Shape) -> u64 {
    let nlist = shape.nlist as u64;
    let sample = vectors.min(nlist * SAMPLE_PER_CENTROID as u64);
    // Sampled slots, their lists, their order and the members of those; all slots, their lists and the members; centroids, sums in f64, and
    // for each list counts, offsets, its place among the longest and its move.
    let lists = sample * 20 + vectors * 12 + nlist * (dim * 12 + 80);
    lists + if shape.coded { codes::memory_bytes(vectors, dim, nlist) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_hold_every_slot_once_in_order() {
        let (offsets, members) = invert(&[2, 0, 2, 3, 0, 2], 5);
        assert_eq!(offsets, [0, 2, 2, 5, 6, 6]);
        assert_eq!(members, [1, 4, 0, 2, 5, 3]);
        assert_eq!(invert(&[], 0), (vec![0], vec![]));
    }
}
