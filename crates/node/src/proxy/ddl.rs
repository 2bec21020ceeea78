//! Databases and collections: create, drop, describe, has, show, count.

use prost::Message;
use proto::milvus as m;
use proto::schema::{CollectionSchema, FieldSchema};
use role::root::{CollectionRef, CreateCollection};
use types::collection::{Collection, Consistency};
use types::id::CollectionId;
use types::limits::PARTITION_KEY_PARTITIONS;
use types::schema::Schema;
use types::time::Timestamp;
use types::{Code, Error, Result};

use super::context::Context;
use super::{Proxy, describe, names, schema, status};

/// The longest time to live of a collection, in seconds.
const TTL_MAX: i64 = 3_155_760_000;

/// ListDatabases.
pub async fn list_databases(proxy: &Proxy, context: Context, _: m::ListDatabasesRequest) -> Result<m::ListDatabasesResponse> {
    let db_names = proxy.roles.root.databases(&context.call).await?;
    // SDKs read these beside the names: rootcoord's trait doesn't tell more, and 0 is "unknown".
    let (created_timestamp, db_ids) = (vec![0; db_names.len()], vec![0; db_names.len()]);
    Ok(m::ListDatabasesResponse { status: Some(status::success()), db_names, created_timestamp, db_ids })
}

/// CreateCollection.
pub async fn create_collection(proxy: &Proxy, context: Context, request: m::CreateCollectionRequest) -> Result<proto::common::Status> {
    let (database, name) = (request.db_name.clone(), request.collection_name.clone());
    let definition = definition(proxy, &context, request)?;
    proxy.roles.root.create_collection(&context.call, definition).await?;
    context.name(&database, &name);
    Ok(status::success())
}

fn definition(proxy: &Proxy, context: &Context, request: m::CreateCollectionRequest) -> Result<CreateCollection> {
    let limits = &proxy.config().limits;
    let shards = if request.shards_num > 0 { request.shards_num } else { 1 };
    if shards > limits.shards {
        return Err(Error::invalid(format!("maximum shards's number should be limited to {}", limits.shards)));
    }
    let wire =
        CollectionSchema::decode(request.schema.clone()).map_err(|error| Error::invalid(format!("the schema can't be read: {error}")))?;
    names::collection(&request.collection_name, limits.name_bytes)?;
    if wire.description.len() > limits.description_bytes {
        let most = limits.description_bytes;
        return Err(Error::invalid(format!("the length of a collection description must not exceed {most} bytes")));
    }
    let rules = schema::Rules { collection: &request.collection_name, limits };
    let schema = schema::parse(&wire, &rules)?;
    let partitions = partitions(proxy, &request, &schema)?;
    let mut properties = std::collections::BTreeMap::new();
    for pair in wire.properties.into_iter().chain(request.properties) {
        check_property(&pair.key, &pair.value)?;
        properties.insert(pair.key, pair.value);
    }
    let consistency = Consistency::from_number(request.consistency_level)
        .ok_or_else(|| Error::invalid(format!("invalid consistency level: {}", request.consistency_level)))?;
    Ok(CreateCollection {
        database: context.database(&request.db_name).to_owned(),
        name: request.collection_name,
        description: wire.description,
        schema,
        shards: shards as u16,
        partitions,
        consistency,
        properties,
    })
}

/// Partitions that a new collection begins with: rows find theirs by a partition key's hash, else it is the default one.
fn partitions(proxy: &Proxy, request: &m::CreateCollectionRequest, schema: &Schema) -> Result<Vec<String>> {
    let name = &proxy.config().default_partition;
    let most = proxy.config().limits.partitions;
    match (schema.partition_key(), request.num_partitions) {
        (None, 0) => Ok(vec![name.clone()]),
        (None, _) => Err(Error::invalid("num_partitions should only be specified with partition key field enabled")),
        (Some(_), ..0) => Err(Error::invalid("the specified partitions should be greater than 0 if partition key is used")),
        (Some(_), count) if count > most as i64 => {
            let collection = &request.collection_name;
            Err(Error::invalid(format!("partition number ({count}) exceeds max configuration ({most}), collection: {collection}")))
        }
        (Some(_), 0) => Ok((0..PARTITION_KEY_PARTITIONS).map(|i| format!("{name}_{i}")).collect()),
        (Some(_), count) => Ok((0..count).map(|i| format!("{name}_{i}")).collect()),
    }
}

/// Properties are kept as sent; those with a meaning must have a value that they can mean.
fn check_property(key: &str, value: &str) -> Result<()> {
    match key {
        "collection.ttl.seconds" => match value.parse::<i64>() {
            Ok(-1..=TTL_MAX) => Ok(()),
            Ok(ttl) => Err(Error::invalid(format!("collection TTL is out of range, expect [-1, {TTL_MAX}], got {ttl}"))),
            Err(_) => Err(Error::invalid("collection TTL is not a valid positive integer")),
        },
        "mmap.enabled" if !matches!(value, "true" | "false") => {
            Err(Error::invalid(format!("invalid mmap.enabled value: {value}, expected: true, false")))
        }
        _ => Ok(()),
    }
}

/// AddCollectionField: rows that are there read as the field's default, else as null.
pub async fn add_collection_field(proxy: &Proxy, context: Context, request: m::AddCollectionFieldRequest) -> Result<proto::common::Status> {
    let wire = FieldSchema::decode(request.schema.clone()).map_err(|error| Error::invalid(format!("the schema can't be read: {error}")))?;
    let collection = proxy.described(&context, &request.db_name, &request.collection_name).await?;
    let rules = schema::Rules { collection: &collection.name, limits: &proxy.config().limits };
    let field = schema::parse_added(&wire, &collection.schema, &rules)?;
    proxy.roles.root.add_field(&context.call, collection.id, field).await?;
    Ok(status::success())
}

/// DropCollection; an absent one is a success.
pub async fn drop_collection(proxy: &Proxy, context: Context, request: m::DropCollectionRequest) -> Result<proto::common::Status> {
    names::collection(&request.collection_name, proxy.config().limits.name_bytes)?;
    let (database, name) = (context.database(&request.db_name), &request.collection_name);
    proxy.roles.root.drop_collection(&context.call, database, name).await?;
    proxy.observe.dropped(database, name);
    Ok(status::success())
}

/// HasCollection: false, not an error, for an absent one.
pub async fn has_collection(proxy: &Proxy, context: Context, request: m::HasCollectionRequest) -> Result<m::BoolResponse> {
    let value = match proxy.described(&context, &request.db_name, &request.collection_name).await {
        Ok(_) => true,
        Err(error) if error.code() == Code::COLLECTION_NOT_FOUND => false,
        Err(error) => return Err(error),
    };
    Ok(m::BoolResponse { status: Some(status::success()), value })
}

/// DescribeCollection, by name or, where there is none, by id. It asks rootcoord: clients poll with it for what others change.
pub async fn describe_collection(
    proxy: &Proxy,
    context: Context,
    request: m::DescribeCollectionRequest,
) -> Result<m::DescribeCollectionResponse> {
    let by_id = request.collection_name.is_empty() && request.collection_id != 0;
    let which = if by_id {
        CollectionRef::Id(CollectionId(request.collection_id))
    } else {
        names::collection(&request.collection_name, proxy.config().limits.name_bytes)?;
        context.collection(&request.db_name, &request.collection_name)
    };
    match proxy.roles.root.collection(&context.call, &which).await {
        Ok(collection) => Ok(describe::collection(&collection, Timestamp::from_millis(proxy.world.clock.wall_ms()))),
        Err(error) if error.code() == Code::COLLECTION_NOT_FOUND => Err(cannot_find(&which)),
        Err(error) => Err(error),
    }
}

/// The words by which SDKs before 2.3.2 know that a collection isn't there.
fn cannot_find(which: &CollectionRef) -> Error {
    let fields = match which {
        CollectionRef::Name { database, name } => format!("[database={database}][collection={name}]"),
        CollectionRef::Id(id) => format!("[collection={id}]"),
    };
    Error::new(Code::COLLECTION_NOT_FOUND, format!("can't find collection{fields}"))
}

/// ShowCollections: all of a database, or those that are loaded, with how far.
pub async fn show_collections(proxy: &Proxy, context: Context, request: m::ShowCollectionsRequest) -> Result<m::ShowCollectionsResponse> {
    let mut collections = proxy.roles.root.collections(&context.call, context.database(&request.db_name)).await?;
    if !request.collection_names.is_empty() {
        let is_named = |collection: &Collection| {
            request.collection_names.iter().any(|name| *name == collection.name || collection.aliases.contains(name))
        };
        collections.retain(is_named);
    }
    let in_memory = request.r#type == m::ShowType::InMemory as i32;
    let mut rows = Vec::with_capacity(collections.len());
    for collection in &collections {
        let loaded = match in_memory {
            true => proxy.roles.query.load_state(&context.call, collection.id).await?,
            false => role::query::LoadState::default(),
        };
        if !in_memory || loaded.wanted.is_some() {
            rows.push((collection, loaded.wanted.map(|_| loaded.progress)));
        }
    }
    Ok(describe::collections(&rows, in_memory))
}

/// GetCollectionStatistics: rows, sealed and growing, deleted ones included.
pub async fn collection_statistics(
    proxy: &Proxy,
    context: Context,
    request: m::GetCollectionStatisticsRequest,
) -> Result<m::GetCollectionStatisticsResponse> {
    let collection = proxy.described(&context, &request.db_name, &request.collection_name).await?;
    let rows: u64 = proxy.roles.data.statistics(&context.call, collection.id).await?.values().sum();
    Ok(m::GetCollectionStatisticsResponse { status: Some(status::success()), stats: row_count(rows) })
}

/// The one statistic that there is.
pub fn row_count(rows: u64) -> Vec<proto::common::KeyValuePair> {
    vec![proto::common::KeyValuePair { key: "row_count".to_owned(), value: rows.to_string() }]
}
