//! Search: the nearest rows of each query vector, over all shards.

use prost::Message;
use proto::milvus as m;
use proto::schema::SearchResultData;
use role::query::{SearchRequest, SearchResponse};
use types::batch::Batch;
use types::collection::Collection;
use types::error::Context as _;
use types::index_params::Metric;
use types::schema::{Field, Schema};
use types::{Code, Error, Result};

use super::context::Context;
use super::limits::Limits;
use super::output::Output;
use super::params::{self, SearchParams};
use super::read::{Freshness, Reading, check_iteration};
use super::{Proxy, columns, filter, merge, partition, queries, results, status, write};

/// Search.
pub async fn search(proxy: &Proxy, context: Context, request: m::SearchRequest) -> Result<m::SearchResults> {
    context.note(|figures| {
        figures.received_bytes = request.encoded_len() as u64;
        figures.queries = u64::try_from(request.nq).unwrap_or(0);
    });
    let limits = &proxy.config().limits;
    check_unsupported(&request)?;
    let collection = proxy.collection(&context, &request.db_name, &request.collection_name).await?;
    let params = params::of_search(&request.search_params, limits)?;
    check_iteration(&params.common, &collection)?;
    let field = vector_field(&collection.schema, params.field.as_deref())?;
    let output = Output::resolve(&collection.schema, &request.output_fields, false)?;
    let partitions = partition::of_read(&collection, &request.partition_names)?;
    let queries = queries::parse(&request, field, limits)?;
    context.note(|figures| figures.queries = queries.slots() as u64);
    let templates = filter::templates(&request.expr_template_values);
    let plan = proxy.plans.compile(&collection, &request.dsl, templates).context(|| "failed to create query plan")?;
    let metric = metric(proxy, &context, &collection, (field, &params)).await?;
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
        what: "search",
    };
    let call = &context.call;
    let answers = reading
        .ask(|node, scope| {
            let request = SearchRequest {
                scope,
                field: field.id,
                queries: queries.clone(),
                limit: params.limit + params.offset,
                metric,
                params: params.index.clone(),
            };
            async move { node.search(call, request).await }
        })
        .await?;
    let parts: Vec<SearchResponse> = answers.into_iter().map(|(_, answer)| answer).collect();
    let session = parts.iter().map(|part| part.at).max().unwrap_or_default().max(collection.created);
    let merging = proxy.world.clock.now();
    let rendering = Rendering { schema: &collection.schema, output: &output, params: &params, queries: queries.slots(), limits };
    let results = rendering.render(&parts)?;
    context.note(|figures| {
        figures.merging = proxy.world.clock.now() - merging;
        figures.sent_bytes = results.encoded_len() as u64;
    });
    Ok(m::SearchResults {
        status: Some(status::success()),
        results: Some(results),
        collection_name: request.collection_name,
        session_ts: session.0,
    })
}

fn check_unsupported(request: &m::SearchRequest) -> Result<()> {
    let asked = [
        (!request.sub_reqs.is_empty(), "a search with sub requests"),
        (matches!(request.search_input, Some(m::search_request::SearchInput::Ids(_))), "a search by ids"),
        (request.function_score.as_ref().is_some_and(|score| !score.functions.is_empty()), "a function score"),
        (!request.function_chains.is_empty(), "a function chain"),
        (request.highlighter.is_some(), "a highlighter"),
        (request.search_aggregation.is_some(), "a search aggregation"),
    ];
    match asked.into_iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(Error::new(Code::UNSUPPORTED, format!("{what} is not supported: unsupported operation"))),
        None => Ok(()),
    }
}

/// The field to search: the one that is named, or the only one.
fn vector_field<'a>(schema: &'a Schema, name: Option<&str>) -> Result<&'a Field> {
    let Some(name) = name else {
        let mut vectors = schema.vectors();
        return match (vectors.next(), vectors.next()) {
            (Some(field), None) => Ok(field),
            (Some(_), Some(_)) => Err(Error::invalid("multiple anns_fields exist, please specify a anns_field in search_params")),
            (None, _) => Err(Error::internal("a schema without a vector field")),
        };
    };
    match schema.field(name) {
        None => Err(Error::invalid(format!("failed to get field schema by name: fieldName({name}) not found"))),
        Some(field) if !field.data_type.is_vector() => Err(Error::invalid(format!("field ({name}) to search is not of vector data type"))),
        Some(field) => Ok(field),
    }
}

/// The metric that the client expects. One that no index of ours can have is wrong for every index.
async fn metric(
    proxy: &Proxy,
    context: &Context,
    collection: &Collection,
    (field, params): (&Field, &SearchParams),
) -> Result<Option<Metric>> {
    let Some(name) = &params.metric else { return Ok(None) };
    if let Some(metric) = Metric::from_name(name) {
        return Ok(Some(metric));
    }
    let indexes = proxy.roles.index.indexes(&context.call, collection.id).await?;
    let index = indexes.iter().find(|index| index.definition.field == field.id);
    let expected = index.and_then(|index| index.definition.metric).map_or("", Metric::name);
    Err(Error::expected("metric type not match", expected, name))
}

/// What an answer is rendered by.
struct Rendering<'a> {
    schema: &'a Schema,
    output: &'a Output,
    params: &'a SearchParams,
    queries: usize,
    limits: &'a Limits,
}

impl Rendering<'_> {
    fn render(&self, parts: &[SearchResponse]) -> Result<SearchResultData> {
        let hits = merge::hits(parts, self.queries, self.params.offset, self.params.limit);
        let batches: Vec<&Batch> = parts.iter().map(|part| &part.rows).collect();
        let mut fields_data = Vec::with_capacity(self.output.fields.len());
        let mut bytes = 0;
        for id in &self.output.fields {
            let field = self.schema.field_by_id(*id).ok_or_else(|| Error::internal(format!("output of an unknown field {id}")))?;
            let column = merge::gather(&batches, field, &hits.picks)?;
            bytes += column.values.bytes();
            if bytes > self.limits.output_bytes {
                return Err(Error::invalid(format!("search results exceed the maxOutputSize Limit {}", self.limits.output_bytes)));
            }
            fields_data.push(results::field_data(field, column, self.output.keys.as_ref())?);
        }
        let primary = self.schema.primary();
        let keys = columns::keys(hits.keys.iter(), primary.data_type)?;
        Ok(SearchResultData {
            num_queries: self.queries as i64,
            top_k: hits.counts.last().map_or(0, |&count| count as i64),
            fields_data,
            scores: hits.scores.iter().map(|&score| round(score, self.params.round_decimal)).collect(),
            ids: Some(write::ids(&keys)),
            topks: hits.counts.iter().map(|&count| count as i64).collect(),
            output_fields: self.output.names.clone(),
            all_search_count: parts.iter().flat_map(|part| &part.hits).map(|hits| hits.len() as i64).sum(),
            primary_field_name: primary.name.clone(),
            ..SearchResultData::default()
        })
    }
}

/// A score with so many digits after the point, halves upwards.
fn round(score: f32, digits: Option<i32>) -> f32 {
    match digits {
        None => score,
        Some(digits) => {
            let scale = 10f64.powi(digits);
            ((f64::from(score) * scale + 0.5).floor() / scale) as f32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_rounded_halves_up() {
        let cases = [(1.25, Some(1), 1.3), (-1.25, Some(1), -1.2), (0.123_456_7, Some(3), 0.123), (2.5, Some(0), 3.0), (0.1, None, 0.1)];
        for (score, digits, rounded) in cases {
            assert_eq!(round(score, digits), rounded, "{score} {digits:?}");
        }
    }
}
