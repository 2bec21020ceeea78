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
