//! Nearest rows of one version: for each part visible ∧ filter → bitset, then its index or a scan; then one merge.
//!
//! Shape: work that depends on the request alone is done once ([`Search`]), parts are searched in isolation on the pool, merging is
//! associative. Promise: fewer than `limit` hits only where fewer rows match, also where rows share a key (one row for each key is returned:
//! the nearest; of equally near ones the youngest). Rows of one distance come in the order of their keys; which of them come at
//! all is decided by key too, save among more copies of one vector than 16 times the limit behind a graph or lists (`ties.rs`).

mod ties;

use std::cmp::Ordering;
use std::sync::atomic::AtomicBool;

use base::cpu::CpuPool;
use expr::Plan;
use index::params::SearchParams;
use index::{Hit, Scratch, SearchOptions, Space, VectorIndex, VectorRows, Vectors, flat};
use types::bitset::Bitset;
use types::column::Values;
use types::id::{FieldId, PartitionId};
use types::index_params::Metric;
use types::time::Timestamp;
use types::value::Key;
use types::{Error, Result};

use crate::filter;
use crate::part::{Part, Place};
use crate::shard::Version;

/// One search of a version.
pub struct Search<'a> {
    /// The vector field.
    pub field: FieldId,
    /// Vectors of the field's type, one for each query.
    pub queries: Vectors<'a>,
    /// Hits for each query, at most.
    pub limit: usize,
    /// The metric of the field's index.
    pub metric: Metric,
    /// Checked parameters.
    pub params: &'a SearchParams,
    /// Rows that count.
    pub filter: &'a Plan,
    /// Only these partitions.
    pub partitions: Option<&'a [PartitionId]>,
    /// The snapshot: at or below the channel's clock as it was before the version was taken.
    pub at: Timestamp,
    /// Only rows in segments.
    pub ignore_growing: bool,
    /// Set by whoever no longer wants the answer.
    pub cancelled: Option<&'a AtomicBool>,
}

/// One row found.
#[derive(Clone, PartialEq, Debug)]
pub struct Found {
    /// Smaller is nearer.
    pub distance: f32,
    /// Its key.
    pub key: Key,
    /// When it was written.
    pub timestamp: Timestamp,
    /// Where it is.
    pub place: Place,
}

/// The nearest rows for each query, nearest first, ties by smaller key.
///
/// # Errors
/// Damaged files and quarantined segments by name; `CANCELED`.
pub fn search(version: &Version, request: &Search<'_>, pool: &CpuPool) -> Result<Vec<Vec<Found>>> {
    version.check_whole(request.partitions, request.at)?;
    let parts = version.parts(request.ignore_growing);
    let allowed = pool.for_each(parts.len(), |i| allowed_rows(version, request, &parts[i])).into_iter().collect::<Result<Vec<_>>>()?;
    let nq = request.queries.len();
    let rows: usize = allowed.iter().map(Bitset::count_ones).sum();
    let snapshot = Snapshot { parts, allowed, key_field: version.state.schema.primary().id };
    // One more than is wanted shows whether rows beyond the last hit are as near.
    let mut fetch = request.limit + 1;
    loop {
        let found = search_parts(request, &snapshot, fetch, pool)?;
        let mut merged: Vec<Vec<Found>> = (0..nq).map(|query| merge(&found, query, request.limit)).collect();
        let behind: Vec<Behind> =
            merged.iter().enumerate().map(|(query, hits)| behind(&found, query, hits, (request.limit, fetch))).collect();
        let worst = behind.iter().max().copied().unwrap_or(Behind::Nothing);
        if fetch >= rows || worst == Behind::Nothing {
            return Ok(merged);
        }
        if worst == Behind::Ties && fetch > request.limit.saturating_mul(TIE_EFFORT) {
            for (query, hits) in merged.iter_mut().enumerate().filter(|(query, _)| behind[*query] == Behind::Ties) {
                ties::settle(request, &snapshot, (query, &found), hits, pool)?;
            }
            return Ok(merged);
        }
        fetch = fetch.saturating_mul(4).min(rows);
    }
}

/// How many times the limit is looked at for the end of the rows that are as far as the last hit; if there are more (many copies of
/// one vector), [`ties`] ends it.
const TIE_EFFORT: usize = 16;

/// What may lie behind the last row that a part found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Behind {
    /// Nothing that belongs among the hits.
    Nothing,
    /// Rows as far as the last hit, perhaps with smaller keys.
    Ties,
    /// Hits: rows that share a key have crowded them out.
    Hits,
}

fn behind(parts: &[PartFound], query: usize, hits: &[Found], (limit, fetch): (usize, usize)) -> Behind {
    let mut ends = parts.iter().map(|part| &part[query]).filter(|found| found.len() >= fetch).filter_map(|found| found.last()).peekable();
    match hits.last().filter(|_| hits.len() >= limit) {
        _ if ends.peek().is_none() => Behind::Nothing,
        None => Behind::Hits,
        Some(worst) => {
            let behind = |end: &Found| match end.distance.total_cmp(&worst.distance) {
                Ordering::Less => Behind::Hits,
                Ordering::Equal => Behind::Ties,
                Ordering::Greater => Behind::Nothing,
            };
            ends.map(behind).max().unwrap_or(Behind::Nothing)
        }
    }
}

fn allowed_rows(version: &Version, request: &Search<'_>, part: &Part<'_>) -> Result<Bitset> {
    let visible = part.visible(version, request.partitions, request.at);
    filter::keep(request.filter, part, visible)
}

/// A version's parts with the rows of each that may be found.
struct Snapshot<'a> {
    parts: Vec<Part<'a>>,
    allowed: Vec<Bitset>,
    key_field: FieldId,
}

/// What one part found: for each query its rows.
type PartFound = Vec<Vec<Found>>;

fn search_parts(request: &Search<'_>, snapshot: &Snapshot<'_>, limit: usize, pool: &CpuPool) -> Result<Vec<PartFound>> {
    let Snapshot { parts, allowed, key_field } = snapshot;
    let key_field = *key_field;
    let found = pool.for_each(parts.len(), |i| {
        let hits = search_part(request, &parts[i], &allowed[i], limit)?;
        hits.into_iter().map(|hits| resolve(key_field, &parts[i], i as u32, &hits)).collect::<Result<PartFound>>()
    });
    found.into_iter().collect()
}

fn search_part(request: &Search<'_>, part: &Part<'_>, allowed: &Bitset, limit: usize) -> Result<Vec<Vec<Hit>>> {
    let nq = request.queries.len();
    let mut hits: Vec<Vec<Hit>> = vec![Vec::new(); nq];
    let matching = allowed.count_ones();
    if matching == 0 || limit == 0 {
        return Ok(hits);
    }
    let k = limit.min(matching);
    let filter = (matching < part.rows()).then_some(allowed);
    with_vectors(request, part, |rows, index| {
        let options = SearchOptions { k, params: request.params, filter, rows, cancelled: request.cancelled };
        SCRATCH.with_borrow_mut(|scratch| match index {
            Some(index) => index.search_batch(request.queries, &options, scratch, &mut hits),
            None => flat::search_batch(column(request, rows), request.queries, &options, scratch, &mut hits),
        })
    })?;
    Ok(hits)
}

/// Hands a part's vectors of the searched field to `work`, with their index if it has one for the metric.
fn with_vectors<T>(
    request: &Search<'_>,
    part: &Part<'_>,
    work: impl FnOnce(VectorRows<'_>, Option<&dyn VectorIndex>) -> Result<T>,
) -> Result<T> {
    match part {
        Part::Sealed(sealed) => {
            let column = sealed.reader().vectors(request.field)?;
            let vectors = fitting(request, column.values())?;
            let rows = match column.row_map() {
                Some(map) => VectorRows::with_row_map(vectors, map, column.rows()),
                None => VectorRows::new(vectors),
            };
            let index = sealed.index_of(request.field).filter(|index| index.description().metric == request.metric);
            work(rows, index.map(|index| &**index))
        }
        Part::Growing(chunk) => {
            let column = chunk.batch.column(request.field).expect("chunks have every field of the schema");
            let vectors = fitting(request, &column.values)?;
            let map: Option<Vec<u32>> = column.validity.as_ref().map(|validity| validity.iter_ones().map(|row| row as u32).collect());
            let rows = match &map {
                Some(map) => VectorRows::with_row_map(vectors, map, chunk.rows()),
                None => VectorRows::new(vectors),
            };
            work(rows, None)
        }
    }
}

/// A part's vectors, which must be of the kind and the dimension of the queries.
fn fitting<'a>(request: &Search<'_>, values: &'a Values) -> Result<Vectors<'a>> {
    let vectors = Vectors::of(values).ok_or_else(|| Error::internal(format!("field {} isn't a vector", request.field)))?;
    let (element, queries) = (vectors.element(), request.queries.element());
    if element != queries {
        return Err(Error::internal(format!("queries of {queries:?} for field {} of {element:?}", request.field)));
    }
    if vectors.dim() == request.queries.dim() {
        return Ok(vectors);
    }
    let [expected, actual] = [vectors.dim(), request.queries.dim()].map(|dim| element.vector_bytes(dim));
    Err(Error::new(
        types::Code::SEGCORE,
        format!("vector dimension mismatch, expected vector size(byte) {expected}, actual {actual}.: segcore error"),
    ))
}

fn column<'a>(request: &Search<'_>, rows: VectorRows<'a>) -> flat::Column<'a> {
    flat::Column { space: Space::new(request.metric), rows, inverse_norms: None }
}

thread_local! {
    /// One for each thread that searches: grows to what its searches need.
    static SCRATCH: std::cell::RefCell<Scratch> = std::cell::RefCell::default();
}

/// Adds keys and timestamps to a part's hits.
fn resolve(key_field: FieldId, part: &Part<'_>, number: u32, hits: &[Hit]) -> Result<Vec<Found>> {
    let rows: Vec<u32> = hits.iter().map(|hit| hit.row).collect();
    let keys = part.take(key_field, &rows)?;
    let found = hits.iter().enumerate().map(|(i, hit)| Found {
        distance: hit.distance,
        key: keys.key(i).to_key(),
        timestamp: part.timestamp(hit.row),
        place: Place { part: number, row: hit.row },
    });
    Ok(found.collect())
}

fn merge(parts: &[PartFound], query: usize, limit: usize) -> Vec<Found> {
    let mut all: Vec<&Found> = parts.iter().flat_map(|part| &part[query]).collect();
    all.sort_by(|a, b| nearer(a, b));
    first_of_each_key(all.into_iter(), limit)
}

/// Nearest first; ties by smaller key, then the younger row.
pub(crate) fn nearer(a: &Found, b: &Found) -> Ordering {
    a.distance.total_cmp(&b.distance).then_with(|| a.key.cmp(&b.key)).then_with(|| b.timestamp.cmp(&a.timestamp))
}

fn first_of_each_key<'a>(sorted: impl Iterator<Item = &'a Found>, limit: usize) -> Vec<Found> {
    let mut seen = foldhash::HashSet::default();
    let mut kept = Vec::with_capacity(limit.min(64));
    for found in sorted {
        if kept.len() == limit {
            break;
        }
        if seen.insert(&found.key) {
            kept.push(found.clone());
        }
    }
    kept
}
