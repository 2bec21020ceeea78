//! Building inverted lists.

use types::Result;

use super::kmeans::{Clustered, SAMPLE_PER_CENTROID};
use super::{CENTROIDS_SECTION, MEMBERS_SECTION, NAME, OFFSETS_SECTION, SHAPE_SECTION};
use crate::build::BuildContext;
use crate::file::{Draft, SectionData};
use crate::opened;
use crate::space::Space;
use crate::vectors::VectorRows;

/// With fewer vectors than this to a list, centroids describe noise.
const VECTORS_PER_LIST_MIN: usize = 39;

pub(crate) fn build(space: Space, rows: &dyn VectorRows, nlist: usize, params: String, context: &BuildContext<'_>) -> Result<Draft> {
    let norms = opened::inverse_norms(space, rows);
    let lists = match rows.len() {
        0 => 0,
        vectors => nlist.min(vectors / VECTORS_PER_LIST_MIN).max(1),
    };
    let clustered = Clustered { space, rows, inverse_norms: norms.as_deref() };
    let (centroids, assigned) = if lists == 0 { (Vec::new(), Vec::new()) } else { clustered.run(lists, context)? };
    let (offsets, members) = invert(&assigned, lists);
    let mut draft = opened::draft(NAME, space, rows, norms, params);
    draft.push(SHAPE_SECTION, SectionData::U32(vec![lists as u32]));
    draft.push(CENTROIDS_SECTION, SectionData::F32(centroids));
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
pub(crate) fn memory_bytes(vectors: u64, dim: u64, nlist: u64) -> u64 {
    let sample = vectors.min(nlist * SAMPLE_PER_CENTROID as u64);
    // Sampled slots, their lists and the members of those; all slots, their lists and the members; centroids, sums in f64, and
    // for each list counts, offsets, its place among the longest and its move.
    sample * 12 + vectors * 12 + nlist * (dim * 12 + 80)
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
