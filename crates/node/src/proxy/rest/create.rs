//! `/collections/create`, quick and full: the collection, its indexes, its load.
//!
//! The quick form names a dimension and no fields: a key and a vector are made for it, an index, and the collection is loaded. The full form names
//! its fields; it is indexed and loaded if it says how to index. What can be seen to be wrong is refused before anything is made.

use prost::Message;
use proto::common::{ConsistencyLevel, KeyValuePair, Status};
use proto::milvus as m;
use proto::milvus::milvus_service_server::MilvusService;
use proto::schema::{CollectionSchema, DataType, FieldSchema};
use types::{Error, Result};

use super::asked::Asked;
use super::body::{Fields, pair};
use super::collections::load_now;
use super::envelope::{Reply, missing};
use super::indexes::{create_on, create_one};
use super::params::consistency;
use super::schema;

/// Properties that stand among `params`: their names there and in messages.
const PARAMS: [(&str, &str); 6] = [
    ("ttlSeconds", TTL_SECONDS),
    ("ttlField", "ttl_field"),
    ("partitionKeyIsolation", "partitionkey.isolation"),
    ("mmap.enabled", "mmap.enabled"),
    ("warmup.vectorField", "warmup.vectorField"),
    ("warmup.scalarField", "warmup.scalarField"),
];
const TTL_SECONDS: &str = "collection.ttl.seconds";

/// Makes a collection.
pub async fn create<S: MilvusService>(asked: &Asked<S>) -> Result<Reply> {
    let name = asked.collection()?;
    let given = asked.body.object("schema")?.unwrap_or_default();
    let params = asked.body.pairs("params")?;
    let indexing = asked.body.objects("indexParams")?;
    let quick = given.objects("fields")?.is_empty();
    let mut schema = match quick {
        true => quick_schema(&asked.body, &given, &params)?,
        false => schema::collection(&name, &given)?,
    };
    schema.description = asked.body.text("description")?;
    check_indexes(&schema, &indexing)?;
    let index = if quick { Some(quick_index(&asked.body, &schema)?) } else { None };
    let request = m::CreateCollectionRequest {
        db_name: asked.database.clone(),
        collection_name: name,
        schema: schema.encode_to_vec().into(),
        shards_num: schema::number(&params, "shardsNum")?.unwrap_or(1),
        num_partitions: schema::number(&params, "partitionsNum")?.unwrap_or(0),
        consistency_level: level(&asked.body, &params)? as i32,
        properties: properties(&asked.body, &params)?,
        ..Default::default()
    };
    asked.call::<_, Status, _>(S::create_collection, request).await?;
    match index {
        Some((vector, params)) => create_on(asked, vector.clone(), vector, params).await?,
        None if indexing.is_empty() => return Ok(Reply::done()),
        None => {
            for params in &indexing {
                create_one(asked, params).await?;
            }
        }
    }
    load_now(asked, false).await
}

fn check_indexes(schema: &CollectionSchema, indexing: &[Fields]) -> Result<()> {
    let members = schema.struct_array_fields.iter().flat_map(|structure| &structure.fields);
    let known: Vec<&FieldSchema> = schema.fields.iter().chain(members).collect();
    for params in indexing {
        let name = params.required_text("fieldName")?;
        let of_struct = schema.struct_array_fields.iter().any(|structure| name.starts_with(&format!("{}[", structure.name)));
        if !of_struct && !known.iter().any(|field| field.name == name) {
            return Err(missing(format!("`{name}` hasn't defined in schema")));
        }
    }
    Ok(())
}

/// A key and a vector.
fn quick_schema(body: &Fields, given: &Fields, params: &[KeyValuePair]) -> Result<CollectionSchema> {
    if !given.objects("functions")?.is_empty() {
        return Err(Error::invalid("functions are not supported for quickly create collection"));
    }
    let auto_id = body.flag("autoID")?.unwrap_or(false);
    let name = |key: &str, default: &str| body.text(key).map(|name| if name.is_empty() { default.to_owned() } else { name });
    let mut key = FieldSchema { name: name("primaryFieldName", "id")?, is_primary_key: true, auto_id, ..FieldSchema::default() };
    key.data_type = match body.text("idType")?.as_str() {
        "" | "Int64" | "int64" => DataType::Int64 as i32,
        "VarChar" | "Varchar" => {
            key.type_params.extend(params.iter().find(|pair| pair.key == "max_length").cloned());
            DataType::VarChar as i32
        }
        other => return Err(Error::expected("idType can only be [Int64, VarChar], default: Int64", "Int64, Varchar", other)),
    };
    let data_type = vector_type(&body.text("vectorFieldType")?)?;
    let mut vector = FieldSchema { name: name("vectorFieldName", "vector")?, data_type: data_type as i32, ..FieldSchema::default() };
    if data_type != DataType::SparseFloatVector {
        let dimension = body.small_number("dimension")?.unwrap_or(0);
        if dimension == 0 {
            let metric = default_metric(data_type);
            let text = format!("dimension is required for quickly create collection(default metric type: {metric})");
            return Err(Error::expected(text, "collectionName & dimension", "collectionName"));
        }
        vector.type_params.push(pair("dim", dimension.to_string()));
    }
    Ok(CollectionSchema {
        name: body.text("collectionName")?,
        auto_id,
        fields: vec![key, vector],
        enable_dynamic_field: schema::flag(params, "enableDynamicField")?.unwrap_or(true),
        ..CollectionSchema::default()
    })
}

fn vector_type(name: &str) -> Result<DataType> {
    let data_type = if name.is_empty() { Some(DataType::FloatVector) } else { DataType::from_str_name(name) };
    let known = [
        DataType::FloatVector,
        DataType::BinaryVector,
        DataType::Float16Vector,
        DataType::BFloat16Vector,
        DataType::SparseFloatVector,
        DataType::Int8Vector,
    ];
    let names = known.map(|data_type| data_type.as_str_name()).join(", ");
    data_type
        .filter(|data_type| known.contains(data_type))
        .ok_or_else(|| Error::expected(format!("vectorFieldType can only be [{names}], default: FloatVector"), names, name))
}

fn default_metric(data_type: DataType) -> &'static str {
    match data_type {
        DataType::BinaryVector => "HAMMING",
        DataType::SparseFloatVector => "IP",
        _ => "COSINE",
    }
}

/// The field to index and how, of a quick form.
fn quick_index(body: &Fields, schema: &CollectionSchema) -> Result<(String, Vec<KeyValuePair>)> {
    let vector = schema.fields.last().cloned().unwrap_or_default();
    let asked = body.text("metricType")?;
    let data_type = DataType::try_from(vector.data_type).unwrap_or(DataType::FloatVector);
    let metric = if asked.is_empty() { default_metric(data_type).to_owned() } else { asked };
    Ok((vector.name, vec![pair("index_type", "AUTOINDEX"), pair("metric_type", metric)]))
}

fn level(body: &Fields, params: &[KeyValuePair]) -> Result<ConsistencyLevel> {
    let among = params.iter().find(|pair| pair.key == "consistencyLevel").map(|pair| pair.value.clone());
    let named = body.text("consistencyLevel")?;
    let name = if named.is_empty() { among.unwrap_or_default() } else { named };
    Ok(consistency(&name)?.unwrap_or(ConsistencyLevel::Bounded))
}

fn properties(body: &Fields, params: &[KeyValuePair]) -> Result<Vec<KeyValuePair>> {
    let mut properties = body.pairs("properties")?;
    for (name, key) in PARAMS {
        let Some(param) = params.iter().find(|param| param.key == name) else { continue };
        if properties.iter().any(|property| property.key == key) {
            if key == TTL_SECONDS {
                return Err(Error::invalid("collection TTL is specified multiple times"));
            }
            continue;
        }
        properties.push(pair(key, param.value.clone()));
    }
    Ok(properties)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        Fields::parse(text.to_owned().into_bytes().into()).expect("an object")
    }

    #[test]
    fn quick_forms() {
        let make = |text: &str| {
            let body = fields(text);
            let params = body.pairs("params")?;
            let schema = quick_schema(&body, &Fields::default(), &params)?;
            let index = quick_index(&body, &schema)?.1.pop().map(|pair| pair.value);
            Ok::<_, Error>((schema, index.unwrap_or_default()))
        };
        let (schema, metric) = make(r#"{"collectionName": "c", "dimension": 4}"#).expect("a form");
        assert_eq!((schema.enable_dynamic_field, schema.auto_id, &*metric), (true, false, "COSINE"));
        assert_eq!(schema.fields.iter().map(|field| (&*field.name, field.data_type)).collect::<Vec<_>>(), [("id", 5), ("vector", 101)]);
        let text = r#"{"idType": "VarChar", "params": {"max_length": 9, "enableDynamicField": "false"}, "vectorFieldType": "SparseFloatVector",
            "vectorFieldName": "v", "primaryFieldName": "k", "autoId": true}"#;
        let (schema, metric) = make(text).expect("a form");
        assert_eq!((schema.enable_dynamic_field, schema.auto_id, &*metric), (false, true, "IP"));
        assert_eq!(schema.fields[0].type_params, [pair("max_length", "9")]);
        assert_eq!((&*schema.fields[1].name, schema.fields[1].type_params.len()), ("v", 0));
        let wrong = [
            (r#"{"idType": "Float", "dimension": 2}"#, 1100, "idType can only be [Int64, VarChar]"),
            ("{}", 1100, "dimension is required for quickly create collection(default metric type: COSINE)"),
            (r#"{"vectorFieldType": "Int64", "dimension": 2}"#, 1100, "vectorFieldType can only be"),
            (r#"{"dimension": "2"}"#, 1801, "dimension must be"),
            (r#"{"dimension": 2, "params": {"enableDynamicField": 7}}"#, 1100, "parse enableDynamicField fail"),
        ];
        for (text, code, expected) in wrong {
            let error = make(text).expect_err("a wrong form");
            assert!(error.code().0 == code && error.reason().contains(expected), "{error:?} … {expected}");
        }
    }

    #[test]
    fn properties_and_levels() {
        let body =
            fields(r#"{"properties": {"mmap.enabled": true}, "params": {"ttlSeconds": 7, "mmap.enabled": "false", "shardsNum": "2"}}"#);
        let params = body.pairs("params").expect("parameters");
        assert_eq!(properties(&body, &params), Ok(vec![pair("mmap.enabled", "true"), pair(TTL_SECONDS, "7")]));
        assert_eq!(schema::number(&params, "shardsNum"), Ok(Some(2)));
        let twice = fields(r#"{"properties": {"collection.ttl.seconds": 7}}"#);
        assert!(properties(&twice, &params).expect_err("twice").reason().starts_with("collection TTL is specified multiple times"));
        assert_eq!(level(&fields("{}"), &[pair("consistencyLevel", "Strong")]), Ok(ConsistencyLevel::Strong));
        assert_eq!(level(&fields(r#"{"consistencyLevel": "Session"}"#), &[]), Ok(ConsistencyLevel::Session));
        assert_eq!(level(&fields("{}"), &[]), Ok(ConsistencyLevel::Bounded));
    }
}
