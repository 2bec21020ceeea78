//! `/collections`: all of them but making one ([`super::create`]).

use proto::common::{CompactionState, ConsistencyLevel, KeyValuePair, LoadState, Status};
use proto::milvus as m;
use proto::milvus::milvus_service_server::MilvusService;
use serde_json::{Value, json};
use types::{Code, Error, Result};

use super::asked::Asked;
use super::envelope::{Reply, missing};
use super::indexes::parameter;
use super::schema;
use super::vectors::Shape;

/// Names of the database's collections.
pub async fn list<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::ShowCollectionsRequest { db_name: asked.database.clone(), ..Default::default() };
    let shown: m::ShowCollectionsResponse = asked.call(S::show_collections, request).await?;
    Ok(Reply::names(shown.collection_names))
}

/// Whether a collection is there.
pub async fn has<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::HasCollectionRequest { db_name: asked.database.clone(), collection_name: asked.collection()?, ..Default::default() };
    let answer: m::BoolResponse = asked.call(S::has_collection, request).await?;
    Ok(Reply::of(&json!({ "has": answer.value })))
}

/// Everything about a collection.
pub async fn describe<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let (data, problems) = description(asked).await?;
    Ok(Reply::of(&data).with("message", problems))
}

/// Everything about a collection, and why the rest of it couldn't be found out.
pub async fn description<S: MilvusService>(asked: &Asked<S>) -> Result<(Value, String)> {
    let described = asked.described().await?;
    let collection = described.schema.unwrap_or_default();
    let mut problems = String::new();
    let load = match load_state(asked, Vec::new()).await {
        Ok(state) => state.as_str_name(),
        Err(error) => {
            problems.push_str(&format!("{error};"));
            ""
        }
    };
    let vector = collection.fields.iter().find(|field| Shape::of(field).is_some());
    let indexes = match vector {
        Some(field) => indexes_of(asked, &field.name).await.unwrap_or_else(|error| {
            problems.push_str(&format!("{error};"));
            Vec::new()
        }),
        None => Vec::new(),
    };
    let fields = collection.fields.iter().filter(|field| !field.is_dynamic);
    let auto_id = collection.auto_id || collection.fields.iter().any(|field| field.auto_id);
    let level = ConsistencyLevel::try_from(described.consistency_level).unwrap_or(ConsistencyLevel::Bounded);
    let data = json!({
        "collectionName": described.collection_name,
        "collectionID": described.collection_id,
        "description": collection.description,
        "autoId": auto_id,
        "fields": fields.map(schema::describe_field).collect::<Vec<_>>(),
        "structFields": collection.struct_array_fields.iter().map(schema::describe_struct).collect::<Vec<_>>(),
        "functions": collection.functions.iter().map(schema::describe_function).collect::<Vec<_>>(),
        "aliases": described.aliases,
        "indexes": indexes,
        "load": load,
        "shardsNum": described.shards_num,
        "partitionsNum": described.num_partitions,
        "consistencyLevel": level.as_str_name(),
        "enableDynamicField": collection.enable_dynamic_field,
        "externalSource": collection.external_source,
        "externalSpec": collection.external_spec,
        "properties": properties(&described.properties),
    });
    Ok((data, problems))
}

/// Parameters as answers show them.
pub fn properties(pairs: &[KeyValuePair]) -> Value {
    pairs.iter().map(|pair| json!({ "key": pair.key, "value": pair.value })).collect()
}

async fn indexes_of<S: MilvusService>(asked: &Asked<S>, field: &str) -> Result<Vec<Value>> {
    let request = m::DescribeIndexRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        field_name: field.to_owned(),
        ..Default::default()
    };
    let answer: m::DescribeIndexResponse = asked.call(S::describe_index, request).await?;
    let shown = |index: &m::IndexDescription| json!({ "indexName": index.index_name, "fieldName": index.field_name, "metricType": parameter(index, "metric_type") });
    Ok(answer.index_descriptions.iter().map(shown).collect())
}

/// Rows of a collection.
pub async fn stats<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request =
        m::GetCollectionStatisticsRequest { db_name: asked.database.clone(), collection_name: asked.collection()?, ..Default::default() };
    let answer: m::GetCollectionStatisticsResponse = asked.call(S::get_collection_statistics, request).await?;
    Ok(Reply::of(&json!({ "rowCount": row_count(&answer.stats)? })))
}

/// The number of rows among statistics.
pub fn row_count(stats: &[KeyValuePair]) -> Result<i64> {
    let count = stats.iter().find(|pair| pair.key == "row_count").and_then(|pair| pair.value.parse().ok());
    count.ok_or_else(|| Error::internal("statistics without a number of rows"))
}

async fn load_state<S: MilvusService>(asked: &Asked<S>, partition_names: Vec<String>) -> Result<LoadState> {
    let request = m::GetLoadStateRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        partition_names,
        ..Default::default()
    };
    let answer: m::GetLoadStateResponse = asked.call(S::get_load_state, request).await?;
    LoadState::try_from(answer.state).map_err(|_| Error::internal(format!("an unknown load state {}", answer.state)))
}

/// How far the load of a collection, or of some partitions, is.
pub async fn get_load_state<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let partition_names = asked.body.texts("partitionNames")?;
    match load_state(asked, partition_names.clone()).await? {
        LoadState::NotExist => {
            let name = asked.collection()?;
            return Err(Error::about(Code::COLLECTION_NOT_FOUND, &[("database", &asked.database), ("collection", &name)]));
        }
        LoadState::NotLoad => return Ok(Reply::of(&json!({ "loadState": LoadState::NotLoad.as_str_name() })).with("message", "")),
        LoadState::Loading | LoadState::Loaded => {}
    }
    let request = m::GetLoadingProgressRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        partition_names,
        ..Default::default()
    };
    let answer: Result<m::GetLoadingProgressResponse> = asked.call(S::get_loading_progress, request).await;
    let (progress, problem) = match answer {
        Ok(answer) => (answer.progress, String::new()),
        Err(error) => (-1, error.reason().to_owned()),
    };
    let state = if progress >= 100 { LoadState::Loaded } else { LoadState::Loading };
    Ok(Reply::of(&json!({ "loadState": state.as_str_name(), "loadProgress": progress })).with("message", problem))
}

/// Drops one.
pub async fn drop<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::DropCollectionRequest { db_name: asked.database.clone(), collection_name: asked.collection()?, ..Default::default() };
    asked.call::<_, Status, _>(S::drop_collection, request).await?;
    Ok(Reply::done())
}

/// Asks for one to be served.
pub async fn load<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    load_now(asked, false).await
}

/// Asks for what has come by import since the load.
pub async fn refresh_load<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    load_now(asked, true).await
}

/// Asks for the body's collection to be served.
pub async fn load_now<S: MilvusService>(asked: &Asked<S>, refresh: bool) -> Result<Reply> {
    let request =
        m::LoadCollectionRequest { db_name: asked.database.clone(), collection_name: asked.collection()?, refresh, ..Default::default() };
    asked.call::<_, Status, _>(S::load_collection, request).await?;
    Ok(Reply::done())
}

/// Asks for one not to be served any more.
pub async fn release<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request =
        m::ReleaseCollectionRequest { db_name: asked.database.clone(), collection_name: asked.collection()?, ..Default::default() };
    asked.call::<_, Status, _>(S::release_collection, request).await?;
    Ok(Reply::done())
}

/// Removes all rows.
pub async fn truncate<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request =
        m::TruncateCollectionRequest { db_name: asked.database.clone(), collection_name: asked.collection()?, ..Default::default() };
    let _: m::TruncateCollectionResponse = asked.call(S::truncate_collection, request).await?;
    Ok(Reply::done())
}

/// Has what was written so far be kept in segments.
pub async fn flush<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::FlushRequest { db_name: asked.database.clone(), collection_names: vec![asked.collection()?], ..Default::default() };
    let _: m::FlushResponse = asked.call(S::flush, request).await?;
    Ok(Reply::done())
}

/// Gives one another name, or another database.
pub async fn rename<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::RenameCollectionRequest {
        db_name: asked.database.clone(),
        old_name: asked.collection()?,
        new_name: asked.body.required_text("newCollectionName")?,
        new_db_name: asked.body.text("newDbName")?,
        ..Default::default()
    };
    asked.call::<_, Status, _>(S::rename_collection, request).await?;
    Ok(Reply::done())
}

/// Sets properties.
pub async fn alter_properties<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    alter(asked, asked.body.pairs("properties")?, Vec::new()).await
}

/// Removes properties.
pub async fn drop_properties<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    alter(asked, Vec::new(), asked.body.texts("propertyKeys")?).await
}

async fn alter<S: MilvusService>(asked: &Asked<S>, properties: Vec<KeyValuePair>, delete_keys: Vec<String>) -> Result<Reply> {
    let request = m::AlterCollectionRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        properties,
        delete_keys,
        ..Default::default()
    };
    asked.call::<_, Status, _>(S::alter_collection, request).await?;
    Ok(Reply::done())
}

/// Asks for a compaction.
pub async fn compact<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::ManualCompactionRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        major_compaction: asked.body.flag("isClustering")?.unwrap_or(false),
        ..Default::default()
    };
    let answer: m::ManualCompactionResponse = asked.call(S::manual_compaction, request).await?;
    Ok(Reply::of(&json!({ "compactionID": answer.compaction_id })))
}

/// How far a compaction is.
pub async fn get_compaction_state<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let compaction_id = asked.body.number("jobID")?.ok_or_else(|| missing("jobID is required"))?;
    let answer: m::GetCompactionStateResponse = asked.call(S::get_compaction_state, m::GetCompactionStateRequest { compaction_id }).await?;
    let state = CompactionState::try_from(answer.state).unwrap_or(CompactionState::UndefiedState);
    Ok(Reply::of(&json!({
        "compactionID": compaction_id,
        "state": state.as_str_name(),
        "executingPlanNumber": answer.executing_plan_no,
        "timeoutPlanNumber": answer.timeout_plan_no,
        "completedPlanNumber": answer.completed_plan_no,
    })))
}
