//! Answers of shards put together: by score and key, or by key; one row for each key; then offset and limit.
//!
//! A shard's answer is already in order and has a key once. Across shards a key can only come twice while a row moves between them; the
//! younger is kept.

use std::cmp::Ordering;

use foldhash::HashMap;
use role::query::{Hit, QueryResponse, SearchResponse};
use types::batch::Batch;
use types::column::{Column, Values};
use types::schema::Field;
use types::time::Timestamp;
use types::value::{Key, KeyRef};
use types::{Error, Result};

/// A row of some shard's answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pick {
    /// Which answer.
    pub part: usize,
    /// Which of its rows.
    pub row: usize,
}

/// The best hits of all shards.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Hits {
    /// Of each query, how many.
    pub counts: Vec<usize>,
    /// Query after query.
    pub picks: Vec<Pick>,
    /// Their scores.
    pub scores: Vec<f32>,
    /// Their keys.
    pub keys: Vec<Key>,
}

/// The hits `offset .. offset + limit` of each of `queries` queries.
pub fn hits(parts: &[SearchResponse], queries: usize, offset: usize, limit: usize) -> Hits {
    let mut merged = Hits::default();
    let descending = parts.first().is_some_and(|part| part.metric.descending());
    let mut first_rows = vec![0; parts.len()];
    for query in 0..queries {
        let lists: Vec<&[Hit]> = parts.iter().map(|part| part.hits.get(query).map_or(&[][..], Vec::as_slice)).collect();
        let before = merged.picks.len();
        let order = order_of(&lists, descending, offset + limit);
        for (part, i) in order.into_iter().skip(offset) {
            merged.picks.push(Pick { part, row: first_rows[part] + i });
            merged.scores.push(lists[part][i].score);
            merged.keys.push(lists[part][i].key.clone());
        }
        merged.counts.push(merged.picks.len() - before);
        first_rows.iter_mut().zip(&lists).for_each(|(first, list)| *first += list.len());
    }
    merged
}

/// (list, place) of the nearest `count` hits of several lists.
fn order_of(lists: &[&[Hit]], descending: bool, count: usize) -> Vec<(usize, usize)> {
    let youngest = youngest(lists.iter().map(|list| list.iter().map(|hit| (hit.key.as_ref(), hit.timestamp))));
    let is_old = |hit: &Hit| youngest.get(&hit.key.as_ref()).is_some_and(|&timestamp| hit.timestamp < timestamp);
    let mut next = vec![0; lists.len()];
    let mut order: Vec<(usize, usize)> = Vec::new();
    while order.len() < count {
        for (list, next) in lists.iter().zip(&mut next) {
            while list.get(*next).is_some_and(is_old) {
                *next += 1;
            }
        }
        let heads = lists.iter().zip(&next).enumerate().filter_map(|(l, (list, &at))| list.get(at).map(|hit| (l, hit)));
        let Some((list, _)) = heads.min_by(|a, b| nearer(a.1, b.1, descending)) else { break };
        order.push((list, next[list]));
        next[list] += 1;
    }
    order
}

fn nearer(a: &Hit, b: &Hit, descending: bool) -> Ordering {
    let by_score = if descending { b.score.total_cmp(&a.score) } else { a.score.total_cmp(&b.score) };
    by_score.then_with(|| a.key.cmp(&b.key))
}

/// The youngest timestamp of each key that several lists may have; nothing where there is one list.
fn youngest<'a>(lists: impl ExactSizeIterator<Item = impl Iterator<Item = (KeyRef<'a>, Timestamp)>>) -> HashMap<KeyRef<'a>, Timestamp> {
    let mut youngest = HashMap::default();
    if lists.len() > 1 {
        for (key, timestamp) in lists.flatten() {
            let known = youngest.entry(key).or_insert(timestamp);
            *known = timestamp.max(*known);
        }
    }
    youngest
}

/// The rows `offset ..`, at most `limit` of them, in ascending order of key.
pub fn rows(parts: &[QueryResponse], primary: types::id::FieldId, offset: usize, limit: Option<usize>) -> Vec<Pick> {
    let keys: Vec<Option<&Column>> = parts.iter().map(|part| part.rows.column(primary)).collect();
    let lists = parts.iter().zip(&keys).map(|(part, keys)| {
        let keys = keys.filter(|keys| keys.rows() == part.timestamps.len());
        (0..keys.map_or(0, Column::rows)).filter_map(move |row| Some((keys?.key(row), part.timestamps[row])))
    });
    let youngest = youngest(lists);
    let is_old = |part: usize, row: usize, key: KeyRef<'_>| {
        youngest.get(&key).is_some_and(|&timestamp| parts[part].timestamps.get(row).is_some_and(|&own| own < timestamp))
    };
    let mut next = vec![0; parts.len()];
    let mut picks = Vec::new();
    let end = limit.map_or(usize::MAX, |limit| offset.saturating_add(limit));
    let mut seen = 0;
    while seen < end {
        let head = |part: usize, next: &mut usize| {
            let column = keys[part]?;
            while *next < column.rows() && is_old(part, *next, column.key(*next)) {
                *next += 1;
            }
            (*next < column.rows()).then(|| column.key(*next))
        };
        let heads = next.iter_mut().enumerate().filter_map(|(part, next)| head(part, next).map(|key| (part, key)));
        let Some((part, _)) = heads.min_by(|a, b| a.1.cmp(&b.1)) else { break };
        if seen >= offset {
            picks.push(Pick { part, row: next[part] });
        }
        next[part] += 1;
        seen += 1;
    }
    picks
}

/// The values of one field at `picks`.
///
/// # Errors
/// A part that lacks a row's value: its node is broken.
pub fn gather(batches: &[&Batch], field: &Field, picks: &[Pick]) -> Result<Column> {
    let columns: Vec<Option<&Column>> = batches.iter().map(|batch| batch.column(field.id).filter(|column| column.rows() > 0)).collect();
    let present: Vec<&Column> = columns.iter().copied().flatten().collect();
    if present.is_empty() || picks.is_empty() {
        if let Some(pick) = picks.first() {
            return Err(lacking(field, pick));
        }
        return Ok(Column::new(field.id, Values::empty(field)));
    }
    let is_there = |pick: &&Pick| columns[pick.part].is_some_and(|column| pick.row < column.rows());
    if let Some(pick) = picks.iter().find(|pick| !is_there(pick)) {
        return Err(lacking(field, pick));
    }
    // Where the rows of each part begin when all are put one after the other.
    let mut starts = Vec::with_capacity(columns.len());
    let mut total = 0;
    for column in &columns {
        starts.push(total);
        total += column.map_or(0, Column::rows);
    }
    let places: Vec<u32> = picks.iter().map(|pick| (starts[pick.part] + pick.row) as u32).collect();
    let is_all = places.len() == total && places.iter().enumerate().all(|(i, &place)| i == place as usize);
    Ok(match (&present[..], is_all) {
        ([only], true) => (*only).clone(),
        ([only], false) => only.take(&places),
        (_, true) => Column::concat(&present),
        (_, false) => Column::concat(&present).take(&places),
    })
}

fn lacking(field: &Field, pick: &Pick) -> Error {
    Error::internal(format!("part {} of an answer lacks row {} of field {}", pick.part, pick.row, field.name))
}

#[cfg(test)]
mod tests {
    use types::id::FieldId;
    use types::index_params::Metric;
    use types::schema::DataType;

    use super::*;

    const KEY: FieldId = FieldId(100);

    fn field() -> Field {
        let json = r#"{"id": 100, "name": "id", "data_type": "Int64"}"#;
        serde_json::from_str(json).expect("a field")
    }

    fn batch(keys: &[i64]) -> Batch {
        Batch::new(keys.len(), vec![Column::new(KEY, Values::Int64(keys.to_vec().into()))])
    }

    /// Hits as (score, key, timestamp), query after query.
    fn found(metric: Metric, queries: &[&[(f32, i64, u64)]]) -> SearchResponse {
        let hit = |&(score, key, timestamp): &(f32, i64, u64)| Hit { score, key: Key::Int(key), timestamp: Timestamp(timestamp) };
        let keys: Vec<i64> = queries.iter().flat_map(|hits| hits.iter().map(|hit| hit.1)).collect();
        SearchResponse {
            metric,
            hits: queries.iter().map(|hits| hits.iter().map(hit).collect()).collect(),
            rows: batch(&keys),
            at: Timestamp(9),
        }
    }

    #[test]
    fn nearest_first_ties_by_key_and_one_row_for_each_key() {
        let a = found(Metric::L2, &[&[(1.0, 5, 1), (2.0, 7, 1), (4.0, 9, 3)], &[(0.5, 1, 1)]]);
        let b = found(Metric::L2, &[&[(1.0, 4, 1), (3.0, 9, 2), (5.0, 8, 1)], &[]]);
        let check = |offset, limit, keys: &[i64], counts: &[usize]| {
            let parts = [a.clone(), b.clone()];
            let merged = hits(&parts, 2, offset, limit);
            let expected: Vec<Key> = keys.iter().map(|&key| Key::Int(key)).collect();
            assert_eq!((&merged.keys, &merged.counts[..]), (&expected, counts), "{offset} {limit}");
            let batches: Vec<&Batch> = parts.iter().map(|part| &part.rows).collect();
            assert_eq!(gather(&batches, &field(), &merged.picks).expect("every row").values, Values::Int64(keys.to_vec().into()));
        };
        check(0, 10, &[4, 5, 7, 9, 8, 1], &[5, 1]);
        check(0, 2, &[4, 5, 1], &[2, 1]);
        check(3, 1, &[9], &[1, 0]);
        check(9, 1, &[], &[0, 0]);
        let similar = [found(Metric::Ip, &[&[(0.9, 1, 1)]]), found(Metric::Ip, &[&[(0.95, 2, 1)]])];
        assert_eq!(hits(&similar, 1, 0, 5).scores, [0.95, 0.9]);
        assert_eq!(hits(&[], 2, 0, 5).counts, [0, 0]);
    }

    #[test]
    fn rows_ascend_by_key() {
        let part = |keys: &[i64], timestamp: u64| QueryResponse {
            count: None,
            rows: batch(keys),
            timestamps: vec![Timestamp(timestamp); keys.len()],
            at: Timestamp(9),
        };
        let parts = [part(&[1, 4, 6], 1), part(&[2, 4, 5], 2), part(&[], 1)];
        let batches: Vec<&Batch> = parts.iter().map(|part| &part.rows).collect();
        let check = |offset, limit, keys: &[i64]| {
            let picks = rows(&parts, KEY, offset, limit);
            let gathered = gather(&batches, &field(), &picks).expect("every row");
            assert_eq!(gathered.values, Values::Int64(keys.to_vec().into()), "{offset} {limit:?}");
        };
        check(0, None, &[1, 2, 4, 5, 6]);
        check(1, Some(2), &[2, 4]);
        check(5, Some(2), &[]);
        assert_eq!(rows(&parts, KEY, 2, Some(1)), [Pick { part: 1, row: 1 }], "the younger of two rows with one key");
        assert_eq!(gather(&[], &field(), &[]).map(|column| column.values.data_type()), Ok(DataType::Int64));
        assert!(
            gather(&batches, &field(), &[Pick { part: 2, row: 0 }]).is_err()
                && gather(&batches, &field(), &[Pick { part: 0, row: 3 }]).is_err()
        );
    }
}
