//! The model: all rows and all deletes in lists, judged from first principles.

use std::collections::BTreeMap;

use types::id::PartitionId;
use types::time::Timestamp;

#[derive(Clone, Debug)]
pub struct Row {
    pub key: i64,
    pub partition: PartitionId,
    pub timestamp: Timestamp,
    pub number: i64,
    pub vector: [f32; 2],
}

#[derive(Clone, Debug)]
pub struct Delete {
    pub key: i64,
    pub partition: Option<PartitionId>,
    pub effective: Timestamp,
    pub kills_below: Timestamp,
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub rows: Vec<Row>,
    pub deletes: Vec<Delete>,
    pub dropped: Vec<PartitionId>,
}

impl Model {
    /// Rows that a read at `at` sees.
    pub fn visible(&self, at: Timestamp) -> Vec<&Row> {
        let dead = |row: &Row| {
            self.dropped.contains(&row.partition)
                || self.deletes.iter().any(|delete| {
                    delete.key == row.key
                        && delete.effective <= at
                        && row.timestamp < delete.kills_below
                        && delete.partition.is_none_or(|partition| partition == row.partition)
                })
        };
        self.rows.iter().filter(|row| row.timestamp <= at && !dead(row)).collect()
    }

    /// The youngest visible row of each key.
    pub fn youngest(&self, at: Timestamp) -> BTreeMap<i64, &Row> {
        let mut youngest: BTreeMap<i64, &Row> = BTreeMap::new();
        for row in self.visible(at) {
            let kept = youngest.entry(row.key).or_insert(row);
            if row.timestamp > kept.timestamp {
                *kept = row;
            }
        }
        youngest
    }

    /// Distances of the nearest row of each key, ascending by (distance, key).
    pub fn nearest(&self, query: [f32; 2], at: Timestamp) -> Vec<(f32, i64)> {
        let mut best: BTreeMap<i64, f32> = BTreeMap::new();
        for row in self.visible(at) {
            let distance = (row.vector[0] - query[0]).powi(2) + (row.vector[1] - query[1]).powi(2);
            let kept = best.entry(row.key).or_insert(distance);
            *kept = kept.min(distance);
        }
        let mut all: Vec<(f32, i64)> = best.into_iter().map(|(key, distance)| (distance, key)).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        all
    }
}
