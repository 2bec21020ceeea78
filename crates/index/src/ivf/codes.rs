//! IVF_SQ8: each element of a vector as one of 256 steps between the least and the greatest of its dimension.
//!
//! Codes only decide which rows are not worth a look: for each list the file says how far a vector may lie from what its code
//! stands for, so a row is passed over only where it cannot be among the hits, and all others are compared as they are in the
//! column. Answers are therefore those of IVF_FLAT with the same lists; a quarter of the bytes is read for most rows.

use types::Result;
use types::blob::Blob;
use types::buffer::Buffer;
use types::index_params::Metric;

use crate::build::BuildContext;
use crate::file::{Container, Draft, SectionData};
use crate::opened::Opened;
use crate::vectors::Vectors;

/// Of each dimension its least value, then of each dimension its step.
const BOUNDS_SECTION: &str = "bounds";
/// Of each list how far a vector lies from its code at most.
const ERRORS_SECTION: &str = "errors";
/// The codes, in the order of `members`.
const CODES_SECTION: &str = "codes";
const STEPS: f32 = 255.0;
/// Vectors coded between two looks at the progress.
const STEP_VECTORS: usize = 16_384;

/// The codes of all lists.
#[derive(Debug)]
pub(super) struct Codes {
    dim: usize,
    bounds: Buffer<f32>,
    errors: Buffer<f32>,
    codes: Buffer<u8>,
}

impl Codes {
    pub(super) fn open(container: &Container, blob: &dyn Blob, lists: usize) -> Result<Self> {
        let header = container.header();
        Ok(Self {
            dim: header.dim,
            bounds: container.required(blob, BOUNDS_SECTION, 2 * header.dim)?,
            errors: container.required(blob, ERRORS_SECTION, lists)?,
            codes: container.required(blob, CODES_SECTION, header.vectors * header.dim)?,
        })
    }

    /// A query as it is compared with codes.
    pub(super) fn query<'a>(&'a self, opened: &'a Opened, query: Vectors<'_>) -> CodedQuery<'a> {
        let mut values = Vec::with_capacity(self.dim);
        query.widen(0, &mut values);
        let (least, steps) = self.bounds.split_at(self.dim);
        let metric = opened.space.metric();
        let dot = opened.space.kernels().dot();
        if metric == Metric::L2 {
            values.iter_mut().zip(least).for_each(|(value, least)| *value -= least);
            return CodedQuery { codes: self, opened, values, base: 0.0, length: 1.0 };
        }
        if metric == Metric::Cosine {
            let inverse = opened.space.inverse_norm(query, 0);
            values.iter_mut().for_each(|value| *value *= inverse);
        }
        let base = dot.one(&values, least);
        let length = if metric == Metric::Cosine { 1.0 } else { dot.one(&values, &values).sqrt() };
        values.iter_mut().zip(steps).for_each(|(value, step)| *value *= step);
        CodedQuery { codes: self, opened, values, base, length }
    }
}

/// A query and the codes that it is compared with.
pub(super) struct CodedQuery<'a> {
    codes: &'a Codes,
    opened: &'a Opened,
    /// L2: the query without the least values. Else: weights of the codes.
    values: Vec<f32>,
    /// What the least values add to the inner product.
    base: f32,
    /// Of the query.
    length: f32,
}

impl CodedQuery<'_> {
    /// Keeps of the members of a list from position `start` on those that may be as near as `limit`, `out` being room for their
    /// distances. Whatever a damaged file holds: a NaN keeps a row.
    pub(super) fn may_be_near(&self, list: u32, start: usize, members: &[u32], limit: f32, out: &mut [f32]) {
        let Codes { dim, bounds, errors, codes } = self.codes;
        let block = &codes[start * dim..(start + members.len()) * dim];
        let error = errors[list as usize];
        let kernels = self.opened.space.kernels().codes();
        if self.opened.space.metric() == Metric::L2 {
            kernels.squared_l2(&self.values, &bounds[*dim..], block, out);
            let reach = limit.sqrt() + error;
            let bound = reach * reach * (1.0 + slack(*dim));
            out.iter_mut().for_each(|value| *value = if *value > bound { f32::NAN } else { 0.0 });
            return;
        }
        kernels.dot(&self.values, block, out);
        let bound = limit + self.length * error;
        let norms = self.opened.norms();
        for (value, &slot) in out.iter_mut().zip(members) {
            let scale = norms.map_or(1.0, |norms| norms.get(slot as usize).copied().unwrap_or(0.0));
            *value = if -(*value + self.base) * scale > bound { f32::NAN } else { 0.0 };
        }
    }
}

/// What roundings of a sum over `dim` terms may amount to, as a part of its magnitude.
fn slack(dim: usize) -> f32 {
    (dim as f32 / 8.0 + 16.0) * f32::EPSILON
}

/// Codes all vectors, list by list.
pub(super) struct Coded<'a> {
    pub(super) vectors: Vectors<'a>,
    pub(super) norms: Option<&'a [f32]>,
    pub(super) offsets: &'a [u32],
    pub(super) members: &'a [u32],
}

impl Coded<'_> {
    pub(super) fn push_into(&self, draft: &mut Draft, context: &BuildContext<'_>) -> Result<()> {
        let dim = self.vectors.dim();
        let bounds = self.bounds();
        let (least, steps) = bounds.split_at(dim);
        // Sums start from the least values and may cancel: their roundings count by what is added.
        let length = |values: &[f32]| values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        let rounding = f64::from(slack(dim)) * (length(least) + f64::from(STEPS) * length(steps));
        let mut codes = Vec::with_capacity(self.members.len() * dim);
        let mut errors = vec![0f32; self.offsets.len() - 1];
        let mut vector = Vec::with_capacity(dim);
        for (list, error) in errors.iter_mut().enumerate() {
            for &slot in &self.members[self.offsets[list] as usize..self.offsets[list + 1] as usize] {
                self.vectors.widen(slot, &mut vector);
                let mut squared = 0f64;
                for ((value, least), step) in vector.iter().zip(least).zip(steps) {
                    // A NaN is coded as 0; its error is NaN as well.
                    let code = ((value - least) / step).round().clamp(0.0, STEPS) as u8;
                    squared += (f64::from(*value) - f64::from(least + step * f32::from(code))).powi(2);
                    codes.push(code);
                }
                let scale = f64::from(self.norms.map_or(1.0, |norms| norms[slot as usize]));
                let off = ((squared.sqrt() * (1.0 + f64::from(f32::EPSILON)) + rounding) * scale) as f32;
                // `max` would drop a NaN, and a list with one must have no bound.
                *error = if off.is_finite() { error.max(off.next_up()) } else { f32::INFINITY };
                if (codes.len() / dim).is_multiple_of(STEP_VECTORS) {
                    context.progress.step(codes.len() / dim, self.members.len())?;
                }
            }
        }
        draft.push(BOUNDS_SECTION, SectionData::F32(bounds));
        draft.push(ERRORS_SECTION, SectionData::F32(errors));
        draft.push(CODES_SECTION, SectionData::U8(codes));
        Ok(())
    }

    /// Least values and steps; numbers that are none don't count.
    fn bounds(&self) -> Vec<f32> {
        let dim = self.vectors.dim();
        let (mut least, mut greatest) = (vec![f32::INFINITY; dim], vec![f32::NEG_INFINITY; dim]);
        let mut vector = Vec::with_capacity(dim);
        for slot in 0..self.vectors.len() as u32 {
            self.vectors.widen(slot, &mut vector);
            for ((value, least), greatest) in vector.iter().zip(&mut least).zip(&mut greatest).filter(|((value, _), _)| value.is_finite()) {
                *least = least.min(*value);
                *greatest = greatest.max(*value);
            }
        }
        let steps: Vec<f32> =
            least.iter().zip(&greatest).map(|(least, greatest)| (greatest / STEPS - least / STEPS).max(f32::MIN_POSITIVE)).collect();
        least.iter_mut().for_each(|least| *least = if least.is_finite() { *least } else { 0.0 });
        least.into_iter().chain(steps).collect()
    }
}

/// Bytes that coding takes at most beside the lists.
pub(super) fn memory_bytes(vectors: u64, dim: u64, lists: u64) -> u64 {
    vectors * dim + dim * 20 + lists * 4
}
