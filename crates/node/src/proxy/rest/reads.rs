//! `/entities` that read rows: query, get, search, hybrid search.

use prost::Message;
use proto::common::{DslType, KeyValuePair, PlaceholderGroup, PlaceholderType, PlaceholderValue};
use proto::milvus as m;
use proto::milvus::milvus_service_server::MilvusService;
use proto::schema::{CollectionSchema, FieldSchema, FunctionScore, SearchResultData};
use serde_json::Value;
use types::{Error, Result};

use super::asked::Asked;
use super::body::{Fields, Json, pair, required};
use super::envelope::{Reply, cost, missing, not_json};
use super::keys;
use super::params::{SearchParams, grouping, read_level, templates, window};
use super::render::{self, Answer};
use super::schema;
use super::vectors::{Shape, Wrong};

/// The one output field that counts instead of giving rows.
const COUNT: &str = "count(*)";
/// Members that say what can't be done yet.
const UNSUPPORTED: [&str; 2] = ["functionChains", "searchAggregation"];

/// Rows that a filter finds.
pub async fn query<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let output_fields = output_fields(asked)?;
    let counts = matches!(output_fields.as_slice(), [only] if only.trim().eq_ignore_ascii_case(COUNT));
    let mut query_params = if counts { Vec::new() } else { window(&asked.body, "limit")? };
    query_params.extend(grouping(&asked.body)?);
    let request = m::QueryRequest {
        expr: asked.body.text("filter")?,
        expr_template_values: templates(&asked.body)?,
        output_fields,
        query_params,
        ..Default::default()
    };
    queried(asked, request).await
}

/// Rows of some keys.
pub async fn get<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let given = asked.body.get("id").ok_or_else(|| required("id"))?;
    let (expr, expr_template_values) = keys::filter(&asked.described().await?.schema.unwrap_or_default(), Some(given))?;
    queried(asked, m::QueryRequest { expr, expr_template_values, output_fields: output_fields(asked)?, ..Default::default() }).await
}

/// Columns to return; all, where none is named.
fn output_fields<S: MilvusService>(asked: &Asked<S>) -> Result<Vec<String>> {
    let named = asked.body.texts("outputFields")?;
    Ok(if named.is_empty() { vec!["*".to_owned()] } else { named })
}

async fn queried<S: MilvusService>(asked: &Asked<S>, request: m::QueryRequest) -> Result<Reply> {
    let (consistency_level, use_default_consistency) = read_level(&asked.body)?;
    let request = m::QueryRequest {
        db_name: asked.database.clone(),
        collection_name: asked.collection()?,
        partition_names: asked.body.texts("partitionNames")?,
        consistency_level,
        use_default_consistency,
        ..request
    };
    let found: m::QueryResults = asked.call(S::query, request).await?;
    let cost = cost(found.status.as_ref());
    let bytes = found.encoded_len();
    let answer = Answer { columns: found.fields_data, keys: None, distances: Vec::new(), int64: asked.int64 };
    let rows = asked.compute(bytes, move || render::rows(&answer)).await?;
    Ok(Reply::text(rows).with("cost", cost))
}

/// The nearest rows of each vector.
pub async fn search<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    asked.refuse(&UNSUPPORTED)?;
    let collection_name = asked.collection()?;
    check_input(&asked.body)?;
    let schema = asked.described().await?.schema.unwrap_or_default();
    let params = asked.body.object("searchParams")?.unwrap_or_default();
    let part = Part { body: &asked.body, params: &params, schema: &schema };
    let (consistency_level, use_default_consistency) = read_level(&asked.body)?;
    let request = m::SearchRequest {
        db_name: asked.database.clone(),
        collection_name,
        partition_names: asked.body.texts("partitionNames")?,
        output_fields: asked.body.texts("outputFields")?,
        consistency_level,
        use_default_consistency,
        function_score: function_score(&asked.body)?,
        ..part.request(asked).await?
    };
    let found: m::SearchResults = asked.call(S::search, request).await?;
    answer(asked, found, &schema).await
}

fn check_input(body: &Fields) -> Result<()> {
    match (body.get("ids").is_some(), body.get("data").is_some()) {
        (true, true) => {
            Err(Error::invalid("primary keys (ids) and query vectors (data) are mutually exclusive, only one of them can be given"))
        }
        (false, false) => Err(missing("either 'ids' (primary keys) or 'data' (query vectors) must be provided")),
        _ => Ok(()),
    }
}

fn function_score(body: &Fields) -> Result<Option<FunctionScore>> {
    body.object("functionScore")?.map(|given| schema::function_score(&given)).transpose()
}

/// Several searches whose rows are ranked together.
pub async fn hybrid_search<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    asked.refuse(&UNSUPPORTED)?;
    let collection_name = asked.collection()?;
    let parts = asked.body.objects("search")?;
    if parts.is_empty() {
        return Err(required("search"));
    }
    let schema = asked.described().await?.schema.unwrap_or_default();
    let (consistency_level, use_default_consistency) = read_level(&asked.body)?;
    let partition_names = asked.body.texts("partitionNames")?;
    let mut requests = Vec::with_capacity(parts.len());
    for body in &parts {
        let params = body.object("params")?.unwrap_or_default();
        body.get("data").ok_or_else(|| required("data"))?;
        let request = Part { body, params: &params, schema: &schema }.request(asked).await?;
        requests.push(m::SearchRequest {
            db_name: asked.database.clone(),
            collection_name: collection_name.clone(),
            partition_names: partition_names.clone(),
            consistency_level,
            use_default_consistency,
            ..request
        });
    }
    let request = m::HybridSearchRequest {
        db_name: asked.database.clone(),
        collection_name,
        partition_names,
        requests,
        rank_params: rank_params(&asked.body)?,
        output_fields: asked.body.texts("outputFields")?,
        consistency_level,
        use_default_consistency,
        function_score: function_score(&asked.body)?,
        ..Default::default()
    };
    let found: m::SearchResults = asked.call(S::hybrid_search, request).await?;
    answer(asked, found, &schema).await
}

fn rank_params(body: &Fields) -> Result<Vec<KeyValuePair>> {
    let mut pairs = window(body, "limit")?;
    if let Some(rerank) = body.object("rerank")? {
        let strategy = rerank.text("strategy")?;
        if !strategy.is_empty() {
            pairs.push(pair("strategy", strategy));
        }
        rerank.object("params")?;
        pairs.extend(rerank.get("params").map(|params| pair("params", params.text())));
    }
    pairs.extend(grouping(body)?);
    Ok(pairs)
}

/// One search: the whole body, or an element of a hybrid one.
struct Part<'a> {
    body: &'a Fields,
    params: &'a Fields,
    schema: &'a CollectionSchema,
}

impl Part<'_> {
    /// What the part alone says.
    async fn request<S: MilvusService>(&self, asked: &Asked<S>) -> Result<m::SearchRequest> {
        let field = vector_field(self.schema, &self.body.text("annsField")?)?;
        let (nq, input) = match (self.body.get("ids"), self.body.get("data")) {
            (Some(ids), _) => {
                let ids = keys::ids(keys::key_field(self.schema)?, ids)?;
                (1, m::search_request::SearchInput::Ids(ids))
            }
            (None, Some(data)) => {
                let (data, field) = (data.clone(), field.clone());
                let group = asked.compute(data.bytes(), move || placeholders(&data, &field)).await?;
                let nq = group.placeholders.first().map_or(0, |values| values.values.len());
                (nq as i64, m::search_request::SearchInput::PlaceholderGroup(group.encode_to_vec().into()))
            }
            (None, None) => return Err(required("data")),
        };
        Ok(m::SearchRequest {
            dsl: self.body.text("filter")?,
            dsl_type: DslType::BoolExprV1 as i32,
            expr_template_values: templates(self.body)?,
            search_params: SearchParams { body: self.body, params: self.params, field: &field.name }.pairs()?,
            nq,
            search_input: Some(input),
            ..Default::default()
        })
    }
}

/// The field that is named, or the only one of vectors.
fn vector_field<'a>(schema: &'a CollectionSchema, name: &str) -> Result<&'a FieldSchema> {
    let members = schema.struct_array_fields.iter().flat_map(|structure| &structure.fields);
    let mut vectors = schema.fields.iter().filter(|field| Shape::of(field).is_some());
    if !name.is_empty() {
        let found = vectors.chain(members).find(|field| field.name == name);
        return found.ok_or_else(|| not_json(format!("cannot find a vector field named: {name}")));
    }
    match (vectors.next(), vectors.next()) {
        (Some(first), Some(second)) => {
            let names = format!("[{}, {},,,]", first.name, second.name);
            Err(not_json(format!("search without annsField, but already found multiple vector fields: {names}")))
        }
        (Some(field), None) => Ok(field),
        (None, _) => Err(not_json("cannot find a vector field")),
    }
}

/// The queries of a search as messages carry them.
fn placeholders(data: &Json, field: &FieldSchema) -> Result<PlaceholderGroup> {
    let queries = data.elements().ok_or_else(|| not_json("data must be a list of queries"))?;
    let texts = field.is_function_output && queries.iter().all(|query| query.text().starts_with('"'));
    let (number, values) = match Shape::of(field) {
        _ if texts => (PlaceholderType::VarChar as i32, queries.iter().map(|query| query.plain().into()).collect()),
        Some(shape) => (field.data_type, queries.iter().map(|query| query_bytes(&shape, query)).collect::<Result<_>>()?),
        None => return Err(not_json(format!("vectors of field {} can't be searched for by REST", field.name))),
    };
    let placeholder = PlaceholderValue { tag: "$0".to_owned(), r#type: number, values, ..Default::default() };
    Ok(PlaceholderGroup { placeholders: vec![placeholder] })
}

fn query_bytes(shape: &Shape, query: &Json) -> Result<bytes::Bytes> {
    let mut bytes = Vec::new();
    let name = shape.data_type.as_str_name();
    shape.append(query.text(), &mut bytes).map_err(|error| match error {
        Wrong::Value(why) => not_json(Error::expected(why, name, "another value")),
        Wrong::Size { unit: unit @ "byte", given, expected } => {
            let text = format!("dimension: {}, bytesLen: {expected}, but length of []{unit}: {given}", shape.dimension);
            not_json(Error::expected(text, name, given))
        }
        Wrong::Size { given, expected, .. } => {
            not_json(Error::expected(format!("dimension: {expected}, but length of []float: {given}"), name, given))
        }
    })?;
    Ok(bytes.into())
}

/// All queries' rows in one list, and how many each has.
async fn answer<S: MilvusService>(asked: &Asked<S>, found: m::SearchResults, schema: &CollectionSchema) -> Result<Reply> {
    let cost = cost(found.status.as_ref());
    let bytes = found.encoded_len();
    let SearchResultData { fields_data, scores, ids, topks, recalls, primary_field_name, .. } = found.results.unwrap_or_default();
    if topks.iter().all(|&count| count == 0) {
        return Ok(Reply::of(&Value::Array(Vec::new())).with("cost", cost));
    }
    let name = match primary_field_name.is_empty() {
        true => keys::key_field(schema)?.name.clone(),
        false => primary_field_name,
    };
    let keys = ids.map(|ids| (name, ids));
    let answer = Answer { columns: fields_data, keys, distances: scores, int64: asked.int64 };
    let rows = asked.compute(bytes, move || render::rows(&answer)).await?;
    let mut reply = Reply::text(rows).with("cost", cost).with("topks", topks);
    if !recalls.is_empty() {
        reply = reply.with("recalls", recalls);
    }
    Ok(reply)
}
