//! Collections as clients read them: the way back from our schema to Milvus's, and the lists of ShowCollections and ShowPartitions.

use std::collections::BTreeMap;

use proto::common::KeyValuePair;
use proto::milvus::{DescribeCollectionResponse, ShowCollectionsResponse, ShowPartitionsResponse};
use proto::schema::{CollectionSchema, FieldSchema};
use types::collection::{Collection, Partition};
use types::schema::{DataType, Field, FieldKind};
use types::time::Timestamp;

use super::schema::render_default;
use super::status;

/// DescribeCollection's answer. `now` is when the request was served.
pub fn collection(collection: &Collection, now: Timestamp) -> DescribeCollectionResponse {
    let channels: Vec<String> = collection.channels.iter().map(ToString::to_string).collect();
    DescribeCollectionResponse {
        status: Some(status::success()),
        schema: Some(schema(collection)),
        collection_id: collection.id.0,
        virtual_channel_names: collection.shards().map(|(shard, channel)| shard.virtual_channel(channel)).collect(),
        physical_channel_names: channels,
        created_timestamp: collection.created.0,
        created_utc_timestamp: collection.created.millis(),
        shards_num: collection.channels.len() as i32,
        aliases: collection.aliases.clone(),
        start_positions: Vec::new(),
        consistency_level: collection.consistency as i32,
        collection_name: collection.name.clone(),
        properties: pairs(&collection.properties),
        db_name: collection.database_name.clone(),
        num_partitions: collection.partitions.len() as i64,
        db_id: collection.database.0,
        request_time: now.0,
        update_timestamp: collection.updated.0,
        update_timestamp_str: collection.updated.to_string(),
    }
}

fn schema(collection: &Collection) -> CollectionSchema {
    let visible = collection.schema.fields.iter().filter(|field| field.kind != FieldKind::Dynamic);
    CollectionSchema {
        name: collection.name.clone(),
        description: collection.description.clone(),
        fields: visible.map(field).collect(),
        enable_dynamic_field: collection.schema.dynamic().is_some(),
        properties: pairs(&collection.properties),
        version: collection.schema.version as i32,
        db_name: collection.database_name.clone(),
        ..CollectionSchema::default()
    }
}

fn field(field: &Field) -> FieldSchema {
    FieldSchema {
        field_id: field.id.0,
        name: field.name.clone(),
        is_primary_key: field.kind == FieldKind::Primary,
        description: field.description.clone(),
        data_type: field.data_type.number(),
        type_params: pairs(&field.type_params),
        auto_id: field.auto_id,
        default_value: field.default.as_ref().map(|value| render_default(field.data_type, value)),
        is_partition_key: field.kind == FieldKind::PartitionKey,
        is_clustering_key: field.kind == FieldKind::ClusteringKey,
        nullable: field.nullable,
        element_type: field.element_type.map_or(0, DataType::number),
        ..FieldSchema::default()
    }
}

/// A map as the pairs of the wire, by key.
pub fn pairs(map: &BTreeMap<String, String>) -> Vec<KeyValuePair> {
    map.iter().map(|(key, value)| KeyValuePair { key: key.clone(), value: value.clone() }).collect()
}

/// A list of collections, each with how much of it is loaded (0 … 100; `None`: not loaded). `with_progress` adds that column.
pub fn collections(rows: &[(&Collection, Option<u8>)], with_progress: bool) -> ShowCollectionsResponse {
    let mut response = ShowCollectionsResponse { status: Some(status::success()), ..ShowCollectionsResponse::default() };
    for (collection, loaded) in rows {
        response.collection_names.push(collection.name.clone());
        response.collection_ids.push(collection.id.0);
        response.created_timestamps.push(collection.created.0);
        response.created_utc_timestamps.push(collection.created.millis());
        response.query_service_available.push(*loaded == Some(100));
        response.shards_num.push(collection.channels.len() as i32);
        if with_progress {
            response.in_memory_percentages.push(loaded.unwrap_or(0).into());
        }
    }
    response
}

/// A list of partitions, each with how much of it is loaded, likewise.
pub fn partitions(rows: &[(&Partition, Option<u8>)], with_progress: bool) -> ShowPartitionsResponse {
    let mut response = ShowPartitionsResponse { status: Some(status::success()), ..ShowPartitionsResponse::default() };
    for (partition, loaded) in rows {
        response.partition_names.push(partition.name.clone());
        response.partition_i_ds.push(partition.id.0);
        response.created_timestamps.push(partition.created.0);
        response.created_utc_timestamps.push(partition.created.millis());
        if with_progress {
            response.in_memory_percentages.push(loaded.unwrap_or(0).into());
        }
    }
    response
}
