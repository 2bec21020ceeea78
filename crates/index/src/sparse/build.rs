//! Turning rows of pairs into lists of rows.

use types::{Error, Result};

use super::*;
use crate::build::BuildContext;
use crate::file::{Draft, SectionData};
use crate::opened;
use crate::space::Space;
use crate::vectors::{VectorRows, Vectors};

/// Vectors inverted between two looks at the progress.
const STEP_VECTORS: u32 = 16_384;

/// # Errors
/// Vectors that aren't sparse; [`types::Code::CANCELED`].
pub(crate) fn build(space: Space, rows: VectorRows<'_>, params: String, context: &BuildContext<'_>) -> Result<Draft> {
    let Vectors::Sparse(vectors) = rows.vectors else {
        return Err(Error::internal("an index of sparse vectors over others"));
    };
    let (starts, terms, slots, values) = invert(vectors, context)?;
    let (mut term_blocks, mut windows, mut bounds, mut block_postings) = (vec![0u32], Vec::new(), Vec::new(), vec![0u32]);
    for ends in starts.windows(2) {
        let (start, end) = (ends[0] as usize, ends[1] as usize);
        let mut at = start;
        for block in slots[start..end].chunk_by(|a, b| *a as usize / WINDOW == *b as usize / WINDOW) {
            let values = &values[at..at + block.len()];
            windows.push(block[0] / WINDOW as u32);
            bounds.push(values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            bounds.push(values.iter().copied().fold(f32::INFINITY, f32::min));
            at += block.len();
            block_postings.push(at as u32);
        }
        term_blocks.push(windows.len() as u32);
    }
    let mut draft = opened::draft(NAME, space, rows, None, params);
    let shape = vec![WINDOW as u32, terms.len() as u32, windows.len() as u32, slots.len() as u32];
    draft.push(SHAPE_SECTION, SectionData::U32(shape));
    draft.push(TERMS_SECTION, SectionData::U32(terms));
    draft.push(TERM_BLOCKS_SECTION, SectionData::U32(term_blocks));
    draft.push(WINDOWS_SECTION, SectionData::U32(windows));
    draft.push(BOUNDS_SECTION, SectionData::F32(bounds));
    draft.push(BLOCK_POSTINGS_SECTION, SectionData::U32(block_postings));
    draft.push(SLOTS_SECTION, SectionData::U16(slots.iter().map(|slot| (*slot as usize % WINDOW) as u16).collect()));
    draft.push(VALUES_SECTION, SectionData::F32(values));
    Ok(draft)
}

/// Where each term's postings start, the terms, and of each posting the slot and the value, ascending by term and slot.
type Inverted = (Vec<u32>, Vec<u32>, Vec<u32>, Vec<f32>);

fn invert(vectors: SparseVectors<'_>, context: &BuildContext<'_>) -> Result<Inverted> {
    let all = 0..vectors.len() as u32;
    let mut terms: Vec<u32> = all.clone().flat_map(|slot| vectors.vector(slot).indices.iter().copied()).collect();
    terms.sort_unstable();
    terms.dedup();
    let mut starts = vec![0u32; terms.len() + 1];
    let mut numbers = Vec::with_capacity(vectors.pairs());
    for slot in all.clone() {
        for index in vectors.vector(slot).indices {
            let number = terms.partition_point(|term| term < index);
            numbers.push(number as u32);
            starts[number + 1] += 1;
        }
        if slot.is_multiple_of(STEP_VECTORS) {
            context.progress.step(slot as usize, 2 * vectors.len())?;
        }
    }
    for number in 0..terms.len() {
        starts[number + 1] += starts[number];
    }
    let mut next = starts.clone();
    let (mut slots, mut values) = (vec![0u32; numbers.len()], vec![0f32; numbers.len()]);
    let mut numbers = numbers.into_iter();
    for slot in all {
        for (value, number) in vectors.vector(slot).values.iter().zip(&mut numbers) {
            let place = &mut next[number as usize];
            slots[*place as usize] = slot;
            values[*place as usize] = *value;
            *place += 1;
        }
        if slot.is_multiple_of(STEP_VECTORS) {
            context.progress.step(vectors.len() + slot as usize, 2 * vectors.len())?;
        }
    }
    Ok((starts, terms, slots, values))
}

/// Bytes that a build takes at most beside the column: of each pair its index, term number, slot, value and block.
pub(crate) fn memory_bytes(vectors: SparseVectors<'_>) -> u64 {
    vectors.pairs() as u64 * 46 + 64
}
