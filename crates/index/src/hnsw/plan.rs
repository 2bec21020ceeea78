//! Which way of searching a graph is cheapest for a filter of given size. Pure arithmetic on counts.
//!
//! Costs are estimates in nanoseconds of one machine; only their ratios decide. They assume that the filter has nothing to
//! do with the vectors. Where it has, a walk runs out of its budget and the next way is tried: see `search.rs`.

use crate::search::Strategy;

/// One distance to a vector somewhere in memory: its cache misses, and its arithmetic per dimension.
const DISTANCE_NS: f64 = 60.0;
const DISTANCE_NS_PER_DIM: f64 = 0.3;
/// A scan fetches in order: so much of that.
const SCAN_SHARE: f64 = 0.6;
/// Looking whether a neighbour's neighbour matches and was seen.
const TEST_NS: f64 = 3.0;
/// New nodes that an expansion finds, per link of a node.
const NEW_PER_LINK: f64 = 0.31;
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
    /// Floats per vector.
    pub(super) dim: usize,
}

impl Case {
    /// The strategy to begin with.
    pub(super) fn strategy(&self) -> Strategy {
        if self.admitted <= self.k {
            return Strategy::Scan;
        }
        let walked = if self.share() >= DROP_AFTERWARDS { Strategy::Graph } else { Strategy::GraphInline };
        let ways = [Strategy::Scan, walked, Strategy::GraphTwoHop];
        ways.into_iter().min_by(|a, b| self.cost_ns(*a).total_cmp(&self.cost_ns(*b))).unwrap_or(Strategy::Scan)
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

    /// Distances after which a walk is given up.
    pub(super) fn budget(&self, strategy: Strategy) -> u64 {
        let scan = (self.admitted as f64 * SCAN_SHARE) as u64;
        match strategy {
            Strategy::GraphInline => ((self.distances(strategy) * PATIENCE) as u64).max(BUDGET_MIN).min(scan),
            Strategy::GraphTwoHop => scan,
            _ => u64::MAX,
        }
    }

    fn distances(&self, strategy: Strategy) -> f64 {
        let ef = self.ef_of(strategy) as f64;
        let inline = self.degree_max as f64 * NEW_PER_LINK;
        match strategy {
            Strategy::Scan => self.admitted as f64,
            Strategy::GraphInline => ef / self.share() * inline,
            Strategy::GraphTwoHop => ef * NEW_PER_TWO_HOPS,
            Strategy::Graph | Strategy::Probe | Strategy::GraphThenScan => ef * inline,
        }
    }

    fn cost_ns(&self, strategy: Strategy) -> f64 {
        let distance = DISTANCE_NS + DISTANCE_NS_PER_DIM * self.dim as f64;
        let distances = self.distances(strategy) * distance;
        match strategy {
            Strategy::Scan => distances * SCAN_SHARE,
            // An expansion looks for half a record of matches.
            Strategy::GraphTwoHop => {
                let tests = self.degree_max as f64 / 2.0 / self.share();
                distances + self.ef_of(strategy) as f64 * tests * TEST_NS
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
        let check = |nodes, admitted, k, dim, expected| {
            let case = Case { nodes, admitted, k, ef: 64.max(k), degree_max: 32, dim };
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
            check(10_000_000, 100_000, 10, dim, Strategy::GraphTwoHop);
            check(1_000_000, 10_000, 10_000, dim, Strategy::Scan);
            check(100_000, 1_000, 10, dim, Strategy::Scan);
        }
        check(1_000_000, 200_000, 10, 128, Strategy::GraphInline);
        check(1_000_000, 50_000, 10, 768, Strategy::GraphTwoHop);
    }

    #[test]
    fn no_numbers_break_it() {
        for nodes in [0usize, 1, 5, 1 << 31] {
            for admitted in [0, 1, nodes, nodes * 2] {
                for k in [0, 1, 16_384, usize::MAX / 4] {
                    let case = Case { nodes, admitted, k, ef: k.max(1), degree_max: 4_096, dim: 32_768 };
                    let strategy = case.strategy();
                    assert!(case.ef_of(strategy) >= 1);
                    case.budget(strategy);
                }
            }
        }
    }
}
