//! Loading: what is to be served, how far it is, who serves it.

use std::collections::{BTreeMap, BTreeSet};

use proto::common::LoadState as WireState;
use proto::milvus as m;
use role::query::{Leader, LoadRequest, LoadState, Wanted};
use types::collection::Collection;
use types::id::PartitionId;
use types::schema::{Field, FieldKind};
use types::{Code, Error, Result};

use super::context::Context;
use super::{Proxy, partition, status};

/// The resource group of every query node.
const RESOURCE_GROUP: &str = "__default_resource_group";

/// The number of replicas that a request names; 0 if none.
fn replicas_asked(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

/// LoadCollection: records the wish; progress is polled.
pub async fn load_collection(proxy: &Proxy, context: Context, request: m::LoadCollectionRequest) -> Result<proto::common::Status> {
    let collection = proxy.described(&context, &request.db_name, &request.collection_name).await?;
    check(proxy, &context, &collection, &request.load_fields).await?;
    let wish = LoadRequest { collection: collection.id, partitions: None, replicas: replicas_asked(request.replica_number) };
    proxy.roles.query.load(&context.call, wish).await?;
    Ok(status::success())
}

/// LoadPartitions, likewise.
pub async fn load_partitions(proxy: &Proxy, context: Context, request: m::LoadPartitionsRequest) -> Result<proto::common::Status> {
    let collection = proxy.described(&context, &request.db_name, &request.collection_name).await?;
    partition::refuse_with_key(&collection, "load partitions")?;
    let partitions = named(&collection, &request.partition_names)?;
    check(proxy, &context, &collection, &request.load_fields).await?;
    let wish = LoadRequest { collection: collection.id, partitions: Some(partitions), replicas: replicas_asked(request.replica_number) };
    proxy.roles.query.load(&context.call, wish).await?;
    Ok(status::success())
}

/// ReleaseCollection; one that isn't loaded is a success.
pub async fn release_collection(proxy: &Proxy, context: Context, request: m::ReleaseCollectionRequest) -> Result<proto::common::Status> {
    let collection = proxy.described(&context, &request.db_name, &request.collection_name).await?;
    proxy.serving.forget(collection.id);
    proxy.roles.query.release(&context.call, collection.id, None).await?;
    proxy.serving.forget(collection.id);
    Ok(status::success())
}

/// ReleasePartitions, likewise.
pub async fn release_partitions(proxy: &Proxy, context: Context, request: m::ReleasePartitionsRequest) -> Result<proto::common::Status> {
    let collection = proxy.described(&context, &request.db_name, &request.collection_name).await?;
    partition::refuse_with_key(&collection, "release partitions")?;
    let partitions = named(&collection, &request.partition_names)?;
    proxy.roles.query.release(&context.call, collection.id, Some(partitions)).await?;
    proxy.serving.forget(collection.id);
    Ok(status::success())
}

/// GetLoadState: an absent collection is a state, not an error.
pub async fn load_state(proxy: &Proxy, context: Context, request: m::GetLoadStateRequest) -> Result<m::GetLoadStateResponse> {
    let collection = match proxy.described(&context, &request.db_name, &request.collection_name).await {
        Ok(collection) => collection,
        Err(error) if error.code() == Code::COLLECTION_NOT_FOUND => return Ok(state(WireState::NotExist)),
        Err(error) => return Err(error),
    };
    let loaded = proxy.roles.query.load_state(&context.call, collection.id).await?;
    let partitions = of_progress(&collection, &request.partition_names)?;
    Ok(state(match &loaded.wanted {
        Some(wanted) if partitions.iter().all(|(_, partition)| wants(wanted, *partition)) => match loaded.progress {
            100.. => WireState::Loaded,
            _ => WireState::Loading,
        },
        _ => WireState::NotLoad,
    }))
}

fn state(state: WireState) -> m::GetLoadStateResponse {
    m::GetLoadStateResponse { status: Some(status::success()), state: state as i32 }
}

/// GetLoadingProgress: of what isn't loaded it is an error.
pub async fn loading_progress(
    proxy: &Proxy,
    context: Context,
    request: m::GetLoadingProgressRequest,
) -> Result<m::GetLoadingProgressResponse> {
    let collection = proxy.described(&context, &request.db_name, &request.collection_name).await?;
    let loaded = proxy.roles.query.load_state(&context.call, collection.id).await?;
    let partitions = of_progress(&collection, &request.partition_names)?;
    let progress = progress(&collection, &loaded, &partitions)?;
    Ok(m::GetLoadingProgressResponse { status: Some(status::success()), progress, refresh_progress: progress })
}

fn progress(collection: &Collection, loaded: &LoadState, partitions: &[(&str, PartitionId)]) -> Result<i64> {
    let Some(wanted) = &loaded.wanted else {
        return Err(Error::about(Code::COLLECTION_NOT_LOADED, &[("collection", &collection.name)]));
    };
    if let Some((name, _)) = partitions.iter().find(|(_, partition)| !wants(wanted, *partition)) {
        return Err(Error::about(Code::PARTITION_NOT_LOADED, &[("partition", name)]));
    }
    match &loaded.failure {
        Some(failure) if loaded.progress < 100 => Err(Error::new(Code::SERVICE_UNAVAILABLE, failure.clone())),
        _ => Ok(loaded.progress.into()),
    }
}

/// GetReplicas: the first has the first node of each shard, the next the next one.
pub async fn replicas(proxy: &Proxy, context: Context, request: m::GetReplicasRequest) -> Result<m::GetReplicasResponse> {
    let collection = if request.collection_name.is_empty() {
        let which = role::root::CollectionRef::Id(request.collection_id.into());
        proxy.roles.root.collection(&context.call, &which).await?
    } else {
        proxy.described(&context, &request.db_name, &request.collection_name).await?
    };
    let leaders = proxy.roles.query.leaders(&context.call, collection.id).await?;
    let loaded = proxy.roles.query.load_state(&context.call, collection.id).await?;
    let wanted = loaded.wanted.unwrap_or(Wanted::Collection);
    let partitions = collection.partitions.iter().map(|partition| partition.id).filter(|partition| wants(&wanted, *partition));
    let partition_ids: Vec<i64> = partitions.map(|partition| partition.0).collect();
    let replica = |(number, leaders): (usize, Vec<&Leader>)| m::ReplicaInfo {
        // Nothing is asked by it; it tells one from the other.
        replica_id: collection.id.0 + number as i64,
        collection_id: collection.id.0,
        partition_ids: partition_ids.clone(),
        node_ids: leaders.iter().map(|leader| leader.node.0).collect::<BTreeSet<_>>().into_iter().collect(),
        shard_replicas: leaders.into_iter().map(|leader| shard_replica(&collection, leader, request.with_shard_nodes)).collect(),
        resource_group_name: RESOURCE_GROUP.to_owned(),
        num_outbound_node: BTreeMap::new(),
    };
    let replicas = by_replica(&leaders, loaded.replicas.max(1) as usize).into_iter().enumerate().map(replica).collect();
    Ok(m::GetReplicasResponse { status: Some(status::success()), replicas })
}

/// The leaders of each replica: one of each shard, as far as there are so many. While a shard moves it has one more, which is in none.
fn by_replica(leaders: &[Leader], count: usize) -> Vec<Vec<&Leader>> {
    let mut replicas: Vec<Vec<&Leader>> = vec![Vec::new(); count];
    for leader in leaders {
        let lacks = |replica: &&mut Vec<&Leader>| replica.iter().all(|other| other.shard != leader.shard);
        if let Some(replica) = replicas.iter_mut().find(lacks) {
            replica.push(leader);
        }
    }
    replicas
}

fn shard_replica(collection: &Collection, leader: &Leader, with_nodes: bool) -> m::ShardReplica {
    let channel = collection.channels.get(usize::from(leader.shard.index));
    m::ShardReplica {
        leader_id: leader.node.0,
        leader_addr: leader.address.clone(),
        dm_channel_name: channel.map(|channel| leader.shard.virtual_channel(channel)).unwrap_or_default(),
        node_ids: if with_nodes { vec![leader.node.0] } else { Vec::new() },
    }
}

/// Whether a partition is wanted.
pub fn wants(wanted: &Wanted, partition: PartitionId) -> bool {
    match wanted {
        Wanted::Collection => true,
        Wanted::Partitions(partitions) => partitions.contains(&partition),
    }
}

fn named(collection: &Collection, names: &[String]) -> Result<Vec<PartitionId>> {
    if names.is_empty() {
        return Err(Error::expected("", "any partition", "empty partition list"));
    }
    names.iter().map(|name| partition::existing(collection, name)).collect()
}

fn of_progress<'a>(collection: &Collection, names: &'a [String]) -> Result<Vec<(&'a str, PartitionId)>> {
    names.iter().map(|name| Ok((name.as_str(), partition::existing(collection, name)?))).collect()
}

/// What must hold before a collection is loaded.
async fn check(proxy: &Proxy, context: &Context, collection: &Collection, fields: &[String]) -> Result<()> {
    check_fields(collection, fields)?;
    let indexes = proxy.roles.index.indexes(&context.call, collection.id).await?;
    if indexes.is_empty() {
        return Err(Error::about(Code::INDEX_NOT_FOUND, &[("collection", &collection.name)]));
    }
    let is_indexed = |field: &Field| indexes.iter().any(|index| index.definition.field == field.id);
    let is_named = |field: &Field| fields.is_empty() || fields.contains(&field.name);
    let without = collection.schema.vectors().filter(|field| is_named(field) && !is_indexed(field));
    let without: Vec<&str> = without.map(|field| field.name.as_str()).collect();
    if !without.is_empty() {
        let fields = without.join(" ");
        return Err(Error::invalid(format!("there is no vector index on field: [{fields}], please create index firstly")));
    }
    Ok(())
}

/// A list of fields to load must name those that no read can do without. Everything is served, whatever it names.
fn check_fields(collection: &Collection, fields: &[String]) -> Result<()> {
    if fields.is_empty() {
        return Ok(());
    }
    let schema = &collection.schema;
    if let Some(unknown) = fields.iter().find(|name| schema.field(name).is_none()) {
        return Err(Error::invalid(format!("failed to get field schema by name: fieldName({unknown}) not found")));
    }
    let is_named = |name: &str| fields.iter().any(|field| field == name);
    let needed =
        [(FieldKind::Primary, "primary key"), (FieldKind::PartitionKey, "partition key"), (FieldKind::ClusteringKey, "clustering key")];
    for (kind, what) in needed {
        if let Some(field) = schema.fields.iter().find(|field| field.kind == kind && !is_named(&field.name)) {
            return Err(Error::invalid(format!("load field list {fields:?} does not contain {what} field {}", field.name)));
        }
    }
    if !schema.vectors().any(|field| is_named(&field.name)) {
        return Err(Error::invalid(format!("load field list {fields:?} does not contain vector field")));
    }
    Ok(())
}
