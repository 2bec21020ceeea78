//! `/indexes`: list, describe, make, drop, alter.

use proto::common::{IndexState, KeyValuePair, Status};
use proto::milvus as m;
use proto::milvus::milvus_service_server::MilvusService;
use serde_json::{Value, json};
use types::{Code, Result};

use super::asked::Asked;
use super::body::{Fields, pair};
use super::collections::properties;
use super::envelope::{Reply, missing};

/// Parameters that a description names beside the list of all.
const NAMED: [&str; 3] = ["mmap.enabled", "indexoffsetcache.enabled", "warmup"];

/// Names of the collection's indexes.
pub async fn list<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let indexes = match described(asked, String::new()).await {
        Err(error) if error.code() == Code::INDEX_NOT_FOUND => Vec::new(),
        indexes => indexes?,
    };
    Ok(Reply::names(indexes.into_iter().map(|index| index.index_name).collect()))
}

/// One index, and how far it is.
pub async fn describe<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let indexes = described(asked, asked.body.required_text("indexName")?).await?;
    Ok(Reply::of(&indexes.iter().map(description).collect()))
}

async fn described<S: MilvusService>(asked: &Asked<S>, index_name: String) -> Result<Vec<m::IndexDescription>> {
    let request = m::DescribeIndexRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        index_name,
        timestamp: asked.body.number("timestamp")?.and_then(|at| u64::try_from(at).ok()).unwrap_or(0),
        ..Default::default()
    };
    let answer: m::DescribeIndexResponse = asked.call(S::describe_index, request).await?;
    Ok(answer.index_descriptions)
}

/// A parameter of an index; empty where it has none.
pub fn parameter<'a>(index: &'a m::IndexDescription, key: &str) -> &'a str {
    index.params.iter().find(|pair| pair.key == key).map_or("", |pair| &pair.value)
}

fn description(index: &m::IndexDescription) -> Value {
    let state = IndexState::try_from(index.state).unwrap_or(IndexState::None);
    let mut description = json!({
        "indexName": index.index_name,
        "fieldName": index.field_name,
        "indexType": parameter(index, "index_type"),
        "metricType": parameter(index, "metric_type"),
        "totalRows": index.total_rows,
        "indexedRows": index.indexed_rows,
        "pendingRows": index.pending_index_rows,
        "indexState": state.as_str_name(),
        "failReason": index.index_state_fail_reason,
        "minIndexVersion": index.min_index_version,
        "maxIndexVersion": index.max_index_version,
        "indexParams": properties(&index.params),
    });
    for key in NAMED {
        description[key] = parameter(index, key).into();
    }
    description
}

/// Makes the indexes of a list.
pub async fn create<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let params = asked.body.objects("indexParams")?;
    if params.is_empty() {
        return Err(missing("indexParams is required"));
    }
    for params in params {
        create_one(asked, &params).await?;
    }
    Ok(Reply::done())
}

/// The parameters of an index that an element of `indexParams` names.
///
/// # Errors
/// 1801 for members of another form.
pub fn index_params(params: &Fields) -> Result<Vec<KeyValuePair>> {
    let mut extra_params = Vec::new();
    for (name, key) in [("indexType", "index_type"), ("metricType", "metric_type")] {
        let value = params.text(name)?;
        if !value.is_empty() {
            extra_params.push(pair(key, value));
        }
    }
    if params.object("params")?.is_some_and(|inner| !inner.is_empty()) {
        extra_params.extend(params.get("params").map(|inner| pair("params", inner.text())));
    }
    Ok(extra_params)
}

/// Makes the index that an element of `indexParams` describes.
pub async fn create_one<S: MilvusService>(asked: &Asked<S>, params: &Fields) -> Result<()> {
    let extra_params = index_params(params)?;
    let field_name = params.required_text("fieldName")?;
    create_on(asked, field_name, params.text("indexName")?, extra_params).await
}

/// Makes an index on a field.
pub async fn create_on<S: MilvusService>(
    asked: &Asked<S>,
    field_name: String,
    index_name: String,
    extra_params: Vec<KeyValuePair>,
) -> Result<()> {
    let request = m::CreateIndexRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        field_name,
        index_name,
        extra_params,
        ..Default::default()
    };
    asked.call::<_, Status, _>(S::create_index, request).await?;
    Ok(())
}

/// Drops one.
pub async fn drop<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let request = m::DropIndexRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        index_name: asked.body.required_text("indexName")?,
        ..Default::default()
    };
    asked.call::<_, Status, _>(S::drop_index, request).await?;
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

async fn alter<S: MilvusService>(asked: &Asked<S>, extra_params: Vec<KeyValuePair>, delete_keys: Vec<String>) -> Result<Reply> {
    let request = m::AlterIndexRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        index_name: asked.body.required_text("indexName")?,
        extra_params,
        delete_keys,
        ..Default::default()
    };
    asked.call::<_, Status, _>(S::alter_index, request).await?;
    Ok(Reply::done())
}
