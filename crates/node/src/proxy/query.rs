//! Query: rows that a filter keeps, in ascending order of key, or their number.

use prost::Message;
use proto::milvus as m;
use proto::schema::FieldData;
use role::query::QueryResponse;
use types::batch::Batch;
use types::error::Context as _;
use types::schema::Schema;
use types::{Error, Result};

use super::context::Context;
use super::limits::Limits;
use super::output::Output;
use super::params::{self, QueryParams};
use super::read::{Freshness, Reading, check_iteration};
use super::{Proxy, filter, merge, partition, results, status};

/// Query.
pub async fn query(proxy: &Proxy, context: Context, request: m::QueryRequest) -> Result<m::QueryResults> {
    context.note(|figures| {
        figures.received_bytes = request.encoded_len() as u64;
        figures.queries = 1;
    });
    let limits = &proxy.config().limits;
    let collection = proxy.collection(&context, &request.db_name, &request.collection_name).await?;
    let params = params::of_query(&request.query_params, limits)?;
    check_iteration(&params.common, &collection)?;
    let schema = &collection.schema;
    let counting = is_count(&request.output_fields);
    let output = if counting { Output::default() } else { Output::resolve(schema, &request.output_fields, true)? };
    let partitions = partition::of_read(&collection, &request.partition_names)?;
    let templates = filter::templates(&request.expr_template_values);
    let plan = proxy.plans.compile(&collection, &request.expr, templates).context(|| "failed to create query plan")?;
    match (counting, params.limit) {
        (true, Some(_)) => return Err(Error::invalid("count entities with pagination is not allowed")),
        (false, None) if plan.is_always_true() => return Err(Error::invalid("empty expression should be used with limit")),
        _ => {}
    }
    let freshness = Freshness {
        level: request.consistency_level,
        use_default: request.use_default_consistency,
        guarantee: request.guarantee_timestamp,
        iterator: params.common.iterator,
    };
    let reading = Reading {
        proxy,
        context: &context,
        collection: &collection,
        plan,
        partitions,
        at: freshness.read_at(collection.consistency, proxy.config().graceful_time)?,
        output: output.fields.clone(),
        ignore_growing: params.common.ignore_growing,
        what: "query",
    };
    let answers = reading.query(params.limit.map(|limit| limit + params.offset), counting).await?;
    let parts: Vec<QueryResponse> = answers.into_iter().map(|(_, answer)| answer).collect();
    let session = parts.iter().map(|part| part.at).max().unwrap_or_default().max(collection.created);
    let merging = proxy.world.clock.now();
    let (fields_data, output_fields) = if counting {
        (vec![results::count(parts.iter().filter_map(|part| part.count).sum())], vec![results::COUNT.to_owned()])
    } else {
        (render(schema, &output, &parts, (&params, limits))?, output.names)
    };
    context.note(|figures| {
        figures.merging = proxy.world.clock.now() - merging;
        figures.sent_bytes = fields_data.iter().map(|field| field.encoded_len() as u64).sum();
    });
    Ok(m::QueryResults {
        status: Some(status::success()),
        fields_data,
        collection_name: request.collection_name,
        output_fields,
        session_ts: session.0,
        primary_field_name: schema.primary().name.clone(),
        element_indices: Vec::new(),
    })
}

fn is_count(asked: &[String]) -> bool {
    matches!(asked, [only] if only.trim().eq_ignore_ascii_case(results::COUNT))
}

fn render(schema: &Schema, output: &Output, parts: &[QueryResponse], (params, limits): (&QueryParams, &Limits)) -> Result<Vec<FieldData>> {
    let picks = merge::rows(parts, schema.primary().id, params.offset, params.limit);
    let batches: Vec<&Batch> = parts.iter().map(|part| &part.rows).collect();
    let mut fields_data = Vec::with_capacity(output.fields.len());
    let mut bytes = 0;
    for id in &output.fields {
        let field = schema.field_by_id(*id).ok_or_else(|| Error::internal(format!("output of an unknown field {id}")))?;
        let column = merge::gather(&batches, field, &picks)?;
        bytes += column.values.bytes();
        if bytes > limits.output_bytes {
            return Err(Error::invalid(format!("query results exceed the maxOutputSize Limit {}", limits.output_bytes)));
        }
        fields_data.push(results::field_data(field, column, output.keys.as_ref())?);
    }
    Ok(fields_data)
}
