//! Rows as far as the last hit, where there are too many of them to be fetched with the others: copies of one vector, mostly.
//!
//! A part without a graph or lists is scanned once more, which costs what the search itself did, and so every allowed row at exactly
//! that distance counts. A part with them is not: the scan would cost many times the search, and which rows it finds is up to
//! the index anyway; of its rows those count that it found. Keys are read in chunks, and no more rows are kept than were asked for.

use std::collections::BTreeMap;

use base::cpu::CpuPool;
use foldhash::HashSet;
use index::{Range, SearchOptions, flat};
use types::Result;
use types::value::Key;

use super::{Found, PartFound, SCRATCH, Search, Snapshot, column, nearer, resolve, with_vectors};

/// Rows whose keys are in memory at a time.
const CHUNK_ROWS: usize = 8_192;

/// Puts the smallest keys behind the hits that are nearer than the last one.
pub(super) fn settle(
    request: &Search<'_>,
    snapshot: &Snapshot<'_>,
    (query, found): (usize, &[PartFound]),
    hits: &mut Vec<Found>,
    pool: &CpuPool,
) -> Result<()> {
    let Some(distance) = hits.last().map(|hit| hit.distance) else { return Ok(()) };
    let nearer_hits = hits.partition_point(|hit| hit.distance < distance);
    let wanted = hits.len() - nearer_hits;
    let taken: HashSet<Key> = hits[..nearer_hits].iter().map(|hit| hit.key.clone()).collect();
    let parts = pool.for_each(snapshot.parts.len(), |part| smallest_keys(request, snapshot, (query, distance), part, (&taken, wanted)));
    hits.truncate(nearer_hits);
    let known = found.iter().flat_map(|part| &part[query]);
    let mut ties: Vec<Found> = known.filter(|found| found.distance == distance && !taken.contains(&found.key)).cloned().collect();
    for part in parts {
        ties.extend(part?);
    }
    ties.sort_by(nearer);
    ties.dedup_by(|b, a| a.key == b.key);
    ties.truncate(wanted);
    hits.extend(ties);
    Ok(())
}

/// Of the rows of a part at this distance the `wanted` with the smallest keys that aren't taken; of those that share a key the youngest.
fn smallest_keys(
    request: &Search<'_>,
    snapshot: &Snapshot<'_>,
    (query, distance): (usize, f32),
    part: usize,
    (taken, wanted): (&HashSet<Key>, usize),
) -> Result<Vec<Found>> {
    let allowed = &snapshot.allowed[part];
    let range = Range { from: distance, below: distance.next_up() };
    let query = request.queries.one(query);
    let mut rows = Vec::new();
    with_vectors(request, &snapshot.parts[part], |vectors, index| {
        if index.is_some_and(|index| !index.description().is_exact()) {
            return Ok(());
        }
        let k = allowed.count_ones();
        let options = SearchOptions { k, params: request.params, filter: Some(allowed), rows: vectors, cancelled: request.cancelled };
        SCRATCH.with_borrow_mut(|scratch| flat::range_search(column(request, vectors), query, range, &options, scratch, &mut rows))?;
        Ok(())
    })?;
    let mut kept: BTreeMap<Key, Found> = BTreeMap::new();
    for chunk in rows.chunks(CHUNK_ROWS) {
        for found in resolve(snapshot.key_field, &snapshot.parts[part], part as u32, chunk)? {
            if taken.contains(&found.key) || kept.get(&found.key).is_some_and(|kept| kept.timestamp >= found.timestamp) {
                continue;
            }
            kept.insert(found.key.clone(), found);
            if kept.len() > wanted {
                kept.pop_last();
            }
        }
    }
    Ok(kept.into_values().collect())
}
