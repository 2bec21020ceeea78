//! The fuzz target of the filter parser and evaluator, for as long as asked.

use crate::fuzzing::fuzz;
use crate::hostile::SEEDS;

#[test]
fn filters() {
    let valid: Vec<Vec<u8>> = SEEDS.iter().map(|filter| filter.as_bytes().to_vec()).collect();
    fuzz("filters", 2_000, &valid, expr::fuzz);
}
