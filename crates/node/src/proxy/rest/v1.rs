//! REST v1, the line of Milvus 2.3: fewer endpoints below another prefix, two of them GETs, and 200 for a success's code.
//!
//! Each is answered by v2's function for the same thing; here bodies and answers are brought into v1's form.

use bytes::Bytes;
use prost::Message;
use proto::common::Status;
use proto::milvus as m;
use proto::milvus::milvus_service_server::MilvusService;
use proto::schema::{CollectionSchema, DataType, FieldSchema};
use serde_json::{Value, json};
use types::{Code, Error, Result};

use super::asked::Asked;
use super::body::{pair, required};
use super::envelope::Reply;
use super::indexes::create_on;
use super::{Handler, Rest, collections, reads, writes};

/// What all paths begin with.
pub const PREFIX: &str = "/v1/vector/";
/// The code of a success.
pub const SUCCESS: i32 = 200;
/// The index that a new collection gets.
const INDEX: &str = "vector_idx";

impl<S: MilvusService> Rest<S> {
    /// Every endpoint of v1, with its method, below [`PREFIX`].
    pub const ENDPOINTS_V1: &'static [(&'static str, &'static str, Handler<S>)] = &[
        ("GET", "collections", |asked| Box::pin(collections::list(asked))),
        ("POST", "collections/create", |asked| Box::pin(create(asked))),
        ("GET", "collections/describe", |asked| Box::pin(describe(asked))),
        ("POST", "collections/drop", |asked| Box::pin(drop(asked))),
        ("POST", "delete", |asked| Box::pin(delete(asked))),
        ("POST", "get", |asked| Box::pin(get(asked))),
        ("POST", "insert", |asked| Box::pin(insert(asked))),
        ("POST", "query", |asked| Box::pin(query(asked))),
        ("POST", "search", |asked| Box::pin(search(asked))),
        ("POST", "upsert", |asked| Box::pin(upsert(asked))),
    ];
}

/// A GET's parameters as the body that a POST would have: `a=b&c=d` as an object of texts.
pub fn body_of_query(query: &str) -> Bytes {
    let member = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (decoded(name), Value::from(decoded(value)))
    };
    let members: serde_json::Map<String, Value> = query.split('&').filter(|part| !part.is_empty()).map(member).collect();
    Value::Object(members).to_string().into()
}

/// A text as forms encode it.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(first),
        }
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn create<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let body = &asked.body;
    let name = asked.collection()?;
    let dimension = body.small_number("dimension")?.filter(|&dimension| dimension != 0).ok_or_else(|| required("dimension"))?;
    let or = |key: &str, default: &str| body.text(key).map(|text| if text.is_empty() { default.to_owned() } else { text });
    let vector = or("vectorField", "vector")?;
    let key = FieldSchema {
        name: or("primaryField", "id")?,
        data_type: DataType::Int64 as i32,
        is_primary_key: true,
        auto_id: true,
        ..FieldSchema::default()
    };
    let vector_field = FieldSchema {
        name: vector.clone(),
        data_type: DataType::FloatVector as i32,
        type_params: vec![pair("dim", dimension.to_string())],
        ..FieldSchema::default()
    };
    let schema = CollectionSchema {
        name: name.clone(),
        description: body.text("description")?,
        auto_id: true,
        fields: vec![key, vector_field],
        enable_dynamic_field: body.flag("enableDynamicField")?.unwrap_or(true),
        ..CollectionSchema::default()
    };
    let index = vec![pair("index_type", "AUTOINDEX"), pair("metric_type", or("metricType", "L2")?)];
    let request = m::CreateCollectionRequest {
        db_name: asked.database.clone(),
        collection_name: name,
        schema: schema.encode_to_vec().into(),
        shards_num: 1,
        consistency_level: proto::common::ConsistencyLevel::Bounded as i32,
        ..Default::default()
    };
    asked.call::<_, Status, _>(S::create_collection, request).await?;
    create_on(asked, vector, INDEX.to_owned(), index).await?;
    collections::load_now(asked, false).await
}

async fn describe<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let schema = asked.described().await?.schema.unwrap_or_default();
    let (mut data, _) = collections::description(asked).await?;
    let fields = schema.fields.iter().filter(|field| !field.is_dynamic);
    data["fields"] = fields.map(describe_field).collect();
    let kept = ["collectionName", "description", "fields", "indexes", "load", "shardsNum", "enableDynamicField"];
    let shown: serde_json::Map<String, Value> = kept.iter().map(|&key| (key.to_owned(), data[key].take())).collect();
    Ok(Reply::of(&Value::Object(shown)))
}

/// A field, its type with its size: `FloatVector(128)`.
fn describe_field(field: &FieldSchema) -> Value {
    let name = DataType::try_from(field.data_type).unwrap_or(DataType::None).as_str_name();
    let size = field.type_params.iter().find(|pair| matches!(pair.key.as_str(), "dim" | "max_length"));
    let shown = size.map_or_else(|| name.to_owned(), |size| format!("{name}({})", size.value));
    json!({
        "name": field.name,
        "type": shown,
        "primaryKey": field.is_primary_key,
        "autoId": field.auto_id,
        "description": field.description,
    })
}

/// Unlike v2's, an absent collection is an error.
async fn drop<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let collection_name = asked.collection()?;
    let request =
        m::HasCollectionRequest { db_name: asked.database.clone(), collection_name: collection_name.clone(), ..Default::default() };
    let there: m::BoolResponse = asked.call(S::has_collection, request).await?;
    if !there.value {
        return Err(Error::about(Code::COLLECTION_NOT_FOUND, &[("database", &asked.database), ("collection", &collection_name)]));
    }
    collections::drop(asked).await
}

async fn query<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    asked.body.required_text("filter")?;
    Ok(reads::query(asked).await?.data_alone())
}

async fn get<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    Ok(reads::get(asked).await?.data_alone())
}

async fn delete<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    writes::delete(asked).await?;
    Ok(Reply::done())
}

async fn insert<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    Ok(writes::insert(asked).await?.data_alone())
}

async fn upsert<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    Ok(writes::upsert(asked).await?.data_alone())
}

/// One vector, and parameters without a metric.
async fn search<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let vector = asked.body.get("vector").ok_or_else(|| required("vector"))?;
    let data = format!("[{}]", vector.text());
    let params = asked.body.get("params").map_or("{}", |params| params.text());
    let params = format!("{{\"params\":{params}}}");
    let body = asked.body.clone().with("data", data).with("searchParams", params);
    Ok(reads::search(&asked.with_body(body)).await?.data_alone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_a_get() {
        let cases = [
            ("", "{}"),
            ("dbName=d&collectionName=c", r#"{"collectionName":"c","dbName":"d"}"#),
            ("a=%22b%22+c&&d", r#"{"a":"\"b\" c","d":""}"#),
            ("a=%2&b=%zz&c=%ff", "{\"a\":\"%2\",\"b\":\"%zz\",\"c\":\"\u{fffd}\"}"),
        ];
        for (query, body) in cases {
            assert_eq!(String::from_utf8_lossy(&body_of_query(query)), body, "{query}");
        }
    }
}
