//! Indexes: create, describe, drop, and the older ways to ask how far one is.

use std::collections::BTreeMap;

use ::index::params::{IndexKind, check_build};
use ::index::scalar::ScalarKind;
use proto::common::{IndexState, KeyValuePair};
use proto::milvus as m;
use role::index::{CreateIndex, IndexStatus};
use role::query::LoadState;
use types::collection::Collection;
use types::id::IndexId;
use types::index_params::{IndexDefinition, Metric};
use types::schema::{DataType, Field, Schema};
use types::time::Timestamp;
use types::{Code, Error, Result};

use super::context::Context;
use super::limits::Limits;
use super::{Proxy, names, status};

/// The type of an index whose request names none.
const DEFAULT_TYPE: &str = "AUTOINDEX";

/// CreateIndex: returns before anything is built.
pub async fn create(proxy: &Proxy, context: Context, request: m::CreateIndexRequest) -> Result<proto::common::Status> {
    let collection = proxy.described(&context, &request.db_name, &request.collection_name).await?;
    let definition = definition(&collection.schema, request, &proxy.config().limits)?;
    proxy.roles.index.create_index(&context.call, CreateIndex { collection: collection.id, definition }).await?;
    Ok(status::success())
}

fn definition(schema: &Schema, request: m::CreateIndexRequest, limits: &Limits) -> Result<IndexDefinition> {
    let field = schema.field(&request.field_name);
    let field = field.ok_or_else(|| Error::invalid(format!("cannot create index on non-exist field: {}", request.field_name)))?;
    let name = if request.index_name.is_empty() { field.name.clone() } else { request.index_name };
    names::index(&name, limits.name_bytes)?;
    let mut params = flatten(&request.extra_params, limits)?;
    let asked = params.remove("index_type").filter(|name| !name.is_empty()).unwrap_or_else(|| DEFAULT_TYPE.to_owned());
    let (index_type, metric) = if field.data_type.is_vector() {
        let built = check_build(&asked, field.data_type, field.dimension.unwrap_or(0) as usize, &params)?;
        (built.kind.name(), Some(built.metric))
    } else {
        (scalar_kind(field, &asked)?.name(), None)
    };
    params.remove("metric_type");
    // A type that has two names, or was chosen for the client, goes by the name that it was asked for.
    let user_params = user_params(&request.extra_params, &asked, metric);
    Ok(IndexDefinition {
        id: IndexId(0),
        name,
        field: field.id,
        index_type: index_type.to_owned(),
        metric,
        params,
        user_params,
        created: Timestamp::ZERO,
    })
}

/// The scalar index that is asked for; where that is left to us, one that suits the field.
fn scalar_kind(field: &Field, name: &str) -> Result<ScalarKind> {
    let kind = match (name, field.data_type) {
        (DEFAULT_TYPE, DataType::Bool) => ScalarKind::Bitmap,
        (DEFAULT_TYPE, DataType::Array) => ScalarKind::Inverted,
        (DEFAULT_TYPE, data_type) if data_type.is_numeric() => ScalarKind::StlSort,
        (DEFAULT_TYPE, _) => ScalarKind::Inverted,
        (name, _) => ScalarKind::from_name(name).ok_or_else(|| wrong_type(field, name))?,
    };
    kind.check(field).map(|()| kind)
}

/// A type that no scalar field can have, or none at all.
fn wrong_type(field: &Field, name: &str) -> Error {
    match IndexKind::from_name(name) {
        Ok(_) => Error::invalid(format!("data type {} can't build with this index {name}", field.data_type)),
        Err(error) => error,
    }
}

/// The parameters by key: flat pairs, and the members of the JSON object under `params`.
fn flatten(pairs: &[KeyValuePair], limits: &Limits) -> Result<BTreeMap<String, String>> {
    let bytes: usize = pairs.iter().map(|pair| pair.key.len() + pair.value.len()).sum();
    if bytes > limits.index_params_bytes {
        return Err(Error::invalid(format!("index params size exceeds limit: {bytes} > {}", limits.index_params_bytes)));
    }
    let mut params = BTreeMap::new();
    let mut add = |key: &str, value: String| match params.get(key) {
        Some(old) if *old != value => Err(Error::invalid(format!("duplicated index param (key={key}) (value={value}) found"))),
        _ => {
            params.insert(key.to_owned(), value);
            Ok(())
        }
    };
    for pair in pairs {
        if pair.key != "params" {
            add(&pair.key, pair.value.clone())?;
            continue;
        }
        let members: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(&pair.value).map_err(|error| Error::invalid(format!("failed to parse index params: {error}")))?;
        for (key, value) in members {
            add(&key, json_text(&value))?;
        }
    }
    Ok(params)
}

fn json_text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What DescribeIndex gives back: as sent, with the type and metric where they weren't.
fn user_params(pairs: &[KeyValuePair], index_type: &str, metric: Option<Metric>) -> Vec<(String, String)> {
    let mut given: Vec<(String, String)> = Vec::with_capacity(pairs.len() + 2);
    for pair in pairs {
        if !given.iter().any(|(key, _)| *key == pair.key) {
            given.push((pair.key.clone(), pair.value.clone()));
        }
    }
    let metric = metric.map(|metric| ("metric_type", metric.name()));
    for (key, value) in std::iter::once(("index_type", index_type)).chain(metric) {
        match given.iter_mut().find(|(given, _)| given == key) {
            Some((_, given)) => value.clone_into(given),
            None => given.push((key.to_owned(), value.to_owned())),
        }
    }
    given
}

/// DropIndex by the index's name, or else by its field's. A vector index of a loaded collection stays.
pub async fn drop(proxy: &Proxy, context: Context, request: m::DropIndexRequest) -> Result<proto::common::Status> {
    let collection = proxy.described(&context, &request.db_name, &request.collection_name).await?;
    let all = proxy.roles.index.indexes(&context.call, collection.id).await?;
    let wanted = Wanted { index: &request.index_name, field: if request.index_name.is_empty() { &request.field_name } else { "" } };
    let found: Vec<&IndexStatus> = all.iter().filter(|index| wanted.is(index, &collection.schema)).collect();
    let is_vector = |index: &&IndexStatus| field_of(index, &collection.schema).is_some_and(|field| field.data_type.is_vector());
    if found.iter().any(is_vector) {
        let state: LoadState = proxy.roles.query.load_state(&context.call, collection.id).await?;
        if state.wanted.is_some() {
            return Err(Error::invalid(format!("vector index cannot be dropped on loaded collection: {}", collection.id)));
        }
    }
    for index in found {
        proxy.roles.index.drop_index(&context.call, collection.id, &index.definition.name).await?;
    }
    Ok(status::success())
}

/// DescribeIndex.
pub async fn describe(proxy: &Proxy, context: Context, request: m::DescribeIndexRequest) -> Result<m::DescribeIndexResponse> {
    let collection = proxy.described(&context, &request.db_name, &request.collection_name).await?;
    let wanted = Wanted { index: &request.index_name, field: &request.field_name };
    let index_descriptions = descriptions(proxy, &context, &collection, &wanted).await?;
    Ok(m::DescribeIndexResponse { status: Some(status::success()), index_descriptions })
}

/// GetIndexStatistics: the same.
pub async fn statistics(proxy: &Proxy, context: Context, request: m::GetIndexStatisticsRequest) -> Result<m::GetIndexStatisticsResponse> {
    let collection = proxy.described(&context, &request.db_name, &request.collection_name).await?;
    let index_descriptions = descriptions(proxy, &context, &collection, &Wanted { index: &request.index_name, field: "" }).await?;
    Ok(m::GetIndexStatisticsResponse { status: Some(status::success()), index_descriptions })
}

/// GetIndexState: of the first index that is meant.
pub async fn state(proxy: &Proxy, context: Context, request: m::GetIndexStateRequest) -> Result<m::GetIndexStateResponse> {
    let collection = proxy.described(&context, &request.db_name, &request.collection_name).await?;
    let wanted = Wanted { index: &request.index_name, field: &request.field_name };
    let descriptions = descriptions(proxy, &context, &collection, &wanted).await?;
    let unfinished = descriptions.iter().find(|description| description.state != IndexState::Finished as i32);
    let (state, fail_reason) = match unfinished {
        Some(description) => (description.state, description.index_state_fail_reason.clone()),
        None => (IndexState::Finished as i32, String::new()),
    };
    Ok(m::GetIndexStateResponse { status: Some(status::success()), state, fail_reason })
}

/// GetIndexBuildProgress: rows of all indexes that are meant.
pub async fn build_progress(
    proxy: &Proxy,
    context: Context,
    request: m::GetIndexBuildProgressRequest,
) -> Result<m::GetIndexBuildProgressResponse> {
    let collection = proxy.described(&context, &request.db_name, &request.collection_name).await?;
    let wanted = Wanted { index: &request.index_name, field: &request.field_name };
    let descriptions = descriptions(proxy, &context, &collection, &wanted).await?;
    Ok(m::GetIndexBuildProgressResponse {
        status: Some(status::success()),
        indexed_rows: descriptions.iter().map(|description| description.indexed_rows).sum(),
        total_rows: descriptions.iter().map(|description| description.total_rows).sum(),
    })
}

/// Which indexes a request means; an empty name means any.
struct Wanted<'a> {
    index: &'a str,
    field: &'a str,
}

impl Wanted<'_> {
    fn is(&self, index: &IndexStatus, schema: &Schema) -> bool {
        let field = field_of(index, schema).map_or("", |field| &field.name);
        (self.index.is_empty() || self.index == index.definition.name) && (self.field.is_empty() || self.field == field)
    }
}

fn field_of<'a>(index: &IndexStatus, schema: &'a Schema) -> Option<&'a Field> {
    schema.field_by_id(index.definition.field)
}

async fn descriptions(proxy: &Proxy, context: &Context, collection: &Collection, wanted: &Wanted<'_>) -> Result<Vec<m::IndexDescription>> {
    let all = proxy.roles.index.indexes(&context.call, collection.id).await?;
    let found: Vec<_> =
        all.iter().filter(|index| wanted.is(index, &collection.schema)).map(|index| description(index, &collection.schema)).collect();
    match (found.is_empty(), wanted.index.is_empty()) {
        (false, _) => Ok(found),
        (true, true) => Err(Error::about(Code::INDEX_NOT_FOUND, &[("collection", &collection.name)])),
        (true, false) => Err(Error::about(Code::INDEX_NOT_FOUND, &[("indexName", &wanted.index)])),
    }
}

fn description(index: &IndexStatus, schema: &Schema) -> m::IndexDescription {
    let definition = &index.definition;
    let pending = index.total_rows.saturating_sub(index.indexed_rows);
    let state = match (pending, &index.failure) {
        (0, _) => IndexState::Finished,
        (_, Some(_)) => IndexState::Failed,
        (_, None) => IndexState::InProgress,
    };
    m::IndexDescription {
        index_name: definition.name.clone(),
        index_id: definition.id.0,
        params: definition.user_params.iter().map(|(key, value)| KeyValuePair { key: key.clone(), value: value.clone() }).collect(),
        field_name: field_of(index, schema).map(|field| field.name.clone()).unwrap_or_default(),
        indexed_rows: index.indexed_rows as i64,
        total_rows: index.total_rows as i64,
        state: state as i32,
        index_state_fail_reason: index.failure.clone().filter(|_| pending > 0).unwrap_or_default(),
        pending_index_rows: pending as i64,
        min_index_version: 0,
        max_index_version: 0,
    }
}
