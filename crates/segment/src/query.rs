//! Rows that a filter keeps, in ascending order of key, or their number.
//!
//! One row for each key is returned: the youngest. The number counts every row, as Milvus does.

use base::cpu::CpuPool;
use expr::Plan;
use types::batch::Batch;
use types::bitset::Bitset;
use types::column::Column;
use types::id::{FieldId, PartitionId};
use types::time::Timestamp;
use types::value::{Key, KeyRef};
use types::{Error, Result};

use crate::filter;
use crate::part::{Part, Place};
use crate::shard::Version;

/// One query of a version.
pub struct Query<'a> {
    /// Rows that count.
    pub filter: &'a Plan,
    /// Only these partitions.
    pub partitions: Option<&'a [PartitionId]>,
    /// The snapshot: at or below the channel's clock as it was before the version was taken.
    pub at: Timestamp,
    /// Only rows in segments.
    pub ignore_growing: bool,
}

/// A row that a query keeps.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// Its key.
    pub key: Key,
    /// When it was written.
    pub timestamp: Timestamp,
    /// Where it is.
    pub place: Place,
}

/// How many rows the filter keeps, those with a key that others have too each counted.
///
/// # Errors
/// Damaged files and quarantined segments by name.
pub fn count(version: &Version, query: &Query<'_>, pool: &CpuPool) -> Result<u64> {
    version.check_whole(query.partitions, query.at)?;
    let parts = version.parts(query.ignore_growing);
    let counts = pool.for_each(parts.len(), |i| kept(version, query, &parts[i]).map(|rows| rows.count_ones() as u64));
    counts.into_iter().sum()
}

/// The rows, ascending by key, at most `limit`.
///
/// # Errors
/// Damaged files and quarantined segments by name.
pub fn rows(version: &Version, query: &Query<'_>, limit: Option<usize>, pool: &CpuPool) -> Result<Vec<Row>> {
    version.check_whole(query.partitions, query.at)?;
    let parts = version.parts(query.ignore_growing);
    let key_field = version.state.schema.primary().id;
    let found: Vec<Result<Vec<Row>>> = pool.for_each(parts.len(), |i| {
        let rows = match point_lookup(version, query, &parts[i])? {
            Some(rows) => rows,
            None => kept(version, query, &parts[i])?.iter_ones().map(|row| row as u32).collect(),
        };
        let keys = parts[i].take(key_field, &rows)?;
        let mut found: Vec<Row> = rows
            .iter()
            .enumerate()
            .map(|(at, &row)| Row { key: keys.key(at).to_key(), timestamp: parts[i].timestamp(row), place: Place { part: i as u32, row } })
            .collect();
        found.sort_unstable_by(before);
        if let Some(limit) = limit {
            keep_first_keys(&mut found, limit);
        }
        Ok(found)
    });
    let mut all = Vec::new();
    for rows in found {
        all.extend(rows?);
    }
    all.sort_unstable_by(before);
    all.dedup_by(|next, kept| next.key == kept.key);
    all.truncate(limit.unwrap_or(usize::MAX));
    Ok(all)
}

/// Ascending by key, the youngest of one key first.
fn before(a: &Row, b: &Row) -> std::cmp::Ordering {
    a.key.cmp(&b.key).then_with(|| b.timestamp.cmp(&a.timestamp))
}

fn keep_first_keys(rows: &mut Vec<Row>, limit: usize) {
    rows.dedup_by(|next, kept| next.key == kept.key);
    rows.truncate(limit);
}

fn kept(version: &Version, query: &Query<'_>, part: &Part<'_>) -> Result<Bitset> {
    let visible = part.visible(version, query.partitions, query.at);
    filter::keep(query.filter, part, visible)
}

/// The rows of a filter that names keys, by the segment's key index; `None` where that doesn't apply.
fn point_lookup(version: &Version, query: &Query<'_>, part: &Part<'_>) -> Result<Option<Vec<u32>>> {
    let Part::Sealed(sealed) = part else { return Ok(None) };
    let Some(named) = query.filter.named_keys(sealed.key_field()) else { return Ok(None) };
    let mut rows = Vec::new();
    for key in &named.keys {
        rows.extend_from_slice(sealed.rows_of_key(key.as_ref())?);
    }
    if rows.is_empty() {
        return Ok(Some(rows));
    }
    rows.sort_unstable();
    let visible = part.visible(version, query.partitions, query.at);
    rows.retain(|&row| visible.get(row as usize));
    Ok(Some(rows))
}

/// Rows that are read at once: between two looks at how much there is by now.
const FETCH_ROWS: usize = 1_024;

/// Columns of rows of one version.
pub struct Fetch<'a> {
    /// The rows, in the order that is wanted.
    pub places: &'a [Place],
    /// The columns.
    pub fields: &'a [FieldId],
    /// As the places were found.
    pub ignore_growing: bool,
    /// Bytes beyond which the rows are refused.
    pub bytes_max: usize,
    /// `search` or `query`: for the refusal.
    pub what: &'static str,
}

/// What there is of output must stay below its bound.
///
/// # Errors
/// `INVALID_PARAMETER` with Milvus's text where it doesn't.
pub fn check_output(bytes: usize, bytes_max: usize, what: &str) -> Result<()> {
    if bytes > bytes_max {
        return Err(Error::invalid(format!("{what} results exceed the maxOutputSize Limit {bytes_max}")));
    }
    Ok(())
}

/// Columns of rows of one version.
///
/// # Errors
/// Damaged files by name; more bytes than are allowed, found before all are taken.
pub fn fetch(version: &Version, fetch: &Fetch<'_>) -> Result<Batch> {
    let Fetch { places, fields, ignore_growing, bytes_max, what } = *fetch;
    let parts = version.parts(ignore_growing);
    if places.is_empty() {
        let empty = fields
            .iter()
            .filter_map(|id| version.state.schema.field_by_id(*id))
            .map(|field| Column::new(field.id, types::column::Values::empty(field)));
        return Ok(Batch::new(0, empty.collect()));
    }
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|&i| places[i]);
    let mut position = vec![0u32; places.len()];
    order.iter().enumerate().for_each(|(sorted, &i)| position[i] = sorted as u32);
    let mut columns = Vec::with_capacity(fields.len());
    let mut bytes = 0;
    for &field in fields {
        let mut taken = Vec::new();
        for run in order.chunk_by(|&a, &b| places[a].part == places[b].part).flat_map(|run| run.chunks(FETCH_ROWS)) {
            let rows: Vec<u32> = run.iter().map(|&i| places[i].row).collect();
            let column = parts[places[run[0]].part as usize].take(field, &rows)?;
            bytes += column.values.bytes();
            check_output(bytes, bytes_max, what)?;
            taken.push(column);
        }
        let sorted = Column::concat(&taken.iter().collect::<Vec<_>>());
        columns.push(sorted.take(&position));
    }
    Ok(Batch::new(places.len(), columns))
}

/// Whether a key is among the rows that a version shows at its clock: for tests and checks of uniqueness.
///
/// # Errors
/// Damaged files by name.
pub fn contains(version: &Version, key: KeyRef<'_>) -> Result<bool> {
    version.check_whole(None, version.clock)?;
    for part in version.parts(false) {
        let visible = part.visible(version, None, version.clock);
        let there = match &part {
            Part::Sealed(sealed) => sealed.rows_of_key(key)?.iter().any(|&row| visible.get(row as usize)),
            Part::Growing(chunk) => {
                let keys = chunk.batch.column(version.state.schema.primary().id).expect("a chunk has its keys");
                visible.iter_ones().any(|row| keys.key(row) == key)
            }
        };
        if there {
            return Ok(true);
        }
    }
    Ok(false)
}
