//! Linking in the nodes of the lowest layer that no path from the entry leads to.
//!
//! Thinning out may drop the last link to a node. Few are lost so, but each is a row that a search would not find. A lost
//! node is linked from the nearest node that is reached and has room, or in place of a link to a node that has others.

use kernel::{Beam, HeapBeam};

use super::table::Table;
use super::walk::{Budget, Walk};
use crate::scorer::Scorer;
use crate::scratch::WalkMemory;

/// Reached nodes that are looked at for room.
const CANDIDATES: usize = 64;
/// A replaced link may cut off another node after all: so the search for lost nodes runs this often at most.
const ROUNDS_MAX: usize = 3;

pub(super) fn link_unreached(table: &mut Table, column: &Scorer<'_>, entry: u32) {
    for _ in 0..ROUNDS_MAX {
        if !link_round(table, column, entry) {
            return;
        }
    }
}

/// One round; whether a link was replaced, so that another round is needed.
fn link_round(table: &mut Table, column: &Scorer<'_>, entry: u32) -> bool {
    let nodes = table.layer(None).nodes;
    let mut reached = vec![false; nodes];
    spread(table, entry, &mut reached);
    if reached.iter().all(|&reached| reached) {
        return false;
    }
    let mut in_degrees = vec![0u32; nodes];
    for node in 0..nodes as u32 {
        for &link in table.links(node) {
            in_degrees[link as usize] += 1;
        }
    }
    let (mut memory, mut beam) = (WalkMemory::default(), HeapBeam::default());
    memory.entries.push(entry);
    let mut replaced = false;
    for lost in 0..nodes as u32 {
        if reached[lost as usize] {
            continue;
        }
        memory.visited.reset(nodes);
        beam.reset(CANDIDATES);
        let scorer = column.seen_from(lost);
        let walk = Walk { layer: table.layer(None), scorer: &scorer, cancelled: None, budget: Budget::UNLIMITED };
        let walked = walk.run(&mut beam, &mut memory, |_| true);
        debug_assert!(walked.is_ok(), "only a cancelled walk fails, and this one cannot be cancelled");
        let mut found = Vec::new();
        beam.drain_into(&mut found);
        let from: Vec<u32> = found.iter().map(|neighbor| neighbor.id()).collect();
        replaced |= link_from(table, &from, lost, &mut in_degrees);
        spread(table, lost, &mut reached);
    }
    replaced
}

/// Adds a link to `lost` from the first of `from` that has room, else in place of a spare one; whether a link was replaced.
fn link_from(table: &mut Table, from: &[u32], lost: u32, in_degrees: &mut [u32]) -> bool {
    in_degrees[lost as usize] += 1;
    if let Some(&node) = from.iter().find(|&&node| table.degree(node) < table.limit()) {
        table.append(node, std::iter::once(lost));
        return false;
    }
    for &node in from {
        let mut links = table.links(node).to_vec();
        // The last link, often a far one, whose end has another way in.
        if let Some(spare) = links.iter_mut().rev().find(|link| in_degrees[**link as usize] > 1 && **link != lost) {
            in_degrees[*spare as usize] -= 1;
            *spare = lost;
            table.set(node, links.into_iter());
            return true;
        }
    }
    false
}

/// Marks everything that links lead to from `start`.
fn spread(table: &Table, start: u32, reached: &mut [bool]) {
    let mut ahead = vec![start];
    reached[start as usize] = true;
    while let Some(node) = ahead.pop() {
        for &link in table.links(node) {
            if !std::mem::replace(&mut reached[link as usize], true) {
                ahead.push(link);
            }
        }
    }
}
