//! Distances from one query to the vectors of a column, whatever the metric and however the column lies in memory.

use types::index_params::Metric;

use crate::space::Space;
use crate::vectors::VectorRows;

/// Vectors gathered from a column that does not lie in one piece are handed to the kernels in groups of this many.
const SCATTERED_GROUP: usize = 8;

/// A query bound to a column. Slots that are asked for must lie below the column's length.
pub(crate) struct Scorer<'a> {
    space: Space,
    query: &'a [f32],
    /// `1 / ‖query‖`, for cosine.
    scale: f32,
    vectors: Vectors<'a>,
    /// Of the stored vectors, for cosine; computed as needed where absent.
    inverse_norms: Option<&'a [f32]>,
}

#[derive(Clone, Copy)]
enum Vectors<'a> {
    Contiguous(&'a [f32]),
    Scattered(&'a dyn VectorRows),
}

impl<'a> Scorer<'a> {
    pub(crate) fn new(space: Space, query: &'a [f32], rows: &'a dyn VectorRows, inverse_norms: Option<&'a [f32]>) -> Self {
        debug_assert_eq!(query.len(), rows.dim());
        let vectors = rows.contiguous().map_or(Vectors::Scattered(rows), Vectors::Contiguous);
        let scale = if space.needs_norms() { space.inverse_norm(query) } else { 1.0 };
        Self { space, query, scale, vectors, inverse_norms }
    }

    /// The vector in a slot.
    pub(crate) fn vector(&self, slot: u32) -> &'a [f32] {
        match self.vectors {
            Vectors::Contiguous(block) => {
                let dim = self.query.len();
                &block[slot as usize * dim..][..dim]
            }
            Vectors::Scattered(rows) => rows.vector(slot),
        }
    }

    /// The same column seen from one of its own vectors.
    pub(crate) fn seen_from(&self, slot: u32) -> Scorer<'a> {
        let query = self.vector(slot);
        let scale = if self.space.needs_norms() { self.inverse_norm(slot) } else { 1.0 };
        Scorer { query, scale, ..*self }
    }

    /// The distance of the query to itself: that of a copy.
    pub(crate) fn own_distance(&self) -> f32 {
        let raw = self.space.raw().one(self.query, self.query);
        match self.space.metric() {
            Metric::L2 => raw,
            Metric::Ip => -raw,
            Metric::Cosine => -(raw * self.scale * self.scale),
        }
    }

    /// Distances to `slots`.
    pub(crate) fn score(&self, slots: &[u32], out: &mut [f32]) {
        let raw = self.space.raw();
        match self.vectors {
            Vectors::Contiguous(block) => raw.gather(self.query, block, slots, out),
            Vectors::Scattered(rows) => {
                for (slots, out) in slots.chunks(SCATTERED_GROUP).zip(out.chunks_mut(SCATTERED_GROUP)) {
                    let mut group: [&[f32]; SCATTERED_GROUP] = [&[]; SCATTERED_GROUP];
                    for (vector, &slot) in group.iter_mut().zip(slots) {
                        *vector = rows.vector(slot);
                    }
                    raw.rows(self.query, &group[..slots.len()], out);
                }
            }
        }
        self.finish(|position| slots[position], out);
    }

    /// Distances to the `out.len()` slots from `start` on.
    pub(crate) fn score_run(&self, start: u32, out: &mut [f32]) {
        let dim = self.query.len();
        match self.vectors {
            Vectors::Contiguous(block) => {
                let begin = start as usize * dim;
                self.space.raw().block(self.query, &block[begin..begin + out.len() * dim], out);
                self.finish(|position| start + position as u32, out);
            }
            Vectors::Scattered(_) => {
                let mut slots = [0u32; SCATTERED_GROUP];
                let mut next = start;
                for out in out.chunks_mut(SCATTERED_GROUP) {
                    for slot in &mut slots[..out.len()] {
                        *slot = next;
                        next += 1;
                    }
                    self.score(&slots[..out.len()], out);
                }
            }
        }
    }

    #[inline(always)]
    fn finish(&self, slot_at: impl Fn(usize) -> u32, out: &mut [f32]) {
        match self.space.metric() {
            Metric::L2 => {}
            Metric::Ip => out.iter_mut().for_each(|value| *value = -*value),
            Metric::Cosine => {
                for (position, value) in out.iter_mut().enumerate() {
                    *value = -(*value * self.inverse_norm(slot_at(position)) * self.scale);
                }
            }
        }
    }

    #[inline(always)]
    fn inverse_norm(&self, slot: u32) -> f32 {
        match self.inverse_norms {
            Some(norms) => norms[slot as usize],
            None => self.space.inverse_norm(self.vector(slot)),
        }
    }
}
