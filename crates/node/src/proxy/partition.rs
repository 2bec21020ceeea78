//! Partitions: create, drop, has, show, count; and what names of partitions in other requests mean.

use proto::milvus as m;
use types::collection::{Collection, Partition};
use types::id::PartitionId;
use types::{Code, Error, Result};

use super::context::Context;
use super::{Proxy, ddl, describe, load, names, status};

/// CreatePartition; one that is there is a success.
pub async fn create(proxy: &Proxy, context: Context, request: m::CreatePartitionRequest) -> Result<proto::common::Status> {
    names::partition(&request.partition_name, proxy.config().limits.name_bytes, true)?;
    let collection = proxy.described(&context, &request.db_name, &request.collection_name).await?;
    refuse_with_key(&collection, "create partition")?;
    let (partitions, most) = (collection.partitions.len() + 1, proxy.config().limits.partitions);
    if collection.partition(&request.partition_name).is_none() && partitions > most {
        let name = &collection.name;
        return Err(Error::invalid(format!("partition number ({partitions}) exceeds max configuration ({most}), collection: {name}")));
    }
    proxy.roles.root.create_partition(&context.call, collection.id, &request.partition_name).await?;
    Ok(status::success())
}

/// DropPartition; an absent one is a success, a loaded one is refused.
pub async fn drop(proxy: &Proxy, context: Context, request: m::DropPartitionRequest) -> Result<proto::common::Status> {
    names::partition(&request.partition_name, proxy.config().limits.name_bytes, true)?;
    let collection = proxy.described(&context, &request.db_name, &request.collection_name).await?;
    refuse_with_key(&collection, "drop partition")?;
    if request.partition_name == proxy.config().default_partition {
        return Err(Error::invalid("default partition cannot be deleted"));
    }
    if let Some(partition) = collection.partition(&request.partition_name) {
        let state = proxy.roles.query.load_state(&context.call, collection.id).await?;
        if state.wanted.as_ref().is_some_and(|wanted| load::wants(wanted, partition.id)) {
            return Err(Error::invalid("partition cannot be dropped, partition is loaded, please release it first"));
        }
    }
    proxy.roles.root.drop_partition(&context.call, collection.id, &request.partition_name).await?;
    Ok(status::success())
}

/// HasPartition: false, not an error, for an absent one.
pub async fn has(proxy: &Proxy, context: Context, request: m::HasPartitionRequest) -> Result<m::BoolResponse> {
    names::partition(&request.partition_name, proxy.config().limits.name_bytes, true)?;
    let collection = proxy.described(&context, &request.db_name, &request.collection_name).await?;
    Ok(m::BoolResponse { status: Some(status::success()), value: collection.partition(&request.partition_name).is_some() })
}

/// ShowPartitions: all, or those that are named, or those that are loaded, with how far.
pub async fn show(proxy: &Proxy, context: Context, request: m::ShowPartitionsRequest) -> Result<m::ShowPartitionsResponse> {
    let collection = if request.collection_name.is_empty() && request.collection_id != 0 {
        let which = role::root::CollectionRef::Id(request.collection_id.into());
        proxy.roles.root.collection(&context.call, &which).await?
    } else {
        proxy.described(&context, &request.db_name, &request.collection_name).await?
    };
    let in_memory = request.r#type == m::ShowType::InMemory as i32;
    let state = match in_memory {
        true => Some(proxy.roles.query.load_state(&context.call, collection.id).await?),
        false => None,
    };
    let mut rows: Vec<(&Partition, Option<u8>)> = Vec::with_capacity(collection.partitions.len());
    for partition in &collection.partitions {
        let wanted = state.as_ref().and_then(|state| state.wanted.as_ref());
        let loaded = wanted.is_some_and(|wanted| load::wants(wanted, partition.id));
        let is_named = request.partition_names.is_empty() || request.partition_names.contains(&partition.name);
        if is_named && (!in_memory || loaded) {
            rows.push((partition, state.as_ref().filter(|_| loaded).map(|state| state.progress)));
        }
    }
    Ok(describe::partitions(&rows, in_memory))
}

/// GetPartitionStatistics.
pub async fn statistics(
    proxy: &Proxy,
    context: Context,
    request: m::GetPartitionStatisticsRequest,
) -> Result<m::GetPartitionStatisticsResponse> {
    let collection = proxy.described(&context, &request.db_name, &request.collection_name).await?;
    let partition = existing(&collection, &request.partition_name)?;
    let rows = proxy.roles.data.statistics(&context.call, collection.id).await?;
    let stats = ddl::row_count(rows.get(&partition).copied().unwrap_or(0));
    Ok(m::GetPartitionStatisticsResponse { status: Some(status::success()), stats })
}

/// Refuses what a client may not do to the hidden partitions of a partition key.
pub fn refuse_with_key(collection: &Collection, what: &str) -> Result<()> {
    match collection.schema.partition_key() {
        Some(_) => Err(Error::invalid(format!("disable {what} if partition key mode is used"))),
        None => Ok(()),
    }
}

/// Refuses names of partitions where a key routes.
pub fn refuse_names_with_key(collection: &Collection, named: bool) -> Result<()> {
    match collection.schema.partition_key() {
        Some(_) if named => Err(Error::invalid("not support manually specifying the partition names if partition key mode is used")),
        _ => Ok(()),
    }
}

/// The partition `name`.
///
/// # Errors
/// 200.
pub fn existing(collection: &Collection, name: &str) -> Result<PartitionId> {
    match collection.partition(name) {
        Some(partition) => Ok(partition.id),
        None => Err(Error::about(Code::PARTITION_NOT_FOUND, &[("partition", &name)])),
    }
}

/// The partitions that a read names; `None` if it names none.
///
/// # Errors
/// 1100 for an unknown one, and for any where a partition key routes.
pub fn of_read(collection: &Collection, names: &[String]) -> Result<Option<Vec<PartitionId>>> {
    refuse_names_with_key(collection, !names.is_empty())?;
    if names.is_empty() {
        return Ok(None);
    }
    let mut partitions = Vec::with_capacity(names.len());
    for name in names {
        let partition = collection.partition(name).ok_or_else(|| Error::invalid(format!("partition name {name} not found")))?;
        if !partitions.contains(&partition.id) {
            partitions.push(partition.id);
        }
    }
    Ok(Some(partitions))
}
