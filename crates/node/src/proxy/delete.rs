//! Delete: by key, or by a filter whose keys are read first.
//!
//! A filter that names keys needs no read and no loaded collection. Any other one is read at a snapshot; its delete kills rows up to that
//! snapshot and none that came since.

use std::collections::BTreeMap;

use prost::Message;
use proto::milvus as m;
use role::query::ReadAt;
use types::collection::Collection;
use types::column::{Column, Values};
use types::error::Context as _;
use types::id::PartitionId;
use types::record::{Body, Keys};
use types::schema::ROW_ID_FIELD;
use types::time::Timestamp;
use types::{Error, Result};

use super::context::Context;
use super::filter::templates;
use super::read::Reading;
use super::window::Write;
use super::write::{Sending, Stale, keys_by_shard, part};
use super::{Proxy, columns, partition, status};

/// Delete.
pub async fn delete(proxy: &Proxy, context: Context, request: m::DeleteRequest) -> Result<m::MutationResult> {
    context.note(|figures| figures.received_bytes = request.encoded_len() as u64);
    let mut collection = proxy.collection(&context, &request.db_name, &request.collection_name).await?;
    let mut sending = Sending::new(proxy, &context, context.collection(&request.db_name, &request.collection_name));
    let mut counts = BTreeMap::new();
    loop {
        let stale = match prepare(proxy, &context, &request, &collection).await {
            Ok(prepared) => {
                if sending.progress.done.is_empty() {
                    counts.clear();
                }
                for (shard, count) in prepared.counts {
                    if !sending.progress.done.contains(&shard) {
                        counts.insert(shard, count);
                    }
                }
                match sending.send(&collection, prepared.writes).await? {
                    None => break,
                    Some(refused) => refused,
                }
            }
            Err(error) => Stale::known_only_here(error)?,
        };
        collection = sending.refresh(&collection, stale).await?;
    }
    let timestamp = match sending.progress.timestamp {
        // Nothing was written: what the client remembers of the collection may still not go back.
        Timestamp::ZERO => proxy.roles.root.allocate_timestamp(&context.call).await?,
        written => written,
    };
    let deleted = counts.values().sum::<u64>();
    context.note(|figures| figures.rows = deleted);
    let delete_cnt = deleted as i64;
    Ok(m::MutationResult { status: Some(status::success()), delete_cnt, timestamp: timestamp.0, ..m::MutationResult::default() })
}

/// A delete's parts, ready to be sent.
struct Prepared {
    writes: Vec<(usize, Write)>,
    /// What each shard's part counts for.
    counts: Vec<(usize, u64)>,
}

async fn prepare(
    proxy: &Proxy,
    context: &Context,
    request: &m::DeleteRequest,
    collection: &std::sync::Arc<Collection>,
) -> Result<Prepared> {
    let partition = partition_of(collection, &request.partition_name)?;
    let schema = &collection.schema;
    let plan = proxy
        .plans
        .compile(collection, &request.expr, templates(&request.expr_template_values))
        .context(|| "failed to create delete plan")?;
    if plan.is_always_true() {
        return Err(Error::invalid(format!("delete plan can't be empty or always true : {}", request.expr)));
    }
    let primary = schema.primary();
    if let Some(named) = plan.named_keys(primary.id) {
        let keys = Column::new(ROW_ID_FIELD, columns::keys(named.keys.iter(), primary.data_type)?);
        return Ok(by_keys(collection, partition, &keys, named.given));
    }
    let reading = Reading {
        proxy,
        context,
        collection,
        plan,
        partitions: partition.map(|partition| vec![partition]),
        // The client's own writes, acknowledged before, are meant too, whatever level the request names.
        at: ReadAt::Barrier,
        output: vec![primary.id],
        ignore_growing: false,
        what: "delete",
    };
    let mut prepared = Prepared { writes: Vec::new(), counts: Vec::new() };
    for (shard, found) in reading.query(None, false).await? {
        let Some(keys) = found.rows.column(primary.id).filter(|keys| keys.rows() > 0) else { continue };
        let (shard, count) = (usize::from(shard.index), keys.rows() as u64);
        let keys = Keys { keys: keys.values.clone(), partition, kills_below: Some(found.at.next()) };
        prepared.writes.push((shard, part(collection, shard, &Body::Delete(keys))));
        prepared.counts.push((shard, count));
    }
    Ok(prepared)
}

/// The keys that the client names. They count as given, whether their rows are there or not; the first shard's part stands for repeated ones.
fn by_keys(collection: &Collection, partition: Option<PartitionId>, keys: &Column, given: u64) -> Prepared {
    let mut repeated = given.saturating_sub(keys.rows() as u64);
    let mut prepared = Prepared { writes: Vec::new(), counts: Vec::new() };
    for (shard, keys) in keys_by_shard(keys, collection.channels.len()) {
        let count = keys.slots() as u64 + std::mem::take(&mut repeated);
        prepared.writes.push((shard, part(collection, shard, &Body::Delete(plain(keys, partition)))));
        prepared.counts.push((shard, count));
    }
    prepared
}

fn plain(keys: Values, partition: Option<PartitionId>) -> Keys {
    Keys { keys, partition, kills_below: None }
}

fn partition_of(collection: &Collection, name: &str) -> Result<Option<PartitionId>> {
    partition::refuse_names_with_key(collection, !name.is_empty())?;
    if name.is_empty() {
        return Ok(None);
    }
    partition::existing(collection, name).context(|| "Failed to get partition id").map(Some)
}
