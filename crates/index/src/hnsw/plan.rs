//! Which way of searching a graph is cheapest for a filter of given size. Pure arithmetic on counts.
//!
//! Costs are estimates in nanoseconds of one machine; only their ratios decide. They assume that the filter has nothing to
//! do with the vectors. Where it has, a walk runs out of its budget and the next way is tried: see `search.rs`.

use super::walk::Budget;
use crate::search::Strategy;

/// One distance to a vector somewhere in memory: its first cache misses, and its bytes.
const DISTANCE_NS: f64 = 60.0;
const DISTANCE_NS_PER_BYTE: f64 = 0.075;
/// A scan fetches in order: so much of that.
const SCAN_SHARE: f64 = 0.6;
/// A scan is exact: it is taken if it costs no more than so many times what a walk does.
const SCAN_MAY_COST: f64 = 1.3;
/// Looking whether a neighbour's neighbour matches and was seen.
const TEST_NS: f64 = 6.0;
/// New nodes that an expansion finds, per square root of a node's links: the more links, the more of them lead back.
const NEW_PER_ROOT_OF_LINKS: f64 = 1.8;
/// Matches that a two-hop expansion finds new.
const NEW_PER_TWO_HOPS: f64 = 6.0;
/// A two-hop walk sees few neighbours of each node: it keeps so many times the candidates for the same recall.
const TWO_HOP_WIDENING: usize = 6;
/// Above this share of admitted rows, walking as if there were no filter and dropping afterwards is cheapest.
const DROP_AFTERWARDS: f64 = 0.75;
/// A walk that takes so many times the distances that it should does not suit the filter.
const PATIENCE: f64 = 4.0;
/// Distances that any walk may take.
const BUDGET_MIN: u64 = 2_048;

/// The facts that decide.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    /// Nodes of the graph.
    pub(super) nodes: usize,
    /// Rows that the filter admits.
    pub(super) admitted: usize,
    /// Hits wanted.
    pub(super) k: usize,
    /// Candidates to be kept; at least k, at least 1.
    pub(super) ef: usize,
    /// Links per node at most.
    pub(super) degree_max: usize,
    /// Bytes per vector.
    pub(super) vector_bytes: usize,
}

impl Case {
    /// The strategy to begin with.
    pub(super) fn strategy(&self) -> Strategy {
        if self.admitted <= self.k {
            return Strategy::Scan;
        }
        let walks = match self.share() >= DROP_AFTERWARDS {
            true => &[Strategy::Graph][..],
            false => &[Strategy::GraphInline, Strategy::GraphTwoHop],
        };
        let cheaper = |best, other| if self.cost_ns(other) < self.cost_ns(best) { other } else { best };
        walks.iter().copied().fold(Strategy::Scan, cheaper)
    }

    /// Candidates that a walk keeps.
    pub(super) fn ef_of(&self, strategy: Strategy) -> usize {
        let ef = match strategy {
            // Rejected rows take places in this beam.
            Strategy::Graph => (self.ef as f64 / self.share()).ceil() as usize,
            // Between two matches the walk sees all that is rejected there: it needs fewer candidates for the same recall.
            Strategy::GraphInline => (self.k + self.ef).div_ceil(2),
            Strategy::GraphTwoHop => self.ef.saturating_mul(TWO_HOP_WIDENING),
            Strategy::Scan | Strategy::Probe | Strategy::GraphThenScan => self.ef,
        };
        ef.min(self.nodes).max(1)
    }

    /// Where a walk is given up: when it takes far more than it should, or longer than a scan would have.
    pub(super) fn budget(&self, strategy: Strategy) -> Budget {
        let scan = (self.admitted as f64 * SCAN_SHARE) as u64;
        match strategy {
            Strategy::GraphInline | Strategy::GraphTwoHop => Budget {
                distances: ((self.distances(strategy) * PATIENCE) as u64).max(BUDGET_MIN).min(scan),
                hops: (self.hops(strategy) * PATIENCE) as u64,
            },
            _ => Budget::UNLIMITED,
        }
    }

    /// Whether, after an inline walk was given up, a scan is no dearer than what was already spent: then no other walk is tried.
    pub(super) fn scan_after_inline(&self) -> bool {
        (self.admitted as f64) * SCAN_SHARE <= self.distances(Strategy::GraphInline) * PATIENCE
    }

    fn hops(&self, strategy: Strategy) -> f64 {
        let ef = self.ef_of(strategy) as f64;
        if strategy == Strategy::GraphInline { ef / self.share() } else { ef }
    }

    fn distances(&self, strategy: Strategy) -> f64 {
        match strategy {
            Strategy::Scan => self.admitted as f64,
            Strategy::GraphTwoHop => self.hops(strategy) * NEW_PER_TWO_HOPS,
            _ => self.hops(strategy) * (self.degree_max as f64).sqrt() * NEW_PER_ROOT_OF_LINKS,
        }
    }

    fn cost_ns(&self, strategy: Strategy) -> f64 {
        let distance = DISTANCE_NS + DISTANCE_NS_PER_BYTE * self.vector_bytes as f64;
        let distances = self.distances(strategy) * distance;
        match strategy {
            Strategy::Scan => distances * SCAN_SHARE / SCAN_MAY_COST,
            // An expansion looks for half a record of matches.
            Strategy::GraphTwoHop => {
                let tests = self.degree_max as f64 / 2.0 / self.share();
                distances + self.hops(strategy) * tests * TEST_NS
            }
            _ => distances,
        }
    }

    fn share(&self) -> f64 {
        self.admitted.min(self.nodes) as f64 / self.nodes.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategy_by_share_and_size() {
        let check = |nodes, admitted, k, dim: usize, expected| {
            let case = Case { nodes, admitted, k, ef: 64.max(k), degree_max: 32, vector_bytes: 4 * dim };
            assert_eq!(case.strategy(), expected, "{case:?}");
            assert!((1..=nodes.max(1)).contains(&case.ef_of(expected)), "{case:?}");
        };
        for dim in [4, 128, 768] {
            check(0, 0, 10, dim, Strategy::Scan);
            check(100, 100, 10, dim, Strategy::Scan);
            check(1_000_000, 1_000_000, 10, dim, Strategy::Graph);
            check(1_000_000, 990_000, 10, dim, Strategy::Graph);
            check(1_000_000, 500_000, 10, dim, Strategy::GraphInline);
            check(1_000_000, 1_000, 10, dim, Strategy::Scan);
            check(1_000_000, 10_000, 10_000, dim, Strategy::Scan);
            check(100_000, 1_000, 10, dim, Strategy::Scan);
        }
        check(1_000_000, 200_000, 10, 128, Strategy::GraphInline);
        check(1_000_000, 50_000, 10, 768, Strategy::GraphTwoHop);
        check(10_000_000, 100_000, 10, 128, Strategy::GraphInline);
        check(10_000_000, 100_000, 10, 768, Strategy::GraphTwoHop);
    }

    #[test]
    fn no_numbers_break_it() {
        for nodes in [0usize, 1, 5, 1 << 31] {
            for admitted in [0, 1, nodes, nodes * 2] {
                for k in [0, 1, 16_384, usize::MAX / 4] {
                    let case = Case { nodes, admitted, k, ef: k.max(1), degree_max: 4_096, vector_bytes: 131_072 };
                    let strategy = case.strategy();
                    assert!(case.ef_of(strategy) >= 1);
                    case.budget(strategy);
                }
            }
        }
    }
}
