//! Distances and scores: the one place where a metric's direction is turned.
//!
//! Inside this crate **smaller is nearer**, for every metric. What clients see is a *score*:
//!
//! | metric | distance | score |
//! |---|---|---|
//! | L2 | Σ(q−v)² | the distance |
//! | IP | −q·v | q·v, the distance turned |
//! | COSINE | −q·v / (‖q‖‖v‖) | the distance turned; 0 where either vector has no direction |
//! | HAMMING | bits that differ | the distance |
//! | JACCARD | 1 − shared bits / bits in either | the distance; 1 where nothing is shared |
//! | SUBSTRUCTURE | 0 where the row's bits are all in the query, else none | 0: other rows don't match |
//! | SUPERSTRUCTURE | 0 where the query's bits are all in the row, else none | 0: other rows don't match |
//!
//! IP of sparse vectors is defined where the two share an index; other rows don't match. No distance is NaN in computation.
//!
//! Turning a sign is exact, so `distance_of(score_of(d))` is `d` and bounds survive the trip bit for bit.

use kernel::{Bf16, Distance, F16, Kernels, Number, inverse_norm};
use types::index_params::Metric;
use types::{Error, Result};

use crate::vectors::{Dense, Element, Vectors, with_numbers};

/// What a client sees for a distance.
pub fn score_of(metric: Metric, distance: f32) -> f32 {
    // 0 − d, not −d: a distance of zero is a score of plus zero.
    if metric.descending() { 0.0 - distance } else { distance }
}

/// The distance behind a score.
pub fn distance_of(metric: Metric, score: f32) -> f32 {
    score_of(metric, score)
}

/// The distances that a range search accepts: `from ≤ distance < below`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Range {
    /// Inclusive; −∞ where the client gave no `range_filter`.
    pub from: f32,
    /// Exclusive: the client's `radius`.
    pub below: f32,
}

impl Range {
    /// From a client's `radius` and `range_filter`, which are scores.
    ///
    /// # Errors
    /// Milvus's text where the two leave nothing between them.
    pub fn from_scores(metric: Metric, radius: f32, range_filter: Option<f32>) -> Result<Self> {
        let below = distance_of(metric, radius);
        let Some(filter) = range_filter else {
            return Ok(Self { from: f32::NEG_INFINITY, below });
        };
        let from = distance_of(metric, filter);
        // Written so that NaN is refused as well.
        let ordered = from < below;
        if !ordered {
            let relation = if metric.descending() { "greater" } else { "less" };
            return Err(Error::invalid(format!("metric type ({metric}), range_filter({filter}) must be {relation} than radius({radius})")));
        }
        Ok(Self { from, below })
    }

    /// Whether it accepts a distance. NaN is outside.
    pub fn contains(&self, distance: f32) -> bool {
        self.from <= distance && distance < self.below
    }
}

/// A metric bound to the kernels of this CPU. Made once, when an index is opened or a growing column is born.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    metric: Metric,
    kernels: &'static Kernels,
}

impl Space {
    /// With the fastest kernels that this CPU has.
    pub fn new(metric: Metric) -> Self {
        Self::with_kernels(metric, Kernels::detect())
    }

    /// With given kernels.
    pub fn with_kernels(metric: Metric, kernels: &'static Kernels) -> Self {
        Self { metric, kernels }
    }

    /// The metric.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// The kernels.
    pub fn kernels(&self) -> &'static Kernels {
        self.kernels
    }

    /// Whether the metric measures vectors of such elements.
    pub fn measures(&self, element: Element) -> bool {
        match (self.metric, element) {
            (Metric::Ip, Element::Sparse) => true,
            (_, Element::Sparse) => false,
            (Metric::L2 | Metric::Ip | Metric::Cosine, element) => element != Element::Bits,
            (_, element) => element == Element::Bits,
        }
    }

    /// `1 / ‖v‖` of one of the vectors, or 0 where it has no direction; 0 where the vectors aren't numbers.
    pub fn inverse_norm(&self, vectors: Vectors<'_>, slot: u32) -> f32 {
        with_numbers!(vectors, dense => inverse_norm(self.squared_norm(dense, slot)), _ => 0.0)
    }

    fn squared_norm<T: Number>(&self, dense: Dense<'_, T>, slot: u32) -> f32 {
        let vector = dense.vector(slot);
        self.kernels.measures::<T>().dot.one(vector, vector)
    }

    /// Whether distances need the norm of the stored vector.
    pub(crate) fn needs_norms(&self) -> bool {
        self.metric == Metric::Cosine
    }

    fn of_numbers<T: Number>(self) -> Option<&'static Distance<T>> {
        let measures = self.kernels.measures::<T>();
        match self.metric {
            Metric::L2 => Some(&measures.squared_l2),
            Metric::Ip | Metric::Cosine => Some(&measures.dot),
            _ => None,
        }
    }
}

/// An element whose vectors some metric measures.
pub(crate) trait Measured: Copy + 'static {
    /// The kernel under a metric; `None` where the metric is for other vectors.
    fn distance(space: Space) -> Option<&'static Distance<Self>>;
}

impl Measured for f32 {
    fn distance(space: Space) -> Option<&'static Distance<Self>> {
        space.of_numbers()
    }
}

impl Measured for F16 {
    fn distance(space: Space) -> Option<&'static Distance<Self>> {
        space.of_numbers()
    }
}

impl Measured for Bf16 {
    fn distance(space: Space) -> Option<&'static Distance<Self>> {
        space.of_numbers()
    }
}

impl Measured for i8 {
    fn distance(space: Space) -> Option<&'static Distance<Self>> {
        space.of_numbers()
    }
}

/// Bits, eight in a byte.
impl Measured for u8 {
    fn distance(space: Space) -> Option<&'static Distance<Self>> {
        let measures = space.kernels.bit_vectors();
        match space.metric {
            Metric::Hamming => Some(&measures.hamming),
            Metric::Jaccard => Some(&measures.jaccard),
            Metric::Substructure => Some(&measures.within_query),
            Metric::Superstructure => Some(&measures.around_query),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_turn_exactly() {
        for metric in [Metric::L2, Metric::Ip, Metric::Cosine] {
            for value in [-1.5f32, -0.0, 0.0, 0.25, 1.0, f32::MAX, 1e-42] {
                assert_eq!(distance_of(metric, score_of(metric, value)), value, "{metric} {value}");
            }
        }
        assert_eq!(score_of(Metric::Ip, 0.0).to_bits(), 0.0f32.to_bits());
        assert_eq!(score_of(Metric::Cosine, -0.75), 0.75);
        assert_eq!(score_of(Metric::L2, 3.0), 3.0);
    }

    #[test]
    fn ranges_follow_the_direction_of_the_metric() {
        let check = |metric, radius, filter, inside: &[f32], outside: &[f32]| {
            let range = Range::from_scores(metric, radius, filter).expect("a range");
            for (scores, expected) in [(inside, true), (outside, false)] {
                for &score in scores {
                    assert_eq!(range.contains(distance_of(metric, score)), expected, "{metric} {score}");
                }
            }
        };
        check(Metric::L2, 2.0, None, &[0.0, 1.999], &[2.0, 3.0, f32::NAN]);
        check(Metric::L2, 2.0, Some(1.0), &[1.0, 1.5], &[0.999, 2.0]);
        check(Metric::Ip, 0.5, None, &[0.6, 100.0], &[0.5, -1.0]);
        check(Metric::Cosine, 0.5, Some(0.9), &[0.6, 0.9], &[0.5, 0.91]);
        let refused = |metric, radius, filter, text: &str| {
            let error = Range::from_scores(metric, radius, Some(filter)).expect_err("no range");
            assert_eq!(error.reason(), format!("{text}: invalid parameter"));
        };
        refused(Metric::L2, 1.0, 1.0, "metric type (L2), range_filter(1) must be less than radius(1)");
        refused(Metric::Ip, 10.5, 10.0, "metric type (IP), range_filter(10) must be greater than radius(10.5)");
        refused(Metric::Cosine, f32::NAN, 0.5, "metric type (COSINE), range_filter(0.5) must be greater than radius(NaN)");
    }
}
