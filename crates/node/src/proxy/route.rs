//! Rows of one write, sorted out: which shard each belongs to, and in a shard which partition.

use types::batch::Batch;
use types::collection::{Collection, Partition};
use types::column::Column;
use types::id::PartitionId;
use types::record::Rows;
use types::{Error, Result};

use super::hash;

/// Rows of one shard.
#[derive(Clone, PartialEq, Debug)]
pub struct Group {
    /// The shard's index.
    pub shard: usize,
    /// Offsets into the write's batch: by partition, inside of one in the client's order.
    pub rows: Vec<u32>,
    /// (partition, rows) of `rows`, in order.
    pub runs: Vec<(PartitionId, u32)>,
}

/// Where the rows of a write go.
pub enum Partitions {
    /// All to one.
    One(PartitionId),
    /// Each row to its own, by the partition key.
    Each(Vec<PartitionId>),
}

impl Partitions {
    fn of(&self, row: usize) -> PartitionId {
        match self {
            Self::One(partition) => *partition,
            Self::Each(partitions) => partitions[row],
        }
    }
}

/// The shard of each key.
pub fn shards_of(keys: &Column, shards: usize) -> Vec<usize> {
    (0..keys.rows()).map(|row| hash::place(keys.key(row), shards)).collect()
}

/// The partition of each row by the values of the partition key.
///
/// # Errors
/// A collection without partitions: rootcoord's definition is broken.
pub fn partitions_of(key: &Column, collection: &Collection) -> Result<Vec<PartitionId>> {
    let partitions = hashed_partitions(collection);
    if partitions.is_empty() {
        return Err(Error::internal(format!("collection {} has a partition key and no partitions", collection.name)));
    }
    Ok((0..key.rows()).map(|row| partitions[hash::place(key.key(row), partitions.len())].id).collect())
}

/// The partitions of a partition key in order of the number that their names end with: the order that hashes refer to.
pub fn hashed_partitions(collection: &Collection) -> Vec<&Partition> {
    let number = |partition: &Partition| partition.name.rsplit('_').next().and_then(|digits| digits.parse::<u32>().ok());
    let mut partitions: Vec<&Partition> = collection.partitions.iter().collect();
    partitions.sort_by_key(|partition| (number(partition), partition.id));
    partitions
}

/// Rows by shard, ascending; shards without rows are left out.
pub fn group(shard_of_row: &[usize], partitions: &Partitions, shards: usize) -> Vec<Group> {
    let mut rows: Vec<Vec<u32>> = vec![Vec::new(); shards];
    for (row, &shard) in shard_of_row.iter().enumerate() {
        rows[shard].push(row as u32);
    }
    let mut groups = Vec::new();
    for (shard, mut rows) in rows.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
        if matches!(partitions, Partitions::Each(_)) {
            rows.sort_by_key(|&row| partitions.of(row as usize));
        }
        let mut runs: Vec<(PartitionId, u32)> = Vec::new();
        for &row in &rows {
            let partition = partitions.of(row as usize);
            match runs.last_mut() {
                Some((last, count)) if *last == partition => *count += 1,
                _ => runs.push((partition, 1)),
            }
        }
        groups.push(Group { shard, rows, runs });
    }
    groups
}

impl Group {
    /// The group's rows; the batch itself where the group is all of it in its order.
    pub fn take(&self, batch: &Batch) -> Rows {
        let is_all = self.rows.len() == batch.rows() && self.rows.is_sorted();
        Rows { runs: self.runs.clone(), batch: if is_all { batch.clone() } else { batch.take(&self.rows) } }
    }

    /// The group's keys, likewise.
    pub fn take_keys(&self, keys: &Column) -> Column {
        if self.rows.len() == keys.rows() && self.rows.is_sorted() { keys.clone() } else { keys.take(&self.rows) }
    }
}

#[cfg(test)]
mod tests {
    use types::column::Values;
    use types::id::FieldId;

    use super::*;

    #[test]
    fn rows_are_sorted_out_by_shard_and_partition() {
        let (p, q) = (PartitionId(7), PartitionId(8));
        let groups = group(&[1, 0, 1, 1], &Partitions::Each(vec![q, p, p, q]), 3);
        assert_eq!(
            groups,
            [Group { shard: 0, rows: vec![1], runs: vec![(p, 1)] }, Group { shard: 1, rows: vec![2, 0, 3], runs: vec![(p, 1), (q, 2)] },]
        );
        let keys = Column::new(FieldId(100), Values::Int64(vec![10, 11, 12, 13].into()));
        let batch = Batch::new(4, vec![keys.clone()]);
        assert_eq!(groups[1].take_keys(&keys).values, Values::Int64(vec![12, 10, 13].into()));
        assert_eq!(groups[1].take(&batch).batch.columns()[0].values, Values::Int64(vec![12, 10, 13].into()));
        let whole = group(&[0; 4], &Partitions::One(p), 1);
        assert_eq!(whole[0].take(&batch), Rows { runs: vec![(p, 4)], batch });
    }

    #[test]
    fn partitions_of_a_key_are_counted_by_number_not_by_name() {
        let partition = |i: i64| Partition { id: PartitionId(100 - i), name: format!("_default_{i}"), created: types::time::Timestamp(1) };
        let collection = Collection {
            id: types::id::CollectionId(1),
            database: types::id::DatabaseId(1),
            database_name: "default".to_owned(),
            name: "c".to_owned(),
            description: String::new(),
            aliases: Vec::new(),
            schema: types::schema::Schema { version: 1, fields: Vec::new() },
            channels: Vec::new(),
            partitions: [2, 10, 1, 0].into_iter().map(partition).collect(),
            consistency: types::collection::Consistency::Strong,
            properties: Default::default(),
            created: types::time::Timestamp(1),
            updated: types::time::Timestamp(1),
        };
        let names: Vec<&str> = hashed_partitions(&collection).iter().map(|partition| partition.name.as_str()).collect();
        assert_eq!(names, ["_default_0", "_default_1", "_default_2", "_default_10"]);
    }
}
