//! Flush and its polling, and the lists of segments.
//!
//! A flush moves nothing that a client could miss: rows are durable when a write is acknowledged, and count while they grow. Clients wait
//! for it all the same, so its timestamp is what they poll with.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto::common::{SegmentLevel, SegmentState};
use proto::milvus as m;
use proto::schema::LongArray;
use types::collection::Collection;
use types::time::Timestamp;
use types::{Error, Result};

use super::context::Context;
use super::{Proxy, status};

/// The layout of segment files, as clients that ask for it know them.
const STORAGE_VERSION: i64 = 3;

/// Flush: begins, and says what to poll with.
///
/// Clients that know no flush timestamp poll with the ids under `coll_segIDs`, which stay empty: what they ask for, that rows are safe and
/// counted, holds already.
pub async fn flush(proxy: &Proxy, context: Context, request: m::FlushRequest) -> Result<m::FlushResponse> {
    let mut response = m::FlushResponse {
        status: Some(status::success()),
        db_name: context.database(&request.db_name).to_owned(),
        ..m::FlushResponse::default()
    };
    if request.collection_names.is_empty() {
        return Err(Error::invalid("no collection is named to flush"));
    }
    for name in request.collection_names {
        let collection = proxy.described(&context, &request.db_name, &name).await?;
        let started = proxy.roles.data.flush(&context.call, collection.id).await?;
        let segments = started.segments.iter().map(|segment| segment.0).collect();
        response.coll_seg_i_ds.insert(name.clone(), LongArray::default());
        response.flush_coll_seg_i_ds.insert(name.clone(), LongArray { data: segments });
        response.coll_seal_times.insert(name.clone(), (started.timestamp.millis() / 1_000) as i64);
        response.coll_flush_ts.insert(name, started.timestamp.0);
    }
    Ok(response)
}

/// GetFlushState.
pub async fn flush_state(proxy: &Proxy, context: Context, request: m::GetFlushStateRequest) -> Result<m::GetFlushStateResponse> {
    let flushed = if request.collection_name.is_empty() || request.flush_ts == 0 {
        true
    } else {
        let collection = proxy.described(&context, &request.db_name, &request.collection_name).await?;
        proxy.roles.data.is_flushed(&context.call, collection.id, Timestamp(request.flush_ts)).await?
    };
    Ok(m::GetFlushStateResponse { status: Some(status::success()), flushed })
}

/// GetPersistentSegmentInfo.
pub async fn persistent_segments(
    proxy: &Proxy,
    context: Context,
    request: m::GetPersistentSegmentInfoRequest,
) -> Result<m::GetPersistentSegmentInfoResponse> {
    let collection = proxy.described(&context, &request.db_name, &request.collection_name).await?;
    let mut infos = Vec::new();
    for segment in proxy.roles.data.segments(&context.call, collection.id).await? {
        infos.push(m::PersistentSegmentInfo {
            segment_id: segment.id.0,
            collection_id: collection.id.0,
            partition_id: segment.rows.keys().next().map_or(0, |partition| partition.0),
            num_rows: segment.rows.values().sum::<u64>() as i64,
            state: SegmentState::Flushed as i32,
            level: SegmentLevel::L1 as i32,
            is_sorted: true,
            storage_version: STORAGE_VERSION,
            insert_channel: channel(&collection, segment.shard.index),
            compaction_from: Vec::new(),
        });
    }
    Ok(m::GetPersistentSegmentInfoResponse { status: Some(status::success()), infos })
}

/// GetQuerySegmentInfo: sealed segments of a loaded collection, with who serves them.
pub async fn query_segments(
    proxy: &Proxy,
    context: Context,
    request: m::GetQuerySegmentInfoRequest,
) -> Result<m::GetQuerySegmentInfoResponse> {
    let collection = Arc::new(proxy.described(&context, &request.db_name, &request.collection_name).await?);
    let served = proxy.serving.of(&context.call, &collection).await?;
    let indexes = proxy.roles.index.indexes(&context.call, collection.id).await?;
    let names: BTreeMap<_, _> = indexes.iter().map(|index| (index.definition.id, &index.definition.name)).collect();
    let mut infos = Vec::new();
    for segment in proxy.roles.data.segments(&context.call, collection.id).await? {
        let nodes = served.leaders.iter().filter(|leader| leader.shard == segment.shard).map(|leader| leader.node.0);
        let index = segment.indexes.first();
        infos.push(m::QuerySegmentInfo {
            segment_id: segment.id.0,
            collection_id: collection.id.0,
            partition_id: segment.rows.keys().next().map_or(0, |partition| partition.0),
            mem_size: segment.bytes as i64,
            num_rows: segment.rows.values().sum::<u64>() as i64,
            index_name: index.and_then(|index| names.get(index)).map_or(String::new(), |name| name.to_string()),
            index_id: index.map_or(0, |index| index.0),
            node_id: 0,
            state: SegmentState::Sealed as i32,
            node_ids: nodes.collect(),
            level: SegmentLevel::L1 as i32,
            is_sorted: true,
            storage_version: STORAGE_VERSION,
        });
    }
    Ok(m::GetQuerySegmentInfoResponse { status: Some(status::success()), infos })
}

fn channel(collection: &Collection, shard: u16) -> String {
    let channel = collection.shards().find(|(id, _)| id.index == shard);
    channel.map(|(id, channel)| id.virtual_channel(channel)).unwrap_or_default()
}
