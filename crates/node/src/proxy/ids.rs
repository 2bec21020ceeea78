//! Auto ids: drawn from rootcoord in runs, of which a spare part is kept for the next request.

use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use role::Call;
use role::root::RootCoord;
use types::value::KeyRef;
use types::{Error, Result};

use super::hash;

/// Ids taken beyond what a request needs, so that single-row inserts don't ask each time.
const SPARE: u32 = 1_024;
/// Rounds of drawing for ids that must fall into given shards: each round draws enough for all that are left, on average twice over.
const ROUNDS_MAX: usize = 64;

/// Where ids come from. Ids of one proxy mostly rise; a gap is never filled.
pub struct Ids {
    root: Arc<dyn RootCoord>,
    spare: Mutex<Range<i64>>,
}

impl Ids {
    /// Ids from rootcoord.
    pub fn new(root: Arc<dyn RootCoord>) -> Self {
        Self { root, spare: Mutex::new(0..0) }
    }

    /// `count` ids that nobody else gets, rising.
    ///
    /// # Errors
    /// Those of rootcoord.
    pub async fn draw(&self, call: &Call, count: usize) -> Result<Vec<i64>> {
        if let Some(ids) = self.take_spare(count) {
            return Ok(ids);
        }
        let wanted = u32::try_from(count).ok().and_then(|count| count.checked_add(SPARE));
        let wanted = wanted.ok_or_else(|| Error::invalid(format!("{count} rows in one request")))?;
        let mut range = call.bound("drawing ids", self.root.allocate_ids(call, wanted)).await?;
        if range.end - range.start < i64::from(wanted) {
            return Err(Error::internal(format!("rootcoord gave {} ids of {wanted}", range.end - range.start)));
        }
        let ids = range.by_ref().take(count).collect();
        *self.spare.lock() = range;
        Ok(ids)
    }

    /// One id for each of `wanted`, which names the shard, of `shards`, that the id must hash to; `text` if keys are texts.
    ///
    /// # Errors
    /// Those of rootcoord.
    pub async fn draw_for_shards(&self, call: &Call, wanted: &[usize], shards: usize, text: bool) -> Result<Vec<i64>> {
        let mut ids = vec![0; wanted.len()];
        let mut open: Vec<Vec<usize>> = vec![Vec::new(); shards];
        wanted.iter().enumerate().rev().for_each(|(row, &shard)| open[shard].push(row));
        for _ in 0..ROUNDS_MAX {
            let left: usize = open.iter().map(Vec::len).sum();
            if left == 0 {
                return Ok(ids);
            }
            let most = open.iter().map(Vec::len).max().unwrap_or(0);
            for id in self.draw(call, 2 * most.saturating_mul(shards)).await? {
                let shard = if text { hash::place(KeyRef::String(&id.to_string()), shards) } else { hash::place(KeyRef::Int(id), shards) };
                if let Some(row) = open[shard].pop() {
                    ids[row] = id;
                }
            }
        }
        Err(Error::internal("new ids don't fall into the shards of the old ones"))
    }

    fn take_spare(&self, count: usize) -> Option<Vec<i64>> {
        let mut spare = self.spare.lock();
        let count = i64::try_from(count).ok()?;
        (spare.end - spare.start >= count).then(|| {
            let ids = spare.start..spare.start + count;
            spare.start = ids.end;
            ids.collect()
        })
    }
}
